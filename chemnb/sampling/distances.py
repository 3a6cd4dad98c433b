"""How far two distributions are apart, and how far sampling alone would put them."""

from __future__ import annotations

import numpy as np


def total_variation(p, q) -> float:
    """Return half the sum of |p - q| over all states, between 0 and 1.

    Parameters
    ----------
    p, q : DataArray
        Probabilities over the same dimensions (integer states); states that one of them
        lacks count as zero.

    Examples
    --------
    >>> import xarray as xr
    >>> fair = xr.DataArray([0.5, 0.5], {"A": [0, 1]}, ["A"])
    >>> certain = xr.DataArray([1.0], {"A": [0]}, ["A"])
    >>> total_variation(fair, certain)
    0.5
    """
    import xarray as xr

    if set(p.dims) != set(q.dims):
        raise ValueError(
            f"p is over {tuple(p.dims)} and q over {tuple(q.dims)}; compare the same species"
        )
    p, q = xr.align(p, q, join="outer", fill_value=0.0)
    return float(np.abs(p - q).sum() / 2)


def sampling_floor(p, runs: int) -> float:
    """Return the total variation expected between p and a histogram of ``runs`` draws from it.

    Each state holds a binomial share; its mean absolute deviation is exact (De Moivre).
    A model that comes closer than this to sampled data cannot be told from the truth.

    Examples
    --------
    >>> import xarray as xr
    >>> fair = xr.DataArray([0.5, 0.5], {"A": [0, 1]}, ["A"])
    >>> round(sampling_floor(fair, 10_000), 5)
    0.00399
    """
    from scipy.stats import binom

    if not runs >= 1:
        raise ValueError(f"runs={runs} must be 1 or more")
    probability = np.clip(np.asarray(p, dtype=float).ravel(), 0.0, 1.0)
    probability = probability[(probability > 0) & (probability < 1)]
    # E|X - Np| = 2 m (1 - p) P(X = m) at m = floor(Np) + 1
    mode = np.floor(runs * probability) + 1
    deviation = 2 * mode * (1 - probability) * binom.pmf(mode, runs, probability)
    return float(deviation.sum() / runs / 2)
