"""Finite sets of states: which are reachable in a box, and how reactions move among them."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from ..networks.conservation import left_null_space

_BATCH = 1 << 16
_SMALL_BOX = 500_000  # states, all of which may be looked at


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
    slopes : PropensitySlopes, optional
        Parameters by which to differentiate; a reaction whose rate constant is zero is then
        followed if it depends on one of them.

    Attributes
    ----------
    states : ndarray of int (n, N)
        In lexicographic order.
    matrix : scipy.sparse.csr_array (n + N, n + N)
        I + Q/Λ, columns are sources; the last N states are the sinks.
    derivatives : tuple of scipy.sparse.csr_array
        Of ``matrix`` by each parameter of the slopes, Λ held.
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
    >>> from chemnb.networks.network import ReactionNetwork
    >>> net = ReactionNetwork("2 A <-> B ; 1, 1")
    >>> StateSpace(net, net.rate_constants(), np.array([[4, 0]]), np.array([4, 9]), 100).states
    array([[0, 2],
           [2, 1],
           [4, 0]])
    """

    def __init__(self, network, rate_constants, start, bounds, limit: int, slopes=None) -> None:
        self.network, self.rate_constants, self.slopes = network, rate_constants, slopes
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

        n, size, per_step = len(self), len(self) + len(self.bounds), self.rate or 1.0
        # in this order of operations the fastest state stays with exactly 0, never with -1e-16
        stay = (per_step - self._propensities.sum(axis=1)) / per_step
        (rows, columns), values = self._moves(self._propensities / per_step)
        diagonal = np.arange(size)
        rows, columns = np.concatenate([diagonal, rows]), np.concatenate([diagonal, columns])
        values = np.concatenate([stay, np.ones(size - n), values])
        return csr_array((values, (rows, columns)), shape=(size, size))

    @cached_property
    def generator(self):
        """Q, columns are sources, with the sinks: sparse (n + N, n + N)."""
        return _generator(self._moves(self._propensities), len(self) + len(self.bounds))

    @cached_property
    def derivatives(self) -> tuple:
        per_step = self.rate or 1.0
        return tuple(slope / per_step for slope in self.generator_derivatives)

    @cached_property
    def generator_derivatives(self) -> tuple:
        """Derivatives of `generator` by the parameters of the slopes."""
        if self.slopes is None:
            return ()
        size = len(self) + len(self.bounds)
        flows = self.slopes.at(self.states)
        return tuple(_generator(self._moves(flow), size) for flow in flows)

    def fastest(self) -> tuple[str, float]:
        """Return the reaction with the largest propensity, and that propensity (1/time)."""
        peak = np.abs(self._propensities).max(axis=0)
        j = int(peak.argmax())
        return self.network.reactions[j].equation, float(peak[j])

    def _moves(self, flow: np.ndarray):
        """Return the (target, source) of all moves with a flow (n, M), and the flows."""
        n = len(self)
        rows, columns, values = [], [], []
        for j, change in enumerate(self.network.stoichiometry.T):
            source = np.flatnonzero(flow[:, j])
            target = self.states[source] + change
            outside = target > self.bounds
            inside = ~outside.any(axis=1)
            row = n + outside.argmax(axis=1)
            row[inside] = self.index(target[inside])
            rows.append(row)
            columns.append(source)
            values.append(flow[source, j])
        return (np.concatenate(rows), np.concatenate(columns)), np.concatenate(values)

    def _key(self, states: np.ndarray) -> np.ndarray:
        return np.ravel_multi_index(tuple(np.asarray(states).T), self._shape)

    def _unkey(self, keys: np.ndarray) -> np.ndarray:
        return np.stack(np.unravel_index(keys, self._shape), axis=1)

    def _reachable(self, start: np.ndarray, limit: int) -> np.ndarray:
        active = self.rate_constants != 0
        if self.slopes is not None:
            active = active | self.slopes.active
        active = np.flatnonzero(active)
        needed = self.network.reactants.T[active]
        change = self.network.stoichiometry.T[active]
        if math.prod(self._shape) <= _SMALL_BOX:
            return self._connected(np.unique(start), needed, change, limit)
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

    def _connected(self, start: np.ndarray, needed, change, limit: int) -> np.ndarray:
        """Return what is reached in a small box: a long chain has as many fronts as states."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import breadth_first_order

        size = math.prod(self._shape)
        states = self._unkey(np.arange(size))
        sources, targets = (
            [np.full(start.size, size)],
            [start],
        )  # one more, which leads to all starts
        for need, move in zip(needed, change, strict=True):
            target = states + move
            fires = np.all((states >= need) & (target <= self.bounds), axis=1)
            sources.append(np.flatnonzero(fires))
            targets.append(self._key(target[fires]))
        moves = np.concatenate(sources), np.concatenate(targets)
        graph = csr_array((np.ones(moves[0].size), moves), shape=(size + 1, size + 1))
        found = breadth_first_order(graph, size, return_predecessors=False)[1:]
        if found.size > limit:
            raise TooManyStatesError
        return np.sort(found).astype(np.int64)


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


def _generator(moves, size: int):
    from scipy.sparse import csr_array

    (rows, columns), values = moves
    values, columns = np.concatenate([values, -values]), np.concatenate([columns, columns])
    rows = np.concatenate([rows, columns[: rows.size]])
    return csr_array((values, (rows, columns)), shape=(size, size))
