"""θΓ(y) inside an ODE solver: how well given terms explain the data, and their best θ."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from copy import copy

import numpy as np

from ..equations.polynomials import SolverError
from .curves import CURVES, Curves
from .estimation import (
    EstimationError,
    damped_step,
    least_squares,
    parameter_covariance,
)
from .linearised import Fit, Linearised, compressed, expected, squares, undetermined
from .scaling import Scaling
from .shooting import Shooter
from .unknowns import Unknowns
from .windows import Residuals, Windows, can_cut, eliminate

_FEWEST = 6  # points of a window
_RANDOM_STARTS = 16
_TINY = 1e-14  # damping with which a step is a plain Gauss-Newton step


class TrajectoryProblem:
    """Data, library and unknowns: every choice of terms is fitted through this.

    Inside, each variable is measured in its largest value, so that neither a solver tolerance
    nor a threshold depends on the user's units. With covariances the residuals are whitened
    (generalised least squares); without, each variable is weighted by its range.

    Coefficients follow from the unknowns, θ = V u + θ0 (`Unknowns`). A choice of terms is a
    sequence of positions of unknowns; those that are left out are zero. Starts that are not
    known exactly are fitted along and projected out of every linear problem.

    Parameters
    ----------
    scaling : Scaling
        Of the library and the experiments.
    unknowns : Unknowns
    pieces : sequence of int, optional
        Cut each experiment into so many windows, each with a start of its own: short solutions
        cannot run away from the data.
    weights : list of ndarray (T * D,), optional
        Factors on the weight of every value, for robust fits and resamples.
    """

    def __init__(
        self,
        scaling: Scaling,
        unknowns: Unknowns,
        *,
        pieces: Sequence[int] | None = None,
        weights=None,
    ) -> None:
        self.scaling, self.unknowns, self.pieces = scaling, unknowns, pieces
        self.library, self.experiments = scaling.inner, scaling.experiments
        self.factor_weights = weights
        self.absolute = self.experiments[0].covariance is not None
        self.windows = Windows(scaling, pieces, weights)
        factors = scaling.factors(unknowns.pairs)
        tie = unknowns.matrix / factors[:, None]
        largest = np.abs(tie).max(axis=0, initial=0.0)
        self.unit = 1 / np.where(largest > 0, largest, 1.0)
        """What turns scaled unknowns into the user's (unknowns,)."""
        self.tie, self.offset = tie * self.unit, unknowns.offset / factors
        self.nonnegative = unknowns.nonnegative * self.unit
        self._shooters: dict[tuple[int, ...], Shooter] = {}
        self._curves: dict[str, tuple] = {}
        self._stiff = False

    def cut(self, pieces: Sequence[int] | None) -> TrajectoryProblem:
        """Return the same problem with other windows."""
        other = TrajectoryProblem(
            self.scaling, self.unknowns, pieces=pieces, weights=self.factor_weights
        )
        other._curves, other._stiff = self._curves, self._stiff
        return other

    def weighted(self, weights) -> TrajectoryProblem:
        """Return the same problem with other factors on the weights, one (T * D,) an experiment."""
        return TrajectoryProblem(self.scaling, self.unknowns, pieces=self.pieces, weights=weights)

    def resampled(self, experiments, picks=None) -> TrajectoryProblem:
        """Return the problem of other data in the same units; ``picks`` says whose they replace."""
        picks = range(len(experiments)) if picks is None else picks
        pieces, weights = (
            None if given is None else [given[k] for k in picks]
            for given in (self.pieces, self.factor_weights)
        )
        scaling = copy(self.scaling)
        scaling.experiments = list(experiments)
        return TrajectoryProblem(scaling, self.unknowns, pieces=pieces, weights=weights)

    def solutions(self, chosen: Sequence[int], fit: Fit) -> list[np.ndarray]:
        """Return the fitted values, one (T, D) an experiment, in the user's units."""
        windows, shooter = self.windows, self._shooter(tuple(chosen))
        values, _, _ = shooter(fit.parameters, fit.starts, windows.first, windows.times, False)
        tables = [np.empty_like(e.values) for e in self.experiments]
        parts = np.split(values * self.scaling.scale, windows.first[1:-1])
        for k, points, part in zip(windows.experiment, windows.points, parts, strict=True):
            tables[k][points] = part
        return tables

    def ladder(self) -> list[TrajectoryProblem]:
        """Return the problem in short windows first, then in ever longer ones, at last whole.

        In the shortest windows no variable runs through its range more than about once, so
        that their solutions follow the data even with poor coefficients.
        """
        if self.scaling.hidden.any() or not any(map(can_cut, self.experiments)):
            return [self]
        curves, _ = self._along("smooth")
        pieces = []
        for number, e in enumerate(self.experiments):
            path = curves(number, e.times) / self.scaling.ranges
            swings = np.abs(np.diff(path, axis=0)).sum(axis=0)[~self.scaling.hidden].max(initial=0)
            most = min(swings, len(e.times) / _FEWEST) if can_cut(e) else 1
            pieces.append(2 ** int(np.log2(max(most, 1))))
        steps = [pieces]
        while max(pieces) > 1:
            pieces = [max(1, count // 2) for count in pieces]
            steps.append(pieces)
        return [self.cut(pieces) for pieces in steps]

    def carried(self, fit: Fit, other: TrajectoryProblem) -> np.ndarray:
        """Return the starts of a fit of this problem that begin windows of another one."""
        mine = zip(self.windows.experiment, self.windows.begin, strict=True)
        known = dict(zip(mine, fit.starts, strict=True))
        windows = other.windows
        return np.array([
            known[key] for key in zip(windows.experiment, windows.begin, strict=True)
        ])  # fmt: skip

    def spread(self, fit: Fit, chosen: Sequence[int]) -> float:
        """Return how many times a small change of a start grows within a window, at most."""
        slopes = self.solve(chosen, fit.parameters, fit.starts).start_slopes
        first = np.abs(slopes[:, 0]).max(initial=0) if slopes.size else 0
        return float(np.abs(slopes).max(initial=0) / first) if first > 0 else 1.0

    @property
    def variables(self) -> int:
        """Number of equations."""
        return len(self.scaling.scale)

    @property
    def observations(self) -> int:
        """Number of independent data, less those that the free starts use up."""
        return self.windows.rows - int(self.windows.free.sum())

    def theta(self, chosen: Sequence[int], u: np.ndarray) -> np.ndarray:
        """Return the scaled coefficients (pairs,) of some unknowns."""
        return self.tie[:, list(chosen)] @ u + self.offset

    def contributions(self, chosen: Sequence[int], u: np.ndarray) -> np.ndarray:
        """Return the share of each chosen unknown in the equation where it counts most."""
        theta = self.theta(chosen, u)
        sizes = self.scaling.contributions(self.unknowns.pairs, theta)
        whole = np.abs(theta)
        shares = np.abs(self.tie[:, list(chosen)] * u)
        # an unknown that has only a part in a term takes that part of its size
        part = shares / np.where(whole > 0, whole, 1.0)[:, None]
        return (np.minimum(part, 1.0) * sizes[:, None]).max(axis=0, initial=0.0)

    # --- through the solver ------------------------------------------------------------------

    def solve(self, chosen: Sequence[int], u: np.ndarray, starts: np.ndarray):
        """Return the residuals of all windows and their derivatives.

        Raises
        ------
        SolverError
            If a solution runs away.
        """
        windows, shooter = self.windows, self._shooter(tuple(chosen))
        values, slopes, start_slopes = shooter(
            np.asarray(u, dtype=float), starts, windows.first, windows.times,
            bool(windows.free.any()),
        )  # fmt: skip
        self._stiff = shooter.stiff
        return self._residuals(values, slopes, start_slopes)

    def _residuals(self, values, slopes, start_slopes):
        if not (np.all(np.isfinite(values)) and np.all(np.isfinite(slopes))):
            raise SolverError("the prediction is not finite")
        if start_slopes.shape[-1]:
            if not self.windows.free.all():
                free = np.repeat(self.windows.free, np.diff(self.windows.first), axis=0)
                start_slopes = np.where(free[:, None, :], start_slopes, 0.0)
        else:
            start_slopes = np.broadcast_to(0.0, (*values.shape, self.variables))
        return self.windows.residuals(values, slopes, start_slopes)

    def _shooter(self, chosen: tuple[int, ...]) -> Shooter:
        if chosen not in self._shooters:
            tie = self.tie[:, list(chosen)]
            used = np.flatnonzero((tie != 0).any(axis=1) | (self.offset != 0))
            pairs = [self.unknowns.pairs[i] for i in used]
            self._shooters[chosen] = Shooter(self.library, pairs, tie[used], self.offset[used])
        shooter = self._shooters[chosen]
        shooter.stiff |= self._stiff
        return shooter

    def fit(
        self, chosen: Sequence[int], start: np.ndarray, starts: np.ndarray | None = None,
        *, iterations: int = 60,
    ) -> Fit:  # fmt: skip
        """Return the best values of these unknowns, by Levenberg-Marquardt from a start.

        ``starts`` (W, D) are those of the windows, where better ones than the data are known.
        """
        if starts is None:
            starts = self.guess()
        bounds = self._bounds(chosen)
        start = np.array(start, dtype=float)
        single = [np.flatnonzero(row) for row in bounds]
        bounded = [row[0] for row in single if len(row) == 1]
        start[bounded] = np.maximum(start[bounded], 0.0)
        for shrink in (1.0, 0.5, 0.1, 0.0):
            # a start that blows up is drawn towards zero, where nothing moves
            with suppress(EstimationError):
                fit = self._descend(chosen, shrink * start, starts, bounds, iterations)
                # bounds hold to rounding inside, and exactly outside
                fit.parameters[bounded] = np.maximum(fit.parameters[bounded], 0.0)
                return fit
        raise EstimationError("the model cannot be solved, not even near zero")

    def _bounds(self, chosen) -> np.ndarray:
        rows = self.nonnegative[:, list(chosen)]
        return rows[rows.any(axis=1)]

    def _descend(self, chosen, u, starts, bounds, iterations) -> Fit:
        bounds = bounds if len(bounds) else None
        try:
            residuals = self.solve(chosen, u, starts)
        except SolverError as error:
            raise EstimationError(f"the model cannot be solved at its start: {error}") from None
        loss, damping, converged, used = squares(residuals), 1e-4, False, 0
        for used in range(1, iterations + 1):  # noqa: B007 (the verdict reads it)
            rest, slopes, steps = eliminate(residuals, max(damping, _TINY))
            rest, slopes = compressed(rest, slopes)
            step = damped_step(slopes, rest, u, damping, bounds) if len(u) else u
            ahead = steps(step)
            scale = np.linalg.norm(slopes, axis=0)
            moved = np.linalg.norm(scale * step)
            gain = loss - expected(residuals, step, ahead)
            small = moved <= 1e-9 * (np.linalg.norm(scale * u) + 1e-9)
            if small and gain <= 1e-9 * loss or gain <= 1e-13 * loss:
                converged = True
                break
            try:
                trial = self.solve(chosen, u + step, starts + ahead)
                lower = squares(trial)
            except SolverError:
                lower = np.inf
            if not lower <= loss * (1 + 1e-12):
                damping = max(damping * 10, 1e-6)
                if damping > 1e12:
                    break
                continue
            ratio = (loss - lower) / gain if gain > 0 else 1.0
            stalled = loss - lower <= 1e-12 * loss and damping < 1e-6
            u, starts, residuals, loss = u + step, starts + ahead, trial, lower
            damping = damping / (100 if ratio > 0.75 else 5 if ratio > 0.25 else 0.5)
            damping = damping if damping > 1e-13 else 0.0
            if stalled:
                converged = True
                break
        return self._finished(residuals, u, starts, bounds, loss, used, converged)

    def _finished(self, residuals, u, starts, bounds, loss, used, converged) -> Fit:
        _, slopes, _ = eliminate(residuals)
        count = self.observations
        if len(u):
            _, slopes = compressed(np.zeros(len(slopes)), slopes)
            covariance, loose = parameter_covariance(slopes, u, bounds), undetermined(slopes)
        else:
            covariance, loose = np.zeros((0, 0)), np.zeros(0, dtype=bool)
        if not self.absolute:
            covariance = covariance * (loss / max(count - len(u), 1))
        verdict = "converged" if converged else f"not converged after {used} iterations"
        verdict = verdict if len(u) else "no term is left"
        return Fit(u, covariance, float(loss), count, used, converged, verdict, starts, loose)

    def linearised(self, chosen: Sequence[int], fit: Fit) -> Linearised:
        """Return the misfit of all unknowns near a fit of some of them, as a linear problem."""
        return Linearised(*self.all_slopes(chosen, fit), fit.starts)

    def all_slopes(self, chosen: Sequence[int], fit: Fit) -> tuple[Residuals, np.ndarray]:
        """Return the residuals of a fit with their derivatives by all unknowns, and those."""
        full = np.zeros(len(self.unknowns))
        full[list(chosen)] = fit.parameters
        return self.solve(tuple(range(len(full))), full, fit.starts), full

    # --- without the solver: the integral (weak) form ----------------------------------------

    def guess(self, curve: str = "smooth") -> np.ndarray:
        """Return the starts (W, D) of all windows on a curve through the data."""
        windows = self.windows
        if not windows.free.any():
            return windows.exact
        curves, _ = self._along(curve)
        found = np.concatenate([
            curves(k, np.array([t]))
            for k, t in zip(windows.experiment, windows.begin, strict=True)
        ])  # fmt: skip
        return np.where(windows.free, found, windows.exact)

    def start(self, chosen: Sequence[int]) -> np.ndarray:
        """Return first values for `fit`: those of the integral forms whose solution fits best."""
        if not len(chosen):
            return np.zeros(0)
        if self.scaling.hidden.any():
            return self._trials(chosen)
        starts = [least_squares(*self._picked(chosen, curve)) for curve in self.curves]
        return min(starts, key=lambda u: self._misfit(chosen, u))

    def _trials(self, chosen: Sequence[int]) -> np.ndarray:
        """Return the end of the best of some short fits from random values.

        Where a variable is hidden there is no curve along which to integrate.
        """
        rng, fits = np.random.default_rng(0), []
        scaling, (rows, terms) = self.scaling, np.array(self.unknowns.pairs).T
        natural = scaling.ranges[rows] / (scaling.sizes[terms] * scaling.duration)
        size = (np.abs(self.tie) * natural[:, None]).max(axis=0)[list(chosen)]
        bounded = self.nonnegative[:, list(chosen)].any(axis=0)
        for _ in range(_RANDOM_STARTS):
            u = size * rng.standard_normal(len(chosen)) * 10 ** rng.uniform(-1, 1)
            with suppress(EstimationError):
                fits.append(self.fit(chosen, np.where(bounded, np.abs(u), u), iterations=25))
        if not fits:
            return np.zeros(len(chosen))
        return min(fits, key=lambda fit: fit.chi_square).parameters

    def _picked(self, chosen, curve):
        weak = self.weak_form(curve)
        return weak.matrix[:, list(chosen)], weak.target

    def _misfit(self, chosen, u: np.ndarray) -> float:
        try:
            residuals = self.solve(chosen, u, self.guess())
        except SolverError:
            return np.inf
        rest, _, _ = eliminate(residuals)
        return float(rest @ rest)

    @property
    def curves(self) -> tuple[str, ...]:
        """The kinds of curve that are tried; means of many runs need no smoothing."""
        return CURVES if any(map(can_cut, self.experiments)) else CURVES[:2]

    def weak_form(self, curve: str = CURVES[0]) -> Linearised:
        """Return y(t) = y(0) + θ ∫ Γ(y) dt along a curve through the data, a linear problem.

        It needs no start: it gives one to the solver.
        """
        _, integrals = self._along(curve)
        windows, rows = self.windows, np.array([row for row, _ in self.unknowns.pairs], dtype=int)
        terms = [term for _, term in self.unknowns.pairs]
        values, slopes = [], []
        for k, points, begin in zip(windows.experiment, windows.points, windows.begin, strict=True):
            running = integrals[k][points]
            if begin != self.experiments[k].origin:
                running = running - running[0]
            table = np.zeros((len(points), self.variables, len(rows)))
            table[:, rows, np.arange(len(rows))] = running[:, terms]
            slopes.append(table @ self.tie)
            values.append(table @ self.offset)
        starts = self.guess(curve)
        values = np.concatenate(values) + np.repeat(starts, np.diff(windows.first), axis=0)
        one = np.broadcast_to(np.eye(self.variables), (*values.shape, self.variables))
        residuals = self._residuals(values, np.concatenate(slopes), one)
        return Linearised(residuals, np.zeros(len(self.unknowns)), starts)

    def _along(self, curve: str):
        if curve not in self._curves:
            weights = self.factor_weights
            if weights is not None:
                weights = [
                    w.reshape(e.values.shape)
                    for w, e in zip(weights, self.experiments, strict=True)
                ]
            curves = Curves(self.scaling, curve, weights)
            self._curves[curve] = curves, curves.integrals(self.library)
        return self._curves[curve]
