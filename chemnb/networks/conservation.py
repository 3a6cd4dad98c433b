"""Conservation laws: integer combinations of counts that no reaction changes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def law_text(law: Sequence[int], species: Sequence[str]) -> str:
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
