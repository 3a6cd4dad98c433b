"""From rate constants to the coefficients of the moment equations: Eq. 14 for any network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..equations.symbolic import Equations, moment_equations
from ..networks.expressions import closest, listing
from ..networks.network import ReactionNetwork


class RatesError(ValueError):
    """Rate constants that cannot be found this way; the message says why and what to change."""


@dataclass(frozen=True)
class RateMap:
    r"""How rate constants enter the equations of a candidate network: θ = M u + m.

    The rate constants of the reactions are sums of products of named parameters. Each such
    product is one unknown u, so that reactions and coefficients depend on u linearly (in Eq. 14
    the unknowns are r1λ, r2λ, k1, k2, λ and Γ).

    Attributes
    ----------
    equations : MomentEquations or MassActionEquations
    names : tuple of str
        Parameters that are sought.
    exponents : ndarray (unknowns, names)
        Powers of the parameters in each unknown.
    reactions : ndarray (reactions, unknowns)
        Rate constants of the reactions: ``reactions @ u + known``.
    known : ndarray (reactions,)
        The part that numbers and fixed parameters give.
    """

    equations: Equations
    names: tuple[str, ...]
    exponents: np.ndarray
    reactions: np.ndarray
    known: np.ndarray

    @property
    def network(self) -> ReactionNetwork:
        return self.equations.network

    @cached_property
    def unknowns(self) -> tuple[str, ...]:
        """Names of the unknowns; products as they are written, such as ``r1*lam``."""
        result = []
        for row, column in zip(self.exponents, self.reactions.T, strict=True):
            written = self.network.reactions[int(np.flatnonzero(column)[0])].rate.names
            powers = dict(zip(self.names, row.tolist(), strict=True))
            factors = [(name, powers[name]) for name in written if powers.get(name)]
            result.append("*".join(n if power == 1 else f"{n}**{power}" for n, power in factors))
        return tuple(result)

    @cached_property
    def system(self):
        """The equations with one free coefficient θ a term."""
        return self._compiled[0]

    @cached_property
    def matrix(self) -> np.ndarray:
        """M, (terms, unknowns)."""
        return self._compiled[1] @ self.reactions

    @cached_property
    def offset(self) -> np.ndarray:
        """m, (terms,): what θ is without the unknowns."""
        return self._compiled[1] @ self.known

    @cached_property
    def labels(self) -> list[tuple[str, str]]:
        """(equation, term) of every coefficient."""
        return [(row, term) for row, terms in self.equations.coefficients.items() for term in terms]

    def table(self):
        """Return the matrix as a DataFrame: rows (equation, term), one column an unknown."""
        import pandas as pd

        index = pd.MultiIndex.from_tuples(self.labels, names=["equation", "term"])
        return pd.DataFrame(self.matrix, index=index, columns=list(self.unknowns))

    def parameters(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the values of the names at u, and their derivatives (names, unknowns).

        A name that is 0/0, or that only occurs in products with others, is NaN.
        """
        values = np.full(len(self.names), np.nan)
        slopes = np.zeros((len(self.names), len(u)))
        for i, powers in enumerate(self.inverse):
            used = np.flatnonzero(powers)
            if len(used) == 0 or np.any(u[used[powers[used] < 0]] == 0):
                continue
            values[i] = np.prod(u[used] ** powers[used])
            for m in used:
                others = used[used != m]
                rest = np.prod(u[others] ** powers[others])
                slopes[i, m] = rest * powers[m] * u[m] ** (powers[m] - 1)
        return values, slopes

    @cached_property
    def _compiled(self):
        return self.equations.polynomial_system()

    @cached_property
    def inverse(self) -> np.ndarray:
        """Powers of the unknowns that give each name back (names, unknowns); zeros where none do.

        A name is an unknown itself, or one product divided by names that are unknowns.
        """
        place = {name: m for m, name in enumerate(self.unknowns)}
        result = np.zeros((len(self.names), len(self.unknowns)))
        for i, name in enumerate(self.names):
            rows = [place[name]] if name in place else np.flatnonzero(self.exponents[:, i] == 1)
            for m in rows:
                others = [j for j in np.flatnonzero(self.exponents[m]) if j != i]
                if all(self.names[j] in place for j in others):
                    result[i, m] = 1.0
                    for j in others:
                        result[i, place[self.names[j]]] = -self.exponents[m, j]
                    break
        return result


def rate_map(
    candidate: ReactionNetwork,
    *,
    order: int = 2,
    closure: str | None = None,
    fixed: Sequence[str] = (),
) -> RateMap:
    """Return how the rate constants of a candidate network enter its moment equations (Eq. 14).

    Parameters
    ----------
    candidate : ReactionNetwork
        All its named parameters are sought, whether or not they have values.
    order : int
        Highest order of the moments.
    closure : str, optional
        See `moment_equations`; needed if they do not close.
    fixed : sequence of str
        Parameters that are known; they keep their values.

    Raises
    ------
    RatesError
        If a name is unknown, nothing is sought, or a rate is no sum of products of the names.

    Examples
    --------
    >>> from chemnb.models import single_progenitor_candidate
    >>> eq14 = rate_map(single_progenitor_candidate())
    >>> eq14.unknowns
    ('r1*lam', 'r2*lam', 'lam', 'Gamma', 'k1', 'k2')
    >>> eq14.table().loc[("Var(A)", "Var(A)")].astype(int).tolist()
    [2, -2, 0, 0, -2, -2]
    """
    for name in fixed:
        if name not in candidate.parameters:
            raise RatesError(
                f"fixed names '{name}'{closest(name, candidate.parameters)}; "
                f"the network has {listing(candidate.parameters)}"
            )
        if candidate.parameters[name] is None:
            raise RatesError(f"'{name}' is fixed but has no value; set it with_parameters")
    return sought_rates(moment_equations(candidate, order, closure=closure), fixed)


def sought_rates(equations: Equations, fixed: Sequence[str] = ()) -> RateMap:
    """Return how the named parameters enter equations of any kind: moments or mass action.

    Raises
    ------
    RatesError
        If nothing is sought, or a rate is no sum of products of the names.

    Examples
    --------
    >>> from chemnb.equations.symbolic import mass_action
    >>> rates = sought_rates(mass_action(ReactionNetwork("2 A -> B ; k")))
    >>> rates.table()["k"].tolist()
    [-1.0, 0.5]
    """
    candidate = equations.network
    names = tuple(name for name in candidate.parameters if name not in fixed)
    parts = [_products(candidate, j, names) for j in range(len(candidate.reactions))]
    known = np.array([part.pop((0,) * len(names), 0.0) for part in parts])
    keys = sorted({key for part in parts for key in part}, key=_reading)
    if not keys:
        raise RatesError("no rate constant has a name to be found; write 'A -> B ; k'")
    reactions = np.array([[part.get(key, 0.0) for key in keys] for part in parts])
    return RateMap(equations, names, np.array(keys), reactions, known)


def _products(network: ReactionNetwork, j: int, names: Sequence[str]) -> dict[tuple, float]:
    """Return a rate expression as powers of the sought names -> number."""
    import sympy

    reaction = network.reactions[j]
    given = {name: value for name, value in network.parameters.items() if name not in names}
    rate = reaction.rate.to_sympy().subs({sympy.Symbol(n): v for n, v in given.items()})
    if not names:
        return {(): float(rate)}
    try:
        polynomial = sympy.Poly(sympy.expand(rate), *map(sympy.Symbol, names))
        return {powers: float(number) for powers, number in polynomial.terms()}
    except (sympy.PolynomialError, TypeError):
        raise RatesError(
            f"the rate '{reaction.rate}' of '{reaction}' is no sum of products of "
            f"{listing(names)}; give the reaction a rate constant of its own"
        ) from None


def _reading(powers: tuple[int, ...]) -> tuple:
    """Sort products before single names, and each in the order of the names."""
    return (sum(powers) == 1, [-power for power in powers])
