"""Differential equations of candidate terms: values, Jacobian, solution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..equations.polynomials import PolynomialSystem, solve_initial_value
from .library import Library


def term_system(
    library: Library, pairs: Sequence[tuple[int, int]]
) -> PolynomialSystem | TermSystem:
    """Return the numeric equations of a library with one coefficient a pair (equation, term).

    Examples
    --------
    >>> from chemnb.learning.monomials import monomials
    >>> term_system(monomials(1).bind(["A"]), [(0, 0)]).solve([-1.0], [2.0], [0, 1.0]).round(3)
    array([[2.   ],
           [0.736]])
    """
    if not library.is_polynomial:
        return TermSystem(library, pairs)
    powers = [np.bincount(row, minlength=len(library.names)) for row in library.factor_table()]
    terms = [(row, dict(enumerate(powers[term][: len(library.names)]))) for row, term in pairs]
    return PolynomialSystem(library.names, terms)


class TermSystem:
    r"""dy/dt = θΓ(y) for terms that need not be polynomials.

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

    def rhs(self, y, theta) -> np.ndarray:
        """Return dy/dt (D,) at one state."""
        return self._spread @ (theta * self._library.evaluate(y)[self._terms])

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
