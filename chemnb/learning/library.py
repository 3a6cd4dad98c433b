"""Candidate terms Γ(y) for the right-hand sides that are to be learned, and sums of them (Eq. 1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from ..networks.expressions import listing
from .units import Unit


class LibraryError(ValueError):
    """A library that cannot be made or used; the message says what, where and the fix."""


class Library:
    r"""Candidate terms :math:`\Gamma(y)` of :math:`dy/dt = \theta\,\Gamma(y)` (Eq. 1).

    A library is written without names, ``monomials(2)``, and bound to the names of the data
    when it is fitted. What `ODENet` asks of a library is listed here; a kind of library
    supplies it.

    Attributes
    ----------
    names : tuple of str or None
        The state variables, once bound.
    """

    names: tuple[str, ...] | None = None

    def bind(self, names: Sequence[str]) -> Library:
        """Return the same library for these state variables."""
        raise NotImplementedError

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of every term, such as ``A^2`` or ``A B``."""
        raise NotImplementedError

    def evaluate(self, y) -> np.ndarray:
        """Return the terms at states y: (..., D) -> (..., terms)."""
        raise NotImplementedError

    def jacobian(self, y) -> np.ndarray:
        """Return the derivatives of the terms by the variables: (..., D) -> (..., terms, D)."""
        raise NotImplementedError

    def to_sympy(self, symbols: Mapping[str, object] | None = None) -> list:
        """Return the terms as SymPy expressions; ``symbols`` maps names to SymPy symbols."""
        raise NotImplementedError

    def term_units(self, units: Mapping[str, str]) -> tuple[Unit | None, ...]:
        """Return the unit of every term from those of the variables; None where not known."""
        raise NotImplementedError

    def units(self, scale) -> np.ndarray:
        """Return the size (terms,) of every term where each variable equals its scale (D,).

        A term that is zero or not finite there has the size 1, so that sizes can divide.
        """
        with np.errstate(all="ignore"):
            sizes = np.abs(self.evaluate(scale))
        return np.where(np.isfinite(sizes) & (sizes > 0), sizes, 1.0)

    @property
    def constants(self) -> dict[str, float]:
        """Values of constants inside the terms that are fitted along; none by default."""
        return {}

    def with_constants(self, values: Mapping[str, float]) -> Library:
        """Return the library with other values of its free constants."""
        return self

    @property
    def is_polynomial(self) -> bool:
        """Whether every term is a product of variables, so that there is a `factor_table`."""
        return False

    def factor_table(self) -> np.ndarray:
        """Return the factors of every term as positions in [y, 1]: (terms, factors).

        Raises
        ------
        LibraryError
            If a term is no product of variables.
        """
        raise LibraryError(f"{self!r} has terms that are no products of variables")

    def __add__(self, other: Library) -> Library:
        if not isinstance(other, Library):
            return NotImplemented
        return LibrarySum([self, other])

    def __len__(self) -> int:
        return len(self.labels)

    def _bound(self) -> tuple[str, ...]:
        if self.names is None:
            raise LibraryError(f"{self!r} has no variables yet; name them first: .bind(['A', 'B'])")
        return self.names

    def _states(self, y) -> np.ndarray:
        """Return states as an array (..., D)."""
        y = np.asarray(y, dtype=float)
        if y.shape[-1:] != (len(self._bound()),):
            raise LibraryError(
                f"states of shape {y.shape} for the variables {listing(self.names)}; "
                f"the last axis needs length {len(self.names)}"
            )
        return y

    def _repr_latex_(self) -> str | None:
        if self.names is None:
            return None
        from ..equations.typeset import latex

        terms = ", ".join(latex(term) for term in self.to_sympy(state_symbols(self.names)))
        return rf"$\displaystyle \Gamma(y) = \left({terms}\right)$"


class LibrarySum(Library):
    """The terms of several libraries, one after the other; ``a + b`` makes it.

    Raises
    ------
    LibraryError
        On binding, if two terms have the same name, one is a multiple of another, or one is
        zero everywhere.

    Examples
    --------
    >>> from chemnb.learning.monomials import monomials
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


def state_symbols(names: Sequence[str]) -> dict:
    r"""Return a SymPy symbol for each state variable, with moments typeset as in Eq. 13.

    Examples
    --------
    >>> import sympy
    >>> [sympy.latex(s) for s in state_symbols(["A", "Var(A)", "Cov(A, B)"]).values()]
    ['A', 'V_{A}', '\\mathrm{Cov}_{A,B}']
    """
    from ..equations.typeset import TypesetSymbol, species_latex

    result = {}
    for name in names:
        kind, _, inside = name.rstrip(")").partition("(")
        shown = ",".join(species_latex(part) for part in inside.split(", "))
        letter = {"Var": "V", "Cov": r"\mathrm{Cov}"}.get(kind)
        tex = f"{letter}_{{{shown}}}" if letter and inside else species_latex(name)
        result[name] = TypesetSymbol(name, tex)
    return result
