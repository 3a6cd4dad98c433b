"""Sensitivities of p(n, t): closed forms, differences of solutions, what they sum to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, poisson

import chemnb as cn
from chemnb import FSPError, ReactionNetwork, finite_state_projection

SKIN = cn.models.single_progenitor()


def solve(network, start, times, **options):
    return finite_state_projection(network, start, times, **options)


def differences(network, name, start, times, h, **options):
    """Return the central difference of two solutions in one box."""
    value = network.parameters[name]
    up, down = (
        solve(network.with_parameters({name: value + s * h}), start, times, **options).probability
        for s in (1, -1)
    )
    return (up - down) / (2 * h)


def test_pure_death_has_the_slope_of_the_binomial():
    times = np.array([0, 0.5, 3])
    solution = solve(ReactionNetwork("A -> 0 ; k", k=0.7), [20], times, sensitivities=["k"])
    q, n = np.exp(-0.7 * times)[:, None], np.arange(21)
    # d/dq of C(20, n) q^n (1 - q)^(20 - n), and dq/dk = -t q
    slope = 20 * (binom.pmf(n - 1, 19, q) - binom.pmf(n, 19, q)) * -times[:, None] * q
    np.testing.assert_allclose(solution.sensitivity("k").values, slope, atol=1e-13)


def test_immigration_death_by_a_product_of_parameters():
    network = ReactionNetwork("0 -> A ; b*c \n A -> 0 ; d", b=2, c=3, d=0.5)
    solution = solve(network, [0], [1.5], sensitivities=["c", "d"], tolerance=1e-12)
    n, mean = solution.probability.A.values, 12 * (1 - np.exp(-0.75))
    by_mean = poisson.pmf(n - 1, mean) - poisson.pmf(n, mean)
    c, d = (solution.sensitivity(name).values[0] for name in "cd")
    np.testing.assert_allclose(c, by_mean * mean / 3, atol=1e-11)
    slope = -12 / 0.5 * (1 - np.exp(-0.75)) + 12 * 1.5 * np.exp(-0.75)
    np.testing.assert_allclose(d, by_mean * slope, atol=1e-11)


def test_information_of_a_poisson_variable():
    network = ReactionNetwork("0 -> A ; b \n A -> 0 ; 1", b=6)
    solution = solve(network, [0], [1, 40], sensitivities=["b"], tolerance=1e-12)
    information = solution.fisher_information().sel(parameter="b", parameter_2="b").values
    share = 1 - np.exp(-np.array([1, 40]))
    np.testing.assert_allclose(information, share / 6, rtol=1e-8)


@pytest.mark.parametrize("name", ["r1", "r2", "lam", "Gamma"])
def test_skin_agrees_with_differences(name):
    box = {"A": 40, "B": 90}
    options = {"bounds": box, "tolerance": 1e-12}
    solution = solve(SKIN, {"A": 10}, [1, 6], sensitivities=list(SKIN.parameters), **options)
    expected = differences(SKIN, name, {"A": 10}, [1, 6], 1e-4, **options)
    scale = abs(expected).sum(["A", "B"])
    error = abs(solution.sensitivity(name) - expected).sum(["A", "B"]) / scale
    assert float(error.max()) < 1e-5  # of the difference: second order in 1e-4


def test_a_rate_of_zero_has_a_slope():
    network = ReactionNetwork("A -> 0 ; k \n A -> B ; h", k=0.5, h=0)
    solution = solve(network, {"A": 4}, [1.0], sensitivities=["h"])
    assert solution.bounds["B"] == 4
    slope = solution.sensitivity("h")[0]
    small = solve(network.with_parameters(h=1e-6), {"A": 4}, [1.0]).probability[0]
    without = solution.probability[0]
    np.testing.assert_allclose(((small - without) / 1e-6).values, slope.values, atol=1e-5)


@pytest.mark.parametrize("name", ["beta", "K", "gamma"])
def test_rate_laws_are_differentiated_too(name):
    network = ReactionNetwork(
        "0 -> P ; law: beta*K**2/(K**2 + P**2) \n P -> 0 ; gamma", beta=20, K=10, gamma=1
    )
    options = {"bounds": {"P": 60}, "tolerance": 1e-12}
    solution = solve(network, [3], [2.0], sensitivities=[name], **options)
    expected = differences(network, name, [3], [2.0], 1e-4 * network.parameters[name], **options)
    error = abs(solution.sensitivity(name) - expected).sum() / abs(expected).sum()
    assert float(error) < 1e-6


def test_the_same_by_contour_integrals():
    network = ReactionNetwork("2 A <-> B ; 0.8, 0.5 \n B -> 0 ; c", c=0.3)
    names = ["c"]
    first, second = (
        solve(network, {"A": 12}, [0.5, 4], sensitivities=names, method=method)
        for method in ("uniformisation", "contour")
    )
    assert (first.method, second.method) == ("uniformisation", "contour")
    for question in (lambda s: s.probability, lambda s: s.sensitivity("c")):
        np.testing.assert_allclose(question(first).values, question(second).values, atol=1e-11)


def test_sums_of_a_sensitivity():
    solution = solve(SKIN, {"A": 10}, [0, 4], sensitivities=["lam", "Gamma"])
    assert solution.parameters == ("lam", "Gamma")
    slope = solution.sensitivity("Gamma")
    assert slope.dims == ("time", "A", "B")
    assert not slope[0].any()
    assert float(abs(slope.sum(["A", "B"])).max()) < 1e-6
    only = solution.sensitivity("Gamma", "B")
    assert only.dims == ("time", "B")
    np.testing.assert_allclose(only.values, slope.sum("A").values, atol=1e-15)
    # d<B>/dGamma by the moment equations
    moments = [
        cn.integrate(
            cn.moment_equations(SKIN.with_parameters(Gamma=0.31 + h)), {"A": 10}, [4.0],
        ).sel(moment="B").item()
        for h in (1e-4, -1e-4)
    ]  # fmt: skip
    mean = float((only.sel(time=4) * only.B).sum())
    assert mean == pytest.approx((moments[0] - moments[1]) / 2e-4, rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    k=st.tuples(*[st.floats(0, 3)] * 3),
    start=st.tuples(st.integers(0, 8), st.integers(0, 4)),
    time=st.floats(0.01, 3),
)
def test_probability_only_moves(k, start, time):
    network = ReactionNetwork(
        "2 A -> B ; a \n B -> A ; b \n A + B -> A ; c", dict(zip("abc", k, strict=True))
    )
    solution = solve(network, start, [time], sensitivities=["a", "b", "c"])
    assert np.all(solution.probability.values >= 0)
    for name in "abc":
        slope = solution.sensitivity(name).values
        assert abs(slope.sum()) < 1e-10  # nothing leaves: what one state gains another loses
        # where p = 0 it can only grow with a rate that is zero now
        assert np.all(slope[solution.probability.values == 0] >= -1e-12)


BAD = [
    ({"sensitivities": ["x"]}, r"sensitivities: 'x' is not a parameter .*; its parameters are 'k'"),
    ({"sensitivities": ["k", "k"]}, r"sensitivities: 'k', 'k': name each parameter once"),
    ({"sensitivities": "k"}, r"sensitivities='k' is one text; give a list, \['k'\]"),
    ({"sensitivities": ["k"], "rate_constants": [1]}, r"leave rate_constants out"),
    ({"method": "krylov"}, r"method='krylov' is unknown; use one of \('auto', 'unif"),
    (
        {"method": "contour", "rate_constants": [-1]},
        r"method='contour' needs rate constants of zero",
    ),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_explained(change, message):
    arguments = {"initial": [3], "times": [0, 1]} | change
    with pytest.raises(FSPError, match=message):
        finite_state_projection(ReactionNetwork("A -> 0 ; k", k=1), **arguments)


def test_a_sensitivity_that_was_not_asked_for():
    solution = solve(ReactionNetwork("A -> 0 ; k", k=1), [3], [1])
    with pytest.raises(FSPError, match=r"no sensitivity to 'k'; there are none: ask for it with"):
        solution.sensitivity("k")
    with pytest.raises(FSPError, match="no sensitivities, no information"):
        solution.fisher_information()
