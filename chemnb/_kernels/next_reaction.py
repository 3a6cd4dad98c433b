"""The next-reaction method: waiting times in an indexed queue, redrawn only where they must be.

Gibson and Bruck (2000), doi:10.1021/jp993732q, with what is left of a waiting time kept while a
propensity is zero, as Anderson (2007), doi:10.1063/1.2799998, has it: one random number an event.
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
    finish,
    propensity,
    react,
    record,
)
from .random import TINY, draw, stream, uniform, waiting_time


@inlined()
def _swap(p, q, heap, place):
    heap[p], heap[q] = heap[q], heap[p]
    place[heap[p]], place[heap[q]] = p, q


@compiled()
def _move(j, heap, place, when):
    """Bring reaction j to its place in the queue, a binary heap by the time it is due."""
    p = place[j]
    while p > 0 and when[heap[p]] < when[heap[(p - 1) // 2]]:
        _swap(p, (p - 1) // 2, heap, place)
        p = (p - 1) // 2
    while True:
        least = p
        for child in (2 * p + 1, 2 * p + 2):
            if child < len(heap) and when[heap[child]] < when[heap[least]]:
                least = child
        if least == p:
            return
        _swap(p, least, heap, place)
        p = least


@compiled()
def _run(
    report,
    ended,
    final,
    out,
    times,
    index,
    seed,
    start,
    tables,
    control,
    stack,
    n,
    a,
    left,
    when,
    heap,
    place,
):
    (rates, factor_start, factors, change_start, changes, affected_start, affected, law_start,
     code, constants) = tables  # fmt: skip
    max_events, stop, stop_constants, interrupt, log_time, log_reaction = control
    n_reactions = len(rates)
    for i in range(len(n)):
        n[i] = start[i]
    for j in range(n_reactions):
        heap[j], place[j], when[j] = j, j, math.inf
    s0, s1, s2, s3 = stream(seed, index)
    t, row, chosen, events, status = 0.0, 0, 0, 0, COMPLETE
    for j in range(n_reactions):
        a[j] = propensity(
            j, n, 0.0, rates, factor_start, factors, law_start, code, constants, stack
        )
        if not a[j] < math.inf:
            status, chosen = BAD_PROPENSITY, j
        x, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
        left[j] = waiting_time(uniform(x), 1.0)
        if a[j] >= TINY:
            when[j] = left[j] / a[j]
        _move(j, heap, place, when)
    while status == COMPLETE:
        coming = heap[0]
        row = record(out, times, row, when[coming], n)
        if row == len(times):
            break
        if events == max_events:
            status = TOO_MANY_EVENTS
            break
        chosen, t = coming, when[coming]
        if react(chosen, n, change_start, changes):
            status = COUNT_TOO_LARGE
            break
        ends, status = after_event(
            events, chosen, n, t, stop, stop_constants, interrupt, log_time, log_reaction, stack
        )
        events += 1
        if ends:
            break
        x, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
        left[chosen] = waiting_time(uniform(x), 1.0)
        when[chosen] = t + left[chosen] / a[chosen]
        for c in range(affected_start[chosen], affected_start[chosen + 1]):
            j = affected[c]
            if a[j] >= TINY:  # a part of the waiting time has passed at the old pace
                left[j] = (when[j] - t) * a[j]
            a[j] = propensity(
                j, n, t, rates, factor_start, factors, law_start, code, constants, stack
            )
            if not a[j] < math.inf:
                status, chosen = BAD_PROPENSITY, j
                break
            when[j] = t + left[j] / a[j] if a[j] >= TINY else math.inf
            _move(j, heap, place, when)
        if status == COMPLETE:
            _move(chosen, heap, place, when)
    finish(report, ended, final, out, times, row, status, chosen, events, t, n)


@allocating()
def run_block(report, ended, final, out, times, first, seed, start, tables, control):
    """Simulate trajectories one after the other; arguments as `direct.run_block`."""
    size = len(tables.rates)
    stack, n, a = np.empty(400), np.empty(len(start)), np.empty(size)
    left, when = np.empty(size), np.empty(size)
    heap, place = np.empty(size, np.int64), np.empty(size, np.int64)
    for i in range(len(out)):
        _run(
            report[i], ended[i], final[i], out[i], times, first + i, seed, start, tables, control,
            stack, n, a, left, when, heap, place,
        )  # fmt: skip
