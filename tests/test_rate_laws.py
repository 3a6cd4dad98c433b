"""Rate laws as text: how they are read, what they give, and every way to write them wrongly."""

import math

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import chemnb as cn
from chemnb.networks.expressions import Expression, ExpressionError
from chemnb.networks.laws import Condition, RateLaw
from chemnb.networks.network import NetworkError, ReactionNetwork
from chemnb.networks.reactions import Reaction

HILL = ReactionNetwork(
    "0 -> P ; law: beta*K**n/(K**n + (R/V)**n) \n P -> 0 ; 1 \n 0 <-> R ; 2, 1",
    beta=8, K=1.5, n=2, volume=2,
)  # fmt: skip


# --- formulas ----------------------------------------------------------------------------------

VALUES = {"A": 3.0, "k": 0.5, "t": 2.0, "V": 4.0}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("k*A", 1.5),
        ("exp(-k*t)", math.exp(-1)),
        ("log(A) + sqrt(V)", math.log(3) + 2),
        ("abs(k - A) + floor(A/V)", 2.5),
        ("sin(t)**2 + cos(t)**2", 1.0),
        ("tanh(k)", math.tanh(0.5)),
        ("min(A, V, 3.5) + max(A, V)", 7.0),
        ("piecewise(1, A < 3, 2, A == 3, 9)", 2.0),
        ("piecewise(1, A >= 3 and not t > 5, 0)", 1.0),
        ("piecewise(1, A != 3 or 0 < t <= 1, 7)", 7.0),
        ("2**-A", 0.125),
        ("V**k", 2.0),
    ],
)
def test_values(text, value):
    law = RateLaw(text)
    assert law.evaluate(VALUES) == pytest.approx(value, rel=1e-14)
    exact = law.to_sympy().subs({sympy.Symbol(n): v for n, v in VALUES.items()})
    assert float(exact) == pytest.approx(value, rel=1e-12)
    many = law.values({name: np.full(3, x) for name, x in VALUES.items()})
    assert many == pytest.approx(np.full(3, value), rel=1e-14)


def test_a_condition_is_zero_or_one():
    both = Condition("A == 0 and not B > 2")
    assert both.names == ("A", "B")
    assert both.values({"A": np.array([0, 0, 1]), "B": np.array([2, 3, 0])}).tolist() == [1, 0, 0]
    assert Condition("0 <= A < 2").evaluate({"A": 2}) == 0.0


def test_names_are_those_of_values_not_of_functions():
    assert RateLaw("max(log(b), a) + exp").names == ("b", "a", "exp")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os')", "'__import__' in .* is no function of rate laws"),
        ("().__class__()", "is no function of rate laws; there are 'exp', 'log'"),
        ("expp(k)", "'expp' in .* did you mean 'exp'"),
        ("exp()", r"'exp\(\)' in .* has 0; exp takes one argument"),
        ("min(k)", "has 1; min takes two arguments or more"),
        ("exp(*k)", "must have plain arguments"),
        ("exp(x=1)", "must have plain arguments"),
        ("k > 1", "'k > 1' in 'k > 1' is true or false where a number is needed; choose"),
        ("exp(k > 1)", "is true or false where a number is needed"),
        ("piecewise(1, k, 2)", "'k' in .* is a number where a condition is needed; compare it"),
        ("piecewise(1, k > 2)", r"write piecewise\(value, condition, otherwise\)"),
        ("piecewise(1, k in h, 2)", "uses In; compare with <"),
        ("k[0]", "uses Subscript"),
        ("k.real", "uses Attribute"),
        ("1 if k else 2", "uses IfExp"),
        ("k // 2", "uses FloorDiv"),
        ("k ^ 2", r"uses BitXor; .* a power is written \*\*"),
        ("lambda: 1", "uses Lambda"),
        ("'k'", "is not a finite number"),
        ("nan", "is not a finite number"),
        ("k**1000", "is too large; use at most 100"),
        ("", "an empty formula; write a rate law such as"),
        ("-" * 150 + "k", "is nested too deeply; use at most 100 levels"),
        ("k" + " + k" * 1000, "has 4001 characters; write a formula of at most 2000"),
    ],
)
def test_what_is_no_rate_law_is_refused(text, message):
    with pytest.raises(ExpressionError, match=message):
        RateLaw(text)


def test_a_condition_must_be_one():
    with pytest.raises(ExpressionError, match="'A' in 'A' is a number where a condition is neede"):
        Condition("A")


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="kA+-*/()., exp<>=piecewisanotmn12", max_size=30))
def test_any_text_is_a_law_or_an_expression_error(text):
    for kind in (RateLaw, Condition):
        try:
            formula = kind(text)
            formula.evaluate(dict.fromkeys(formula.names, 0.5))
        except ExpressionError:
            pass


# --- in networks -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("0 -> P ; law:b/(1+R)", "0 -> P ; law: b/(1+R)"),
        ("A -> B ; law: max(k*A, 1)", "A -> B ; law: max(k*A, 1)"),
        ("A <-> B ; law: min(k, A), h", "A -> B ; law: min(k, A)\nB -> A ; h"),
        ("A <-> B ; h, law: k*B", "A -> B ; h\nB -> A ; law: k*B"),
        ("A -> B ; k \n A -> B ; law: k", "A -> B ; k\nA -> B ; law: k"),
    ],
)
def test_reading_and_printing(text, printed):
    net = ReactionNetwork(text)
    assert str(net) == printed and ReactionNetwork(str(net)) == net
    rates = [str(r.rate) for r in net.reactions]
    arrays = ReactionNetwork.from_arrays(net.reactants, net.products, rates, net.species)
    assert [r.rate for r in arrays.reactions] == [r.rate for r in net.reactions]


def test_names_in_a_law():
    assert HILL.species == ("P", "R") and set(HILL.parameters) == {"beta", "K", "n"}
    assert not HILL.is_mass_action and not HILL.is_time_dependent
    assert HILL.rate_constants().tolist() == [1, 1, 2, 1]
    assert [r.is_mass_action for r in HILL.reactions] == [False, True, True, True]
    fed = HILL + "0 -> P ; law: R*sin(w*t)**2"
    assert fed.free_parameters == ("w",) and fed.is_time_dependent
    # a species that occurs in laws alone is kept when reactions go
    net = ReactionNetwork("A -> B ; 1 \n B -> 0 ; law: A*B")
    assert (net - "A -> B").species == ("A", "B")
    assert (HILL - 0).parameters == {}


def test_propensities_of_a_law():
    found = HILL.propensities([[0, 0], [1, 3], [2, 6]])
    assert found[:, 0] == pytest.approx([8, 4, 8 / 5], rel=1e-14)
    assert HILL.propensities([0, 3], [0.5, 1, 1, 1])[0] == pytest.approx(2)
    # zero while a reactant is missing, whatever the law says
    net = ReactionNetwork("2 A -> B ; law: 3/A")
    assert net.propensities([[0, 0], [1, 0], [2, 0]])[:, 0].tolist() == [0, 0, 1.5]
    timed = ReactionNetwork("0 -> A ; law: piecewise(2, t < 1, 5)")
    assert timed.propensities([0], time=0.5) == 2 and timed.propensities([0], time=1.0) == 5


def test_display_of_a_law():
    assert HILL.table()["rate constant"][1] == "law: beta*K**n/(K**n + (R/V)**n)"
    assert math.isnan(HILL.table()["value"][1]) and HILL.table()["value"][2] == 1
    assert "<td>law</td>" in HILL._repr_html_() and r"\beta" in HILL.to_latex()
    assert repr(HILL.reactions[0]).startswith("Reaction('0 -> P ; law: beta")


@pytest.mark.parametrize(
    ("text", "values", "message"),
    [
        ("A -> B ; k*A", {}, r"'A' is a species and a rate constant; .* '; law: k\*A'"),
        ("A -> B ; exp(k)", {}, "is a function call; .* a rate law begins with 'law:'"),
        ("A -> B ; law:", {}, "line 1 .* an empty formula; write a rate law such as"),
        ("A -> B ; law: open('x')", {}, "line 1 .* 'open' in .* is no function of rate laws"),
        ("A -> B ; law: k*C", {"k": 1}, "the rate constant 'C' is unknown"),
        ("A -> B ; law: V*A/(K + A)", {"V": 1, "K": 2}, "'V' is the volume in a rate law and a p"),
        ("t -> B ; law: t", {}, "'t' is the time in a rate law and a species here; rename it"),
        ("A -> B ; law: k*A, h", {}, r"has 2 rate\(s\) but needs 1"),
    ],
)
def test_bad_laws_are_explained(text, values, message):
    with pytest.raises(NetworkError, match=message):
        ReactionNetwork(text, **values)


@pytest.mark.parametrize(
    ("text", "state", "message"),
    [
        ("A -> 0 ; law: A - 3", [2], "law of 'A -> 0 ; law: A - 3' gives -1 in the state {'A': 2}"),
        ("A -> 0 ; law: 1/(A - 2)", [[3], [2]], "gives inf in the state {'A': 2}"),
        ("A -> 0 ; law: sqrt(2 - A)", [3], "gives nan in the state"),
        ("A -> 0 ; law: k*A", [3], r"'k' has no value; give it with network.with_parameters\(k="),
        ("A -> 0 ; law: A*t", [3], "depends on the time t; give it, time=0.0"),
    ],
)
def test_values_that_are_no_propensities_are_explained(text, state, message):
    with pytest.raises(NetworkError, match=message):
        ReactionNetwork(text).propensities(state)


def test_what_needs_rate_constants_says_so():
    for derive in (cn.moment_equations, cn.mass_action):
        with pytest.raises(cn.EquationError, match="'0 -> P ; law: .* has a rate law, but"):
            derive(HILL)
    for write in (cn.propensities, cn.master_equation):
        with pytest.raises(NetworkError, match="has a rate law; the master equation is written"):
            write(HILL)
    timed = ReactionNetwork("0 -> A ; law: t \n A -> 0 ; 1")
    with pytest.raises(cn.FSPError, match="depends on the time t"):
        cn.finite_state_projection(timed, [0], [1])


def test_the_projection_solves_a_law():
    """A law that spells mass action gives the same distribution."""
    plain = ReactionNetwork("A + B <-> C ; 0.3, 0.2", volume=4)
    law = ReactionNetwork("A + B -> C ; law: 0.3*A*B/V \n C -> A + B ; law: 0.2*C", volume=4)
    p, q = (cn.finite_state_projection(n, [6, 9, 0], [0.5, 2]).probability for n in (plain, law))
    assert np.abs(p - q).max() < 1e-12


def test_rate_equations_with_laws():
    """Spelled as mass action a law gives the mass-action solution, in any volume."""
    plain = ReactionNetwork("A + B <-> C ; 0.3, 0.2 \n 2 A -> B ; 0.5", volume=4)
    law = ReactionNetwork(
        "A + B -> C ; law: 0.3*A*B/V \n C -> A + B ; 0.2 \n 2 A -> B ; law: 0.25*A**2/V",
        volume=4,
    )
    start, times = {"A": 2.0, "B": 1.0}, [0, 0.5, 3]
    expected = cn.integrate(plain, start, times)
    for method in (None, "RK45", "BDF"):
        assert np.abs(cn.integrate(law, start, times, method=method) - expected).max() < 1e-5
    forced = ReactionNetwork("0 -> A ; law: V*cos(t)**2", volume=7)
    found = cn.integrate(forced, [0.0], [2.0]).item()
    assert found == pytest.approx(1 + math.sin(4) / 4, abs=1e-6)
    with pytest.raises(
        cn.SolverError, match="rate law of '0 -> A ; law: sqrt.* gives nan at t = 1"
    ):
        cn.integrate(ReactionNetwork("0 -> A ; law: sqrt(1 - t)"), [0.0], [3.0])
    with pytest.raises(cn.DynamicsError, match="method='Euler' is unknown"):
        cn.integrate(law, start, times, method="Euler")


def test_a_law_and_a_constant_differ():
    assert Reaction((("A", 1),), (), RateLaw("k")) != Reaction((("A", 1),), (), Expression("k"))
