"""All elementary reactions that conservation laws allow: candidates where no mechanism is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations_with_replacement, permutations

from .binding import order_species
from .conservation import read_laws
from .network import ReactionNetwork
from .reactions import NetworkError

_MOST = 500


def elementary_reactions(
    species: Sequence[str], conserved=(), *, molecules: int = 2, catalysed: bool = True
) -> ReactionNetwork:
    """Return a network of all reactions of few molecules that keep the conservation laws.

    Of reactions that no rate equation can tell apart, such as ``2 A -> A + B`` and
    ``2 A -> 2 B``, the first is taken.

    Parameters
    ----------
    species : sequence of str
    conserved : str, list of (str or mapping), or ReactionNetwork
        The sums that stay, such as ``["E + ES", "S + ES + P"]``.
    molecules : int
        At most this many molecules stand on each side; both sides hold one at least.
    catalysed : bool
        Whether a molecule may stand on both sides.

    Raises
    ------
    NetworkError
        If a law cannot be read, or there is no reaction or are more than 500.

    Examples
    --------
    >>> print(elementary_reactions(["E", "S", "ES"], ["E + ES", "S + ES"]))
    ES -> E + S ; k1
    E + S -> ES ; k2
    """
    names = order_species((), species)
    if isinstance(molecules, bool) or molecules not in (1, 2, 3):
        raise NetworkError(f"molecules={molecules!r}; at most 1, 2 or 3 meet in a reaction")
    laws = read_laws(conserved, names)
    groups: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for size in range(1, molecules + 1):
        for complex_ in combinations_with_replacement(range(len(names)), size):
            key = tuple(laws[:, list(complex_)].sum(axis=1).tolist())
            groups.setdefault(key, []).append(complex_)
    found: dict[tuple, tuple] = {}
    for members in groups.values():
        for left, right in permutations(members, 2):
            if catalysed or not set(left) & set(right):
                change = [right.count(i) - left.count(i) for i in range(len(names))]
                divisor = math.gcd(*change)
                found.setdefault((left, *(c // divisor for c in change)), (left, right))
    if not found or len(found) > _MOST:
        raise NetworkError(
            f"{len(found)} reactions of at most {molecules} molecules keep these laws; "
            + ("give fewer laws" if not found else f"more than {_MOST}: give more laws")
        )
    lines = [
        f"{_side(left, names)} -> {_side(right, names)} ; k{number}"
        for number, (left, right) in enumerate(found.values(), start=1)
    ]
    return ReactionNetwork(lines, species=names)


def _side(complex_: tuple[int, ...], names: Sequence[str]) -> str:
    counts = {i: complex_.count(i) for i in complex_}
    return " + ".join(names[i] if n == 1 else f"{n} {names[i]}" for i, n in counts.items())
