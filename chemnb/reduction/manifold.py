"""Slow manifolds: fast species as functions of slow ones, by formula or solved numerically."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..networks.expressions import listing
from ..networks.fluxes import Fluxes
from ..networks.network import ReactionNetwork


class ReductionError(ValueError):
    """A reduction that cannot be made or used; the message says what, where and the fix."""


class ClosedForm:
    """Fast species as formulas of the slow ones.

    Parameters
    ----------
    slow, totals : sequence of SymPy symbol
        What the formulas may depend on, besides rate constants.
    expressions : mapping of fast species -> SymPy expression
    parameters : mapping of name -> float
        Values of the rate constants.

    Examples
    --------
    >>> import sympy
    >>> S, E_T, K = sympy.symbols("S E_T K")
    >>> enzyme = ClosedForm([S], [E_T], {"C": E_T * S / (K + S)}, {"K": 1.0})
    >>> enzyme.values([3.0], [0.2]).round(3), enzyme.slopes([3.0], [0.2]).round(4)
    (array([0.15]), array([[0.0125]]))
    """

    def __init__(self, slow, totals, expressions: Mapping, parameters: Mapping) -> None:
        import sympy

        self._arguments = [*slow, *totals]
        values = {name: value for name, value in parameters.items() if value is not None}
        column = sympy.Matrix([_with_numbers(e, values) for e in expressions.values()])
        slopes = column.jacobian(list(slow)) if len(slow) else sympy.zeros(len(column), 0)
        self._values = self._compiled(list(column))
        self._slopes = self._compiled(list(slopes))
        self._shape = slopes.shape

    def values(self, slow, totals) -> np.ndarray:
        """Return the fast species (F,)."""
        with np.errstate(all="ignore"):  # where a formula has no value, the caller says so
            return np.array(self._values(*slow, *totals), dtype=float)

    def slopes(self, slow, totals) -> np.ndarray:
        """Return their derivatives by the slow species (F, S)."""
        with np.errstate(all="ignore"):
            return np.array(self._slopes(*slow, *totals), dtype=float).reshape(self._shape)

    def _compiled(self, expressions):
        import sympy

        names = {symbol.name for symbol in self._arguments}
        unknown = {s.name for e in expressions for s in e.free_symbols} - names
        if unknown:
            raise ReductionError(
                f"{listing(sorted(unknown))} has no value; give it with "
                f"network.with_parameters({min(unknown)}=...) before reducing"
            )
        return sympy.lambdify(self._arguments, expressions, "numpy", cse=True)


class Implicit:
    """Fast species solved numerically from fast equations and conservation laws.

    Parameters
    ----------
    network : ReactionNetwork
        All rate constants need values.
    fast : sequence of str
    relaxation : array_like (F, reactions)
        How each reaction changes each fast species while they relax; the manifold is where
        ``relaxation @ φ = 0``.
    laws : array_like (totals, F)
        The conserved totals among fast species.

    Notes
    -----
    The branch is the one that the fast reactions reach from the last point, with the slow
    species held: so it is stable, and no concentration on it is negative.
    """

    def __init__(self, network: ReactionNetwork, fast: Sequence[str], relaxation, laws) -> None:
        self._fluxes = Fluxes(network)
        names = network.species
        self.fast = tuple(fast)
        self._fast = [names.index(name) for name in fast]
        self._slow = [i for i in range(len(names)) if i not in self._fast]
        self._relaxation = np.asarray(relaxation, dtype=float)
        self._laws = np.asarray(laws, dtype=float).reshape(-1, len(fast))
        self._last: np.ndarray | None = None

    def start(self, c) -> None:
        """Take a state (species,) as the point from which the branch is followed."""
        self._last = np.asarray(c, dtype=float)[self._fast]

    def values(self, slow, totals) -> np.ndarray:
        """Return the fast species (F,)."""
        totals = np.asarray(totals, dtype=float)
        found = None if self._last is None else self._newton(slow, totals, self._last)
        if found is None:
            found = self._newton(slow, totals, self._relax(slow, totals))
        if found is None:
            raise ReductionError(
                f"the fast species have no steady state at slow concentrations {list(slow)}; "
                "they may grow without bound: reduce by other fast species"
            )
        self._last = found
        return found

    def slopes(self, slow, totals) -> np.ndarray:
        """Return their derivatives by the slow species (F, S), by the implicit functions."""
        c = self._state(slow, self.values(slow, totals))
        change = self._relaxation @ self._fluxes.slopes(c)
        matrix = np.vstack([change[:, self._fast], self._laws * largest(change)])
        right = np.vstack([change[:, self._slow], np.zeros((len(self._laws), len(self._slow)))])
        return -np.linalg.lstsq(matrix, right, rcond=None)[0]

    def _state(self, slow, fast) -> np.ndarray:
        c = np.empty(len(self._fast) + len(self._slow))
        c[self._slow], c[self._fast] = slow, fast
        return c

    def _newton(self, slow, totals, guess: np.ndarray) -> np.ndarray | None:
        fast = guess.copy()
        for _ in range(30):
            c = self._state(slow, fast)
            change = self._relaxation @ self._fluxes.slopes(c)[:, self._fast]
            size = largest(change)
            residual = np.concatenate(
                [self._relaxation @ self._fluxes.values(c), size * (self._laws @ fast - totals)]
            )
            step = np.linalg.lstsq(np.vstack([change, size * self._laws]), residual, rcond=None)[0]
            fast = fast - step
            scale = np.abs(fast).max(initial=1e-300)
            if not np.all(np.isfinite(fast)):
                return None
            if np.abs(step).max() <= 1e-13 * scale:
                real = np.all(fast >= -1e-12 * scale) and self._attracts(slow, fast)
                return np.maximum(fast, 0.0) if real else None
        return None

    def _attracts(self, slow, fast) -> bool:
        change = self._relaxation @ self._fluxes.slopes(self._state(slow, fast))[:, self._fast]
        # on the laws nothing moves: those eigenvalues are zero up to rounding
        return np.linalg.eigvals(change).real.max() <= 1e-9 * largest(change)

    def _relax(self, slow, totals) -> np.ndarray:
        from scipy.integrate import solve_ivp

        def rhs(_, fast):
            return self._relaxation @ self._fluxes.values(self._state(slow, fast))

        def jac(_, fast):
            return self._relaxation @ self._fluxes.slopes(self._state(slow, fast))[:, self._fast]

        fast = self._feasible(totals)
        time = 100.0 / max(largest(jac(0, fast)), 1e-300)
        for _ in range(12):
            with np.errstate(all="ignore"):
                path = solve_ivp(rhs, (0, time), fast, method="BDF", jac=jac, rtol=1e-8, atol=1e-14)
            fast = np.maximum(path.y[:, -1], 0.0)
            if self._newton(slow, totals, fast) is not None or not path.success:
                break
            time *= 10.0
        return fast

    def _feasible(self, totals) -> np.ndarray:
        """Return nonnegative fast species with these totals, near the last point."""
        from scipy.optimize import nnls

        near = np.zeros(len(self._fast)) if self._last is None else self._last
        if not len(self._laws):
            return near
        if np.allclose(self._laws @ near, totals, rtol=1e-9, atol=0):
            return near
        return nnls(self._laws, totals)[0]


def _with_numbers(expression, values: Mapping[str, float]):
    import sympy

    expression = sympy.sympify(expression)
    return expression.xreplace(
        {s: sympy.Float(values[s.name]) for s in expression.free_symbols if s.name in values}
    )


def largest(matrix: np.ndarray) -> float:
    """Return the largest absolute entry, or 1 where there is none."""
    return float(np.abs(matrix).max(initial=0.0)) or 1.0
