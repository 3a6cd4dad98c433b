"""What is fitted: the coefficients themselves, or fewer numbers to which they are tied."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

Pair = tuple[int, int]  # equation, term


@dataclass(frozen=True)
class Unknowns:
    r"""Numbers u from which all coefficients follow, :math:`\theta = V u + \theta_0`.

    Everything is in the user's units. A term is chosen or dropped by its unknown. The simplest
    case, `Unknowns.free`, has one unknown a coefficient; with the reactions of a candidate
    network u holds rate constants, and V what each reaction does to each term.

    Attributes
    ----------
    pairs : tuple of (equation, term)
        The coefficients θ that may differ from zero.
    matrix : ndarray (pairs, unknowns)
        V.
    offset : ndarray (pairs,)
        θ0, the part that is known.
    nonnegative : ndarray (rows, unknowns)
        Every row g demands g · u >= 0.
    names : tuple of str
        One an unknown, for tables and messages.

    Examples
    --------
    >>> two = Unknowns.free([(0, 0), (1, 2)])
    >>> two.matrix
    array([[1., 0.],
           [0., 1.]])
    >>> exchange = Unknowns(((0, 0), (1, 0)), np.array([[-1.0], [1.0]]))
    >>> len(exchange), exchange.equations.tolist()
    (1, [[True], [True]])
    """

    pairs: tuple[Pair, ...]
    matrix: np.ndarray
    offset: np.ndarray | None = None
    nonnegative: np.ndarray | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = self.matrix.shape[1]
        if self.offset is None:
            object.__setattr__(self, "offset", np.zeros(len(self.pairs)))
        if self.nonnegative is None:
            object.__setattr__(self, "nonnegative", np.zeros((0, count)))
        if not self.names:
            object.__setattr__(self, "names", tuple(f"u{i + 1}" for i in range(count)))

    @classmethod
    def free(
        cls, pairs: Sequence[Pair], nonnegative: Collection[Pair] = (), names: Sequence[str] = ()
    ) -> Unknowns:
        """Return one unknown a coefficient; those of ``nonnegative`` may not be below zero."""
        bounded = [i for i, pair in enumerate(pairs) if pair in nonnegative]
        one = np.eye(len(pairs))
        return cls(tuple(pairs), one, nonnegative=one[bounded], names=tuple(names))

    def __len__(self) -> int:
        return self.matrix.shape[1]

    @property
    def equations(self) -> np.ndarray:
        """Which equations each unknown enters: bool (equations, unknowns)."""
        rows = np.array([row for row, _ in self.pairs], dtype=np.intp)
        result = np.zeros((rows.max(initial=-1) + 1, len(self)), dtype=bool)
        np.logical_or.at(result, rows, self.matrix != 0)
        return result

    @property
    def is_free(self) -> bool:
        """Whether there is one unknown a coefficient and nothing else."""
        square = self.matrix.shape == (len(self.pairs), len(self.pairs))
        return square and not self.offset.any() and np.array_equal(self.matrix, np.eye(len(self)))
