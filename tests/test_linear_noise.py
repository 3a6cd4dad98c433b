"""The linear noise approximation: exact where it must be, and wrong where it is known to be."""

import numpy as np
import pytest

import chemnb as cn
from chemnb.equations.linear_noise import (
    linear_noise,
    linear_noise_correlations,
    stationary_linear_noise,
)
from chemnb.equations.polynomials import SolverError
from chemnb.networks.network import NetworkError, ReactionNetwork

TIMES = [0.0, 0.5, 2.0, 6.0]
# c' = -(c - 1/2)(c - 2)(c - 4): stable at 1/2 and 4
SCHLOEGL = "2 A <-> 3 A ; 13, 6 \n 0 <-> A ; 4, 11"

LINEAR = {
    "skin cells": (cn.models.single_progenitor(), {"A": 10}),
    "conversion": (ReactionNetwork("A <-> B ; 0.7, 0.2 \n B -> C ; 0.1"), {"A": 40, "B": 3}),
    "batches in a volume": (ReactionNetwork("0 -> 5 A ; 2 \n A -> 0 ; 1", volume=7), {"A": 4}),
    "gene": (ReactionNetwork("G -> G + M ; 3 \n M -> 0 ; 1 \n M -> M + P ; 5 \n P -> 0 ; 0.2"),
             {"G": 2}),
}  # fmt: skip


@pytest.mark.parametrize("name", LINEAR)
def test_it_is_exact_for_reactions_of_one_molecule(name):
    net, start = LINEAR[name]
    exact = cn.integrate(cn.moment_equations(net), start, TIMES, rtol=1e-10, atol=1e-12)
    found = linear_noise(net, start, TIMES, rtol=1e-10, atol=1e-12)
    assert found.dims == exact.dims
    assert found.moment.values.tolist() == exact.moment.values.tolist()
    np.testing.assert_allclose(found, exact, rtol=1e-7, atol=1e-8)


def test_its_error_falls_with_the_volume_as_the_expansion_says():
    """2 A <-> B: the mean is off by a constant number of molecules, the variance as well."""
    errors = []
    for volume in (50, 100, 200, 400):
        net, times = cn.models.dimerisation(volume=volume), [0.5, 2.0, 4.0]
        exact = cn.finite_state_projection(net, {"A": volume}, times, tolerance=1e-11).moments()
        wrong = np.abs(linear_noise(net, {"A": volume}, times) - exact).max("time") / volume
        errors.append(wrong.sel(moment=["A", "Var(A)"]).values)
    slopes = np.polyfit(np.log([50, 100, 200, 400]), np.log(errors), 1)[0]
    np.testing.assert_allclose(slopes, -1.0, atol=0.02)
    assert errors[-1].max() < 0.0006  # molecules per volume; concentrations are near 1/3


def test_two_stable_states_are_beyond_it():
    """Schloegl, ten units of volume: it stays in the state where it starts, the system does not."""
    net, end = ReactionNetwork(SCHLOEGL, volume=10), [100.0]
    exact = cn.finite_state_projection(net, {"A": 30}, end, tolerance=1e-6).moments()[0]
    found = linear_noise(net, {"A": 30}, end)[0]
    mean, variance = exact.sel(moment="A").item(), exact.sel(moment="Var(A)").item()
    assert found.sel(moment="A").item() == pytest.approx(40, abs=0.01)
    assert mean == pytest.approx(8.1, abs=0.1)
    low = linear_noise(net, {"A": 10}, end)[0]
    assert low.sel(moment="A").item() == pytest.approx(5, abs=0.01)
    assert variance > 8 * low.sel(moment="Var(A)").item()


def test_beside_the_unstable_state_its_variance_runs_away():
    net = ReactionNetwork(SCHLOEGL, volume=10)
    exact = cn.finite_state_projection(net, {"A": 20}, [3.0], tolerance=1e-6).moments()
    found = linear_noise(net, {"A": 20}, [3.0])
    label = "Var(A)"
    assert found.sel(moment=label).item() > 1e6 > 1000 * exact.sel(moment=label).item()


def test_two_molecules_react_where_there_is_only_one():
    """2 A -> B from one A: nothing can happen, but the rate equation does not know."""
    net = ReactionNetwork("2 A -> B ; 1")
    assert cn.sample(net, {"A": 1}, [5.0], 10, seed=1).mean().sel(species="A").item() == 1
    assert linear_noise(net, {"A": 1}, [5.0]).sel(moment="A").item() == pytest.approx(1 / 6)


def test_correlations_between_times_are_those_of_the_runs():
    net, times = cn.models.single_progenitor(), [1.0, 3.0, 6.0]
    found = linear_noise_correlations(net, {"A": 10}, times)
    paths = cn.sample(net, {"A": 10}, times, 10_000, seed=4, keep=10_000).paths.values
    flat = paths.reshape(len(paths), -1).astype(float)
    flat -= flat.mean(axis=0)
    products = flat[:, :, None] * flat[:, None, :]
    errors = products.std(axis=0) / np.sqrt(len(flat))
    z = (products.mean(axis=0) - found.values.reshape(6, 6)) / errors
    assert np.abs(z).max() < 4.5
    moments = linear_noise(net, {"A": 10}, times)
    same = found.values[range(3), 0, range(3), 1]
    np.testing.assert_allclose(same, moments.sel(moment="Cov(A, B)"), rtol=1e-6)


def test_correlations_of_birth_and_death_decay_with_its_rate():
    times = np.array([0.0, 30.0, 31.0, 33.0])
    found = linear_noise_correlations(ReactionNetwork("0 <-> A ; 40, 0.5"), {}, times)
    lags = np.abs(times[1:, None] - times[None, 1:])
    np.testing.assert_allclose(found.values[1:, 0, 1:, 0], 80 * np.exp(-0.5 * lags), rtol=1e-5)
    assert np.all(found.values[0] == 0)


def test_stationary_moments_are_the_limit_of_the_transient():
    net = ReactionNetwork("2 A <-> B ; 2, 0.3", volume=500)
    found = stationary_linear_noise(net, {"A": 300, "B": 100})
    late = linear_noise(net, {"A": 300, "B": 100}, [200.0])[0]
    np.testing.assert_allclose(found, late, rtol=1e-5)
    # A + 2 B is conserved: its variance must vanish
    a, b, ab = (found.sel(moment=m).item() for m in ("Var(A)", "Var(B)", "Cov(A, B)"))
    assert abs(a + 4 * b + 4 * ab) < 1e-9 * a


def test_the_start_decides_which_stationary_state_is_found():
    net = ReactionNetwork(SCHLOEGL, volume=100)
    means = [stationary_linear_noise(net, [n]).sel(moment="A").item() for n in (0, 199, 201)]
    np.testing.assert_allclose(means, [50, 50, 400], rtol=1e-9)


def test_rate_laws_are_differentiated():
    law = ReactionNetwork("S -> P ; law: k*S/V*S/2 \n P -> S ; 0.4", k=3, volume=50)
    same = ReactionNetwork("2 S -> S + P ; 3 \n P -> S ; 0.4", volume=50)
    np.testing.assert_allclose(
        linear_noise(law, {"S": 60}, TIMES), linear_noise(same, {"S": 60}, TIMES), rtol=1e-5
    )


def test_rate_laws_may_depend_on_the_time():
    net = ReactionNetwork("0 -> A ; law: 10*(1 + cos(t))")
    found = linear_noise(net, {}, [2.0]).values[0]
    np.testing.assert_allclose(found, 10 * (2 + np.sin(2)), rtol=1e-6)  # Poisson
    with pytest.raises(cn.DynamicsError, match="no stationary state"):
        stationary_linear_noise(net, {})


@pytest.mark.parametrize(
    "times, message",
    [([], "at least one"), ([1, 1], "increase"), ([-1, 2], "zero or more"), ([np.nan], "finite")],
)
def test_times_that_cannot_be_used(times, message):
    with pytest.raises(cn.DynamicsError, match=message):
        linear_noise(cn.models.dimerisation(), {"A": 1}, times)


def test_starts_that_cannot_be_used():
    net = cn.models.dimerisation()
    with pytest.raises(NetworkError, match="'C' is not a species"):
        linear_noise(net, {"C": 1}, [1])
    with pytest.raises(NetworkError, match="whole numbers"):
        linear_noise(net, {"A": 1.5}, [1])
    with pytest.raises(cn.DynamicsError, match="one count a species"):
        linear_noise(net, [[1, 2], [3, 4]], [1])
    with pytest.raises(NetworkError, match="'k' has no value"):
        linear_noise(ReactionNetwork("A -> 0 ; k"), {"A": 1}, [1])


def test_explosions_and_unstable_states_are_named():
    with pytest.raises(SolverError, match="blow up"):
        linear_noise(ReactionNetwork("2 A -> 3 A ; 1"), {"A": 10}, [50])
    with pytest.raises(cn.DynamicsError, match="no steady state"):
        stationary_linear_noise(ReactionNetwork("A -> 2 A ; 1"), {"A": 1})
    with pytest.raises(cn.DynamicsError, match="no steady state"):
        stationary_linear_noise(cn.models.lotka_volterra(), [120, 100])
    with pytest.raises(cn.DynamicsError, match="is not stable"):
        stationary_linear_noise(ReactionNetwork("A -> 2 A ; 1 \n 2 A -> 0 ; 1", volume=9), {"A": 0})
    with pytest.raises(SolverError, match="gives nan"):
        linear_noise(ReactionNetwork("A -> 0 ; law: log(A - 9)"), {"A": 7}, [5])
