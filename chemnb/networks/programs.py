"""Rate laws and conditions translated for the stack machine of `chemnb._kernels.formula`."""

from __future__ import annotations

import ast
import math

import numpy as np

from . import operations
from .expressions import ExpressionError
from .laws import TIME, VOLUME, Condition, RateLaw
from .network import ReactionNetwork

Program = tuple[np.ndarray, np.ndarray]  # rows (operation, argument); constants

STACK = 400  # deeper than any formula that the parser lets through
_LARGEST_WHOLE_POWER = 64


def no_program() -> Program:
    """Return the empty program."""
    return np.zeros((0, 2), np.int64), np.zeros(0)


def program_of(formula: RateLaw | Condition, network: ReactionNetwork) -> Program:
    """Return a formula over the counts of a network, its parameters put in as numbers.

    Examples
    --------
    >>> net = ReactionNetwork("S -> P ; law: Vmax*S/(K + S)", Vmax=2, K=5)
    >>> code, constants = program_of(net.reactions[0].rate, net)
    >>> len(code), constants
    (7, array([2., 5.]))
    """
    writer = _Writer(network)
    writer.write(formula.tree)
    return np.array(writer.code, np.int64), np.array(writer.constants, float)


def joined(programs: list[Program]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where each program starts, and the rows and constants of all in one."""
    starts = np.cumsum([0, *(len(code) for code, _ in programs)]).astype(np.int64)
    moved, before = [], 0
    for code, constants in programs:
        moved.append(code + np.array([[0, before]]) * (code[:, :1] == operations.CONSTANT))
        before += len(constants)
    return starts, np.concatenate(moved), np.concatenate([constants for _, constants in programs])


class _Writer:
    def __init__(self, network: ReactionNetwork) -> None:
        self.op = operations
        self.position = {name: i for i, name in enumerate(network.species)}
        self.known = network.parameters | {VOLUME: network.volume}
        self.code: list[tuple[int, int]] = []
        self.constants: list[float] = []

    def put(self, operation: int, argument: int = 0) -> None:
        self.code.append((operation, argument))

    def put_constant(self, value: float) -> None:
        self.put(self.op.CONSTANT, len(self.constants))
        self.constants.append(value)

    def write(self, node: ast.expr) -> None:
        if (value := self.constant(node)) is not None:
            self.put_constant(value)
        elif isinstance(node, ast.Name):
            if node.id == TIME:
                self.put(self.op.TIME)
            else:
                self.put(self.op.COUNT, self.position[node.id])
        elif isinstance(node, ast.BinOp):
            self.write_arithmetic(node)
        elif isinstance(node, ast.UnaryOp):
            self.write(node.operand)
            if isinstance(node.op, (ast.USub, ast.Not)):
                self.put(self.op.NEGATE if isinstance(node.op, ast.USub) else self.op.NOT)
        elif isinstance(node, ast.Compare):
            self.write_comparison(node)
        elif isinstance(node, ast.BoolOp):
            self.fold(node.values, self.op.AND if isinstance(node.op, ast.And) else self.op.OR)
        elif node.func.id == "piecewise":
            self.write_piecewise(node.args)
        else:
            operation = getattr(self.op, node.func.id.upper())
            if len(node.args) == 1:
                self.write(node.args[0])
                self.put(operation)
            else:
                self.fold(node.args, operation)

    def write_arithmetic(self, node: ast.BinOp) -> None:
        self.write(node.left)
        power = self.constant(node.right) if isinstance(node.op, ast.Pow) else None
        if power is not None and power == int(power) and abs(power) <= _LARGEST_WHOLE_POWER:
            self.put(self.op.WHOLE_POWER, int(power))
            return
        self.write(node.right)
        names = {
            ast.Add: "ADD", ast.Sub: "SUBTRACT", ast.Mult: "MULTIPLY", ast.Div: "DIVIDE",
            ast.Pow: "POWER",
        }  # fmt: skip
        self.put(getattr(self.op, names[type(node.op)]))

    def write_comparison(self, node: ast.Compare) -> None:
        values = [node.left, *node.comparators]
        for i, operator in enumerate(node.ops):
            a, b = values[i], values[i + 1]
            if isinstance(operator, (ast.Gt, ast.GtE)):
                a, b = b, a
            self.write(a)
            self.write(b)
            strict = isinstance(operator, (ast.Lt, ast.Gt))
            if isinstance(operator, (ast.Eq, ast.NotEq)):
                self.put(self.op.EQUAL)
            else:
                self.put(self.op.LESS if strict else self.op.LESS_EQUAL)
            if isinstance(operator, ast.NotEq):
                self.put(self.op.NOT)
            if i:
                self.put(self.op.AND)

    def write_piecewise(self, arguments: list[ast.expr]) -> None:
        # value, condition, then the rest, which may be such a choice itself
        self.write(arguments[0])
        self.write(arguments[1])
        if len(arguments) > 3:
            self.write_piecewise(arguments[2:])
        else:
            self.write(arguments[2])
        self.put(self.op.SELECT)

    def fold(self, nodes: list[ast.expr], operation: int) -> None:
        self.write(nodes[0])
        for node in nodes[1:]:
            self.write(node)
            self.put(operation)

    def constant(self, node: ast.expr) -> float | None:
        """Return the value of a part of the formula that does not depend on state or time."""
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        calls = {n.func.id for n in ast.walk(node) if isinstance(n, ast.Call)}
        truths = (ast.Compare, ast.BoolOp, ast.Not)
        if any(isinstance(n, truths) for n in ast.walk(node)):
            return None
        if (names - calls) - self.known.keys() or names & calls & self.position.keys():
            return None
        try:
            value = float(RateLaw(ast.unparse(node)).values(self.known))
        except ExpressionError:
            return None
        return value if math.isfinite(value) else None
