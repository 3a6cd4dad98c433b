"""One figure that depends on a few values: drawn once by a call, or again under sliders."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Iterator, Mapping

from ..networks.expressions import closest, listing
from .controls import Choice, ExplorerError, Slider

Control = Slider | Choice


class Explorer:
    """A figure as a function of what its sliders say.

    Parameters
    ----------
    draw : callable
        Takes every control by name and returns a matplotlib Figure.
    alt : str
        What the figure shows, in words, for those who do not see it.
    controls : mapping of argument -> Control

    Examples
    --------
    >>> from chemnb import explorers
    >>> explorers.workers
    Explorer workers(hours, block, overhead)
    >>> figure = explorers.workers(hours=10.0)
    """

    def __init__(self, draw: Callable, alt: str, controls: Mapping[str, Control]) -> None:
        self.draw, self.alt, self.controls = draw, alt, dict(controls)
        self.name, self.__doc__ = draw.__name__, draw.__doc__

    @property
    def defaults(self) -> dict:
        """The value of every control at the beginning."""
        return {name: control.default for name, control in self.controls.items()}

    def __call__(self, **values):
        """Return the figure for these values; the others have their default.

        Raises
        ------
        ExplorerError
            If there is no such control, or its slider does not reach the value.
        """
        for name, value in values.items():
            if name not in self.controls:
                raise ExplorerError(
                    f"{self.name} has no slider '{name}'{closest(name, self.controls)}; "
                    f"there are {listing(self.controls)}"
                )
            self.controls[name].check(name, value)
        return self.draw(**{**self.defaults, **values})

    def extremes(self) -> Iterator[dict]:
        """Yield the settings in which one control is at one of its ends."""
        for name, control in self.controls.items():
            for value in control.ends:
                yield {name: value}

    def png(self, **values) -> bytes:
        """Return the figure for these values as a PNG."""
        import matplotlib.pyplot as plt

        with plt.ioff():
            figure = self(**values)
            try:
                buffer = io.BytesIO()
                figure.savefig(buffer, format="png")
            finally:
                plt.close(figure)
        return buffer.getvalue()

    def sliders(self):
        """Return the figure under its sliders, for a notebook or an application.

        It is drawn again when a slider is let go. Its place keeps its height, so that nothing
        on the page jumps, and what goes wrong is said below it, in place.
        """
        import ipywidgets

        knobs = {name: control.widget(name) for name, control in self.controls.items()}
        first = self.png()
        # width and height stand in the first bytes of a PNG
        width, height = int.from_bytes(first[16:20]), int.from_bytes(first[20:24])
        place = {"min_height": f"{height}px", "max_width": "100%", "width": f"{width}px"}
        picture = ipywidgets.HTML(self._image(first), layout=place)
        said = ipywidgets.HTML(layout={"min_height": "1.6em"})

        def redraw(_):
            try:
                png = self.png(**{name: knob.value for name, knob in knobs.items()})
            except Exception as error:  # an error of the science is part of what is explored
                text = html.escape(f"{type(error).__name__}: {error}")
                said.value = (
                    f'<span role="alert">{text} The figure is the last one that worked.</span>'
                )
                return
            said.value = ""
            picture.value = self._image(png)

        for knob in knobs.values():
            knob.observe(redraw, "value")
        return ipywidgets.VBox([*knobs.values(), picture, said])

    def _image(self, png: bytes) -> str:
        data = base64.b64encode(png).decode()
        return (
            f'<img alt="{html.escape(self.alt)}" src="data:image/png;base64,{data}" '
            'style="max-width: 100%; height: auto">'
        )

    def __repr__(self) -> str:
        return f"Explorer {self.name}({', '.join(self.controls)})"


def explorer(alt: str, **controls: Control) -> Callable[[Callable], Explorer]:
    """Make an `Explorer` of the function that draws it."""
    return lambda draw: Explorer(draw, alt, controls)
