"""Rate laws and conditions as programs of a small stack machine (made by `chemnb.networks.programs`)."""

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
    EQUAL,
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

_LARGEST_EXPONENT = 709.782712893384


@compiled()
def _whole_power(x, k):
    """Return x^k by repeated multiplication."""
    result, base, left = 1.0, x, abs(k)
    while left > 0:
        if left & 1:
            result *= base
        base *= base
        left >>= 1
    return result if k >= 0 else 1.0 / result


@compiled()
def exponential(x):
    """Return e^x; infinity where Python would raise an error."""
    return math.inf if x > _LARGEST_EXPONENT else math.exp(x)


@compiled()
def _function(op, x):
    if op == EXP:
        return exponential(x)
    if op == LOG:
        return math.nan if x < 0.0 else (-math.inf if x == 0.0 else math.log(x))
    if op == SQRT:
        return math.sqrt(x) if x >= 0.0 else math.nan
    if op == ABS:
        return abs(x)
    if op == FLOOR:
        return np.floor(x)
    if op == SIN:
        return math.sin(x) if abs(x) < math.inf else math.nan
    if op == COS:
        return math.cos(x) if abs(x) < math.inf else math.nan
    if op == TANH:
        return math.tanh(x)
    return 1.0 - x  # NOT


@compiled()
def _operation(op, x, y):
    if op == ADD:
        return x + y
    if op == SUBTRACT:
        return x - y
    if op == MULTIPLY:
        return x * y
    if op == DIVIDE:
        return x / y
    if op == POWER:
        return x**y
    if op == MIN:
        return x if x <= y or x != x else y
    if op == MAX:
        return x if x >= y or x != x else y
    if op == LESS:
        return 1.0 if x < y else 0.0
    if op == LESS_EQUAL:
        return 1.0 if x <= y else 0.0
    if op == EQUAL:
        return 1.0 if x == y else 0.0
    if op == AND:
        return x * y
    return max(x, y)  # OR


@compiled()
def evaluate(first, last, code, constants, n, t, stack):
    """Return what rows ``first`` to ``last`` of a program give for counts n at time t."""
    top = -1
    for i in range(first, last):
        op = code[i, 0]
        if op == CONSTANT:
            top += 1
            stack[top] = constants[code[i, 1]]
        elif op == COUNT:
            top += 1
            stack[top] = n[code[i, 1]]
        elif op == TIME:
            top += 1
            stack[top] = t
        elif op == WHOLE_POWER:
            stack[top] = _whole_power(stack[top], code[i, 1])
        elif op == NEGATE:
            stack[top] = -stack[top]
        elif op == SELECT:  # value, condition, otherwise
            top -= 2
            if stack[top + 1] == 0.0:
                stack[top] = stack[top + 2]
        elif op == NOT or EXP <= op <= TANH:
            stack[top] = _function(op, stack[top])
        else:
            top -= 1
            stack[top] = _operation(op, stack[top], stack[top + 1])
    return stack[0]


@compiled()
def evaluate_lanes(first, last, code, constants, n, stack):
    """Fill stack[0] with what a program gives for many states n (species, lanes)."""
    lanes = n.shape[1]
    top = -1
    for i in range(first, last):
        op = code[i, 0]
        if op == CONSTANT:
            top += 1
            for lane in range(lanes):
                stack[top, lane] = constants[code[i, 1]]
        elif op == COUNT:
            top += 1
            for lane in range(lanes):
                stack[top, lane] = n[code[i, 1], lane]
        elif op == WHOLE_POWER:
            for lane in range(lanes):
                stack[top, lane] = _whole_power(stack[top, lane], code[i, 1])
        elif op == NEGATE:
            for lane in range(lanes):
                stack[top, lane] = -stack[top, lane]
        elif op == SELECT:
            top -= 2
            for lane in range(lanes):
                if stack[top + 1, lane] == 0.0:
                    stack[top, lane] = stack[top + 2, lane]
        elif op == NOT or EXP <= op <= TANH:
            for lane in range(lanes):
                stack[top, lane] = _function(op, stack[top, lane])
        else:
            top -= 1
            x, y = stack[top], stack[top + 1]
            if op == ADD:
                for lane in range(lanes):
                    x[lane] += y[lane]
            elif op == SUBTRACT:
                for lane in range(lanes):
                    x[lane] -= y[lane]
            elif op == MULTIPLY:
                for lane in range(lanes):
                    x[lane] *= y[lane]
            elif op == DIVIDE:
                for lane in range(lanes):
                    x[lane] /= y[lane]
            else:
                for lane in range(lanes):
                    x[lane] = _operation(op, x[lane], y[lane])
