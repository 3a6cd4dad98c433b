"""Composition and rejection: the cost of an event does not grow with the number of reactions.

Slepoy, Thompson and Plimpton (2008), doi:10.1063/1.2919546. Reactions whose propensities have
the same binary exponent form a group. A group is chosen by its sum, then a member at random,
which is accepted with its propensity over the group's upper limit: half of the time or more.

Sums of a group are whole numbers, those of its mantissas: nothing is rounded and nothing drifts.
The members of all groups lie in one list, ordered by group, so that a reaction moves to the
next group by changing places with a neighbour. Several trajectories advance in turn, one event
each, and share vectorised random numbers: while one waits for memory the others go on.
"""

import math

import llvmlite.ir
import numpy as np
from numba import types
from numba.extending import intrinsic

from .compiled import allocating, compiled, inlined
from .network import (
    BAD_PROPENSITY,
    COMPLETE,
    COUNT_TOO_LARGE,
    INTERRUPTED,
    LARGEST_COUNT,
    TOO_MANY_EVENTS,
    after_event,
    finish,
    propensity,
    record,
)
from .packs import bits_of
from .random import TINY, draw, stream, uniform, waiting_time

_LANES = 16  # known to the compiler, which fills vector registers with them
_EXPONENTS = 2048  # groups are numbered by the exponent's bits: 0 is zero, 2047 is no number
_NO_NUMBER = 2047
_ZERO = 0
_GOES_ON = -1
_MANTISSA = np.uint64(2**52 - 1)
_LEADING = np.uint64(2**52)
_EXACT = 10  # 2^10 mantissas of 53 bits fit into a sum of 63; more are shortened
_CONSTANT, _LINEAR, _BILINEAR, _OTHER = range(4)  # how a propensity is computed


@intrinsic
def _product(typing_context, x, y):
    """Return the upper and the lower half of the product of two whole numbers of 64 bits."""

    def build(context, builder, signature, arguments):
        wide = llvmlite.ir.IntType(128)
        x, y = (builder.zext(value, wide) for value in arguments)
        product = builder.mul(x, y)
        upper = builder.lshr(product, llvmlite.ir.Constant(wide, 64))
        halves = [builder.trunc(half, llvmlite.ir.IntType(64)) for half in (upper, product)]
        return context.make_tuple(builder, signature.return_type, halves)

    return types.UniTuple(types.uint64, 2)(types.uint64, types.uint64), build


@inlined()
def _exponent(bits):
    return np.int64((bits >> np.uint64(52)) & np.uint64(2047))


@inlined()
def _mantissa(bits, shift):
    return np.int64(((bits & _MANTISSA) | _LEADING) >> shift)


@inlined()
def _value(j, n, t, rates, form, tables, stack):
    """Return the propensity of reaction j; as `propensity`, from one compact row."""
    kind = form[j, 0]
    if kind == _LINEAR:
        return rates[j] * n[form[j, 1]]
    if kind == _BILINEAR:
        return rates[j] * n[form[j, 1]] * (n[form[j, 2]] - form[j, 3])
    if kind == _CONSTANT:
        return rates[j]
    (_, factor_start, factors, _, _, _, _, law_start, code, constants) = tables
    return propensity(j, n, t, rates, factor_start, factors, law_start, code, constants, stack)


@allocating()
def _forms(tables):
    """Return rows (kind, species, species, offset) of all reactions."""
    form = np.zeros((len(tables.rates), 4), np.uint32)
    for j in range(len(form)):
        first, last = tables.factor_start[j], tables.factor_start[j + 1]
        form[j, 0] = last - first if last - first <= _BILINEAR else _OTHER
        if tables.law_start[j] < tables.law_start[j + 1]:
            form[j, 0] = _OTHER
        elif form[j, 0] != _OTHER:
            for f in range(first, last):
                form[j, 1 + f - first] = tables.factors[f, 0]
                form[j, 3] = tables.factors[f, 1]  # that of the first factor is always 0
    return form


@inlined()
def _widen(exponent, window, begin, sums, weights, n_reactions):
    """Make room for a group outside of those in use, for all lanes."""
    low, high = window[0], window[1]
    columns = begin.shape[1]
    for s in range(exponent, low):
        for lane in range(columns):
            begin[s, lane], sums[s, lane], weights[s, lane] = begin[low, lane], 0, 0.0
    for s in range(high + 1, exponent + 1):
        for lane in range(columns):
            begin[s + 1, lane], sums[s, lane], weights[s, lane] = n_reactions, 0, 0.0
    window[0], window[1] = min(low, exponent), max(high, exponent)


@inlined()
def _move(j, old, new, lane, begin, members, place):
    """Bring reaction j from its group to another one: past the border of each one between."""
    here = place[j]
    for s in range(old + 1, new + 1):
        there = np.uint32(begin[s, lane] - 1)
        begin[s, lane] = there
        other = members[there]
        members[here], place[other], members[there], here = other, here, j, there
    for s in range(old, new, -1):
        there = np.uint32(begin[s, lane])
        begin[s, lane] = there + 1
        other = members[there]
        members[here], place[other], members[there], here = other, here, j, there
    place[j] = here


@compiled()
def _begin(n, a, members, place, lane, window, begin, sums, weights, scale, shift, start, rates,
           form, tables, stack):  # fmt: skip
    """Fill the column of a lane for the start; return a reaction without propensity, or -1."""
    n_reactions = len(rates)
    for i in range(len(n)):
        n[i] = start[i]
    low, high = _NO_NUMBER, 1
    for j in range(n_reactions):
        a[j] = _value(j, n, 0.0, rates, form, tables, stack)
        exponent = _exponent(bits_of(a[j]))
        if exponent == _NO_NUMBER:
            return j
        if exponent != _ZERO:
            low, high = min(low, exponent), max(high, exponent)
    window[0], window[1] = min(low, high), high
    low = window[0]
    for s in range(low - 1, high + 2):
        begin[s, lane], sums[s, lane] = 0, 0
    for j in range(n_reactions):
        bits = bits_of(a[j])
        s = max(low - 1, _exponent(bits))
        begin[s, lane] += 1
        sums[s, lane] += _mantissa(bits, shift)
    total = 0
    for s in range(low - 1, high + 2):
        total += begin[s, lane]
        begin[s, lane] = total
        weights[s, lane] = sums[s, lane] * scale[s]
    for j in range(n_reactions - 1, -1, -1):
        s = max(low - 1, _exponent(bits_of(a[j])))
        begin[s, lane] -= 1
        place[j] = begin[s, lane]
        members[place[j]] = j
    return -1


@inlined()
def _load(
    lane, seed, index, window, n, a, members, place, begin, sums, weights, state, t, row, events,
    done,
):  # fmt: skip
    """Bring a lane to the start, which the last one keeps, and to the stream of a run."""
    spare = len(n) - 1
    for i in range(n.shape[1]):
        n[lane, i] = n[spare, i]
    for j in range(a.shape[1]):
        a[lane, j] = a[spare, j]
        members[lane, j] = members[spare, j]
        place[lane, j] = place[spare, j]
    for s in range(window[0], window[1] + 1):
        begin[s, lane], sums[s, lane] = begin[s, spare], sums[s, spare]
        weights[s, lane] = weights[s, spare]
    begin[window[1] + 1, lane] = a.shape[1]
    state[0, lane], state[1, lane], state[2, lane], state[3, lane] = stream(seed, index)
    t[lane], row[lane], events[lane], done[lane] = 0.0, 0, 0, _GOES_ON


@inlined()
def _choose(busy, active, tries, group, state, a, members, begin, shift, chosen, left):
    """Choose a member of the group of each busy lane.

    All lanes try once, then those that were refused, and so on: without a branch in between
    the processor looks into the memory of many lanes at once.
    """
    for k in range(active):
        left[k] = busy[k]
    pending = active
    while pending > 0:
        refused = 0
        for k in range(pending):
            lane = left[k]
            first = begin[group[lane], lane]
            count = np.uint64(begin[group[lane] + 1, lane] - first)
            which, rest = _product(tries[lane], count)
            j = members[lane, np.uint64(first) + which]
            limit = _mantissa(bits_of(a[lane, j]), shift)
            chosen[lane] = j
            left[refused] = lane
            refused += np.int64(rest >> (np.uint64(11) + shift)) >= limit
        for k in range(refused):
            lane = left[k]
            x, b, c, d, e = draw(state[0, lane], state[1, lane], state[2, lane], state[3, lane])
            tries[lane] = x
            state[0, lane], state[1, lane], state[2, lane], state[3, lane] = b, c, d, e
        pending = refused


@inlined()
def _react(j, n, change_start, changes):
    large = False
    for c in range(change_start[j], change_start[j + 1]):
        i = np.uint32(changes[c, 0])
        n[i] += changes[c, 1]
        large |= n[i] >= LARGEST_COUNT
    return large


@inlined()
def _update(
    lane, chosen, t, n, a, members, place, window, begin, sums, weights, scale, shift, rates, form,
    affected_start, affected, tables, stack,
):  # fmt: skip
    """Compute what a reaction has changed; return a reaction without propensity, or -1."""
    for c in range(affected_start[chosen], affected_start[chosen + 1]):
        j = affected[c]
        old = bits_of(a[j])
        a[j] = _value(j, n, t, rates, form, tables, stack)
        new = bits_of(a[j])
        old_group, new_group = _exponent(old), _exponent(new)
        if old_group == new_group:
            sums[new_group, lane] += _mantissa(new, shift) - _mantissa(old, shift)
        else:
            if new_group == _NO_NUMBER:
                return j
            if new_group != _ZERO and not window[0] <= new_group <= window[1]:
                _widen(new_group, window, begin, sums, weights, len(a))
            if old_group != _ZERO:
                sums[old_group, lane] -= _mantissa(old, shift)
                weights[old_group, lane] = sums[old_group, lane] * scale[old_group]
            sums[new_group, lane] += _mantissa(new, shift)
            _move(
                j, max(old_group, window[0] - 1), max(new_group, window[0] - 1), lane, begin,
                members, place,
            )  # fmt: skip
        weights[new_group, lane] = sums[new_group, lane] * scale[new_group]
    return -1


@inlined()
def _draw_all(window, weights, below, state, t, next_t, target, tries, group):
    """Draw for all lanes when the next event comes and in which group."""
    low, high = window[0], window[1]
    for lane in range(_LANES):
        below[0, lane] = 0.0
    for s in range(low, high + 1):
        k = s - low
        for lane in range(_LANES):
            below[k + 1, lane] = below[k, lane] + weights[s, lane]
    total = below[high + 1 - low]
    for lane in range(_LANES):
        x, a, b, c, d = draw(state[0, lane], state[1, lane], state[2, lane], state[3, lane])
        y, a, b, c, d = draw(a, b, c, d)
        z, a, b, c, d = draw(a, b, c, d)
        tries[lane] = z
        state[0, lane], state[1, lane], state[2, lane], state[3, lane] = a, b, c, d
        next_t[lane] = t[lane] + waiting_time(uniform(x), total[lane])
        target[lane] = uniform(y) * total[lane]
        group[lane] = low
    for k in range(1, high + 1 - low):
        for lane in range(_LANES):
            group[lane] += below[k, lane] < target[lane]


@compiled()
def _run(
    report, ended, final, out, times, first, seed, lanes, start, tables, control, stack, rates,
    form, change_start, changes, affected_start, affected, n, a, members, place, window, begin,
    sums, weights, below, scale, shift, state, tries, t, next_t, wanted, target, group,
    who, row, events, done, reaction, busy, queue, left,
):  # fmt: skip
    max_events, stop, stop_constants, interrupt, log_time, log_reaction = control
    runs, spare = len(out), lanes
    bad = _begin(
        n[spare], a[spare], members[spare], place[spare], spare, window, begin, sums, weights,
        scale, shift, start, rates, form, tables, stack,
    )  # fmt: skip
    if bad >= 0:
        for run in range(runs):
            finish(
                report[run], ended[run], final[run], out[run], times, 0, BAD_PROPENSITY, bad, 0,
                0.0, n[spare],
            )  # fmt: skip
        return
    loaded = active = 0
    for lane in range(lanes):
        _load(
            lane, seed, first + loaded, window, n, a, members, place, begin, sums, weights, state,
            t, row, events, done,
        )  # fmt: skip
        wanted[lane] = times[0]
        if loaded < runs:
            who[lane], busy[active] = loaded, lane
            loaded += 1
            active += 1
    while active > 0:
        _draw_all(window, weights, below, state, t, next_t, target, tries, group)
        total = below[window[1] + 1 - window[0]]
        late = 0
        for lane in range(_LANES):
            # nan is late, too
            late += (not next_t[lane] <= wanted[lane]) | (events[lane] == max_events)
        going, finished = 0, 0
        for k in range(active):
            lane = busy[k]
            queue[going] = lane
            going += 1
            if late == 0 or (next_t[lane] <= wanted[lane] and events[lane] < max_events):
                continue
            if not total[lane] < math.inf:
                done[lane], reaction[lane] = BAD_PROPENSITY, 0
            else:
                now = next_t[lane] if total[lane] >= TINY else math.inf
                row[lane] = record(out[who[lane]], times, row[lane], now, n[lane])
                if row[lane] == len(times):
                    done[lane] = COMPLETE
                elif events[lane] == max_events:
                    done[lane] = TOO_MANY_EVENTS
                else:
                    wanted[lane] = times[row[lane]]
                    continue
            going -= 1
            finished += 1
        _choose(queue, going, tries, group, state, a, members, begin, shift, reaction, left)
        for k in range(going):
            lane = queue[k]
            j = reaction[lane]
            t[lane] = next_t[lane]
            if _react(j, n[lane], change_start, changes):
                done[lane] = COUNT_TOO_LARGE
                finished += 1
                continue
            ends, status = after_event(
                events[lane], j, n[lane], t[lane], stop, stop_constants, interrupt, log_time,
                log_reaction, stack,
            )  # fmt: skip
            events[lane] += 1
            if ends:
                done[lane] = status
                finished += 1
        for k in range(going):
            lane = queue[k]
            bad = _update(
                lane, reaction[lane], t[lane], n[lane], a[lane], members[lane], place[lane],
                window, begin, sums, weights, scale, shift, rates, form, affected_start, affected,
                tables, stack,
            )  # fmt: skip
            if bad >= 0 and done[lane] == _GOES_ON:
                done[lane], reaction[lane] = BAD_PROPENSITY, bad
                finished += 1
        if finished == 0:
            continue
        for k in range(active - 1, -1, -1):
            lane = busy[k]
            if done[lane] == _GOES_ON:
                continue
            run = who[lane]
            finish(
                report[run], ended[run], final[run], out[run], times, row[lane], done[lane],
                reaction[lane], events[lane], t[lane], n[lane],
            )  # fmt: skip
            if done[lane] == INTERRUPTED:
                report[:, 0] = INTERRUPTED
                return
            if loaded < runs:
                _load(
                    lane, seed, first + loaded, window, n, a, members, place, begin, sums,
                    weights, state, t, row, events, done,
                )  # fmt: skip
                who[lane], wanted[lane] = loaded, times[0]
                loaded += 1
            else:
                active -= 1
                busy[k] = busy[active]


@allocating()
def run_block(report, ended, final, out, times, first, seed, start, tables, control, lanes=_LANES):
    """Simulate trajectories, a few of them in turn; arguments as `direct.run_block`.

    Parameters
    ----------
    lanes : int
        How many trajectories advance in turn. The result does not depend on it.
    """
    n_reactions, n_species = len(tables.rates), len(start)
    lanes = max(1, min(lanes, len(out), _LANES))
    rows, columns = lanes + 1, _LANES + 8
    n, a = np.empty((rows, n_species)), np.empty((rows, n_reactions))
    members = np.empty((rows, n_reactions), np.uint32)
    place = np.empty((rows, n_reactions), np.uint32)
    begin = np.empty((_EXPONENTS + 2, columns), np.int32)
    sums = np.empty((_EXPONENTS + 2, columns), np.int64)
    weights = np.empty((_EXPONENTS + 2, columns))
    below = np.empty((_EXPONENTS + 2, columns))
    shift = 0
    while n_reactions > 1 << (_EXACT + shift):
        shift += 1
    scale = 2.0 ** (np.arange(_EXPONENTS) - 1075.0 + shift)
    _run(
        report, ended, final, out, times, first, seed, lanes, start, tables, control,
        np.empty(400), tables.rates, _forms(tables),
        tables.change_start.astype(np.uint32), tables.changes.astype(np.int32),
        tables.affected_start.astype(np.uint32), tables.affected.astype(np.uint32),
        n, a, members, place, np.empty(2, np.int64), begin, sums, weights, below, scale,
        np.uint64(shift), np.zeros((4, columns), np.uint64), np.zeros(columns, np.uint64),
        np.zeros(columns), np.zeros(columns), np.zeros(columns), np.zeros(columns),
        np.zeros(columns, np.int64), np.zeros(columns, np.int64), np.zeros(columns, np.int64), np.zeros(columns, np.int64), np.zeros(columns, np.int64), np.zeros(columns, np.uint32), np.zeros(columns, np.uint32), np.zeros(columns, np.uint32), np.zeros(columns, np.uint32),
    )  # fmt: skip
