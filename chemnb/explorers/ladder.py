"""The ladder from Table I's estimator to the floor: the same data, ever better used."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .. import models, plots
from ..learning.rates import fit_rates
from ..sampling.gillespie import sample
from .controls import Choice, Slider
from .explorer import explorer

_UNKNOWNS = ("r1", "r2", "lam", "Gamma")
RUNGS = {
    "Table I: two stages": {"method": "two-stage", "weights": "none"},
    "variances only": {"weights": "diagonal"},
    "path covariance": {},
    "and right reactions": {"nonnegative": True, "select": "bic"},
}


@explorer(
    "Five rows, one for each way to estimate a rate: points with error bars against the deviation "
    "from the truth in per cent. The bars shorten from the first row, which is Table I's way, to "
    "the last, the error that no estimator from these moments can beat.",
    rate=Choice("r2", _UNKNOWNS),
    clones=Choice(10_000, (1000, 3000, 10_000, 30_000)),
    draw=Slider(1, 1, 20, 1, "number of the draw"),
)
def ladder(rate, clones, draw):
    """Draw one rate by every estimator, with intervals, and the floor below them."""
    import matplotlib.pyplot as plt

    fits, true = _fits(clones, draw), models.single_progenitor().parameters[rate]
    figure, axes = plt.subplots(figsize=(6.4, 3.0))
    for place, (name, fit) in enumerate(fits.items()):
        value, low, high = 100 * (fit.rates.loc[rate, ["value", "lower", "upper"]] / true - 1)
        axes.errorbar(
            value, place, xerr=[[value - low], [high - value]], fmt="osD^"[place], capsize=3,
            color=plots.COLOURS[place], label=name,
        )  # fmt: skip
    least = 196 * floor(clones)[rate] / true
    axes.errorbar(0, len(fits), xerr=least, color="black", capsize=3, fmt="|")
    axes.axvline(0, **plots.REFERENCE)
    axes.set_yticks(range(len(fits) + 1), [*fits, "floor of these moments"])
    axes.set(ylim=(len(fits) + 0.5, -0.5), xlabel=f"deviation of {rate} from the truth (%)")
    # the rungs differ by a factor of a hundred
    axes.set_xscale("symlog", linthresh=float(f"{least:.0e}"))
    reach = 1.5 * max(abs(edge) for edge in axes.dataLim.intervalx)
    axes.set_xlim(-reach, reach)
    return figure


@lru_cache(maxsize=64)
def _fits(clones, draw):
    candidate, data = models.single_progenitor_candidate(), _data(clones, draw)
    return {name: fit_rates(candidate, data, **options) for name, options in RUNGS.items()}


@lru_cache(maxsize=4)
def floor(clones):
    """Return the standard error of each rate that the moments of so many clones allow at best.

    It is that of generalised least squares with the four true reactions only, which the
    Gauss-Markov theorem says no other unbiased linear estimator can beat.
    """
    free = models.single_progenitor(**dict.fromkeys(_UNKNOWNS))
    return fit_rates(free, _data(clones, 0)).rates["standard error"].to_dict()


def _data(clones, draw):
    return sample(
        models.single_progenitor(), {"A": 10}, np.arange(21.0), clones, seed=draw,
        keep=1000, progress=False,
    )  # fmt: skip
