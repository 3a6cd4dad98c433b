"""Libraries made of libraries: sums, and the same terms in scaled variables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from ..networks.expressions import listing
from .library import Library, LibraryError
from .units import Unit


class LibrarySum(Library):
    """The terms of several libraries, one after the other; ``a + b`` makes it.

    Raises
    ------
    LibraryError
        On binding, if two terms have the same name, one is a multiple of another, or one is
        zero everywhere.

    Examples
    --------
    >>> from chemnb.learning.library import monomials
    >>> from chemnb.learning.own_terms import own
    >>> (monomials(1) + own("S/(K + S)", K=2)).bind(["S"]).labels
    ('S', 'S/(2 + S)')
    """

    def __init__(self, parts: Sequence[Library], checked: bool = True) -> None:
        flat = [p.parts if isinstance(p, LibrarySum) else (p,) for p in parts]
        self.parts = tuple(part for group in flat for part in group)
        bound = {part.names for part in self.parts}
        if len(bound) > 1:
            raise LibraryError(
                f"{' and '.join(map(repr, self.parts))} have different variables; "
                "add libraries before they are bound"
            )
        self.names = bound.pop()
        names = [name for part in self.parts for name in part.constants]
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated and checked:
            raise LibraryError(
                f"the free constant {listing(repeated)} is in two parts; give it another name"
            )
        if self.names is not None and checked:
            check_terms(self)

    @property
    def constants(self) -> dict[str, float]:
        """Values of the free constants of all parts."""
        return {name: value for part in self.parts for name, value in part.constants.items()}

    def with_constants(self, values: Mapping[str, float]) -> LibrarySum:
        """Return the library with other values of its free constants."""
        return LibrarySum([part.with_constants(values) for part in self.parts], checked=False)

    def slope_terms(self) -> tuple[Library, list[tuple[int, str]]]:
        """Return the derivatives of the terms by the free constants, and whose they are."""
        slopes, of, first = [], [], 0
        for part in self.parts:
            if part.constants:
                library, owners = part.slope_terms()
                slopes.append(library)
                of += [(first + term, name) for term, name in owners]
            first += len(part)
        return LibrarySum(slopes, checked=False), of

    def bind(self, names: Sequence[str]) -> LibrarySum:
        """Return the same library for these state variables."""
        return LibrarySum([part.bind(names) for part in self.parts])

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of every term."""
        return tuple(label for part in self.parts for label in part.labels)

    def evaluate(self, y) -> np.ndarray:
        """Return the terms at states y: (..., D) -> (..., terms)."""
        return np.concatenate([part.evaluate(y) for part in self.parts], axis=-1)

    def jacobian(self, y) -> np.ndarray:
        """Return the derivatives of the terms by the variables: (..., D) -> (..., terms, D)."""
        return np.concatenate([part.jacobian(y) for part in self.parts], axis=-2)

    def to_sympy(self, symbols: Mapping[str, object] | None = None) -> list:
        """Return the terms as SymPy expressions."""
        return [term for part in self.parts for term in part.to_sympy(symbols)]

    def term_units(self, units: Mapping[str, str]) -> tuple[Unit | None, ...]:
        """Return the unit of every term from those of the variables; None where not known."""
        return tuple(unit for part in self.parts for unit in part.term_units(units))

    def __repr__(self) -> str:
        return " + ".join(repr(part) for part in self.parts)


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


def check_columns(library: Library, columns: np.ndarray, states: np.ndarray) -> None:
    """Raise `LibraryError` if a term is not finite along the data.

    Parameters
    ----------
    library : Library
        Bound to its variables.
    columns : ndarray (points, terms)
        The terms at the states.
    states : ndarray (points, D)
        In the user's units.
    """
    wrong = np.argwhere(~np.isfinite(columns))
    if len(wrong):
        point, term = wrong[0]
        values = zip(library.names, states[point], strict=True)
        where = ", ".join(f"{name} = {value:.4g}" for name, value in values)
        raise LibraryError(
            f"the term '{library.labels[term]}' is not finite at {where}; "
            "use a term that is defined at all data, or leave out that time"
        )


def check_terms(library: Library) -> None:
    """Raise `LibraryError` if two terms of a library are the same up to a factor, or one is zero.

    The terms are compared at a few arbitrary states, so that the way in which they are
    written plays no role.

    Examples
    --------
    >>> from chemnb.learning.own_terms import own
    >>> check_terms(own("A*(A + 1)", "A**2 + A").bind(["A"]))
    Traceback (most recent call last):
    ...
    chemnb.learning.library.LibraryError: the terms 'A*(A + 1)' and 'A**2 + A' are the same up to \
a factor; leave one out
    """
    labels = library.labels
    if repeated := [label for label, count in Counter(labels).items() if count > 1]:
        raise LibraryError(f"the library has {listing(repeated)} twice; leave one out")
    states = np.random.default_rng(0).uniform(0.5, 2.0, (7, len(library.names)))
    with np.errstate(all="ignore"):
        columns = library.evaluate(states)
    size = np.linalg.norm(columns, axis=0)
    if len(zero := np.flatnonzero(size == 0)):
        raise LibraryError(f"the term '{labels[zero[0]]}' is zero everywhere; leave it out")
    unit = columns / size
    unit[:, ~np.isfinite(size)] = 0.0  # not defined there: nothing can be said
    alike = np.triu(np.abs(unit.T @ unit) > 1 - 1e-12, k=1)
    if alike.any():
        first, second = np.argwhere(alike)[0]
        raise LibraryError(
            f"the terms '{labels[first]}' and '{labels[second]}' are the same up to a factor; "
            "leave one out"
        )
