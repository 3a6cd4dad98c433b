"""Gillespie's direct method over slow states, and stationary laws of Markov chains."""

import math

import numpy as np

from .compiled import allocating, compiled, inlined
from .network import (
    BAD_PROPENSITY,
    COMPLETE,
    COUNT_TOO_LARGE,
    INTERRUPTED,
    POLL,
    TOO_MANY_EVENTS,
    bad_reaction,
    react,
    record,
)
from .random import TINY, draw, stream, uniform, waiting_time

UNKNOWN_STATE = -1  # besides the ways to end that all kernels share
LARGEST_WEIGHT = 1e200


def _stationary_in_numpy(rates):
    """Do as `stationary`, with the same order of all sums."""
    size = len(rates)
    for last in range(size - 1, 0, -1):
        rates[:last, last] /= np.cumsum(rates[last, :last])[-1]
        rates[:last, :last] += np.outer(rates[:last, last], rates[last, :last])
    law = np.ones(size)
    for k in range(1, size):
        law[k] = np.cumsum(law[:k] * rates[:k, k])[-1]
        if law[k] > LARGEST_WEIGHT:
            law[: k + 1] /= law[k]
    return law / np.cumsum(law)[-1]


@allocating(in_numpy=_stationary_in_numpy)
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


@inlined()
def _propensity(j, n, spectators, rates, factor_start, factors, use_start, used, offset, means):
    """Return the averaged propensity of slow reaction j."""
    value = rates[j]
    for f in range(factor_start[j], factor_start[j + 1]):
        value *= n[factors[f, 0]] - factors[f, 1]
    for u in range(use_start[j], use_start[j + 1]):
        value *= means[offset[used[u]] + n[spectators + used[u]], j]
    return value


@compiled()
def _run(
    out, report, times, index, seed, start, tables, offset, means, following, max_events,
    interrupt, n, a, below,
):  # fmt: skip
    """Simulate one trajectory into ``out``; ``report`` becomes status, reaction, group, state."""
    (rates, factor_start, factors, use_start, used, change_start, changes, move_start, moved,
     affected_start, affected) = tables  # fmt: skip
    spectators, n_reactions = len(start) - len(offset), len(rates)
    for i in range(len(n)):
        n[i] = start[i]
    for j in range(n_reactions):
        a[j] = _propensity(
            j, n, spectators, rates, factor_start, factors, use_start, used, offset, means
        )
    s0, s1, s2, s3 = stream(seed, index)
    t, row, chosen, events, group, state = 0.0, 0, 0, 0, 0, 0
    while True:
        total = 0.0  # summed up afresh: an updated sum drifts
        for j in range(n_reactions):
            total += a[j]
            below[j] = total
        x, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
        y, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
        if not total < math.inf:
            status, chosen = BAD_PROPENSITY, bad_reaction(a)
            break
        t = t + waiting_time(uniform(x), total) if total >= TINY else math.inf
        row = record(out, times, row, t, n)
        if row == len(times):
            status = COMPLETE
            break
        if events == max_events:
            status = TOO_MANY_EVENTS
            break
        if events & POLL == POLL and interrupt[0]:
            status = INTERRUPTED
            break
        events += 1
        target, chosen = uniform(y) * total, 0
        while below[chosen] < target:
            chosen += 1
        if react(chosen, n, change_start, changes):
            status = COUNT_TOO_LARGE
            break
        status = COMPLETE
        for c in range(move_start[chosen], move_start[chosen + 1]):
            group = moved[c]
            state = n[spectators + group]
            n[spectators + group] = following[offset[group] + state, chosen]
            if n[spectators + group] < 0:
                status = UNKNOWN_STATE
                break
        if status == UNKNOWN_STATE:
            break
        for c in range(affected_start[chosen], affected_start[chosen + 1]):
            j = affected[c]
            a[j] = _propensity(
                j, n, spectators, rates, factor_start, factors, use_start, used, offset, means
            )
    report[0], report[1], report[2], report[3] = status, chosen, group, state


@allocating()
def run_block(
    out, runs, times, first, seed, start, tables, offset, means, following, max_events, interrupt
):
    """Simulate some trajectories of a block into out (block, times, spectators + groups).

    Parameters
    ----------
    runs : ndarray of int (R,)
        Which rows of ``out`` to fill; row i holds trajectory ``first + i``.
    start : ndarray of int
        Counts of the spectators, then the number of the slow state of each group.
    tables : SlowTables
    offset : ndarray of int (groups,)
        Where the rows of each group begin in ``means`` and ``following``.
    means, following : ndarray (slow states, reactions)
        Factor of the propensity, and number of the slow state after the reaction (-1: unknown).
    interrupt : ndarray of int (1,)
        One flag, raised by the caller.

    Returns
    -------
    ndarray of int (R, 4)
        Status and last reaction; for UNKNOWN_STATE also the group and the slow state left.
    """
    report, n = np.zeros((len(runs), 4), np.int64), np.empty_like(start)
    a, below = np.empty(len(tables.rates)), np.empty(len(tables.rates))
    for i in range(len(runs)):
        _run(
            out[runs[i]], report[i], times, first + runs[i], seed, start, tables, offset, means,
            following, max_events, interrupt, n, a, below,
        )  # fmt: skip
    return report
