"""Rational right-hand sides with one denominator: dy/dt = P(y)/Q(y), Q fitted along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..networks.expressions import closest, listing
from .estimation import EstimationError
from .library import LibraryError
from .monomials import monomials
from .own_terms import Formulas
from .rational import RationalFamily, Tie
from .rational_data import ManifoldData
from .rational_fit import ManifoldProblem
from .units import Unit


class RationalTerms(Formulas):
    r"""Monomials over a common denominator; `rational` makes it.

    :math:`dy_i/dt = \sum_k \theta_{ik} m_k(y)/Q(y)` with
    :math:`Q = 1 + \sum_j \beta_j m_j(y)`, all β zero or more, so that Q has no root among
    concentrations. The β are free constants, fitted with θ through the solver.

    Parameters
    ----------
    degree : int
        Highest power in numerators and denominator.
    constant : bool
        Whether 1/Q is a candidate.
    denominator : sequence of str, optional
        The monomials that Q may have besides 1; default all up to the degree.
    """

    def __init__(
        self, degree: int, constant: bool, denominator: Sequence[str] | None, names=None, betas=None
    ) -> None:
        self._monomials = monomials(degree, constant)
        self.degree, self.constant, self.denominator = degree, constant, denominator
        more = "".join(
            f", {option}={value!r}"
            for option, value, usual in (
                ("constant", constant, False), ("denominator", denominator, None)
            )
            if value != usual
        )  # fmt: skip
        shown = f"rational({degree}{more})"
        if names is None:
            super().__init__((), None, shown)
            return
        import sympy

        self._monomials = self._monomials.bind(names)
        every = monomials(degree).bind(names)
        self.betas = _chosen(denominator, every.labels) if betas is None else tuple(betas)
        powers = dict(zip(every.labels, every.to_sympy(), strict=True))
        q = 1 + sum(sympy.Symbol(_beta(label)) * powers[label] for label in self.betas)
        terms = zip(self._monomials.labels, self._monomials.to_sympy(), strict=True)
        constants = {_beta(label): 0.0 for label in self.betas}
        formulas = [(f"{label}/Q", term / q) for label, term in terms]
        super().__init__(formulas, None, shown, names, constants, checked=False)

    def bind(self, names: Sequence[str]) -> RationalTerms:
        """Return the same library for these state variables.

        Raises
        ------
        LibraryError
            If the denominator names an unknown monomial.
        """
        return RationalTerms(self.degree, self.constant, self.denominator, names)

    def without(self, constant: str) -> RationalTerms:
        """Return the library without one term of the denominator."""
        kept = [label for label in self.betas if _beta(label) != constant]
        other = RationalTerms(self.degree, self.constant, self.denominator, self.names, kept)
        return other.with_constants(self.constants)

    def term_units(self, units: Mapping[str, str]) -> tuple[Unit | None, ...]:
        """Return the units of the numerators: the denominator is a plain number."""
        return self._monomials.term_units(units)

    def started(self, states: np.ndarray, slopes: np.ndarray, runs: Sequence[slice]):
        """Return the library with β from the implicit equation Q dy/dt = P along a curve.

        Parameters
        ----------
        states, slopes : ndarray (n, D)
            Points of a smooth curve through the data, and its derivatives.
        runs : sequence of slice
            The points of each experiment.
        """
        names = [f"d({name})" for name in self.names]
        scale = np.abs(states).max(axis=0)
        family = RationalFamily(names, self.names, self.degree)
        data = ManifoldData(
            tuple(names), self.names, np.arange(len(states)), tuple(runs), slopes, states / scale,
            0.05 * np.abs(slopes).max(axis=0), np.zeros(len(scale)),
            tuple([None] * len(scale) for _ in runs),
        )  # fmt: skip
        problem = ManifoldProblem(data, family, Tie(family), nonnegative=False)
        used = [family.terms[0], *self.betas]
        allowed = [label in used for label in family.terms] + [True] * (
            (family.shape[0] - 1) * family.shape[1]
        )
        try:
            row = problem.fit(np.flatnonzero(allowed)).coefficients[0]
        except EstimationError:
            row = np.zeros(len(family.terms))
        sizes = (scale ** np.array(family.powers)).prod(axis=1)
        found = dict(zip(family.terms, row / sizes, strict=True))
        # without a root between: what comes out negative starts small
        base = row[0] if row[0] > 0 else np.abs(row).max(initial=1.0)
        least = dict(zip(family.terms, 0.05 / sizes, strict=True))
        return self.with_constants(
            {_beta(label): max(found[label] / base, least[label]) for label in self.betas}
        )


def rational(
    degree: int, *, constant: bool = False, denominator: Sequence[str] | None = None
) -> RationalTerms:
    """Return the library of rational functions with one common denominator.

    Parameters
    ----------
    degree : int
        Highest power in numerators and denominator, 1 or more.
    constant : bool
        Whether a constant may stand in the numerators.
    denominator : list of str, optional
        The monomials that may stand in the denominator besides 1, such as ``["S"]``; default
        all up to the degree. The fit drops those that the data do not ask for.

    Raises
    ------
    LibraryError
        If the degree is not a positive whole number.

    Examples
    --------
    >>> library = rational(1).bind(["S", "P"])
    >>> library.labels, library.constants
    (('S/Q', 'P/Q'), {'b(S)': 0.0, 'b(P)': 0.0})
    >>> library.with_constants({"b(S)": 0.5}).evaluate([2.0, 4.0])
    array([1., 2.])
    """
    if isinstance(denominator, str):
        denominator = [denominator]
    return RationalTerms(degree, constant, denominator)


def _beta(label: str) -> str:
    return f"b({label})"


def _chosen(denominator, labels: Sequence[str]) -> tuple[str, ...]:
    if denominator is None:
        return tuple(labels)
    for label in denominator:
        if label not in labels:
            raise LibraryError(
                f"denominator names '{label}'{closest(label, labels)}; there are {listing(labels)}"
            )
    return tuple(label for label in labels if label in denominator)
