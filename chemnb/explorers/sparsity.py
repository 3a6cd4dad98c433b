"""Sparsity against ε: which terms of Eq. 11 survive the penalty of Eq. 2."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .. import models, plots
from ..learning.monomials import monomials
from ..learning.odenet import ODENet
from ..sampling.gillespie import sample
from .controls import Choice, LogSlider, Slider
from .experiments import averages
from .explorer import explorer

STARTS = {"one": ((10, 0),), "two": ((10, 0), (2, 30))}
_TIMES = np.linspace(0, 20, 41)
_FOUNDERS = 10_000
_TRUE = (("A", "A"), ("B", "A"), ("B", "B"))


@explorer(
    "Left: what each of five terms adds to the equation of B against epsilon on a logarithmic "
    "axis that falls to the right; A and B come first and reach their dashed true levels. Right: "
    "ten rows, one a term; bars show from which epsilon on it survives, with one and with two "
    "starting states. The true terms have a cross. A line marks the chosen epsilon.",
    starts=Choice("one", tuple(STARTS), "starting states"),
    epsilon=LogSlider(0.01, 1e-4, 1.0, 0.1, "epsilon"),
    clones=Choice(10_000, (1000, 10_000, 100_000, 1_000_000)),
    draw=Slider(0, 0, 20, 1, "number of the draw"),
)
def sparsity(starts, epsilon, clones, draw):
    """Draw which terms survive as the penalty falls, from one start and from two."""
    import matplotlib.pyplot as plt

    paths = {name: path(name, clones, draw) for name in STARTS}
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.6))
    _coefficients(left, paths[starts]["B"], starts)
    _survival(right, paths)
    for axes in (left, right):
        axes.axvline(epsilon, color="black", lw=1)
        axes.set(xscale="log", xlim=(1, 1e-4), xlabel="ε, in units of the one that drops all")
        axes.minorticks_off()
    at = paths[starts].iloc[np.abs(np.log(paths[starts].index / epsilon)).argmin()]
    left.set_title(f"{starts} start{'s' if starts == 'two' else ''}, ε = {epsilon:.2g}")
    right.set_title(_verdict(at), pad=22)
    return figure


def _coefficients(axes, table, starts) -> None:
    """Draw what each term adds to the equation of B; the true parts are dashed."""
    columns = monomials(2).bind(["A", "B"]).evaluate(_states(starts)).mean(axis=0)
    for place, (term, values) in enumerate(table.items()):
        axes.plot(
            table.index, values * columns[place], label=term,
            color=plots.COLOURS[place], linestyle=plots.LINES[place],
        )  # fmt: skip
    rates = models.single_progenitor().parameters
    gain = (1 - rates["r1"] + rates["r2"]) * rates["lam"]
    for level in (gain * columns[0], -rates["Gamma"] * columns[1]):
        axes.axhline(level, **plots.REFERENCE)
    axes.set_ylabel("part of dB/dt (cells a week)")
    axes.legend(ncols=2, fontsize=8, loc="center right", bbox_to_anchor=(1.0, 0.7))


def _survival(axes, paths) -> None:
    """Draw for every term the ε at which it is not zero, one bar a design."""
    terms = list(next(iter(paths.values())).columns)
    for lane, (name, table) in enumerate(paths.items()):
        step = (table.index[0] / table.index[1]) ** 0.5
        place, row = np.nonzero(table.to_numpy())
        kept = table.index.to_numpy()[place]
        axes.hlines(
            row + 0.34 * lane - 0.17, kept * step, kept / step, lw=4,
            color=plots.COLOURS[lane], label=f"{name} start{'s' * lane}",
        )  # fmt: skip
    real = [row for row, term in enumerate(terms) if term in _TRUE]
    axes.plot(np.full(len(real), 1.0), real, "kx", ms=8, clip_on=False)
    axes.set_yticks(range(len(terms)), [f"{equation}:  {term}" for equation, term in terms])
    axes.set_ylim(len(terms) - 0.5, -0.5)
    axes.legend(ncols=2, fontsize=8, loc="lower left", bbox_to_anchor=(-0.02, 0.99))


def _verdict(row) -> str:
    """Say which terms of a row of the path are too many and which too few."""
    kept = {term for term, value in row.items() if value != 0}
    ghosts, missing = len(kept.difference(_TRUE)), len(set(_TRUE) - kept)
    if not ghosts and not missing:
        return "exactly the three true terms"
    return f"true terms missing: {missing}; terms too many: {ghosts}"


@lru_cache(maxsize=128)
def path(starts, clones, draw):
    """Return the coefficients of all terms as ε falls (`ODENet.support_path`).

    Parameters
    ----------
    starts : {"one", "two"}
    clones : int
        Shared among the starts.
    draw : int

    Examples
    --------
    >>> table = path("two", 1_000_000, 0)
    >>> table.columns[table.iloc[25] != 0].tolist()
    [('A', 'A'), ('B', 'A'), ('B', 'B')]
    """
    rng, places = np.random.default_rng(draw), STARTS[starts]
    data, errors = [], []
    for a, b in places:
        spread = (a * _founder("A") + b * _founder("B")) / (clones / len(places))
        noise = np.linalg.cholesky(spread) @ rng.standard_normal(len(spread))
        values = averages(a, b)
        values[1:] += noise.reshape(-1, 2)
        data.append((_TIMES, values))
        errors.append(np.zeros((values.size, values.size)))
        errors[-1][2:, 2:] = spread
    net = ODENet(monomials(2), progress=False)
    return net.fit(data, variables=["A", "B"], covariance=errors).support_path


@lru_cache(maxsize=2)
def _founder(name):
    """Return the covariance of the counts that one founder cell leaves.

    Cells do not heed each other, so that the covariances of many founders add up.
    """
    data = sample(
        models.single_progenitor(), {name: 1}, _TIMES, _FOUNDERS, seed=0, keep=1000,
        progress=False,
    )  # fmt: skip
    size = 2 * len(_TIMES)
    return data.path_covariance(1).values.reshape(size, size)[2:, 2:] * _FOUNDERS


def _states(starts):
    return np.concatenate([averages(a, b) for a, b in STARTS[starts]])
