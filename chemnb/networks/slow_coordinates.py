"""Which combinations of concentrations are slow, from the stoichiometry of the fast reactions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np

from .conservation import law_text, left_null_space
from .network import ReactionNetwork


@dataclass(frozen=True)
class Direction:
    """A way in which reactions change the state, whichever sense they run in.

    Attributes
    ----------
    change : tuple of int
        One entry a species.
    senses : dict of int -> int
        How often each reaction makes this change: 1, or -1 backwards.
    """

    change: tuple[int, ...]
    senses: dict[int, int]

    @property
    def reversible(self) -> bool:
        """Whether reactions run in both senses."""
        return min(self.senses.values()) < 0 < max(self.senses.values())


def directions(network: ReactionNetwork) -> list[Direction]:
    """Return the different directions of the reactions, in their order.

    Examples
    --------
    >>> for d in directions(ReactionNetwork("S + E <-> C ; a, b \\n C -> E + P ; c")):
    ...     print(d.change, d.senses, d.reversible)
    (-1, -1, 1, 0) {0: 1, 1: -1} True
    (0, 1, -1, 1) {2: 1} False
    """
    found: dict[tuple[int, ...], dict[int, int]] = {}
    for j, column in enumerate(network.stoichiometry.T.tolist()):
        size = gcd(*column)
        if size == 0:
            continue
        unit = tuple(v // size for v in column)
        back = tuple(-v for v in unit)
        if back in found:
            found[back][j] = -size
        else:
            found.setdefault(unit, {})[j] = size
    return [Direction(change, senses) for change, senses in found.items()]


def fast_directions(
    network: ReactionNetwork, fast: Sequence[str], shares: Sequence[float] | None = None
) -> list[Direction]:
    """Return the directions along which fast species relax, as many as they have freedom.

    Parameters
    ----------
    network : ReactionNetwork
    fast : sequence of str
    shares : sequence of float, one a reaction, optional
        How much of the fast eigenvalues each reaction makes (see `chemnb.time_scales`). The
        directions with the largest shares are taken; without shares, reversible ones first.
    """
    rows = [network.species.index(name) for name in fast]
    wanted = np.linalg.matrix_rank(network.stoichiometry[rows])
    candidates = [d for d in directions(network) if any(d.change[i] for i in rows)]
    if shares is None:
        candidates.sort(key=lambda d: not d.reversible)
    else:
        candidates.sort(key=lambda d: -sum(shares[j] for j in d.senses))
    chosen: list[Direction] = []
    for candidate in candidates:
        block = np.array([[d.change[i] for i in rows] for d in [*chosen, candidate]])
        if len(chosen) < wanted and np.linalg.matrix_rank(block) == len(block):
            chosen.append(candidate)
    return chosen


def inner_laws(network: ReactionNetwork, fast: Sequence[str]):
    """Return the conservation laws among fast species alone.

    Returns
    -------
    pandas.DataFrame, laws x species

    Examples
    --------
    >>> enzyme = ReactionNetwork("S + E <-> C ; a, b \\n C -> E + P ; c")
    >>> inner_laws(enzyme, ["E", "C"])
           S  E  C  P
    E + C  0  1  1  0
    """
    rows = [network.species.index(name) for name in fast]
    laws = []
    for law in left_null_space(network.stoichiometry[rows]):
        full = [0] * len(network.species)
        for i, weight in zip(rows, law, strict=True):
            full[i] = weight
        laws.append(_positive_first(full))
    laws.sort(key=lambda law: next(i for i, weight in enumerate(law) if weight))
    return coordinate_table(network, laws)


def slow_coordinates(
    network: ReactionNetwork, fast: Sequence[str], shares: Sequence[float] | None = None
):
    """Return the combinations x = L c that the fast reactions leave alone, one a slow species.

    They are the left null space of the fast reactions' stoichiometry, without the laws among
    fast species: whole numbers, none negative where that is possible.

    Parameters
    ----------
    network, fast, shares
        As in `fast_directions`.

    Returns
    -------
    pandas.DataFrame, coordinates x species

    Examples
    --------
    >>> enzyme = ReactionNetwork("S + E <-> C ; a, b \\n C -> E + P ; c")
    >>> slow_coordinates(enzyme, ["E", "C"])
           S  E  C  P
    S + C  1  0  1  0
    P      0  0  0  1
    """
    changes = np.array([d.change for d in fast_directions(network, fast, shares)])
    known = inner_laws(network, fast).to_numpy().tolist()
    rows = []
    for row in left_null_space(changes.reshape(-1, len(network.species)).T):
        stack = np.array([*known, *rows, row], dtype=float)
        if np.linalg.matrix_rank(stack) == len(stack):
            rows.append(_positive_first(row))
    slow = [i for i, name in enumerate(network.species) if name not in fast]
    rows.sort(key=lambda row: next((p for p, i in enumerate(slow) if row[i]), len(slow)))
    return coordinate_table(network, rows)


def totals(network: ReactionNetwork, fast: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the conserved totals of fast species, by name: their weights.

    A total has the name of the shortest of its species, with ``_T`` behind.

    Examples
    --------
    >>> enzyme = ReactionNetwork("S + E <-> C ; a, b \\n C -> E + P ; c")
    >>> totals(enzyme, ["E", "C"])
    {'E_T': {'E': 1, 'C': 1}}
    """
    taken = {*network.species, *network.parameters}
    result: dict[str, dict[str, int]] = {}
    for _, law in inner_laws(network, fast).iterrows():
        weights = {name: int(w) for name, w in law.items() if w}
        name = f"{min(weights, key=len)}_T"
        while name in taken or name in result:
            name += "_"
        result[name] = weights
    return result


def coordinate_table(network: ReactionNetwork, rows: Sequence[Sequence[int]]):
    """Return integer combinations of species as a table, each row labelled as text."""
    import pandas as pd

    return pd.DataFrame(
        np.array(rows, dtype=int).reshape(-1, len(network.species)),
        index=[law_text(row, network.species) for row in rows],
        columns=list(network.species),
    )


def _positive_first(row: Sequence[int]) -> list[int]:
    sign = next((weight for weight in row if weight), 1)
    return [-weight for weight in row] if sign < 0 else list(row)
