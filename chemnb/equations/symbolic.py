"""From a network to its equations: moments of any order, closures and the mass-action limit.

Everything here is a formula (Eqs. 8 and 13). Numbers come out of `chemnb.equations.dynamics` (solutions)
and `chemnb.learning.rates` (Eq. 14). The master equation itself is in `chemnb.equations.master`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from math import factorial, prod
from typing import NamedTuple

import numpy as np

from ..networks.expressions import listing
from ..networks.network import ReactionNetwork
from .closures import (
    LOWEST_ORDER,
    Closure,
    EquationError,
    Index,
    check_closure,
    powers_of_means,
    unit_index,
)
from .derivation import Row, moment_rows
from .master import master_equation, propensities, volume_symbol
from .moments import moment_indices, moment_label
from .polynomials import PolynomialSystem

__all__ = [
    "EquationError",
    "Equations",
    "MassActionEquations",
    "MomentEquations",
    "Term",
    "mass_action",
    "master_equation",
    "moment_equations",
    "propensities",
]


class Term(NamedTuple):
    r"""One term of a system of equations: (Σ_j weights[j] c_j) Π_i y_i^exponents[i].

    Attributes
    ----------
    row : int
        The equation in which it stands.
    exponents : dict of int -> int
        Powers of the variables, by position; positions after the last equation are the
        moments left open, in the order of ``open_moments``. Empty for a constant term.
    weights : dict of int -> Fraction
        Weight of each reaction's mesoscopic rate c_j = k_j V^(1 - order_j);
        in mass-action equations, of k_j itself.
    """

    row: int
    exponents: dict[int, int]
    weights: dict[int, Fraction]


def moment_equations(
    network: ReactionNetwork, order: int = 2, kind: str = "central", closure: str | None = None
) -> MomentEquations:
    """Derive the equations of the moments up to an order from the master equation (Eq. 13).

    Exact for any mass-action network. If no reaction has more than one reactant molecule the
    system is closed; otherwise moments above the order occur, and a closure replaces them.

    Parameters
    ----------
    network : ReactionNetwork
        Rate constants may be free.
    order : int
    kind : {"central", "raw"}
        ``central``: means, variances, covariances and higher central moments (counts);
        ``raw``: means of products of counts.
    closure : {"mean-field", "normal", "log-normal", "zero-cumulant"}, optional
        See `chemnb.equations.closures.Closure`.

    Raises
    ------
    EquationError
        If the order, the kind or the closure is none of these, or a reaction has a rate law.

    Examples
    --------
    >>> skin = ReactionNetwork('''
    ...     A -> 2 A    ; r1*lam
    ...     A -> A + B  ; (1 - r1 - r2)*lam
    ...     A -> 2 B    ; r2*lam
    ...     B -> 0      ; Gamma
    ... ''')
    >>> eqs = moment_equations(skin)
    >>> eqs
    MomentEquations(order 2, central: 5 equations, closed)
    >>> eqs.equations["Var(A)"]
    lam*A*(r1 + r2) + 2*lam*Var(A)*(r1 - r2)
    >>> moment_equations(ReactionNetwork("2 A -> 0 ; k"), order=1).open_moments
    ('Var(A)',)
    """
    if not isinstance(order, (int, np.integer)) or isinstance(order, bool) or order < 1:
        raise EquationError(f"order={order!r} is not an order of moments; give 1, 2, 3, ...")
    if kind not in ("central", "raw"):
        raise EquationError(f"kind={kind!r} is unknown; give 'central' or 'raw'")
    if closure is not None:
        check_closure(closure, order)
    close = None if closure is None else Closure(closure, len(network.species), order, kind)
    _check_mass_action(
        network, "moment equations", "sample the network instead, sample(network, ...)"
    )
    rows = moment_rows(network, int(order), kind, close)
    return MomentEquations(network, int(order), kind, closure, rows)


def mass_action(network: ReactionNetwork) -> MassActionEquations:
    """Return the mass-action equations in concentrations, Kurtz's limit (Eq. 8).

    The macroscopic rate of reaction j is k_j Π_l c_l^ν_lj / ν_lj!.

    Raises
    ------
    EquationError
        If a reaction has a rate law.

    Examples
    --------
    >>> print(mass_action(ReactionNetwork("2 A <-> B ; k1, k2")))
    d/dt A = -k1*A**2 + 2*k2*B
    d/dt B = k1*A**2/2 - k2*B
    """
    _check_mass_action(network, "mass-action equations", "write its rate as a rate constant")
    n = len(network.species)
    rows: list[Row] = [{} for _ in network.species]
    for j, reactants in enumerate(network.reactants.T.tolist()):
        monomial = powers_of_means(tuple(reactants))
        for i, change in enumerate(network.stoichiometry[:, j].tolist()):
            if change:
                weight = Fraction(change, prod(map(factorial, reactants)))
                rows[i].setdefault(monomial, {})[j] = weight
    return MassActionEquations(network, [unit_index(i, n) for i in range(n)], rows)


class Equations:
    """Differential equations of a network, linear in its rate constants.

    Its two kinds say how a variable is named (``_label``), typeset (``_latex``) and which power
    of the volume goes with a rate constant (``_volume_factor``).

    Attributes
    ----------
    network : ReactionNetwork
    indices : tuple of tuple of int
        Exponents of each variable over the species.
    labels : tuple of str
        Name of each variable, in the order of the equations.
    """

    def __init__(
        self,
        network: ReactionNetwork,
        indices: Sequence[Index],
        rows: Sequence[Row],
        opened: Sequence[Index] = (),
    ) -> None:
        self.network = network
        self.indices = tuple(indices)
        self._rows = rows
        self._variables = (*self.indices, *opened)
        self._names = tuple(self._label(index) for index in self._variables)
        self.labels = self._names[: len(rows)]
        self._coefficients_known: dict[tuple, tuple] = {}

    # --- formulas --------------------------------------------------------------------------

    @cached_property
    def symbols(self) -> dict:
        """SymPy symbol of each variable (and open moment), by label."""
        from .typeset import TypesetSymbol

        return {
            name: TypesetSymbol(name, self._latex(index))
            for name, index in zip(self._names, self._variables, strict=True)
        }

    @cached_property
    def equations(self) -> dict:
        """Right-hand side of each equation (SymPy), by label."""
        import sympy

        sums: list[list] = [[] for _ in self.labels]
        for term in self.terms():
            factor, coefficient = self._coefficient(term.weights)
            sums[term.row].append(factor * coefficient * self._monomial(term.exponents))
        return {label: sympy.Add(*parts) for label, parts in zip(self.labels, sums, strict=True)}

    @cached_property
    def coefficients(self) -> dict[str, dict]:
        """What stands before each monomial (SymPy), by label of the row and monomial.

        β24 of Eq. 13 is ``coefficients["Var(B)"]["Cov(A, B)"]``. The constant term is ``"1"``,
        products are written ``"A*B"``, powers ``"A**2"``.
        """
        result: dict[str, dict] = {label: {} for label in self.labels}
        for term in self.terms():
            factor, coefficient = self._coefficient(term.weights)
            powers = ((self._names[i], power) for i, power in term.exponents.items())
            name = "*".join(n if power == 1 else f"{n}**{power}" for n, power in powers) or "1"
            result[self.labels[term.row]][name] = factor * coefficient
        return result

    def terms(self) -> list[Term]:
        """Return every term, row by row; within a row, lower powers first.

        Examples
        --------
        >>> birth_death = ReactionNetwork("0 -> A ; b \\n A -> 0 ; d")
        >>> for term in moment_equations(birth_death, order=1).terms():
        ...     print(term.row, term.exponents, {j: int(w) for j, w in term.weights.items()})
        0 {} {0: 1}
        0 {0: 1} {1: -1}
        """
        positions = {index: i for i, index in enumerate(self._variables)}
        result = []
        for i, row in enumerate(self._rows):
            found = [
                Term(i, {positions[index]: power for index, power in monomial}, weights)
                for monomial, weights in row.items()
            ]
            result += sorted(found, key=_reading_order)
        return result

    def to_latex(self) -> str:
        """Return the system as one aligned LaTeX block."""
        from .typeset import ROWS, aligned, latex, term_latex

        left = [rf"\frac{{d{self._latex(index)}}}{{dt}}" for index in self.indices]
        terms: list[list[str]] = [[] for _ in self.labels]
        for term in self.terms():
            if term.row < ROWS:
                monomial = latex(self._monomial(term.exponents)) if term.exponents else ""
                parts = self._coefficient(term.weights)
                terms[term.row] += [term_latex(*parts, monomial)] if parts[1] != 0 else []
        return aligned(list(zip(left, terms, strict=True)))

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.to_latex()}$"

    def __str__(self) -> str:
        return "\n".join(f"d/dt {label} = {rhs}" for label, rhs in self.equations.items())

    # --- numbers ---------------------------------------------------------------------------

    def polynomial_system(self) -> tuple[PolynomialSystem, np.ndarray]:
        """Return the equations as a numeric system, and its coefficients per rate constant.

        Returns
        -------
        system : PolynomialSystem
        weights : ndarray (terms, reactions)
            With the volume included: the coefficients of the terms are
            ``weights @ network.rate_constants()``.

        Raises
        ------
        EquationError
            If moments are left open.

        Examples
        --------
        >>> decay = mass_action(ReactionNetwork("2 A -> 0 ; k", k=0.5))
        >>> system, weights = decay.polynomial_system()
        >>> system.rhs([3.0], weights @ decay.network.rate_constants())
        array([-4.5])
        """
        terms = self.terms()
        weights = np.zeros((len(terms), len(self.network.reactions)))
        for t, term in enumerate(terms):
            for j, weight in term.weights.items():
                weights[t, j] = float(weight) * self._volume_factor(j, self.network.volume)
        system = PolynomialSystem(self.labels, [(t.row, t.exponents) for t in terms])
        return system, weights

    # --- inside ----------------------------------------------------------------------------

    def _monomial(self, exponents: Mapping[int, int]):
        import sympy

        names = list(self.symbols.values())
        return sympy.Mul(*(names[i] ** power for i, power in exponents.items()))

    def _coefficient(self, weights: Mapping[int, Fraction]) -> tuple:
        """Return (number and power of the volume, the rest): their product is Σ weight c."""
        key = tuple(weights.items())
        if key not in self._coefficients_known:
            self._coefficients_known[key] = self._make_coefficient(weights)
        return self._coefficients_known[key]

    def _make_coefficient(self, weights: Mapping[int, Fraction]) -> tuple:
        from .typeset import factored

        volume = volume_symbol(self.network)
        rates = {j: self.network.reactions[j].rate.to_sympy() for j in weights}
        return factored([(w, rates[j], self._volume_factor(j, volume)) for j, w in weights.items()])


class MassActionEquations(Equations):
    """The mass-action equations of a network (Eq. 8), in concentrations c = n / V.

    Made by `mass_action`; what it holds is described in `Equations`.
    """

    def __repr__(self) -> str:
        return f"MassActionEquations({len(self.labels)} species)"

    def _label(self, index: Index) -> str:
        return self.network.species[index.index(1)]

    def _latex(self, index: Index) -> str:
        from .typeset import species_latex

        return f"c_{{{species_latex(self._label(index))}}}"

    def _volume_factor(self, j: int, volume):
        return volume**0


class MomentEquations(Equations):
    """The equations of the moments of a network's state (Eq. 13), in counts.

    Made by `moment_equations`; what else it holds is described in `Equations`.

    Attributes
    ----------
    order : int
    kind : {"central", "raw"}
    closure : str or None
    open_moments : tuple of str
        Moments above the order that occur where no closure was given.
    closed : bool
        Whether there are none, so that the equations can be solved.
    """

    def __init__(self, network, order: int, kind: str, closure: str | None, rows) -> None:
        self.order, self.kind, self.closure = order, kind, closure
        used = {index for row in rows for monomial in row for index, _ in monomial}
        n, highest = len(network.species), max(map(sum, used), default=0)
        opened = [i for i in moment_indices(n, highest) if sum(i) > order and i in used]
        super().__init__(network, moment_indices(n, order), rows, opened)

    @property
    def open_moments(self) -> tuple[str, ...]:
        return self._names[len(self.labels) :]

    @property
    def closed(self) -> bool:
        return not self.open_moments

    def to_latex(self) -> str:
        """Return the system as one aligned LaTeX block, with a note if it is not closed."""
        block = super().to_latex()
        if self.closed:
            return block
        from .typeset import latex

        shown = [latex(self.symbols[label]) for label in self.open_moments[:6]]
        more = r",\ \ldots" if len(self.open_moments) > 6 else ""
        note = r"\text{not closed: needs } " + r",\ ".join(shown) + more
        return block.replace(r"\end{aligned}", "\\\\\n&" + note + r"\end{aligned}")

    def polynomial_system(self) -> tuple[PolynomialSystem, np.ndarray]:
        if not self.closed:
            shown = listing(self.open_moments[:4]) + (", ..." if self.open_moments[4:] else "")
            fitting = [name for name, lowest in LOWEST_ORDER.items() if lowest <= self.order]
            raise EquationError(
                f"the moment equations of order {self.order} are not closed: they need {shown}; "
                f"give a closure, moment_equations(network, order={self.order}, "
                f"closure='{fitting[-1]}'), one of {listing(fitting)}"
            )
        return super().polynomial_system()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"not closed, {len(self.open_moments)} moments open"
        closure = f", {self.closure} closure" if self.closure else ""
        return (
            f"MomentEquations(order {self.order}, {self.kind}{closure}: "
            f"{len(self.labels)} equations, {state})"
        )

    def _label(self, index: Index) -> str:
        return moment_label(index, self.network.species, self.kind)

    def _latex(self, index: Index) -> str:
        from .typeset import moment_latex

        return moment_latex(index, self.network.species, self.kind)

    def _volume_factor(self, j: int, volume):
        return volume ** (1 - int(self.network.reactants[:, j].sum()))


def _check_mass_action(network: ReactionNetwork, what: str, fix: str) -> None:
    for reaction in network.reactions:
        if not reaction.is_mass_action:
            raise EquationError(
                f"'{reaction}' has a rate law, but {what} are written for rate constants only; {fix}"
            )


def _reading_order(term: Term):
    powers = term.exponents
    return sum(map(abs, powers.values())), sorted(powers), sorted(powers.items())
