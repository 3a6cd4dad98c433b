"""Libraries of candidate terms: names, values, formulas and what they refuse."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from chemnb.learning.library import Library, LibraryError, monomials, state_symbols


@pytest.mark.parametrize(
    ("degree", "constant", "labels"),
    [
        (1, False, ("A", "B")),
        (1, True, ("1", "A", "B")),
        (2, False, ("A", "B", "A^2", "A B", "B^2")),
        (3, False, ("A", "B", "A^2", "A B", "B^2", "A^3", "A^2 B", "A B^2", "B^3")),
    ],
)
def test_terms_in_order(degree, constant, labels):
    library = monomials(degree, constant).bind(["A", "B"])
    assert library.labels == labels
    assert len(library) == len(labels)


@given(st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_all_monomials_are_there_once(degree, variables, constant):
    library = monomials(degree, constant).bind([f"x{i}" for i in range(variables)])
    assert len(library) == comb(variables + degree, degree) - (not constant)
    assert len(set(library.terms)) == len(set(library.labels)) == len(library)
    assert max(map(sum, library.terms)) == degree


@given(
    st.integers(1, 3),
    st.booleans(),
    st.lists(st.floats(-3, 3), min_size=2, max_size=2),
    st.lists(st.floats(-2, 2), min_size=10, max_size=10),
)
def test_every_form_of_a_library_has_the_same_values(degree, constant, state, theta):
    library = monomials(degree, constant).bind(["A", "B"])
    values = library.evaluate(state)
    symbols = dict(zip("AB", sympy.symbols("A B"), strict=True))
    point = dict(zip(symbols.values(), state, strict=True))
    np.testing.assert_allclose([float(e.subs(point)) for e in library.to_sympy(symbols)], values)
    factors = np.append(state, 1.0)[library.factor_table()].prod(axis=1)
    np.testing.assert_allclose(factors, values)
    np.testing.assert_array_equal(library.units(state), values)
    pairs = [(1, term) for term in range(len(library))]
    coefficients = np.array(theta[: len(pairs)])
    slope = library.system(pairs).rhs(np.array(state), coefficients)
    np.testing.assert_allclose(slope, [0.0, coefficients @ values], atol=1e-12)


def test_many_states_at_once():
    library = monomials(2).bind(["A", "B"])
    states = np.arange(12.0).reshape(3, 2, 2)
    assert library.evaluate(states).shape == (3, 2, 5)
    np.testing.assert_array_equal(library.evaluate(states)[2, 1], library.evaluate(states[2, 1]))


def test_zero_to_the_power_zero_is_one():
    assert monomials(1, constant=True).bind(["A"]).evaluate([0.0]).tolist() == [1.0, 0.0]


def test_display():
    assert repr(monomials(2)) == "monomials(2)"
    assert repr(monomials(1, constant=True).bind(["A", "B"])) == (
        "monomials(1, constant=True) of A, B"
    )
    assert monomials(2)._repr_latex_() is None
    shown = monomials(2).bind(["A", "Var(A)"])._repr_latex_()
    assert shown.startswith(r"$\displaystyle \Gamma(y) = \left(A, V_{A}, A^{2}")


def test_symbols_of_moments():
    shown = [sympy.latex(s) for s in state_symbols(["AB", "Var(AB)", "Cov(A, GP2)"]).values()]
    assert shown == [r"\mathrm{AB}", r"V_{\mathrm{AB}}", r"\mathrm{Cov}_{A,\mathrm{GP2}}"]


def test_binding_leaves_the_library_as_it_was():
    library = monomials(2)
    assert library.bind(["A"]).names == ("A",)
    assert library.names is None


@pytest.mark.parametrize("degree", [0, -1, 1.5, "2", True, None])
def test_degree_must_be_a_positive_whole_number(degree):
    with pytest.raises(LibraryError, match=r"degree=.*use a whole number of 1 or more"):
        monomials(degree)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "give at least one name"),
        (["A", "B", "A"], "'A' is named twice"),
        ([f"x{i}" for i in range(70)], "2556 terms, more than 2000; use a lower degree"),
    ],
)
def test_names_that_cannot_be_bound(names, message):
    with pytest.raises(LibraryError, match=message):
        monomials(2).bind(names)


def test_a_library_without_names_says_how_to_name_them():
    for question in (lambda x: x.labels, len, lambda x: x.evaluate([1.0]), lambda x: x.terms):
        with pytest.raises(LibraryError, match=r"no variables yet.*\.bind\("):
            question(monomials(2))


def test_states_of_the_wrong_length():
    with pytest.raises(LibraryError, match=r"shape \(3,\).*last axis needs length 2"):
        monomials(2).bind(["A", "B"]).evaluate([1.0, 2.0, 3.0])


def test_what_another_kind_of_library_has_to_supply():
    bare = Library()
    for question in (
        lambda: bare.bind(["A"]),
        lambda: bare.labels,
        lambda: bare.evaluate([1.0]),
        bare.to_sympy,
        lambda: bare.system([]),
        lambda: bare.units([1.0]),
        bare.factor_table,
    ):
        with pytest.raises(NotImplementedError):
            question()
