"""Gillespie's first-reaction method, the one of the paper: a waiting time for each reaction."""

import math

import numpy as np

from .compiled import allocating, compiled
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


@compiled()
def _run(report, ended, final, out, times, index, seed, start, tables, control, stack, n, a):
    (rates, factor_start, factors, change_start, changes, affected_start, affected, law_start,
     code, constants) = tables  # fmt: skip
    max_events, stop, stop_constants, interrupt, log_time, log_reaction = control
    for i in range(len(n)):
        n[i] = start[i]
    for j in range(len(a)):
        a[j] = propensity(
            j, n, 0.0, rates, factor_start, factors, law_start, code, constants, stack
        )
    s0, s1, s2, s3 = stream(seed, index)
    t, row, chosen, events, status = 0.0, 0, 0, 0, COMPLETE
    while True:
        first = math.inf
        for j in range(len(a)):
            if not a[j] < math.inf:
                status, chosen = BAD_PROPENSITY, j
            elif a[j] >= TINY:
                x, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
                waiting = waiting_time(uniform(x), a[j])
                if waiting < first:
                    first, coming = waiting, j
        if status == BAD_PROPENSITY:
            break
        row = record(out, times, row, t + first, n)
        if row == len(times):
            break
        if events == max_events:
            status = TOO_MANY_EVENTS
            break
        chosen, t = coming, t + first
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
            a[j] = propensity(
                j, n, t, rates, factor_start, factors, law_start, code, constants, stack
            )
    finish(report, ended, final, out, times, row, status, chosen, events, t, n)


@allocating()
def run_block(report, ended, final, out, times, first, seed, start, tables, control):
    """Simulate trajectories one after the other; arguments as `direct.run_block`."""
    stack, n, a = np.empty(400), np.empty(len(start)), np.empty(len(tables.rates))
    for i in range(len(out)):
        _run(
            report[i], ended[i], final[i], out[i], times, first + i, seed, start, tables, control,
            stack, n, a,
        )  # fmt: skip
