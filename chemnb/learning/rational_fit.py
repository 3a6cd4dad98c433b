"""Least squares for rational functions of slow species, in the metric of all errors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .estimation import EstimationError
from .rational import RationalFamily, Tie
from .rational_data import ManifoldData

_ITERATIONS = 80
_RELATIVE_FLOOR = 1e-9  # of the values: misfits below are rounding


@dataclass(frozen=True)
class Fit:
    """Coefficients that fit best.

    Attributes
    ----------
    columns : ndarray of int
        Which free numbers of the `Tie` are in use.
    numbers : ndarray
        Their values; the denominator is 1 on average.
    coefficients : ndarray (1 + F, K)
    misfit : float
        Root mean square of the residuals in units of their expected errors.
    jacobian : ndarray
        Of the weighted predictions, by the numbers.
    converged : bool
    iterations : int
    """

    columns: np.ndarray
    numbers: np.ndarray
    coefficients: np.ndarray
    misfit: float
    jacobian: np.ndarray
    converged: bool
    iterations: int


class ManifoldProblem:
    r"""Fast species c as :math:`\Omega_i(s)/\Omega(s)`, in the metric of their errors.

    The errors are those of the fast species, those that smoothing leaves in the slow ones, which
    are correlated over a run and reach c through the slope of the curve, and what the curve
    itself lacks (the O(ε) of a slow manifold). Generalised least squares takes all three.

    Parameters
    ----------
    data : ManifoldData
    family : RationalFamily
    tie : Tie
    nonnegative : bool
        Whether no coefficient may be below zero.

    Attributes
    ----------
    scale : ndarray (F,)
        What shares of a fast species refer to: its total if there is one, else its largest value.
    """

    def __init__(
        self, data: ManifoldData, family: RationalFamily, tie: Tie, nonnegative: bool = True
    ) -> None:
        self.data, self.family, self.tie, self.nonnegative = data, family, tie, nonnegative
        self.scale = data.largest
        if tie.total is not None:
            held = tie.weights > 0
            self.scale[held] = tie.total / tie.weights[held]
        self._m = family.monomials(data.slow)
        rows, terms = family.shape
        mean = np.zeros((rows, terms))
        mean[0] = self._m.mean(axis=0)
        self._gauge = mean.ravel() @ tie.matrix
        self.weigh(None, 0.0)

    @property
    def enough(self) -> bool:
        """Whether there are as many independent data as free coefficients of all terms."""
        return self._independent >= len(self.tie.cells) - 1

    @property
    def everything(self) -> np.ndarray:
        """The columns of all free numbers."""
        return np.arange(len(self.tie.cells))

    # --- errors ----------------------------------------------------------------------------

    def weigh(self, coefficients, lack: float) -> None:
        """Set the expected errors: ``lack`` is what the curve itself lacks, as a share of scale.

        The errors of the slow species count where there are coefficients to tell the slope.
        """
        floor = max(lack, _RELATIVE_FLOOR) * self.scale
        self._sigma = np.sqrt(self.data.noise**2 + floor**2)
        self._nuisance = [None] * len(self.data.runs)
        if coefficients is None:
            return
        slopes = self.family.slopes(coefficients, self.data.slow) / self._sigma[:, None]
        for r, (run, spreads) in enumerate(zip(self.data.runs, self.data.spread, strict=True)):
            reach = [
                (slopes[run, :, d, None] * spread[:, None, :]).reshape(-1, spread.shape[1])
                for d, spread in enumerate(spreads)
                if spread is not None
            ]
            if reach:
                # errors u of the smooth curve, standard normal each, are fitted along and
                # projected out once: the same as weighting with the full covariance
                tall = np.hstack(reach)
                self._nuisance[r] = np.linalg.qr(np.vstack([tall, np.eye(tall.shape[1])]))[0]

    def errors(self, fit: Fit) -> np.ndarray:
        """Return the standard deviations (n, F) that the errors of the data explain."""
        slopes = self.family.slopes(fit.coefficients, self.data.slow)
        variance = np.zeros_like(self.data.fast) + self.data.noise**2
        for run, spreads in zip(self.data.runs, self.data.spread, strict=True):
            for d, spread in enumerate(spreads):
                if spread is not None:
                    own = np.sum(spread**2, axis=1)
                    variance[run] += slopes[run, :, d] ** 2 * own[:, None]
        return np.sqrt(variance)

    def lack(self, fit: Fit) -> float:
        """Return the misfit that is not explained by errors of the data, as a share of scale."""
        rest = (self.residuals(fit) ** 2 - self.errors(fit) ** 2) / self.scale**2
        return float(np.sqrt(max(rest.mean(), 0.0)))

    def residuals(self, fit: Fit) -> np.ndarray:
        """Return data minus curve (n, F)."""
        return self.data.fast - self.family.evaluate(fit.coefficients, self.data.slow)

    # --- fit -------------------------------------------------------------------------------

    def fit(self, columns: np.ndarray, start: np.ndarray | None = None) -> Fit:
        """Fit some free numbers by damped Gauss-Newton steps, the others zero.

        Each step is a least-squares problem for the numbers themselves, so that bounds at zero
        hold exactly (nonnegative least squares).

        Raises
        ------
        EstimationError
            If there are fewer data than numbers, or no start has a positive denominator.
        """
        if self._independent < len(columns) - 1:
            raise EstimationError(
                f"{self._independent} independent data for {len(columns) - 1} free coefficients"
            )
        numbers = self._start(columns) if start is None else np.asarray(start, dtype=float)
        state = self._evaluate(numbers, columns)
        if state is None:
            numbers = self._start(columns)
            state = self._evaluate(numbers, columns)
        damping, converged, used = 1e-4, False, 0
        for used in range(1, _ITERATIONS + 1):  # noqa: B007 (the verdict reads it)
            residual, jacobian = state
            loss = residual @ residual
            trial = self._step(jacobian, residual, numbers, columns, damping)
            size = np.linalg.norm(jacobian, axis=0)
            moved = np.linalg.norm(size * (trial - numbers))
            after = self._evaluate(trial, columns)
            better = after is not None and after[0] @ after[0] <= loss * (1 + 1e-13)
            if better:
                numbers, state = trial, after
                damping = max(damping / 10, 1e-14)
                converged = loss - after[0] @ after[0] <= 1e-11 * loss and damping < 1e-6
            else:
                damping *= 10
            if moved <= 1e-10 * np.linalg.norm(size * numbers):
                converged = True
            if converged or damping > 1e8:
                break
        residual, jacobian = state
        misfit = float(np.sqrt(residual @ residual / self.data.fast.size))
        return Fit(
            columns, numbers, self._coefficients(numbers, columns), misfit, jacobian, converged, used
        )  # fmt: skip

    def fixed(self, fit: Fit) -> Fit:
        """Return a fit as it is, with the misfit and the derivatives that it has here."""
        self.weigh(fit.coefficients, self.lack(fit))
        residual, jacobian = self._linearised(fit.coefficients, fit.columns)
        misfit = float(np.sqrt(residual @ residual / self.data.fast.size))
        return replace(fit, misfit=misfit, jacobian=jacobian)

    def contributions(self, fit: Fit) -> np.ndarray:
        """Return the largest share of each number's term, of the fast species or of Ω."""
        m = self._m / (self._m @ fit.coefficients[0])[:, None]
        most = np.abs(fit.coefficients) * m.max(axis=0)
        most[1:] /= self.scale[:, None]
        return most.ravel()[self.tie.cells[fit.columns]]

    def covariance(self, fit: Fit) -> np.ndarray:
        """Return the covariance of the numbers, along the moves that change the curve."""
        size = np.linalg.norm(fit.jacobian, axis=0)
        size[size == 0] = 1.0
        _, values, right = np.linalg.svd(fit.jacobian / size, full_matrices=False)
        # the last direction is the common factor, which changes nothing
        keep = values > 1e-8 * values[0]
        keep[-1] = False
        inverse = (right[keep].T / values[keep] ** 2) @ right[keep]
        return inverse / np.outer(size, size)

    def condition(self, columns: np.ndarray, coefficients: np.ndarray) -> float:
        """Return how nearly alike the effects of these numbers are (1: not at all)."""
        self.weigh(None, 1.0)
        _, jacobian = self._linearised(coefficients, columns)
        size = np.linalg.norm(jacobian, axis=0)
        values = np.linalg.svd(jacobian / np.where(size > 0, size, 1.0), compute_uv=False)
        return float(values[0] / max(values[-2], 1e-300)) if len(values) > 1 else 1.0

    # --- inside ----------------------------------------------------------------------------

    def _coefficients(self, numbers, columns) -> np.ndarray:
        return (self.tie.matrix[:, columns] @ numbers).reshape(self.family.shape)

    @property
    def _independent(self) -> int:
        """Data that are not given by others: a conservation law ties one species."""
        n, species = self.data.fast.shape
        return n * (species - (self.tie.total is not None))

    def _evaluate(self, numbers, columns):
        """Return weighted residuals and derivatives, None where the denominator is not positive."""
        coefficients = self._coefficients(numbers, columns)
        omega = self._m @ coefficients[0]
        if not np.all(np.isfinite(omega)) or omega.min() <= 1e-9 * abs(omega.mean()):
            return None
        return self._linearised(coefficients, columns)

    def _linearised(self, coefficients, columns):
        values = self.family.evaluate(coefficients, self.data.slow)
        q = self._m / (self._m @ coefficients[0])[:, None]
        n, species = values.shape
        slopes = np.zeros((n, species, *self.family.shape))
        slopes[:, :, 0] = -values[:, :, None] * q[:, None]
        for i in range(species):
            slopes[:, i, i + 1] = q
        slopes = slopes.reshape(n, species, -1) @ self.tie.matrix[:, columns]
        jacobian = slopes / self._sigma[:, None]
        residual = (self.data.fast - values) / self._sigma
        return (
            self._whitened(residual[:, :, None])[:, 0],
            self._whitened(jacobian),
        )

    def _whitened(self, table: np.ndarray) -> np.ndarray:
        """Return a table (n, F, columns) as rows, with the errors of the slow species gone."""
        parts = []
        for run, q in zip(self.data.runs, self._nuisance, strict=True):
            part = table[run].reshape(-1, table.shape[2])
            if q is not None:
                inside = q[: len(part)].T @ part
                part = np.vstack([part, np.zeros((len(q) - len(part), part.shape[1]))])
                part = part - q @ inside
            parts.append(part)
        return np.concatenate(parts)

    def _step(self, jacobian, residual, numbers, columns, damping) -> np.ndarray:
        size = np.linalg.norm(jacobian, axis=0)
        size[size == 0] = 1.0
        q, r = np.linalg.qr(jacobian / size)
        gauge = self._gauge[columns] / size
        weight = 1 / max(np.abs(gauge).max(), 1e-300)
        # the common factor costs nothing elsewhere, so that its row is met exactly
        matrix = np.vstack([r, weight * gauge, np.sqrt(damping) * np.eye(len(size))])
        target = np.concatenate(
            [q.T @ (residual + jacobian @ numbers), [weight], np.sqrt(damping) * numbers * size]
        )
        return self._least_squares(matrix, target) / size

    def _least_squares(self, matrix, target) -> np.ndarray:
        if not self.nonnegative:
            return np.linalg.lstsq(matrix, target, rcond=None)[0]
        from scipy.optimize import lsq_linear, nnls

        try:
            return nnls(matrix, target, maxiter=100 * matrix.shape[1] + 100)[0]
        except RuntimeError:  # it may cycle; the slower method does not
            return lsq_linear(matrix, target, bounds=(0, np.inf)).x

    def _start(self, columns) -> np.ndarray:
        """Return numbers for which the denominator is positive.

        c Ω - Ω_i = 0 is linear; divided by the last Ω again and again it becomes the real
        problem (Sanathanan and Koerner 1963, doi:10.1109/TAC.1963.1105517).
        """
        numbers, gauge = self._linear_fit(columns), self._gauge[columns]
        inside = gauge > 0
        if not inside.any():
            raise EstimationError("no term of the denominator is left; keep at least one")
        even = np.where(inside, 1 / np.where(inside, gauge, 1.0) / inside.sum(), 0.0)
        for share in (0.0, 1e-3, 1e-2, 0.1, 1.0):
            trial = (1 - share) * numbers + share * even
            if self._evaluate(trial, columns) is not None:
                return trial
        raise EstimationError("no start with a positive denominator was found; drop fewer terms")

    def _linear_fit(self, columns) -> np.ndarray:
        n, species = self.data.fast.shape
        table = np.zeros((n, species, *self.family.shape))
        table[:, :, 0] = self.data.fast[:, :, None] * self._m[:, None]
        for i in range(species):
            table[:, i, i + 1] = -self._m
        table = table.reshape(n, species, -1) @ self.tie.matrix[:, columns]
        table /= self._sigma[:, None]
        weight, gauge = np.ones(n), self._gauge[columns]
        for _ in range(6):
            rows = (table * weight[:, None, None]).reshape(n * species, -1)
            size = np.linalg.norm(rows, axis=0)
            size[size == 0] = 1.0
            r = np.linalg.qr(rows / size, mode="r")
            row = gauge / size
            # heavy, because here a smaller common factor would make the misfit smaller
            heavy = 1e4 / max(np.abs(row).max(), 1e-300)
            matrix = np.vstack([r, heavy * row])
            numbers = self._least_squares(matrix, np.append(np.zeros(len(r)), heavy)) / size
            omega = np.abs(self._m @ self._coefficients(numbers, columns)[0])
            weight = 1 / np.maximum(omega, 1e-3 * omega.mean() + 1e-300)
        return numbers
