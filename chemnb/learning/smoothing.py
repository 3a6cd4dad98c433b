"""Noise in time series: how large it is, and smooth curves with the errors that they still have."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_FEWEST = 6  # points below which nothing is smoothed
_INTERVALS = 30  # of the spline
_SMOOTHNESS = np.geomspace(1e-10, 1e8, 91)


class Smooth(NamedTuple):
    """A smooth curve through noisy values.

    Attributes
    ----------
    values : ndarray (n,)
    spread : ndarray (n, directions)
        S, so that the errors of the values have the covariance S S^T.
    noise : float
        Standard deviation of the noise that was smoothed away.
    """

    values: np.ndarray
    spread: np.ndarray
    noise: float


def noise_level(values) -> float:
    """Return the standard deviation of independent noise on a smooth curve, evenly sampled.

    Third differences leave of a smooth curve almost nothing, of the noise sqrt(20) times its
    standard deviation. Their median is not moved by single outliers. NaN for fewer than six
    values.

    Examples
    --------
    >>> t = np.linspace(0, 1, 2000)
    >>> noisy = np.sin(3 * t) + 0.1 * np.random.default_rng(1).standard_normal(2000)
    >>> round(noise_level(noisy), 2)
    0.1
    """
    values = np.asarray(values, dtype=float)
    if len(values) < _FEWEST:
        return np.nan
    return float(np.median(np.abs(np.diff(values, 3))) / 0.6745 / np.sqrt(20))


def smooth(times, values, noise: float | None = None) -> Smooth:
    """Fit a smoothing spline, in time or in its logarithm, as smooth as cross-validation finds.

    A run that changes fast at first and slowly later is smooth in log t. Both are tried, with
    straight lines and with parabolas as the smoothest curves; generalised cross-validation
    (Craven and Wahba 1979, doi:10.1007/BF01404567) chooses.

    Parameters
    ----------
    times, values : array_like (n,)
    noise : float, optional
        Standard deviation of the noise, where it is known; else it is what remains.

    Examples
    --------
    >>> t = np.linspace(0, 1, 200)
    >>> noisy = t**2 + 0.1 * np.random.default_rng(1).standard_normal(200)
    >>> curve = smooth(t, noisy)
    >>> bool(np.sqrt(np.mean((curve.values - t**2) ** 2)) < 0.02)
    True
    >>> bool(np.sqrt(np.mean(np.sum(curve.spread**2, axis=1))) < 0.02)
    True
    """
    times, values = np.asarray(times, dtype=float), np.asarray(values, dtype=float)
    if len(values) < _FEWEST:
        return Smooth(values, (noise or 0.0) * np.eye(len(values)), noise or 0.0)
    scales = [times] if times[0] <= 0 else [times, np.log(times)]
    fits = [_penalised(x, values, order) for x in scales for order in (2, 3)]
    _, curve, rest, half = min(fits, key=lambda fit: fit[0])
    noise = np.sqrt(rest) if noise is None else noise
    return Smooth(curve, noise * half, float(noise))


def _penalised(x: np.ndarray, values: np.ndarray, order: int):
    """Return the score, the curve, the residual variance and a square root of S S^T."""
    from scipy.interpolate import BSpline
    from scipy.linalg import eigh

    intervals = max(1, min(_INTERVALS, len(x) // 2))
    knots = np.linspace(x[0], x[-1], intervals + 1)
    knots = np.concatenate([[x[0]] * 3, knots, [x[-1]] * 3])
    basis = BSpline.design_matrix(x, knots, 3).toarray()
    bends = np.diff(np.eye(basis.shape[1]), order, axis=0)
    data, penalty = basis.T @ basis, bends.T @ bends
    penalty *= np.trace(data) / np.trace(penalty)
    # both diagonal at once; a spline without data near by is left to the penalty
    stiff, turn = eigh(penalty, data + penalty)
    seen = 1 - stiff > 1e-10
    loose = 1 - stiff[seen]
    axes = basis @ turn[:, seen] / np.sqrt(loose)
    parts = axes.T @ values
    shares = loose / (loose + _SMOOTHNESS[:, None] * np.clip(stiff[seen], 0.0, None))
    outside = max(values @ values - parts @ parts, 0.0)
    misfit = outside + np.sum(((1 - shares) * parts) ** 2, axis=1)
    # a little more than its due for every degree of freedom keeps the curve from wriggling
    freedom = np.maximum(len(x) - 1.4 * shares.sum(axis=1), 1e-3)
    score = misfit / freedom**2
    best = int(np.argmin(score))
    rest = misfit[best] / max(len(x) - shares[best].sum(), 1.0)
    kept = shares[best] > 1e-3
    return score[best], axes @ (shares[best] * parts), rest, axes[:, kept] * shares[best][kept]
