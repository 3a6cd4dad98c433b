"""Least squares against SciPy, optimality conditions, closed forms and repeated experiments."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit, lsq_linear, nnls

from chemnb.equations.polynomials import PolynomialSystem, SolverError
from chemnb.learning.estimation import (
    Estimate,
    EstimationError,
    constrained_least_squares,
    free_directions,
    gauss_newton,
    normal_quantile,
    whitener,
)

RNG = np.random.default_rng(20)
DESIGN = RNG.normal(size=(30, 3))
TIMES = np.linspace(0.2, 5, 25)


def linear(matrix):
    return lambda parameters: (matrix @ parameters, matrix)


def decay(parameters):
    """a exp(-b t) and its derivatives."""
    a, b = parameters
    shape = np.exp(-b * TIMES)
    return a * shape, np.stack([shape, -a * TIMES * shape], axis=1)


def random_covariance(n, seed=0):
    root = np.random.default_rng(seed).normal(size=(n, n))
    return root @ root.T / n + 0.1 * np.eye(n)


# --- inequality constraints --------------------------------------------------------------------

numbers = st.floats(-5, 5).map(lambda x: round(x, 3))


@settings(max_examples=100, deadline=None)
@given(st.lists(numbers, min_size=8, max_size=8), st.integers(0, 10**6))
def test_nonnegative_least_squares_is_scipys(target, seed):
    matrix, target = np.random.default_rng(seed).normal(size=(8, 4)), np.array(target)
    found = constrained_least_squares(matrix, target, np.eye(4), np.zeros(4))
    assert found == pytest.approx(nnls(matrix, target)[0], abs=1e-9)
    assert found.min() >= -1e-12


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_bounded_least_squares_is_scipys(seed):
    rng = np.random.default_rng(seed)
    matrix, target = rng.normal(size=(9, 3)), rng.normal(size=9)
    low = rng.normal(size=3)
    high = low + rng.uniform(0.1, 2, size=3)
    found = constrained_least_squares(
        matrix, target, np.vstack([np.eye(3), -np.eye(3)]), np.concatenate([low, -high])
    )
    reference = lsq_linear(matrix, target, (low, high), method="bvls", tol=1e-14)
    assert found == pytest.approx(reference.x, abs=1e-8)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_general_constraints_meet_the_optimality_conditions(seed, n_constraints):
    """Karush, Kuhn and Tucker: the gradient is a nonnegative sum of active constraints."""
    rng = np.random.default_rng(seed)
    matrix, target = rng.normal(size=(7, 3)), 3 * rng.normal(size=7)
    constraints = rng.normal(size=(n_constraints, 3))
    bounds = constraints @ rng.normal(size=3) - rng.uniform(0, 1, n_constraints)  # feasible
    x = constrained_least_squares(matrix, target, constraints, bounds)
    slack = constraints @ x - bounds
    assert slack.min() >= -1e-9
    gradient = matrix.T @ (matrix @ x - target)
    active = constraints[slack < 1e-7]
    if len(active):
        multipliers, misfit = nnls(active.T, gradient)
        assert misfit < 1e-6 * max(1.0, np.linalg.norm(gradient))
    else:
        assert np.abs(gradient).max() < 1e-8


def test_inactive_or_absent_constraints_change_nothing():
    target = DESIGN @ [1.0, 2.0, 3.0]
    free = np.linalg.lstsq(DESIGN, target, rcond=None)[0]
    assert constrained_least_squares(DESIGN, target, np.eye(3), np.zeros(3)) == pytest.approx(free)
    none = constrained_least_squares(DESIGN, target, np.zeros((0, 3)), np.zeros(0))
    assert none == pytest.approx(free)


def test_active_constraints_hold_to_rounding_whatever_the_units():
    scale = np.array([1e-6, 1.0, 1e6])
    target = DESIGN @ [-1.0, 2.0, -3.0]
    plain = constrained_least_squares(DESIGN, target, np.eye(3), np.zeros(3))
    scaled = constrained_least_squares(DESIGN / scale, target, np.eye(3), np.zeros(3))
    assert np.allclose(scaled, plain * scale, rtol=1e-9, atol=1e-9 * scale)
    far = constrained_least_squares(np.eye(2), np.array([-1e8, 1e-8]), np.eye(2), [0.0, 1e-3])
    assert far == pytest.approx([0.0, 1e-3], abs=1e-12)


@pytest.mark.parametrize(
    ("constraints", "bounds"), [([[1.0], [-1.0]], [1.0, 0.0]), ([[0.0]], [1.0])]
)
def test_constraints_that_contradict_each_other(constraints, bounds):
    with pytest.raises(EstimationError, match="the constraints contradict each other"):
        constrained_least_squares(np.eye(1), np.zeros(1), np.array(constraints), np.array(bounds))


# --- whitening ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 4, 12])
def test_whitened_errors_are_independent(n):
    covariance = random_covariance(n)
    w = whitener(covariance)
    assert np.allclose(w @ covariance @ w.T, np.eye(n), atol=1e-10)
    assert np.allclose(w.T @ w, np.linalg.inv(covariance))


def test_directions_without_noise_are_dropped():
    # a fixed start, two measurements, and their conserved sum
    mix = np.array([[0, 0], [1, 0], [0, 2], [1, 2.0]])
    covariance = mix @ mix.T
    w = whitener(covariance)
    assert w.shape == (2, 4) and not w[:, 0].any()
    assert np.allclose(w @ covariance @ w.T, np.eye(2))
    assert whitener(np.array([4.0, 0.0, 0.25])).shape == (2, 3)
    assert np.allclose(np.abs(whitener(np.array([4.0, 0.25]))).sum(axis=0), [0.5, 2.0])


def test_units_do_not_decide_what_is_dropped():
    scale = np.array([1e-12, 1.0, 1e9])
    covariance = random_covariance(3) * np.outer(scale, scale)
    w = whitener(covariance)
    assert len(w) == 3 and np.allclose(w @ covariance @ w.T, np.eye(3), atol=1e-8)


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        (np.zeros((3, 3)), "every variance of the data is zero; give standard errors above 0"),
        (np.zeros(3), "every variance of the data is zero"),
        (np.array([1.0, math.nan]), "the covariance of the data has entries that are not finite"),
        (np.array([[1.0, math.inf], [0, 1]]), "entries that are not finite"),
    ],
)
def test_a_bad_covariance_is_explained(covariance, message):
    with pytest.raises(EstimationError, match=message):
        whitener(covariance)


# --- Gauss-Newton: known answers ---------------------------------------------------------------


def test_a_linear_model_is_generalised_least_squares():
    covariance = random_covariance(30, seed=2)
    data = DESIGN @ [1.0, -2.0, 0.5] + np.random.default_rng(3).normal(size=30)
    inverse = np.linalg.inv(covariance)
    expected_covariance = np.linalg.inv(DESIGN.T @ inverse @ DESIGN)
    expected = expected_covariance @ DESIGN.T @ inverse @ data
    fit = gauss_newton(linear(DESIGN), data, np.zeros(3), weights=whitener(covariance))
    assert fit.converged and fit.message == "converged"
    assert fit.parameters == pytest.approx(expected, rel=1e-7)
    assert fit.covariance == pytest.approx(expected_covariance, rel=1e-7)
    assert fit.standard_errors == pytest.approx(np.sqrt(np.diag(expected_covariance)))
    residual = data - DESIGN @ expected
    assert fit.chi_square == pytest.approx(residual @ inverse @ residual)
    assert fit.observations == 30


@pytest.mark.parametrize("absolute", [True, False])
def test_a_nonlinear_fit_is_scipys(absolute):
    data = decay([2.0, 0.7])[0] + 0.05 * np.random.default_rng(4).normal(size=25)
    sigma = np.linspace(0.03, 0.08, 25)
    fit = gauss_newton(
        decay, data, [1.0, 0.1], weights=np.diag(1 / sigma), absolute=absolute
    )  # fmt: skip
    reference, covariance = curve_fit(
        lambda t, a, b: a * np.exp(-b * t), TIMES, data, [1.0, 0.1], sigma,
        absolute_sigma=absolute, ftol=1e-14, xtol=1e-14,
    )  # fmt: skip
    assert fit.parameters == pytest.approx(reference, rel=1e-6)
    assert fit.covariance == pytest.approx(covariance, rel=1e-3)


def test_a_model_inside_a_solver():
    system = PolynomialSystem("y", [(0, {0: 1}), (0, {0: 2})])

    def model(theta):
        values, slopes = system.solve_with_sensitivities(theta, [0.1], TIMES)
        return values[:, 0], slopes[:, 0]

    data = 2 / (1 + 19 * np.exp(-2 * TIMES))
    fit = gauss_newton(model, data, [0.3, 0.0], weights=100 * np.eye(25))
    assert fit.converged and fit.parameters == pytest.approx([2.0, -1.0], rel=1e-6)


def test_units_play_no_role():
    scale = np.array([1e-8, 1e7])

    def scaled(parameters):
        values, slopes = decay(parameters / scale)
        return values, slopes / scale

    data = decay([2.0, 0.7])[0] + 0.02 * np.random.default_rng(5).normal(size=25)
    plain = gauss_newton(decay, data, [1.0, 0.1], weights=np.eye(25))
    other = gauss_newton(scaled, data, np.array([1.0, 0.1]) * scale, weights=np.eye(25))
    assert other.parameters / scale == pytest.approx(plain.parameters, rel=1e-7)
    assert other.standard_errors / scale == pytest.approx(plain.standard_errors, rel=1e-5)


def test_steps_that_cannot_be_solved_are_taken_back():
    refused = []

    def fragile(parameters):
        if parameters[1] > 1.0:
            refused.append(parameters)
            raise SolverError("too fast")
        return decay(parameters)

    data = decay([2.0, 0.95])[0]
    fit = gauss_newton(fragile, data, [0.2, 0.1], weights=np.eye(25))
    assert refused and fit.converged and fit.parameters == pytest.approx([2.0, 0.95], rel=1e-6)


def test_a_direction_without_information_stays_where_it_was():
    doubled = np.column_stack([DESIGN, DESIGN[:, 0]])
    data = DESIGN @ [1.0, -2.0, 0.5]
    fit = gauss_newton(linear(doubled), data, np.zeros(4), weights=np.eye(30))
    assert fit.chi_square < 1e-12
    assert fit.parameters[0] + fit.parameters[3] == pytest.approx(1.0)


# --- active constraints ------------------------------------------------------------------------


def test_a_parameter_at_its_bound_has_no_error():
    data = DESIGN @ [1.0, -0.5, 2.0] + 0.1 * np.random.default_rng(6).normal(size=30)
    fit = gauss_newton(
        linear(DESIGN), data, np.ones(3), weights=10 * np.eye(30), nonnegative=np.eye(3)
    )
    assert fit.parameters == pytest.approx(nnls(DESIGN, data)[0], abs=1e-6)
    assert fit.parameters[1] == pytest.approx(0, abs=1e-12) and fit.standard_errors[1] == 0
    kept = DESIGN[:, [0, 2]]
    without = np.linalg.inv(kept.T @ kept) / 100
    assert fit.covariance[np.ix_([0, 2], [0, 2])] == pytest.approx(without, rel=1e-6)


def test_a_constraint_between_parameters():
    # p0 >= p1 although the data ask for p1 = p0 + 1: the best has both equal
    data = DESIGN[:, :2] @ [1.0, 2.0]
    fit = gauss_newton(
        linear(DESIGN[:, :2]), data, [3.0, 0.0], weights=np.eye(30),
        nonnegative=np.array([[1.0, -1.0]]),
    )  # fmt: skip
    together = DESIGN[:, :2].sum(axis=1)
    common = together @ data / (together @ together)
    assert fit.parameters == pytest.approx([common, common], rel=1e-7)
    assert fit.covariance == pytest.approx(np.full((2, 2), 1 / (together @ together)), rel=1e-6)


def test_a_nonlinear_fit_at_its_bound():
    grown = np.exp(0.3 * TIMES)  # asks for a decay rate below zero
    fit = gauss_newton(decay, grown, [1.0, 0.5], weights=np.eye(25), nonnegative=np.eye(2))
    assert fit.parameters == pytest.approx([grown.mean(), 0], abs=1e-6)
    assert fit.standard_errors == pytest.approx([1 / 5, 0])


def test_inactive_constraints_leave_the_errors_alone():
    data = decay([2.0, 0.7])[0]
    free = gauss_newton(decay, data, [1.0, 0.1], weights=np.eye(25))
    held = gauss_newton(decay, data, [1.0, 0.1], weights=np.eye(25), nonnegative=np.eye(2))
    assert held.parameters == pytest.approx(free.parameters, rel=1e-7)
    assert held.covariance == pytest.approx(free.covariance, rel=1e-5)


def test_free_directions():
    assert np.array_equal(free_directions(np.array([1.0, 2.0]), np.eye(2)), np.eye(2))
    assert np.array_equal(free_directions(np.zeros(2), None), np.eye(2))
    assert np.array_equal(free_directions(np.zeros(2), np.zeros((0, 2))), np.eye(2))
    assert free_directions(np.zeros(2), np.eye(2)).shape == (2, 0)
    basis = free_directions(np.array([1.0, 1.0, 5.0]), np.array([[1.0, -1.0, 0.0]]))
    assert basis.shape == (3, 2) and np.allclose([1, -1, 0] @ basis, 0)
    assert np.allclose(basis.T @ basis, np.eye(2))


# --- errors and criteria -----------------------------------------------------------------------


def test_standard_errors_are_the_spread_of_repeated_fits():
    repeats, truth = 400, np.array([2.0, 0.7])
    covariance = 0.01 * random_covariance(25, seed=7)
    weights, root = whitener(covariance), np.linalg.cholesky(covariance)
    noise = root @ np.random.default_rng(8).normal(size=(25, repeats))
    fits = [gauss_newton(decay, decay(truth)[0] + e, truth, weights=weights) for e in noise.T]
    found = np.array([fit.parameters for fit in fits])
    errors = fits[0].standard_errors
    assert found.std(axis=0, ddof=1) == pytest.approx(errors, rel=4.5 / math.sqrt(2 * repeats))
    assert np.all(np.abs(found.mean(axis=0) - truth) < 4.5 * errors / math.sqrt(repeats))
    # the misfit is chi-square with 23 degrees of freedom
    misfit = np.array([fit.chi_square for fit in fits])
    assert abs(misfit.mean() - 23) < 4.5 * math.sqrt(2 * 23 / repeats)
    inside = np.abs(found - truth) < normal_quantile(0.95) * np.array(
        [fit.standard_errors for fit in fits]
    )
    assert np.all(np.abs(inside.mean(axis=0) - 0.95) < 4.5 * math.sqrt(0.95 * 0.05 / repeats))


def test_normal_quantiles():
    known = {0.6827: 1.0, 0.95: 1.959964, 0.99: 2.575829, 0.0: 0.0}
    for level, expected in known.items():
        assert normal_quantile(level) == pytest.approx(expected, abs=2e-4)


def test_bayesian_information_criterion():
    estimate = Estimate(np.zeros(3), np.eye(3), 12.5, 50, 1, True, "")
    assert estimate.bic() == pytest.approx(12.5 + 3 * math.log(50))
    expected = 50 * math.log(12.5 / 50) + 3 * math.log(50)
    assert estimate.bic(absolute=False) == pytest.approx(expected)


# --- what goes wrong ---------------------------------------------------------------------------


def _fails(parameters):
    raise SolverError("no way")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.eye(30)[:2]}, "2 independent data for 3 parameters; give more times, more"),
        ({"model": _fails}, "the model cannot be solved at its start: no way"),
        ({"start": [math.nan, 0, 0]}, "cannot be solved at its start: the prediction is not"),
        ({"data": np.full(30, math.nan)}, "the data have values that are not finite; leave them"),
    ],
)  # fmt: skip
def test_what_cannot_be_estimated_is_explained(change, message):
    arguments = dict(
        model=linear(DESIGN), data=DESIGN @ np.ones(3), start=np.zeros(3), weights=np.eye(30)
    )
    with pytest.raises(EstimationError, match=message):
        gauss_newton(**(arguments | change))


def test_too_few_iterations_are_admitted():
    data = decay([2.0, 0.7])[0]
    fit = gauss_newton(decay, data, [0.5, 3.0], weights=np.eye(25), max_iterations=2)
    assert not fit.converged and fit.message == "not converged after 2 iterations"
    assert fit.iterations == 2
