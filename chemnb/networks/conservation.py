"""Conservation laws: integer combinations of counts that no reaction changes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .expressions import closest, listing
from .reactions import NetworkError

_PART = re.compile(r"(?P<count>\d+)?\s*\*?\s*(?P<name>[^\W\d]\w*)")


def read_laws(laws, species: Sequence[str]) -> np.ndarray:
    """Return conservation laws as a matrix L (laws, species) of whole numbers.

    Parameters
    ----------
    laws : str, list of (str or mapping), or ReactionNetwork
        A law is written as the sum that stays: ``"E + ES"``, ``"A + 2 A2"``, or as a mapping of
        species -> number. A network stands for all its own laws.
    species : sequence of str

    Raises
    ------
    NetworkError
        If a law cannot be read, names an unknown species, or follows from the others.

    Examples
    --------
    >>> read_laws(["E + ES", "S + ES + P"], ["E", "S", "ES", "P"])
    array([[1, 0, 1, 0],
           [0, 1, 1, 1]])
    """
    if hasattr(laws, "conservation_laws"):
        table = laws.conservation_laws()
        laws = [row[row != 0].to_dict() for _, row in table.iterrows()]
    elif isinstance(laws, (str, Mapping)):
        laws = [laws]
    elif not isinstance(laws, Iterable):
        raise NetworkError(f"conserved={laws!r}; write the sums that stay, such as ['E + ES']")
    rows: list[list[int]] = []
    for law in laws:
        parts = law if isinstance(law, Mapping) else _read_law(law)
        for name, count in parts.items():
            if name not in species:
                raise NetworkError(
                    f"the conservation law {law!r} names '{name}'{closest(name, species)}; "
                    f"there are {listing(species)}"
                )
            if count != int(count):
                raise NetworkError(f"the conservation law {law!r} needs whole numbers")
        rows.append([int(parts.get(name, 0)) for name in species])
        if np.linalg.matrix_rank(np.array(rows)) < len(rows):
            raise NetworkError(
                f"the conservation law {law!r} is empty or follows from the others; leave it out"
            )
    return np.array(rows, dtype=int).reshape(-1, len(species))


def _read_law(text) -> dict[str, int]:
    fault = f"the conservation law {text!r} cannot be read; write a sum such as 'E + ES'"
    if not isinstance(text, str):
        raise NetworkError(fault)
    result: dict[str, int] = {}
    for sign, part in re.findall(r"([+-]?)([^+-]*)", text.strip()):
        match = _PART.fullmatch(part.strip())
        if match is None:
            if part or sign:
                raise NetworkError(fault)
            continue
        count = int(match["count"] or 1) * (-1 if sign == "-" else 1)
        result[match["name"]] = result.get(match["name"], 0) + count
    return result


def elementary_vectors(laws: np.ndarray) -> list[list[int]]:
    """Return the changes of fewest species that keep all laws, one of each pair of signs.

    Every change that keeps the laws is a sum of these (the circuits of the matroid of L).

    Examples
    --------
    >>> elementary_vectors(np.array([[1, 0, 1, 0], [0, 1, 1, 1]]))
    [[0, 1, 0, -1], [1, 1, -1, 0], [1, 0, -1, 1]]
    """
    from itertools import combinations

    rank, count = np.linalg.matrix_rank(laws) if laws.size else 0, laws.shape[1]
    found: list[list[int]] = []
    supports: list[set[int]] = []
    for size in range(1, int(rank) + 2):
        for picks in combinations(range(count), size):
            if any(support <= set(picks) for support in supports):
                continue
            part = laws[:, picks]
            if np.linalg.matrix_rank(part) == size - 1:
                vector = _null_vector(part)
                found.append([0] * count)
                for place, value in zip(picks, vector, strict=True):
                    found[-1][place] = value
                supports.append(set(picks))
    return found


def _null_vector(matrix: np.ndarray) -> list[int]:
    """Return the one vector of whole numbers that a matrix turns to zero; its first is positive."""
    if not matrix.any():
        return [1]
    vector = _rational_null_space(matrix)[0]
    divisor = math.gcd(*vector) * (-1 if vector[0] < 0 else 1)
    return [value // divisor for value in vector]


def law_text(law: Sequence[int], species: Sequence[str]) -> str:
    """Return a law as text: ``S + C + P``."""
    terms = [
        ("-" if c < 0 else "+", f"{abs(c)} {name}" if abs(c) > 1 else name)
        for c, name in zip(law, species, strict=True)
        if c
    ]
    text = " ".join(f"{sign} {term}" for sign, term in terms)
    return text.removeprefix("+ ")


def left_null_space(stoichiometry: np.ndarray) -> list[list[int]]:
    """Return an integer basis of {w : w U = 0}, nonnegative laws first (Farkas' elimination)."""
    n_species, _ = stoichiometry.shape
    n_laws = n_species - np.linalg.matrix_rank(stoichiometry)
    basis: list[list[int]] = []
    for law in sorted(_nonnegative_laws(stoichiometry), key=lambda v: (sum(v), v)):
        _keep_if_independent(basis, law)
    if len(basis) < n_laws:
        for law in _rational_null_space(stoichiometry.T):
            _keep_if_independent(basis, law)
    return basis


def _keep_if_independent(basis: list[list[int]], law: list[int]) -> None:
    if np.linalg.matrix_rank(np.array([*basis, law], dtype=float)) == len(basis) + 1:
        basis.append(law)


def _nonnegative_laws(stoichiometry: np.ndarray, limit: int = 200) -> list[list[int]]:
    n_species, n_reactions = stoichiometry.shape
    rows = [
        ([int(v) for v in stoichiometry[i]], [int(i == k) for k in range(n_species)])
        for i in range(n_species)
    ]
    for j in range(n_reactions):
        zero = [row for row in rows if row[0][j] == 0]
        plus = [row for row in rows if row[0][j] > 0]
        minus = [row for row in rows if row[0][j] < 0]
        rows = zero + [_combine(p, m, j) for p in plus for m in minus]
        rows = [r for i, r in enumerate(rows) if not _is_redundant(r, i, rows)]
        # the number of rays can explode in large networks; the rational null space remains
        if len(rows) > limit:
            return []
    return [law for _, law in rows]


def _combine(p, m, j):
    a, b = -m[0][j], p[0][j]
    left = [a * x + b * y for x, y in zip(p[0], m[0], strict=True)]
    law = [a * x + b * y for x, y in zip(p[1], m[1], strict=True)]
    divisor = math.gcd(*left, *law) or 1
    return [v // divisor for v in left], [v // divisor for v in law]


def _is_redundant(row, index: int, rows) -> bool:
    support = {i for i, v in enumerate(row[1]) if v}
    for k, (_, law) in enumerate(rows):
        other = {i for i, v in enumerate(law) if v}
        if k != index and (other < support or (other == support and k < index)):
            return True
    return False


def _rational_null_space(matrix: np.ndarray) -> list[list[int]]:
    import sympy

    laws = []
    for vector in sympy.Matrix(matrix.tolist()).nullspace():
        scale = sympy.ilcm(*[entry.q for entry in vector])
        laws.append([int(entry * scale) for entry in vector])
    return laws
