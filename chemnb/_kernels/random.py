"""One random stream a trajectory: xoshiro256++ seeded by SplitMix64 of (seed, index).

Blackman and Vigna (2021), "Scrambled linear pseudorandom number generators",
doi:10.1145/3460772; SplitMix64 as they recommend for seeding.
"""

import numpy as np
from numba import njit

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_UNIT = 2.0**-53


@njit(cache=True)
def _split_mix(x):
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


@njit(cache=True)
def stream(seed, index):
    """Return the starting state of stream ``index``: four 64-bit words."""
    # the index is mixed before it meets the seed, so (seed, index) pairs do not overlap
    base = _split_mix(np.uint64(seed) + _GOLDEN) ^ _split_mix(
        (np.uint64(index) + np.uint64(1)) * _MIX_2
    )
    s0 = _split_mix(base + _GOLDEN)
    s1 = _split_mix(base + np.uint64(2) * _GOLDEN)
    s2 = _split_mix(base + np.uint64(3) * _GOLDEN)
    s3 = _split_mix(base + np.uint64(4) * _GOLDEN)
    return s0, s1, s2, s3


@njit(cache=True)
def draw(s0, s1, s2, s3):
    """Return a uniform number in (0, 1] and the next state of the stream."""
    total = s0 + s3
    result = ((total << np.uint64(23)) | (total >> np.uint64(41))) + s0
    shifted = s1 << np.uint64(17)
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    s3 = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
    return (np.float64(result >> np.uint64(11)) + 1.0) * _UNIT, s0, s1, s2, s3
