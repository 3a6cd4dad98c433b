"""Candidate rational functions with one common denominator (Eq. 16)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..networks.expressions import closest, listing
from .library import LibraryError, state_symbols
from .monomials import monomials


class RationalError(ValueError):
    """Rational functions that cannot be made or read; the message says what, where and the fix."""


class RationalFamily:
    r"""Fast species as rational functions of slow ones with a common denominator (Eq. 16).

    :math:`H(c_i) = \Omega_i/\Omega` with :math:`\Omega = \sum_k \beta_k m_k` and
    :math:`\Omega_i = \sum_k \alpha_{ki} m_k`, where the :math:`m_k` are all monomials of the slow
    species up to a degree. A factor common to all coefficients changes nothing, so that one of
    them can be set to 1: `normalise`.

    Coefficients are arrays (1 + F, K): β in the first row, then one row of α for each of the F
    fast species, K monomials each.

    Parameters
    ----------
    fast : sequence of str
        The F fast species.
    of : sequence of str
        The D slow species that they depend on.
    degree : int
        Highest total power, 1 or more.

    Attributes
    ----------
    terms : tuple of str
        The K monomials, lower degrees first: ``1, P, P^2``.
    names : ndarray of str (1 + F, K)
        ``b1`` ... for β and ``a11`` ... for α, numbered as in Table III: monomial, then species.

    Raises
    ------
    RationalError
        If a species is listed twice or on both sides, none is given, or the degree is no whole
        number of 1 or more.

    Examples
    --------
    >>> family = RationalFamily(["E", "C"], ["S"], 1)
    >>> family.terms, family.names.tolist()[1]
    (('1', 'S'), ['a11', 'a21'])
    >>> coefficients = family.read({"E": "0.02/(2 + 2*S)", "C": "0.01*S/(1 + S)"})
    >>> coefficients
    array([[1.  , 1.  ],
           [0.01, 0.  ],
           [0.  , 0.01]])
    >>> family.evaluate(coefficients, [[4.0]]).round(4)
    array([[0.002, 0.008]])
    """

    def __init__(self, fast: Sequence[str], of: Sequence[str], degree: int) -> None:
        self.fast, self.of = tuple(map(str, fast)), tuple(map(str, of))
        _check_names(self.fast, self.of)
        try:
            self._library = monomials(degree, constant=True).bind(self.of)
        except LibraryError as error:
            raise RationalError(f"rational functions of {listing(self.of)}: {error}") from None
        self.degree = int(degree)
        self.terms = self._library.labels
        self.powers = np.array(self._library.terms)
        self.names = _names(len(self.fast), len(self.terms))

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (1 + F, K) of an array of coefficients."""
        return 1 + len(self.fast), len(self.terms)

    def __repr__(self) -> str:
        return (
            f"RationalFamily({', '.join(self.fast)} of {', '.join(self.of)}, degree {self.degree})"
        )

    # --- numbers ---------------------------------------------------------------------------

    def monomials(self, slow) -> np.ndarray:
        """Return the K monomials at slow states: (n, D) -> (n, K)."""
        return self._library.evaluate(slow)

    def denominator(self, coefficients, slow) -> np.ndarray:
        """Return Ω (n,) at slow states (n, D)."""
        return self.monomials(slow) @ np.asarray(coefficients)[0]

    def evaluate(self, coefficients, slow) -> np.ndarray:
        """Return the fast species (n, F) at slow states (n, D)."""
        coefficients, m = np.asarray(coefficients, dtype=float), self.monomials(slow)
        return (m @ coefficients[1:].T) / (m @ coefficients[0])[:, None]

    def slopes(self, coefficients, slow) -> np.ndarray:
        """Return the derivatives of the fast species by the slow ones: (n, D) -> (n, F, D)."""
        coefficients, slow = np.asarray(coefficients, dtype=float), np.asarray(slow, dtype=float)
        values, omega = self.evaluate(coefficients, slow), self.denominator(coefficients, slow)
        result = np.empty((*values.shape, len(self.of)))
        for d in range(len(self.of)):
            powers = self.powers.copy()
            powers[:, d] = np.maximum(powers[:, d] - 1, 0)
            m = self.powers[:, d] * (slow[:, None, :] ** powers).prod(axis=-1)
            up, down = m @ coefficients[1:].T, m @ coefficients[0]
            result[:, :, d] = (up - values * down[:, None]) / omega[:, None]
        return result

    def normalise(self, coefficients) -> np.ndarray:
        """Return the coefficients with the last term of the denominator that is not zero at 1.

        That is β3 in Table III.

        Raises
        ------
        RationalError
            If the denominator is zero.
        """
        coefficients = np.asarray(coefficients, dtype=float)
        return coefficients / coefficients[0, self.reference(coefficients)]

    def reference(self, coefficients) -> int:
        """Return the position of the term of the denominator that `normalise` sets to 1."""
        used = np.flatnonzero(np.asarray(coefficients)[0])
        if not len(used):
            raise RationalError("every coefficient of the denominator is zero; keep at least one")
        return int(used[-1])

    # --- formulas --------------------------------------------------------------------------

    def to_sympy(self, coefficients) -> dict:
        """Return fast species -> SymPy rational function; its symbols are the slow species."""
        import sympy

        terms = self._library.to_sympy(state_symbols(self.of))

        def polynomial(row):
            numbers = [sympy.Integer(1) if c == 1 else sympy.Float(c) for c in row]
            return sympy.Add(*(c * m for c, m in zip(numbers, terms, strict=True) if c != 0))

        rows = np.asarray(coefficients, dtype=float).tolist()
        below = polynomial(rows[0])
        return {
            name: polynomial(row) / below for name, row in zip(self.fast, rows[1:], strict=True)
        }

    def to_latex(self, coefficients, digits: int = 4) -> str:
        """Return the functions, with rounded coefficients, as one aligned LaTeX block."""
        import sympy

        from ..equations.typeset import aligned, latex, species_latex, term_latex

        terms = [latex(m) for m in self._library.to_sympy(state_symbols(self.of))]

        def polynomial(row):
            parts = [
                term_latex(sympy.Integer(1) if c == 1 else sympy.Float(c, digits), sympy.Integer(1),
                           "" if term == "1" else term)
                for c, term in zip(row, terms, strict=True) if c
            ]  # fmt: skip
            return " ".join(parts).replace("  ", " ").removeprefix("+ ") or "0"

        below, *above = map(polynomial, np.asarray(coefficients, dtype=float).tolist())
        rows = []
        for name, up in zip(self.fast, above, strict=True):
            formula = up if below == "1" else rf"\frac{{{up}}}{{{below}}}"
            rows.append((species_latex(name), [f"+ {formula}"]))
        return aligned(rows)

    def read(self, expressions: Mapping) -> np.ndarray:
        """Return the coefficients (1 + F, K), normalised, of rational functions given as formulas.

        Parameters
        ----------
        expressions : mapping of fast species -> SymPy expression or text
            Numbers and slow species only.

        Raises
        ------
        RationalError
            If a species is missing, a formula has other symbols, is not rational, or its degree
            over the common denominator is higher than that of the family.
        """
        import sympy

        symbols = {name: sympy.Symbol(name) for name in self.of}
        pairs = [self._fraction(name, expressions, symbols) for name in self.fast]
        below = sympy.Integer(1)
        for _, down in pairs:
            below = sympy.lcm(below, down)
        polynomials = [below, *(sympy.cancel(up * below / down) for up, down in pairs)]
        rows = [
            self._row(polynomial, list(symbols.values()), name)
            for polynomial, name in zip(polynomials, ("the denominator", *self.fast), strict=True)
        ]
        return self.normalise(rows)

    def _fraction(self, name, expressions, symbols):
        import sympy

        if name not in expressions:
            raise RationalError(
                f"no formula for '{name}'{closest(name, map(str, expressions))}; "
                f"give one for each of {listing(self.fast)}"
            )
        formula = expressions[name]
        if isinstance(formula, str):
            from ..networks.expressions import Expression

            formula = Expression(formula).to_sympy()
        formula = sympy.sympify(formula)
        # other kinds of symbols of the same name stand for the same species
        formula = formula.xreplace({s: sympy.Symbol(s.name) for s in formula.free_symbols})
        if unknown := sorted({s.name for s in formula.free_symbols} - set(symbols)):
            raise RationalError(
                f"the formula of '{name}' has {listing(unknown)}; it may hold only numbers and "
                f"{listing(symbols)}: put in the values of all rate constants and totals"
            )
        up, down = sympy.fraction(sympy.cancel(sympy.nsimplify(formula, rational=True)))
        if not (up.is_polynomial(*symbols.values()) and down.is_polynomial(*symbols.values())):
            raise RationalError(f"the formula of '{name}', {formula}, is no rational function")
        return up, down

    def _row(self, polynomial, symbols, name) -> list[float]:
        import sympy

        found = sympy.Poly(polynomial, *symbols).as_dict()
        powers = [tuple(int(p) for p in row) for row in self.powers]
        if high := [key for key in found if key not in powers]:
            raise RationalError(
                f"{name} over the common denominator has degree {max(map(sum, high))}; "
                f"this family goes up to {self.degree}"
            )
        return [float(found.get(row, 0)) for row in powers]


class Tie:
    """How free numbers make coefficients: all of them, or α only under a conservation law.

    If :math:`\\sum_i w_i c_i = T` for the fast species, then
    :math:`\\beta_k = \\sum_i w_i \\alpha_{ki} / T`, and only the α are free.

    Parameters
    ----------
    family : RationalFamily
    weights : ndarray (F,), optional
        w of the conservation law.
    total : float, optional
        T.

    Attributes
    ----------
    matrix : ndarray ((1 + F) K, free)
        Coefficients, row by row, of the free numbers.
    cells : ndarray of int (free,)
        The coefficient that each free number is.
    """

    def __init__(self, family: RationalFamily, weights=None, total: float | None = None) -> None:
        rows, terms = family.shape
        self.total, everything = total, np.arange(rows * terms)
        self.weights = None if total is None else np.asarray(weights, dtype=float)
        if total is None:
            self.cells, self.matrix = everything, np.eye(rows * terms)
        else:
            self.cells = everything[terms:]
            self.matrix = np.eye(rows * terms)[:, terms:]
            self.matrix[:terms] = np.kron(self.weights / total, np.eye(terms))


def _names(species: int, terms: int) -> np.ndarray:
    comma = "" if max(species, terms) < 10 else ","
    rows = [[f"b{k + 1}" for k in range(terms)]]
    rows += [[f"a{k + 1}{comma}{i + 1}" for k in range(terms)] for i in range(species)]
    return np.array(rows)


def _check_names(fast: tuple[str, ...], of: tuple[str, ...]) -> None:
    for names, what in ((fast, "fast"), (of, "of")):
        if not names:
            raise RationalError(f"{what}=[] is empty; name at least one species")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise RationalError(f"{what} lists {listing(twice)} twice; name each species once")
    if both := [name for name in fast if name in of]:
        raise RationalError(
            f"{listing(both)} is in fast and in of; a species is a function of the others, "
            "or they are functions of it"
        )
