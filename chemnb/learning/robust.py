"""Losses that single wrong values do not move: Huber's and the absolute one, by reweighting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .estimation import parameter_covariance
from .selection import Choice
from .trajectories import TrajectoryProblem
from .windows import can_cut, eliminate

LOSSES = ("squared", "huber", "absolute")
# up to so many standard deviations a residual counts by its square, then by its size; for
# "huber" 95 % efficient where the errors are normal, for "absolute" hardly more than zero
_BEND = {"huber": 1.345, "absolute": 0.2}
_ROUNDS = 12
_SETTLED = 0.02  # change of a weight that no longer counts
_NEIGHBOURS = 5


def robust_choice(
    problem: TrajectoryProblem, loss: str, choose: Callable[[TrajectoryProblem], Choice]
) -> Choice:
    """Choose and fit terms again and again, with less weight on what lies far off.

    Iteratively reweighted least squares: weight min(1, bend/|r|) of a residual r in units of
    its spread (median absolute deviation). Terms are chosen with Huber's weights.

    Parameters
    ----------
    problem : TrajectoryProblem
        With errors that are independent in time.
    loss : {"huber", "absolute"}
    choose : callable
        problem -> Choice, for given weights.
    """
    bend = _BEND["huber"]
    weights, known = [_local(e.values, bend) for e in problem.experiments], None
    for _ in range(_ROUNDS):
        choice = choose(problem.weighted([w.ravel() for w in weights]))
        plain = problem.cut(choice.problem.pieces)
        new, change = _reweighted(plain, choice, bend, weights)
        same, known, weights = choice.chosen == known, choice.chosen, new
        if same and change < _SETTLED:
            break
    bend = _BEND[loss]
    if loss != "huber" and choice.chosen:
        choice = _settled(plain, choice, bend)
    return _with_errors(plain, choice, bend)


def _settled(problem: TrajectoryProblem, choice: Choice, bend: float) -> Choice:
    """Return the fit of the chosen terms whose weights belong to its own residuals."""
    weights = [np.ones_like(e.values) for e in problem.experiments]
    for _ in range(3 * _ROUNDS):
        weights, change = _reweighted(problem, choice, bend, weights)
        fit = choice.estimate
        again = problem.weighted([w.ravel() for w in weights])
        fit = again.fit(choice.chosen, fit.parameters, fit.starts)
        choice = choice._replace(estimate=fit, problem=again)
        if change < _SETTLED:
            break
    return choice


def _reweighted(problem, choice, bend, weights):
    """Return the weights for the residuals of a choice, and the largest change."""
    sizes = _standardised(problem, choice)
    new = [np.minimum(1.0, bend / np.maximum(np.nan_to_num(r), 1e-12)) for r in sizes]
    return new, max(np.abs(a - b).max() for a, b in zip(new, weights, strict=True))


def check_robust(problem: TrajectoryProblem) -> str:
    """Return why a robust loss cannot be used, or an empty text."""
    if all(can_cut(e) for e in problem.experiments):
        return ""
    return "needs independent errors: give standard_errors, not a covariance or an Ensemble"


def _local(values: np.ndarray, bend: float) -> np.ndarray:
    """Return first weights: what lies far from the median of its neighbours weighs less."""
    weights = np.ones_like(values)
    half = _NEIGHBOURS // 2
    if len(values) < 2 * _NEIGHBOURS:
        return weights
    padded = np.pad(values, ((half, half), (0, 0)), mode="edge")
    near = np.lib.stride_tricks.sliding_window_view(padded, _NEIGHBOURS, axis=0)
    off = np.abs(values - np.nanmedian(near, axis=-1)) if np.isfinite(near).any() else weights
    off = np.nan_to_num(off)
    spread = np.array([np.median(column[column > 0]) if (column > 0).any() else 1.0
                       for column in off.T]) / 0.6745  # fmt: skip
    far = off / (3 * spread)
    return np.where(far > 1, np.minimum(1.0, bend / np.maximum(far, 1e-12)), 1.0)


def _standardised(problem: TrajectoryProblem, choice: Choice) -> list[np.ndarray]:
    """Return |residual| in units of the spread of its variable, one (T, D) an experiment."""
    fit = choice.estimate
    rest = problem.solve(choice.chosen, fit.parameters, fit.starts).rest
    tables = [np.abs(table) for table in problem.windows.plain(rest)]
    stacked = np.vstack(tables)
    spread = np.ones(stacked.shape[1])
    for column in range(len(spread)):
        seen = stacked[np.isfinite(stacked[:, column]), column]
        spread[column] = np.median(seen) / 0.6745 if len(seen) else 1.0
    return [table / np.maximum(spread, 1e-12) for table in tables]


def _with_errors(problem: TrajectoryProblem, choice: Choice, bend: float) -> Choice:
    """Return the choice with the covariance of an M-estimate (Huber 1981, section 7.6)."""
    fit = choice.estimate
    if not choice.chosen:
        return choice
    residuals = problem.solve(choice.chosen, fit.parameters, fit.starts)
    _, slopes, _ = eliminate(residuals)
    rest = residuals.rest[np.abs(residuals.rest) > 0]
    spread = max(float(np.median(np.abs(rest))) / 0.6745, 1e-300) if len(rest) else 1.0
    pull = np.clip(rest / spread, -bend, bend)
    inside = max(float(np.mean(np.abs(rest) < bend * spread)), 1 / max(len(rest), 1))
    freedom = max(problem.observations - len(choice.chosen), 1)
    factor = spread**2 * float(np.sum(pull**2)) / freedom / inside**2
    bounds = problem.nonnegative[:, choice.chosen]
    covariance = factor * parameter_covariance(
        slopes, fit.parameters, bounds[bounds.any(axis=1)] if bounds.any() else None
    )
    return choice._replace(estimate=replace(fit, covariance=covariance))
