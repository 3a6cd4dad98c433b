"""Which moments there are, in which order, and what they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations_with_replacement


def moment_indices(n_species: int, order: int) -> list[tuple[int, ...]]:
    """Return the exponents of all moments up to an order: means, variances, covariances, ...

    Within an order, moments of fewer different species come first (the order of Eq. 13).

    Examples
    --------
    >>> moment_indices(2, 2)
    [(1, 0), (0, 1), (2, 0), (0, 2), (1, 1)]
    """
    indices = []
    for total in range(1, order + 1):
        picks = combinations_with_replacement(range(n_species), total)
        ordered = sorted(picks, key=lambda pick: (len(set(pick)), pick))
        indices += [tuple(Counter(pick)[i] for i in range(n_species)) for pick in ordered]
    return indices


def moment_label(index: Sequence[int], species: Sequence[str], kind: str = "central") -> str:
    """Return the name of one moment: ``A``, ``Var(A)``, ``Cov(A, B)``, ``M[A^2 B]``, ``E[A B]``.

    ``E[...]`` is a raw moment, ``M[...]`` a central moment of order three or more.

    Examples
    --------
    >>> [moment_label(i, "AB") for i in moment_indices(2, 2)]
    ['A', 'B', 'Var(A)', 'Var(B)', 'Cov(A, B)']
    >>> moment_label((2, 1), "AB"), moment_label((1, 1), "AB", kind="raw")
    ('M[A^2 B]', 'E[A B]')
    """
    used = [(name, power) for name, power in zip(species, index, strict=True) if power]
    if sum(index) == 1:
        return used[0][0]
    if kind == "central" and sum(index) == 2:
        return f"Var({used[0][0]})" if len(used) == 1 else f"Cov({used[0][0]}, {used[1][0]})"
    letter = "M" if kind == "central" else "E"
    body = " ".join(name if power == 1 else f"{name}^{power}" for name, power in used)
    return f"{letter}[{body}]"


def moment_labels(species: Sequence[str], order: int = 2, kind: str = "central") -> list[str]:
    """Return the names of all moments up to an order, in the order of `moment_indices`."""
    return [moment_label(i, species, kind) for i in moment_indices(len(species), order)]
