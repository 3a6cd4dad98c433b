"""Libraries of candidate terms: names, values, formulas and what they refuse."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from chemnb.learning.library import Library, LibraryError, state_symbols
from chemnb.learning.monomials import monomials
from chemnb.learning.own_terms import hill, own
from chemnb.learning.scaled_library import scaled
from chemnb.learning.term_system import term_system
from chemnb.learning.torch_terms import terms_on_torch
from chemnb.learning.units import UnitError, read_unit, unit_text


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


@settings(deadline=None)  # the first example loads SymPy
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
    slope = term_system(library, pairs).rhs(np.array(state), coefficients)
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
        lambda: bare.jacobian([1.0]),
        lambda: bare.term_units({}),
        bare.to_sympy,
    ):
        with pytest.raises(NotImplementedError):
            question()


# --- own terms, Hill terms, sums ---------------------------------------------------------------


def saturation(A):
    return A / (2 + A)


LIBRARIES = {
    "text": own("A/(K + A)", "exp(-A)*B", K=2.0),
    "sympy": own(sympy.Symbol("A", positive=True) / (2 + sympy.Symbol("B"))),
    "function": own(saturation),
    "rough function": own(lambda B: np.abs(np.real(B)) ** 1.5, label="g"),
    "hill": hill(["A", "B"], K=[1, 10], n=[1, 2, 1.5]),
    "repressing": hill("B", K=3, n=2, repressing=True),
    "sum": monomials(2, constant=True) + own("A/(K + A)", K=2.0) + own(saturation, of="B"),
    "monomials": monomials(3, constant=True),
}


@pytest.mark.parametrize("kind", LIBRARIES)
def test_the_derivatives_are_those_of_the_terms(kind):
    library = LIBRARIES[kind].bind(["A", "B"])
    y = np.random.default_rng(1).uniform(0.3, 4.0, (5, 2))
    slopes = library.jacobian(y)
    assert slopes.shape == (5, len(library), 2)
    for d, step in enumerate(1e-6 * np.eye(2)):
        rough = (library.evaluate(y + step) - library.evaluate(y - step)) / 2e-6
        np.testing.assert_allclose(slopes[..., d], rough, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("kind", LIBRARIES)
def test_scaled_terms_are_the_terms_in_other_units(kind):
    library = LIBRARIES[kind].bind(["A", "B"])
    scale, y = np.array([4.0, 0.5]), np.random.default_rng(2).uniform(0.3, 4.0, (5, 2))
    other, sizes = scaled(library, scale), library.units(scale)
    assert other.labels == library.labels
    assert np.all(sizes > 0)
    np.testing.assert_allclose(other.evaluate(y / scale) * sizes, library.evaluate(y))
    np.testing.assert_allclose(
        other.jacobian(y / scale) * sizes[:, None] / scale, library.jacobian(y)
    )


@pytest.mark.parametrize("kind", LIBRARIES)
def test_the_system_has_the_right_side_and_the_jacobian_of_the_terms(kind):
    library = LIBRARIES[kind].bind(["A", "B"])
    pairs = [(term % 2, term) for term in range(len(library))]
    theta = np.where(np.arange(len(pairs)) % 3 == 0, -0.05, 0.03)
    system, start, times = term_system(library, pairs), np.array([1.5, 0.7]), [0.0, 0.5, 2.0]
    values = system.solve(theta, start, times)
    rates = theta * library.evaluate(start)
    expected = [sum(rates[0::2]), sum(rates[1::2])]
    np.testing.assert_allclose(system.rhs(start, theta), expected)
    (exact,) = solve_ivp(
        lambda _, y: system.rhs(y, theta), (0, 2), start, "DOP853", [2.0], rtol=1e-10, atol=1e-12
    ).y.T
    np.testing.assert_allclose(values[-1], exact, rtol=1e-6)
    step = 1e-6 * np.eye(2)
    rough = [(system.rhs(start + h, theta) - system.rhs(start - h, theta)) / 2e-6 for h in step]
    np.testing.assert_allclose(system.jacobian(start, theta), np.transpose(rough), atol=1e-8)


@pytest.mark.parametrize("kind", LIBRARIES)
def test_torch_sees_the_same_terms_and_gradients(kind):
    torch = pytest.importorskip("torch")
    library = LIBRARIES[kind].bind(["A", "B"])
    states = np.random.default_rng(3).uniform(0.3, 4.0, (4, 2))
    y = torch.tensor(states, requires_grad=True)
    terms = terms_on_torch(library, y)
    np.testing.assert_allclose(terms.detach().numpy(), library.evaluate(states))
    weight = torch.linspace(1, 2, len(library), dtype=torch.float64)
    (terms @ weight).sum().backward()
    expected = np.einsum("t,ntd->nd", weight.numpy(), library.jacobian(states))
    np.testing.assert_allclose(y.grad.numpy(), expected)


def test_formulas_of_all_kinds_have_the_values_of_their_symbols():
    library = LIBRARIES["text"].bind(["A", "B"])
    symbols = dict(zip("AB", sympy.symbols("A B"), strict=True))
    found = [float(t.subs({"A": 1.5, "B": 0.5})) for t in library.to_sympy(symbols)]
    np.testing.assert_allclose(found, library.evaluate([1.5, 0.5]))
    assert library.labels == ("A/(2 + A)", "exp(-A)*B")


def test_names_of_moments_can_stand_in_functions_and_hill_terms():
    library = (hill("Var(A)", K=2) + own(lambda v: v**2, of="Var(A)", label="f")).bind(
        ["A", "Var(A)"]
    )
    np.testing.assert_allclose(library.evaluate([9.0, 2.0]), [0.5, 4.0])
    assert library._repr_latex_().endswith(r"f{\left(V_{A} \right)}\right)$")


def test_a_list_of_constants_makes_one_term_a_value():
    library = own("A**n/(K + A**n)", K=[1, 2.5], n=[1, 2]).bind(["A"])
    assert library.labels == (
        "A**1/(1 + A**1)", "A**2/(1 + A**2)", "A**1/(2.5 + A**1)", "A**2/(2.5 + A**2)",
    )  # fmt: skip
    np.testing.assert_allclose(library.evaluate([3.0])[[0, 3]], [0.75, 9 / 11.5])


def test_only_products_have_a_table_of_factors():
    library = (monomials(1) + own("A*B")).bind(["A", "B"])
    assert not library.is_polynomial
    with pytest.raises(LibraryError, match="no products of variables"):
        library.factor_table()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: own(), "without a term"),
        (lambda: own("A/(K + A"), "is not arithmetic"),
        (lambda: own("__import__('os')"), "no function of rate laws"),
        (lambda: own(3.0), "give text, a SymPy expression or a function"),
        (lambda: own("A/(K + A)").bind(["A"]), "'K' in the term.*a constant needs a number: K=1.0"),
        (lambda: own("A/(K + A)", K="2"), "K='2'; give a finite number"),
        (lambda: own("A/(K + A)", K=[]), r"K=\[\]; give a finite number"),
        (lambda: own("A/(K + A)", K=np.nan), "give a finite number"),
        (lambda: hill([], K=1), "without a variable"),
        (lambda: hill("A", K=-1), "both must be above 0"),
        (lambda: hill("A", K=1).bind(["B"]), "'A' in the term"),
        (lambda: own(saturation, saturation), "one function at a time"),
        (lambda: own(saturation).bind(["X"]), "'A' of the function .* is no variable"),
        (lambda: own(lambda: 1.0), "without arguments"),
        (lambda: own(lambda A: np.append(A, A)).bind(["A"]), "must return one number a state"),
        (lambda: own(lambda A: 0 * A).bind(["A"]), "is zero everywhere"),
        (lambda: own(lambda A: np.nan * A).bind(["A"]), "no finite number"),
        (lambda: own(lambda A: float(A)).bind(["A"]), "fails on arrays"),
        (lambda: own("A - A").bind(["A"]), "is zero everywhere"),
        (lambda: own("2*A", "A").bind(["A"]), "are the same up to a factor"),
        (lambda: (monomials(2) + own("A*B")).bind(["A", "B"]), "'A B' and 'A\\*B' are the same"),
        (lambda: (monomials(1) + monomials(2)).bind(["A"]), "has 'A' twice"),
        (lambda: monomials(1).bind(["A"]) + own("B**2").bind(["B"]), "different variables"),
    ],
)
def test_libraries_that_cannot_be_made(make, message):
    with pytest.raises(LibraryError, match=message):
        make()


def test_only_libraries_can_be_added():
    with pytest.raises(TypeError):
        monomials(1) + "A**2"


# --- units -------------------------------------------------------------------------------------


def test_terms_carry_units():
    library = (monomials(2, constant=True) + hill("A", K=1)).bind(["A", "B"])
    shown = [unit_text(unit) for unit in library.term_units({"A": "mM", "B": "1/cell"})]
    assert shown == ["1", "mM", "cell^-1", "mM^2", "mM cell^-1", "cell^-2", "1"]
    assert [unit_text(u) for u in library.term_units({"A": "mM"})][1:3] == ["mM", ""]
    assert own("A/(1 + A)", unit="mM s").bind(["A"]).term_units({}) == ({"mM": 1, "s": 1},)


@pytest.mark.parametrize("text", ["mM^", "5 mM", "a^b"])
def test_units_that_cannot_be_read(text):
    with pytest.raises(UnitError, match="cannot be read"):
        read_unit(text)
