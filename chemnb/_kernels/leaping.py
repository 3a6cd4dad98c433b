"""Steps over many events at once: tau-leaping, and the chemical Langevin equation with its steps.

The step is that of Cao, Gillespie and Petzold (2006), doi:10.1063/1.2159468: so long that no
propensity is expected to change by more than a share ``epsilon``. One thing is stricter: gain and
loss of a species are bounded each, not only their difference. Near equilibrium the difference
vanishes, and the steps would grow to the edge of stability, where a variance comes out several
times too large.
"""

import math

import numpy as np

from .compiled import allocating, compiled, inlined
from .network import (
    BAD_PROPENSITY,
    COMPLETE,
    COUNT_TOO_LARGE,
    INTERRUPTED,
    LARGEST_COUNT,
    POLL,
    TOO_MANY_EVENTS,
    bad_reaction,
    propensity,
    react,
    record,
)  # fmt: skip
from .random import TINY, draw, stream, uniform, waiting_time
from .variates import normal_pair, poisson

_CRITICAL = 10.0  # a reaction that so few firings would exhaust is treated exactly
_FEW_EVENTS = 10.0  # a leap over fewer is not worth its work
_EXACT_STEPS = 100  # before a leap is tried again


@inlined()
def _elasticity(j, i, a, n, epsilon, tables, stack):
    """Return d log a_j / d log n_i; a number below 0 if it cannot be told."""
    (rates, factor_start, factors, _, _, _, _, law_start, code, constants) = tables
    if law_start[j] == law_start[j + 1]:
        total = 0.0
        for f in range(factor_start[j], factor_start[j + 1]):
            if factors[f, 0] == i and n[i] > factors[f, 1]:
                total += n[i] / (n[i] - factors[f, 1])
        return total
    here, reach = n[i], max(epsilon * n[i], 1.0)
    low, high = max(here - reach, 0.0), here + reach
    n[i] = low
    below = propensity(j, n, 0.0, rates, factor_start, factors, law_start, code, constants, stack)
    n[i] = high
    above = propensity(j, n, 0.0, rates, factor_start, factors, law_start, code, constants, stack)
    n[i] = here
    if not a[j] > 0.0:
        return -1.0
    return abs(above - below) / (high - low) * here / a[j]


@compiled()
def _step(n, a, critical, epsilon, tables, reads, stack, work):
    """Return the longest step that meets the leap condition (Eq. 33 of the paper above).

    It is 0 if all that can happen is critical, and infinite if nothing that happens changes a
    propensity.
    """
    _, _, _, change_start, changes, _, _, _, _, _ = tables
    read_start, read, weight = reads
    steepness, gain, loss, spread = work[0], work[1], work[2], work[3]
    work[:] = 0.0
    anything = False
    for j in range(len(a)):
        for r in range(read_start[j], read_start[j + 1]):
            # g_i: a change of n_i by a share epsilon/g_i changes no propensity by more than epsilon
            steep = weight[r] * _elasticity(j, read[r], a, n, epsilon, tables, stack)
            steepness[read[r]] = max(steepness[read[r]], steep, 1.0)
        if critical[j] or not a[j] > 0.0:
            continue
        anything = True
        for c in range(change_start[j], change_start[j + 1]):
            i, u = changes[c, 0], changes[c, 1]
            if u > 0:
                gain[i] += u * a[j]
            else:
                loss[i] -= u * a[j]
            spread[i] += u * u * a[j]
    if not anything:
        return 0.0
    step = math.inf
    for i in range(len(n)):
        if steepness[i] > 0.0:
            allowed = max(epsilon * n[i] / steepness[i], 1.0)
            flow = max(gain[i], loss[i])
            if flow > 0.0:
                step = min(step, allowed / flow, allowed * allowed / spread[i])
    return step


@inlined()
def _find_critical(n, a, critical, change_start, changes):
    """Mark the reactions that may use up a reactant soon; return their total propensity."""
    total = 0.0
    for j in range(len(a)):
        critical[j] = False
        for c in range(change_start[j], change_start[j + 1]):
            i, u = changes[c, 0], changes[c, 1]
            if u < 0 and n[i] < -u * _CRITICAL and a[j] > 0.0:
                critical[j] = True
        if critical[j]:
            total += a[j]
    return total


@inlined()
def _first_too_large(n, a, change_start, changes):
    """Return the reaction that adds most to a count that has become too large."""
    worst, most = 0, 0.0
    for j in range(len(a)):
        for c in range(change_start[j], change_start[j + 1]):
            if n[changes[c, 0]] > LARGEST_COUNT and changes[c, 1] * a[j] > most:
                worst, most = j, changes[c, 1] * a[j]
    return worst


@inlined()
def _keep_rows(out, times, row, t, n):
    """Write the state at the recorded times up to and including t; return the next row."""
    while row < len(times) and times[row] <= t:
        for i in range(len(n)):
            out[row, i] = n[i]
        row += 1
    return row


@inlined()
def _finish(report, ended, final, status, j, t, n):
    report[0], report[1], ended[0] = status, j, t
    for i in range(len(n)):
        final[i] = n[i]


@compiled()
def _leap_run(report, ended, final, out, times, index, seed, start, tables, reads, epsilon,
              max_steps, interrupt, stack, n, trial, a, critical, work):  # fmt: skip
    (rates, factor_start, factors, change_start, changes, affected_start, affected, law_start,
     code, constants) = tables  # fmt: skip
    reactions = len(rates)
    for i in range(len(n)):
        n[i] = start[i]
    for j in range(reactions):
        a[j] = propensity(
            j, n, 0.0, rates, factor_start, factors, law_start, code, constants, stack
        )
    s0, s1, s2, s3 = stream(seed, index)
    t, exact, status, worst, steps, leaps, refused = 0.0, 0, COMPLETE, 0, 0, 0, 0
    row = _keep_rows(out, times, 0, t, n)
    while row < len(times):
        if steps >= max_steps:
            status = TOO_MANY_EVENTS
            break
        if steps & POLL == POLL and interrupt[0]:
            status = INTERRUPTED
            break
        steps += 1
        total = 0.0
        for j in range(reactions):
            total += a[j]
        if not total < math.inf:
            status, worst = BAD_PROPENSITY, bad_reaction(a)
            break
        danger, step = 0.0, 0.0
        if exact == 0:
            danger = _find_critical(n, a, critical, change_start, changes)
            step = _step(n, a, critical, epsilon, tables, reads, stack, work)
        accepted = False
        while exact == 0:
            if not step * total >= _FEW_EVENTS:
                exact = _EXACT_STEPS
                break
            room = times[row] - t
            wait = math.inf
            if danger >= TINY:
                bits, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
                wait = waiting_time(uniform(bits), danger)
            leap = min(step, wait, room)
            for i in range(len(n)):
                trial[i] = n[i]
            for j in range(reactions):
                if a[j] > 0.0 and not critical[j]:
                    firings, s0, s1, s2, s3 = poisson(a[j] * leap, s0, s1, s2, s3)
                    for c in range(change_start[j], change_start[j + 1]):
                        trial[changes[c, 0]] += firings * changes[c, 1]
            if wait == leap and wait < room:  # one critical reaction ends the leap
                bits, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
                target, below, chosen = uniform(bits) * danger, 0.0, -1
                for j in range(reactions):
                    if critical[j] and below < target:
                        chosen = j
                        below += a[j]
                react(chosen, trial, change_start, changes)
            lowest, highest = 0.0, 0.0
            for i in range(len(n)):
                lowest, highest = min(lowest, trial[i]), max(highest, trial[i])
            if lowest < 0.0:
                refused += 1
                step = 0.5 * leap
                continue
            for i in range(len(n)):
                n[i] = trial[i]
            if highest > LARGEST_COUNT:
                status, worst = COUNT_TOO_LARGE, _first_too_large(n, a, change_start, changes)
            t = times[row] if leap == room else t + leap
            accepted = True
            break
        if accepted:
            if status != COMPLETE:
                break
            leaps += 1
            row = _keep_rows(out, times, row, t, n)
            for j in range(reactions):
                a[j] = propensity(
                    j, n, 0.0, rates, factor_start, factors, law_start, code, constants, stack
                )
            continue
        exact -= 1
        next_t = math.inf
        if total >= TINY:
            bits, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
            next_t = t + waiting_time(uniform(bits), total)
        row = record(out, times, row, next_t, n)
        if row == len(times):
            break
        t = next_t
        bits, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
        target, worst = uniform(bits) * total, 0
        below = a[0]
        while below < target and worst < reactions - 1:
            worst += 1
            below += a[worst]
        if react(worst, n, change_start, changes):
            status = COUNT_TOO_LARGE
            break
        for c in range(affected_start[worst], affected_start[worst + 1]):
            j = affected[c]
            a[j] = propensity(
                j, n, 0.0, rates, factor_start, factors, law_start, code, constants, stack
            )
    _finish(report, ended, final, status, worst, t, n)
    report[2], report[3], report[4] = steps, leaps, refused


@compiled()
def _langevin_run(report, ended, final, out, times, index, seed, start, tables, reads, epsilon,
                  max_steps, interrupt, stack, n, level, a, critical, work):  # fmt: skip
    rates, factor_start, factors, change_start, changes, _, _, law_start, code, constants = tables
    for i in range(len(n)):
        n[i] = start[i]
    for j in range(len(a)):
        critical[j] = False
    s0, s1, s2, s3 = stream(seed, index)
    t, status, worst, steps, spare, has_spare = 0.0, COMPLETE, 0, 0, 0.0, False
    row = _keep_rows(out, times, 0, t, n)
    while row < len(times):
        if steps >= max_steps:
            status = TOO_MANY_EVENTS
            break
        if steps & POLL == POLL and interrupt[0]:
            status = INTERRUPTED
            break
        steps += 1
        highest, total = 0.0, 0.0
        for i in range(len(n)):
            level[i] = max(n[i], 0.0)  # no propensity sees a negative count
            highest = max(highest, n[i])
        for j in range(len(a)):
            present = True
            for f in range(factor_start[j], factor_start[j + 1]):
                present &= level[factors[f, 0]] > factors[f, 1]
            a[j] = 0.0
            if present:
                a[j] = propensity(
                    j, level, t, rates, factor_start, factors, law_start, code, constants, stack
                )
            total += a[j]
        if highest > LARGEST_COUNT:
            status, worst = COUNT_TOO_LARGE, _first_too_large(n, a, change_start, changes)
            break
        if not total < math.inf:
            status, worst = BAD_PROPENSITY, bad_reaction(a)
            break
        room = times[row] - t
        step = room
        if total > 0.0:
            step = min(room, _step(level, a, critical, epsilon, tables, reads, stack, work))
        for j in range(len(a)):
            if a[j] > 0.0:
                if has_spare:
                    z, has_spare = spare, False
                else:
                    z, spare, s0, s1, s2, s3 = normal_pair(s0, s1, s2, s3)
                    has_spare = True
                firings = a[j] * step + math.sqrt(a[j] * step) * z
                for c in range(change_start[j], change_start[j + 1]):
                    n[changes[c, 0]] += firings * changes[c, 1]
        t = times[row] if step == room else t + step
        row = _keep_rows(out, times, row, t, n)
    _finish(report, ended, final, status, worst, t, n)
    report[2], report[3], report[4] = steps, steps, 0


@allocating()
def leap_block(report, ended, final, out, times, first, seed, start, tables, reads, epsilon,
               max_steps, interrupt):  # fmt: skip
    """Simulate trajectories ``first, first + 1, ...`` by tau-leaping.

    Parameters
    ----------
    report : int64 (runs, 5)
        Filled with how each run ended, the reaction to name, and its numbers of steps, of leaps
        among them and of leaps refused because a count would have become negative.
    ended, final, times, first, seed, start, tables
        As in `direct.run_block`.
    out : int64 (runs, times, species)
    reads : tuple (start, species, weight)
        The counts that each reaction's propensity reads, and the weight of its elasticity.
    epsilon : float
    max_steps : int
    interrupt : int64 (1,)
    """
    n, trial, stack = np.empty(len(start)), np.empty(len(start)), np.empty(400)
    a, critical = np.empty(len(tables.rates)), np.empty(len(tables.rates), np.bool_)
    work = np.empty((4, len(start)))
    for i in range(len(out)):
        _leap_run(
            report[i], ended[i], final[i], out[i], times, first + i, seed, start, tables, reads,
            epsilon, max_steps, interrupt, stack, n, trial, a, critical, work,
        )  # fmt: skip


@allocating()
def langevin_block(report, ended, final, out, times, first, seed, start, tables, reads, epsilon,
                   max_steps, interrupt):  # fmt: skip
    """Simulate trajectories of the chemical Langevin equation (Euler and Maruyama).

    Arguments are those of `leap_block`, but ``out`` is float64.
    """
    n, level, stack = np.empty(len(start)), np.empty(len(start)), np.empty(400)
    a, critical = np.empty(len(tables.rates)), np.empty(len(tables.rates), np.bool_)
    work = np.empty((4, len(start)))
    for i in range(len(out)):
        _langevin_run(
            report[i], ended[i], final[i], out[i], times, first + i, seed, start, tables, reads,
            epsilon, max_steps, interrupt, stack, n, level, a, critical, work,
        )  # fmt: skip
