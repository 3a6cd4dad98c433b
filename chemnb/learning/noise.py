"""How large the errors of the data are where nobody said: from what the fit leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .estimation import normal_quantile, parameter_covariance
from .linearised import Fit
from .scaling import positive
from .selection import Choice, independent
from .trajectories import TrajectoryProblem
from .windows import Residuals, eliminate

_LEAST = 2.0  # degrees of freedom below which a variable has no noise level of its own


class UncertaintyError(ValueError):
    """A question about errors that this fit cannot answer; the message says why."""


class Noise(NamedTuple):
    """Errors of the data in units of the weighted residuals.

    Attributes
    ----------
    sizes : ndarray (W, n)
        Standard deviation of every residual; one where the errors are known.
    leverages : ndarray (W, n)
        Share of every datum that the fit follows: their sum is the number of coefficients and
        estimated starts.
    variables : list of ndarray
        Positions of each variable's residuals, in the flat table.
    freedom : ndarray (D,) or None
        Degrees of freedom of each variable's noise level; None where the errors are known.
    share : float
        Of independent data, below one where neighbouring residuals are alike.
    """

    sizes: np.ndarray
    leverages: np.ndarray
    variables: list[np.ndarray]
    freedom: np.ndarray | None
    share: float


def reach(level: float, freedom=np.inf):
    """Return how many standard errors a two-sided interval reaches (Student's t).

    Examples
    --------
    >>> round(float(reach(0.95, 7)), 3), round(float(reach(0.95)), 3)
    (2.365, 1.96)
    """
    from scipy.special import stdtrit

    freedom = np.asarray(freedom, dtype=float)
    finite = np.where(np.isfinite(freedom), freedom, 1.0)
    return np.where(
        np.isfinite(freedom), stdtrit(finite, 0.5 + level / 2), normal_quantile(level)
    )  # fmt: skip


def estimate_noise(problem: TrajectoryProblem, chosen, fit: Fit) -> Noise:
    """Return the errors of the data: as given, or one level a variable from the residuals.

    The sum of squares of a variable is divided by its own degrees of freedom: the data less
    what coefficients and estimated starts use up of them (the sum of its leverages).
    """
    residuals = problem.solve(chosen, fit.parameters, fit.starts)
    shape, known = residuals.rest.shape, problem.absolute
    leverages = _leverages(residuals)
    if known:
        return Noise(np.ones(shape), leverages, [], None, 1.0)
    variables = positions(problem, shape)
    square, used = residuals.rest.ravel() ** 2, leverages.ravel()
    total = sum(len(rows) for rows in variables)
    pooled = max(total - used.sum(), 1.0)
    sizes, freedom = np.zeros(square.shape), np.zeros(len(variables))
    for v, rows in enumerate(variables):
        freedom[v] = len(rows) - used[rows].sum()
        own = freedom[v] >= _LEAST
        variance = square[rows].sum() / freedom[v] if own else square.sum() / pooled
        freedom[v] = freedom[v] if own else pooled
        sizes[rows] = np.sqrt(variance)
    share = independent(problem, Choice(list(chosen), fit, [], problem))
    return Noise(sizes.reshape(shape), leverages, variables, freedom, share)


def with_noise(choice: Choice) -> Choice:
    r"""Return the choice with a covariance that follows from the residuals of each variable.

    With the Jacobian J, starts projected out, and S the estimated variances of the data,
    :math:`(J^T J)^{-1} J^T S J (J^T J)^{-1}`: it holds whether or not the noise of a variable
    is in proportion to the weight that the fit gave it (White 1980, doi:10.2307/1912934). Where
    neighbouring residuals are alike, it is larger by one over the share of independent data.
    The degrees of freedom of every coefficient are Satterthwaite's.

    Fits whose errors were given, or that have no covariance, stay as they are.
    """
    problem, chosen, fit, _ = choice.problem, choice.chosen, choice.estimate, choice.path
    if problem.absolute or not len(chosen) or np.isnan(fit.covariance).any():
        return choice
    noise = estimate_noise(problem, chosen, fit)
    slopes = _projected(problem.solve(chosen, fit.parameters, fit.starts))
    bounds = problem.nonnegative[:, chosen]
    bounds = bounds[bounds.any(axis=1)]
    inverse = parameter_covariance(slopes, fit.parameters, bounds if len(bounds) else None)
    spread = (slopes @ inverse) * noise.sizes.reshape(-1, 1)
    covariance = spread.T @ spread / noise.share
    parts = np.array([(spread[rows] ** 2).sum(axis=0) for rows in noise.variables])
    weight = (parts**2 / noise.freedom[:, None]).sum(axis=0)
    freedom = parts.sum(axis=0) ** 2 / positive(weight)
    freedom = np.where(weight > 0, np.maximum(freedom * noise.share, 1.0), np.inf)
    return choice._replace(estimate=replace(fit, covariance=covariance, freedom=freedom))


def positions(problem: TrajectoryProblem, shape) -> list[np.ndarray]:
    """Return where in the flat table of residuals the data of each variable are."""
    numbers = np.arange(np.prod(shape), dtype=float).reshape(shape)
    stacked = np.vstack(problem.windows.plain(numbers))
    return [column[np.isfinite(column)].astype(int) for column in stacked.T]


def _leverages(residuals: Residuals) -> np.ndarray:
    rest, _, start_slopes = residuals
    result = _row_sums(_projected(residuals)).reshape(rest.shape)
    if start_slopes.any():
        result = result + np.array([_row_sums(window) for window in start_slopes])
    return result


def _projected(residuals: Residuals) -> np.ndarray:
    """Return the slopes (W * n, P) with the starts projected out, one row a residual."""
    count, height, width = residuals.slopes.shape
    _, slopes, _ = eliminate(residuals)
    # rows of the ridge stand below those of each window
    return slopes.reshape(count, -1, width)[:, :height].reshape(count * height, width)


def _row_sums(matrix: np.ndarray) -> np.ndarray:
    """Return the diagonal of the projection on the columns."""
    if not matrix.shape[1]:
        return np.zeros(len(matrix))
    left, values, _ = np.linalg.svd(
        matrix / positive(np.linalg.norm(matrix, axis=0)), full_matrices=False
    )  # fmt: skip
    return (left[:, values > 1e-10 * values.max(initial=1e-300)] ** 2).sum(axis=1)
