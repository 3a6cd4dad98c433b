"""How much noise, and how few times, two ways to learn equations can do with."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .. import plots
from ..equations.polynomials import SolverError
from ..learning.monomials import monomials
from ..learning.odenet import ODENet
from ..learning.term_system import term_system
from .controls import Slider
from .explorer import explorer

# Prey X and predators Y with the numbers of the SciPy Cookbook.
_START, _END = (10.0, 5.0), 15.0
_LIBRARY = monomials(2, constant=True).bind(["X", "Y"])  # 1, X, Y, X², X Y, Y²
_TRUE = np.array([[0, 1.0, 0, 0, -0.1, 0], [0, 0, -1.5, 0, 0.075, 0]])
_FINE = np.linspace(0, _END, 301)


@explorer(
    "Noisy points of prey over time with two fitted curves and the exact one, dashed. The solid "
    "curve of ODENet follows it; the other, from regression on slopes, leaves it or ends where "
    "its equations run away. The legend counts the wrong terms of each.",
    percent=Slider(5, 1, 20, 1, "noise (%)"),
    points=Slider(60, 20, 90, 10, "random times"),
)
def noise(percent, points):
    """Draw noisy prey, and what regression on slopes and `ODENet` learn from it."""
    import matplotlib.pyplot as plt

    times, values = _sample(percent, points)
    figure, axes = plt.subplots(figsize=(6.6, 2.8))
    axes.plot(times, values[:, 0], "o", ms=3, color=plots.COLOURS[4])
    for place, (name, theta) in enumerate(_learned(percent, points).items()):
        wrong = int(((theta != 0) != (_TRUE != 0)).sum())
        style = {"color": plots.COLOURS[place], "ls": ["-.", "-"][place]}
        path = _path(theta)
        axes.plot(_FINE[: len(path)], path, label=f"{name}: {wrong} wrong terms", **style)
    axes.plot(_FINE, _path(_TRUE), label="exact", **plots.REFERENCE)
    axes.set(xlabel="time", ylabel="prey X", xlim=(0, _END), ylim=(-5, 60))
    axes.legend(ncols=3, fontsize=8, loc="upper right")
    return figure


def slopes_regression(times, values):
    """Return θ by sequentially thresholded least squares on slopes of a smoothing spline.

    It is the algorithm of SINDy (Brunton, Proctor and Kutz 2016,
    doi:10.1073/pnas.1517384113), with the threshold that has the lowest BIC.

    Examples
    --------
    Without noise it finds the six numbers:

    >>> from chemnb.equations.polynomials import PolynomialSystem
    >>> times = np.linspace(0, 15, 400)
    >>> system = PolynomialSystem(
    ...     ["X", "Y"], [(0, {0: 1}), (0, {0: 1, 1: 1}), (1, {1: 1}), (1, {0: 1, 1: 1})])
    >>> values = system.solve([1.0, -0.1, -1.5, 0.075], [10.0, 5.0], times)
    >>> slopes_regression(times, values).round(2).tolist()[0]
    [0.0, 1.0, 0.0, 0.0, -0.1, 0.0]
    """
    from scipy.interpolate import make_smoothing_spline

    curves = [make_smoothing_spline(times, column) for column in values.T]
    columns = _LIBRARY.evaluate(np.stack([curve(times) for curve in curves], axis=-1))
    slopes = np.stack([curve.derivative()(times) for curve in curves], axis=-1)
    size = np.linalg.norm(columns, axis=0)
    tried = (_thresholded(columns / size, slopes, cut) for cut in np.geomspace(1e-3, 1, 40))
    theta = min(tried, key=lambda theta: _bic(columns / size, slopes, theta))
    return theta / size


def _thresholded(columns, slopes, cut):
    theta = np.linalg.lstsq(columns, slopes)[0].T
    for _ in range(10):
        for row, slope in zip(theta, slopes.T, strict=True):
            keep = np.abs(row) >= cut * np.abs(row).max()
            row[:] = 0
            row[keep] = np.linalg.lstsq(columns[:, keep], slope)[0]
    return theta


def _bic(columns, slopes, theta):
    misfit = ((slopes - columns @ theta.T) ** 2).mean(axis=0)
    return len(slopes) * np.log(misfit).sum() + np.log(len(slopes)) * (theta != 0).sum()


@lru_cache(maxsize=32)
def _sample(percent, points):
    rng = np.random.default_rng(8)
    times = np.concatenate([[0.0], np.sort(rng.uniform(0, _END, points - 1))])
    exact = _system(_TRUE).solve(_TRUE[_TRUE != 0], _START, times)
    spread = exact.std(axis=0) * percent / 100
    return times, exact + rng.normal(size=exact.shape) * spread


@lru_cache(maxsize=32)
def _learned(percent, points):
    times, values = _sample(percent, points)
    model = ODENet(monomials(2, constant=True), progress=False)
    found = model.fit((times, values), variables=["X", "Y"])
    return {"slopes": slopes_regression(times, values), "ODENet": found.theta.values}


def _system(theta):
    return term_system(_LIBRARY, list(zip(*np.nonzero(theta), strict=True)))


def _path(theta):
    """Return the prey as far as the equations can be solved."""
    for end in (len(_FINE), 200, 100, 50, 20):
        try:
            return _system(theta).solve(theta[theta != 0], _START, _FINE[:end])[:, 0]
        except SolverError:
            continue
    return np.empty(0)
