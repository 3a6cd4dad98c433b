"""Constants inside the terms, fitted together with the coefficients through the solver."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..equations.polynomials import SolverError
from .curves import Curves
from .estimation import EstimationError
from .library import Library
from .library_parts import LibrarySum
from .scaling import Scaling
from .selection import Choice, cost
from .trajectories import TrajectoryProblem
from .unknowns import Unknowns
from .windows import eliminate

_STEPS = 40
_SHRINK = 0.1  # a constant falls at most to this share of itself in a step: none gets below zero
_STILL = 1e-6  # relative change of the constants that ends the steps
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
    """Fit the free constants and the chosen unknowns together, by Gauss-Newton steps.

    A constant enters the equations through the derivatives of the terms: one step is a linear
    problem with the changes of the constants as unknowns of their own, tied to these terms.
    """
    problem, estimate = choice.problem, choice.estimate
    count, loss = len(choice.chosen), estimate.chi_square
    for _ in range(_STEPS):
        wide = _widened(problem, choice.chosen, estimate.parameters)
        both = np.append(
            estimate.parameters * problem.unit[choice.chosen] / wide.unit[:count],
            np.zeros(len(wide.unit) - count),
        )
        try:
            step = wide.fit(range(len(both)), both, estimate.starts, iterations=1)
        except EstimationError:
            break
        change = step.parameters[count:] * wide.unit[count:]
        old = problem.scaling.library.constants
        trial = _search(choice, problem, estimate, step, wide, change, loss)
        if trial is None:
            break
        gain, (problem, estimate) = loss - trial[1].chi_square, trial
        loss = estimate.chi_square
        new = problem.scaling.library.constants
        still = all(abs(new[name] - old[name]) <= _STILL * abs(old[name]) for name in old)
        if still or gain <= 1e-9 * loss:
            break
    # the last linear problem has the joint covariance
    wide = _widened(problem, choice.chosen, estimate.parameters)
    both = np.append(
        estimate.parameters * problem.unit[choice.chosen] / wide.unit[:count],
        np.zeros(len(wide.unit) - count),
    )
    last = wide.fit(range(len(both)), both, estimate.starts, iterations=1)
    covariance = last.covariance * np.outer(wide.unit, wide.unit)
    own = problem.unit[choice.chosen]
    estimate = replace(
        estimate, covariance=covariance[:count, :count] / np.outer(own, own), converged=True,
        message="converged",
    )  # fmt: skip
    return Constants(
        choice._replace(problem=problem, estimate=estimate), covariance[count:, count:]
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
    return cost(problem, estimate.chi_square, estimate.observations) + price * count


def _search(choice, problem, estimate, step, wide, change, loss):
    """Return the problem and the fit after the longest share of a step that lowers the loss."""
    old = np.array(list(problem.scaling.library.constants.values()))
    names, count = list(problem.scaling.library.constants), len(choice.chosen)
    before = estimate.parameters * problem.unit[choice.chosen]
    ahead = step.parameters[:count] * wide.unit[:count] - before
    for share in (1.0, 0.5, 0.2, 0.05, 0.01):
        values = np.maximum(old + share * change, _SHRINK * old)
        trial = _at(problem, dict(zip(names, values.tolist(), strict=True)))
        u = (before + share * ahead) / trial.unit[choice.chosen]
        starts = estimate.starts + share * (step.starts - estimate.starts)
        try:
            rest, _, _ = eliminate(trial.solve(choice.chosen, u, starts))
            if not float(rest @ rest) <= loss * 1.5:
                continue
            fit = trial.fit(choice.chosen, u, starts, iterations=3)
        except (SolverError, EstimationError):
            continue
        if fit.chi_square <= loss * (1 + 1e-9):
            return trial, fit
    return None


def _at(problem: TrajectoryProblem, values) -> TrajectoryProblem:
    """Return the same problem with other constants."""
    library = problem.scaling.library.with_constants(values)
    scaling = Scaling(library, problem.experiments)
    return TrajectoryProblem(
        scaling, problem.unknowns, pieces=problem.pieces, weights=problem.factor_weights
    )


def _widened(problem: TrajectoryProblem, chosen, u: np.ndarray) -> TrajectoryProblem:
    """Return the problem of the chosen unknowns and the changes of the constants."""
    library, unknowns = problem.scaling.library, problem.unknowns
    slopes, owners = library.slope_terms()
    names = list(library.constants)
    tie = unknowns.matrix[:, chosen]
    theta = tie @ (u * problem.unit[chosen]) + unknowns.offset
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
