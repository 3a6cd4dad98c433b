"""The terms of a library in scaled variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .library import Library
from .units import Unit


def scaled(library: Library, scale) -> Library:
    """Return a library in z = y/scale (D,), each term divided by its size of `Library.units`.

    Products of variables stay as they are: a product of scaled variables is a scaled product.
    """
    return library if library.is_polynomial else ScaledLibrary(library, scale)


class ScaledLibrary(Library):
    """The terms of a library in scaled variables: Γ(z scale)/size.

    A product of variables stays a product under a change of units; A/(K + A) does not, so its
    K has to move with the variable.

    Examples
    --------
    >>> from chemnb.learning.own_terms import own
    >>> library = own("S/(2 + S)").bind(["S"])
    >>> ScaledLibrary(library, [10.0]).evaluate([1.0])
    array([1.])
    """

    def __init__(self, library: Library, scale) -> None:
        self.library, self.names = library, library.names
        self._scale = np.asarray(scale, dtype=float)
        self._sizes = library.units(self._scale)

    def bind(self, names: Sequence[str]) -> Library:
        """Return the library for other variables, not scaled."""
        return self.library.bind(names)

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of every term, as in the library."""
        return self.library.labels

    def evaluate(self, y) -> np.ndarray:
        """Return the terms at scaled states: (..., D) -> (..., terms)."""
        return self.library.evaluate(self._states(y) * self._scale) / self._sizes

    def jacobian(self, y) -> np.ndarray:
        """Return the derivatives of the terms by the scaled variables."""
        slopes = self.library.jacobian(self._states(y) * self._scale)
        return slopes * (self._scale / self._sizes[:, None])

    def to_sympy(self, symbols: Mapping[str, object] | None = None) -> list:
        """Return the terms as SymPy expressions of the variables themselves, not scaled."""
        return self.library.to_sympy(symbols)

    def term_units(self, units: Mapping[str, str]) -> tuple[Unit | None, ...]:
        """Return the unit of every term, as in the library."""
        return self.library.term_units(units)

    def __repr__(self) -> str:
        return f"{self.library!r}, scaled"
