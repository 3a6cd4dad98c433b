"""Formulas of rate constants: what they give, how they print, and what is never run."""

import math

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from chemnb.networks.expressions import Expression, ExpressionError, closest, listing, symbol_latex

NAMES = ("a", "k_1", "lam", "r2")
VALUES = {"a": 0.75, "k_1": 2.5, "lam": 1.1, "r2": -0.3}


# --- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2.0),
        ("1e-3", 1e-3),
        ("(1 - r2)*lam", 1.43),
        ("-a**2", -0.5625),  # as in mathematics: the power first
        ("2**3**2", 512.0),
        ("a - k_1 - lam", -2.85),
        ("a / k_1 * lam", 0.33),
        ("+a", 0.75),
        ("k_1**-1", 0.4),
        ("4**0.5", 2.0),
        (" lam ", 1.1),
    ],
)
def test_values(text, value):
    expression = Expression(text)
    assert expression.evaluate(VALUES) == pytest.approx(value, rel=1e-14)
    exact = expression.to_sympy().subs({sympy.Symbol(n): v for n, v in VALUES.items()})
    assert float(exact) == pytest.approx(value, rel=1e-14)


def test_names_stand_in_the_order_of_writing():
    assert Expression("lam*(r2 + a) - lam*b").names == ("lam", "r2", "a", "b")
    assert Expression("2.5").names == ()


def test_integers_stay_exact_in_symbols():
    assert Expression("k/3").to_sympy() == sympy.Symbol("k") / 3
    assert Expression("1/3").to_sympy() == sympy.Rational(1, 3)
    # names that SymPy has a meaning for are plain symbols
    assert Expression("pi*E*I*S").to_sympy().free_symbols == set(sympy.symbols("pi E I S"))


def test_equal_text_is_an_equal_formula():
    assert Expression(" k ") == Expression("k") != Expression("h")
    assert len({Expression("k"), Expression("k")}) == 1
    assert str(Expression(" 2 * k")) == "2 * k"


formulas = st.recursive(
    st.sampled_from(NAMES)
    | st.integers(0, 99).map(str)
    | st.floats(0, 1e3, allow_nan=False).map(repr),
    lambda inner: (
        st.tuples(inner, st.sampled_from("+-*/"), inner).map("({0[0]} {0[1]} {0[2]})".format)
        | inner.map("-{}".format)
        | st.tuples(inner, st.integers(0, 3)).map("({0[0]})**{0[1]}".format)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(formulas)
def test_python_gives_the_same_number(text):
    """The grammar is a part of Python's, so Python itself is the second implementation."""
    try:
        expected = eval(compile(text, "formula", "eval"), {"__builtins__": {}}, VALUES)
    except (ZeroDivisionError, OverflowError):
        expected = math.inf
    expression = Expression(text)
    if not math.isfinite(expected):
        with pytest.raises(ExpressionError, match="cannot be computed|not a finite number"):
            expression.evaluate(VALUES)
        return
    assert expression.evaluate(VALUES) == pytest.approx(expected, rel=1e-12, abs=1e-300)


@settings(max_examples=60, deadline=None)
@given(formulas)
def test_printing_and_reading_returns_the_formula(text):
    once = Expression(text)
    assert Expression(str(once)) == once
    assert set(once.names) <= set(NAMES)


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("__import__('os').system('touch broken')", r"is a function call; only arithmetic"),
        ("exec('1')", r"'exec\('1'\)' in .* is a function call"),
        ("open", None),
        ("k.real", "uses Attribute; only arithmetic"),
        ("().__class__.__bases__", "uses Attribute"),
        ("k[0]", "uses Subscript"),
        ("[k for k in (1, 2)]", "uses ListComp"),
        ("lambda: 1", "uses Lambda"),
        ("(k := 1)", "uses NamedExpr"),
        ("1 if k else 2", "uses IfExp"),
        ("k and h", "uses BoolOp"),
        ("k == 1", "uses Compare"),
        ("f'{k}'", "uses JoinedStr"),
        ("(k, h)", "uses Tuple"),
        ("{'k': 1}", "uses Dict"),
        ("await k", "uses Await"),
        ("k // 2", "uses FloorDiv"),
        ("k % 2", "uses Mod"),
        ("~k", "uses Invert"),
        ("k @ h", "uses MatMult"),
        ("k; h", "is not arithmetic; write numbers, names,"),
        ("import os", "is not arithmetic"),
        ("2k", "is not arithmetic"),
        ("(k", "is not arithmetic"),
        ("k\x00", "is not arithmetic"),
        ("k²", "is not arithmetic"),
        ("lambda*k", "'lambda' is a word of Python, write 'lam'"),
        ("'k'", "'k' in ''k'' is not a finite number; write plain decimal numbers"),
        ("1j", "1j in '1j' is not a finite number"),
        ("True", "True in 'True' is not a finite number"),
        ("1e999", "inf in '1e999' is not a finite number"),
        ("nan", "'nan' in 'nan' is not a finite number"),
        ("2*Infinity", "'Infinity' in '2\\*Infinity' is not a finite number"),
        ("-inf", "'inf' in '-inf' is not a finite number"),
        ("", "an empty formula; write a number, a name"),
        ("  ", "an empty formula"),
        ("k**1000", "the exponent '1000' in 'k\\*\\*1000' is too large; use at most 100"),
        ("k**-101", "the exponent '-101' in .* is too large"),
        ("9**9**9**9", "is too large; use at most 100"),
        ("k**(h**1e9)", "the exponent '1000000000.0' in .* is too large"),
        ("k**(1/0)", r"the exponent '1 / 0' in .* is too large"),
        ("((9**99)**99)**99", "powers in .* multiply to 9801, which is too large"),
        ("((2*k)**10 + 1)**11", "multiply to 110, which is too large; use at most 100"),
        ("k" + "+k" * 3000, r"'k\+k\+.*\.\.\.' has 6001 characters; write a formula of at most"),
        ("(" * 400 + "k" + ")" * 400, "has 801 characters"),
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_is_refused(text, fault, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if fault is None:
        # a built-in's name is a name like any other
        assert Expression(text).evaluate({text: 2.0}) == 2.0
        return
    with pytest.raises(ExpressionError, match=fault):
        Expression(text)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["(k**60)*(h**60)", "(k**0.5)**100", "k**100", "(k**10)**10"])
def test_usual_powers_are_allowed(text):
    assert Expression(text).evaluate({"k": 1.0, "h": 1.0}) == 1.0
    Expression(text).to_sympy()


def test_deep_nesting_does_not_exhaust_the_stack():
    for text in ("-" * 499 + "k", "k" + "+k" * 249):
        value = Expression(text).evaluate({"k": 1.0})
        assert abs(value) in (1.0, 250.0)


@pytest.mark.parametrize(
    ("text", "values", "fault"),
    [
        ("k*h", {"k": 1.0}, r"'h' in 'k\*h' has no value"),
        ("k*h", {"k": None, "h": None}, r"'k', 'h' in 'k\*h' has no value"),
        ("k/h", {"k": 1.0, "h": 0.0}, r"'k/h' cannot be computed: .*division"),
        ("1/0", {}, "'1/0' cannot be computed"),
        ("10**k", {"k": 1e6}, r"'10\*\*k' cannot be computed"),
        ("k**0.5", {"k": -1.0}, "which is not a finite number"),
        ("k*k", {"k": 1e200}, r"'k\*k' gives inf, which is not a finite number"),
        ("k", {"k": math.nan}, "'k' gives nan, which is not a finite number"),
    ],
)
def test_values_that_do_not_exist(text, values, fault):
    with pytest.raises(ExpressionError, match=fault):
        Expression(text).evaluate(values)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_either_a_formula_or_an_expression_error(text):
    try:
        expression = Expression(text)
    except ExpressionError:
        return
    try:
        expression.evaluate(dict.fromkeys(expression.names, 0.5))
    except ExpressionError:
        pass


# --- helpers of messages -----------------------------------------------------------------------


def test_words_for_messages():
    assert listing(["a", 1]) == "'a', '1'"
    assert closest("gama", ["Gamma", "lam"]) == "; did you mean 'Gamma'?"
    assert closest("zzz", ["Gamma", "lam"]) == ""


def test_names_are_typeset():
    assert [symbol_latex(n) for n in ("lam", "eps", "k_on", "beta12")] == [
        r"\lambda",
        r"\varepsilon",
        "k_{on}",
        r"\beta_{12}",
    ]
