"""One random stream a trajectory: xoshiro256++ seeded by SplitMix64 of (seed, index).

Blackman and Vigna (2021), "Scrambled linear pseudorandom number generators",
doi:10.1145/3460772; SplitMix64 as they recommend for seeding. Only arithmetic that every
processor rounds alike, without branches: the same bits alone and in lockstep.
"""

import numpy as np

from .compiled import compiled, inlined
from .packs import bits_of, float_of

TINY = 1e-290  # a total propensity below this counts as zero

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)

_ONE = np.uint64(0x3FF0000000000000)  # the bits of 1.0
_BELOW_ONE = 1.0 - 2.0**-53
_ROOT_HALF = np.uint64(0x3FE6A09E667F3BCD)  # the bits of sqrt(1/2)
_SHIFT = np.uint64(64 << 52)
_INTEGER = np.uint64(0x4330000000000000)  # the bits of 2^52: its last bits count whole numbers
_LN2 = 0.6931471805599453


@compiled()
def _split_mix(x):
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


@compiled()
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


@inlined()
def draw(s0, s1, s2, s3):
    """Return 64 random bits and the next state of the stream."""
    total = s0 + s3
    result = ((total << np.uint64(23)) | (total >> np.uint64(41))) + s0
    shifted = s1 << np.uint64(17)
    s2 = s2 ^ s0
    s3 = s3 ^ s1
    s1 = s1 ^ s2
    s0 = s0 ^ s3
    s2 = s2 ^ shifted
    s3 = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
    return result, s0, s1, s2, s3


@inlined()
def uniform(random_bits):
    """Return one of the 2^52 numbers (k + 1/2)/2^52: never 0, never 1, symmetric."""
    return float_of((random_bits >> np.uint64(12)) | _ONE) - _BELOW_ONE


@inlined()
def waiting_time(u, total):
    """Return -log(u)/total to 1e-15, for 0 < u < 1; nan if ``total`` is 0 or not finite.

    log(2^e m) = e log 2 + 2 artanh((m - 1)/(m + 1)) with m near 1 and the polynomial of fdlibm
    (Sun Microsystems, e_log.c). Division is what costs most, so that the two share one.
    """
    shifted = bits_of(u) - _ROOT_HALF + _SHIFT
    exponent = shifted >> np.uint64(52)
    e = float_of(exponent | _INTEGER) - (2.0**52 + 64.0)
    m = float_of(bits_of(u) - (exponent << np.uint64(52)) + _SHIFT)
    scale = 1.0 / ((m + 1.0) * total)
    s = (m - 1.0) * total * scale
    z = s * s
    p = 0.1531383769920937332 + z * 0.1479819860511658591
    p = 0.2222219843214978396 + z * (0.1818357216161805012 + z * p)
    p = z * (
        0.6666666666666735130 + z * (0.3999999999940941908 + z * (0.2857142874366239149 + z * p))
    )
    return -(e * _LN2 + (2.0 * s + s * p)) * ((m + 1.0) * scale)
