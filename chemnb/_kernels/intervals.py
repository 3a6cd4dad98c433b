"""Bounds of a rate law over a stretch of time, by interval arithmetic: never too narrow.

Every operation gives an interval that holds all results for operands in theirs. What cannot be
bounded (division by an interval around zero, a power of one) is (-inf, inf). Rounding is met by
the slack that `thinning` puts on top.
"""

import math

import numpy as np

from ..networks.operations import (
    ABS,
    ADD,
    AND,
    CONSTANT,
    COS,
    COUNT,
    DIVIDE,
    EXP,
    FLOOR,
    LESS,
    LESS_EQUAL,
    LOG,
    MAX,
    MIN,
    MULTIPLY,
    NEGATE,
    NOT,
    OR,
    POWER,
    SELECT,
    SIN,
    SQRT,
    SUBTRACT,
    TANH,
    TIME,
    WHOLE_POWER,
)
from .compiled import compiled
from .formula import _whole_power, exponential


@compiled()
def _product(a, b, c, d):
    """Return the bounds of x y for x in [a, b] and y in [c, d]; 0 times infinity is 0."""
    p = 0.0 if a == 0.0 or c == 0.0 else a * c
    q = 0.0 if a == 0.0 or d == 0.0 else a * d
    r = 0.0 if b == 0.0 or c == 0.0 else b * c
    s = 0.0 if b == 0.0 or d == 0.0 else b * d
    return min(min(p, q), min(r, s)), max(max(p, q), max(r, s))


@compiled()
def _cosine(a, b):
    if not b - a < 2.0 * math.pi:
        return -1.0, 1.0
    low, high = min(math.cos(a), math.cos(b)), max(math.cos(a), math.cos(b))
    # a maximum at every even multiple of pi, a minimum at every odd one
    turn = 2.0 * math.pi
    if np.floor(b / turn) > np.floor(a / turn):
        high = 1.0
    if np.floor(b / turn - 0.5) > np.floor(a / turn - 0.5):
        low = -1.0
    return low, high


@compiled()
def _power(a, b, c, d):
    if not (a > 0.0 or (a == 0.0 and c > 0.0)):
        return -math.inf, math.inf
    # monotone in the base and in the exponent: the extremes lie at the corners
    p, q, r, s = a**c, a**d, b**c, b**d
    return min(min(p, q), min(r, s)), max(max(p, q), max(r, s))


@compiled()
def _unary(op, argument, a, b):
    """Return the bounds of a function for arguments in [a, b]."""
    if op == NEGATE:
        return -b, -a
    if op == NOT:
        return 1.0 - b, 1.0 - a
    if op == EXP:
        return exponential(a), exponential(b)
    if op == FLOOR:
        return np.floor(a), np.floor(b)
    if op == TANH:
        return math.tanh(a), math.tanh(b)
    if op == LOG:
        return (math.log(a), math.log(b)) if a > 0.0 else (-math.inf, math.inf)
    if op == SQRT:
        return (math.sqrt(a), math.sqrt(b)) if a >= 0.0 else (-math.inf, math.inf)
    if op == COS:
        return _cosine(a, b)
    if op == SIN:
        return _cosine(a - 0.5 * math.pi, b - 0.5 * math.pi)
    if op == ABS:
        return (0.0 if a <= 0.0 <= b else min(abs(a), abs(b))), max(abs(a), abs(b))
    # WHOLE_POWER
    if argument < 0 and a <= 0.0 <= b:
        return -math.inf, math.inf
    x, y = _whole_power(a, argument), _whole_power(b, argument)
    if argument > 0 and argument % 2 == 0 and a <= 0.0 <= b:
        return 0.0, max(x, y)
    return min(x, y), max(x, y)


@compiled()
def _binary(op, a, b, c, d):
    """Return the bounds of an operation for x in [a, b] and y in [c, d]."""
    if op == ADD:
        return a + c, b + d
    if op == SUBTRACT:
        return a - d, b - c
    if op == MULTIPLY:
        return _product(a, b, c, d)
    if op == DIVIDE:
        return (-math.inf, math.inf) if c <= 0.0 <= d else _product(a, b, 1.0 / d, 1.0 / c)
    if op == POWER:
        return _power(a, b, c, d)
    if op == MIN:
        return min(a, c), min(b, d)
    if op == MAX or op == OR:
        return max(a, c), max(b, d)
    if op == AND:
        return min(a, c), min(b, d)
    if op == LESS:
        return (1.0 if b < c else 0.0), (1.0 if a < d else 0.0)
    if op == LESS_EQUAL:
        return (1.0 if b <= c else 0.0), (1.0 if a <= d else 0.0)
    # EQUAL
    return (1.0 if a == b == c == d else 0.0), (1.0 if a <= d and c <= b else 0.0)


@compiled()
def upper_bound(first, last, code, constants, n, begin, end, low, high):
    """Return a number that a program does not exceed for times in [begin, end], or inf."""
    top = -1
    for i in range(first, last):
        op, argument = code[i, 0], code[i, 1]
        if op == CONSTANT or op == COUNT:
            top += 1
            low[top] = constants[argument] if op == CONSTANT else n[argument]
            high[top] = low[top]
        elif op == TIME:
            top += 1
            low[top], high[top] = begin, end
        elif op == SELECT:  # value, condition, otherwise
            top -= 2
            if high[top + 1] == 0.0:
                low[top], high[top] = low[top + 2], high[top + 2]
            elif low[top + 1] == 0.0:
                low[top] = min(low[top], low[top + 2])
                high[top] = max(high[top], high[top + 2])
        elif op == NEGATE or op == NOT or op == WHOLE_POWER or EXP <= op <= TANH:
            low[top], high[top] = _unary(op, argument, low[top], high[top])
        else:
            top -= 1
            low[top], high[top] = _binary(op, low[top], high[top], low[top + 1], high[top + 1])
        if not low[top] <= high[top]:  # nan
            low[top], high[top] = -math.inf, math.inf
    return high[0]
