"""Polynomial equations: values and slopes against plain Python, solutions against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from chemnb.equations.polynomials import PolynomialSystem, SolverError

LOGISTIC = PolynomialSystem(["y"], [(0, {0: 1}), (0, {0: 2})])
# y1' = a y1 - b y1 y2,  y2' = c y1 y2 - d y2
PREY = PolynomialSystem("xy", [(0, {0: 1}), (0, {0: 1, 1: 1}), (1, {0: 1, 1: 1}), (1, {1: 1})])
PREY_THETA = np.array([1.0, -0.6, 0.4, -0.8])


def by_hand(system, y, theta):
    result = [0.0] * len(system.names)
    for (row, factors), weight in zip(system.terms, theta, strict=True):
        result[row] += weight * math.prod(y[i] ** power for i, power in factors.items())
    return result


@st.composite
def systems(draw):
    n = draw(st.integers(1, 3))
    powers = st.dictionaries(st.integers(0, n - 1), st.integers(-2, 3), max_size=n)
    terms = draw(st.lists(st.tuples(st.integers(0, n - 1), powers), max_size=6))
    numbers = st.floats(0.2, 2.0)
    y = draw(st.lists(numbers, min_size=n, max_size=n))
    theta = draw(st.lists(st.floats(-2.0, 2.0), min_size=len(terms), max_size=len(terms)))
    names = [f"y{i}" for i in range(n)]
    return PolynomialSystem(names, terms), np.array(y), np.array(theta)


# --- values and slopes -------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(systems())
def test_values_are_those_of_the_formula(case):
    system, y, theta = case
    assert system.rhs(y, theta) == pytest.approx(by_hand(system, y, theta), rel=1e-12, abs=1e-12)
    alone = [
        by_hand(system, y, np.eye(len(theta))[t])[row] for t, (row, _) in enumerate(system.terms)
    ]
    assert system.monomials(y) == pytest.approx(alone, rel=1e-12)


@settings(max_examples=100, deadline=None)
@given(systems())
def test_the_jacobian_is_the_complex_step(case):
    system, y, theta = case
    n = len(y)
    expected = np.empty((n, n))
    for i in range(n):
        moved = y.astype(complex)
        moved[i] += 1e-30j
        expected[:, i] = np.imag(by_hand(system, moved, theta)) / 1e-30
    assert system.jacobian(y, theta) == pytest.approx(expected, rel=1e-11, abs=1e-11)


def test_monomials_of_many_states():
    states = np.arange(1.0, 13.0).reshape(2, 3, 2)
    table = PREY.monomials(states)
    assert table.shape == (2, 3, 4) and np.array_equal(table[1, 2], PREY.monomials(states[1, 2]))
    assert table[0, 0].tolist() == [1.0, 2.0, 2.0, 2.0]


def test_powers_of_zero_are_constants():
    system = PolynomialSystem("ab", [(0, {}), (1, {0: 0}), (1, {1: -1})])
    assert system.terms == ((0, {}), (1, {}), (1, {1: -1}))
    assert system.monomials([5.0, 4.0]).tolist() == [1.0, 1.0, 0.25]
    assert repr(system) == "PolynomialSystem(2 variables, 3 terms)"


def test_linear_systems_are_recognised():
    assert PolynomialSystem("ab", [(0, {}), (1, {0: 1})]).is_linear
    assert not LOGISTIC.is_linear and not PREY.is_linear
    assert not PolynomialSystem("a", [(0, {0: -2})]).is_linear


# --- solutions ---------------------------------------------------------------------------------


def test_logistic_growth():
    times = np.array([0.0, 0.3, 2.0, 9.0])
    expected = 2 / (1 + (2 / 0.1 - 1) * np.exp(-2 * times))
    assert LOGISTIC.solve([2, -1], [0.1], times)[:, 0] == pytest.approx(expected, rel=1e-7)
    # the first time need not be zero
    assert np.array_equal(
        LOGISTIC.solve([2, -1], [0.1], times[1:]), LOGISTIC.solve([2, -1], [0.1], times)[1:]
    )
    assert LOGISTIC.solve([2, -1], [0.1], [0.0]).tolist() == [[0.1]]


def test_a_linear_system_is_a_matrix_exponential():
    rng = np.random.default_rng(1)
    matrix, start = rng.normal(size=(4, 4)), rng.normal(size=4)
    cells = [(i, j) for i in range(4) for j in range(4)]
    system = PolynomialSystem("abcd", [(i, {j: 1}) for i, j in cells])
    times = [0.5, 1.0, 3.0]
    found = system.solve(matrix.ravel(), start, times)
    assert np.allclose(found, [expm(matrix * t) @ start for t in times], rtol=1e-6, atol=1e-8)


def test_very_stiff_decay():
    system = PolynomialSystem("ab", [(0, {0: 1}), (1, {0: 1}), (1, {1: 1})])
    found = system.solve([-1e7, 1e7, -1.0], [1.0, 0.0], [1.0, 5.0])
    assert found[:, 1] == pytest.approx(np.exp([-1.0, -5.0]), rel=1e-6)


def test_a_system_without_terms_stands_still():
    found = PolynomialSystem("ab", []).solve([], [3.0, 4.0], [0.0, 1.0])
    assert found.tolist() == [[3.0, 4.0]] * 2


def test_predators_and_prey_conserve_their_energy():
    path = PREY.solve(PREY_THETA, [1.5, 0.7], np.linspace(0, 30, 200))
    x, y = path.T
    assert np.ptp(0.4 * x - 0.8 * np.log(x) + 0.6 * y - np.log(y)) < 1e-6


# --- sensitivities -----------------------------------------------------------------------------


def test_sensitivities_of_logistic_growth():
    r, k, y0 = 2.0, -1.0, 0.1
    times = np.array([0.5, 1.0, 4.0])
    values, slopes = LOGISTIC.solve_with_sensitivities([r, k], [y0], times)
    # y = r y0 e^(rt) / (r - k y0 (e^(rt) - 1))
    growth = np.exp(r * times)
    below = r - k * y0 * (growth - 1)
    dr = y0 * growth * (1 + r * times) / below
    dr -= r * y0 * growth * (1 - k * y0 * times * growth) / below**2
    dk = r * y0 * growth * y0 * (growth - 1) / below**2
    assert values[:, 0] == pytest.approx(r * y0 * growth / below, rel=1e-6)
    assert slopes[:, 0] == pytest.approx(np.stack([dr, dk], axis=1), rel=1e-6)


@pytest.mark.parametrize(
    ("system", "theta", "start"),
    [
        (PREY, PREY_THETA, [1.5, 0.7]),
        # fast exchange and slow loss: the stiff method takes over
        (
            PolynomialSystem(
                "ab", [(0, {0: 2}), (0, {1: 1}), (1, {0: 2}), (1, {1: 1}), (1, {0: 1, 1: 1})]
            ),
            np.array([-400.0, 300.0, 200.0, -300.0, -0.3]),
            [1.0, 0.0],
        ),
        (PolynomialSystem("ab", [(0, {}), (0, {0: -1}), (1, {0: 2, 1: -1})]), [1.0, 0.5, 0.2], [1, 2]),
    ],
)  # fmt: skip
def test_sensitivities_are_finite_differences(system, theta, start):
    theta, times = np.array(theta), [0.0, 0.5, 2.0, 6.0]
    values, slopes = system.solve_with_sensitivities(theta, start, times)
    assert values == pytest.approx(system.solve(theta, start, times), rel=1e-5)
    assert slopes.shape == (4, len(system.names), len(theta)) and not slopes[0].any()
    for t, value in enumerate(theta):
        step = 1e-4 * abs(value)
        up, down = (
            system.solve(theta + sign * step * np.eye(len(theta))[t], start, times, rtol=1e-11)
            for sign in (1, -1)
        )
        # d/d ln(theta), which has the units of the values
        expected, found = value * (up - down) / (2 * step), value * slopes[:, :, t]
        assert np.allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(values).max())


def test_sensitivities_to_what_the_coefficients_depend_on():
    weights = np.array([[1.0, 0], [0, -1.0], [0, 0.5], [-0.3, -0.1]])
    u = np.array([1.0, 0.6])
    theta, start, times = weights @ u, [1.5, 0.7], [1.0, 4.0]
    values, slopes = PREY.solve_with_sensitivities(theta, start, times, weights)
    same, full = PREY.solve_with_sensitivities(theta, start, times)
    assert np.allclose(values, same, rtol=1e-6)
    assert np.allclose(slopes, full @ weights, rtol=1e-4, atol=1e-5)


# --- what goes wrong ---------------------------------------------------------------------------

SOLVERS = [LOGISTIC.solve, LOGISTIC.solve_with_sensitivities]


@pytest.mark.parametrize("solve", SOLVERS)
def test_a_solution_that_blows_up_says_how_far_it_got(solve):
    # y' = y + y^2 from 1 is infinite at t = ln 2
    message = "could not be solved beyond t = 0.6 of 2; they may blow up: check the signs and sizes"
    with pytest.raises(SolverError, match=message):
        solve([1.0, 1.0], [1.0], [0.0, 0.3, 0.6, 1.0, 2.0])
    with pytest.raises(SolverError, match="beyond t = 0 of 2"):
        solve([1.0, 1.0], [1.0], [2.0])


@pytest.mark.parametrize("solve", SOLVERS)
@pytest.mark.parametrize("times", [[0.0, 2.0], [2.0], [0.0]])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_start_that_is_not_finite_is_named(solve, times, value):
    with pytest.raises(SolverError, match="the start has values that are not finite; check the in"):
        solve([2.0, -1.0], [value], times)


@pytest.mark.parametrize("solve", SOLVERS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_coefficients_that_are_not_finite_solve_nothing(solve, value):
    with pytest.raises(
        SolverError, match="not be solved beyond t = 0 of 2; .* of the coefficients"
    ):
        solve([2.0, value], [0.1], [0.0, 1.0, 2.0])


def test_a_division_by_zero_is_no_silent_answer():
    system = PolynomialSystem("a", [(0, {0: -1})])
    with pytest.raises(SolverError, match="beyond t = 0 of 1"):
        system.solve([1.0], [0.0], [0.0, 1.0])


def test_no_warning_reaches_the_reader(recwarn):
    for start in ([1.0], [math.nan]):
        with pytest.raises(SolverError):
            LOGISTIC.solve([1.0, 1.0], start, [2.0])
    assert not recwarn.list


# --- linear equations, exactly -------------------------------------------------------------------

LINEAR = PolynomialSystem(["a", "b"], [(0, {0: 1}), (1, {0: 1}), (1, {1: 1}), (0, {})])


@pytest.mark.parametrize("times", [np.linspace(0, 20, 41), np.array([0.3, 1.0, 4.5])])
def test_the_propagator_agrees_with_the_solver(times, monkeypatch):
    theta, weights = np.array([0.01, 1.0, -0.3, 0.2]), np.arange(12.0).reshape(4, 3) / 10
    exact = LINEAR.solve_with_sensitivities(theta, [10, 0], times, weights)
    monkeypatch.setattr("chemnb.equations.polynomials.pays", lambda *_: False)
    stepped = LINEAR.solve_with_sensitivities(theta, [10, 0], times, weights)
    for ours, theirs in zip(exact, stepped, strict=True):
        assert np.allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_even_grids_need_one_exponential(monkeypatch):
    import scipy.linalg

    calls = []
    real = scipy.linalg.expm
    monkeypatch.setattr(scipy.linalg, "expm", lambda m: calls.append(1) or real(m))
    LINEAR.solve_with_sensitivities(np.ones(4), [1, 0], np.linspace(0, 1, 37)[1:])
    assert len(calls) == 1


def test_linear_growth_beyond_all_numbers_is_an_error():
    with pytest.raises(SolverError, match="beyond t = 1 of 4"):
        LINEAR.solve_with_sensitivities([500.0, 1, 1, 0], [1, 0], [1.0, 2.0, 4.0])
