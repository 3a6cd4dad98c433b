"""The direct method where rate laws depend on the time: exact by thinning.

Lewis and Shedler (1979), doi:10.1002/nav.3800260304. Over a stretch of time the propensities are
bounded from above (`intervals`); events of the bounds are drawn and each is kept with the
probability propensity/bound at its time. The stretch follows from what has happened before, so
the result is exact whatever its length; only the cost depends on it.
"""

import math

import numpy as np

from ..networks.operations import TIME
from .compiled import allocating, compiled
from .intervals import upper_bound
from .network import (
    BAD_PROPENSITY,
    COMPLETE,
    COUNT_TOO_LARGE,
    INTERRUPTED,
    NO_BOUND,
    POLL,
    TOO_MANY_EVENTS,
    after_event,
    finish,
    propensity,
    react,
    record,
)
from .random import TINY, draw, stream, uniform, waiting_time

_SLACK = 1e-9  # relative; far above the rounding of any formula
_SHORTEST = 1e-12  # stretch, relative to the time


@compiled()
def _run(
    report, ended, final, out, times, index, seed, start, tables, control, stack, n, timed, bound,
    low, high,
):  # fmt: skip
    (rates, factor_start, factors, change_start, changes, affected_start, affected, law_start,
     code, constants) = tables  # fmt: skip
    max_events, stop, stop_constants, interrupt, log_time, log_reaction = control
    for i in range(len(n)):
        n[i] = start[i]
    s0, s1, s2, s3 = stream(seed, index)
    t, row, chosen, events, tries, status = 0.0, 0, 0, 0, 0, COMPLETE
    last = times[len(times) - 1]
    stretch = max(last, 1e-300)
    while t < last:
        tries += 1
        if tries & POLL == POLL and interrupt[0]:
            status = INTERRUPTED
            break
        end = min(t + stretch, last)
        total = 0.0
        for j in range(len(rates)):
            now = propensity(
                j, n, t, rates, factor_start, factors, law_start, code, constants, stack
            )
            bound[j] = now
            if not now < math.inf:
                status, chosen = BAD_PROPENSITY, j
                break
            if timed[j]:
                enough = True
                for f in range(factor_start[j], factor_start[j + 1]):
                    enough &= n[factors[f, 0]] > factors[f, 1]
                above = 0.0
                if enough:
                    above = upper_bound(
                        law_start[j], law_start[j + 1], code, constants, n, t, end, low, high
                    )
                bound[j] = max(above, now) * (1.0 + _SLACK)
                if not bound[j] < math.inf:
                    status, chosen = NO_BOUND, j
                    break
            total += bound[j]
        if status == NO_BOUND and stretch > _SHORTEST * max(t, 1e-300):
            status = COMPLETE  # a shorter stretch may have a bound
            stretch = 0.25 * (end - t)
            continue
        if status != COMPLETE:
            break
        x, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
        y, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
        next_t = t + waiting_time(uniform(x), total) if total >= TINY else math.inf
        if next_t > end:
            t = end
            stretch *= 2.0
            continue
        row = record(out, times, row, next_t, n)
        t = next_t
        target, chosen = uniform(y) * total, 0
        while chosen < len(rates) - 1 and target > bound[chosen]:
            target -= bound[chosen]
            chosen += 1
        if timed[chosen]:
            now = propensity(
                chosen, n, t, rates, factor_start, factors, law_start, code, constants, stack
            )
            if not now < math.inf:
                status = BAD_PROPENSITY
                break
            if now > bound[chosen]:
                status = NO_BOUND
                break
            if target > now:  # an event of the bound alone
                stretch = 0.5 * (end - t) if end - t > 0.0 else stretch
                continue
        elif bound[chosen] == 0.0:  # rounding went past the last possible reaction
            continue
        if events == max_events:
            status = TOO_MANY_EVENTS
            break
        if react(chosen, n, change_start, changes):
            status = COUNT_TOO_LARGE
            break
        ends, status = after_event(
            events, chosen, n, t, stop, stop_constants, interrupt, log_time, log_reaction, stack
        )
        events += 1
        if ends:
            break
    finish(report, ended, final, out, times, row, status, chosen, events, t, n)


@allocating()
def run_block(report, ended, final, out, times, first, seed, start, tables, control):
    """Simulate trajectories one after the other; arguments as `direct.run_block`."""
    from_time = _reads_time(tables.law_start, tables.code)
    stack, low, high = np.empty(400), np.empty(400), np.empty(400)
    n, bound = np.empty(len(start)), np.empty(len(tables.rates))
    for i in range(len(out)):
        _run(
            report[i], ended[i], final[i], out[i], times, first + i, seed, start, tables, control,
            stack, n, from_time, bound, low, high,
        )  # fmt: skip


@allocating()
def _reads_time(law_start, code):
    """Return, for each reaction, whether its rate law reads the time."""
    result = np.zeros(len(law_start) - 1, np.bool_)
    for j in range(len(result)):
        for i in range(law_start[j], law_start[j + 1]):
            result[j] |= code[i, 0] == TIME
    return result
