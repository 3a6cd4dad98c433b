"""How well learned equations describe other data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .learned import Learned
from .scaling import Scaling
from .selection import keep_all
from .timeseries import DataError, Experiment
from .trajectories import TrajectoryProblem
from .unknowns import Unknowns


def r_squared(learned: Learned, experiments: Sequence[Experiment]) -> float:
    """Return 1 - Σ(y - ŷ)²/Σ(y - mean)², the mean over the measured variables.

    The coefficients stand; starts that are not exact are fitted. Where small changes of a
    start grow without bound (chaos), the solutions begin anew several times.

    Raises
    ------
    DataError
        If the variables are others than those that were learned, or none of them changes.
    """
    names = learned.library.names
    if experiments[0].names != names:
        raise DataError(
            f"the data have the variables {experiments[0].names}; the equations are for {names}"
        )
    fixed = Unknowns(tuple(learned.pairs), np.zeros((len(learned.pairs), 0)), offset=learned.values)
    problem = TrajectoryProblem(Scaling(learned.library, experiments), fixed)
    choice = keep_all(problem)
    problem, fit = choice.problem, choice.estimate
    rest = problem.solve((), fit.parameters, fit.starts).rest
    scaling = problem.scaling
    misfit = np.vstack(problem.windows.plain(rest)) * scaling.ranges * scaling.scale
    spread = _spread(np.vstack([e.values for e in experiments]), scaling.hidden)
    moving = (spread > 0) & ~scaling.hidden
    if not moving.any():
        raise DataError("no variable of these data changes, so there is no R²; give other data")
    left = np.nansum(misfit**2, axis=0)
    return float(np.mean(1 - left[moving] / spread[moving]))


def _spread(values: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Return the squared deviations from the mean of each variable; zero where hidden."""
    result = np.zeros(len(hidden))
    seen = values[:, ~hidden]
    result[~hidden] = np.nansum((seen - np.nanmean(seen, axis=0)) ** 2, axis=0)
    return result
