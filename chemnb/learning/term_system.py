"""Differential equations of any candidate terms: values, Jacobian, solution, sensitivities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..equations.polynomials import block_diagonal, solve_initial_value
from .library import Library


class TermSystem:
    r"""dy/dt = θΓ(y) for terms that need not be polynomials, linear in θ.

    What `PolynomialSystem` is for products of variables, this is for every other library: it
    asks it for its terms and their derivatives only.

    Parameters
    ----------
    library : Library
        Bound to its variables.
    pairs : sequence of (equation, term)
        One coefficient each.

    Examples
    --------
    >>> from chemnb.learning.own_terms import own
    >>> system = TermSystem(own("S/(2 + S)").bind(["S"]), [(0, 0)])
    >>> system.rhs(np.array([2.0]), np.array([-1.0]))
    array([-0.5])
    """

    def __init__(self, library: Library, pairs: Sequence[tuple[int, int]]) -> None:
        self.names, self._library = library.names, library
        self._rows, self._terms = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
        self._spread = np.zeros((len(self.names), len(self._rows)))
        self._spread[self._rows, np.arange(len(self._rows))] = 1.0

    def __repr__(self) -> str:
        return f"TermSystem({len(self.names)} variables, {len(self._rows)} terms)"

    def monomials(self, y) -> np.ndarray:
        """Return the term of every pair without its coefficient: (..., D) -> (..., pairs)."""
        return self._library.evaluate(y)[..., self._terms]

    def rhs(self, y, theta) -> np.ndarray:
        """Return dy/dt (D,) at one state."""
        return self._spread @ (theta * self.monomials(y))

    def jacobian(self, y, theta) -> np.ndarray:
        """Return d(dy/dt)/dy (D, D) at one state."""
        return (self._spread * theta) @ self._library.jacobian(y)[self._terms]

    def solve(
        self, theta, initial, times, *, rtol: float = 1e-9, atol: float = 1e-12
    ) -> np.ndarray:
        """Integrate from t = 0, as `PolynomialSystem.solve`."""
        theta = np.asarray(theta, dtype=float)
        return solve_initial_value(
            lambda _, y: self.rhs(y, theta),
            lambda _, y: self.jacobian(y, theta),
            np.asarray(initial, dtype=float), times, rtol, atol,
        )  # fmt: skip

    def solve_with_sensitivities(
        self, theta, initial, times, weights=None, *, rtol: float = 1e-8, atol: float = 1e-10
    ) -> tuple[np.ndarray, np.ndarray]:
        """Integrate with the derivatives, as `PolynomialSystem.solve_with_sensitivities`.

        Returns
        -------
        values : ndarray (T, D)
        slopes : ndarray (T, D, P)
            By u, if θ depends linearly on P parameters u with ``weights`` = dθ/du; else by θ.
        """
        theta = np.asarray(theta, dtype=float)
        weights = np.eye(len(theta)) if weights is None else np.asarray(weights, dtype=float)
        n, p = len(self.names), weights.shape[1]

        def rhs(_, z):
            y, slopes = z[:n], z[n:].reshape(n, p)
            terms = self.monomials(y)
            change = self.jacobian(y, theta) @ slopes + (self._spread * terms) @ weights
            return np.concatenate([self._spread @ (theta * terms), change.ravel()])

        def jacobian(_, z):
            # the coupling of slopes to y is left out: it only speeds the corrector
            return block_diagonal(self.jacobian(z[:n], theta), p)

        start = np.concatenate([np.asarray(initial, dtype=float), np.zeros(n * p)])
        path = solve_initial_value(rhs, jacobian, start, times, rtol, atol)
        return path[:, :n], path[:, n:].reshape(-1, n, p)
