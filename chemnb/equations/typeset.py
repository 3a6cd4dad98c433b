"""How formulas look: Greek parameters, moments in the paper's notation, aligned systems.

This module imports SymPy; import it inside functions, so that ``import chemnb`` stays quick.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from math import gcd, lcm

import sympy
from sympy.printing.latex import LatexPrinter

from ..networks.expressions import symbol_latex
from .closures import Index

LINE = 84  # characters, as printed, after which a right-hand side goes on to the next line
ROWS = 40  # rows of a system that are shown


class TypesetSymbol(sympy.Symbol):
    r"""A SymPy symbol with a readable name in text and its own LaTeX in a notebook.

    Examples
    --------
    >>> mean = TypesetSymbol("A", r"\langle n_A\rangle")
    >>> 2 * mean, sympy.latex(mean**2)
    (2*A, '\\langle n_A\\rangle^{2}')
    """

    def __new__(cls, name: str, latex: str, **assumptions):
        # not from SymPy's cache: there, the last LaTeX given to a name would serve all
        symbol = sympy.Symbol.__xnew__(cls, name, **assumptions)
        symbol.typeset = latex
        return symbol

    def _hashable_content(self):
        return (*super()._hashable_content(), self.typeset)

    def __getnewargs_ex__(self):
        return (self.name, self.typeset), {}

    def _latex(self, printer) -> str:
        return self.typeset


class _Printer(LatexPrinter):
    """SymPy's printer with the project's parameter names, and sums that start with a plus."""

    def _print_Symbol(self, expr, style="plain"):
        return symbol_latex(expr.name)

    def _as_ordered_terms(self, expr, order=None):
        terms = super()._as_ordered_terms(expr, order)
        return sorted(terms, key=lambda t: (t.could_extract_minus_sign(), not t.is_Number))

    def parenthesize_super(self, s):
        # angle brackets hold a power together as well as round ones do
        return f"{{{s}}}" if s.startswith(r"\langle") else super().parenthesize_super(s)


def latex(expression) -> str:
    r"""Return a formula as LaTeX.

    Examples
    --------
    >>> r1, lam = sympy.symbols("r1 lam")
    >>> latex((1 - r1) * lam)
    '\\lambda \\left(1 - r_{1}\\right)'
    """
    return _Printer().doprint(sympy.sympify(expression))


def species_latex(name: str) -> str:
    """Return a species' name as LaTeX: upright if it has more than one letter."""
    return name if len(name) == 1 else r"\mathrm{" + name.replace("_", r"\_") + "}"


def moment_latex(index: Index, species: Sequence[str], kind: str = "central") -> str:
    r"""Return a moment in the paper's notation (Eq. 13).

    Examples
    --------
    >>> [moment_latex(i, "AB") for i in ((1, 0), (2, 0), (1, 1), (2, 1))]
    ['\\langle n_{A}\\rangle', 'V_{A}', '\\mathrm{Cov}_{AB}', 'M_{A^2B}']
    """
    names = [species_latex(name) for name, power in zip(species, index, strict=True) if power]
    powers = [f"^{power}" if power > 1 else "" for power in index if power]
    if kind == "raw" or sum(index) == 1:
        factors = (f"n_{{{name}}}{power}" for name, power in zip(names, powers, strict=True))
        return rf"\langle {' '.join(factors)}\rangle"
    separator = "" if all(len(name) == 1 for name in names) else ","
    if sum(index) == 2:
        letter = "V" if len(names) == 1 else r"\mathrm{Cov}"
        return f"{letter}_{{{separator.join(names)}}}"
    factors = (name + power for name, power in zip(names, powers, strict=True))
    return f"M_{{{separator.join(factors)}}}"


def tidy(expression):
    """Return a sum with its most common name factored out, if that makes it shorter.

    Examples
    --------
    >>> r1, r2, lam, k = sympy.symbols("r1 r2 lam k")
    >>> tidy((1 - r1 - r2) * lam + 2 * r2 * lam + k)
    k + lam*(-r1 + r2 + 1)
    """
    if sympy.count_ops(expression) > 200:
        return expression
    expanded = sympy.expand(expression)
    shared = [s for t in sympy.Add.make_args(expanded) for s in t.free_symbols]
    if not shared or not expanded.is_Add:
        return expanded
    common = max(sorted(set(shared), key=str), key=shared.count)
    collected = sympy.collect(expanded, common)
    return min(expanded, collected, key=sympy.count_ops)


def factored(parts: Sequence[tuple]) -> tuple:
    r"""Return (f, rest) with f * rest = Σ weight * rate * volume factor.

    f is what all parts share: a number and, where they agree, the volume factor.

    Parameters
    ----------
    parts : sequence of (Fraction, SymPy expression, SymPy expression)

    Examples
    --------
    >>> k1, k2, one = *sympy.symbols("k1 k2"), sympy.Integer(1)
    >>> factored([(Fraction(2), k1, one), (Fraction(-4), k2, one)])
    (2, k1 - 2*k2)
    """
    weights = [weight for weight, _, _ in parts]
    common = Fraction(
        reduce(gcd, (weight.numerator for weight in weights)),
        lcm(*(weight.denominator for weight in weights)),
    )
    shared = parts[0][2] if len({volume for _, _, volume in parts}) == 1 else sympy.Integer(1)
    rest = (int(weight / common) * rate * volume / shared for weight, rate, volume in parts)
    return sympy.Rational(common.numerator, common.denominator) * shared, tidy(sympy.Add(*rest))


def term_latex(factor, coefficient, monomial: str) -> str:
    """Return factor * coefficient * monomial with its sign in front.

    ``factor`` is a number (and power of the volume) kept outside the brackets.
    """
    terms = sympy.Add.make_args(coefficient)
    sign = "+"
    if all(term.could_extract_minus_sign() for term in terms):
        sign, coefficient = "-", sympy.Add(*(-term for term in terms))
    if factor.could_extract_minus_sign():
        sign, factor = "+-"[sign == "+"], -factor
    if not coefficient.is_Add or factor == 1:
        number = latex(factor * coefficient)
        if coefficient.is_Add and monomial:
            number = rf"\left({number}\right)"
    else:
        number = rf"{latex(factor)} \left({latex(coefficient)}\right)"
    if number == "1" and monomial:
        number = ""
    return f"{sign} {number} {monomial}".rstrip()


def aligned(rows: Sequence[tuple[str, Sequence[str]]], per_line: int = 1000) -> str:
    """Return equations, each a left-hand side and signed terms, as one aligned block.

    Long right-hand sides are broken; of a very long system the first rows are shown.
    """
    lines = []
    for left, terms in rows[:ROWS]:
        line, width, count = f"{left} &=", 0, 0
        for term in terms or ["+ 0"]:
            length = _width(term)
            if count and (width + length > LINE or count == per_line):
                lines.append(line)
                line, width, count = r"&\quad", 0, 0
            # the first term carries a sign only if it is a minus
            line += " " + (term.removeprefix("+ ") if line.endswith("&=") else term)
            width, count = width + length, count + 1
        lines.append(line)
    if len(rows) > ROWS:
        lines.append(rf"&\;\;\vdots \quad \text{{({len(rows) - ROWS} more)}}")
    return r"\begin{aligned}" + " \\\\\n".join(lines) + r"\end{aligned}"


def _width(term: str) -> int:
    """Return about how many characters a formula takes in print."""
    term = re.sub(r"\\(left|right|mathrm|quad|,|;)", "", term)
    term = re.sub(r"\\[A-Za-z]+", "x", term)
    return len(re.sub(r"[{}_^ ]", "", term))
