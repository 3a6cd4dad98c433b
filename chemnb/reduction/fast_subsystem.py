"""What fast reactions do while nothing else happens: slow states and their stationary laws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ..networks.conservation import law_text, left_null_space
from ..networks.expressions import listing
from ..networks.network import ReactionNetwork
from ..networks.tables import reaction_tables
from ..projection.state_space import StateSpace, TooManyStatesError, largest_counts

_LEAST_GROWTH = 64  # slow states tabulated at once
_LARGEST_DENSE = 3000  # states of one slow state without detailed balance
_STEPS = 400


class SlowScaleError(ValueError):
    """Fast reactions that cannot be averaged; the message says why and what would be right."""


class FastSubsystem:
    r"""One group of species that fast reactions join, tabulated over its slow states.

    A slow state is a set of states that the fast reactions join, with its stationary law:
    where they are in detailed balance the product :math:`\prod_i c_i^{n_i}/n_i!`
    (Whittle 1986), otherwise the null vector of the generator. Slow states are numbered in
    the order in which they were met, so that numbers stay when `locate` and `grow` add more;
    number 0 is the empty one.

    Parameters
    ----------
    network : ReactionNetwork
        The fast reactions of the group and no others.
    orders, change : ndarray of int (N, J)
        What J slow reactions take from the group and what they change in it.
    propensities : {"slow-scale", "total", "naive"}
        How ``means`` is computed, see `AveragedNetwork`.
    free : dict of int -> int
        Species -> its law, for "naive".
    limit : int
        Largest number of states.

    Attributes
    ----------
    laws : ndarray of int (L, N)
        Slow coordinates: what the fast reactions conserve.
    states : ndarray of int (n, N)
    number : ndarray of int (n,)
        Slow state that a state settles in; -1 where that is not tabulated, or not one alone.
    probability : ndarray (n,)
        Stationary, summing to 1 in every slow state.
    totals : ndarray of int (C, L)
        Slow coordinates of every slow state.
    order : ndarray of int (C,)
        Slow states in an order that does not depend on when they were met.
    means : ndarray (C, J)
        What the group contributes to the propensity of each slow reaction.
    following : ndarray of int (C, J)
        Slow state after a slow reaction; -1 where it is not tabulated yet.

    Examples
    --------
    >>> fast = ReactionNetwork("2 A <-> B ; 1, 1")
    >>> decay = np.array([[1], [0]])
    >>> group = FastSubsystem(fast, decay, -decay, "slow-scale", {}, 1000)
    >>> group.laws, group.locate(np.array([[4, 0], [2, 1]]))
    (array([[1, 2]]), array([1, 1]))
    >>> group.totals.T, group.following.T
    (array([[0, 4]]), array([[-1, -1]]))
    >>> group.grow([(1, 0)])
    >>> group.totals.T, group.following.T
    (array([[0, 4, 3, 2, 1]]), array([[-1,  2,  3,  4,  0]]))
    >>> group.means.T.round(3)
    array([[0. , 1.6, 1.5, 1. , 1. ]])
    """

    def __init__(self, network, orders, change, propensities, free, limit) -> None:
        self.network, self.orders, self.change = network, orders, change
        self._propensities, self._free, self._limit = propensities, free, limit
        self._rates = network.rate_constants()
        self.laws = np.array(left_null_space(network.stoichiometry), dtype=np.int64)
        self.laws = self.laws.reshape(-1, len(network.species))
        self._balance = _detailed_balance(network)
        self._check_finite()
        self._starts = [(0,) * len(network.species)]
        self._tabulate()

    # --- growing ---------------------------------------------------------------------------

    def grow(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Tabulate where slow reactions lead: pairs (slow state, reaction), and some way on.

        Raises
        ------
        SlowScaleError
            If a slow reaction leads to several slow states, or there are too many states.
        """
        length = max(_LEAST_GROWTH, len(self.totals) // len(pairs))
        wanted = [self._ahead(number, j, length) for number, j in pairs]
        self._include(np.concatenate(wanted))
        for (number, j), states in zip(pairs, wanted, strict=True):
            if self.following[number, j] < 0:
                self._refuse(states[0])

    def locate(self, states: np.ndarray) -> np.ndarray:
        """Return the slow states of some states (m, N) -> (m,), tabulated if need be."""
        found = self._find(states)
        if np.any(found < 0):
            self._include(states[found < 0])
            found = self._find(states)
            if np.any(found < 0):
                self._refuse(states[found.argmin()])
        return found

    # --- what it tells ---------------------------------------------------------------------

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Slow coordinates as text."""
        return tuple(law_text(law, self.network.species) for law in self.laws.tolist())

    def conditional_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Return means and variances of the species in every slow state: two arrays (C, N)."""
        members = np.flatnonzero(self.probability)
        number, weight = self.number[members], self.probability[members]
        counts, size = self.states[members], len(self.totals)
        mean = np.stack([np.bincount(number, weight * n, size) for n in counts.T], axis=1)
        square = (counts - mean[number]) ** 2
        return mean, np.stack([np.bincount(number, weight * s, size) for s in square.T], axis=1)

    def distribution(self, names: Sequence[str], weights: np.ndarray):
        """Return the law of species or coordinates when slow states have these weights (C,).

        Returns
        -------
        DataArray (one dimension a name)
        """
        import xarray as xr

        members = np.flatnonzero(self.probability)
        members = members[weights[self.number[members]] > 0]
        number = self.number[members]
        columns = dict(zip(self.network.species, self.states[members].T, strict=True))
        columns |= dict(zip(self.coordinates, self.totals[number].T, strict=True))
        chosen = [columns[name] for name in names]
        shape = tuple(int(column.max()) + 1 for column in chosen)
        place = np.ravel_multi_index(chosen, shape)
        size = math.prod(shape)
        values = np.bincount(place, self.probability[members] * weights[number], size)
        coords = {name: np.arange(n) for name, n in zip(names, shape, strict=True)}
        return xr.DataArray(values.reshape(shape), coords, list(names))

    # --- tables ----------------------------------------------------------------------------

    def _ahead(self, number: int, j: int, length: int) -> np.ndarray:
        """Return the states after one slow reaction, and those after many of it in a row."""
        change = self.change[:, j]
        members = self.states[(self.number == number) & (self.probability > 0)]
        after = members[np.all(members >= self.orders[:, j], axis=1)] + change
        steps = np.full(len(after), length)
        for i in np.flatnonzero(change < 0):
            steps = np.minimum(steps, after[:, i] // -change[i])
        best = int(steps.argmax())
        return np.vstack([after, after[best] + change * np.arange(1, steps[best] + 1)[:, None]])

    def _include(self, states: np.ndarray) -> None:
        self._starts = list(dict.fromkeys([*self._starts, *map(tuple, states.tolist())]))
        self._tabulate()

    def _tabulate(self) -> None:
        starts = np.array(self._starts)
        bounds = largest_counts(self.network.stoichiometry, starts).astype(np.int64)
        try:
            self._space = StateSpace(self.network, self._rates, starts, bounds, self._limit)
        except TooManyStatesError:
            raise SlowScaleError(
                f"the fast reactions of {listing(self.network.species)} have more than "
                f"{self._limit} states in {len(starts)} slow states; start with fewer molecules, "
                "end earlier or raise max_states"
            ) from None
        self.states = self._space.states
        closed, labels = _closed_classes(self._space)
        self.number = _renumber(labels, self._space.index(starts))
        self.probability = np.where(self.number >= 0, self._law(closed, labels), 0.0)
        members = np.flatnonzero(self.probability)
        size = int(self.number.max()) + 1
        last = np.zeros(size, dtype=np.int64)
        last[self.number[members]] = members
        self.order = np.argsort(last)
        self.totals = self.states[last] @ self.laws.T
        self._fill(members, size)

    def _law(self, closed: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the stationary probability of every state in its closed class."""
        from scipy.special import gammaln

        law, members = np.zeros(len(labels)), np.flatnonzero(closed)
        group, size = labels[members], int(labels.max()) + 1
        if self._balance is not None:
            counts = self.states[members]
            # row by row: a matrix product may round a row in a way that its place decides
            exponent = (counts * self._balance - gammaln(counts + 1.0)).sum(axis=1)
            peak = np.full(size, -np.inf)
            np.maximum.at(peak, group, exponent)
            weight = np.exp(exponent - peak[group])
            law[members] = weight / np.bincount(group, weight, size)[group]
            return law
        order = members[np.argsort(group, kind="stable")]
        ends = np.cumsum(np.bincount(group, minlength=size))
        flow = self._space.generator[: len(labels), : len(labels)].T.tocsr()[order][:, order]
        for begin, end in pairwise(np.append(0, ends)):
            if end > begin:
                law[order[begin:end]] = self._null_vector(flow[begin:end, begin:end])
        return law

    def _null_vector(self, flow) -> np.ndarray:
        from .._kernels.slow_scale import stationary

        if flow.shape[0] > _LARGEST_DENSE:
            raise SlowScaleError(
                f"the fast reactions of {listing(self.network.species)} are not in detailed "
                f"balance and join {flow.shape[0]} states at fixed slow coordinates; "
                f"at most {_LARGEST_DENSE} can be solved: start with fewer molecules"
            )
        return stationary(np.ascontiguousarray(flow.toarray()))

    def _fill(self, members: np.ndarray, size: int) -> None:
        """Compute ``means`` and ``following``."""
        counts, number = self.states[members], self.number[members]
        self.means = np.ones((size, self.orders.shape[1]))
        self.following = np.tile(np.arange(size)[:, None], self.orders.shape[1])
        products = falling_factorials(counts, self.orders)
        smooth = None if self._propensities == "slow-scale" else self._deterministic(members, size)
        for j, change in enumerate(self.change.T):
            if self.orders[:, j].any():
                weight = self.probability[members] * products[:, j]
                self.means[:, j] = np.bincount(number, weight, size)
                if smooth is not None:
                    # what no state allows stays impossible
                    self.means[:, j] = np.where(self.means[:, j] > 0, smooth[:, j], 0.0)
            if change.any():
                fires = np.all(counts >= self.orders[:, j], axis=1)
                target = self._find(counts[fires] + change)
                self.following[:, j] = _unanimous(number[fires], target, size)

    def _deterministic(self, members: np.ndarray, size: int) -> np.ndarray:
        """Return products of counts (C, J) at the mass-action equilibrium of each slow state."""
        weight, number = self.probability[members], self.number[members]
        columns = [np.bincount(number, weight * n, size) for n in self.states[members].T]
        start, held = np.stack(columns, axis=1), np.zeros(self.laws.shape[1], dtype=bool)
        if self._propensities == "naive":
            held[list(self._free)] = True
            for species, law in self._free.items():
                start[:, species] = self.totals[:, law] / self.laws[law, species]
        return falling_factorials(equilibrium(self.network, start, held), self.orders)

    def _find(self, states: np.ndarray) -> np.ndarray:
        """Return the slow state of each state, -1 where it is not tabulated."""
        result = np.full(len(states), -1, dtype=np.int64)
        inside = np.flatnonzero(np.all(states <= self._space.bounds, axis=1))
        place = np.minimum(self._space.index(states[inside]), len(self.states) - 1)
        known = np.all(self.states[place] == states[inside], axis=1)
        result[inside[known]] = self.number[place[known]]
        return result

    # --- what cannot be averaged -----------------------------------------------------------

    def _check_finite(self) -> None:
        positive = self.laws[np.all(self.laws >= 0, axis=1)]
        bounded = positive.any(axis=0) if len(positive) else np.zeros(self.laws.shape[1], bool)
        if not bounded.all():
            names = np.array(self.network.species)[~bounded]
            raise SlowScaleError(
                f"the fast reactions do not bound {listing(names)}: at fixed slow coordinates "
                "there are infinitely many states; let only reactions be fast that together "
                "conserve a sum with every one of their species"
            )

    def _refuse(self, state) -> None:
        pairs = zip(self.network.species, state, strict=True)
        where = ", ".join(f"{n} {name}" for name, n in pairs)
        reactions = listing(reaction.equation for reaction in self.network.reactions)
        raise SlowScaleError(
            f"near {where} the fast reactions {reactions} do not lead to one stationary law: "
            "which states they reach depends on more than the slow coordinates; make their "
            "reverse reactions fast too, or choose other fast reactions"
        )


def falling_factorials(counts: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Return the products of n (n - 1) ... that propensities have: (m, N), (N, J) -> (m, J).

    Examples
    --------
    >>> falling_factorials(np.array([[4, 3]]), np.array([[2, 1], [0, 1]]))
    array([[12., 12.]])
    """
    result = np.ones((len(counts), orders.shape[1]))
    for i, j in zip(*np.nonzero(orders), strict=True):
        for offset in range(orders[i, j]):
            result[:, j] *= np.maximum(counts[:, i] - offset, 0)
    return result


def equilibrium(network: ReactionNetwork, start: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Return where the rate equations (Eq. 8) of a network come to rest, in counts.

    Linearly implicit Euler steps of growing length: they keep every conserved sum, and end in
    Newton's method.

    Parameters
    ----------
    start : ndarray (m, N)
        Many starts at once.
    held : ndarray of bool (N,)
        Species that stay as they are.

    Returns
    -------
    ndarray (m, N)

    Raises
    ------
    SlowScaleError
        If the solution does not come to rest.

    Examples
    --------
    >>> pair = ReactionNetwork("A <-> B ; 1, 3")
    >>> equilibrium(pair, np.array([[8.0, 0.0]]), np.array([False, False]))
    array([[6., 2.]])
    """
    orders, change = network.reactants, network.stoichiometry * ~held[:, None]
    rates, n = reaction_tables(network).rates, np.array(start, dtype=float)
    moving, step, identity = np.arange(len(n)), 0.0, np.eye(len(held))
    for _ in range(_STEPS):
        now = n[moving]
        flux = rates * np.prod(now[:, :, None] ** orders, axis=1)
        slopes = flux[:, :, None] * orders.T / np.where(now > 0, now, 1.0)[:, None, :]
        jacobian = change @ slopes
        fastest = np.maximum(np.abs(jacobian).max(axis=(1, 2), keepdims=True), 1e-290)
        # every start has its own steps: where it ends does not depend on the others
        step = np.clip(2 * step, 0.1 / fastest, 1e9 / fastest)
        slope = change @ flux[..., None]
        move = np.linalg.solve(identity / step - jacobian, slope)[..., 0]
        # at most nine tenths of the way to zero
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(move < 0, 0.9 * now / -move, 1.0)
        n[moving] = now = now + np.minimum(share.min(axis=1, keepdims=True), 1.0) * move
        small = np.all(np.abs(move) <= 1e-11 * (1 + now), axis=1)
        going = ~(small & (step * fastest > 1e6)[:, 0, 0])
        if not going.any():
            return n
        moving, step = moving[going], step[going]
    raise SlowScaleError(
        f"the rate equations of the fast reactions of {listing(network.species)} do not come to "
        "rest; use propensities='slow-scale'"
    )


def _detailed_balance(network: ReactionNetwork) -> np.ndarray | None:
    """Return ln c with c^U_j the ratio of forward and backward rates, None if there is none."""
    sides = zip(network.reactants.T.tolist(), network.products.T.tolist(), strict=True)
    total: dict[tuple, float] = {}
    for (left, right), rate in zip(sides, reaction_tables(network).rates, strict=True):
        key = tuple(left), tuple(right)
        total[key] = total.get(key, 0.0) + rate
    if not all(rate > 0 and total.get(key[::-1], 0.0) > 0 for key, rate in total.items()):
        return None
    change = np.array([np.subtract(right, left) for left, right in total])
    target = np.array([math.log(rate / total[key[::-1]]) for key, rate in total.items()])
    solution = np.linalg.lstsq(change, target, rcond=None)[0]
    misfit = np.abs(change @ solution - target).max()
    return solution if misfit <= 1e-10 * max(1.0, np.abs(target).max()) else None


def _closed_classes(space: StateSpace) -> tuple[np.ndarray, np.ndarray]:
    """Return which states recur (n,), and the only closed class that each reaches (n,), or -1."""
    from scipy.sparse.csgraph import connected_components

    size = len(space)
    moves = space.matrix[:size, :size].tocoo()
    joined = (moves.row != moves.col) & (moves.data > 0)
    source, target = moves.col[joined], moves.row[joined]
    count, strong = connected_components(space.matrix[:size, :size], connection="strong")
    left = np.zeros(count, dtype=bool)
    left[strong[source[strong[source] != strong[target]]]] = True
    closed = ~left[strong]
    lowest, highest = np.where(closed, strong, count), np.where(closed, strong, -1)
    while left.any():
        before = lowest.copy(), highest.copy()
        np.minimum.at(lowest, source, lowest[target])
        np.maximum.at(highest, source, highest[target])
        if np.array_equal(before[0], lowest) and np.array_equal(before[1], highest):
            break
    return closed, np.where(lowest == highest, lowest, -1)


def _renumber(labels: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the labels as 0, 1, ... in the order in which the starts meet them."""
    met = dict.fromkeys(labels[starts].tolist())
    met.pop(-1, None)
    table = np.full(int(labels.max(initial=-1)) + 2, -1, dtype=np.int64)
    table[list(met)] = np.arange(len(met))
    return table[labels]  # label -1 reads the last entry, which stays -1


def _unanimous(number: np.ndarray, target: np.ndarray, size: int) -> np.ndarray:
    """Return the target on which all states of a slow state agree, -1 where they do not."""
    largest = np.iinfo(np.int64).max
    lowest, highest = np.full(size, largest), np.full(size, -1, dtype=np.int64)
    np.minimum.at(lowest, number, target)
    np.maximum.at(highest, number, target)
    return np.where(lowest == highest, highest, -1)
