"""θΓ(y) inside an ODE solver: how well given terms explain the data, and their best θ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise

import numpy as np

from ..equations.polynomials import SolverError
from .estimation import Estimate, EstimationError, gauss_newton, whitener
from .library import Library
from .timeseries import Experiment

Pair = tuple[int, int]  # equation, term
_SUBSTEPS = 8
_NO_MOVE = 1e-6  # share of a variable's range
CURVES = ("CubicSpline", "PchipInterpolator")  # of SciPy, for the integral form
_BLOWN_UP = 1e3  # in units of the largest value of a variable in the data


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


class TrajectoryProblem:
    """Data, library and weights: every choice of terms is fitted through this.

    Inside, each variable is measured in its largest value, so that neither a solver tolerance
    nor a threshold depends on the user's units. With covariances the residuals are whitened
    (generalised least squares); without, each variable is weighted by its range.

    Parameters
    ----------
    library : Library
        Bound to the names of the data.
    experiments : sequence of Experiment
    """

    def __init__(self, library: Library, experiments: Sequence[Experiment]) -> None:
        self.library, self.experiments = library, experiments
        states = [np.vstack([e.initial, e.values]) for e in experiments]
        stacked = np.vstack(states)
        self.scale = _positive(np.abs(stacked).max(axis=0))
        self.ranges = _positive(np.ptp(stacked, axis=0), self.scale) / self.scale
        self.units = library.units(self.scale)
        self.absolute = experiments[0].covariance is not None
        self.data = np.concatenate([(e.values / self.scale).ravel() for e in experiments])
        self.weights = BlockDiagonal([self._weights(e) for e in experiments])
        self.columns = library.evaluate(stacked / self.scale)
        """Terms at all data (points, terms), in scaled units."""
        self.sizes = np.sqrt((self.columns**2).mean(axis=0))
        self._known_integrals: dict[str, list[np.ndarray]] = {}

    @property
    def variables(self) -> int:
        """Number of equations."""
        return len(self.scale)

    def factors(self, pairs: Sequence[Pair]) -> np.ndarray:
        """Return what turns scaled coefficients into the user's units (pairs,)."""
        rows, terms = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
        return self.scale[rows] / self.units[terms]

    def contributions(self, pairs: Sequence[Pair], theta: np.ndarray) -> np.ndarray:
        """Return the size of each term relative to the largest of its equation (pairs,).

        An equation whose terms together move its variable by less than rounding has no
        largest term: all its sizes are then small.
        """
        rows, terms = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
        size = np.abs(theta) * self.sizes[terms]
        largest = _NO_MOVE * self.ranges / max(e.times[-1] for e in self.experiments)
        np.maximum.at(largest, rows, size)
        return size / largest[rows]

    # --- through the solver ------------------------------------------------------------------

    def model(self, pairs: Sequence[Pair]) -> Callable:
        """Return θ -> (predictions (n,), derivatives (n, pairs)) of all experiments."""
        system = self.library.system(pairs)
        plain = system.jacobian

        def guarded(y, theta):
            # a solution that runs away is given up at once: near a singularity the solver
            # would take thousands of ever smaller steps
            if not np.abs(y).max() < _BLOWN_UP:
                raise SolverError("the solution leaves the range of the data by far")
            return plain(y, theta)

        system.jacobian = guarded

        def predict(theta):
            parts = [
                system.solve_with_sensitivities(theta, e.initial / self.scale, e.times)
                for e in self.experiments
            ]
            return (
                np.concatenate([values.ravel() for values, _ in parts]),
                np.concatenate([slopes.reshape(-1, len(pairs)) for _, slopes in parts]),
            )

        return predict

    def fit(
        self, pairs: Sequence[Pair], start: np.ndarray, *, nonnegative=(), iterations: int = 60
    ) -> Estimate:
        """Return the best θ of these terms, by Levenberg-Marquardt from a start.

        ``nonnegative`` names the pairs whose coefficient may not be below zero.
        """
        if not len(pairs):
            return self._empty()
        bounded = [i for i, pair in enumerate(pairs) if pair in nonnegative]
        start = np.array(start, dtype=float)
        start[bounded] = np.maximum(start[bounded], 0.0)

        def descend(start):
            estimate = gauss_newton(
                self.model(pairs), self.data, start, weights=self.weights,
                nonnegative=np.eye(len(pairs))[bounded] if bounded else None,
                absolute=self.absolute, max_iterations=iterations,
            )  # fmt: skip
            # bounds hold to rounding inside, and exactly outside
            estimate.parameters[bounded] = np.maximum(estimate.parameters[bounded], 0.0)
            return estimate

        for shrink in (1.0, 0.5, 0.1):
            # a start that blows up is drawn towards zero, where nothing moves
            with suppress(EstimationError):
                return descend(shrink * start)
        return descend(0.0 * start)

    def linearised(
        self, pairs: Sequence[Pair], theta: np.ndarray, candidates: Sequence[Pair]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (matrix, target) with |target - matrix θ| the misfit of θ near this fit.

        The columns are the sensitivities to all candidates at a fit of some of them.
        """
        full = np.zeros(len(candidates))
        full[[candidates.index(pair) for pair in pairs]] = theta
        predicted, slopes = self.model(candidates)(full)
        matrix = self.weights @ slopes
        target = self.weights @ (self.data - predicted) + matrix @ full
        if not (np.all(np.isfinite(matrix)) and np.all(np.isfinite(target))):
            raise SolverError("the sensitivities are not finite")
        return matrix, target

    def _empty(self) -> Estimate:
        still = np.concatenate([np.tile(e.initial / self.scale, len(e.times))
                                for e in self.experiments])  # fmt: skip
        loss = float(np.sum((self.weights @ (self.data - still)) ** 2))
        nothing = np.zeros(0)
        return Estimate(
            nothing, np.zeros((0, 0)), loss, len(self.weights), 0, True, "no term is left"
        )

    # --- without the solver: the integral (weak) form ----------------------------------------

    def start(self, pairs: Sequence[Pair]) -> np.ndarray:
        """Return a first θ for `fit`: that of two integral forms whose solution fits better.

        A spline is the more exact curve, but between noisy points that lie close together it
        swings, and a start from it may lead to a minimum far from the best.
        """
        if not len(pairs):
            return np.zeros(0)
        starts = [least_squares(*self.weak_form(pairs, curve)) for curve in CURVES]
        return min(starts, key=lambda theta: self._misfit(pairs, theta))

    def _misfit(self, pairs: Sequence[Pair], theta: np.ndarray) -> float:
        try:
            predicted, _ = self.model(pairs)(theta)
        except SolverError:
            return np.inf
        misfit = float(np.sum((self.weights @ (self.data - predicted)) ** 2))
        return misfit if np.isfinite(misfit) else np.inf

    def weak_form(
        self, pairs: Sequence[Pair], curve: str = CURVES[0]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (matrix, target) of y(t) - y(0) = θ ∫ Γ(y) dt along a curve through the data.

        It is linear in θ, so it needs no start: it gives one to the solver.
        """
        blocks, targets = [], []
        for e, integrals in zip(self.experiments, self._integrals(curve), strict=True):
            block = np.zeros((len(e.times), self.variables, len(pairs)))
            for column, (row, term) in enumerate(pairs):
                block[:, row, column] = integrals[:, term]
            blocks.append(block.reshape(e.values.size, len(pairs)))
            targets.append(((e.values - e.initial) / self.scale).ravel())
        return self.weights @ np.concatenate(blocks), self.weights @ np.concatenate(targets)

    def _integrals(self, curve: str) -> list[np.ndarray]:
        """Integrals of every term from 0 to each time, one array (T, terms) an experiment."""
        from scipy import interpolate
        from scipy.integrate import cumulative_simpson

        if curve in self._known_integrals:
            return self._known_integrals[curve]
        result = self._known_integrals[curve] = []
        for e in self.experiments:
            knots = np.concatenate([[0.0], e.times])
            states = np.vstack([e.initial, e.values]) / self.scale
            steps = np.arange(_SUBSTEPS) / _SUBSTEPS
            fine = (knots[:-1, None] + np.diff(knots)[:, None] * steps).ravel()
            fine = np.append(fine, knots[-1])
            terms = self.library.evaluate(getattr(interpolate, curve)(knots, states)(fine))
            result.append(cumulative_simpson(terms, x=fine, axis=0)[_SUBSTEPS - 1 :: _SUBSTEPS])
        return result

    def _weights(self, experiment: Experiment) -> np.ndarray:
        covariance, times = experiment.covariance, len(experiment.times)
        if covariance is None:
            return np.tile(1 / self.ranges, times)
        scale = np.tile(self.scale, times)
        if covariance.ndim == 2:
            return whitener(covariance) * scale
        used = covariance > 0
        if used.all():
            return scale / np.sqrt(covariance)
        return np.eye(len(scale))[used] * (scale / np.sqrt(_positive(covariance)))


def least_squares(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the x of least |target - matrix x|, with columns scaled to one length."""
    size = _positive(np.linalg.norm(matrix, axis=0))
    return np.linalg.lstsq(matrix / size, target, rcond=1e-12)[0] / size


def _positive(values: np.ndarray, otherwise=1.0) -> np.ndarray:
    """Return the values with zeros replaced, so that they can divide."""
    return np.where(values > 0, values, otherwise)
