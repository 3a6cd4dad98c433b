"""Gillespie's direct method over slow states, and stationary laws of Markov chains."""

import math

import numpy as np
from numba import njit, prange

from .exact import COMPLETE, COUNT_TOO_LARGE, LARGEST_COUNT, TOO_MANY_EVENTS
from .random import draw, stream

UNKNOWN_STATE = 3
LARGEST_WEIGHT = 1e200


@njit(cache=True)
def stationary(rates):
    """Return the stationary law of an irreducible chain, by elimination without subtraction.

    Grassmann, Taksar and Heyman (1985), doi:10.1287/opre.33.5.1107: every probability is right
    to a few units in its last place, however stiff the chain. ``rates[i, k]`` leads from i to k;
    the diagonal is not read, and the rest is overwritten.
    """
    size = len(rates)
    for last in range(size - 1, 0, -1):
        away = 0.0
        for k in range(last):
            away += rates[last, k]
        for i in range(last):
            share = rates[i, last] / away
            rates[i, last] = share
            if share > 0.0:
                for k in range(last):
                    rates[i, k] += share * rates[last, k]
    law = np.ones(size)
    for k in range(1, size):
        law[k] = 0.0
        for i in range(k):
            law[k] += law[i] * rates[i, k]
        if law[k] > LARGEST_WEIGHT:
            law[: k + 1] /= law[k]
    return law / law.sum()


@njit(cache=True)
def _propensity(j, n, spectators, tables, offset, means):
    rates, factor_start, factor_species, factor_offset, use_start, used = tables[:6]
    value = rates[j]
    for f in range(factor_start[j], factor_start[j + 1]):
        value *= n[factor_species[f]] - factor_offset[f]
    for u in range(use_start[j], use_start[j + 1]):
        value *= means[offset[used[u]] + n[spectators + used[u]], j]
    return value


@njit(cache=True)
def _run(out, times, index, seed, start, tables, offset, means, following, max_events):
    """Simulate one trajectory into ``out`` and return (status, reaction, group, slow state)."""
    change_start, change_species, change_delta, move_start, moved, touch_start, touched = tables[6:]
    spectators = len(start) - len(offset)
    n_reactions = len(tables[0])
    n = start.copy()
    a = np.empty(n_reactions)
    for j in range(n_reactions):
        a[j] = _propensity(j, n, spectators, tables, offset, means)
    s0, s1, s2, s3 = stream(seed, index)
    t, row, chosen = 0.0, 0, 0
    # one more: the event that passes the last time does not happen
    for _ in range(max_events + 1):
        total = 0.0
        for j in range(n_reactions):
            total += a[j]
        waiting = math.inf
        if total > 0.0:
            u, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
            waiting = -math.log(u) / total
            u, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
            target = u * total
            for j in range(n_reactions):
                if a[j] > 0.0:
                    # the last possible channel catches what rounding leaves over
                    chosen = j
                    target -= a[j]
                    if target <= 0.0:
                        break
        t += waiting
        while row < len(times) and times[row] < t:
            out[row] = n
            row += 1
        if row == len(times):
            return COMPLETE, chosen, 0, 0
        for c in range(change_start[chosen], change_start[chosen + 1]):
            n[change_species[c]] += change_delta[c]
            if n[change_species[c]] > LARGEST_COUNT:
                return COUNT_TOO_LARGE, chosen, 0, 0
        for c in range(move_start[chosen], move_start[chosen + 1]):
            place = spectators + moved[c]
            state = n[place]
            n[place] = following[offset[moved[c]] + state, chosen]
            if n[place] < 0:
                return UNKNOWN_STATE, chosen, moved[c], state
        for c in range(touch_start[chosen], touch_start[chosen + 1]):
            j = touched[c]
            a[j] = _propensity(j, n, spectators, tables, offset, means)
    return TOO_MANY_EVENTS, chosen, 0, 0


@njit(cache=True, parallel=True, nogil=True)
def run_block(out, runs, times, first, seed, start, tables, offset, means, following, max_events):
    """Simulate some trajectories of a block into out (block, times, spectators + groups).

    Parameters
    ----------
    runs : ndarray of int (R,)
        Which rows of ``out`` to fill; row i holds trajectory ``first + i``.
    start : ndarray of int
        Counts of the spectators, then the number of the slow state of each group.
    offset : ndarray of int (groups,)
        Where the rows of each group begin in ``means`` and ``following``.
    means, following : ndarray (slow states, reactions)
        Factor of the propensity, and number of the slow state after the reaction (-1: unknown).

    Returns
    -------
    ndarray (R, 4)
        Status and last reaction; for UNKNOWN_STATE also the group and the slow state left.
    """
    report = np.zeros((len(runs), 4), np.int64)
    for i in prange(len(runs)):
        status, reaction, group, state = _run(
            out[runs[i]], times, first + runs[i], seed, start, tables, offset, means, following,
            max_events,
        )  # fmt: skip
        report[i, 0] = status
        report[i, 1] = reaction
        report[i, 2] = group
        report[i, 3] = state
    return report
