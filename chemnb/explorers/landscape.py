"""p(n, t) as a landscape over the counts, at any time (Eq. 4)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .. import models, plots
from ..projection.fsp import finite_state_projection
from .controls import Choice, Slider
from .explorer import explorer

_END = 20  # weeks


@explorer(
    "Map of the probability of every pair of cell numbers, dividing cells A upwards and "
    "differentiated cells B to the right, with a cross at the average; from one bright point at "
    "the start the cloud spreads and drifts to the right.",
    time=Slider(5, 0, _END, 1, "time (weeks)"),
    cells=Choice(10, (1, 2, 5, 10), "cells A at the start"),
)
def landscape(time, cells):
    """Draw p(n_A, n_B) of skin cells at one time, and its average."""
    import matplotlib.pyplot as plt

    table = _law(cells).at(time)
    counts = [np.arange(size) for size in table.shape]
    mean = [float((table.sum(axis=1 - axis).values * counts[axis]).sum()) for axis in (0, 1)]
    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    plots.joint_probability(table, limits=(3 * cells + 5, 8 * cells + 10), axes=axes)
    axes.plot(mean[1], mean[0], "+", color="white", ms=12, mew=2)
    axes.set_title(f"week {time}: average {mean[0]:.1f} A, {mean[1]:.1f} B")
    figure.colorbar(axes.images[0], ax=axes, label="probability")
    return figure


@lru_cache(maxsize=4)
def _law(cells):
    start = {"A": cells}
    return finite_state_projection(models.single_progenitor(), start, range(_END + 1))
