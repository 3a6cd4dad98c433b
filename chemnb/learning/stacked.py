"""Many trajectories of any candidate terms as one system: one call of the terms serves all."""

from __future__ import annotations

import numpy as np

from ..equations.polynomials import SolverError

_TOGETHER = 32  # trajectories in one system
_MOST_CALLS = 4000


class TooStiff(Exception):
    """An explicit scheme needs too many steps."""


def solve_stacked(slope, starts: np.ndarray, first: np.ndarray, times: np.ndarray, tolerance):
    """Return the solutions of many trajectories at their own times (N, ...).

    Every trajectory runs in units of its own length, so that all end together.

    Parameters
    ----------
    slope : callable
        States (W, ...) -> their derivatives by time; may raise `SolverError`.
    starts : ndarray (W, ...)
    first : ndarray of int (W + 1,)
        ``times[first[w]:first[w + 1]]`` are those of trajectory w, since its start.
    times : ndarray (N,)
    tolerance : (float, float)
        Relative and absolute.

    Raises
    ------
    SolverError
        If a solution runs away.
    TooStiff
        If the steps become too many.

    Examples
    --------
    >>> decay = solve_stacked(
    ...     lambda z: -z, np.ones((2, 1)), np.array([0, 1, 3]), np.array([1.0, 0.0, 2.0]),
    ...     (1e-9, 1e-12))
    >>> decay[:, 0].round(6)
    array([0.367879, 1.      , 0.135335])
    """
    result = np.empty((len(times), *starts.shape[1:]))
    for begin in range(0, len(starts), _TOGETHER):
        mine = range(begin, min(begin + _TOGETHER, len(starts)))
        _solve(slope, starts, first, times, tolerance, mine, result)
    return result


def _solve(slope, starts, first, times, tolerance, mine, result) -> None:
    from scipy.integrate import solve_ivp

    lengths = np.array([times[first[w] : first[w + 1]].max(initial=0.0) for w in mine])
    lengths[lengths == 0] = 1.0
    shares = [times[first[w] : first[w + 1]] / t for w, t in zip(mine, lengths, strict=True)]
    grid = np.unique(np.concatenate([[0.0, 1.0], *shares]))
    start = starts[mine.start : mine.stop]
    unit = lengths.reshape(-1, *[1] * (start.ndim - 1))
    calls = 0

    def inner(_, flat):
        nonlocal calls
        calls += 1
        if calls > _MOST_CALLS:
            raise TooStiff
        return (unit * slope(flat.reshape(start.shape))).ravel()

    with np.errstate(all="ignore"):
        path = solve_ivp(
            inner, (0.0, 1.0), start.ravel(), method="DOP853", t_eval=grid,
            rtol=tolerance[0], atol=tolerance[1],
        )  # fmt: skip
    if not path.success or not np.all(np.isfinite(path.y)):
        raise SolverError("the solution leaves the range of the data by far")
    states = path.y.T.reshape(len(grid), *start.shape)
    for place, (w, share) in enumerate(zip(mine, shares, strict=True)):
        result[first[w] : first[w + 1]] = states[np.searchsorted(grid, share), place]
