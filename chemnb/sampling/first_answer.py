"""The direct method in NumPy alone: a first answer before anything is compiled, and the only
engine for many runs where Numba is absent.

Runs side by side, an event of each at a time, with the arithmetic of `chemnb._kernels.direct` in
the same order and from the same streams: the same numbers, bit for bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

TINY = 1e-290  # as in `chemnb._kernels.random`
_SAFE_COUNT = 2.0**52
_CHECK = 256  # events between looks for the interrupt flag

_GOLDEN, _MIX_1, _MIX_2 = (
    np.array([word], np.uint64)
    for word in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
_ONE, _ROOT_HALF, _SHIFT, _INTEGER = (
    np.array([word], np.uint64)
    for word in (0x3FF0000000000000, 0x3FE6A09E667F3BCD, 64 << 52, 0x4330000000000000)
)


class Found(NamedTuple):
    """What the runs gave; those given up must be simulated again by `chemnb._kernels.direct`."""

    counts: np.ndarray
    events: np.ndarray
    ended: np.ndarray
    final: np.ndarray
    given_up: np.ndarray


def simulate(
    tables, change, start, times, first: int, size: int, seed: int, most_steps: int, interrupt=(0,)
) -> Found:
    """Simulate runs; give up those that make too many events or meet anything unusual.

    Parameters
    ----------
    tables : Tables
        Of a network without rate laws.
    change : ndarray of float (species, reactions)
        Stoichiometric matrix.
    start : ndarray of float (species,)
    times : ndarray (T,)
    most_steps : int
        Runs with more events are given up.
    interrupt : sequence of int (1,)
        All runs are given up when it becomes 1.
    """
    counts = np.empty((size, len(times), len(start)), np.int64)
    events, ended, given_up = np.zeros(size, np.int64), np.zeros(size), np.ones(size, dtype=bool)
    final = np.zeros((size, len(start)))
    who, row, t = np.arange(size), np.zeros(size, np.int64), np.zeros(size)
    n = np.repeat(start[:, None], size, axis=1)
    words = _streams(seed, first + np.arange(size))
    with np.errstate(all="ignore"):
        for step in range(most_steps + 1):
            if step % _CHECK == 0 and interrupt[0]:
                break
            below = _summed(tables, n)
            total = below[-1]
            x, y = _draw(words), _draw(words)
            then = t + _waiting_time(_uniform(x), total)
            then[total < TINY] = np.inf
            now = row + (then > times[row])  # nearly always within one interval
            for lane in np.flatnonzero(now > row):
                now[lane] = np.searchsorted(times, then[lane])
                counts[who[lane], row[lane] : now[lane]] = n[:, lane]
            row, goes_on = now, now < len(times)
            usual = (total < np.inf) & (n.max(axis=0, initial=0.0) <= _SAFE_COUNT)
            done = ~goes_on & usual
            finished = who[done]
            events[finished], ended[finished], given_up[finished] = step, t[done], False
            final[finished] = n[:, done].T
            goes_on &= usual
            chosen = (below < _uniform(y) * total).sum(axis=0)
            n = n + change[:, np.minimum(chosen, len(below) - 1)]
            t = then
            if not goes_on.all():
                if not goes_on.any():
                    break
                n, who, row, t = n[:, goes_on], who[goes_on], row[goes_on], t[goes_on]
                words = [word[goes_on] for word in words]
    return Found(counts, events, ended, final, given_up)


def _summed(tables, n: np.ndarray) -> np.ndarray:
    """Return the propensities summed up (reactions, lanes)."""
    below = np.empty((len(tables.rates), n.shape[1]))
    total = np.zeros(n.shape[1])
    for j, rate in enumerate(tables.rates):
        value = rate
        for species, offset in tables.factors[tables.factor_start[j] : tables.factor_start[j + 1]]:
            value = value * (n[species] - offset)
        total = below[j] = total + value
    return below


def _split_mix(x):
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


def _streams(seed: int, index: np.ndarray) -> list[np.ndarray]:
    words = np.array([seed], np.uint64) + _GOLDEN
    base = _split_mix(words) ^ _split_mix((index.astype(np.uint64) + np.uint64(1)) * _MIX_2)
    return [_split_mix(base + np.uint64(k) * _GOLDEN) for k in (1, 2, 3, 4)]


def _draw(words: list[np.ndarray]) -> np.ndarray:
    """Return 64 random bits a lane and move the streams on."""
    s0, s1, s2, s3 = words
    total = s0 + s3
    result = ((total << np.uint64(23)) | (total >> np.uint64(41))) + s0
    shifted = s1 << np.uint64(17)
    s2 = s2 ^ s0
    s3 = s3 ^ s1
    words[1], words[0], words[2] = s1 ^ s2, s0 ^ s3, s2 ^ shifted
    words[3] = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
    return result


def _uniform(random_bits: np.ndarray) -> np.ndarray:
    return ((random_bits >> np.uint64(12)) | _ONE).view(float) - (1.0 - 2.0**-53)


def _waiting_time(u: np.ndarray, total: np.ndarray) -> np.ndarray:
    shifted = u.view(np.uint64) - _ROOT_HALF + _SHIFT
    exponent = shifted >> np.uint64(52)
    e = (exponent | _INTEGER).view(float) - (2.0**52 + 64.0)
    m = (u.view(np.uint64) - (exponent << np.uint64(52)) + _SHIFT).view(float)
    scale = 1.0 / ((m + 1.0) * total)
    s = (m - 1.0) * total * scale
    z = s * s
    p = 0.1531383769920937332 + z * 0.1479819860511658591
    p = 0.2222219843214978396 + z * (0.1818357216161805012 + z * p)
    p = 0.2857142874366239149 + z * p
    p = z * (0.6666666666666735130 + z * (0.3999999999940941908 + z * p))
    return -(e * 0.6931471805599453 + (2.0 * s + s * p)) * ((m + 1.0) * scale)
