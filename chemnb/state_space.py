"""Finite sets of states: which are reachable in a box, how they move, the transient solution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from .conservation import left_null_space

_BATCH = 1 << 16
_BLOCK = 32
_TAIL = 1e-17


class TooManyStatesError(ValueError):
    """A set of states that exceeds its limit."""


class StateSpace:
    r"""The states that reactions reach inside a box, and the generator of Eq. 4 on them.

    What leaves the box is collected in one sink a species (the first that exceeds its bound),
    so that a solution tells through which face of the box how much probability was lost.

    Parameters
    ----------
    network : ReactionNetwork
    rate_constants : ndarray (M,)
        Reactions with rate 0 never happen; negative entries are allowed (see `uniformise`).
    start : ndarray of int (m, N)
        States from which to search.
    bounds : ndarray of int (N,)
        Largest count of every species.
    limit : int
        Largest number of states.

    Attributes
    ----------
    states : ndarray of int (n, N)
        In lexicographic order.
    matrix : scipy.sparse.csr_array (n + N, n + N)
        I + Q/Λ, columns are sources; the last N states are the sinks.
    rate : float
        Λ, the largest total propensity (1/time).
    amplification : float
        By how much one application of ``matrix`` can enlarge the sum of magnitudes;
        0 unless there are negative rates.

    Raises
    ------
    TooManyStatesError
        If more than ``limit`` states are reachable.

    Examples
    --------
    >>> from chemnb.network import ReactionNetwork
    >>> net = ReactionNetwork("2 A <-> B ; 1, 1")
    >>> StateSpace(net, net.rate_constants(), np.array([[4, 0]]), np.array([4, 9]), 100).states
    array([[0, 2],
           [2, 1],
           [4, 0]])
    """

    def __init__(self, network, rate_constants, start, bounds, limit: int) -> None:
        self.network, self.rate_constants = network, rate_constants
        self.bounds = np.asarray(bounds, dtype=np.int64)
        self._shape = tuple(int(b) + 1 for b in bounds)
        if math.prod(self._shape) > 2**62:
            raise TooManyStatesError
        self._keys = self._reachable(self._key(start), limit)
        self.states = self._unkey(self._keys)

    def __len__(self) -> int:
        return len(self.states)

    def index(self, states: np.ndarray) -> np.ndarray:
        """Return the positions of reachable states (m, N) -> (m,)."""
        return np.searchsorted(self._keys, self._key(states))

    @cached_property
    def _propensities(self) -> np.ndarray:
        return self.network.propensities(self.states, self.rate_constants)

    @cached_property
    def rate(self) -> float:
        return float(np.abs(self._propensities).sum(axis=1).max())

    @cached_property
    def amplification(self) -> float:
        a = self._propensities
        return float((np.abs(a) - a).sum(axis=1).max() / self.rate) if self.rate else 0.0

    @cached_property
    def matrix(self):
        from scipy.sparse import csr_array

        n, size = len(self), len(self) + len(self.bounds)
        per_step = self.rate or 1.0
        flow = self._propensities / per_step
        rows, columns = [np.arange(size)], [np.arange(size)]
        # in this order of operations the fastest state stays with exactly 0, never with -1e-16
        stay = (per_step - self._propensities.sum(axis=1)) / per_step
        values = [np.concatenate([stay, np.ones(size - n)])]
        for j, change in enumerate(self.network.stoichiometry.T):
            source = np.flatnonzero(flow[:, j])
            target = self.states[source] + change
            outside = target > self.bounds
            row = n + outside.argmax(axis=1)
            inside = ~outside.any(axis=1)
            row[inside] = self.index(target[inside])
            rows.append(row)
            columns.append(source)
            values.append(flow[source, j])
        entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
        return csr_array(entries, shape=(size, size))

    def fastest(self) -> tuple[str, float]:
        """Return the reaction with the largest propensity, and that propensity (1/time)."""
        peak = np.abs(self._propensities).max(axis=0)
        j = int(peak.argmax())
        return self.network.reactions[j].equation, float(peak[j])

    def _key(self, states: np.ndarray) -> np.ndarray:
        return np.ravel_multi_index(tuple(np.asarray(states).T), self._shape)

    def _unkey(self, keys: np.ndarray) -> np.ndarray:
        return np.stack(np.unravel_index(keys, self._shape), axis=1)

    def _reachable(self, start: np.ndarray, limit: int) -> np.ndarray:
        active = np.flatnonzero(self.rate_constants)
        needed = self.network.reactants.T[active]
        change = self.network.stoichiometry.T[active]
        queue = seen = np.unique(start)
        while queue.size:
            if seen.size > limit:
                raise TooManyStatesError
            batch = self._unkey(queue[:_BATCH])[:, None, :]
            target = batch + change
            fires = np.all((batch >= needed) & (target <= self.bounds), axis=2)
            found = np.unique(self._key(target[fires]))
            place = np.searchsorted(seen, found)
            new = seen[np.minimum(place, seen.size - 1)] != found
            seen = np.insert(seen, place[new], found[new])
            queue = np.concatenate([queue[_BATCH:], found[new]])
        return seen


def largest_counts(stoichiometry: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the most that conservation laws allow of each species (N,); inf where none does.

    Examples
    --------
    2 A <-> B from 5 A:

    >>> largest_counts(np.array([[-2, 2], [1, -1]]), np.array([[5, 0]]))
    array([5., 2.])
    """
    caps = np.full(stoichiometry.shape[0], np.inf)
    for law in np.array(left_null_space(stoichiometry)):
        if np.all(law >= 0):
            total, used = (start @ law).max(), law > 0
            caps[used] = np.minimum(caps[used], total // law[used])
    return caps


def uniformise(matrix, start: np.ndarray, means: Sequence[float], amplification: float = 0.0):
    r"""Return exp(Q t) applied to a vector, for several t: the Poisson mixture of powers.

    .. math:: e^{Qt} p = \sum_k e^{-Λt} \frac{(Λt)^k}{k!} P^k p, \qquad P = I + Q/Λ

    For a generator every number is nonnegative and nothing cancels. What the finite sum leaves
    out (below 1e-16 of the total) is missing from the result, not redistributed.

    Parameters
    ----------
    matrix : sparse (n, n)
        P.
    start : ndarray (n,)
    means : ascending sequence of T numbers
        Λt.
    amplification : float
        The column sums of \|P\| are at most 1 + amplification (0 for a generator).

    Returns
    -------
    ndarray (T, n)

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
    terms = weights.shape[1]
    result = np.zeros((len(weights), start.size))
    block = max(1, min(_BLOCK, terms))
    iterates = np.empty((block, start.size))
    vector = start
    for first in range(0, terms, block):
        count = min(block, terms - first)
        for k in range(count):
            iterates[k] = vector
            vector = matrix @ vector
        part = weights[:, first : first + count]
        if (used := part.any(axis=1)).any():
            result[used] += part[used] @ iterates[:count]
    return result


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
