"""Where a chain ends up inside a box of states: closed classes and the time spent in each state."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property

import numpy as np

from .contour import factorised
from .state_distribution import FSPError
from .state_space import StateSpace

_MAX_NUMBERS = 20_000_000  # states x states of return, beyond which the bound costs too much
_BATCH = 64
_SHOWN = 4


class ClosedClass:
    """The one class of states that is entered from all others and not left, but through faces.

    Parameters
    ----------
    space : StateSpace

    Attributes
    ----------
    members : ndarray of int
        Positions of its states; empty if there is no such class, or several that leak.
    leaks : bool
        Whether the chain leaves it through a face of the box.
    entries : ndarray of int
        Positions among the members to which a reaction leads from a state that is not here.

    Raises
    ------
    FSPError
        If there are several classes that nothing leaves.
    """

    def __init__(self, space: StateSpace) -> None:
        from scipy.sparse.csgraph import connected_components

        self.space, n = space, len(space)
        self._moves = space.generator[:n, :n].tocsc()
        self._out = space.generator[n:, :n].tocsc()
        leaving = np.asarray(self._out.sum(axis=0)).ravel()
        count, label = connected_components(self._moves.T, connection="strong")
        target, source = self._moves.nonzero()
        bottom = np.ones(count, dtype=bool)
        bottom[label[source[label[source] != label[target]]]] = False
        tight = bottom & (np.bincount(label, leaving, count) == 0)
        if tight.sum() > 1:
            raise FSPError(self._several(label, np.flatnonzero(tight)))
        self.leaks = not tight.any()
        chosen = np.flatnonzero(bottom if self.leaks else tight)
        self.members = np.flatnonzero(label == chosen[0]) if chosen.size == 1 else np.empty(0, int)
        self.entries = self._returns() if self.leaks else np.empty(0, int)
        if self.leaks and not self.entries.size:
            self.members = self.entries  # what leaves never comes back

    @cached_property
    def occupation(self) -> Occupation:
        """The time that the chain spends in each member."""
        own = self.members
        leaving = np.asarray(self._out[:, own].sum(axis=0)).ravel()
        moves = self._moves[own][:, own].tocsc()
        return Occupation(moves, leaving, self.entries, self.space.rate or 1.0)

    def outflow(self, values: np.ndarray) -> np.ndarray:
        """Return the flow through the faces of each species (N,) for members' probabilities."""
        return self._out[:, self.members] @ values

    def lost_before(self, start: np.ndarray) -> np.ndarray:
        """Return the probability to leave the box (N,) from states before the class is entered."""
        others = np.setdiff1d(np.arange(len(self.space)), self.members)
        begin = np.isin(others, self.space.index(start)) / len(start)
        if not begin.any():
            return np.zeros(self._out.shape[0])
        visits = factorised(-self._moves[others][:, others])(begin)
        return self._out[:, others] @ np.maximum(visits, 0)

    def _returns(self) -> np.ndarray:
        space = self.space
        own = space.states[self.members]
        found = np.zeros(len(own), dtype=bool)
        for j in np.flatnonzero(space.rate_constants):
            before = own - space.network.stoichiometry[:, j]
            possible = np.all(before >= space.network.reactants[:, j], axis=1)
            inside = possible & np.all(before <= space.bounds, axis=1)
            place = space.index(np.where(inside[:, None], before, own))
            inside &= np.all(space.states[np.minimum(place, len(space) - 1)] == before, axis=1)
            found |= possible & ~inside
        return np.flatnonzero(found)

    def _several(self, label: np.ndarray, tight: np.ndarray) -> str:
        names, parts = self.space.network.species, []
        for k in tight[:_SHOWN]:
            members = np.flatnonzero(label == k)
            state = self.space.states[members[0]]
            text = ", ".join(f"{name}={n}" for name, n in zip(names, state, strict=True))
            more = f" and {members.size - 1} more states" if members.size > 1 else ""
            parts.append(f"({text}){more}")
        rest = ", ..." if tight.size > _SHOWN else ""
        return (
            f"{tight.size} closed classes of states, each with a stationary distribution of its "
            f"own: {', '.join(parts)}{rest}; chance decides between them: start in one of them, or "
            "solve to a late time with finite_state_projection"
        )


class Occupation:
    r"""The share of time in each state of a class, by one sparse factorisation.

    What leaves through a face comes back in some state x. For each x the share of time is
    :math:`-Q^{-1} e_x`, divided by its sum; the true share inside the box is a mixture of these.
    Where next to nothing leaves, Q is almost singular: the chain is therefore stopped in one state
    as well, and started there again, and both solutions are put together without a subtraction.

    Parameters
    ----------
    moves : sparse (n, n)
        Q among the states; what its columns lack to a sum of zero leaves.
    leaving : ndarray (n,)
        Rates at which the states are left through the faces.
    entries : ndarray of int
        States of return.
    rate : float
        At which to stop the chain.

    Attributes
    ----------
    values : ndarray (n,)
        For a return to every state of return alike.

    Examples
    --------
    >>> from scipy.sparse import csc_array
    >>> moves = csc_array(np.array([[-1.0, 3.0], [1.0, -3.0]]))
    >>> Occupation(moves, np.zeros(2), np.empty(0, int), 1.0).values
    array([0.75, 0.25])
    """

    def __init__(self, moves, leaving: np.ndarray, entries: np.ndarray, rate: float) -> None:
        self._moves, self._leaving, self._entries, self._rate = moves, leaving, entries, rate
        self._stop_somewhere()
        self._stop_in(int(self.values.argmax()))  # where the chain is often found

    def error(self) -> float:
        """Return a bound on the total variation, whatever the states of return; nan if too dear."""
        if len(self._entries) * len(self.values) > _MAX_NUMBERS:
            return np.nan
        worst = 0.0
        for first in range(0, len(self._entries), _BATCH):
            back = self._entries[first : first + _BATCH]
            begin = np.zeros((len(self.values), len(back)))
            begin[back, np.arange(len(back))] = 1.0
            apart = np.abs(self._share(begin) - self.values[:, None]).sum(axis=0) / 2
            worst = max(worst, float(apart.max()))
        return worst

    def residual(self) -> float:
        """Return the sum of magnitudes of Q π over the largest rate, outflow included."""
        return float(np.abs(self._moves @ self.values).sum() / self._rate)

    def _stop_somewhere(self) -> None:
        # where the chain is as good as never found, stopping it there leaves Q singular
        last = len(self._leaving) - 1
        for state in dict.fromkeys([0, last // 2, last // 4, 3 * last // 4, last]):
            with np.errstate(all="ignore"), suppress(RuntimeError):
                self._stop_in(state)
                if np.isfinite(self.values).all():
                    return
        self._stop_in(0)

    def _stop_in(self, state: int) -> None:
        from scipy.sparse import diags_array

        stop = np.zeros(len(self._leaving))
        stop[state] = self._rate
        self._state, self._solve = state, factorised(diags_array(stop) - self._moves)
        self._home = np.maximum(self._solve(stop / self._rate), 0)
        begin = np.zeros((len(stop), 1))
        begin[self._entries if self._entries.size else state] = 1.0
        self.values = self._share(begin)[:, 0]

    def _share(self, begin: np.ndarray) -> np.ndarray:
        """Return the share of time in each state for a return as the columns say."""
        visits = np.maximum(self._solve(begin), 0)
        left = self._leaving @ self._home
        total = left * visits + self._rate * visits[self._state] * self._home[:, None]
        return total / total.sum(axis=0)
