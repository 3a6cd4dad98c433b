"""Formulas of SBML (MathML in libSBML's trees) as Python syntax trees, and back."""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable, Mapping

from ..networks.laws import RateLaw

AVOGADRO = 6.02214076e23  # molecules per mole, exact in the SI
CLOCK = "<time>"  # the time, under a name that no element of a model can have


class SBMLError(ValueError):
    """A model that cannot be read or written; the message names the element and the fault."""


# What rate laws have no function for, in functions that they have.
_FORMULAS = {
    "AST_FUNCTION_TAN": "sin(x)/cos(x)",
    "AST_FUNCTION_SEC": "1/cos(x)",
    "AST_FUNCTION_CSC": "1/sin(x)",
    "AST_FUNCTION_COT": "cos(x)/sin(x)",
    "AST_FUNCTION_SINH": "(exp(x) - exp(-x))/2",
    "AST_FUNCTION_COSH": "(exp(x) + exp(-x))/2",
    "AST_FUNCTION_SECH": "2/(exp(x) + exp(-x))",
    "AST_FUNCTION_CEILING": "-floor(-x)",
}
_OF_TWO = {
    "AST_FUNCTION_QUOTIENT": "piecewise(floor(x/y), x/y >= 0, -floor(-x/y))",
    "AST_FUNCTION_REM": "x - y*piecewise(floor(x/y), x/y >= 0, -floor(-x/y))",
}
_OF_NUMBERS = {
    "AST_FUNCTION_FACTORIAL": lambda x: float(math.factorial(int(x))) if x == int(x) else math.nan,
    "AST_FUNCTION_ARCSIN": math.asin,
    "AST_FUNCTION_ARCCOS": math.acos,
    "AST_FUNCTION_ARCTAN": math.atan,
    "AST_FUNCTION_ARCSEC": lambda x: math.acos(1 / x),
    "AST_FUNCTION_ARCCSC": lambda x: math.asin(1 / x),
    "AST_FUNCTION_ARCCOT": lambda x: math.atan(1 / x),
    "AST_FUNCTION_ARCSINH": math.asinh,
    "AST_FUNCTION_ARCCOSH": math.acosh,
    "AST_FUNCTION_ARCTANH": math.atanh,
    "AST_FUNCTION_ARCSECH": lambda x: math.acosh(1 / x),
    "AST_FUNCTION_ARCCSCH": lambda x: math.asinh(1 / x),
    "AST_FUNCTION_ARCCOTH": lambda x: math.atanh(1 / x),
    "AST_FUNCTION_COTH": lambda x: 1 / math.tanh(x),
    "AST_FUNCTION_CSCH": lambda x: 1 / math.sinh(x),
}
_CALLS = {
    "AST_FUNCTION_EXP": "exp",
    "AST_FUNCTION_LN": "log",
    "AST_FUNCTION_ABS": "abs",
    "AST_FUNCTION_FLOOR": "floor",
    "AST_FUNCTION_SIN": "sin",
    "AST_FUNCTION_COS": "cos",
    "AST_FUNCTION_TANH": "tanh",
}
_COMPARISONS = {
    "AST_RELATIONAL_LT": ast.Lt,
    "AST_RELATIONAL_LEQ": ast.LtE,
    "AST_RELATIONAL_GT": ast.Gt,
    "AST_RELATIONAL_GEQ": ast.GtE,
    "AST_RELATIONAL_EQ": ast.Eq,
    "AST_RELATIONAL_NEQ": ast.NotEq,
}
_ARITHMETIC = {
    "AST_DIVIDE": ast.Div,
    "AST_POWER": ast.Pow,
    "AST_FUNCTION_POWER": ast.Pow,
}
_KNOWN = {*_CALLS, *_FORMULAS, *_OF_TWO, *_COMPARISONS, *_ARITHMETIC, "AST_MINUS"}
_NUMBERS = ("AST_INTEGER", "AST_REAL", "AST_REAL_E", "AST_RATIONAL")


def number(value: float) -> ast.expr:
    """Return a number as a tree: whole numbers without a point, the sign as an operation."""
    if value < 0:
        return ast.UnaryOp(ast.USub(), number(-value))
    whole = value == int(value) and value < 1e15
    return ast.Constant(int(value) if whole else float(value))


def binary(left: ast.expr, operator: type[ast.operator], right: ast.expr) -> ast.expr:
    return ast.BinOp(left, operator(), right)


def call(name: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


def name(text: str) -> ast.expr:
    return ast.Name(text, ast.Load())


def text_of(tree: ast.expr) -> str:
    """Return a tree as the text of a rate law.

    Examples
    --------
    >>> text_of(ast.parse("(k*A) / (K + A**2)", mode="eval").body)
    'k*A/(K + A**2)'
    """
    text = ast.unparse(tree)
    for operator in ("**", "*", "/"):
        text = text.replace(f" {operator} ", operator)
    return text


def names_in(tree: ast.expr) -> set[str]:
    """Return the names in a tree that are no functions."""
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in functions}


def replace_names(tree: ast.expr, new: Callable[[str], ast.expr]) -> ast.expr:
    """Return a tree with every name that is no function replaced by another tree."""
    if isinstance(tree, ast.Name):
        return new(tree.id)
    if isinstance(tree, ast.Call):
        return call(tree.func.id, *(replace_names(a, new) for a in tree.args))
    if isinstance(tree, ast.BinOp):
        return ast.BinOp(replace_names(tree.left, new), tree.op, replace_names(tree.right, new))
    if isinstance(tree, ast.UnaryOp):
        return ast.UnaryOp(tree.op, replace_names(tree.operand, new))
    if isinstance(tree, ast.BoolOp):
        return ast.BoolOp(tree.op, [replace_names(value, new) for value in tree.values])
    if isinstance(tree, ast.Compare):
        others = [replace_names(value, new) for value in tree.comparators]
        return ast.Compare(replace_names(tree.left, new), tree.ops, others)
    return tree


class MathReader:
    """Reads formulas of a model; functions that the model defines are written out.

    Parameters
    ----------
    functions : mapping of id -> libSBML FunctionDefinition
    """

    def __init__(self, functions: Mapping[str, object]) -> None:
        import libsbml

        self.functions = functions
        self.kind = {
            getattr(libsbml, constant): constant
            for constant in dir(libsbml)
            if constant.startswith("AST_") and isinstance(getattr(libsbml, constant), int)
        }

    def read(self, node, where: str) -> ast.expr:
        """Return a formula; its names are the model's ids, and `CLOCK` for the time.

        Raises
        ------
        SBMLError
            If ``where`` has no formula, or one with a part that rate laws have not.
        """
        if node is None:
            raise SBMLError(f"{where} has no formula")
        try:
            return self._read(node, where, {}, ())
        except RecursionError:
            raise SBMLError(f"the formula of {where} is nested too deeply") from None

    def _read(self, node, where, bound, inside) -> ast.expr:
        kind = self.kind.get(node.getType(), "an unknown symbol")
        if kind in _NUMBERS:
            value = node.getValue()
            if not math.isfinite(value):
                raise SBMLError(f"the formula of {where} has the number {value}")
            return number(value)
        if kind == "AST_NAME":
            return bound.get(node.getName()) or name(node.getName())
        if kind == "AST_FUNCTION":
            return self._inline(node, where, bound, inside)
        children = [node.getChild(i) for i in range(node.getNumChildren())]
        read = [self._read(child, where, bound, inside) for child in children]
        if (result := _symbol(kind)) is None:
            result = _operation(kind, read, where)
        return result

    def _inline(self, node, where, bound, inside) -> ast.expr:
        wanted = node.getName()
        if wanted not in self.functions:
            raise SBMLError(f"{where} calls '{wanted}', which the model does not define")
        if wanted in inside:
            raise SBMLError(f"the function '{wanted}', used by {where}, calls itself")
        function = self.functions[wanted]
        if function.getBody() is None or function.getNumArguments() != node.getNumChildren():
            raise SBMLError(
                f"{where} gives the function '{wanted}' {node.getNumChildren()} arguments; "
                f"it takes {function.getNumArguments()}"
            )
        own = {
            function.getArgument(i).getName(): self._read(node.getChild(i), where, bound, inside)
            for i in range(node.getNumChildren())
        }
        return self._read(function.getBody(), where, own, (*inside, wanted))


def _symbol(kind: str) -> ast.expr | None:
    if kind in ("AST_CONSTANT_TRUE", "AST_CONSTANT_FALSE"):
        return _truth(kind == "AST_CONSTANT_TRUE")
    return {
        "AST_NAME_TIME": name(CLOCK),
        "AST_NAME_AVOGADRO": number(AVOGADRO),
        "AST_CONSTANT_PI": number(math.pi),
        "AST_CONSTANT_E": number(math.e),
    }.get(kind)


def _operation(kind: str, parts: list[ast.expr], where: str) -> ast.expr:
    count = len(parts)
    if kind in ("AST_PLUS", "AST_TIMES"):
        operator, neutral = (ast.Add, 0) if kind == "AST_PLUS" else (ast.Mult, 1)
        return _fold(parts, operator) if parts else number(neutral)
    if kind == "AST_MINUS" and count in (1, 2):
        return (
            ast.UnaryOp(ast.USub(), parts[0]) if count == 1 else binary(parts[0], ast.Sub, parts[1])
        )
    if kind in _ARITHMETIC and count == 2:
        return binary(parts[0], _ARITHMETIC[kind], parts[1])
    if kind in _CALLS and count == 1:
        return call(_CALLS[kind], parts[0])
    if kind in _FORMULAS and count == 1:
        return replace_names(ast.parse(_FORMULAS[kind], mode="eval").body, lambda _: parts[0])
    if kind == "AST_FUNCTION_LOG" and count in (1, 2):
        base = number(10) if count == 1 else parts[0]
        return binary(call("log", parts[-1]), ast.Div, call("log", base))
    if kind == "AST_FUNCTION_ROOT" and count in (1, 2):
        if count == 1 or (isinstance(parts[0], ast.Constant) and parts[0].value == 2):
            return call("sqrt", parts[-1])
        return binary(parts[1], ast.Pow, binary(number(1), ast.Div, parts[0]))
    if kind in ("AST_FUNCTION_MIN", "AST_FUNCTION_MAX") and count:
        return call(kind[-3:].lower(), *parts) if count > 1 else parts[0]
    if kind == "AST_FUNCTION_PIECEWISE" and count % 2:
        return call("piecewise", *parts) if count > 1 else parts[0]
    if kind in _COMPARISONS and (count == 2 or (count > 2 and kind != "AST_RELATIONAL_NEQ")):
        operators = [_COMPARISONS[kind]() for _ in parts[1:]]
        return ast.Compare(parts[0], operators, parts[1:])
    if kind == "AST_LOGICAL_NOT" and count == 1:
        return ast.UnaryOp(ast.Not(), parts[0])
    if kind in ("AST_LOGICAL_AND", "AST_LOGICAL_OR"):
        operator = ast.And() if kind == "AST_LOGICAL_AND" else ast.Or()
        if count > 1:
            return ast.BoolOp(operator, parts)
        return parts[0] if parts else _truth(kind == "AST_LOGICAL_AND")
    if kind == "AST_LOGICAL_XOR":
        return functools.reduce(_either, parts) if parts else _truth(False)
    if kind == "AST_LOGICAL_IMPLIES" and count == 2:
        return ast.BoolOp(ast.Or(), [ast.UnaryOp(ast.Not(), parts[0]), parts[1]])
    if kind in _OF_TWO and count == 2:
        own = dict(zip("xy", parts, strict=True))
        return replace_names(ast.parse(_OF_TWO[kind], mode="eval").body, own.get)
    if kind in _OF_NUMBERS and count == 1 and not names_in(parts[0]):
        return _number_of(_OF_NUMBERS[kind], parts[0], where)
    shown = kind.removeprefix("AST_").removeprefix("FUNCTION_").lower()
    if shown == "piecewise":
        raise SBMLError(f"{where} uses 'piecewise' that has no 'otherwise', which rate laws need")
    shown = f"'{shown}' with {count} arguments" if kind in _KNOWN else f"'{shown}'"
    raise SBMLError(f"{where} uses {shown}, which rate laws do not have")


def _truth(value: bool) -> ast.expr:
    return ast.Compare(number(1), [ast.Eq() if value else ast.NotEq()], [number(1)])


def _either(first: ast.expr, second: ast.expr) -> ast.expr:
    either, both = (ast.BoolOp(join(), [first, second]) for join in (ast.Or, ast.And))
    return ast.BoolOp(ast.And(), [either, ast.UnaryOp(ast.Not(), both)])


def _number_of(function: Callable[[float], float], tree: ast.expr, where: str) -> ast.expr:
    """Return a function of a number, which rate laws need not have, as its value."""
    try:
        value = function(RateLaw(text_of(tree)).evaluate({}))
    except (ValueError, ArithmeticError):
        value = math.nan
    if not math.isfinite(value):
        raise SBMLError(f"{where} has a function that is not defined at {text_of(tree)}")
    return number(value)


def _fold(parts: list[ast.expr], operator) -> ast.expr:
    result = parts[0]
    for part in parts[1:]:
        result = binary(result, operator, part)
    return result


# --- back to libSBML -----------------------------------------------------------------------------

_WRITTEN = {
    ast.Add: "PLUS", ast.Sub: "MINUS", ast.Mult: "TIMES", ast.Div: "DIVIDE", ast.Pow: "POWER",
    ast.And: "LOGICAL_AND", ast.Or: "LOGICAL_OR", ast.Not: "LOGICAL_NOT", ast.USub: "MINUS",
}  # fmt: skip


def write_math(tree: ast.expr, rename: Callable[[str], str]):
    """Return a tree as libSBML's; ``rename`` gives the id of a name, `CLOCK` for the time."""
    import libsbml

    def node(kind: str, *children: ast.expr):
        made = libsbml.ASTNode(getattr(libsbml, f"AST_{kind}"))
        for child in children:
            made.addChild(write_math(child, rename))
        return made

    if isinstance(tree, ast.Constant):
        made = libsbml.ASTNode()
        made.setValue(tree.value if abs(tree.value) < 2**31 else float(tree.value))
        return made
    if isinstance(tree, ast.Name):
        new = rename(tree.id)
        made = node("NAME_TIME" if new == CLOCK else "NAME")
        made.setName("time" if new == CLOCK else new)
        return made
    if isinstance(tree, ast.UnaryOp):
        if isinstance(tree.op, ast.UAdd):
            return write_math(tree.operand, rename)
        return node(_WRITTEN[type(tree.op)], tree.operand)
    if isinstance(tree, ast.BinOp):
        return node(_WRITTEN[type(tree.op)], tree.left, tree.right)
    if isinstance(tree, ast.BoolOp):
        return node(_WRITTEN[type(tree.op)], *tree.values)
    if isinstance(tree, ast.Compare):
        return _write_comparison(tree, node)
    return _write_call(tree, node)


def _write_comparison(tree: ast.Compare, node):
    kinds = {operator: kind.removeprefix("AST_") for kind, operator in _COMPARISONS.items()}
    values = [tree.left, *tree.comparators]
    if len(tree.ops) == 1:
        return node(kinds[type(tree.ops[0])], *values)
    links = [
        ast.Compare(a, [operator], [b])
        for a, operator, b in zip(values, tree.ops, values[1:], strict=False)
    ]
    return node("LOGICAL_AND", *links)


def _write_call(tree: ast.Call, node):
    function, arguments = tree.func.id, tree.args
    if function in ("min", "max"):
        # SBML has them from level 3 version 2 only; a choice is understood by all
        operator = ast.LtE() if function == "min" else ast.GtE()
        first, *others = arguments
        rest = call(function, *others) if len(others) > 1 else others[0]
        return node("FUNCTION_PIECEWISE", first, ast.Compare(first, [operator], [rest]), rest)
    if function == "sqrt":
        return node("FUNCTION_ROOT", number(2), *arguments)
    kinds = {own: kind.removeprefix("AST_") for kind, own in _CALLS.items()}
    return node(kinds.get(function, "FUNCTION_PIECEWISE"), *arguments)
