"""A network as the flat tables that the compiled kernels read."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .network import ReactionNetwork
from .programs import joined, no_program, program_of


class Tables(NamedTuple):
    """A network in flat arrays; rows of reaction j are ``start[j]`` to ``start[j + 1]``.

    ``rates`` carry the volume and 1/ν! of Eq. 5, so that a propensity is the rate times the
    factors (count - offset) of its reactants. A reaction with a rate law has a program instead;
    its factors tell which counts it needs.
    """

    rates: np.ndarray
    factor_start: np.ndarray
    factors: np.ndarray  # rows (species, offset)
    change_start: np.ndarray
    changes: np.ndarray  # rows (species, change)
    affected_start: np.ndarray
    affected: np.ndarray  # reactions whose propensity a reaction changes
    law_start: np.ndarray
    code: np.ndarray  # of the rate laws: rows (operation, argument)
    constants: np.ndarray


class Control(NamedTuple):
    """What a caller wants of a run besides its counts at the recorded times."""

    max_events: int
    stop: np.ndarray  # the program of a condition, or an empty one
    stop_constants: np.ndarray
    interrupt: np.ndarray  # one flag, raised by the caller
    log_time: np.ndarray  # room for the time of every event, or empty
    log_reaction: np.ndarray


def reaction_tables(network: ReactionNetwork) -> Tables:
    """Return the tables of a network whose parameters all have values.

    Raises
    ------
    NetworkError
        If a parameter has no value.

    Examples
    --------
    >>> tables = reaction_tables(ReactionNetwork("2 A -> B ; 3 \\n B -> 0 ; 1", volume=5))
    >>> tables.rates, tables.changes[:, 1]
    (array([0.3, 1. ]), array([-2,  1, -1]))
    """
    position = {name: i for i, name in enumerate(network.species)}
    rates = network.rate_constants()
    factors, changes, programs = [], [], []
    for j, reaction in enumerate(network.reactions):
        order = sum(count for _, count in reaction.reactants)
        ways = math.prod(math.factorial(count) for _, count in reaction.reactants)
        if reaction.is_mass_action:
            rates[j] *= network.volume ** (1.0 - order) / ways
            programs.append(no_program())
        else:
            programs.append(program_of(reaction.rate, network))
        factors.append([(position[s], o) for s, count in reaction.reactants for o in range(count)])
        change: dict[int, int] = {}
        for side, sign in ((reaction.reactants, -1), (reaction.products, 1)):
            for name, count in side:
                change[position[name]] = change.get(position[name], 0) + sign * count
        changes.append([(i, u) for i, u in sorted(change.items()) if u])
    affected = _affected(network, position, changes)
    return Tables(
        rates, *flat(factors, 2), *flat(changes, 2), *flat(affected, 1), *joined(programs)
    )


def _affected(network, position, changes) -> list[list[tuple[int]]]:
    readers: list[list[int]] = [[] for _ in position]
    for j, reaction in enumerate(network.reactions):
        names = {name for name, _ in reaction.reactants}
        if not reaction.is_mass_action:
            names |= set(reaction.rate.names) & position.keys()
        for name in names:
            readers[position[name]].append(j)
    return [sorted({(k,) for i, _ in change for k in readers[i]}) for change in changes]


def flat(groups, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where the rows of each group start, and the rows of all groups."""
    starts = np.concatenate([[0], np.cumsum([len(group) for group in groups])]).astype(np.int64)
    rows = np.array([row for group in groups for row in group], dtype=np.int64)
    return starts, rows.reshape(-1, width) if width > 1 else rows.reshape(-1)
