"""Rational functions with one denominator: numbers, formulas, factors, every complaint."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from chemnb.learning.rational import RationalError, RationalFamily, Tie

GENE = RationalFamily(["G", "GP", "GP2"], ["P"], 2)
QSSA = {
    "G": "0.03*(8/15)/(8/15 + 2/3*P + P**2)",
    "GP": "0.03*(2/3)*P/(8/15 + 2/3*P + P**2)",
    "GP2": "0.03*P**2/(8/15 + 2/3*P + P**2)",
}
TABLE3 = [[8 / 15, 2 / 3, 1], [0.016, 0, 0], [0, 0.02, 0], [0, 0, 0.03]]


def test_names_and_terms_are_those_of_table_iii():
    assert GENE.terms == ("1", "P", "P^2")
    assert GENE.names.tolist() == [
        ["b1", "b2", "b3"], ["a11", "a21", "a31"], ["a12", "a22", "a32"], ["a13", "a23", "a33"],
    ]  # fmt: skip
    assert repr(GENE) == "RationalFamily(G, GP, GP2 of P, degree 2)"
    wide = RationalFamily(["E"], ["A", "B", "C"], 2)
    assert wide.shape == (2, 10)
    assert wide.names[1, 9] == "a10,1"


def test_reading_eq_17_gives_the_coefficients_of_table_iii():
    np.testing.assert_allclose(GENE.read(QSSA), TABLE3, rtol=1e-14)


def test_reading_puts_different_denominators_on_one():
    family = RationalFamily(["X", "Y"], ["S"], 2)
    found = family.read({"X": "1/(1 + S)", "Y": "S/(2 + S)"})
    # (1 + S)(2 + S) below, so that X has (2 + S) above and Y has S (1 + S)
    np.testing.assert_allclose(found, [[2, 3, 1], [2, 1, 0], [0, 1, 1]])


def test_reading_takes_symbols_of_any_kind_by_name():
    positive = sympy.Symbol("S", positive=True)
    family = RationalFamily(["C"], ["S"], 1)
    np.testing.assert_allclose(family.read({"C": positive / (1 + positive)}), [[1, 1], [0, 1]])


def test_reading_what_was_written_gives_the_same():
    rng = np.random.default_rng(0)
    coefficients = GENE.normalise(rng.uniform(0.1, 1, GENE.shape))
    np.testing.assert_allclose(GENE.read(GENE.to_sympy(coefficients)), coefficients, rtol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-6, 1e6), st.integers(0, 1000))
def test_a_common_factor_changes_nothing(factor, seed):
    coefficients = np.random.default_rng(seed).uniform(0.1, 1, GENE.shape)
    slow = np.linspace(0, 5, 7)[:, None]
    np.testing.assert_allclose(
        GENE.evaluate(factor * coefficients, slow), GENE.evaluate(coefficients, slow), rtol=1e-12
    )
    np.testing.assert_allclose(
        GENE.normalise(factor * coefficients), GENE.normalise(coefficients), rtol=1e-12
    )
    assert GENE.normalise(coefficients)[0, 2] == 1


def test_normalise_uses_the_last_term_that_is_there():
    found = GENE.normalise([[1, 2, 0], [4, 0, 0], [0, 0, 0], [0, 0, 0]])
    assert found[:2].tolist() == [[0.5, 1, 0], [2, 0, 0]]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_slopes_are_derivatives(seed):
    family = RationalFamily(["X", "Y"], ["A", "B"], 2)
    rng = np.random.default_rng(seed)
    coefficients, slow = rng.uniform(0.1, 1, family.shape), rng.uniform(0.1, 3, (4, 2))
    found = family.slopes(coefficients, slow)
    for d in range(2):
        step = np.zeros(2)
        step[d] = 1e-6
        up, down = (family.evaluate(coefficients, slow + s * step) for s in (1, -1))
        np.testing.assert_allclose(found[:, :, d], (up - down) / 2e-6, rtol=1e-5, atol=1e-8)


def test_slopes_at_zero_are_finite():
    np.testing.assert_allclose(GENE.slopes(TABLE3, [[0.0]])[0, :, 0], [-0.0375, 0.0375, 0])


def test_a_conservation_law_ties_the_denominator():
    tie = Tie(GENE, np.ones(3), 0.03)
    alpha = np.random.default_rng(1).uniform(0, 1, 9)
    coefficients = (tie.matrix @ alpha).reshape(GENE.shape)
    np.testing.assert_allclose(coefficients[1:].ravel(), alpha)
    values = GENE.evaluate(coefficients, np.linspace(0, 5, 6)[:, None])
    np.testing.assert_allclose(values.sum(axis=1), 0.03)
    assert tie.cells.tolist() == list(range(3, 12))


def test_a_law_with_weights():
    tie = Tie(GENE, np.array([1.0, 2.0, 3.0]), 0.5)
    coefficients = (tie.matrix @ np.arange(1.0, 10.0)).reshape(GENE.shape)
    values = GENE.evaluate(coefficients, np.array([[0.3], [4.0]]))
    np.testing.assert_allclose(values @ [1, 2, 3], 0.5)


def test_latex_keeps_the_order_of_the_terms():
    tex = GENE.to_latex(TABLE3, digits=3)
    assert r"G &= \frac{0.016}{0.533 + 0.667 P + P^{2}}" in tex
    assert r"\mathrm{GP2} &= \frac{0.03 P^{2}}" in tex
    polynomial = RationalFamily(["A2"], ["A"], 2)
    assert r"\mathrm{A2} &= 2.0 A^{2}" in polynomial.to_latex([[1, 0, 0], [0, 0, 2]])
    assert r"\mathrm{A2} &= 0" in polynomial.to_latex([[1, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    ("fast", "of", "degree", "message"),
    [
        ([], ["P"], 1, r"fast=\[\] is empty"),
        (["G"], [], 1, r"of=\[\] is empty"),
        (["G", "G"], ["P"], 1, "fast lists 'G' twice"),
        (["G", "P"], ["P"], 1, "'P' is in fast and in of"),
        (["G"], ["P"], 0, "use a whole number of 1 or more"),
        (["G"], ["P"], 1.5, "use a whole number of 1 or more"),
    ],
)
def test_families_that_cannot_be(fast, of, degree, message):
    with pytest.raises(RationalError, match=message):
        RationalFamily(fast, of, degree)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"G": "K*P"}, "'K'; it may hold only numbers and 'P'"),
        ({"G": sympy.sqrt(sympy.Symbol("P"))}, "is no rational function"),
        ({"G": "P**3"}, "degree 3|degree 5"),
        ({"GP2": "1/(1 + P)"}, "this family goes up to 2"),
    ],
)
def test_formulas_that_cannot_be_read(change, message):
    with pytest.raises(RationalError, match=message):
        GENE.read(QSSA | change)


def test_a_formula_that_is_missing():
    with pytest.raises(
        RationalError, match="no formula for 'GP2'.*one for each of 'G', 'GP', 'GP2'"
    ):
        GENE.read({name: QSSA[name] for name in ("G", "GP")})


def test_a_denominator_of_zero():
    with pytest.raises(RationalError, match="every coefficient of the denominator is zero"):
        GENE.normalise(np.zeros(GENE.shape))
