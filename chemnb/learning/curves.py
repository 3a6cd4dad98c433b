"""Curves through the data and integrals of terms along them: the equations without a solver."""

from __future__ import annotations

import numpy as np

from .scaling import Scaling
from .timeseries import Experiment

CURVES = ("spline", "pchip", "smooth")
_SUBSTEPS = 8
_FEWEST = 5  # points below which nothing is smoothed


class Curves:
    """One kind of curve through every experiment, in scaled units.

    Parameters
    ----------
    scaling : Scaling
    kind : {"spline", "pchip", "smooth"}
        A cubic spline is the most exact for data without noise; between noisy points that lie
        close together it swings, Hermite's monotone one (PCHIP) does not. "smooth" leaves noise
        out, as much as generalised cross-validation finds.
    weights : list of ndarray (T, D), optional
        Of the values, for "smooth".
    """

    def __init__(self, scaling: Scaling, kind: str = "spline", weights=None) -> None:
        self._scaling, self._kind, self._weights = scaling, kind, weights
        self._knots, self._lines = [], []
        for number, e in enumerate(scaling.experiments):
            knots, lines = self._experiment(e, None if weights is None else weights[number])
            self._knots.append(knots)
            self._lines.append(lines)

    def __call__(self, experiment: int, times: np.ndarray) -> np.ndarray:
        """Return the curve (n, D) of an experiment at some times."""
        return np.stack([line(times) for line in self._lines[experiment]], axis=1)

    def integrals(self, library) -> list[np.ndarray]:
        """Integrals of every term from the origin to each point, one (T, terms) an experiment."""
        from scipy.integrate import cumulative_simpson

        result = []
        for number, (e, knots) in enumerate(
            zip(self._scaling.experiments, self._knots, strict=True)
        ):
            steps = np.arange(_SUBSTEPS) / _SUBSTEPS
            fine = (knots[:-1, None] + np.diff(knots)[:, None] * steps).ravel()
            fine = np.append(fine, knots[-1])
            terms = library.evaluate(self(number, fine))
            running = cumulative_simpson(terms, x=fine, axis=0, initial=0.0)[::_SUBSTEPS]
            result.append(running[np.searchsorted(knots, e.times)])
        return result

    def _experiment(self, e: Experiment, weights):
        exact = np.ones(len(e.initial), bool) if e.free is None else ~e.free
        knots = np.unique(np.concatenate([[e.origin], e.times]))
        lines = []
        for column in range(len(e.initial)):
            seen = np.isfinite(e.values[:, column])
            times = e.times[seen]
            values = e.values[seen, column] / self._scaling.scale[column]
            weight = np.ones(len(times)) if weights is None else weights[seen, column]
            if exact[column] and not (len(times) and times[0] == e.origin):
                times = np.append(e.origin, times)
                values = np.append(e.initial[column] / self._scaling.scale[column], values)
                weight = np.append(weight.max(initial=1.0), weight)
            lines.append(_line(times, values, weight, self._kind))
        return knots, lines


def _line(times, values, weights, kind):
    """Return a function of time through the values of one variable."""
    from scipy import interpolate

    if len(times) == 0:
        return lambda t: np.ones(len(t))
    if len(times) == 1:
        return lambda t: np.full(len(t), values[0])
    if kind == "smooth" and len(times) >= _FEWEST and np.ptp(values) > 0:
        # GCV is done in units of one interval: its numbers then stay in range
        unit, size = np.median(np.diff(times)), np.ptp(values)
        used = weights > 1e-6 * weights.max()
        if used.sum() >= _FEWEST:
            try:
                curve = interpolate.make_smoothing_spline(
                    times[used] / unit, values[used] / size, weights[used] / weights.max()
                )
                return lambda t: size * curve(t / unit)
            except (ValueError, np.linalg.LinAlgError):
                pass
    make = interpolate.CubicSpline if kind == "spline" else interpolate.PchipInterpolator
    return make(times, values)
