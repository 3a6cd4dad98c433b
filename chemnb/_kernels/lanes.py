"""The direct method in lockstep: many trajectories side by side, one event of each at a time.

A trajectory alone waits: for the logarithm, the division, the guess which reaction comes. Lanes
side by side fill the vector registers (`packs`) and hide the waiting. Each lane does the
arithmetic of `direct` in the same order, so the numbers are the same, bit for bit. A lane that
meets anything unusual is given up (REPLAY): `direct` runs that trajectory again and says what was
wrong.

The kernel reads any network from tables, so that it is compiled once for all of them.
"""

import math
from typing import NamedTuple

import numpy as np

from .compiled import allocating, compiled, inlined
from .formula import evaluate_lanes
from .network import COMPLETE, INTERRUPTED, REPLAY
from .packs import (
    ALIGNMENT,
    EVERY_LANE,
    WIDTH,
    add_where_above,
    all_lanes,
    lanes_beyond,
    load,
    lowest_bit,
    store,
)
from .random import TINY, draw, stream, uniform, waiting_time

_SAFE_COUNT = 2.0**52  # far from LARGEST_COUNT by more than 256 events can add
_CHECK = 255  # every 256 events
_NOBODY = -1
_ONE, _ALL = np.uint64(1), np.uint64(EVERY_LANE)
_TIME, _WANTED, _NEXT, _TARGET = range(4)  # the rows of `Lanes.clock`


class Plan(NamedTuple):
    """A network's tables in the order in which lanes read them.

    The propensity of a reaction with a rate constant is rate * x * (y - offset), times what a
    third and further molecules give; species number ``n_species`` is a constant 1.

    The target lies in the share of reaction j if it is above the sum below j and not above the
    sum below j + 1. So the count of a species steps wherever the target is above a sum from which
    on another change holds: by the difference of the two changes.
    """

    first: np.ndarray  # x of each reaction
    second: np.ndarray  # y
    offset: np.ndarray
    step_start: np.ndarray  # steps of species i: from here to step_start[i + 1]
    step_at: np.ndarray  # reaction
    step_by: np.ndarray  # change


def plan(stoichiometry: np.ndarray, tables) -> Plan:
    """Return the plan of a network.

    Examples
    --------
    >>> from chemnb.networks.network import ReactionNetwork
    >>> from chemnb.networks.tables import reaction_tables
    >>> network = ReactionNetwork("2 A -> B ; 3 \\n B -> A ; 1")
    >>> found = plan(network.stoichiometry, reaction_tables(network))
    >>> found.first, found.second, found.offset  # A and A - 1, B and 1
    (array([0, 1]), array([0, 2]), array([1., 0.]))
    >>> found.step_start, found.step_at, found.step_by  # A: -2, then 3 more; B: 1, then 2 less
    (array([0, 2, 4]), array([0, 1, 0, 1]), array([-2.,  3.,  1., -2.]))
    """
    n_species, n_reactions = stoichiometry.shape
    order, begin = np.diff(tables.factor_start), tables.factor_start[:-1]
    pair = np.full((2, n_reactions), n_species)
    offset = np.zeros(n_reactions)
    for k in range(2):
        pair[k, order > k] = tables.factors[begin[order > k] + k, 0]
    offset[order > 1] = tables.factors[begin[order > 1] + 1, 1]
    steps = np.diff(stoichiometry.astype(float), axis=1, prepend=0.0)
    species, at = map(np.ascontiguousarray, np.nonzero(steps))
    start = np.searchsorted(species, np.arange(n_species + 1))
    return Plan(pair[0], pair[1], offset, start, at, steps[species, at])


class Lanes(NamedTuple):
    """All lanes: rows of packs, and which run is in which lane."""

    n: np.ndarray  # (packs, species + 1, lanes): counts, and the constant 1
    below: np.ndarray  # (packs, reactions + 1, lanes): sums of propensities
    clock: np.ndarray  # (packs, 4, lanes): time, next time to record, time and target of the event
    words: np.ndarray  # (packs, 4, lanes): the random streams
    who: np.ndarray  # (packs, lanes): the run
    row: np.ndarray  # its next row to record
    born: np.ndarray  # the step of its first event


@allocating()
def _aligned(packs, rows, kind):
    size, spare = packs * rows * WIDTH, ALIGNMENT // 8
    room = np.empty(size + spare, kind)
    first = (-room.ctypes.data % ALIGNMENT) // 8
    return room[first : first + size].reshape(packs, rows, WIDTH)


@allocating()
def _new_lanes(packs, n_species, n_reactions):
    """Return lanes without runs."""
    lanes = Lanes(
        _aligned(packs, n_species + 1, np.float64), _aligned(packs, n_reactions + 1, np.float64),
        _aligned(packs, 4, np.float64), _aligned(packs, 4, np.uint64),
        np.full((packs, WIDTH), _NOBODY), np.zeros((packs, WIDTH), np.int64),
        np.zeros((packs, WIDTH), np.int64),
    )  # fmt: skip
    lanes.n[:], lanes.below[:] = 1.0, 0.0
    lanes.clock[:], lanes.clock[:, _WANTED] = 0.0, math.inf
    return lanes


@inlined()
def _take(p, lane, lanes, run, runs, times, first, seed, start):
    """Let a lane begin a run, or idle if there is none left; return the next run."""
    n, _, clock, words, who, row, _ = lanes
    row[p, lane] = 0
    s0, s1, s2, s3 = stream(seed, first + run)
    words[p, 0, lane], words[p, 1, lane] = s0, s1
    words[p, 2, lane], words[p, 3, lane] = s2, s3
    for i in range(len(start)):
        n[p, i, lane] = start[i]
    if run == runs:
        who[p, lane], clock[p, _WANTED, lane] = _NOBODY, math.inf
        return run
    who[p, lane], clock[p, _WANTED, lane] = run, times[0]
    return run + 1


@inlined()
def _law(j, p, n, tables, stack):
    """Return the propensities of a reaction with a rate law."""
    _, factor_start, factors, _, _, _, _, law_start, code, constants = tables
    evaluate_lanes(law_start[j], law_start[j + 1], code, constants, n[p], stack[0])
    value = stack[0, 0]
    for lane in range(WIDTH):
        if not value[lane] >= 0.0:
            value[lane] = math.nan
    for f in range(factor_start[j], factor_start[j + 1]):
        counts, offset = n[p, factors[f, 0]], float(factors[f, 1])
        for lane in range(WIDTH):
            if counts[lane] <= offset:
                value[lane] = 0.0
    return load(stack, 0, 0)


@inlined()
def _sum_up(p, lanes, plan, tables, stack):
    """Sum up the propensities of a pack; return their total."""
    n, below, _, _, _, _, _ = lanes
    rates, factor_start, factors, _, _, _, _, law_start, _, _ = tables
    total = all_lanes(0.0)
    for j in range(len(rates)):
        if law_start[j] == law_start[j + 1]:
            x, y = load(n, p, plan.first[j]), load(n, p, plan.second[j])
            value = rates[j] * x * (y - plan.offset[j])
            for f in range(factor_start[j] + 2, factor_start[j + 1]):
                value = value * (load(n, p, factors[f, 0]) - float(factors[f, 1]))
        else:
            value = _law(j, p, n, tables, stack)
        total = total + value
        store(below, p, j + 1, total)
    return total


@inlined()
def _choose(p, lanes, total):
    """Draw time and target of the next event; return which lanes are to be looked at first."""
    _, _, clock, words, _, _, _ = lanes
    a, b, c, d = load(words, p, 0), load(words, p, 1), load(words, p, 2), load(words, p, 3)
    x, a, b, c, d = draw(a, b, c, d)
    y, a, b, c, d = draw(a, b, c, d)
    store(words, p, 0, a)
    store(words, p, 1, b)
    store(words, p, 2, c)
    store(words, p, 3, d)
    then = load(clock, p, _TIME) + waiting_time(uniform(x), total)
    store(clock, p, _NEXT, then)
    store(clock, p, _TARGET, uniform(y) * total)
    return lanes_beyond(then, load(clock, p, _WANTED))


@inlined()
def _react(p, lanes, plan):
    """Let the event of every lane of a pack happen."""
    n, below, clock, _, _, _, _ = lanes
    store(clock, p, _TIME, load(clock, p, _NEXT))
    target = load(clock, p, _TARGET)
    for i in range(n.shape[1] - 1):
        count = load(n, p, i)
        for c in range(plan.step_start[i], plan.step_start[i + 1]):
            sum_below = load(below, p, plan.step_at[c])
            count = add_where_above(count, plan.step_by[c], target, sum_below)
        store(n, p, i, count)


@inlined()
def _ends(p, lane, lanes, age, max_events, out, times):
    """Record what a lane passes before its next event; return (whether its run ends, why)."""
    n, below, clock, _, who, row, _ = lanes
    given_up = age >= max_events
    for i in range(n.shape[1] - 1):  # a run may end before the next check
        given_up |= n[p, i, lane] > _SAFE_COUNT
    next_t, total = clock[p, _NEXT, lane], below[p, below.shape[1] - 1, lane]
    if given_up or next_t <= clock[p, _WANTED, lane]:
        return given_up, REPLAY
    if not total < math.inf:
        return True, REPLAY
    if total < TINY:
        next_t = math.inf
    run, r = who[p, lane], row[p, lane]
    # as `network.record`, whose slice of an array would cost more than all of this
    while r < len(times) and times[r] < next_t:
        for i in range(n.shape[1] - 1):
            out[run, r, i] = np.int64(n[p, i, lane])
        r += 1
    if r == len(times):
        return True, COMPLETE
    row[p, lane], clock[p, _NEXT, lane], clock[p, _WANTED, lane] = r, next_t, times[r]
    return False, COMPLETE


@compiled()
def _run(report, ended, final, out, times, first, seed, start, tables, control, plan, lanes, stack):
    max_events, _, _, interrupt, _, _ = control
    n, _, clock, _, who, _, born = lanes
    runs = len(out)
    loaded = ready = step = 0
    for p in range(len(who)):
        for lane in range(WIDTH):
            loaded = _take(p, lane, lanes, loaded, runs, times, first, seed, start)
    while ready < runs:
        unusual = step & _CHECK == _CHECK
        if unusual and interrupt[0]:
            report[:, 0] = INTERRUPTED
            return
        for p in range(len(who)):
            late = _choose(p, lanes, _sum_up(p, lanes, plan, tables, stack))
            if unusual:
                late = _ALL
            while late:
                lane = lowest_bit(late)
                late &= late - _ONE
                run, age = who[p, lane], step - born[p, lane]
                if run == _NOBODY:
                    continue
                ends, why = _ends(p, lane, lanes, age, max_events, out, times)
                if not ends:
                    continue
                report[run, 0], report[run, 2], ended[run, 0] = why, age, clock[p, _TIME, lane]
                for i in range(len(start)):
                    final[run, i] = n[p, i, lane]
                ready += 1
                # the first event of the run that follows comes in the next step
                clock[p, _TARGET, lane], clock[p, _NEXT, lane] = -1.0, 0.0
                born[p, lane] = step + 1
                loaded = _take(p, lane, lanes, loaded, runs, times, first, seed, start)
            _react(p, lanes, plan)
        step += 1


@allocating()
def run_block(report, ended, final, out, times, first, seed, start, tables, control, plan, packs):
    """Simulate trajectories ``first, first + 1, ...``, so many packs of lanes at a time.

    Arguments are those of `direct.run_block`; nothing is logged and no stop is heeded. Runs
    with the report REPLAY must be run again.
    """
    lanes = _new_lanes(packs, len(start), len(tables.rates))
    stack = _aligned(1, 400 if len(tables.code) else 1, np.float64)
    _run(report, ended, final, out, times, first, seed, start, tables, control, plan, lanes, stack)
