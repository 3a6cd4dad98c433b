"""Products of powers of the state variables as candidate terms (Eqs. 11 and 16)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from math import comb

import numpy as np

from ..networks.expressions import listing
from .library import Library, LibraryError
from .units import Unit, product_unit

_MOST_TERMS = 2000


class Monomials(Library):
    """All products of powers of the state variables up to a degree; `monomials` makes it."""

    def __init__(
        self, degree: int, constant: bool = False, names: Sequence[str] | None = None
    ) -> None:
        if not isinstance(degree, (int, np.integer)) or isinstance(degree, bool) or degree < 1:
            raise LibraryError(
                f"degree={degree!r} in monomials(degree); use a whole number of 1 or more"
            )
        self.degree, self.constant = int(degree), bool(constant)
        self.names = None if names is None else self._check(names)

    def bind(self, names: Sequence[str]) -> Monomials:
        """Return the same library for these state variables.

        Raises
        ------
        LibraryError
            If a name is repeated or there would be thousands of terms.
        """
        return Monomials(self.degree, self.constant, names)

    @property
    def terms(self) -> tuple[tuple[int, ...], ...]:
        """Exponents of every term: lower degrees first, within a degree A², A B, B²."""
        names = self._bound()
        degrees = range(0 if self.constant else 1, self.degree + 1)
        picks = (
            Counter(pick)
            for total in degrees
            for pick in combinations_with_replacement(range(len(names)), total)
        )
        return tuple(tuple(pick[i] for i in range(len(names))) for pick in picks)

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of every term; the constant term is ``1``."""
        return tuple(
            " ".join(
                name if power == 1 else f"{name}^{power}"
                for name, power in zip(self._bound(), term, strict=True)
                if power
            )
            or "1"
            for term in self.terms
        )

    def evaluate(self, y) -> np.ndarray:
        """Return the terms at states y: (..., D) -> (..., terms)."""
        return (self._states(y)[..., None, :] ** np.array(self.terms)).prod(axis=-1)

    def jacobian(self, y) -> np.ndarray:
        """Return the derivatives of the terms by the variables: (..., D) -> (..., terms, D)."""
        y, powers = self._states(y)[..., None, :], np.array(self.terms)
        columns = []
        for d in range(len(self.names)):
            lower = powers.copy()
            lower[:, d] = np.maximum(lower[:, d] - 1, 0)
            columns.append(powers[:, d] * (y**lower).prod(axis=-1))
        return np.stack(columns, axis=-1)

    def to_sympy(self, symbols: Mapping[str, object] | None = None) -> list:
        """Return the terms as SymPy expressions; ``symbols`` maps names to SymPy symbols."""
        import sympy

        symbols = symbols or {}
        bases = [symbols.get(name, sympy.Symbol(name)) for name in self._bound()]
        return [
            sympy.Mul(*(base**power for base, power in zip(bases, term, strict=True)))
            for term in self.terms
        ]

    def term_units(self, units: Mapping[str, str]) -> tuple[Unit | None, ...]:
        """Return the unit of every term from those of the variables; None where not known."""
        known = [units.get(name) for name in self._bound()]
        return tuple(product_unit(zip(known, term, strict=True)) for term in self.terms)

    def units(self, scale) -> np.ndarray:
        """Return the value (terms,) of every term where each variable equals its scale (D,)."""
        return self.evaluate(scale)

    @property
    def is_polynomial(self) -> bool:
        """True."""
        return True

    def factor_table(self) -> np.ndarray:
        """Return the factors of every term as positions in [y, 1]: (terms, degree)."""
        last = len(self._bound())
        table = np.full((len(self.terms), self.degree), last, dtype=np.int64)
        for row, term in zip(table, self.terms, strict=True):
            factors = [i for i, power in enumerate(term) for _ in range(power)]
            row[: len(factors)] = factors
        return table

    def __repr__(self) -> str:
        inside = f"{self.degree}, constant=True" if self.constant else f"{self.degree}"
        shown = f"monomials({inside})"
        return shown if self.names is None else f"{shown} of {', '.join(self.names)}"

    def _check(self, names: Sequence[str]) -> tuple[str, ...]:
        names = tuple(str(name) for name in names)
        if not names:
            raise LibraryError("no variables to bind; give at least one name: .bind(['A', 'B'])")
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise LibraryError(
                f"{listing(repeated)} is named twice; every variable needs its own name"
            )
        size = comb(len(names) + self.degree, self.degree)
        if size > _MOST_TERMS:
            raise LibraryError(
                f"monomials({self.degree}) of {len(names)} variables has {size} terms, more than "
                f"{_MOST_TERMS}; use a lower degree or fewer variables"
            )
        return names


def monomials(degree: int, constant: bool = False) -> Monomials:
    """Return the library of all monomials up to a degree (Eq. 11 for degree 2).

    Parameters
    ----------
    degree : int
        Highest total power, 1 or more.
    constant : bool
        Whether the constant term 1 is a candidate (a source from nothing).

    Raises
    ------
    LibraryError
        If the degree is not a positive whole number.

    Examples
    --------
    >>> library = monomials(2).bind(["A", "B"])
    >>> library.labels
    ('A', 'B', 'A^2', 'A B', 'B^2')
    >>> library.evaluate([2.0, 3.0])
    array([2., 3., 4., 6., 9.])
    """
    return Monomials(degree, constant)
