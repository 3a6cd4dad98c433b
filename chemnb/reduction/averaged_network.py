"""A network whose fast reactions are averaged: slow coordinates and the propensities left."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from numbers import Integral
from typing import NamedTuple

import numpy as np

from ..networks.conservation import law_text, left_null_space
from ..networks.expressions import closest, listing
from ..networks.network import ReactionNetwork
from ..networks.reactions import Reaction, canonical
from ..networks.tables import flat, reaction_tables
from .fast_subsystem import FastSubsystem, SlowScaleError, falling_factorials

PROPENSITIES = ("slow-scale", "total", "naive")
_BOTH_WAYS = re.compile(r"<->|<=>|⇌")
_ARROW = re.compile(r"->|→|<=>|⇌")


class SlowTables(NamedTuple):
    """Slow reactions in flat arrays; rows of reaction j are ``start[j]`` to ``start[j + 1]``."""

    rates: np.ndarray
    factor_start: np.ndarray
    factors: np.ndarray  # rows (spectator, offset)
    use_start: np.ndarray
    used: np.ndarray  # groups whose ``means`` are factors
    change_start: np.ndarray
    changes: np.ndarray  # rows (spectator, change)
    move_start: np.ndarray
    moved: np.ndarray  # groups whose slow state a reaction changes
    affected_start: np.ndarray
    affected: np.ndarray  # reactions whose propensity a reaction changes


class AveragedNetwork:
    r"""A network whose fast reactions are always at equilibrium (the stochastic side of QSSA).

    What is left are its slow coordinates, the sums that fast reactions conserve (left null
    space of their stoichiometry), and the slow reactions, whose propensities are averaged over
    what the fast ones do meanwhile:

    - ``"slow-scale"``: the exact stationary average over the fast states at fixed slow
      coordinates (Cao, Gillespie and Petzold 2005, doi:10.1063/1.1824902);
    - ``"total"``: the propensity at the deterministic equilibrium of the fast reactions with
      the same slow coordinates (total QSSA; Borghans, de Boer and Segel 1996,
      doi:10.1007/BF02458281);
    - ``"naive"``: the same, but each ``free`` species is taken to be as many as its whole
      slow coordinate, as if none were bound (QSSA in the free species, as in Eqs. 17 and 18).

    Species that no fast reaction touches are slow coordinates themselves.

    Parameters
    ----------
    network : ReactionNetwork
        With a value for every rate constant.
    fast_reactions : sequence of str, int or Reaction
        Reactions of the network, by text or index; ``A <-> B`` names both directions. Whether
        they are fast enough is not checked: compare with `sample`.
    propensities : {"slow-scale", "total", "naive"}
    free : sequence of str, optional
        For "naive", one species for each slow coordinate that slow reactions change; default
        the species that can be the only one meant.
    max_states : int
        Largest number of fast states tabulated.

    Attributes
    ----------
    network : ReactionNetwork
    species : tuple of str
        Slow coordinates as text.
    laws : ndarray of int (coordinates, species of the network)
    fast, slow : tuple of Reaction
    indices : list of int
        Which reactions of the network are slow.
    groups : list of FastSubsystem
        The fast reactions, in groups that share no species.

    Raises
    ------
    SlowScaleError
        If no reaction is fast or all are, or the fast ones cannot be averaged.
    NetworkError
        If a reaction is not in the network, or a rate constant has no value.

    Examples
    --------
    >>> enzyme = ReactionNetwork("E + S <-> C ; 10, 9 \n C -> E + P ; 0.1")
    >>> model = AveragedNetwork(enzyme, ["E + S <-> C"])
    >>> model
    AveragedNetwork(2 fast and 1 slow reactions; slow coordinates P, S + C, E + C)
    >>> model.propensities({"E": 2, "S": 3}).round(4)
    array([0.1425])
    """

    def __init__(
        self,
        network: ReactionNetwork,
        fast_reactions: Sequence[str | int | Reaction],
        *,
        propensities: str = "slow-scale",
        free: Sequence[str] | None = None,
        max_states: int = 2_000_000,
    ) -> None:
        if propensities not in PROPENSITIES:
            raise SlowScaleError(
                f"propensities='{propensities}' is unknown; use one of {PROPENSITIES}"
            )
        for reaction in network.reactions:
            if not reaction.is_mass_action:
                raise SlowScaleError(
                    f"'{reaction}' has a rate law, but averages are taken of mass-action "
                    "propensities only; give it a rate constant, or use sample"
                )
        fast = _fast_indices(network, fast_reactions)
        self.indices = [j for j in range(len(network.reactions)) if j not in fast]
        self.network, self._rates = network, reaction_tables(network).rates[self.indices]
        self.fast, self.slow = (tuple(network.reactions[j] for j in part)
                                for part in (fast, self.indices))  # fmt: skip
        self._orders = network.reactants[:, self.indices]
        self._change = network.stoichiometry[:, self.indices]
        self.groups, self._members = [], []
        for reactions in _joined(network, fast):
            others = [j for j in range(len(network.reactions)) if j not in reactions]
            part = network.without_reactions(*others)
            members = np.array([network.species.index(name) for name in part.species])
            orders, change = self._orders[members], self._change[members]
            chosen = {}
            if propensities == "naive":
                chosen = _free_species(part, change, free)
            self._members.append(members)
            self.groups.append(
                FastSubsystem(part, orders, change, propensities, chosen, max_states)
            )
        joined = {i for members in self._members for i in members}
        self._spectators = [i for i in range(len(network.species)) if i not in joined]
        self.laws = self._laws()
        self.species = tuple(law_text(law, network.species) for law in self.laws.tolist())

    def coordinates(self, counts):
        """Return slow coordinates of counts.

        Parameters
        ----------
        counts : DataArray with a dimension ``species``, mapping, or array_like (..., species)

        Returns
        -------
        DataArray or ndarray
            With the slow coordinates in place of the species.
        """
        if not hasattr(counts, "dims"):
            return self.network.counts(counts) @ self.laws.T
        import xarray as xr

        counts = counts.transpose(..., "species").sel(species=list(self.network.species))
        coords = {name: axis for name, axis in counts.coords.items() if name != "species"}
        return xr.DataArray(
            counts.values @ self.laws.T, coords | {"species": list(self.species)}, counts.dims
        )

    def propensities(self, state) -> np.ndarray:
        """Return the averaged propensities of the slow reactions (1/time).

        Parameters
        ----------
        state : mapping of species -> count, or array_like of shape (..., species)
            Any state with the wanted slow coordinates.

        Returns
        -------
        ndarray of shape (..., slow reactions)
        """
        counts = self.network.counts(state)
        flat = counts.reshape(-1, counts.shape[-1])
        result = self._rates * falling_factorials(
            flat[:, self._spectators], self._orders[self._spectators]
        )
        for group, numbers in zip(self.groups, self.locate(flat).T, strict=True):
            result *= group.means[numbers]
        return result.reshape(*counts.shape[:-1], -1)

    def conditional(self, state, *names: str):
        """Return the stationary law of fast species at the slow coordinates of a state.

        Parameters
        ----------
        state : mapping of species -> count, or sequence of counts
        names : str
            Species that the same fast reactions join.

        Returns
        -------
        DataArray (one dimension a species)

        Raises
        ------
        SlowScaleError
            If the species are unknown, not fast, or not joined by fast reactions.
        """
        k, group = self.group(names)
        number = self.locate(self.network.counts(state)[None])[0, k]
        return group.distribution(names, np.arange(len(group.totals)) == number)

    def group(self, names: Sequence[str]) -> tuple[int, FastSubsystem]:
        """Return the number and the group of fast species or slow coordinates."""
        for k, group in enumerate(self.groups):
            if names and set(names) <= {*group.network.species, *group.coordinates}:
                return k, group
        groups = [[*g.network.species, *g.coordinates] for g in self.groups]
        known = [name for group in groups for name in group]
        hint = next((closest(name, known) for name in names if name not in known), "")
        raise SlowScaleError(
            f"{listing(names) or 'nothing'} is not a set of species that the same fast reactions "
            f"join{hint}; they join " + " and ".join(listing(group) for group in groups)
        )

    def locate(self, counts: np.ndarray) -> np.ndarray:
        """Return the numbers of slow states: counts (m, species) -> (m, groups)."""
        numbers = [
            group.locate(counts[:, members])
            for group, members in zip(self.groups, self._members, strict=True)
        ]
        return np.stack(numbers, axis=1)

    def __repr__(self) -> str:
        return (
            f"AveragedNetwork({len(self.fast)} fast and {len(self.slow)} slow reactions; "
            f"slow coordinates {', '.join(self.species)})"
        )

    def _laws(self) -> np.ndarray:
        identity = np.eye(len(self.network.species), dtype=np.int64)
        rows = [identity[self._spectators]]
        for group, members in zip(self.groups, self._members, strict=True):
            rows.append(group.laws @ identity[members])
        return np.concatenate(rows)

    # --- for the compiled loop ---------------------------------------------------------------

    def split(self, counts: np.ndarray) -> np.ndarray:
        """Return one state as the kernel keeps it: spectators, then numbers of slow states."""
        return np.concatenate([counts[self._spectators], self.locate(counts[None])[0]])

    def join(self, states: np.ndarray) -> np.ndarray:
        """Return the slow coordinates of states that the kernel kept."""
        size = len(self._spectators)
        parts = [group.totals[states[..., size + k]] for k, group in enumerate(self.groups)]
        return np.concatenate([states[..., :size], *parts], axis=-1)

    def slow_tables(self) -> SlowTables:
        """Return what each slow reaction needs and does."""
        reactions, groups = range(len(self.slow)), range(len(self.groups))
        orders, change = (table[self._spectators] for table in (self._orders, self._change))
        factors = [[(i, o) for i, v in enumerate(orders[:, j]) for o in range(v)]
                   for j in reactions]  # fmt: skip
        changes = [[(i, u) for i, u in enumerate(change[:, j]) if u] for j in reactions]
        uses = [[(k,) for k in groups if self.groups[k].orders[:, j].any()] for j in reactions]
        moves = [[(k,) for k in groups if self.groups[k].change[:, j].any()] for j in reactions]
        touches = [
            [(i,) for i in reactions
             if np.any(orders[:, i] * change[:, j]) or set(uses[i]) & set(moves[j])]
            for j in reactions
        ]  # fmt: skip
        rows = (factors, 2), (uses, 1), (changes, 2), (moves, 1), (touches, 1)
        return SlowTables(self._rates, *chain.from_iterable(flat(*pair) for pair in rows))

    def state_tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return where each group begins, and ``means`` and ``following`` of all groups."""
        sizes = [len(group.totals) for group in self.groups]
        return (
            np.cumsum([0, *sizes[:-1]]),
            np.concatenate([group.means for group in self.groups]),
            np.concatenate([group.following for group in self.groups]),
        )


def _fast_indices(network: ReactionNetwork, fast_reactions) -> list[int]:
    """Return the indices of the fast reactions, or refuse."""
    if isinstance(fast_reactions, (str, Reaction, Integral)):
        fast_reactions = [fast_reactions]
    if not isinstance(fast_reactions, Iterable):
        raise SlowScaleError(
            f"fast_reactions={fast_reactions!r} is no list of reactions; name them as in "
            f"{[network.reactions[0].equation]}"
        )
    equations = [canonical(reaction.equation) for reaction in network.reactions]
    found = set()
    for entry in fast_reactions:
        if not isinstance(entry, (Reaction, Integral)) and not _ARROW.search(str(entry)):
            raise SlowScaleError(
                f"{entry!r} is not a reaction, which has an arrow; name fast reactions, not "
                f"species: {listing(reaction.equation for reaction in network.reactions)}"
            )
        # one arrow that points both ways names two reactions
        sides = [side.strip() for side in _BOTH_WAYS.split(str(entry).split(";")[0])]
        both = [f"{a} -> {b}" for a, b in (sides, sides[::-1])] if len(sides) == 2 else [entry]
        for one in both:
            first = network._index(one)
            # a text means every reaction that reads so, whatever its rate
            alike = {j for j, equation in enumerate(equations) if equation == equations[first]}
            found |= {first} if isinstance(entry, Integral) else alike
    if not found:
        raise SlowScaleError("no reaction is fast; name at least one, or use sample")
    if len(found) == len(network.reactions):
        raise SlowScaleError(
            "all reactions are fast, so nothing slow is left to simulate; leave out those that "
            "change what you want to follow"
        )
    return sorted(found)


def _joined(network: ReactionNetwork, fast: Sequence[int]) -> list[list[int]]:
    """Return the fast reactions in groups that share no species."""
    groups: list[tuple[set, list[int]]] = []
    for j in fast:
        species, members = set(network.reactions[j].species), [j]
        apart = []
        for group in groups:
            if group[0] & species:
                species, members = species | group[0], members + group[1]
            else:
                apart.append(group)
        groups = [*apart, (species, sorted(members))]
    return [members for _, members in sorted(groups, key=lambda group: group[1])]


def _free_species(part: ReactionNetwork, change: np.ndarray, free) -> dict[int, int]:
    """Return which species stands for which slow coordinate: species -> law."""
    laws = np.array(left_null_space(part.stoichiometry), dtype=np.int64)
    moving = (laws @ change).any(axis=1)
    bound = laws[~moving].any(axis=0)
    found = {}
    for row in np.flatnonzero(moving):
        allowed = (laws[row] == 1) & ~bound
        if free is not None:
            allowed = (laws[row] > 0) & np.isin(part.species, list(free))
        fits = np.flatnonzero(allowed)
        if len(fits) != 1:
            raise SlowScaleError(
                f"propensities='naive' needs one free species for '"
                f"{law_text(laws[row].tolist(), part.species)}', but "
                f"{listing(np.array(part.species)[fits]) or 'none'} could be it; name one for "
                "each slow coordinate with free=[...]"
            )
        found[int(fits[0])] = int(row)
    return found
