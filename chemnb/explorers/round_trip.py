"""The circle once: from a network to data and back to the network and its rates."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .. import models, plots
from ..learning.rates import fit_rates
from ..sampling.gillespie import sample
from .controls import Choice, Slider
from .explorer import explorer


@explorer(
    "Four rows of points with error bars against the deviation from the true rate in per cent; "
    "the bars cross the dashed line at zero and shrink with the number of clones.",
    r1=Slider(0.0836, 0.02, 0.2, 0.0001, "true r1", ".4f"),
    clones=Choice(10_000, (1000, 3000, 10_000, 30_000)),
)
def round_trip(r1, clones):
    """Draw the rates that are learned from clones, as deviation from the truth."""
    import matplotlib.pyplot as plt

    fit = _learned(r1, clones)
    figure, axes = plt.subplots()
    plots.intervals({"learned": fit.rates}, true=_truth(r1).parameters, axes=axes)
    axes.set(xlim=(-15, 15), title=f"kept: {', '.join(fit.kept)}")
    axes.get_legend().remove()
    return figure


def _truth(r1):
    return models.single_progenitor(r1=r1)


@lru_cache(maxsize=32)
def _learned(r1, clones):
    data = sample(_truth(r1), {"A": 10}, np.arange(21.0), clones, seed=2021, progress=False)
    suspects = models.single_progenitor_candidate()
    return fit_rates(suspects, data, nonnegative=True, select="bic")
