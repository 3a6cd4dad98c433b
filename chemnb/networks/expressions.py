"""User text becomes a formula here and nowhere else: parsed and whitelisted, never evaluated."""

from __future__ import annotations

import ast
import difflib
import math
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY = {ast.UAdd: operator.pos, ast.USub: operator.neg}

NAME = re.compile(r"[^\W\d]\w*")
_NO_NUMBER = {"nan", "inf", "infinity"}
_GREEK_SHORT = {"lam": r"\lambda", "Lam": r"\Lambda", "eps": r"\varepsilon"}


class ExpressionError(ValueError):
    """A formula that cannot be read; the message names the text, the fault and the fix."""


@dataclass(frozen=True)
class Expression:
    """An arithmetic formula over names: numbers, ``+ - * / **`` and parentheses.

    Parameters
    ----------
    text : str
        The formula as typed, for example ``"(1 - r1 - r2)*lam"``.

    Raises
    ------
    ExpressionError
        If the text is not arithmetic of numbers and names.

    Examples
    --------
    >>> rate = Expression("(1 - r1)*lam")
    >>> rate.names
    ('r1', 'lam')
    >>> rate.evaluate({"r1": 0.25, "lam": 2.0})
    1.5
    >>> rate.to_sympy()
    lam*(1 - r1)
    """

    text: str
    tree: ast.expr = field(init=False, repr=False, compare=False)

    longest: ClassVar[int] = 500  # characters; deeper nesting than this could exhaust the stack
    wanted: ClassVar[str] = "a number, a name or arithmetic of names"

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", self.text.strip())
        object.__setattr__(self, "tree", _parse(self.text, self.longest, self.wanted))
        self.check_nodes()
        _check_powers(self.tree, self.text)

    def check_nodes(self) -> None:
        """Raise an `ExpressionError` if the text uses anything but arithmetic."""
        for node in ast.walk(self.tree):
            check_node(node, self.text)

    def __str__(self) -> str:
        return self.text

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names that occur in the formula, in the order of writing."""
        calls = [node.func for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        found = [n for n in ast.walk(self.tree) if isinstance(n, ast.Name) and n not in calls]
        return tuple(dict.fromkeys(n.id for n in sorted(found, key=lambda n: n.col_offset)))

    def evaluate(self, values: Mapping[str, float]) -> float:
        """Return the number that the formula gives for ``values`` (name -> number).

        Raises
        ------
        ExpressionError
            If a name has no value, or the result is no finite real number.
        """
        missing = [name for name in self.names if values.get(name) is None]
        if missing:
            raise ExpressionError(f"{listing(missing)} in '{self.text}' has no value")
        try:
            result = walk(self.tree, lambda name: float(values[name]), float)
        except (ZeroDivisionError, OverflowError) as error:
            raise ExpressionError(f"'{self.text}' cannot be computed: {error}") from None
        if isinstance(result, complex) or not math.isfinite(result):
            raise ExpressionError(f"'{self.text}' gives {result}, which is not a finite number")
        return result

    def to_sympy(self):
        """Return the formula as a SymPy expression; its names become plain symbols."""
        import sympy

        def number(value):
            return sympy.Integer(value) if isinstance(value, int) else sympy.Float(value)

        return sympy.sympify(walk(self.tree, sympy.Symbol, number))


def symbol_latex(name: str) -> str:
    r"""Return how a name is typeset: ``lam`` as a Greek letter, ``r1`` with a subscript.

    Examples
    --------
    >>> symbol_latex("lam"), symbol_latex("r1"), symbol_latex("Gamma")
    ('\\lambda', 'r_{1}', '\\Gamma')
    """
    import sympy

    return _GREEK_SHORT.get(name) or sympy.latex(sympy.Symbol(name))


def listing(names: Iterable[object]) -> str:
    """Return names as quoted text for a message: ``'a', 'b'``."""
    return ", ".join(f"'{name}'" for name in names)


def closest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the most similar known name, or an empty text."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def _parse(text: str, longest: int, wanted: str) -> ast.expr:
    if not text:
        raise ExpressionError(f"an empty formula; write {wanted}")
    if len(text) > longest:
        raise ExpressionError(
            f"'{text[:30]}...' has {len(text)} characters; write a formula of at most {longest}"
        )
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        hint = "; 'lambda' is a word of Python, write 'lam'" if "lambda" in text else ""
        raise ExpressionError(
            f"'{text}' is not arithmetic; write numbers, names, + - * / ** and parentheses{hint}"
        ) from None


def check_node(node: ast.AST, text: str) -> None:
    """Raise an `ExpressionError` if a node of a parsed formula is no arithmetic."""
    if isinstance(node, ast.Constant):
        if type(node.value) not in (int, float) or not math.isfinite(node.value):
            raise ExpressionError(
                f"{node.value!r} in '{text}' is not a finite number; write plain decimal numbers"
            )
    elif isinstance(node, ast.Name) and node.id.lower() in _NO_NUMBER:
        raise ExpressionError(
            f"'{node.id}' in '{text}' is not a finite number; write plain decimal numbers"
        )
    elif isinstance(node, ast.Call):
        raise ExpressionError(
            f"'{ast.unparse(node)}' in '{text}' is a function call; "
            "only arithmetic (+ - * / **) of numbers and names is allowed"
        )
    elif not isinstance(node, (ast.Name, ast.Load, ast.BinOp, ast.UnaryOp, *_BINARY, *_UNARY)):
        power = "; a power is written **" if isinstance(node, ast.BitXor) else ""
        raise ExpressionError(
            f"'{text}' uses {type(node).__name__}; "
            f"only arithmetic (+ - * / **) of numbers and names is allowed{power}"
        )


def _check_powers(node: ast.expr, text: str) -> float:
    """Return the largest power in a formula; refuse what would keep exact arithmetic busy."""
    inside = 1.0
    for child in ast.iter_child_nodes(node):
        inside = max(inside, _check_powers(child, text))
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow)):
        return inside
    if any(isinstance(n, ast.Name) for n in ast.walk(node.right)):
        return inside
    try:
        size = abs(walk(node.right, None, float))
    except ArithmeticError:
        size = math.inf
    if size > 100:
        raise ExpressionError(
            f"the exponent '{ast.unparse(node.right)}' in '{text}' is too large; use at most 100"
        )
    # powers of powers multiply: ((9**99)**99)**99
    if inside * size > 100:
        raise ExpressionError(
            f"the powers in '{text}' multiply to {inside * size:g}, which is too large; "
            "use at most 100"
        )
    return max(inside * size, 1.0)


def walk(node: ast.expr, on_name, on_number, on_call=None):
    """Return what a formula becomes when its names, numbers and other nodes are translated.

    ``on_call`` takes every node that is neither a name, a number nor arithmetic.
    """
    if isinstance(node, ast.Constant):
        return on_number(node.value)
    if isinstance(node, ast.Name):
        return on_name(node.id)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        return _UNARY[type(node.op)](walk(node.operand, on_name, on_number, on_call))
    if isinstance(node, ast.BinOp):
        return _BINARY[type(node.op)](
            walk(node.left, on_name, on_number, on_call),
            walk(node.right, on_name, on_number, on_call),
        )
    return on_call(node)
