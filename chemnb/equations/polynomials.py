"""Polynomial differential equations as flat tables: values, Jacobian, solution, sensitivities."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from .propagator import linear_path, pays


class SolverError(RuntimeError):
    """An initial-value problem that could not be solved; the message says how far it got."""


class PolynomialSystem:
    r"""Differential equations that are linear in their coefficients θ.

    :math:`dy_i/dt = \sum_{t: row_t = i} \theta_t \prod_d y_d^{p_{td}}`: the mass-action
    equations (Eq. 8), the moment equations (Eq. 13) and the learned equations (Eqs. 1 and 11)
    are all of this form, so one evaluator serves them without compiling anything per network.

    Parameters
    ----------
    names : sequence of str
        Names of the D state variables.
    terms : sequence of (row, {variable index: power})
        One entry a term. Powers are integers; negative ones are allowed (closures).

    Examples
    --------
    Logistic growth, y' = 2 y - y²:

    >>> logistic = PolynomialSystem(["y"], [(0, {0: 1}), (0, {0: 2})])
    >>> logistic.solve([2.0, -1.0], [0.1], [0.0, 10.0]).round(6)
    array([[0.1],
           [2. ]])
    """

    def __init__(
        self, names: Sequence[str], terms: Sequence[tuple[int, Mapping[int, int]]]
    ) -> None:
        self.names = tuple(names)
        self.terms = tuple(
            (int(row), {int(i): int(p) for i, p in f.items() if p}) for row, f in terms
        )
        self._rows = np.array([row for row, _ in self.terms], dtype=np.intp)
        self._factors = self._table([factors for _, factors in self.terms])
        slopes = [
            (t, row, i, power, factors | {i: power - 1})
            for t, (row, factors) in enumerate(self.terms)
            for i, power in factors.items()
        ]
        self._slope_term = np.array([s[0] for s in slopes], dtype=np.intp)
        self._slope_cell = np.array([s[1] * len(self.names) + s[2] for s in slopes], dtype=np.intp)
        self._slope_power = np.array([s[3] for s in slopes], dtype=float)
        self._slope_factors = self._table([s[4] for s in slopes])

    def __repr__(self) -> str:
        return f"PolynomialSystem({len(self.names)} variables, {len(self.terms)} terms)"

    @property
    def is_linear(self) -> bool:
        """Whether every term is a constant or a single variable."""
        return all(sum(map(abs, f.values())) <= 1 for _, f in self.terms)

    def monomials(self, y: np.ndarray) -> np.ndarray:
        """Return the value of every term without its coefficient: (..., D) -> (..., terms)."""
        return self._products(y, self._factors)

    def rhs(self, y: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Return dy/dt (D,) at one state."""
        flows = theta * self._products(y, self._factors)
        return np.bincount(self._rows, flows, minlength=len(self.names))

    def jacobian(self, y: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Return d(dy/dt)/dy (D, D) at one state."""
        n = len(self.names)
        flows = theta[self._slope_term] * self._slope_power
        flows = flows * self._products(y, self._slope_factors)
        return np.bincount(self._slope_cell, flows, minlength=n * n).reshape(n, n)

    def solve(
        self, theta, initial, times, *, rtol: float = 1e-9, atol: float = 1e-12
    ) -> np.ndarray:
        """Integrate from t = 0 (LSODA: switches to a stiff method by itself).

        Parameters
        ----------
        theta : array_like (terms,)
        initial : array_like (D,)
            State at t = 0.
        times : array_like (T,)
            Increasing, zero or more.

        Returns
        -------
        ndarray (T, D)

        Raises
        ------
        SolverError
            If the solution blows up or the step size vanishes.
        """
        theta = np.asarray(theta, dtype=float)
        return solve_initial_value(
            lambda _, y: self.rhs(y, theta),
            lambda _, y: self.jacobian(y, theta),
            np.asarray(initial, dtype=float),
            times,
            rtol,
            atol,
        )

    def solve_with_sensitivities(
        self, theta, initial, times, weights=None, *, rtol: float = 1e-8, atol: float = 1e-10
    ) -> tuple[np.ndarray, np.ndarray]:
        """Integrate the solution together with its derivatives.

        Parameters
        ----------
        theta, initial, times
            As in `solve`.
        weights : array_like (terms, P), optional
            dθ/du, if θ depends linearly on P parameters u; default is θ itself.

        Returns
        -------
        values : ndarray (T, D)
        slopes : ndarray (T, D, P)
            Derivatives of the values with respect to u.
        """
        theta = np.asarray(theta, dtype=float)
        weights = np.eye(len(theta)) if weights is None else np.asarray(weights, dtype=float)
        n, p = len(self.names), weights.shape[1]
        times = np.asarray(times, dtype=float)
        if self.is_linear and pays(n, p, times):
            return self._linear_path(theta, np.asarray(initial, dtype=float), times, weights)
        rows = np.zeros((n, len(theta)))
        rows[self._rows, np.arange(len(theta))] = 1.0

        def rhs(_, z):
            y, slopes = z[:n], z[n:].reshape(n, p)
            monomials = self._products(y, self._factors)
            change = self.jacobian(y, theta) @ slopes + (rows * monomials) @ weights
            return np.concatenate([rows @ (theta * monomials), change.ravel()])

        def jacobian(_, z):
            # the coupling of slopes to y is left out: it only speeds the corrector
            return block_diagonal(self.jacobian(z[:n], theta), p)

        start = np.concatenate([np.asarray(initial, dtype=float), np.zeros(n * p)])
        path = solve_initial_value(rhs, jacobian, start, times, rtol, atol)
        return path[:, :n], path[:, n:].reshape(-1, n, p)

    def _linear_path(self, theta, initial, times, weights) -> tuple[np.ndarray, np.ndarray]:
        n = len(self.names)
        cells = np.zeros((len(theta), n + 1, n + 1))  # dA/dθ; the last variable stays 1
        for term, (row, factors) in enumerate(self.terms):
            cells[term, row, next(iter(factors), n)] = 1.0
        with np.errstate(all="ignore"):
            values, slopes = linear_path(
                np.tensordot(theta, cells, 1), np.tensordot(weights.T, cells, 1),
                np.append(initial, 1.0), times,
            )  # fmt: skip
        _check_finite(values, slopes, times)
        return values[:, :n], slopes[:, :n]

    def _table(self, factors: Sequence[Mapping[int, int]]) -> np.ndarray:
        """Return factor positions (terms, degree) into [y, 1, 1/y]."""
        n = len(self.names)
        picks = [
            [i if power > 0 else n + 1 + i for i, power in f.items() for _ in range(abs(power))]
            for f in factors
        ]
        width = max((len(pick) for pick in picks), default=0)
        table = np.full((len(picks), width), n, dtype=np.intp)
        for row, pick in zip(table, picks, strict=True):
            row[: len(pick)] = pick
        return table

    def _products(self, y: np.ndarray, table: np.ndarray) -> np.ndarray:
        y = np.asarray(y, dtype=float)
        parts = [y, np.ones((*y.shape[:-1], 1))]
        if table.size and table.max() > len(self.names):
            parts.append(1.0 / y)
        return np.concatenate(parts, axis=-1)[..., table].prod(axis=-1)


def solve_initial_value(rhs, jacobian, start, times, rtol, atol) -> np.ndarray:
    """Integrate dy/dt = rhs(t, y) from t = 0 by LSODA, which turns to a stiff method by itself.

    Parameters
    ----------
    rhs, jacobian : callable (t, y) -> (D,) and (D, D)
    start : ndarray (D,)
    times : array_like (T,)
        Increasing, zero or more.

    Returns
    -------
    ndarray (T, D)

    Raises
    ------
    SolverError
        If the solution blows up or the step size vanishes.
    """
    from scipy.integrate import ODEintWarning, odeint

    if not np.all(np.isfinite(start)):
        raise SolverError("the start has values that are not finite; check the initial state")
    times = np.asarray(times, dtype=float)
    grid = times if times[0] == 0 else np.concatenate([[0.0], times])
    if len(grid) == 1:
        return start[None, :]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # failure is read from the report below and raised, not warned about
        warnings.simplefilter("ignore", ODEintWarning)
        path, info = odeint(
            rhs, start, grid, Dfun=jacobian, tfirst=True, rtol=rtol, atol=atol,
            mxstep=20_000, full_output=True,
        )  # fmt: skip
    if info["message"] != "Integration successful." or not np.all(np.isfinite(path)):
        solved = (info["tcur"] >= grid[1:]) & np.isfinite(path[1:]).all(axis=1)
        raise _given_up(grid[int(np.argmin([*solved, False]))], grid[-1])
    return path if times[0] == 0 else path[1:]


def _given_up(reached: float, end: float) -> SolverError:
    return SolverError(
        f"the equations could not be solved beyond t = {reached:g} of {end:g}; "
        "they may blow up: check the signs and sizes of the coefficients"
    )


def _check_finite(values, slopes, times) -> None:
    solved = np.isfinite(values).all(axis=1) & np.isfinite(slopes).all(axis=(1, 2))
    if not solved.all():
        raise _given_up(np.append(0.0, times)[int(np.argmin(solved))], times[-1])


def block_diagonal(block: np.ndarray, copies: int) -> np.ndarray:
    """Return the Jacobian of a state and ``copies`` slopes of it, each moved by one block."""
    n = len(block)
    result = np.zeros((n * (copies + 1), n * (copies + 1)))
    result[:n, :n] = block
    # slopes are stored species-major, so the block repeats with stride `copies`
    result[n:, n:] = np.kron(block, np.eye(copies))
    return result
