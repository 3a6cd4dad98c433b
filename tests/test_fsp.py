"""Finite state projection against closed forms and two independent solutions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.sparse import csr_array
from scipy.stats import binom, poisson

from chemnb.networks.network import ReactionNetwork
from chemnb.projection import state_space
from chemnb.projection.fsp import FSPError, finite_state_projection
from chemnb.projection.uniformisation import _poisson_weights, uniformise

from .oracles import dense_master_equation, generating_function

SKIN = """
    A -> 2 A    ; r1*lam
    A -> A + B  ; (1 - r1 - r2)*lam
    A -> 2 B    ; r2*lam
    B -> 0      ; Gamma
"""
TIMES = [1, 5, 10, 20]
BIRTH_DEATH = ReactionNetwork("0 <-> A ; 6, 0.5")


def oracle(network, start, times, shape, rates=None):
    k = network.rate_constants() if rates is None else rates
    return generating_function(network.reactants, network.products, k, start, times, shape)


def oracle_in_box(solution, full):
    """Return the oracle on the box of a solution, and what it has outside (per time)."""
    box = full[(slice(None), *(slice(0, n) for n in solution.probability.shape[1:]))]
    axes = tuple(range(1, full.ndim))
    return box, full.sum(axis=axes) - box.sum(axis=axes)


@pytest.fixture(scope="module")
def skin():
    return ReactionNetwork(SKIN, r1=0.0836, r2=0.0764, lam=1.1, Gamma=0.31)


@pytest.fixture(scope="module")
def skin_exact(skin):
    return oracle(skin, (10, 0), TIMES, (128, 384))


@pytest.fixture(scope="module")
def skin_solution(skin):
    return finite_state_projection(skin, {"A": 10}, TIMES)


# --- the paper's first example --------------------------------------------------------------


def test_skin_agrees_with_the_generating_function(skin_solution, skin_exact):
    p = skin_solution.probability.values
    exact, outside = oracle_in_box(skin_solution, skin_exact)
    error = np.abs(p - exact).sum(axis=(1, 2)) + outside
    assert np.all(error <= 1e-8)
    assert np.all(error <= skin_solution.lost_mass.values + 1e-11)
    assert skin_solution.lost_mass.values[-1] <= 1e-8
    assert np.all(p >= 0)
    assert skin_solution.states < 40_000


def test_skin_published_extinction_probabilities(skin_solution):
    extinct = skin_solution.marginal("A").sel(A=0).values
    np.testing.assert_allclose(extinct, [7.6e-12, 4.5e-6, 3.18e-4, 6.96e-3], rtol=0.01)


def test_skin_moments(skin_solution):
    expected = [
        [10.080, 9.429, 1.781, 9.886, -0.578],
        [10.404, 28.447, 9.339, 52.197, 11.653],
        [10.824, 35.635, 19.825, 151.064, 42.338],
        [11.716, 40.177, 44.687, 430.693, 124.362],
    ]
    moments = skin_solution.moments()
    assert list(moments.moment.values) == ["A", "B", "Var(A)", "Var(B)", "Cov(A, B)"]
    np.testing.assert_allclose(moments.values, expected, atol=6e-4)
    np.testing.assert_array_equal(skin_solution.mean().values, moments.values[:, :2])


def test_a_box_too_small_has_an_honest_bound(skin, skin_exact):
    solution = finite_state_projection(skin, {"A": 10}, TIMES, bounds={"A": 39, "B": 89})
    assert solution.probability.shape == (4, 40, 90)
    assert solution.lost_mass.values[-1] == pytest.approx(4.0e-2, rel=0.02)
    exact, outside = oracle_in_box(solution, skin_exact)
    missing = exact - solution.probability.values
    assert missing.min() > -1e-12  # a lower bound in every state
    assert np.abs(missing).sum(axis=(1, 2))[-1] == pytest.approx(1.7e-2, rel=0.03)
    error = np.abs(missing).sum(axis=(1, 2)) + outside
    np.testing.assert_allclose(error, solution.lost_mass.values, atol=1e-10)


def test_a_species_with_a_bound_stays_and_the_others_grow(skin):
    solution = finite_state_projection(skin, {"A": 10}, [5], bounds={"A": 15})
    assert solution.bounds["A"] == 15 and solution.bounds["B"] > 60
    assert solution.lost_mass.values[0] > 1e-3


@pytest.fixture(scope="module")
def signed():
    """The network of Table I with its negative k2."""
    network = ReactionNetwork(SKIN + "A -> 0 ; k1 \n A -> B ; k2")
    rates = {"r1": 0.0841, "r2": 0.0704, "lam": 1.1059, "Gamma": 0.3074, "k1": 0.0123, "k2": 0}
    k = network.with_parameters(rates).rate_constants()
    k[-1] = -0.0197
    return network, k


def test_negative_rates_give_the_formal_solution(signed):
    network, k = signed
    times = [0.01, 0.05, 0.5, 5]
    solution = finite_state_projection(network, {"A": 10}, times, rate_constants=k)
    assert solution.probability.sel(A=9, B=1).values[0] == pytest.approx(-1.65e-3, rel=0.01)
    assert solution.probability.sel(A=9, B=1).values[1] == pytest.approx(-3.8e-3, rel=0.03)
    assert np.all(np.isnan(solution.lost_mass))
    assert "nan" in repr(solution)
    exact, _ = oracle_in_box(solution, oracle(network, (10, 0), times, (64, 192), k))
    assert np.abs(solution.probability.values - exact).sum(axis=(1, 2)).max() < 1e-8


# --- closed forms ---------------------------------------------------------------------------


def test_immigration_death_is_poisson():
    times = np.array([0.0, 0.3, 2, 40])
    solution = finite_state_projection(BIRTH_DEATH, {"A": 0}, times, tolerance=1e-10)
    counts = solution.probability.A.values
    exact = poisson.pmf(counts, 12 * (1 - np.exp(-0.5 * times))[:, None])
    assert np.abs(solution.probability.values - exact).sum(axis=1).max() <= 1e-10
    assert solution.lost_mass.values[-1] <= 1e-10


def test_immigration_death_from_a_start_in_a_volume():
    network = ReactionNetwork("0 <-> A ; 2, 0.5", volume=3)
    solution = finite_state_projection(network, [7], [1.5])
    counts, stay = solution.probability.A.values, np.exp(-0.75)
    survivors, newcomers = binom.pmf(counts, 7, stay), poisson.pmf(counts, 12 * (1 - stay))
    exact = np.convolve(survivors, newcomers)[: counts.size]
    assert np.abs(solution.probability.values[0] - exact).sum() <= 1e-8


def test_pure_death_is_binomial_and_absorbed():
    times = [0, 0.5, 3, 200]
    solution = finite_state_projection(ReactionNetwork("A -> 0 ; 0.7"), [20], times)
    exact = binom.pmf(np.arange(21), 20, np.exp(-0.7 * np.array(times))[:, None])
    assert solution.states == 21
    np.testing.assert_allclose(solution.probability.values, exact, atol=1e-14)
    assert solution.probability.values[-1, 0] == pytest.approx(1, abs=1e-12)
    assert solution.lost_mass.values.max() < 1e-13


def test_yule_process_is_geometric():
    solution = finite_state_projection(ReactionNetwork("A -> 2 A ; 1"), [1], [2])
    counts, q = solution.probability.A.values, np.exp(-2)
    exact = np.where(counts > 0, q * (1 - q) ** np.maximum(counts - 1, 0), 0)
    np.testing.assert_allclose(solution.probability.values[0], exact, atol=1e-8)
    beyond = (1 - q) ** counts[-1]
    assert beyond <= solution.lost_mass.values[0] <= 1e-8


def test_an_absorbing_start_stays():
    solution = finite_state_projection(ReactionNetwork("A -> 0 ; 1"), {"A": 0}, [0, 5])
    assert solution.states == 1
    np.testing.assert_array_equal(solution.probability.values, [[1], [1]])
    np.testing.assert_array_equal(solution.lost_mass.values, [0, 0])


# --- closed networks against the dense exponential ------------------------------------------

CLOSED = [
    ("2 A <-> B ; 0.8, 0.5", {"A": 21}, 1.0, 11),
    ("2 A <-> B ; 0.8, 0.5", {"A": 20, "B": 3}, 7.5, 14),
    ("S + E <-> C ; 1, 0.5 \n C -> E + P ; 0.7", {"S": 8, "E": 3}, 2.0, 30),
    ("A -> B ; 2 \n B -> C ; 1 \n C -> A ; 0.5", {"A": 4}, 1.0, 15),
    ("3 A -> B + A ; 0.1 \n B -> 2 A ; 1", {"A": 12}, 1.0, 6),
]


@pytest.mark.parametrize(("text", "start", "volume", "states"), CLOSED)
def test_closed_network_agrees_with_the_dense_exponential(text, start, volume, states):
    network, times = ReactionNetwork(text, volume=volume), [0, 0.1, 1, 9]
    solution = finite_state_projection(network, start, times)
    exact = dense_master_equation(
        network.reactants, network.products, network.rate_constants(),
        network.counts(start), times, volume,
    )  # fmt: skip
    assert solution.states == len(exact) == states
    p = solution.probability.values
    for state, values in exact.items():
        np.testing.assert_allclose(p[(slice(None), *state)], values, atol=1e-12)
    assert solution.lost_mass.values.max() < 1e-12


def test_a_large_conserved_network_keeps_only_what_it_reaches():
    network = ReactionNetwork("S + E <-> C ; 0.01, 1 \n C -> E + P ; 1")
    start, times = {"S": 200, "E": 30}, [0.1, 0.3, 0.5]
    solution = finite_state_projection(network, start, times)
    assert solution.bounds["P"] < 40  # later products are not worth a state
    box = {"S": 200, "E": 30, "C": 30, "P": 200}
    whole = finite_state_projection(network, start, times, bounds=box)
    assert whole.bounds == box
    assert whole.states == sum(min(30, 200 - p) + 1 for p in range(201))
    np.testing.assert_allclose(whole.mean().values, solution.mean().values, atol=1e-5)
    total = whole.mean().sel(species=["S", "C", "P"]).sum("species")
    np.testing.assert_allclose(total.values, 200)
    with pytest.raises(FSPError, match=r"too large to store; use \.marginal\('S'\)"):
        _ = whole.probability


# --- initial distributions and results ------------------------------------------------------


def test_a_distribution_as_start_continues_the_solution(skin, skin_exact, skin_solution):
    first = skin_solution.at(5)
    later = finite_state_projection(skin, first, [5, 15])
    exact, outside = oracle_in_box(later, skin_exact[2:3])
    error = np.abs(later.probability.values[0] - exact[0]).sum() + outside[0]
    assert error <= later.lost_mass.values[0] + 1e-11
    assert later.lost_mass.values[-1] <= 1e-8 + skin_solution.lost_mass.sel(time=5)
    swapped = finite_state_projection(skin, first.transpose("B", "A"), [5])
    np.testing.assert_allclose(swapped.mean().values[0], later.mean().values[0], rtol=1e-6)


def test_a_start_with_several_totals():
    import xarray as xr

    network = ReactionNetwork("2 A <-> B ; 1, 1")
    start = xr.DataArray([[0.25], [0], [0.75]], {"A": [3, 4, 8], "B": [1]}, ("A", "B"))
    parts = [finite_state_projection(network, [a, 1], [0.4]).mean().values for a in (3, 8)]
    together = finite_state_projection(network, start, [0.4])
    assert together.states == 3 + 6
    np.testing.assert_allclose(together.mean().values, 0.25 * parts[0] + 0.75 * parts[1])


def test_a_time_does_not_depend_on_the_others(skin):
    alone = finite_state_projection(skin, [10, 0], [2], tolerance=1e-10)
    among = finite_state_projection(skin, [10, 0], np.linspace(0, 4, 41), tolerance=1e-10)
    bound = alone.lost_mass.values[0] + among.lost_mass.values[-1]
    difference = (alone.at(2) - among.at(2)).fillna(0)  # on the common counts
    assert float(abs(difference).sum()) <= bound + 1e-12
    assert np.all(np.diff(among.lost_mass.values) >= -1e-14)


def test_the_result_is_labelled(skin_solution):
    p = skin_solution.probability
    assert p.dims == ("time", "A", "B") and p.A.dtype.kind == "i"
    assert list(p.time.values) == TIMES
    assert skin_solution.lost_mass.dims == ("time",)
    np.testing.assert_allclose(p.sum("A").values, skin_solution.marginal("B").values, atol=1e-15)
    assert skin_solution.marginal("B", "A").dims == ("time", "B", "A")
    np.testing.assert_array_equal(skin_solution.at(10).values, p.sel(time=10).values)
    assert repr(skin_solution).startswith("StateDistribution(A 0..")
    assert "\n" not in repr(skin_solution)
    assert len(skin_solution._repr_html_()) < 2000


# --- laws -----------------------------------------------------------------------------------

REACTIONS = ["0 -> A", "A -> 0", "A -> B", "B -> A", "2 A -> B", "B -> 2 A", "A + B -> B"]
rates = st.floats(0.05, 3)


@settings(max_examples=40, deadline=None)
@given(
    reactions=st.dictionaries(st.sampled_from(REACTIONS), rates, min_size=1, max_size=5),
    start=st.tuples(st.integers(0, 8), st.integers(0, 4)),
    bounds=st.tuples(st.integers(8, 14), st.integers(4, 10)),
)
@example(  # the share that stays in the fastest state must not round to below zero
    reactions={"A -> 0": 0.2372415054316308, "2 A -> B": 1.1, "B -> A": 0.2372415054316308,
               "A + B -> B": 0.23828125, "B -> 2 A": 3.0},
    start=(8, 4),
    bounds=(8, 4),
)  # fmt: skip
def test_probability_is_nonnegative_and_accounted_for(reactions, start, bounds):
    text = [f"{reaction} ; {k!r}" for reaction, k in reactions.items()]
    network = ReactionNetwork(text, species=["A", "B"])
    box = dict(zip("AB", bounds, strict=True))
    for given_box in (box, None):
        solution = finite_state_projection(network, start, [0, 0.2, 1.5], bounds=given_box)
        p, lost = solution.probability.values, solution.lost_mass.values
        assert np.all(p >= 0) and np.all(lost >= 0)
        np.testing.assert_allclose(p.sum(axis=(1, 2)) + lost, 1, atol=1e-12)
        assert np.all(np.diff(lost) >= -1e-13)
        assert given_box or lost[-1] <= 1e-8
    for _, law in network.conservation_laws().iterrows():
        totals = solution._counts @ law.values
        assert np.all(totals == np.dot(start, law.values))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 6), mean=st.floats(0.01, 60))
def test_uniformisation_is_the_matrix_exponential(seed, size, mean):
    rng = np.random.default_rng(seed)
    generator = rng.exponential(size=(size, size)) * (rng.random((size, size)) < 0.6)
    generator -= np.diag(generator.sum(axis=0))
    generator /= max(1.0, np.abs(generator).max())
    start = rng.random(size)
    found = uniformise(csr_array(np.eye(size) + generator), start, [mean / 3, mean])
    exact = [expm(generator * t) @ start for t in (mean / 3, mean)]
    np.testing.assert_allclose(found, exact, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("mean", [0.0, 1e-6, 0.4, 1.0, 37.2, 500.0, 2e5])
def test_poisson_weights(mean):
    weights = _poisson_weights(mean, 0.0)
    exact = poisson.pmf(np.arange(weights.size), mean)
    assert np.abs(weights - exact).sum() < 1e-9  # scipy's own error grows with the mean
    assert 1 - 1e-15 < weights.sum() < 1 + 1e-15


# --- errors ---------------------------------------------------------------------------------

BAD_INPUT = [
    ({"initial": {"X": 1}}, r"initial: 'X' is not a species of this network"),
    ({"initial": [1, 2]}, r"initial: .* give one count for each of 'A'"),
    ({"initial": {"A": -1}}, r"initial: counts must be whole numbers, zero or more"),
    ({"initial": [[1], [2]]}, r"initial: 2 states; give one state, or a DataArray"),
    ({"times": [-1, 1]}, r"times starts at -1; the initial state holds at 0"),
    ({"times": [0, 2, 1]}, r"times must increase; 1 follows 2 at position 2"),
    ({"times": []}, r"times must be a list of finite numbers"),
    ({"times": [0, np.inf]}, r"times must be a list of finite numbers"),
    ({"tolerance": 0}, r"tolerance is 0; it must lie between 0 and 1, for example 1e-8"),
    ({"tolerance": 1.5}, r"tolerance is 1\.5; it must lie between 0 and 1"),
    ({"bounds": {"AB": 3}}, r"bounds: 'AB' is not a species; the species are 'A'; did you"),
    ({"bounds": {"A": 2}}, r"the start has 3 of 'A', outside bounds\['A'\] = 2; give 3 or more"),
    ({"bounds": {"A": 4.5}}, r"bounds\['A'\] is 4\.5; give a whole number"),
    ({"bounds": [4]}, r"bounds is \[4\]; give a mapping, species -> largest count"),
    ({"rate_constants": [1]}, r"rate_constants must be 2 finite numbers, one a reaction"),
    ({"rate_constants": [1, np.nan]}, r"rate_constants must be 2 finite numbers"),
    ({"max_states": 5}, r"more than 5 states in the box A 0\.\.11; fix or reduce the box with"),
]


@pytest.mark.parametrize(("change", "message"), BAD_INPUT)
def test_bad_input_is_explained(change, message):
    arguments = {"initial": [3], "times": [0, 1]} | change
    with pytest.raises(FSPError, match=message):
        finite_state_projection(BIRTH_DEATH, **arguments)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.5, 0.6], r"sum to 1; these sum to 1\.1"),
        ([1.5, -0.5], r"the smallest is -0\.5"),
        ([0.0, 0.0], r"these sum to 0"),
        ([0.5, np.nan], r"probabilities must be zero or more and sum to 1"),
    ],
)
def test_a_bad_distribution_is_explained(values, message):
    import xarray as xr

    start = xr.DataArray(values, dims="A")
    with pytest.raises(FSPError, match=message):
        finite_state_projection(BIRTH_DEATH, start, [1])
    with pytest.raises(FSPError, match="a distribution over 'B'; its dimensions must be the spe"):
        finite_state_projection(BIRTH_DEATH, start.rename(A="B"), [1])


def test_free_parameters_are_named():
    with pytest.raises(FSPError, match=r"rate constants: 'k' has no value; give it with"):
        finite_state_projection(ReactionNetwork("A -> 0 ; k"), [3], [1])


def test_a_species_called_time_is_refused():
    with pytest.raises(FSPError, match="a species is called 'time'"):
        finite_state_projection(ReactionNetwork("time -> 0 ; 1"), [3], [1])


def test_a_growing_species_is_named_before_memory_runs_out(skin):
    with pytest.raises(FSPError, match=r"more than 3000 states .*; '\w' keeps growing; .*bounds="):
        finite_state_projection(skin, {"A": 10}, [20], max_states=3000)
    explosion = ReactionNetwork("2 A -> 3 A ; 1")
    with pytest.raises(FSPError, match="'A' keeps growing"):
        finite_state_projection(explosion, [5], [10])


def test_reactions_too_fast_are_named():
    network = ReactionNetwork("A <-> B ; 1e9, 1e9 \n B -> 0 ; 1")
    for method in ("auto", "contour"):
        with pytest.raises(FSPError, match=r"rounding may .* 'A -> B' .* allow tolerance=4e-05"):
            finite_state_projection(network, {"A": 10}, [1], method=method)
    with pytest.raises(FSPError, match=r"steps of uniformisation .* fastest reaction is 'A -> B'"):
        finite_state_projection(network, {"A": 10}, [1], method="uniformisation")


def test_questions_that_a_result_cannot_answer(skin_solution):
    with pytest.raises(FSPError, match="no distribution at time 3; the nearest is at "):
        skin_solution.at(3)
    with pytest.raises(FSPError, match="marginal: 'C' is not a species; the species are"):
        skin_solution.marginal("C")
    for wrong in ((), ("A", "A")):
        with pytest.raises(FSPError, match="name each species once"):
            skin_solution.marginal(*wrong)


# --- which states are reached --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "start", "bounds"),
    [
        ("0 -> A ; 1", [[0]], [300]),
        ("2 A <-> B ; 1, 1", [[7, 0], [4, 1]], [9, 9]),
        ("A -> 2 A ; 1 \n A -> B ; 1 \n B -> 0 ; 0", [[2, 0]], [12, 5]),
        ("A + B -> C ; 1 \n C -> 2 B ; 1 \n 0 -> A ; 1", [[0, 1, 0]], [6, 8, 4]),
        ("A -> 0 ; 1", [[0]], [3]),
    ],
)
def test_both_searches_reach_the_same_states(text, start, bounds, monkeypatch):
    """In a small box all moves are looked at together, in a large one front by front."""
    network, found = ReactionNetwork(text), []
    for small in (0, 10**6):
        monkeypatch.setattr(state_space, "_SMALL_BOX", small)
        space = state_space.StateSpace(
            network, network.rate_constants(), np.array(start), np.array(bounds), 1000
        )
        found.append(space.states.tolist())
    assert found[0] == found[1] and start[0] in found[0]


@pytest.mark.parametrize("small", [0, 10**6])
def test_both_searches_stop_at_the_limit(small, monkeypatch):
    monkeypatch.setattr(state_space, "_SMALL_BOX", small)
    network = ReactionNetwork("0 -> A ; 1")
    with pytest.raises(state_space.TooManyStatesError):
        state_space.StateSpace(network, np.ones(1), np.zeros((1, 1), int), np.array([50]), 20)
