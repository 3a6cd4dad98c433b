"""The direct method for many reactions: propensities in a tree of sums.

Blue, Beichl and Sullivan (1995), doi:10.1103/PhysRevE.51.R867. An event changes a few leaves and
the sums above them; the next reaction is found from the root down. Both take a number of steps
that grows with the logarithm of the number of reactions. A sum is always made afresh from the
eight below it, so that nothing drifts.
"""

import math

import numpy as np

from .compiled import allocating, compiled, inlined
from .network import (
    BAD_PROPENSITY,
    COMPLETE,
    COUNT_TOO_LARGE,
    TOO_MANY_EVENTS,
    after_event,
    bad_reaction,
    finish,
    propensity,
    react,
    record,
)
from .random import TINY, draw, stream, uniform, waiting_time

_BRANCHES = 8


@inlined()
def _sum(tree, first):
    left = (tree[first] + tree[first + 1]) + (tree[first + 2] + tree[first + 3])
    return left + ((tree[first + 4] + tree[first + 5]) + (tree[first + 6] + tree[first + 7]))


@allocating()
def _levels(n_reactions):
    """Return where each level of the tree begins, the leaves first; the last entry is its size."""
    sizes = [_BRANCHES * ((n_reactions + _BRANCHES - 1) // _BRANCHES)]
    while sizes[-1] > _BRANCHES:
        above = sizes[-1] // _BRANCHES
        sizes.append(_BRANCHES * ((above + _BRANCHES - 1) // _BRANCHES))
    begins = np.zeros(len(sizes) + 1, np.int64)
    for level in range(len(sizes)):
        begins[level + 1] = begins[level] + sizes[level]
    return begins


@allocating()
def _affected_sums(begins, affected_start, affected):
    """Return, for each reaction, which sums its event changes, level by level, each once.

    A sum is given as (first of the eight below it, its own place).
    """
    n_reactions = len(affected_start) - 1
    starts = np.zeros(n_reactions + 1, np.int64)
    levels = len(begins) - 1
    room = max(1, len(affected) * (levels - 1))
    sums = np.empty((room, 2), np.int64)
    size = 0
    for j in range(n_reactions):
        for level in range(1, levels):
            seen = -1
            for c in range(affected_start[j], affected_start[j + 1]):
                node = affected[c]
                for _ in range(level):
                    node //= _BRANCHES
                if node != seen:  # reactions are in order, and so are the sums above them
                    sums[size, 0] = begins[level - 1] + _BRANCHES * node
                    sums[size, 1] = begins[level] + node
                    size += 1
                    seen = node
        starts[j + 1] = size
    return starts, sums[:size]


@compiled()
def _run(
    report, ended, final, out, times, index, seed, start, tables, control, stack, begins,
    sum_start, sums, n, tree,
):  # fmt: skip
    (rates, factor_start, factors, change_start, changes, affected_start, affected, law_start,
     code, constants) = tables  # fmt: skip
    max_events, stop, stop_constants, interrupt, log_time, log_reaction = control
    n_reactions, levels = len(rates), len(begins) - 1
    for i in range(len(n)):
        n[i] = start[i]
    for node in range(len(tree)):
        tree[node] = 0.0
    for j in range(n_reactions):
        tree[j] = propensity(
            j, n, 0.0, rates, factor_start, factors, law_start, code, constants, stack
        )
    for level in range(1, levels):
        for node in range((begins[level] - begins[level - 1]) // _BRANCHES):
            tree[begins[level] + node] = _sum(tree, begins[level - 1] + _BRANCHES * node)
    root = begins[levels - 1]
    s0, s1, s2, s3 = stream(seed, index)
    t, row, chosen, events = 0.0, 0, 0, 0
    while True:
        total = _sum(tree, root)
        x, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
        y, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
        if not total < math.inf:
            status, chosen = BAD_PROPENSITY, bad_reaction(tree[:n_reactions])
            break
        next_t = t + waiting_time(uniform(x), total) if total >= TINY else math.inf
        row = record(out, times, row, next_t, n)
        if row == len(times):
            status = COMPLETE
            break
        if events == max_events:
            status = TOO_MANY_EVENTS
            break
        target, t, node = uniform(y) * total, next_t, 0
        for level in range(levels - 1, -1, -1):
            place = begins[level] + _BRANCHES * node
            last, below = place, 0.0
            for child in range(place, place + _BRANCHES):
                if tree[child] > 0.0:  # the last possible one catches what rounding leaves over
                    last = child
                    if target <= below + tree[child]:
                        break
                    below += tree[child]
            else:
                below -= tree[last]
            target -= below
            node = last - begins[level]
        chosen = node
        if react(chosen, n, change_start, changes):
            status = COUNT_TOO_LARGE
            break
        ends, status = after_event(
            events, chosen, n, t, stop, stop_constants, interrupt, log_time, log_reaction, stack
        )
        events += 1
        if ends:
            break
        for c in range(affected_start[chosen], affected_start[chosen + 1]):
            j = affected[c]
            tree[j] = propensity(
                j, n, t, rates, factor_start, factors, law_start, code, constants, stack
            )
        for c in range(sum_start[chosen], sum_start[chosen + 1]):
            tree[sums[c, 1]] = _sum(tree, sums[c, 0])
    finish(report, ended, final, out, times, row, status, chosen, events, t, n)


@allocating()
def run_block(report, ended, final, out, times, first, seed, start, tables, control):
    """Simulate trajectories one after the other; arguments as `direct.run_block`."""
    stack, n = np.empty(400), np.empty(len(start))
    begins = _levels(len(tables.rates))
    sum_start, sums = _affected_sums(begins, tables.affected_start, tables.affected)
    tree = np.empty(begins[-1])
    for i in range(len(out)):
        _run(
            report[i], ended[i], final[i], out[i], times, first + i, seed, start, tables, control,
            stack, begins, sum_start, sums, n, tree,
        )  # fmt: skip
