"""Normal and Poisson numbers from one random stream, with arithmetic that rounds alike everywhere."""

import math

import numpy as np

from .compiled import compiled
from .random import draw, uniform, waiting_time

_SMALL_MEAN = 10.0  # below, the waiting times of a Poisson process are counted
_SMALL_COUNT = 10.0  # below, the factorial is multiplied out
_HALF_LOG_2_PI = 0.9189385332046727


@compiled()
def log(x):
    """Return log x, for x > 2^-60; not that of the C library, which differs between machines."""
    return -waiting_time(x, 1.0)


@compiled()
def normal_pair(s0, s1, s2, s3):
    """Return two independent standard normal numbers and the next state of the stream.

    Marsaglia and Bray (1964), doi:10.1137/1006063: a point in the unit disc.
    """
    while True:
        bits, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
        x = 2.0 * uniform(bits) - 1.0
        bits, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
        y = 2.0 * uniform(bits) - 1.0
        square = x * x + y * y
        if square < 1.0:
            scale = math.sqrt(-2.0 * log(square) / square)
            return x * scale, y * scale, s0, s1, s2, s3


@compiled()
def log_poisson(k, mean):
    """Return log of mean^k exp(-mean)/k! to about 1e-10, without cancellation near k = mean.

    Loader's saddle-point form (2000, "Fast and accurate computation of binomial probabilities").
    """
    if k < _SMALL_COUNT:
        factorial = 1.0
        for i in range(2, int(k) + 1):
            factorial *= i
        return k * log(mean) - mean - log(factorial)
    v = (mean - k) / (mean + k)
    if abs(v) < 0.1:  # k log(mean/k) + k - mean as a series of artanh
        square = v * v
        series = 1 / 3 + square * (1 / 5 + square * (1 / 7 + square * (1 / 9 + square / 11)))
        deviance = v * (k - mean) + 2.0 * k * v * square * series
    else:
        deviance = k * log(mean / k) + k - mean
    stirling = (1 / 12 - (1 / 360 - 1 / (1260 * k * k)) / (k * k)) / k
    return deviance - 0.5 * log(k) - _HALF_LOG_2_PI - stirling


@compiled()
def poisson(mean, s0, s1, s2, s3):
    """Return a Poisson number (a float) of this mean and the next state of the stream.

    From a mean of 10 on: transformed rejection, PTRS of Hoermann (1993),
    doi:10.1016/0167-6687(93)90997-4; about 1.2 pairs of uniform numbers whatever the mean.
    """
    if mean < _SMALL_MEAN:
        k, passed = 0.0, 0.0
        while True:
            bits, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
            passed += waiting_time(uniform(bits), 1.0)
            if passed > mean:
                return k, s0, s1, s2, s3
            k += 1.0
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    surely = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        bits, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
        x = uniform(bits) - 0.5
        bits, s0, s1, s2, s3 = draw(s0, s1, s2, s3)
        y = uniform(bits)
        edge = 0.5 - abs(x)
        k = np.floor((2.0 * a / edge + b) * x + mean + 0.43)
        if edge >= 0.07 and y <= surely:
            return k, s0, s1, s2, s3
        if k < 0.0 or (edge < 0.013 and y > edge):
            continue
        # every factor apart: the quotient would leave the range of this logarithm
        height = log(y) + log(inverse_alpha) - log(a / (edge * edge) + b)
        if height <= log_poisson(k, mean):
            return k, s0, s1, s2, s3
