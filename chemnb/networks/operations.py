"""The operations of the stack machine that evaluates rate laws: `chemnb._kernels.formula`."""

# fmt: off
(CONSTANT, COUNT, TIME, ADD, SUBTRACT, MULTIPLY, DIVIDE, POWER, WHOLE_POWER,
 NEGATE, EXP, LOG, SQRT, ABS, FLOOR, SIN, COS, TANH,
 MIN, MAX, LESS, LESS_EQUAL, EQUAL, AND, OR, NOT, SELECT) = range(27)
