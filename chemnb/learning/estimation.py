"""Least squares with a covariance: Gauss-Newton, inequality constraints, intervals, BIC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..equations.polynomials import SolverError

Model = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class EstimationError(ValueError):
    """Data or a model from which nothing can be estimated; the message says why."""


@dataclass(frozen=True)
class Estimate:
    """What a least-squares fit found.

    Attributes
    ----------
    parameters : ndarray (P,)
    covariance : ndarray (P, P)
        Of the estimation error; zero for parameters held at a bound.
    chi_square : float
        Sum of squared whitened residuals.
    observations : int
        Number of independent whitened data.
    iterations : int
    converged : bool
    message : str
        The verdict in words.
    """

    parameters: np.ndarray
    covariance: np.ndarray
    chi_square: float
    observations: int
    iterations: int
    converged: bool
    message: str

    @property
    def standard_errors(self) -> np.ndarray:
        """Standard error of each parameter."""
        return np.sqrt(np.clip(np.diag(self.covariance), 0.0, None))

    def bic(self, absolute: bool = True) -> float:
        """Bayesian information criterion: misfit plus ln(observations) a parameter.

        ``absolute`` says that the weights are true covariances; else the noise level is
        estimated from the residuals.
        """
        n, p = self.observations, len(self.parameters)
        misfit = self.chi_square if absolute else n * np.log(max(self.chi_square, 1e-300) / n)
        return float(misfit + p * np.log(n))


def normal_quantile(level: float) -> float:
    """Return how many standard errors a two-sided interval of this level reaches.

    Examples
    --------
    >>> round(normal_quantile(0.95), 4)
    1.96
    """
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2))


def whitener(covariance: np.ndarray, tolerance: float = 1e-10) -> np.ndarray:
    """Return W (rows x data) with W covariance W^T = identity.

    Directions without noise (a fixed start, a conserved sum) carry no weight and are dropped:
    W may have fewer rows than there are data. A vector is read as variances.
    """
    covariance = np.asarray(covariance, dtype=float)
    if covariance.ndim == 1:
        covariance = np.diag(covariance)
    if not np.all(np.isfinite(covariance)):
        raise EstimationError("the covariance of the data has entries that are not finite")
    scale = np.sqrt(np.clip(np.diag(covariance), 0.0, None))
    used = scale > 0
    if not used.any():
        raise EstimationError("every variance of the data is zero; give standard errors above 0")
    correlation = covariance[np.ix_(used, used)] / np.outer(scale[used], scale[used])
    values, vectors = np.linalg.eigh(correlation)
    keep = values > tolerance * values[-1]
    result = np.zeros((int(keep.sum()), len(scale)))
    result[:, used] = (vectors[:, keep] / np.sqrt(values[keep])).T / scale[used]
    return result


class BlockDiagonal:
    """A whitening matrix with one block an experiment; a vector is a diagonal block.

    Examples
    --------
    >>> weights = BlockDiagonal([np.array([1.0, 2.0]), np.array([[3.0, 1.0]])])
    >>> len(weights), weights @ np.array([1.0, 1.0, 1.0, 1.0])
    (3, array([1., 2., 4.]))
    """

    def __init__(self, blocks: Sequence[np.ndarray]) -> None:
        self.blocks = blocks
        ends = np.cumsum([0] + [block.shape[-1] for block in blocks])
        self._slices = [slice(a, b) for a, b in pairwise(ends)]

    def __len__(self) -> int:
        return sum(len(block) for block in self.blocks)

    def __matmul__(self, table: np.ndarray) -> np.ndarray:
        parts = [
            (block * table[rows].T).T if block.ndim == 1 else block @ table[rows]
            for block, rows in zip(self.blocks, self._slices, strict=True)
        ]
        return np.concatenate(parts)


def least_squares(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the x of least |target - matrix x|, with columns scaled to one length."""
    size = np.linalg.norm(matrix, axis=0)
    size[size == 0] = 1.0
    return np.linalg.lstsq(matrix / size, target, rcond=1e-12)[0] / size


def constrained_least_squares(
    matrix: np.ndarray, target: np.ndarray, constraints: np.ndarray, bounds: np.ndarray
) -> np.ndarray:
    """Minimise |matrix x - target| subject to constraints x >= bounds (exactly, by NNLS).

    Lawson and Hanson's route: to a least-distance problem by QR, and that to nonnegative
    least squares. ``matrix`` has full column rank.

    Raises
    ------
    EstimationError
        If no x satisfies the constraints.

    Examples
    --------
    >>> constrained_least_squares(np.eye(2), np.array([1.0, -1.0]), np.eye(2), np.zeros(2))
    array([1., 0.])
    """
    from scipy.optimize import nnls

    q, r = np.linalg.qr(matrix)
    reduced = np.linalg.solve(r.T, constraints.T).T
    head = q.T @ target
    if not len(constraints):
        return np.linalg.solve(r, head)
    limit = bounds - reduced @ head
    size = np.linalg.norm(reduced, axis=1)
    size[size == 0] = 1.0
    reduced, limit = reduced / size[:, None], limit / size
    # Lagrange multipliers of the least-distance problem
    unit = max(1.0, np.abs(limit).max(initial=0.0))
    stack = np.vstack([reduced.T, limit / unit])
    goal = np.zeros(len(stack))
    goal[-1] = 1.0
    multipliers, _ = nnls(stack, goal)
    residual = stack @ multipliers - goal
    if abs(residual[-1]) < 1e-14:
        raise EstimationError("the constraints contradict each other")
    z = -residual[:-1] / residual[-1] * unit
    active = multipliers > 0
    if active.any():
        # polish: the active constraints hold to rounding, not to the tolerance of NNLS
        z += np.linalg.lstsq(reduced[active], limit[active] - reduced[active] @ z, rcond=None)[0]
    return np.linalg.solve(r, z + head)


def gauss_newton(
    model: Model,
    data: np.ndarray,
    start: np.ndarray,
    *,
    weights: np.ndarray,
    nonnegative: np.ndarray | None = None,
    absolute: bool = True,
    max_iterations: int = 60,
    tolerance: float = 1e-9,
) -> Estimate:
    """Fit parameters by damped Gauss-Newton (Levenberg-Marquardt) with scaled columns.

    Parameters
    ----------
    model : callable
        parameters -> (predictions (n,), derivatives (n, P)); may raise `SolverError`, which
        rejects the step.
    data : ndarray (n,)
    start : ndarray (P,)
    weights : ndarray (rows, n)
        Whitening matrix of the data, from `whitener`.
    nonnegative : ndarray (C, P), optional
        Every row g demands g · parameters >= 0.
    absolute : bool
        Whether the weights are true inverse standard errors; else the covariance is scaled
        by the residual variance.

    Raises
    ------
    EstimationError
        If there are fewer data than parameters, or the start cannot be solved.
    """
    parameters = np.asarray(start, dtype=float).copy()
    if len(weights) < len(parameters):
        raise EstimationError(
            f"{len(weights)} independent data for {len(parameters)} parameters; "
            "give more times, more moments, or fewer terms"
        )
    try:
        residual, jacobian = _whitened(model, data, weights, parameters)
    except SolverError as error:
        raise EstimationError(f"the model cannot be solved at its start: {error}") from None
    loss, damping, converged, used = residual @ residual, 1e-3, False, 0
    if not np.isfinite(loss):
        raise EstimationError("the data have values that are not finite; leave them out")
    for used in range(1, max_iterations + 1):  # noqa: B007 (the verdict reads it)
        step = damped_step(jacobian, residual, parameters, damping, nonnegative)
        scale = np.linalg.norm(jacobian, axis=0)
        moved = np.linalg.norm(scale * step)
        if moved <= tolerance * (np.linalg.norm(scale * parameters) + tolerance):
            converged = True
            break
        try:
            trial, slopes = _whitened(model, data, weights, parameters + step)
        except SolverError:
            damping = max(damping * 10, 1e-6)
            continue
        if trial @ trial <= loss * (1 + 1e-12):
            small = loss - trial @ trial <= 1e-12 * loss
            parameters, residual, jacobian = parameters + step, trial, slopes
            loss, damping = residual @ residual, damping / 10 if damping > 1e-12 else 0.0
            if small and damping < 1e-6:
                converged = True
                break
        else:
            damping = max(damping * 10, 1e-6)
            if damping > 1e12:
                break
    covariance = parameter_covariance(jacobian, parameters, nonnegative)
    if not absolute:
        covariance *= loss / max(len(weights) - len(parameters), 1)
    verdict = "converged" if converged else f"not converged after {used} iterations"
    return Estimate(
        parameters, covariance, float(loss), len(weights), used, converged, verdict
    )  # fmt: skip


def _whitened(model, data, weights, parameters):
    predicted, slopes = model(parameters)
    if not (np.all(np.isfinite(predicted)) and np.all(np.isfinite(slopes))):
        raise SolverError("the prediction is not finite")
    return weights @ (data - predicted), weights @ slopes


def damped_step(jacobian, residual, parameters, damping, nonnegative):
    """Return the Levenberg-Marquardt step, within the bounds."""
    scale = np.linalg.norm(jacobian, axis=0)
    scale[scale == 0] = 1.0
    # columns are scaled, so that the units of a parameter play no role
    matrix = np.vstack([jacobian / scale, np.sqrt(max(damping, 1e-14)) * np.eye(len(scale))])
    target = np.concatenate([residual, np.zeros(len(scale))])
    if nonnegative is None:
        return np.linalg.lstsq(matrix, target, rcond=None)[0] / scale
    bounds = -nonnegative @ parameters
    return constrained_least_squares(matrix, target, nonnegative / scale, bounds) / scale


def free_directions(parameters: np.ndarray, nonnegative: np.ndarray | None) -> np.ndarray:
    """Return a basis (P, free) of the moves that leave every active constraint active.

    Examples
    --------
    >>> abs(free_directions(np.array([0.0, 2.0]), np.eye(2)))
    array([[0.],
           [1.]])
    """
    free = np.eye(len(parameters))
    if nonnegative is None or not len(nonnegative):
        return free
    size = np.abs(nonnegative) @ np.abs(parameters)
    active = nonnegative[nonnegative @ parameters <= 1e-9 * np.maximum(size, size.max())]
    if not len(active):
        return free
    _, values, right = np.linalg.svd(active)
    return right[int((values > 1e-12).sum()) :].T


def parameter_covariance(jacobian, parameters, nonnegative) -> np.ndarray:
    """Return the covariance of the free directions; parameters at a bound have none."""
    scale = np.linalg.norm(jacobian, axis=0)
    scale[scale == 0] = 1.0
    # in units of the columns, so that no direction is lost to the units of a parameter
    scaled = None if nonnegative is None else nonnegative / scale
    if scaled is not None and len(scaled):
        # and none for being at a bound because another row has larger units
        scaled = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    free = free_directions(scale * parameters, scaled)
    reduced = (jacobian / scale) @ free
    inverse = np.linalg.pinv(reduced.T @ reduced, hermitian=True, rcond=1e-14)
    return free @ inverse @ free.T / np.outer(scale, scale)
