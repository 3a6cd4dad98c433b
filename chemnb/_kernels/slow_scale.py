"""Gillespie's direct method over slow states, and stationary laws of Markov chains.

Trajectories run in lockstep, as in `lanes`: the averaged propensities of all lanes are looked up
side by side. A lane that meets anything unusual is given up (REPLAY) and simulated alone.
"""

import math

import numpy as np

from .compiled import allocating, compiled, inlined
from .network import (
    BAD_PROPENSITY,
    COMPLETE,
    COUNT_TOO_LARGE,
    INTERRUPTED,
    POLL,
    REPLAY,
    TOO_MANY_EVENTS,
    bad_reaction,
    react,
    record,
)
from .random import TINY, draw, stream, uniform, waiting_time

UNKNOWN_STATE = -1  # besides the ways to end that all kernels share
LARGEST_WEIGHT = 1e200
_SAFE_COUNT = 2.0**52  # far from 2^53 by more than 256 events can add
_CHECK = 255  # every 256 events
_NOBODY = -1


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


@inlined()
def _add_propensity(
    j, below, cumulated, n, state, rates, factor_start, factors, use_start, used, offset, means,
    scratch,
):  # fmt: skip
    """Write ``below`` plus the averaged propensity of slow reaction j, in all lanes."""
    for lane in range(len(scratch)):
        scratch[lane] = rates[j]
    for f in range(factor_start[j], factor_start[j + 1]):
        counts, less = n[factors[f, 0]], float(factors[f, 1])
        for lane in range(len(scratch)):
            scratch[lane] *= counts[lane] - less
    for u in range(use_start[j], use_start[j + 1]):
        numbers, begin, column = state[used[u]], np.uint64(offset[used[u]]), np.uint64(j)
        for lane in range(len(scratch)):
            scratch[lane] *= means[numbers[lane] + begin, column]
    for lane in range(len(scratch)):
        cumulated[lane] = below[lane] + scratch[lane]


@inlined()
def _react_all(
    j, below, cumulated, target, n, state, lost, change_start, changes, move_start, moved, offset,
    following,
):  # fmt: skip
    """Let slow reaction j happen in the lanes whose target lies in its share."""
    for c in range(change_start[j], change_start[j + 1]):
        x, change = n[changes[c, 0]], float(changes[c, 1])
        for lane in range(len(x)):
            x[lane] += (
                change if (below[lane] < target[lane]) & (target[lane] <= cumulated[lane]) else 0.0
            )
    for c in range(move_start[j], move_start[j + 1]):
        numbers, begin, column = state[moved[c]], np.uint64(offset[moved[c]]), np.uint64(j)
        for lane in range(len(numbers)):
            after = following[numbers[lane] + begin, column]
            happens = (below[lane] < target[lane]) & (target[lane] <= cumulated[lane])
            lost[lane] |= 1 if happens & (after < 0) else 0
            numbers[lane] = np.uint64(after) if happens & (after >= 0) else numbers[lane]


@allocating()
def run_lanes(
    out, runs, times, first, seed, start, tables, offset, means, following, max_events, interrupt,
    lanes,
):  # fmt: skip
    """Simulate some trajectories of a block, so many lanes at a time.

    Arguments are those of `run_block`. Trajectories with the report REPLAY must be run again.

    Returns
    -------
    ndarray of int (R,)
        COMPLETE or REPLAY; INTERRUPTED for all.
    """
    (rates, factor_start, factors, use_start, used, change_start, changes, move_start, moved,
     _, _) = tables  # fmt: skip
    n_reactions, groups, size = len(rates), len(offset), len(runs)
    spectators = len(start) - groups
    report = np.full(size, REPLAY, np.int64)
    # made here and not handed in: the compiler must know that they do not overlap
    n, state = np.empty((spectators, lanes)), np.empty((groups, lanes), np.uint64)
    below = np.zeros((n_reactions + 1, lanes))
    s0, s1 = np.empty(lanes, np.uint64), np.empty(lanes, np.uint64)
    s2, s3 = np.empty(lanes, np.uint64), np.empty(lanes, np.uint64)
    t, next_t, target = np.zeros(lanes), np.empty(lanes), np.empty(lanes)
    wanted, lost = np.full(lanes, math.inf), np.zeros(lanes, np.int64)
    who, row = np.full(lanes, _NOBODY), np.zeros(lanes, np.int64)
    born = np.zeros(lanes, np.int64)
    for lane in range(lanes):
        for i in range(spectators):
            n[i, lane] = start[i]
        for g in range(groups):
            state[g, lane] = start[spectators + g]
        s0[lane], s1[lane], s2[lane], s3[lane] = stream(seed, 0)
    active = min(size, lanes)
    for lane in range(active):
        who[lane], wanted[lane] = lane, times[0]
        s0[lane], s1[lane], s2[lane], s3[lane] = stream(seed, first + runs[lane])
    loaded, step, failed = active, 0, 0
    while active > 0:
        for j in range(n_reactions):
            _add_propensity(
                j, below[j], below[j + 1], n, state, rates, factor_start, factors, use_start,
                used, offset, means, target,
            )  # fmt: skip
        total = below[n_reactions]
        late = 0
        for lane in range(lanes):
            x, a, b, c, d = draw(s0[lane], s1[lane], s2[lane], s3[lane])
            y, a, b, c, d = draw(a, b, c, d)
            s0[lane], s1[lane], s2[lane], s3[lane] = a, b, c, d
            then = t[lane] + waiting_time(uniform(x), total[lane])
            target[lane] = uniform(y) * total[lane]
            next_t[lane] = then
            late += 0 if then <= wanted[lane] else 1  # nan is late, too
        unusual = step & _CHECK == _CHECK
        if unusual and interrupt[0]:
            report[:] = INTERRUPTED
            return report
        if late > 0 or unusual or failed > 0:
            for lane in range(lanes):
                run = who[lane]
                if run == _NOBODY:
                    continue
                given_up = lost[lane] > 0 or step - born[lane] >= max_events
                if next_t[lane] <= wanted[lane] and not given_up and not unusual:
                    continue
                given_up |= not total[lane] < math.inf
                for i in range(spectators):  # a run may end before the next check
                    given_up |= n[i, lane] > _SAFE_COUNT
                if not given_up:
                    if next_t[lane] <= wanted[lane]:
                        continue
                    if total[lane] < TINY:
                        next_t[lane] = math.inf
                    while row[lane] < len(times) and times[row[lane]] < next_t[lane]:
                        for i in range(spectators):
                            out[runs[run], row[lane], i] = np.int64(n[i, lane])
                        for g in range(groups):
                            out[runs[run], row[lane], spectators + g] = np.int64(state[g, lane])
                        row[lane] += 1
                    if row[lane] < len(times):
                        wanted[lane] = times[row[lane]]
                        continue
                    report[run] = COMPLETE
                # the lane takes the next run, whose first event comes in the next step
                target[lane], next_t[lane], lost[lane] = -1.0, 0.0, 0
                row[lane], born[lane] = 0, step + 1
                if loaded < size:
                    who[lane], wanted[lane] = loaded, times[0]
                    s0[lane], s1[lane], s2[lane], s3[lane] = stream(seed, first + runs[loaded])
                    loaded += 1
                else:
                    who[lane], wanted[lane] = _NOBODY, math.inf
                    active -= 1
                for i in range(spectators):
                    n[i, lane] = start[i]
                for g in range(groups):
                    state[g, lane] = start[spectators + g]
        for lane in range(lanes):
            t[lane] = next_t[lane]
        for j in range(n_reactions):
            _react_all(
                j, below[j], below[j + 1], target, n, state, lost, change_start, changes,
                move_start, moved, offset, following,
            )  # fmt: skip
        failed = 0
        for lane in range(lanes):
            failed += lost[lane]
        step += 1
    return report
