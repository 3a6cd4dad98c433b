"""Gillespie's direct method, one trajectory at a time: the reference of all fast paths (II.B.2)."""

import math

import numpy as np

from .compiled import allocating, compiled
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
)  # fmt: skip
from .random import TINY, draw, stream, uniform, waiting_time


@compiled()
def _run(report, ended, final, out, times, index, seed, start, tables, control, stack, n, a, below):
    (rates, factor_start, factors, change_start, changes, affected_start, affected, law_start,
     code, constants) = tables  # fmt: skip
    max_events, stop, stop_constants, interrupt, log_time, log_reaction = control
    n_reactions = len(rates)
    for i in range(len(n)):
        n[i] = start[i]
    for j in range(n_reactions):
        a[j] = propensity(
            j, n, 0.0, rates, factor_start, factors, law_start, code, constants, stack
        )
    s0, s1, s2, s3 = stream(seed, index)
    t, row, chosen, events = 0.0, 0, 0, 0
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
        next_t = t + waiting_time(uniform(x), total) if total >= TINY else math.inf
        row = record(out, times, row, next_t, n)
        if row == len(times):
            status = COMPLETE
            break
        if events == max_events:
            status = TOO_MANY_EVENTS
            break
        target, chosen, t = uniform(y) * total, 0, next_t
        while below[chosen] < target:
            chosen += 1
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
    """Simulate trajectories ``first, first + 1, ...`` one after the other.

    Parameters
    ----------
    report : int64 (runs, 3)
        Filled with how each run ended, its last reaction and its number of events.
    ended : float64 (runs, 1)
        Filled with the time of the last event.
    final : float64 (runs, species)
        Filled with the last state.
    out : int64 (runs, times, species)
        Filled with the counts at ``times``.
    first, seed : int
    start : float64 (species)
    tables, control : Tables, Control
    """
    stack, n = np.empty(400), np.empty(len(start))
    a, below = np.empty(len(tables.rates)), np.empty(len(tables.rates))
    for i in range(len(out)):
        _run(
            report[i], ended[i], final[i], out[i], times, first + i, seed, start, tables, control,
            stack, n, a, below,
        )  # fmt: skip
