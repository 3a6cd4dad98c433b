"""Moment equations derived from the master equation, with exact fractions (towards Eq. 13)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import prod

from ..networks.network import ReactionNetwork
from .closures import (
    Closure,
    Index,
    Monomial,
    below,
    choose,
    powers_of_means,
    subtract,
    times,
    unit_index,
)
from .moments import moment_indices

# One right-hand side: {monomial: {reaction: weight}}.
Row = dict[Monomial, dict[int, Fraction]]


def moment_rows(
    network: ReactionNetwork, order: int, kind: str, close: Closure | None
) -> list[Row]:
    """Return d/dt of every moment: Σ_j c_j <((x + u_j)^m - x^m) a_j>, and what the mean adds.

    x is the count (raw) or its deviation from the mean (central), a_j = Π_l C(n_l, ν_lj).
    """
    reactions = []
    for u, nu in zip(network.stoichiometry.T.tolist(), network.reactants.T.tolist(), strict=True):
        reactions.append((tuple(u), list(_propensity_polynomial(tuple(nu), kind == "central"))))
    rows = []
    for index in moment_indices(len(network.species), order):
        row: Row = {}
        for j, (change, propensity) in enumerate(reactions):
            for monomial, weight in _moment_change(index, change, propensity, kind == "central"):
                _add_closed(row, j, monomial, weight, order, close)
        rows.append({monomial: weights for monomial, weights in row.items() if weights})
    return rows


def _moment_change(index, change, propensity, central: bool):
    """Yield what one reaction adds to d/dt of one moment, as (monomial, weight)."""
    for part in below(index):
        # (x + u)^m - x^m = sum over r < m of C(m, r) u^(m-r) x^r
        rest = subtract(index, part)
        jump = choose(index, part) * prod(u**p for u, p in zip(change, rest, strict=True))
        if jump and any(rest):
            yield from _expectation(part, propensity, jump, (), central)
    if central and sum(index) > 2:
        # x moves with the mean: - sum_i m_i M_(m-e_i) d<n_i>/dt
        for i, (power, u) in enumerate(zip(index, change, strict=True)):
            if power and u:
                lower = subtract(index, unit_index(i, len(index)))
                yield from _expectation(
                    (0,) * len(index), propensity, -power * u, ((lower, 1),), central
                )


def _expectation(shift: Index, propensity, factor: int, monomial: Monomial, central: bool):
    """Yield the terms of factor * monomial * <x^shift a>."""
    for powers, means, weight in propensity:
        total = tuple(a + b for a, b in zip(powers, shift, strict=True))
        degree = sum(total)
        if central and degree == 1:
            continue  # the mean deviation is zero
        moment = ((total, 1),) if degree else ()
        yield times(times(means, moment), monomial), factor * weight


def _propensity_polynomial(
    reactants: Index, central: bool
) -> Iterator[tuple[Index, Monomial, Fraction]]:
    """Yield Π_l C(n_l, ν_l) as (powers of x, powers of the means, weight); n = x or mean + x."""
    expanded = {((0,) * len(reactants), (0,) * len(reactants)): Fraction(1)}
    for i, nu in enumerate(reactants):
        unit = unit_index(i, len(reactants))
        for step in range(nu):
            grown: dict = {}
            for (x, mean), weight in expanded.items():
                up, mean_up = _plus(x, unit), _plus(mean, unit)
                parts = [((up, mean), 1), ((x, mean), -step)]
                for key, factor in parts + [((x, mean_up), 1)] * central:
                    grown[key] = grown.get(key, 0) + weight * Fraction(factor, step + 1)
            expanded = grown
    for (x, mean), weight in expanded.items():
        if weight:
            yield x, powers_of_means(mean), weight


def _add_closed(row: Row, j: int, monomial: Monomial, weight, order: int, close) -> None:
    """Add weight * monomial to a row, writing moments above the order in terms of the others."""
    above = next((index for index, _ in monomial if sum(index) > order), None)
    if close is not None and above is not None:
        # each term has at most one such moment, to the power of one
        rest = tuple(factor for factor in monomial if factor[0] != above)
        for closed, coefficient in close(above).items():
            _accumulate(row.setdefault(times(rest, closed), {}), j, weight * coefficient)
    else:
        _accumulate(row.setdefault(monomial, {}), j, weight)


def _accumulate(weights: dict[int, Fraction], j: int, weight) -> None:
    value = weights.get(j, 0) + Fraction(weight)
    if value:
        weights[j] = value
    else:
        weights.pop(j, None)


def _plus(a: Index, b: Index) -> Index:
    return tuple(x + y for x, y in zip(a, b, strict=True))
