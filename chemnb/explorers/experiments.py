"""Which second experiment tells the terms of Eq. 11 apart."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .. import models, plots
from ..learning.monomials import monomials
from ..learning.odenet import ODENet
from ..sampling.gillespie import sample
from .controls import Slider
from .explorer import explorer

_TIMES = np.linspace(0, 20, 41)
_A, _B = np.arange(1, 31), np.arange(61)


@explorer(
    "Left: map of the condition number over the numbers of A and B at the second start, with two "
    "bright ridges that cross: ten A, and a line from the origin along which B is 3.4 times A. A "
    "star marks the chosen start. Right: standard errors of ten coefficients on a logarithmic "
    "axis beside a dashed line at one; filled points are kept, crosses are the true terms.",
    a=Slider(2, 1, 30, 1, "A at the second start"),
    b=Slider(30, 0, 60, 1, "B at the second start"),
    exponent=Slider(4, 3, 5, 1, "clones, power of ten"),
    draw=Slider(0, 0, 20, 1, "number of the draw"),
)
def experiments(a, b, exponent, draw):
    """Draw how well two starts tell the terms apart, and what is learned from them."""
    import matplotlib.pyplot as plt

    columns, condition = _map()
    table, kept, title = _learned(a, b, exponent, draw)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.3))
    image = left.contourf(_A, _B, np.log10(condition), 12, vmax=4)
    figure.colorbar(image, ax=left, label="log10 of the condition number")
    left.plot(a, b, "*", color="white", ms=14, mec="black")
    left.set(xlabel="A at the second start", ylabel="B at the second start")
    true = _true_coefficients()
    here = columns[b, a - 1].mean(axis=0)
    share = (here / np.abs(true * here).max(axis=1, keepdims=True)).ravel()
    error, rows = table["standard error"].to_numpy() * share, np.arange(len(table))
    real = true.ravel() != 0
    right.semilogx(error, rows, "o", mfc="white", color=plots.COLOURS[0])
    right.plot(error[kept], rows[kept], "o", color=plots.COLOURS[0])
    right.plot(error[real], rows[real], "kx", ms=11)
    right.axvline(1, **plots.REFERENCE)
    right.set(xlim=(1e-4, 1e3), ylim=(9.5, -0.5), xlabel="standard error / largest true term")
    right.set_yticks(rows, table["equation"] + ":  " + table["term"])
    right.set_title(title)
    return figure


def _true_coefficients():
    """Eq. 11 as a matrix over (A, B, A², A B, B²)."""
    r = models.single_progenitor().parameters
    growth = (r["r1"] - r["r2"]) * r["lam"]
    gain = (1 - r["r1"] + r["r2"]) * r["lam"]
    return np.array([[growth, 0, 0, 0, 0], [gain, -r["Gamma"], 0, 0, 0]])


def averages(a, b):
    """Return the exact averages of A and B over time, which are linear in the start.

    Examples
    --------
    >>> averages(10, 0)[-1].round(2).tolist()
    [11.72, 40.18]
    """
    true = _true_coefficients()
    growth, gain, loss = true[0, 0], true[1, 0], -true[1, 1]
    up, down = np.exp(growth * _TIMES), np.exp(-loss * _TIMES)
    return np.stack([a * up, a * gain / (growth + loss) * (up - down) + b * down], axis=-1)


@lru_cache(maxsize=1)
def _map():
    """Columns of the library and their condition number for every second start (B, A)."""
    first = averages(10, 0)
    states = np.array([[np.concatenate([first, averages(a, b)]) for a in _A] for b in _B])
    columns = monomials(2).bind(["A", "B"]).evaluate(states)
    size = np.linalg.norm(columns, axis=2, keepdims=True)
    return columns, np.linalg.cond(columns / size)


@lru_cache(maxsize=64)
def _learned(a, b, exponent, draw):
    starts = ({"A": 10, "B": 0}, {"A": a, "B": b})
    data = [
        sample(models.single_progenitor(), start, _TIMES, 10**exponent // 2,
               seed=2 * draw + place, keep=1000, progress=False)
        for place, start in enumerate(starts)
    ]  # fmt: skip
    chosen = ODENet(monomials(2), progress=False).fit(data)
    free = ODENet(monomials(2), selection=None, progress=False).fit(data)
    return free.coefficients, chosen.coefficients["kept"].to_numpy(), str(chosen.equations(3))
