"""What all exact kernels share: propensities, one reaction happening, recording, how a run ends."""

import math

import numpy as np

from .compiled import inlined
from .formula import evaluate

# how a run ended
(COMPLETE, TOO_MANY_EVENTS, COUNT_TOO_LARGE, BAD_PROPENSITY, NO_BOUND, INTERRUPTED, LOG_FULL,
 REPLAY) = range(8)  # fmt: skip
LARGEST_COUNT = 2.0**53
POLL = 1023  # the interrupt flag is read every 1024 events


@inlined()
def propensity(j, n, t, rates, factor_start, factors, law_start, code, constants, stack):
    """Return the propensity of reaction j (Eq. 5, or its rate law) for counts n at time t."""
    first, last = law_start[j], law_start[j + 1]
    if first == last:
        value = rates[j]
        for f in range(factor_start[j], factor_start[j + 1]):
            value *= n[factors[f, 0]] - factors[f, 1]
        return value
    for f in range(factor_start[j], factor_start[j + 1]):
        if n[factors[f, 0]] <= factors[f, 1]:
            return 0.0
    value = evaluate(first, last, code, constants, n, t, stack)
    return value if value >= 0.0 else math.nan


@inlined()
def bad_reaction(a):
    """Return the first reaction whose propensity is no finite number (the first, if none is)."""
    for j in range(len(a)):
        if not a[j] < math.inf:
            return j
    return 0


@inlined()
def react(j, n, change_start, changes):
    """Change the counts as reaction j does; return whether one has become too large."""
    large = False
    for c in range(change_start[j], change_start[j + 1]):
        i = changes[c, 0]
        n[i] += changes[c, 1]
        # at the limit one more would be lost in rounding
        large |= n[i] >= LARGEST_COUNT
    return large


@inlined()
def record(out, times, row, t, n):
    """Write the counts at the recorded times that lie before t; return the next row."""
    while row < len(times) and times[row] < t:
        for i in range(len(n)):
            out[row, i] = np.int64(n[i])
        row += 1
    return row


@inlined()
def after_event(events, j, n, t, stop, stop_constants, interrupt, log_time, log_reaction, stack):
    """Log event number ``events``; return (whether the run ends here, why)."""
    if log_time.size:
        if events >= log_time.size:
            return True, LOG_FULL
        log_time[events] = t
        log_reaction[events] = j
    if len(stop) and evaluate(0, len(stop), stop, stop_constants, n, t, stack) != 0.0:
        return True, COMPLETE
    if events & POLL == POLL and interrupt[0]:
        return True, INTERRUPTED
    return False, COMPLETE


@inlined()
def finish(report, ended, final, out, times, row, status, j, events, t, n):
    """Fill what is left of the record and say how, when and where the run ended."""
    if status == COMPLETE:
        record(out, times, row, math.inf, n)
    report[0], report[1], report[2] = status, j, events
    ended[0] = t
    for i in range(len(n)):
        final[i] = n[i]
