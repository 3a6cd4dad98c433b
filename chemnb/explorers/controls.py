"""What a reader may change in an explorer, and between which ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..networks.expressions import listing


class ExplorerError(ValueError):
    """A value that an explorer does not have; the message says which it has."""


@dataclass(frozen=True)
class Slider:
    """A number between two ends, in steps; whole if the default is whole.

    Attributes
    ----------
    default, low, high, step : int or float
    label : str
        What stands beside the slider; the name of the argument where it is empty.
    readout : str
        Format of the number beside the slider.

    Examples
    --------
    >>> Slider(2.0, 0.5, 4.0, 0.5).ticks(3)
    [0.5, 2.0, 4.0]
    """

    default: float
    low: float
    high: float
    step: float = 1
    label: str = ""
    readout: str = ""

    @property
    def ends(self) -> tuple:
        """The smallest and the largest value."""
        return self.low, self.high

    def ticks(self, count: int) -> list:
        """Return up to ``count`` values from end to end; the default is one of them."""
        steps = round((self.high - self.low) / self.step)
        places = np.unique(np.linspace(0, steps, min(count, steps + 1)).round().astype(int))
        values = [self._at(place) for place in places]
        nearest = min(range(len(values)), key=lambda i: abs(values[i] - self.default))
        values[nearest] = self.default
        return values

    def check(self, name: str, value):
        """Return the value, or say what is wrong with it."""
        if isinstance(value, (str, bool)) or not self.low <= value <= self.high:
            raise ExplorerError(
                f"{name}={value!r} lies outside of the slider; it goes from {self.low} to {self.high}"
            )
        return value

    def widget(self, name: str):
        """Return the slider; it reports when it is let go."""
        import ipywidgets

        whole = isinstance(self.default, int)
        kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
        return kind(
            value=self.default, min=self.low, max=self.high, step=self.step,
            readout_format=self.readout or ("d" if whole else ".2f"), **_look(self.label or name),
        )  # fmt: skip

    def _at(self, place):
        value = self.low + place * self.step
        return value if isinstance(self.default, int) else float(f"{value:.12g}")


@dataclass(frozen=True)
class LogSlider(Slider):
    """A positive number on a logarithmic scale.

    Attributes
    ----------
    default, low, high : float
    step : float
        In powers of ten.

    Examples
    --------
    >>> LogSlider(1.0, 0.1, 100.0, 0.5).ticks(4)
    [0.1, 1.0, 10.0, 100.0]
    """

    step: float = 0.1
    readout: str = ".3g"

    def ticks(self, count: int) -> list:
        """Return up to ``count`` values from end to end; the default is one of them."""
        low, high, default = np.log10([self.low, self.high, self.default])
        exact = Slider(float(default), float(low), float(high), self.step).ticks(count)
        return [float(f"{10**power:.12g}") for power in exact]

    def widget(self, name: str):
        """Return the slider; it reports when it is let go."""
        import ipywidgets

        return ipywidgets.FloatLogSlider(
            value=self.default, min=np.log10(self.low), max=np.log10(self.high), step=self.step,
            readout_format=self.readout, **_look(self.label or name),
        )  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """One of a few values, in their order.

    Attributes
    ----------
    default : any
    options : sequence

    Examples
    --------
    >>> Choice(10, (1, 10, 100)).ticks(2)
    [1, 10, 100]
    """

    default: Any
    options: Sequence
    label: str = ""

    @property
    def ends(self) -> tuple:
        """The first and the last value."""
        return self.options[0], self.options[-1]

    def ticks(self, count: int) -> list:
        """Return all values; there are few."""
        return list(self.options)

    def check(self, name: str, value):
        """Return the value, or say what is wrong with it."""
        if value not in self.options:
            raise ExplorerError(
                f"{name}={value!r} cannot be chosen; there are {listing(map(str, self.options))}"
            )
        return value

    def widget(self, name: str):
        """Return the slider; it reports when it is let go."""
        import ipywidgets

        return ipywidgets.SelectionSlider(
            value=self.default, options=list(self.options), **_look(self.label or name)
        )


def _look(label: str) -> dict:
    return {
        "description": label,
        "continuous_update": False,
        "style": {"description_width": "12em"},
        "layout": {"width": "31em", "max_width": "98%"},
    }
