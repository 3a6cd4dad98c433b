"""The direct method in lockstep: many trajectories side by side, one event of each at a time.

A trajectory alone waits: for the logarithm, the division, the guess which reaction comes. Lanes
side by side fill the vector registers and hide the waiting. Each lane does the arithmetic of
`direct` in the same order, so the numbers are the same, bit for bit. A lane that meets anything
unusual is given up (REPLAY): `direct` runs that trajectory again and says what was wrong.
"""

import math

import numpy as np

from .compiled import allocating, inlined
from .formula import evaluate_lanes
from .network import COMPLETE, INTERRUPTED, REPLAY, record
from .random import TINY, draw, stream, uniform, waiting_time

_SAFE_COUNT = 2.0**52  # far from LARGEST_COUNT by more than 256 events can add
_CHECK = 255  # every 256 events
_NOBODY = -1


@inlined()
def _add_law(j, below, cumulated, n, factor_start, factors, law_start, code, constants, stack):
    """Write ``below`` plus the propensities of a reaction with a rate law."""
    evaluate_lanes(law_start[j], law_start[j + 1], code, constants, n, stack)
    value = stack[0]
    for lane in range(len(value)):
        if not value[lane] >= 0.0:
            value[lane] = math.nan
    for f in range(factor_start[j], factor_start[j + 1]):
        counts, offset = n[factors[f, 0]], float(factors[f, 1])
        for lane in range(len(value)):
            if counts[lane] <= offset:
                value[lane] = 0.0
    for lane in range(len(value)):
        cumulated[lane] = below[lane] + value[lane]


@inlined()
def _add_mass_action(j, below, cumulated, n, rates, factor_start, factors, scratch):
    """Write ``below`` plus the propensities of a reaction with a rate constant."""
    first, rate = factor_start[j], rates[j]
    count = factor_start[j + 1] - first
    if count == 1:
        x = n[factors[first, 0]]
        for lane in range(len(x)):
            cumulated[lane] = below[lane] + rate * x[lane]
    elif count == 2:
        x, y = n[factors[first, 0]], n[factors[first + 1, 0]]
        offset = float(factors[first + 1, 1])
        for lane in range(len(x)):
            cumulated[lane] = below[lane] + rate * x[lane] * (y[lane] - offset)
    else:
        for lane in range(len(scratch)):
            scratch[lane] = rate
        for f in range(first, first + count):
            x, offset = n[factors[f, 0]], float(factors[f, 1])
            for lane in range(len(x)):
                scratch[lane] *= x[lane] - offset
        for lane in range(len(scratch)):
            cumulated[lane] = below[lane] + scratch[lane]


@inlined()
def _react(j, below, cumulated, target, n, change_start, changes):
    """Change the counts of the lanes whose target lies in the share of reaction j."""
    for c in range(change_start[j], change_start[j + 1]):
        x, change = n[changes[c, 0]], float(changes[c, 1])
        for lane in range(len(x)):
            x[lane] += (
                change if (below[lane] < target[lane]) & (target[lane] <= cumulated[lane]) else 0.0
            )


@allocating()
def run_block(report, ended, final, out, times, first, seed, start, tables, control, lanes):
    """Simulate trajectories ``first, first + 1, ...``, so many lanes at a time.

    Arguments are those of `direct.run_block`; nothing is logged and no stop is heeded. Runs
    with the report REPLAY must be run again.
    """
    (rates, factor_start, factors, change_start, changes, _, _, law_start, code,
     constants) = tables  # fmt: skip
    max_events, _, _, interrupt, _, _ = control
    n_reactions, n_species, runs = len(rates), len(start), len(out)
    # made here and not handed in: the compiler must know that they do not overlap
    n, below = np.empty((n_species, lanes)), np.zeros((n_reactions + 1, lanes))
    stack = np.empty((400 if len(code) else 1, lanes))
    s0, s1 = np.empty(lanes, np.uint64), np.empty(lanes, np.uint64)
    s2, s3 = np.empty(lanes, np.uint64), np.empty(lanes, np.uint64)
    t, next_t, target = np.zeros(lanes), np.empty(lanes), np.empty(lanes)
    wanted = np.empty(lanes)  # the next recorded time
    who, row, born = np.empty(lanes, np.int64), np.empty(lanes, np.int64), np.empty(lanes, np.int64)
    loaded = active = 0
    for lane in range(lanes):
        s0[lane], s1[lane], s2[lane], s3[lane] = stream(seed, first + loaded)
        who[lane], row[lane], born[lane], wanted[lane] = _NOBODY, 0, 0, math.inf
        for i in range(n_species):
            n[i, lane] = start[i]
        if loaded < runs:
            who[lane], wanted[lane] = loaded, times[0]
            loaded += 1
            active += 1
    step = 0
    while active > 0:
        for j in range(n_reactions):
            if law_start[j] == law_start[j + 1]:
                _add_mass_action(j, below[j], below[j + 1], n, rates, factor_start, factors, target)
            else:
                _add_law(
                    j,
                    below[j],
                    below[j + 1],
                    n,
                    factor_start,
                    factors,
                    law_start,
                    code,
                    constants,
                    stack,
                )
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
            for run in range(runs):
                report[run, 0] = INTERRUPTED
            return
        if late > 0 or unusual:
            for lane in range(lanes):
                run = who[lane]
                if run == _NOBODY:
                    continue
                given_up = step - born[lane] >= max_events
                if unusual:
                    for i in range(n_species):
                        given_up |= n[i, lane] > _SAFE_COUNT
                if next_t[lane] <= wanted[lane] and not given_up:
                    continue
                given_up |= not total[lane] < math.inf
                for i in range(n_species):  # a run may end before the next check
                    given_up |= n[i, lane] > _SAFE_COUNT
                if not given_up:
                    if total[lane] < TINY:
                        next_t[lane] = math.inf
                    row[lane] = record(out[run], times, row[lane], next_t[lane], n[:, lane])
                    if row[lane] < len(times):
                        wanted[lane] = times[row[lane]]
                        continue
                report[run, 0] = REPLAY if given_up else COMPLETE
                report[run, 2] = step - born[lane]
                ended[run, 0] = t[lane]
                for i in range(n_species):
                    final[run, i] = n[i, lane]
                # the lane takes the next run, whose first event comes in the next step
                target[lane], next_t[lane] = -1.0, 0.0
                row[lane], born[lane] = 0, step + 1
                if loaded < runs:
                    who[lane], wanted[lane] = loaded, times[0]
                    s0[lane], s1[lane], s2[lane], s3[lane] = stream(seed, first + loaded)
                    loaded += 1
                else:
                    who[lane], wanted[lane] = _NOBODY, math.inf
                    active -= 1
                for i in range(n_species):
                    n[i, lane] = start[i]
        for lane in range(lanes):
            t[lane] = next_t[lane]
        for j in range(n_reactions):
            _react(j, below[j], below[j + 1], target, n, change_start, changes)
        step += 1
