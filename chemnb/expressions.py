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

_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY = {ast.UAdd: operator.pos, ast.USub: operator.neg}

NAME = re.compile(r"[^\W\d]\w*")
_LONGEST = 500  # characters; deeper nesting than this could exhaust the stack
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
    _tree: ast.expr = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", self.text.strip())
        object.__setattr__(self, "_tree", _parse(self.text))

    def __str__(self) -> str:
        return self.text

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names that occur in the formula, in the order of writing."""
        found = [node for node in ast.walk(self._tree) if isinstance(node, ast.Name)]
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
            result = _walk(self._tree, lambda name: float(values[name]), float)
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

        return sympy.sympify(_walk(self._tree, sympy.Symbol, number))


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


def _parse(text: str) -> ast.expr:
    text = text.strip()
    if not text:
        raise ExpressionError("an empty formula; write a number, a name or arithmetic of names")
    if len(text) > _LONGEST:
        raise ExpressionError(
            f"'{text[:30]}...' has {len(text)} characters; write a formula of at most {_LONGEST}"
        )
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        hint = "; 'lambda' is a word of Python, write 'lam'" if "lambda" in text else ""
        raise ExpressionError(
            f"'{text}' is not arithmetic; write numbers, names, + - * / ** and parentheses{hint}"
        ) from None
    _check(tree, text)
    return tree


def _check(tree: ast.expr, text: str) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            if type(node.value) not in (int, float) or not math.isfinite(node.value):
                raise ExpressionError(
                    f"{node.value!r} in '{text}' is not a finite number; "
                    "write plain decimal numbers"
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
            raise ExpressionError(
                f"'{text}' uses {type(node).__name__}; "
                "only arithmetic (+ - * / **) of numbers and names is allowed"
            )
    _check_powers(tree, text)


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
        size = abs(_walk(node.right, None, float))
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


def _walk(node: ast.expr, on_name, on_number):
    if isinstance(node, ast.Constant):
        return on_number(node.value)
    if isinstance(node, ast.Name):
        return on_name(node.id)
    if isinstance(node, ast.UnaryOp):
        return _UNARY[type(node.op)](_walk(node.operand, on_name, on_number))
    return _BINARY[type(node.op)](
        _walk(node.left, on_name, on_number), _walk(node.right, on_name, on_number)
    )
