"""Schloegl's two wells: a state that is stable in Eq. 8 and left by chance all the same."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .. import models, plots
from ..projection.stationary import stationary_distribution
from ..sampling.gillespie import sample
from .controls import Choice, Slider
from .explorer import explorer

_TIMES = np.linspace(0, 100, 401)


@explorer(
    "Left: one path of the concentration jumps between two levels, drawn as dashed lines, with a "
    "dotted line between them that it does not stay at. Right: the stationary distribution as "
    "horizontal bars with a hill at each level.",
    volume=Choice(10, (4, 10, 20, 40, 80), "volume V"),
    feed=Slider(4.5, 2.0, 6.0, 0.25, "feed of A"),
    draw=Slider(1, 1, 20, 1, "number of the path"),
)
def wells(volume, feed, draw):
    """Draw one path of Schloegl's reaction, the resting states of Eq. 8 and the stationary law."""
    import matplotlib.pyplot as plt

    law, path = _law(volume, feed), _path(volume, feed, draw)
    figure, (left, right) = plt.subplots(1, 2, width_ratios=[3, 1], figsize=(8, 3.2), sharey=True)
    left.step(_TIMES, path / volume, "-", where="post", color=plots.COLOURS[0], lw=0.9)
    for place, rest in enumerate(rests(feed)):
        style = plots.REFERENCE | ({"linestyle": ":"} if place == 1 else {})
        for axes in (left, right):
            axes.axhline(rest, **style)
    right.barh(law.A / volume, law * volume, 1 / volume, color=plots.COLOURS[0])
    left.set(xlabel="time", ylabel="$n_A/V$", ylim=(0, 7))
    right.set(xlabel="stationary density")
    return figure


def rests(feed):
    """Return the concentrations at which Eq. 8 rests, in order; the middle one of three is unstable.

    Examples
    --------
    >>> rests(4.0).round(6).tolist()
    [0.5, 2.0, 4.0]
    """
    roots = np.roots([-1.0, 6.5, -11.0, feed])  # of feed - 11 c + 13/2 c² - c³
    return np.sort(roots[np.abs(roots.imag) < 1e-9].real)


@lru_cache(maxsize=32)
def _law(volume, feed):
    return stationary_distribution(models.schloegl(feed, volume), {"A": volume // 2}).probability


@lru_cache(maxsize=64)
def _path(volume, feed, draw):
    net, start = models.schloegl(feed, volume), {"A": volume // 2}
    return sample(net, start, _TIMES, 1, seed=draw, progress=False).paths.values[0, :, 0]
