"""Data of a slow manifold: fast species beside slow ones, smoothed, with their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from ..networks.expressions import closest, listing
from .smoothing import noise_level, smooth
from .timeseries import DataError, read_experiments

_PLAIN = (list, range, np.ndarray)  # times, of (times, values)
_NEGLIGIBLE = 1e-4  # noise of a slow species, as a share of its range, that is not smoothed


@dataclass(frozen=True)
class ManifoldData:
    """Samples of fast and slow species from one or several runs.

    Attributes
    ----------
    fast_names, slow_names : tuple of str
    times : ndarray (n,)
        Run after run.
    runs : tuple of slice
        The samples of each run.
    fast : ndarray (n, F)
    slow : ndarray (n, D)
        Smoothed where they are noisy; none below zero.
    noise : ndarray (F,)
        Standard deviation of the errors of the fast species.
    slow_noise : ndarray (D,)
        The same for the slow species, before smoothing.
    spread : tuple of list of (ndarray (samples, directions) or None)
        For each run and slow species S, so that the smoothed values have the covariance S S^T.
    """

    fast_names: tuple[str, ...]
    slow_names: tuple[str, ...]
    times: np.ndarray
    runs: tuple[slice, ...]
    fast: np.ndarray
    slow: np.ndarray
    noise: np.ndarray
    slow_noise: np.ndarray
    spread: tuple[list, ...]

    @property
    def largest(self) -> np.ndarray:
        """Largest value of each fast species (F,)."""
        return np.abs(self.fast).max(axis=0)


def read_manifold(
    data, fast: Sequence[str], of: Sequence[str], noise=None, start: float | None = None
) -> ManifoldData:
    """Return the samples of one or several time series.

    Parameters
    ----------
    data
        As for `chemnb.learning.timeseries.read_experiments`; the columns of bare arrays are the fast
        species and then the slow ones. The row at t = 0 is left out: a run is prepared there,
        it has not relaxed yet.
    fast, of : sequence of str
    noise : float or mapping of species -> float, optional
        Standard deviation of the errors: a number is a share of the largest value of each
        species, a mapping is in the units of the data. What is not given is estimated.
    start : float, optional
        Samples before this time are left out.

    Raises
    ------
    DataError
        If a species is unknown, values are missing, or there are not two samples.
    """
    names = [*fast, *of]
    pair = isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], _PLAIN)
    several = isinstance(data, (list, tuple)) and not pair
    # the state at t = 0 plays no role here, so that it need not be known
    anywhere = np.zeros(len(names))
    experiments = read_experiments(
        list(data) if several else data,
        names,
        initial=[anywhere] * len(data) if several else anywhere,
    )
    first = 0.0 if start is None else _number(start, "start")
    parts = [(e.times[e.times >= first], e.values[e.times >= first]) for e in experiments]
    parts = [(times, values) for times, values in parts if len(times)]
    if sum(len(times) for times, _ in parts) < 2:
        since = f" from t = {first:g} on" if first else " after t = 0"
        raise DataError(
            f"{sum(len(times) for times, _ in parts)} sample(s){since}; a curve needs at least "
            "two, and more than it has coefficients"
        )
    levels = _levels(noise, names, experiments, parts)
    smoothed = [_smoothed(times, values[:, len(fast) :], levels[len(fast) :], parts)
                for times, values in parts]  # fmt: skip
    ends = np.cumsum([0, *(len(times) for times, _ in parts)])
    return ManifoldData(
        tuple(fast), tuple(of),
        np.concatenate([times for times, _ in parts]),
        tuple(slice(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)),
        np.concatenate([values[:, : len(fast)] for _, values in parts]),
        np.concatenate([values for values, _ in smoothed]),
        levels[: len(fast)], levels[len(fast) :],
        tuple(spread for _, spread in smoothed),
    )  # fmt: skip


def _smoothed(times, values, levels, parts):
    """Return the slow species of a run and the spread of their errors."""
    result, spreads = np.empty_like(values), []
    count = values.shape[1]
    for d, level in enumerate(levels):
        column = values[:, d]
        reach = np.ptp(np.concatenate([v[:, d - count] for _, v in parts]))
        if level <= _NEGLIGIBLE * reach:
            result[:, d] = column
            spreads.append(None)
        else:
            curve = smooth(times, column, level)
            result[:, d] = curve.values
            spreads.append(curve.spread)
    return np.maximum(result, 0.0), spreads


def _levels(noise, names, experiments, parts) -> np.ndarray:
    """Return the standard deviation of the errors of each species."""
    values = np.concatenate([v for _, v in parts])
    if isinstance(noise, Mapping):
        if unknown := [name for name in noise if name not in names]:
            raise DataError(
                f"noise names {listing(unknown)}{closest(unknown[0], names)}; "
                f"the species are {listing(names)}"
            )
        given = {name: _number(level, f"noise['{name}']") for name, level in noise.items()}
    elif noise is not None:
        share = _number(noise, "noise")
        given = dict(zip(names, share * np.abs(values).max(axis=0), strict=True))
    else:
        given = {}
    return np.array(
        [
            given[name] if name in given else _estimated(i, experiments, parts)
            for i, name in enumerate(names)
        ]
    )


def _estimated(i: int, experiments, parts) -> float:
    variances = [
        (e.covariance if e.covariance.ndim == 1 else np.diag(e.covariance))
        .reshape(e.values.shape)[:, i].mean()
        for e in experiments
        if e.covariance is not None
    ]  # fmt: skip
    if variances:
        return float(np.sqrt(np.mean(variances)))
    levels = [(noise_level(values[:, i]), len(values)) for _, values in parts]
    known = [(level, n) for level, n in levels if np.isfinite(level)]
    if not known:
        return 0.0
    return float(np.sqrt(sum(n * level**2 for level, n in known) / sum(n for _, n in known)))


def _number(value, name: str) -> float:
    fits = isinstance(value, Real) and not isinstance(value, bool) and 0 <= value < np.inf
    if not fits:
        raise DataError(f"{name}={value!r}; give a number of zero or more")
    return float(value)
