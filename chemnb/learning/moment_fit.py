"""Moment equations of a candidate network fitted to data: in one stage or in the paper's two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from ..networks.expressions import listing
from .estimation import (
    BlockDiagonal,
    Estimate,
    EstimationError,
    constrained_least_squares,
    free_directions,
    gauss_newton,
    least_squares,
    whitener,
)
from .rate_map import RateMap, RatesError
from .timeseries import DataError, Experiment

_SUBSTEPS = 8


class MomentFit:
    """Fits u in θ = M u + m, on any linear subspace of u.

    Parameters
    ----------
    rates : RateMap
    experiments : sequence of Experiment
        With the moments of the map's equations as variables.
    weights : {"path", "diagonal", "none"}
    method : {"direct", "two-stage"}
    rows : sequence of (equation, term), optional
        Coefficients that the second stage uses; default all.
    """

    def __init__(
        self,
        rates: RateMap,
        experiments: Sequence[Experiment],
        weights: str,
        method: str,
        rows: Sequence[tuple[str, str]] | None = None,
    ) -> None:
        self.rates, self.experiments, self.method = rates, experiments, method
        self.covariance = _covariance(experiments)
        self.weights = BlockDiagonal([_weights(e, weights) for e in experiments])
        self.absolute = weights != "none"
        self.data = np.concatenate([e.values.ravel() for e in experiments])
        self.rows = self._find(rows)

    def fit(self, basis: np.ndarray, nonnegative: bool) -> Estimate:
        """Return the best v in u = basis v; ``nonnegative`` bounds the rates of reactions."""
        bounds = self._bounds(basis) if nonnegative else None
        return (self._direct if self.method == "direct" else self._second)(basis, bounds)

    def score(self, estimate: Estimate) -> float:
        """Return the Bayesian information criterion."""
        return estimate.bic(self.absolute)

    def _direct(self, basis: np.ndarray, bounds) -> Estimate:
        matrix, offset = self.rates.matrix @ basis, self.rates.offset
        design, target = self._weak_form
        start = _solve(design @ matrix, target - design @ offset, bounds)
        found = gauss_newton(
            lambda v: self._predict(matrix @ v + offset, matrix),
            self.data, start, weights=self.weights, nonnegative=bounds, absolute=self.absolute,
        )  # fmt: skip
        slopes = self._predict(matrix @ found.parameters + offset, matrix)[1]
        return self._with_true_errors(found, slopes, bounds)

    @cached_property
    def first(self) -> Estimate:
        """The first stage: every coefficient θ for itself."""
        design, target = self._weak_form
        every = np.eye(design.shape[1])
        found = gauss_newton(
            lambda theta: self._predict(theta, every),
            self.data, least_squares(design, target), weights=self.weights, absolute=self.absolute,
        )  # fmt: skip
        return self._with_true_errors(found, self._predict(found.parameters, every)[1], None)

    def _second(self, basis: np.ndarray, bounds) -> Estimate:
        first, rows = self.first, self.rows
        errors = first.covariance[np.ix_(rows, rows)]
        matrix = (self.rates.matrix @ basis)[rows]
        target = first.parameters[rows] - self.rates.offset[rows]
        weight = whitener(errors) if self.absolute else np.eye(len(rows))
        v = _solve(weight @ matrix, weight @ target, bounds)
        residual = weight @ (target - matrix @ v)
        loss, count = float(residual @ residual), len(weight)
        if self.absolute:
            loss, count = loss + first.chi_square, first.observations
        found = replace(first, parameters=v, chi_square=loss, observations=count)
        spread = _gain(weight @ matrix, v, bounds) @ weight
        return replace(found, covariance=spread @ errors @ spread.T)

    # --- inside ----------------------------------------------------------------------------

    def _predict(self, theta: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = [
            self.rates.system.solve_with_sensitivities(theta, e.initial, e.times, slopes)
            for e in self.experiments
        ]
        return (
            np.concatenate([values.ravel() for values, _ in parts]),
            np.concatenate([change.reshape(-1, slopes.shape[1]) for _, change in parts]),
        )

    @cached_property
    def _weak_form(self) -> tuple[np.ndarray, np.ndarray]:
        """Weighted (design, target) of y(t) - y(0) = θ ∫ terms dt along a spline of the data."""
        system, blocks = self.rates.system, []
        rows = np.array([row for row, _ in system.terms])
        for e in self.experiments:
            integrals = _integrals(system.monomials, e)
            block = np.zeros((len(e.times), len(system.names), len(rows)))
            block[:, rows, np.arange(len(rows))] = integrals
            blocks.append(block.reshape(-1, len(rows)))
        change = np.concatenate([(e.values - e.initial).ravel() for e in self.experiments])
        return self.weights @ np.concatenate(blocks), self.weights @ change

    def _with_true_errors(self, found: Estimate, slopes: np.ndarray, bounds) -> Estimate:
        """Return the estimate with the errors that the data's covariance gives it."""
        if self.covariance is None:
            return found
        weighted = self.weights @ slopes
        gain = _gain(weighted, found.parameters, bounds)
        spread = np.linalg.multi_dot([gain, self.weights @ np.eye(len(self.data))])
        return replace(found, covariance=spread @ self.covariance @ spread.T)

    def _bounds(self, basis: np.ndarray) -> np.ndarray:
        """Return the rows g with g·v >= 0 for the reactions whose rate is sought."""
        matrix, known = self.rates.reactions @ basis, self.rates.known
        sought = np.abs(matrix).max(axis=1, initial=0.0) > 1e-12
        for j in np.flatnonzero(sought & (known != 0)):
            raise RatesError(
                f"nonnegative= cannot bound '{self.rates.network.reactions[j]}', whose rate is a "
                "number plus something sought; give it one name of its own"
            )
        return matrix[sought]

    def _find(self, rows) -> list[int]:
        labels = self.rates.labels
        if rows is None:
            return list(range(len(labels)))
        wrong = [row for row in rows if tuple(row) not in labels]
        if wrong:
            raise RatesError(f"rows names {wrong[0]}; the coefficients are {listing(labels)}")
        if len(rows) < self.rates.matrix.shape[1]:
            raise RatesError(
                f"{len(rows)} rows for {self.rates.matrix.shape[1]} unknowns; name more of them"
            )
        return [labels.index(tuple(row)) for row in rows]


def _integrals(monomials: Callable, experiment: Experiment) -> np.ndarray:
    """Return the integrals of every term from 0 to each time (T, terms)."""
    from scipy.integrate import cumulative_simpson
    from scipy.interpolate import CubicSpline

    knots = np.concatenate([[0.0], experiment.times])
    states = np.vstack([experiment.initial, experiment.values])
    steps = np.arange(_SUBSTEPS) / _SUBSTEPS
    fine = np.append((knots[:-1, None] + np.diff(knots)[:, None] * steps).ravel(), knots[-1])
    values = monomials(CubicSpline(knots, states)(fine))
    return cumulative_simpson(values, x=fine, axis=0)[_SUBSTEPS - 1 :: _SUBSTEPS]


def _covariance(experiments: Sequence[Experiment]) -> np.ndarray | None:
    from scipy.linalg import block_diag

    parts = [e.covariance for e in experiments]
    if any(part is None for part in parts):
        return None
    return block_diag(*(np.diag(part) if part.ndim == 1 else part for part in parts))


def _weights(experiment: Experiment, weights: str) -> np.ndarray:
    covariance = experiment.covariance
    if weights == "none":
        reach = np.ptp(np.vstack([experiment.initial, experiment.values]), axis=0)
        return np.tile(1 / np.where(reach > 0, reach, 1.0), len(experiment.times))
    if covariance is None:
        raise DataError(
            f"weights='{weights}' needs the errors of the data: an Ensemble with kept runs, "
            "standard_errors= or covariance=; or use weights='none'"
        )
    if weights == "diagonal":
        covariance = covariance if covariance.ndim == 1 else np.diag(covariance)
    return whitener(covariance)


def _solve(matrix: np.ndarray, target: np.ndarray, bounds) -> np.ndarray:
    """Return the least-squares solution of full rank."""
    _lengths(matrix)
    if bounds is None:
        return least_squares(matrix, target)
    return constrained_least_squares(matrix, target, bounds, np.zeros(len(bounds)))


def _gain(weighted: np.ndarray, parameters: np.ndarray, bounds) -> np.ndarray:
    """Return how the least-squares solution answers to a change of the whitened data."""
    free = free_directions(parameters, bounds)
    scale = _lengths(weighted)
    return free @ np.linalg.pinv((weighted / scale) @ (scale[:, None] * free), rcond=1e-12)


def _lengths(matrix: np.ndarray) -> np.ndarray:
    """Return the lengths of the columns.

    Raises
    ------
    EstimationError
        If the columns depend on each other, so that there is no one solution.
    """
    scale = np.linalg.norm(matrix, axis=0)
    if not scale.all() or np.linalg.matrix_rank(matrix / scale) < len(scale):
        raise EstimationError(
            "some rates cannot be told apart: different values give the same moments; fix one "
            "(fixed=), give higher moments (order=), or leave a reaction out"
        )
    return scale
