"""Uniformisation: exp(Q t) p as a Poisson mixture of powers, without cancellation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_TAIL = 1e-17
_SHORTEST = 4  # rows; shorter runs of equal rows are done one row at a time
_LONGEST = 1024  # rows; longer ones are cut so that what is written stays in the nearest cache
_SMALL = 50_000_000  # operations; fewer are done before the kernel is loaded
_OPERATIONS = 100_000_000  # of one call of the kernel, after which Ctrl-C is heard


def uniformise(
    matrix,
    start: np.ndarray,
    means: Sequence[float],
    amplification: float = 0.0,
    derivatives: Sequence = (),
    ahead: float = 0.0,
):
    r"""Return exp(Q t) applied to a vector, for several t: the Poisson mixture of powers.

    .. math:: e^{Qt} p = \sum_k e^{-Λt} \frac{(Λt)^k}{k!} P^k p, \qquad P = I + Q/Λ

    For a generator every number is nonnegative and nothing cancels. What the finite sum leaves
    out (below 1e-16 of the total) is missing from the result, not redistributed.

    Parameters
    ----------
    matrix : sparse (n, n)
        P.
    start : ndarray (n,), or (1 + D, n) with derivatives
        The vector, and its derivatives by D parameters.
    means : ascending sequence of T numbers
        Λt.
    amplification : float
        The column sums of \|P\| are at most 1 + amplification (0 for a generator).
    derivatives : sequence of D sparse (n, n)
        Of P by parameters (Λ held). The series is then differentiated term by term.
    ahead : float
        Number of terms of the series that are still to come in later calls: many of them are worth
        loading the compiled kernel.

    Returns
    -------
    ndarray (T, n), or (T, 1 + D, n) with derivatives

    Examples
    --------
    Decay from one state to another with Λt = 1 and 2:

    >>> from scipy.sparse import csr_array
    >>> decay = csr_array(np.array([[0.0, 0.0], [1.0, 1.0]]))
    >>> uniformise(decay, np.array([1.0, 0.0]), [1.0, 2.0]).round(6)
    array([[0.367879, 0.632121],
           [0.135335, 0.864665]])
    """
    weights = _poisson_table(means, amplification)
    now = np.array(start, dtype=float, ndmin=2)
    entries = matrix.nnz * len(now) + sum(derivative.nnz for derivative in derivatives)
    # the second number stands for the fixed cost of a step without the kernel
    small = max(weights.shape[1], ahead) * (entries + 5000 * len(now)) < _SMALL
    add_up = _plain_series if small else _compiled_series
    return add_up(weights, matrix, derivatives, now).reshape(len(weights), *np.shape(start))


def _plain_series(weights: np.ndarray, matrix, derivatives, now: np.ndarray) -> np.ndarray:
    """Return the series without the kernel, which would have to be loaded first."""
    result = np.zeros((len(weights), *now.shape))
    for column in weights.T:
        for t in np.flatnonzero(column):
            result[t] += column[t] * now
        later = [matrix @ vector for vector in now]
        for vector, derivative in zip(later[1:], derivatives, strict=True):
            vector += derivative @ now[0]
        now = np.array(later)
    return result


def _compiled_series(weights: np.ndarray, matrix, derivatives, now: np.ndarray) -> np.ndarray:
    from .._kernels.bands import power_series

    tables = _Bands(matrix, derivatives).tables
    work, result = np.empty_like(now), np.zeros((len(weights), *now.shape))
    steps = max(2, 2 * (_OPERATIONS // (2 * tables[0].size + 1)))  # even: now holds the last power
    for first in range(0, weights.shape[1], steps):
        last = min(weights.shape[1], first + steps)
        power_series(weights, first, last, *tables, now, work, result)
    return result


class _Bands:
    """Sparse matrices of one pattern, cut into pieces: rows that differ by a shift alone.

    In a box of states a reaction moves all states by the same distance, so that its share of
    the product is a scaled copy of the vector, shifted: no index is read, and the processor
    works on eight numbers at once. Rows that are like no neighbour are left as they are.
    """

    def __init__(self, matrix, derivatives: Sequence) -> None:
        matrices = [matrix.tocsr(), *(d.tocsr() for d in derivatives)]
        starts, columns, data = _common(matrices)
        n = len(starts) - 1
        counts = np.diff(starts)
        row = np.repeat(np.arange(n), counts)
        above = np.arange(columns.size) - counts[row]
        shifted = (above >= 0) & (columns - columns[np.maximum(above, 0)] == 1)
        like = np.bincount(row, ~shifted, n) == 0
        like[1:] &= counts[1:] == counts[:-1]
        like[:1] = False
        first = np.flatnonzero(~like)
        last = np.append(first[1:], n)[: first.size]
        long = (last - first >= _SHORTEST) & (counts[first] > 0)
        alone = np.ones(n, dtype=bool)
        pieces = [
            (a, min(a + _LONGEST, b))
            for start, b in zip(first[long], last[long], strict=True)
            for a in range(start, b, _LONGEST)
        ]
        order, offsets, term_start, place, size = [], [], [0], [], 0
        for a, b in pieces:
            alone[a:b] = False
            k = np.arange(starts[a], starts[b]).reshape(b - a, -1)
            offsets.append(columns[k[0]] - a)
            order.append(k.T.ravel())  # all rows of a term one after the other
            term_start.append(term_start[-1] + k.shape[1])
            place.append(size)
            size += k.size
        rest = np.flatnonzero(alone)
        entries = np.flatnonzero(alone[row])
        self.tables = (
            data[:, np.concatenate([*order, np.empty(0, dtype=np.int64)])],
            np.array(pieces, dtype=np.int64).reshape(-1, 2),
            np.array(term_start, dtype=np.int64),
            np.concatenate([*offsets, np.empty(0, dtype=np.int64)]),
            np.array(place, dtype=np.int64),
            rest,
            np.concatenate([[0], np.cumsum(counts[rest])]).astype(np.int64),
            columns[entries],
            data[:, entries],
        )


def _common(matrices) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row starts (n + 1,), columns (z,) and entries (m, z) on the places of all."""
    n = matrices[0].shape[0]
    coded = []
    for matrix in matrices:
        matrix.sum_duplicates()
        row = np.repeat(np.arange(n, dtype=np.int64), np.diff(matrix.indptr))
        coded.append(row * n + matrix.indices)
    codes = coded[0] if len(coded) == 1 else np.unique(np.concatenate(coded))
    data = np.zeros((len(matrices), codes.size))
    for values, code, matrix in zip(data, coded, matrices, strict=True):
        values[np.searchsorted(codes, code)] = matrix.data
    rows, columns = np.divmod(codes, n)
    return np.searchsorted(rows, np.arange(n + 1)), columns, data


def _poisson_table(means: Sequence[float], amplification: float) -> np.ndarray:
    rows = [_poisson_weights(mean, amplification) for mean in means]
    table = np.zeros((len(rows), max(row.size for row in rows)))
    for i, row in enumerate(rows):
        table[i, : row.size] = row
    return table


def _poisson_weights(mean: float, amplification: float) -> np.ndarray:
    # Products outwards from the mode: no factorial overflows, no exponential underflows.
    mode, last = int(mean), _last_term(mean * (1 + amplification))
    down = np.cumprod(np.arange(mode, 0, -1) / mean) if mode else np.empty(0)
    up = np.cumprod(mean / np.arange(mode + 1, last + 1))
    weights = np.concatenate([down[::-1], [1.0], up])
    weights /= weights.sum()
    magnified = weights * np.exp(np.arange(weights.size) * math.log1p(amplification))
    weights[np.cumsum(magnified) < _TAIL] = 0
    tail = np.cumsum(magnified[::-1])[::-1]
    return weights[: max(1, int(np.count_nonzero(tail >= _TAIL)))]


def _last_term(mean: float) -> int:
    # a Poisson variable exceeds this with a probability far below the round-off of doubles
    return int(mean + 10 * math.sqrt(mean) + 30)
