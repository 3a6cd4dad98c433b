"""Constants inside the terms, fitted together with the coefficients through the solver."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..equations.polynomials import SolverError
from .curves import Curves
from .estimation import EstimationError, damped_step, parameter_covariance
from .library import Library, LibrarySum
from .scaling import Scaling
from .selection import Choice
from .subsets import misfit
from .trajectories import TrajectoryProblem
from .unknowns import Unknowns
from .windows import eliminate

_STEPS = 40
_SHRINK = 0.1  # a constant falls at most to this share of itself in a step: none gets below zero
_STILL = 1e-6  # relative fall of the misfit that ends the steps
_FINE = 200  # points of a curve an experiment


class Constants(NamedTuple):
    """Free constants with the fit that goes with them.

    Attributes
    ----------
    choice : Choice
        With the problem at these constants.
    covariance : ndarray (constants, constants)
    """

    choice: Choice
    covariance: np.ndarray

    @property
    def library(self) -> Library:
        return self.choice.problem.scaling.library


def started(library: Library, experiments) -> Library:
    """Return a library whose constants start near the data, where it knows how (`rational`)."""
    if isinstance(library, LibrarySum):
        return LibrarySum([started(part, experiments) for part in library.parts], checked=False)
    if not hasattr(library, "started"):
        return library
    scaling = Scaling(library, experiments)
    curves, parts = Curves(scaling, "smooth"), []
    for number, e in enumerate(experiments):
        times = np.linspace(e.origin, e.times[-1], _FINE)
        states = curves(number, times) * scaling.scale
        parts.append((states, np.gradient(states, times, axis=0)))
    runs = [slice(i * _FINE, (i + 1) * _FINE) for i in range(len(parts))]
    states, slopes = (np.concatenate(side) for side in zip(*parts, strict=True))
    return library.started(np.maximum(states, 0.0), slopes, runs)


def fit_constants(choice: Choice) -> Constants:
    """Fit the free constants and the chosen unknowns together, by Levenberg-Marquardt.

    A constant enters the equations through the derivatives of the terms: one step is a linear
    problem with the changes of the constants as unknowns of their own, tied to these terms.
    """
    now, damping = _Point.of(choice), 1e-4
    for _ in range(_STEPS):
        trial = now.moved(damping)
        if trial is None or not trial.loss <= now.loss * (1 + 1e-12):
            damping *= 10
            if damping > 1e6:
                break
            continue
        gain, damping, now = now.loss - trial.loss, max(damping / 10, 1e-10), trial
        if gain <= _STILL * now.loss:
            break
    return now.finished(choice)


class _Point:
    """Constants, unknowns and starts with the misfit and its derivatives by all of them."""

    def __init__(self, problem: TrajectoryProblem, chosen, u: np.ndarray, starts) -> None:
        self.problem, self.chosen, self.u, self.starts = problem, chosen, u, starts
        self.wide = _widened(problem, chosen, u)
        self.values = np.append(u, np.zeros(len(self.wide.unit) - len(u))) / self.wide.unit
        self.residuals = self.wide.solve(range(len(self.values)), self.values, starts)
        self.loss = float(np.sum(self.residuals.rest**2))
        bounds = self.wide.nonnegative
        self.bounds = bounds if len(bounds) else None

    @classmethod
    def of(cls, choice: Choice) -> _Point:
        problem, estimate = choice.problem, choice.estimate
        u = estimate.parameters * problem.unit[choice.chosen]
        return cls(problem, choice.chosen, u, estimate.starts)

    def moved(self, damping: float) -> _Point | None:
        """Return the point after one damped step, None where it cannot be solved."""
        rest, slopes, steps = eliminate(self.residuals, damping)
        step = damped_step(slopes, rest, self.values, damping, self.bounds)
        ahead, change = steps(step), step * self.wide.unit
        old = self.problem.scaling.library.constants
        new = {
            name: max(value + float(delta), _SHRINK * value)
            for (name, value), delta in zip(old.items(), change[len(self.u) :], strict=True)
        }
        try:
            return _Point(
                _at(self.problem, new), self.chosen, self.u + change[: len(self.u)],
                self.starts + ahead,
            )  # fmt: skip
        except SolverError:
            return None

    def finished(self, choice: Choice) -> Constants:
        """Return the constants with their errors, and the choice at them."""
        count = len(self.u)
        _, slopes, _ = eliminate(self.residuals)
        covariance = parameter_covariance(slopes, self.values, self.bounds)
        if not self.problem.absolute:
            freedom = choice.estimate.observations - len(self.values)
            covariance = covariance * (self.loss / max(freedom, 1))
        covariance = covariance * np.outer(self.wide.unit, self.wide.unit)
        own = self.problem.unit[self.chosen]
        estimate = replace(
            choice.estimate, parameters=self.u / own, starts=self.starts, chi_square=self.loss,
            covariance=covariance[:count, :count] / np.outer(own, own),
        )  # fmt: skip
        return Constants(
            choice._replace(problem=self.problem, estimate=estimate), covariance[count:, count:]
        )


def drop_constants(found: Constants, price: float) -> Constants:
    """Leave out constants that a library can do without (`rational`) as long as the BIC falls.

    The least significant one is tried first.
    """
    while hasattr(found.library, "without") and found.library.constants:
        names = list(found.library.constants)
        values = np.array(list(found.library.constants.values()))
        errors = np.sqrt(np.clip(np.diag(found.covariance), 1e-300, None))
        trial = _without(found.choice, names[int(np.argmin(values / errors))])
        if trial is None or _bic(trial.choice, price) >= _bic(found.choice, price):
            break
        found = trial
    return found


def _without(choice: Choice, name: str) -> Constants | None:
    problem = choice.problem
    library = problem.scaling.library.without(name)
    smaller = TrajectoryProblem(
        Scaling(library, problem.experiments), problem.unknowns, pieces=problem.pieces,
        weights=problem.factor_weights,
    )  # fmt: skip
    u = choice.estimate.parameters * problem.unit[choice.chosen] / smaller.unit[choice.chosen]
    try:
        fit = smaller.fit(choice.chosen, u, choice.estimate.starts)
    except EstimationError:
        return None
    simpler = choice._replace(problem=smaller, estimate=fit)
    return fit_constants(simpler) if library.constants else Constants(simpler, np.zeros((0, 0)))


def _bic(choice: Choice, price: float) -> float:
    estimate, problem = choice.estimate, choice.problem
    count = len(choice.chosen) + len(problem.scaling.library.constants)
    return misfit(problem, estimate.chi_square, estimate.observations) + price * count


def _at(problem: TrajectoryProblem, values) -> TrajectoryProblem:
    """Return the same problem with other constants."""
    library = problem.scaling.library.with_constants(values)
    scaling = Scaling(library, problem.experiments)
    return TrajectoryProblem(
        scaling, problem.unknowns, pieces=problem.pieces, weights=problem.factor_weights
    )


def _widened(problem: TrajectoryProblem, chosen, u: np.ndarray) -> TrajectoryProblem:
    """Return the problem of the chosen unknowns, now u, and the changes of the constants."""
    library, unknowns = problem.scaling.library, problem.unknowns
    slopes, owners = library.slope_terms()
    names = list(library.constants)
    tie = unknowns.matrix[:, chosen]
    theta = tie @ u + unknowns.offset
    pairs = list(unknowns.pairs)
    more = [
        (row, len(library) + place, names.index(name), value)
        for (row, term), value in zip(pairs, theta, strict=True)
        for place, (owner, name) in enumerate(owners)
        if owner == term and value
    ]
    matrix = np.zeros((len(pairs) + len(more), len(chosen) + len(names)))
    matrix[: len(pairs), : len(chosen)] = tie
    for i, (_, _, constant, value) in enumerate(more, start=len(pairs)):
        matrix[i, len(chosen) + constant] = value
    bounds = unknowns.nonnegative[:, chosen]
    bounds = np.pad(bounds[bounds.any(axis=1)], ((0, 0), (0, len(names))))
    wide = Unknowns(
        (*pairs, *((row, term) for row, term, _, _ in more)), matrix,
        np.append(unknowns.offset, np.zeros(len(more))), bounds,
    )  # fmt: skip
    joined = LibrarySum([library, slopes], checked=False)
    return TrajectoryProblem(
        Scaling(joined, problem.experiments), wide, pieces=problem.pieces,
        weights=problem.factor_weights,
    )  # fmt: skip
