"""Profile likelihood: how much worse the best fit gets as one coefficient is held elsewhere."""

from __future__ import annotations

import html
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from ..equations.polynomials import SolverError
from ..networks.expressions import closest, listing
from .bootstrap import check_fit
from .estimation import EstimationError, parameter_covariance
from .learned import Learned
from .noise import UncertaintyError, reach
from .trajectories import TrajectoryProblem
from .unknowns import Unknowns
from .windows import eliminate

_WIDER, _WIDENINGS = 1.6, 16  # the search for an end gives up after 1.6^16 = 2000 times the reach
_FINE = 1e-3  # of the interval, to which its ends are found
_NEAR = 0.03  # of the interval, to which the last value with a solution is found
_JUMP = 0.2  # of the limit
_MARGIN = 0.25  # of the interval, drawn beyond its ends
_BETTER = 0.1  # difference in chi-square by which another minimum counts as better


@dataclass(frozen=True)
class Profile:
    """Chi-square along one coefficient, all others fitted again at every point.

    Attributes
    ----------
    name : str
    estimate : float
    table : DataFrame
        By value of the coefficient: ``difference``, by which chi-square exceeds its minimum, in
        units of the noise, and the other kept unknowns, refitted.
    lower, upper : float
        Where the difference reaches ``threshold``; infinite where it never does.
    level, threshold : float
    standard_error : float
        From the covariance, for comparison: with it the profile would be a parabola.
    note : str
        What is odd about the profile; empty if nothing is.
    """

    name: str
    estimate: float
    table: object
    lower: float
    upper: float
    level: float
    threshold: float
    standard_error: float
    note: str = ""

    @property
    def determined(self) -> bool:
        """Whether the data bound the coefficient on both sides."""
        return bool(np.isfinite(self.lower) and np.isfinite(self.upper))

    def __str__(self) -> str:
        head, percent = f"{self.name} = {self.estimate:.4g}", f"{100 * self.level:g} %"
        if self.determined:
            text = f"{head}, {percent} interval from {self.lower:.4g} to {self.upper:.4g}"
        elif np.isfinite(self.lower):
            text = f"{head}: not determined from above; at least {self.lower:.4g} ({percent})"
        elif np.isfinite(self.upper):
            text = f"{head}: not determined from below; at most {self.upper:.4g} ({percent})"
        else:
            text = f"{head}: not determined; the other terms make up for any value of it"
        return f"{text}; {self.note}" if self.note else text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>{self.table.map('{:.4g}'.format).to_html()}"


def profile(
    learned: Learned, target: tuple[str, ...], points=21, level: float = 0.95, iterations: int = 60
) -> Profile:
    """Return the profile of a coefficient or of an unknown; see `ODENet.profile`."""
    check_fit(learned, "a profile")
    path = _Path(learned, target, iterations)
    limit = float(reach(level, path.freedom))
    (low, below), (high, above) = (path.end(side, limit) for side in (-1, 1))
    lower, upper = low if below else -np.inf, high if above else np.inf
    return Profile(
        " ".join([target[0] + ":", *target[1:]]) if len(target) > 1 else target[0],
        path.estimate, path.table(_values(points, (low, high))), lower, upper, level, limit**2,
        path.error, path.note(),
    )  # fmt: skip


class _Path:
    """Best fits with one combination of the unknowns held; each starts from its neighbour."""

    def __init__(self, learned: Learned, target, iterations: int) -> None:
        self.learned, self.problem, self.iterations = learned, learned.problem, iterations
        self.chosen = list(learned.chosen)
        unit = self.problem.unit[self.chosen]
        self.row, self.shift = _combination(learned, target)
        self.u = learned.scaled * unit
        self.estimate = float(self.row @ self.u + self.shift)
        weight = np.abs(self.row) * np.maximum(np.abs(self.u), 1e-12 * np.abs(self.u).max())
        self.pivot = int(np.argmax(weight))
        self.others = [i for i in range(len(self.chosen)) if i != self.pivot]
        self.error, self.factor, self.freedom = self._curvature(unit)
        matrix = self.problem.unknowns.matrix[:, self.chosen]
        self.share = self.row[self.others] / self.row[self.pivot]
        self.along = matrix[:, self.pivot] / self.row[self.pivot]
        self.matrix = matrix[:, self.others] - np.outer(matrix[:, self.pivot], self.share)
        bounds = self.problem.unknowns.nonnegative[:, self.chosen]
        alone = (bounds[:, self.pivot] > 0) & ~bounds[:, self.others].any(axis=1)
        self.bounded = bool(alone.any()) and not self.share.any() and self.shift == 0
        bounds = bounds[bounds[:, self.pivot] == 0][:, self.others]
        self.bounds = bounds[bounds.any(axis=1)]
        self._known = {
            self.estimate: (learned.fit.chi_square, self.u[self.others], learned.fit.starts)
        }

    def _curvature(self, unit) -> tuple[float, float, float]:
        """Return the standard error, what turns chi-square to units of noise, and freedom.

        The factor gives the profile the curvature that belongs to the covariance, where the
        weights of the fit are not those of the noise (Rotnitzky and Jewell 1990,
        doi:10.1093/biomet/77.3.485).
        """
        fit, problem, row = self.learned.fit, self.problem, self.row * unit
        _, slopes, _ = eliminate(problem.solve(self.chosen, fit.parameters, fit.starts))
        bounds = problem.nonnegative[:, self.chosen]
        bounds = bounds[bounds.any(axis=1)]
        plain = parameter_covariance(slopes, fit.parameters, bounds if len(bounds) else None)
        naive, true = row @ plain @ row, row @ fit.covariance @ row
        loose = fit.loose is not None and bool(np.any(fit.loose & (row != 0)))
        left = fit.chi_square / max(fit.observations - len(self.chosen), 1)
        if not problem.absolute and left <= 1e-20:
            raise UncertaintyError("the fit leaves nothing of the data: there is no noise level")
        factor = 1.0 if problem.absolute else 1 / left
        if not loose and true > 0 and naive > 0 and not problem.absolute:
            factor = naive / true
        freedom = np.inf if fit.freedom is None else float(np.min(fit.freedom[row != 0]))
        return np.inf if loose else float(np.sqrt(max(true, 0.0))), factor, freedom

    def difference(self, value: float) -> float:
        """Return the rise of chi-square in units of the noise; infinite where nothing fits."""
        if value not in self._known:
            self._known[value] = self._fit(value)
        best = self._known[self.estimate][0]
        return (self._known[value][0] - best) * self.factor

    def root(self, value: float) -> float:
        return float(np.sqrt(max(self.difference(value), 0.0)))

    def _fit(self, value: float):
        finite = [v for v in self._known if np.isfinite(self._known[v][0])]
        near = min(finite, key=lambda v: abs(v - value))
        unknowns = Unknowns(
            self.problem.unknowns.pairs, self.matrix,
            self.problem.unknowns.offset + self.along * (value - self.shift), self.bounds,
        )  # fmt: skip
        held = TrajectoryProblem(
            self.problem.scaling, unknowns, pieces=self.problem.pieces,
            weights=self.problem.factor_weights,
        )  # fmt: skip
        everything = range(len(unknowns))
        for _, start, starts in (self._known[near], self._known[self.estimate]):
            with suppress(EstimationError, SolverError):
                fit = held.fit(everything, start / held.unit, starts, iterations=self.iterations)
                return fit.chi_square, fit.parameters * held.unit, fit.starts
        return np.inf, start, starts

    def end(self, side: int, limit: float) -> tuple[float, bool]:
        """Return where the root of the difference reaches a limit, and True.

        Or the last place looked at, and False, where it never does. A bound of the fit is an
        end as well.
        """
        from scipy.optimize import brentq

        size = abs(self.estimate) or 1.0
        step = limit * self.error if 0 < self.error < 1e3 * size else size
        inside = outside = self.estimate
        for _ in range(_WIDENINGS):
            inside, outside = outside, self.estimate + side * step
            if self.bounded and outside <= 0:
                outside = 0.0
            if self.root(outside) >= limit:
                break
            if self.bounded and outside == 0:
                return 0.0, True
            step *= _WIDER
        else:
            return outside, False
        while not np.isfinite(self.root(outside)):  # too far for the next fit to be found
            middle = (inside + outside) / 2
            if abs(outside - inside) <= _NEAR * step:
                return inside, False
            if self.root(middle) < limit:
                inside = middle
            else:
                outside = middle
        found = brentq(lambda v: self.root(v) - limit, inside, outside, xtol=_FINE * step)
        # where the fits jump from one minimum to another no limit was crossed
        return float(found), abs(self.root(found) - limit) < _JUMP * limit

    def table(self, values: np.ndarray):
        import pandas as pd

        problem = self.problem
        names = [problem.unknowns.names[self.chosen[i]] for i in self.others]
        # outwards from the minimum, so that each fit has a neighbour
        for value in sorted(values, key=lambda v: abs(v - self.estimate)):
            self.difference(value)
        rows = [[self.difference(v), *self._known[v][1]] for v in values]
        index = pd.Index(values, name="value")
        return pd.DataFrame(rows, index=index, columns=["difference", *names])

    def note(self) -> str:
        lowest = min(self._known, key=self.difference)
        if self.difference(lowest) > -_BETTER:
            return ""
        return (
            f"a better fit lies at {lowest:.4g} (chi-square lower by "
            f"{-self.difference(lowest):.3g}): the fit had not reached the minimum"
        )


def _values(points, ends) -> list[float]:
    if isinstance(points, (int, np.integer)) and not isinstance(points, bool):
        if points < 3:
            raise UncertaintyError(f"points={points}; give 3 or more, or the values themselves")
        margin = _MARGIN * (ends[1] - ends[0]) / 2
        return np.linspace(ends[0] - margin, ends[1] + margin, points).tolist()
    try:
        values = np.asarray(points, dtype=float)
    except (TypeError, ValueError):
        values = np.array(np.nan)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise UncertaintyError(f"points={points!r}; give a number of points, or a list of values")
    return sorted(set(values.tolist()))


def _combination(learned: Learned, target) -> tuple[np.ndarray, float]:
    """Return the row that makes a coefficient from the chosen unknowns, and what is added."""
    problem, library = learned.problem, learned.library
    names = problem.unknowns.names
    if len(target) == 1:
        kept = [names[i] for i in learned.chosen]
        if target[0] not in kept:
            raise UncertaintyError(
                f"'{target[0]}' is no kept unknown{closest(target[0], kept)}; there are "
                f"{listing(kept)}. For a coefficient give equation and term"
            )
        return (np.array(kept) == target[0]).astype(float), 0.0
    kept = {(library.names[row], library.labels[term]): (row, term) for row, term in learned.pairs}
    if len(target) != 2 or tuple(target) not in kept:
        shown = [f"{equation}: {term}" for equation, term in kept]
        wanted = ": ".join(map(str, target))
        raise UncertaintyError(
            f"'{wanted}' is no kept term{closest(wanted, shown)}; there are {listing(shown)}"
        )
    place = learned.candidates.index(kept[tuple(target)])
    row = problem.unknowns.matrix[place, learned.chosen]
    if not row.any():
        raise UncertaintyError(f"{target[0]}: {target[1]} is known and was not fitted")
    return row, float(problem.unknowns.offset[place])
