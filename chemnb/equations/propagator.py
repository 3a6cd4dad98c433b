"""Exact solutions of linear equations with their sensitivities, by matrix exponentials."""

from __future__ import annotations

import numpy as np

_LARGEST = 160  # size of the joint matrix above which stepping is cheaper
_DISTINCT = 12  # different steps between the times


def pays(variables: int, parameters: int, times: np.ndarray) -> bool:
    """Return whether the exponentials cost less than a solver that steps through time."""
    size = (variables + 1) * (parameters + 1)
    return size <= _LARGEST and len(np.unique(_steps(times))) <= _DISTINCT


def linear_path(
    matrix: np.ndarray, slopes: np.ndarray, initial: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""Solve :math:`z' = A z` and :math:`s_p' = A s_p + (\partial A/\partial u_p) z` from t = 0.

    The two are one linear system, so one exponential for each length of a step is exact for
    all times (Van Loan 1978, doi:10.1109/TAC.1978.1101743). A constant part of the equations
    is a last variable that stays 1.

    Parameters
    ----------
    matrix : ndarray (n, n)
        A.
    slopes : ndarray (P, n, n)
        Derivatives of A with respect to the parameters.
    initial : ndarray (n,)
    times : ndarray (T,)
        Increasing, zero or more.

    Returns
    -------
    values : ndarray (T, n)
    derivatives : ndarray (T, n, P)

    Examples
    --------
    y' = -k y with k = 2 from y(0) = 1, and dy/dk = -t y:

    >>> values, derivatives = linear_path(
    ...     np.array([[-2.0]]), np.array([[[-1.0]]]), np.array([1.0]), np.array([0.5]))
    >>> values.round(6), derivatives.round(6)
    (array([[0.367879]]), array([[[-0.18394]]]))
    """
    from scipy.linalg import expm

    n, count = len(matrix), len(slopes)
    joint = np.kron(np.eye(count + 1), matrix)
    joint[n:, :n] = slopes.reshape(count * n, n)
    steps = _steps(times)
    propagators = {step: expm(step * joint) for step in np.unique(steps)}
    state, path = np.concatenate([initial, np.zeros(count * n)]), []
    for step in steps:
        state = propagators[step] @ state
        path.append(state)
    path = np.array(path)
    return path[:, :n], path[:, n:].reshape(-1, count, n).swapaxes(1, 2)


def _steps(times: np.ndarray) -> np.ndarray:
    # an even grid has steps that differ by rounding only: they are one step
    steps = np.diff(times, prepend=0.0)
    unit = 2.0 ** np.ceil(np.log2(max(steps.max(), np.finfo(float).tiny))) * 2.0**-46
    return np.round(steps / unit) * unit
