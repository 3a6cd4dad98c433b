"""The chemical master equation of a network (Eqs. 4 and 12) and its propensities (Eq. 5)."""

from __future__ import annotations

from math import factorial, prod

from ..networks.network import NetworkError, ReactionNetwork
from ..networks.reactions import Reaction

_NAMED_ARGUMENTS = 4  # more species than this are written p(n), with unit vectors


class Formula:
    """A formula that shows itself: LaTeX in a notebook, text elsewhere."""

    def __init__(self, latex: str, text: str) -> None:
        self.latex, self.text = latex, text

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex}$"

    def __repr__(self) -> str:
        return self.text


class Propensities(tuple):
    """The propensities Φ_j as SymPy expressions; shows itself as a list of formulas."""

    network: ReactionNetwork

    def to_latex(self) -> str:
        """Return one aligned LaTeX block, a reaction a row."""
        from .typeset import aligned, term_latex

        rows = []
        for j, reaction in enumerate(self.network.reactions):
            product = _molecules_latex(reaction, dict.fromkeys(self.network.species, 0))
            number, rate = _rate(self.network, reaction)
            rows.append((rf"\Phi_{{{j + 1}}}", [term_latex(number, rate, product)]))
        return aligned(rows)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.to_latex()}$"


def propensities(network: ReactionNetwork) -> Propensities:
    """Return the propensity Φ_j(n) of every reaction in symbols n_A, n_B, ... (Eq. 5).

    The volume appears as V where it is not one. Below the order of the reaction the formula
    is zero for whole numbers of molecules, as it must be.

    Raises
    ------
    NetworkError
        If a rate constant has the name of a count, such as ``n_A``, or a reaction has a rate law.

    Examples
    --------
    >>> propensities(ReactionNetwork("2 A -> B ; k \\n 0 -> A ; b", volume=10))
    (k*n_A*(n_A - 1)/(2*V), V*b)
    """
    counts = _count_symbols(network)
    result = Propensities(_propensity(network, r, counts) for r in network.reactions)
    result.network = network
    return result


def master_equation(network: ReactionNetwork) -> MasterEquation:
    """Return the chemical master equation of a network (Eq. 4 written out, as in Eq. 12).

    Examples
    --------
    >>> master_equation(ReactionNetwork("A -> B ; k"))
    d/dt p(n_A, n_B) = -k*n_A*p(n_A, n_B, t) + k*(n_A + 1)*p(n_A + 1, n_B - 1, t)
    """
    return MasterEquation(network)


class MasterEquation:
    """The chemical master equation dp(n, t)/dt = gain - loss; p is zero for negative counts.

    Attributes
    ----------
    network : ReactionNetwork
    lhs, rhs : SymPy expressions
        In the counts ``n_A, n_B, ...`` and the function ``p(n_A, n_B, ..., t)``.
    general : Formula
        Eq. 4, the form that all networks share.
    """

    def __init__(self, network: ReactionNetwork) -> None:
        import sympy

        self.network = network
        counts = _count_symbols(network)
        p, t = sympy.Function("p"), sympy.Symbol("t")
        self.lhs = sympy.Derivative(p(*counts.values(), t), t)
        parts = []
        for j, reaction in enumerate(network.reactions):
            before = {
                name: n - int(u)
                for (name, n), u in zip(counts.items(), network.stoichiometry[:, j], strict=True)
            }
            parts.append(_propensity(network, reaction, before) * p(*before.values(), t))
            parts.append(-_propensity(network, reaction, counts) * p(*counts.values(), t))
        self.rhs = sympy.Add(*parts)

    @property
    def general(self) -> Formula:
        """The form that all networks share (Eq. 4)."""
        return Formula(
            r"\frac{d}{dt}p(\mathbf{n}) = \sum_{j=1}^{M} \left["
            r"p(\mathbf{n}-\mathbf{u}_j)\,\Phi_j(\mathbf{n}-\mathbf{u}_j)"
            r" - p(\mathbf{n})\,\Phi_j(\mathbf{n})\right]",
            "d/dt p(n) = sum_j [p(n - u_j) Phi_j(n - u_j) - p(n) Phi_j(n)]",
        )

    def to_latex(self) -> str:
        """Return the equation as Eq. 12: for each reaction, what flows in less what flows out."""
        from .typeset import aligned, term_latex

        still = dict.fromkeys(self.network.species, 0)
        terms = []
        for j, reaction in enumerate(self.network.reactions):
            changes = (-int(u) for u in self.network.stoichiometry[:, j])
            before = dict(zip(self.network.species, changes, strict=True))
            gain, loss = (
                f"{_molecules_latex(reaction, shift)} {self._p_latex(shift)}".strip()
                for shift in (before, still)
            )
            bracket = rf"\left[{gain} - {loss}\right]"
            terms.append(term_latex(*_rate(self.network, reaction), bracket))
        return aligned([(rf"\frac{{d}}{{dt}}{self._p_latex(still)}", terms)], per_line=1)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.to_latex()}$"

    def __repr__(self) -> str:
        counts = ", ".join(f"n_{name}" for name in self.network.species)
        return f"d/dt p({counts}) = {self.rhs}"

    def _p_latex(self, shift: dict[str, int]) -> str:
        from .typeset import species_latex

        if len(shift) <= _NAMED_ARGUMENTS:
            return f"p({', '.join(_shifted_latex(name, s) for name, s in shift.items())})"
        units = [
            ("+" if s > 0 else "-")
            + ("" if abs(s) == 1 else str(abs(s)))
            + rf"\mathbf{{e}}_{{{species_latex(name)}}}"
            for name, s in shift.items()
            if s
        ]
        return rf"p(\mathbf{{n}}{''.join(units)})"


def volume_symbol(network: ReactionNetwork):
    """Return the SymPy symbol of the volume, or 1 where the volume is one and not shown."""
    import sympy

    if network.volume == 1:
        return sympy.Integer(1)
    return sympy.Symbol("V" if "V" not in network.parameters else "volume")


def _count_symbols(network: ReactionNetwork) -> dict:
    import sympy

    names = {species: f"n_{species}" for species in network.species}
    if clash := [name for name in names.values() if name in network.parameters]:
        raise NetworkError(
            f"the rate constant '{clash[0]}' has the name of a count in the equations; rename it"
        )
    return {species: sympy.Symbol(name) for species, name in names.items()}


def _propensity(network: ReactionNetwork, reaction: Reaction, counts: dict):
    import sympy

    falling = [counts[name] - i for name, nu in reaction.reactants for i in range(nu)]
    number, rate = _rate(network, reaction)
    return sympy.Mul(number, rate, *falling)


def _rate(network: ReactionNetwork, reaction: Reaction) -> tuple:
    """Return V^(1 - order) / Π ν! and the rate constant."""
    import sympy

    if not reaction.is_mass_action:
        raise NetworkError(
            f"'{reaction}' has a rate law; the master equation is written for rate constants only"
        )
    order = sum(nu for _, nu in reaction.reactants)
    ways = prod(factorial(nu) for _, nu in reaction.reactants)
    number = volume_symbol(network) ** (1 - order) / sympy.Integer(ways)
    return number, reaction.rate.to_sympy()


def _molecules_latex(reaction: Reaction, shift: dict[str, int]) -> str:
    """Return Π n(n-1)... of the reactants in the shifted state."""
    factors = []
    for name, nu in reaction.reactants:
        for i in range(nu):
            factor = _shifted_latex(name, shift[name] - i)
            factors.append(factor if shift[name] == i else f"({factor})")
    return " ".join(factors)


def _shifted_latex(name: str, shift: int) -> str:
    from .typeset import species_latex

    return f"n_{{{species_latex(name)}}}" + (f"{shift:+d}" if shift else "")
