"""Gillespie's direct and first-reaction methods over flat tables (II.B.2)."""

import math

import numpy as np
from numba import njit, prange

from .random import draw, stream

COMPLETE, TOO_MANY_EVENTS, COUNT_TOO_LARGE = 0, 1, 2
LARGEST_COUNT = 2**53


@njit(cache=True)
def _propensity(j, n, rates, factor_start, factor_species, factor_offset):
    value = rates[j]
    for f in range(factor_start[j], factor_start[j + 1]):
        value *= n[factor_species[f]] - factor_offset[f]
    return value


@njit(cache=True)
def _run(out, times, index, seed, start, tables, first_reaction, max_events):
    """Simulate one trajectory, write its counts at ``times`` and return (status, reaction)."""
    (rates, factor_start, factor_species, factor_offset,
     change_start, change_species, change_delta, touch_start, touched) = tables  # fmt: skip
    n_reactions = len(rates)
    n = start.copy()
    a = np.empty(n_reactions)
    for j in range(n_reactions):
        a[j] = _propensity(j, n, rates, factor_start, factor_species, factor_offset)
    s0, s1, s2, s3 = stream(seed, index)
    t, row, chosen = 0.0, 0, 0
    # one more: the event that passes the last time does not happen
    for _ in range(max_events + 1):
        waiting = math.inf
        if first_reaction:
            for j in range(n_reactions):
                if a[j] > 0.0:
                    u, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
                    putative = -math.log(u) / a[j]
                    if putative < waiting:
                        waiting, chosen = putative, j
        else:
            # summed afresh: a total that is only updated drifts
            total = 0.0
            for j in range(n_reactions):
                total += a[j]
            if total > 0.0:
                u, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
                waiting = -math.log(u) / total
                u, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
                target = u * total
                for j in range(n_reactions):
                    if a[j] > 0.0:
                        # the last possible channel catches what rounding leaves over
                        chosen = j
                        target -= a[j]
                        if target <= 0.0:
                            break
        t += waiting
        while row < len(times) and times[row] < t:
            out[row] = n
            row += 1
        if row == len(times):
            return COMPLETE, chosen
        for c in range(change_start[chosen], change_start[chosen + 1]):
            n[change_species[c]] += change_delta[c]
            if n[change_species[c]] > LARGEST_COUNT:
                return COUNT_TOO_LARGE, chosen
        for c in range(touch_start[chosen], touch_start[chosen + 1]):
            j = touched[c]
            a[j] = _propensity(j, n, rates, factor_start, factor_species, factor_offset)
    return TOO_MANY_EVENTS, chosen


@njit(cache=True, parallel=True, nogil=True)
def run_block(out, times, first, seed, start, tables, first_reaction, max_events):
    """Simulate trajectories ``first, first + 1, ...`` into out (runs, times, species).

    Returns
    -------
    ndarray (runs, 2)
        Status (COMPLETE, TOO_MANY_EVENTS, COUNT_TOO_LARGE) and last reaction of each run.
    """
    report = np.zeros((len(out), 2), np.int64)
    for i in prange(len(out)):
        status, reaction = _run(
            out[i], times, first + i, seed, start, tables, first_reaction, max_events
        )
        report[i, 0] = status
        report[i, 1] = reaction
    return report
