"""Rate laws and conditions as text: what is more than arithmetic, parsed and never evaluated."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .expressions import Expression, ExpressionError, check_node, closest, listing, walk

LAW = "law:"
TIME, VOLUME = "t", "V"
RESERVED = {TIME: "the time", VOLUME: "the volume"}
_DEEPEST = 100  # nested parentheses and signs


class Function(NamedTuple):
    """A function of rate laws: how many arguments it takes, on arrays and in SymPy."""

    least: int
    most: int
    on_arrays: object
    in_sympy: str


FUNCTIONS = {
    "exp": Function(1, 1, np.exp, "exp"),
    "log": Function(1, 1, np.log, "log"),
    "sqrt": Function(1, 1, np.sqrt, "sqrt"),
    "abs": Function(1, 1, np.abs, "Abs"),
    "floor": Function(1, 1, np.floor, "floor"),
    "sin": Function(1, 1, np.sin, "sin"),
    "cos": Function(1, 1, np.cos, "cos"),
    "tanh": Function(1, 1, np.tanh, "tanh"),
    "min": Function(2, 99, np.minimum, "Min"),
    "max": Function(2, 99, np.maximum, "Max"),
}
COMPARISONS = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
_CALLS = f"{listing(FUNCTIONS)} and 'piecewise'"


class _Formula(Expression):
    """Arithmetic with functions and comparisons; a subclass says whether it is true or a number."""

    longest = 2000
    logical = False

    def check_nodes(self) -> None:
        try:
            self._check(self.tree, self.logical, 0)
        except RecursionError:
            raise ExpressionError(f"'{self.text[:30]}...' is nested too deeply") from None

    def values(self, names: Mapping[str, object]) -> np.ndarray:
        """Return the formula over arrays (name -> number or array), without a check of the result."""
        with np.errstate(all="ignore"):
            return np.asarray(
                walk(
                    self.tree,
                    lambda name: np.asarray(names[name], dtype=float),
                    np.float64,
                    lambda node: self._on_arrays(node, names),
                )
            )

    def evaluate(self, values: Mapping[str, float]) -> float:
        """Return the formula for ``values`` (name -> number); a condition gives 0 or 1.

        Raises
        ------
        ExpressionError
            If a name has no value, or the result is no finite number.
        """
        if missing := [name for name in self.names if values.get(name) is None]:
            raise ExpressionError(f"{listing(missing)} in '{self.text}' has no value")
        result = float(self.values(values))
        if not math.isfinite(result):
            raise ExpressionError(f"'{self.text}' gives {result}, which is not a finite number")
        return result

    def to_sympy(self):
        """Return the formula in SymPy; its names become plain symbols."""
        import sympy

        def number(value):
            return sympy.Integer(value) if isinstance(value, int) else sympy.Float(value)

        def inner(node):
            return walk(node, sympy.Symbol, number, other)

        def other(node):
            if isinstance(node, ast.Compare):
                return _relation(node, inner)
            if isinstance(node, ast.BoolOp):
                parts = [inner(value) for value in node.values]
                return sympy.And(*parts) if isinstance(node.op, ast.And) else sympy.Or(*parts)
            if isinstance(node, ast.UnaryOp):
                return sympy.Not(inner(node.operand))
            arguments = [inner(argument) for argument in node.args]
            if node.func.id == "piecewise":
                pairs = list(zip(arguments[:-1:2], arguments[1::2], strict=True))
                return sympy.Piecewise(*pairs, (arguments[-1], True))
            return getattr(sympy, FUNCTIONS[node.func.id].in_sympy)(*arguments)

        return sympy.sympify(inner(self.tree))

    # --- inside ----------------------------------------------------------------------------

    def _check(self, node: ast.expr, logical: bool, depth: int) -> None:
        if depth > _DEEPEST:
            raise ExpressionError(
                f"'{self.text[:30]}...' is nested too deeply; use at most {_DEEPEST} levels"
            )
        compared = isinstance(node, (ast.Compare, ast.BoolOp)) or (
            isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        )
        if compared != logical:
            shown = ast.unparse(node)
            raise ExpressionError(
                f"'{shown}' in '{self.text}' is true or false where a number is needed; "
                "choose between numbers with piecewise(value, condition, otherwise)"
                if compared
                else f"'{shown}' in '{self.text}' is a number where a condition is needed; "
                "compare it, as in 'A >= 10' or 'A == 0 and B > 2'"
            )
        if isinstance(node, ast.Compare):
            for operator in node.ops:
                if type(operator) not in COMPARISONS:
                    raise ExpressionError(
                        f"'{ast.unparse(node)}' in '{self.text}' uses "
                        f"{type(operator).__name__}; compare with < <= > >= == !="
                    )
            children = [(child, False) for child in (node.left, *node.comparators)]
        elif compared:
            operands = node.values if isinstance(node, ast.BoolOp) else [node.operand]
            children = [(child, True) for child in operands]
        elif isinstance(node, ast.Call):
            children = self._arguments(node)
        else:
            check_node(node, self.text)
            children = [
                (child, False)
                for child in ast.iter_child_nodes(node)
                if not isinstance(child, (ast.operator, ast.unaryop, ast.expr_context))
            ]
            for child in ast.iter_child_nodes(node):
                if isinstance(child, (ast.operator, ast.unaryop)):
                    check_node(child, self.text)
        for child, wanted in children:
            self._check(child, wanted, depth + 1)

    def _arguments(self, node: ast.Call) -> list[tuple[ast.expr, bool]]:
        """Return the arguments of a call and which of them are conditions."""
        shown = ast.unparse(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            raise ExpressionError(f"'{shown}' in '{self.text}' must have plain arguments")
        count = len(node.args)
        if name == "piecewise":
            if count < 3 or count % 2 == 0:
                raise ExpressionError(
                    f"'{shown}' in '{self.text}': write piecewise(value, condition, otherwise)"
                )
            return [(a, i % 2 == 1 and i < count - 1) for i, a in enumerate(node.args)]
        if name not in FUNCTIONS:
            raise ExpressionError(
                f"'{name}' in '{self.text}' is no function of rate laws"
                f"{closest(name, [*FUNCTIONS, 'piecewise'])}; there are {_CALLS}"
            )
        least, most = FUNCTIONS[name][:2]
        if not least <= count <= most:
            wanted = "one argument" if most == 1 else "two arguments or more"
            raise ExpressionError(f"'{shown}' in '{self.text}' has {count}; {name} takes {wanted}")
        return [(a, False) for a in node.args]

    def _on_arrays(self, node: ast.expr, names):
        def inner(child):
            return walk(
                child,
                lambda name: np.asarray(names[name], dtype=float),
                np.float64,
                lambda other: self._on_arrays(other, names),
            )

        if isinstance(node, ast.Compare):
            values = [inner(child) for child in (node.left, *node.comparators)]
            pairs = zip(node.ops, values, values[1:], strict=False)
            return np.logical_and.reduce([COMPARISONS[type(op)](a, b) for op, a, b in pairs]) * 1.0
        if isinstance(node, ast.BoolOp):
            parts = np.broadcast_arrays(*(inner(value) for value in node.values))
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return join.reduce(parts) * 1.0
        if isinstance(node, ast.UnaryOp):
            return 1.0 - inner(node.operand)
        values = [inner(argument) for argument in node.args]
        if node.func.id == "piecewise":
            result = values[-1]
            for value, condition in reversed(list(zip(values[:-1:2], values[1::2], strict=True))):
                result = np.where(condition != 0, value, result)
            return result
        function = FUNCTIONS[node.func.id].on_arrays
        result = values[0] if len(values) > 1 else function(values[0])
        for value in values[1:]:
            result = function(result, value)
        return result


class RateLaw(_Formula):
    """A rate law: the propensity of a reaction, written over counts (Eq. 5 replaced).

    Names are species (their counts n, whole numbers), parameters, the time ``t`` and the volume
    ``V`` of the network. Besides ``+ - * / **`` there are exp, log, sqrt, abs, floor, sin, cos,
    tanh, min, max and ``piecewise(value, condition, otherwise)``.

    Examples
    --------
    >>> hill = RateLaw("beta*K**2/(K**2 + (R/V)**2)")
    >>> hill.names
    ('beta', 'K', 'R', 'V')
    >>> hill.evaluate({"beta": 4.0, "K": 2.0, "R": 20, "V": 10.0})
    2.0
    >>> print(hill)
    law: beta*K**2/(K**2 + (R/V)**2)
    >>> RateLaw("piecewise(k, t < 5, 0)").to_sympy()
    Piecewise((k, t < 5), (0, True))
    """

    wanted = "a rate law such as 'Vmax*S/(K + S)'"

    def __str__(self) -> str:
        return f"{LAW} {self.text}"


class Condition(_Formula):
    """A condition on the state: ``A == 0``, ``A + B >= 100``, ``A == 0 or t > 5``.

    Examples
    --------
    >>> Condition("A + B >= 100 and not A == 0").evaluate({"A": 60, "B": 40})
    1.0
    """

    wanted = "a condition such as 'A == 0'"
    logical = True


def _relation(node: ast.Compare, inner):
    import sympy

    relations = {
        ast.Lt: sympy.Lt, ast.LtE: sympy.Le, ast.Gt: sympy.Gt, ast.GtE: sympy.Ge,
        ast.Eq: sympy.Eq, ast.NotEq: sympy.Ne,
    }  # fmt: skip
    values = [inner(child) for child in (node.left, *node.comparators)]
    pairs = zip(node.ops, values, values[1:], strict=False)
    return sympy.And(*(relations[type(op)](a, b) for op, a, b in pairs))
