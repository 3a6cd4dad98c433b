"""Slow-scale sampling: averages by enumeration, laws by exact solutions, limits, every refusal."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.linalg import expm, null_space
from scipy.stats import binom, poisson

import chemnb as cn
from chemnb import models
from chemnb._kernels import slow_scale as kernel
from chemnb.networks.network import NetworkError, ReactionNetwork
from chemnb.reduction import fast_subsystem, slow_scale
from chemnb.reduction.averaged_network import PROPENSITIES, AveragedNetwork
from chemnb.reduction.fast_subsystem import SlowScaleError, equilibrium, falling_factorials
from chemnb.reduction.slow_scale import sample_slow
from chemnb.sampling import blocks
from chemnb.sampling.simulator import SimulationError
from tests import oracles

ENZYME = ReactionNetwork("E + S <-> C ; 1000, 900 \n C -> E + P ; 0.5", volume=3)
BINDING = ["E + S <-> C"]
GENE = models.gene_feedback().with_volume(20)
GENE_FAST = ["G + P <-> GP", "GP + P <-> GP2"]
GENE_START = {"G": 1, "GP": 1, "M": 5, "P": 8}


def reached(probabilities, states, bound=1e-6, distance=0.0):
    """Whether states (runs, coordinates) look drawn from a dict {state: probability}.

    The total variation exceeds its expectation (the floor) by e with probability below
    exp(-2 runs e^2) (McDiarmid's inequality). ``distance`` is granted on top.
    """
    runs = len(states)
    seen, counts = np.unique(states, axis=0, return_counts=True)
    shares = dict(zip(map(tuple, seen.tolist()), counts / runs, strict=True))
    every = probabilities.keys() | shares.keys()
    found = sum(abs(probabilities.get(s, 0.0) - shares.get(s, 0.0)) for s in every) / 2
    floor = cn.sampling_floor(np.array(list(probabilities.values())), runs)
    return found < floor + math.sqrt(math.log(1 / bound) / (2 * runs)) + distance


def fast_states(network, start, fast):
    """Return the states that fast reactions reach, and their generator (columns are sources)."""
    states, queue, moves = {tuple(start): 0}, [tuple(start)], []
    while queue:
        state = queue.pop()
        rates = network.propensities(state)
        for j in fast:
            if rates[j]:
                after = tuple((np.array(state) + network.stoichiometry[:, j]).tolist())
                if after not in states:
                    states[after] = len(states)
                    queue.append(after)
                moves.append((states[state], states[after], rates[j]))
    generator = np.zeros((len(states), len(states)))
    for source, target, rate in moves:
        generator[target, source] += rate
        generator[source, source] -= rate
    return np.array(list(states)), generator


def stationary_average(network, start, fast):
    """Return the average of all propensities, from the null space of the fast generator."""
    states, generator = fast_states(network, start, fast)
    law = null_space(generator, rcond=1e-12)
    assert law.shape[1] == 1
    return (law[:, 0] / law[:, 0].sum()) @ network.propensities(states)


# --- averages ----------------------------------------------------------------------------------

AVERAGES = {
    "binding": (ENZYME, BINDING, [4, 7, 1, 0]),
    "dimers": (
        ReactionNetwork("2 A <-> B ; 3, 2 \n 2 A -> C ; 1 \n A + B -> C ; 1", volume=2),
        ["2 A <-> B"], [9, 2, 0],
    ),
    "gene": (GENE, GENE_FAST, [8, 5, 1, 1, 0]),
    "two groups": (
        ReactionNetwork("A <-> B ; 3, 2 \n 2 X <-> Y ; 1, 4 \n A + Y -> Z ; 1 \n Z + B -> X ; 2"),
        ["A <-> B", "2 X <-> Y"], [4, 1, 5, 1, 3],
    ),
    "a catalyst": (
        ReactionNetwork("A + E -> B + E ; 2 \n B -> A ; 3 \n E -> 0 ; 1 \n B + E -> 0 ; 0.2"),
        ["A + E -> B + E", "B -> A"], [5, 3, 1],
    ),
    "a cycle": (
        ReactionNetwork("A -> B ; 5 \n B -> C ; 2 \n C -> A ; 1 \n A + B -> 0 ; 1 \n 2 C -> 0 ; 1"),
        ["A -> B", "B -> C", "C -> A"], [3, 2, 1],
    ),
    "one way": (
        ReactionNetwork("A + B -> C ; 5 \n C + B -> D ; 3 \n D -> A ; 1 \n C -> 0 ; 1", volume=2),
        ["A + B -> C", "C + B -> D"], [2, 7, 1, 0],
    ),
    "nonlinear cycle": (
        ReactionNetwork("2 A -> B + A ; 3 \n B -> A ; 1 \n A -> B ; 0.3 \n A + B -> C ; 1"),
        ["2 A -> B + A", "B -> A", "A -> B"], [7, 1, 0],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AVERAGES)
def test_propensities_are_stationary_averages(name):
    network, fast, start = AVERAGES[name]
    model = AveragedNetwork(network, fast)
    indices = [network.reactions.index(r) for r in model.fast]
    slow = [j for j in range(len(network.reactions)) if j not in indices]
    expected = stationary_average(network, start, indices)[slow]
    assert model.propensities(start) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    # the same at every state that the fast reactions join, also those that do not come back
    states, _ = fast_states(network, start, indices)
    assert model.propensities(states) == pytest.approx(np.tile(expected, (len(states), 1)), 1e-9)


def test_cyclic_laws_are_null_vectors_and_balanced_ones_products():
    balanced = AveragedNetwork(ENZYME, BINDING).groups[0]
    cyclic = AveragedNetwork(*AVERAGES["a cycle"][:2]).groups[0]
    assert balanced._balance is not None and cyclic._balance is None
    # the product, where elimination would serve too
    states = np.array([[5, 6, 0, 0], [4, 4, 1, 3]])
    weights = AveragedNetwork(ENZYME, BINDING).propensities(states)
    balanced._balance = None
    balanced._starts, balanced.number = balanced._starts[:1], None
    balanced._tabulate()
    number = balanced.locate(states[:, :3])
    assert 0.5 * balanced.means[number, 0] == pytest.approx(weights[:, 0], rel=1e-12)


def test_independent_rates_around_a_loop_have_no_product():
    """Kolmogorov's criterion: the product of rates both ways round must agree."""
    text = "A <-> B ; 1, 2 \n B <-> C ; 3, 4 \n C <-> A ; 5, {} \n A -> 0 ; 1"
    fast = ["A <-> B", "B <-> C", "C <-> A"]
    fair, biased = (ReactionNetwork(text.format(rate)) for rate in (1.875, 3.0))
    for network, balanced in ((fair, True), (biased, False)):
        model = AveragedNetwork(network, fast)
        assert (model.groups[0]._balance is not None) == balanced
        expected = stationary_average(network, [3, 1, 0], range(6))[6]
        assert model.propensities([3, 1, 0])[0] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("stiffness", [1.0, 1e6, 1e14])
def test_elimination_is_right_however_stiff(stiffness):
    """A cycle of one molecule: probabilities are proportional to the waiting times."""
    rates = np.array([[0, 1, 0], [0, 0, stiffness], [1 / stiffness, 0, 0]], dtype=float)
    waiting = np.array([1, 1 / stiffness, stiffness])
    assert kernel.stationary(rates) == pytest.approx(waiting / waiting.sum(), rel=1e-14)


def test_elimination_does_not_overflow():
    size, ratio = 300, 100.0  # birth and death: weights 100^k, up to 1e598
    rates = np.diag(np.full(size - 1, ratio), 1) + np.diag(np.ones(size - 1), -1)
    law = kernel.stationary(rates)
    assert law[-1] == pytest.approx(1 - 1 / ratio) and law[-3] == pytest.approx(law[-1] / 1e4)


def test_conditional_law_of_one_binding_site():
    """One site and n ligands: the site is occupied with odds n k / (k_m1 V)."""
    network = ReactionNetwork("G + P <-> C ; 3, 2.4 \n C -> G ; 1", volume=20)
    model = AveragedNetwork(network, ["G + P <-> C"])
    for n in (1, 5, 40):
        odds = n * 3 / 20 / 2.4
        law = model.conditional({"G": 1, "P": n}, "C")
        assert law.values == pytest.approx(np.array([1, odds]) / (1 + odds), rel=1e-12)
        joint = model.conditional({"C": 1, "P": n - 1}, "G", "P")
        assert joint.dims == ("G", "P") and float(joint.sum()) == pytest.approx(1)
        assert joint.values[1, n] == pytest.approx(law.values[0])


def test_slow_coordinates_are_the_left_null_space():
    model = AveragedNetwork(GENE, GENE_FAST)
    assert model.species == ("M", "G + GP + GP2", "P + GP + 2 GP2")
    fast = [GENE.reactions.index(r) for r in model.fast]
    assert not (model.laws @ GENE.stoichiometry[:, fast]).any()
    assert np.linalg.matrix_rank(model.laws) == 5 - np.linalg.matrix_rank(
        GENE.stoichiometry[:, fast]
    )
    assert model.coordinates({"GP2": 2, "P": 3, "M": 1}).tolist() == [1, 2, 7]


def test_coordinates_of_labelled_paths():
    full = cn.sample(GENE, GENE_START, [0, 1, 2], 20, seed=1)
    found = AveragedNetwork(GENE, GENE_FAST).coordinates(full.paths)
    assert found.dims == ("run", "time", "species")
    total = full.paths.sel(species=["P", "GP", "GP2"]).values @ [1, 1, 2]
    assert np.array_equal(found.sel(species="P + GP + 2 GP2"), total)
    assert np.all(found.sel(species="G + GP + GP2") == 2)


# --- deterministic propensities -------------------------------------------------------------------


def test_total_propensities_are_the_quadratic_of_total_qssa():
    volume, ratio = 3.0, 0.9  # E + S <-> C with K = 900/1000
    states = np.array([[e, s, 0, 0] for e, s in product((1, 4, 30), (0, 1, 9, 200))])
    found = AveragedNetwork(ENZYME, BINDING, propensities="total").propensities(states)[:, 0]
    e, s = states[:, 0] / volume, states[:, 1] / volume
    total = e + s + ratio
    bound = (total - np.sqrt(total**2 - 4 * e * s)) / 2 * volume
    assert found == pytest.approx(0.5 * bound, rel=1e-9, abs=1e-12)


def test_naive_propensities_are_eq_17():
    naive = AveragedNetwork(GENE, GENE_FAST, propensities="naive")
    for total in (0, 1, 7, 100):
        c = total / 20
        omega = 8 / 15 + 2 / 3 * c + c**2
        genes = 3 * np.array([8 / 15, 2 / 3 * c]) / omega
        found = naive.propensities({"G": 3, "P": total})
        # Eq. 17, except for what no state allows
        assert found[:2] == pytest.approx(0.05 * genes, rel=1e-9)


@pytest.mark.parametrize("name", AVERAGES)
def test_deterministic_equilibria_rest_and_keep_their_sums(name):
    network, fast, start = AVERAGES[name]
    for group, members in zip(
        (model := AveragedNetwork(network, fast)).groups, model._members, strict=True
    ):
        begin = 50.0 * np.array(start, dtype=float)[members] + 1
        end = equilibrium(group.network, begin[None], np.zeros(len(begin), dtype=bool))[0]
        equations = cn.mass_action(group.network)
        late = cn.integrate(equations, begin / group.network.volume, [1e5]).values[-1]
        assert end == pytest.approx(late * group.network.volume, rel=1e-4, abs=1e-2)
        assert group.laws @ end == pytest.approx(group.laws @ begin, rel=1e-8)


def test_the_three_agree_where_molecules_are_many():
    states = np.array([[300, 30_000, 0, 0]])
    small, big = (AveragedNetwork(ENZYME.with_volume(1e4), BINDING, propensities=kind)
                  for kind in PROPENSITIES[:2])  # fmt: skip
    assert small.propensities(states) == pytest.approx(big.propensities(states), rel=1e-4)


def test_free_species_of_naive_propensities():
    pair = ReactionNetwork("A <-> B ; 1, 3 \n A -> 0 ; 1")
    with pytest.raises(SlowScaleError, match=r"one free species for 'A \+ B', but 'A', 'B' could"):
        AveragedNetwork(pair, ["A <-> B"], propensities="naive")
    chosen = AveragedNetwork(pair, ["A <-> B"], propensities="naive", free=["A"])
    assert chosen.propensities({"A": 5, "B": 2}) == pytest.approx([7])
    # a dimer stands for two
    dimer = ReactionNetwork("2 A <-> B ; 1, 3 \n B -> 0 ; 1")
    model = AveragedNetwork(dimer, ["2 A <-> B"], propensities="naive", free=["B"])
    assert model.propensities({"A": 8, "B": 1}) == pytest.approx([5])
    with pytest.raises(SlowScaleError, match="but none could be it"):
        AveragedNetwork(dimer, ["2 A <-> B"], propensities="naive", free=["X"])


@pytest.mark.parametrize("kind", PROPENSITIES)
def test_what_no_state_allows_never_happens(kind):
    network = ReactionNetwork("A <-> B ; 1, 1 \n 2 A -> 0 ; 1")
    model = AveragedNetwork(network, ["A <-> B"], propensities=kind, free=["A"])
    assert model.propensities([[0, 0], [1, 0], [0, 1]]).tolist() == [[0], [0], [0]]
    paths = sample_slow(
        network, [7, 0], [1e6], 50, seed=1, fast_reactions="A <-> B", propensities=kind, free=["A"]
    ).paths
    assert np.all(paths == 1)


# --- the law of the runs ------------------------------------------------------------------------


def averaged_law(network, fast, start, times):
    """Return the law of the slow coordinates, {coordinates: p(times)}, by matrix exponential.

    It uses averages by `stationary_average` and a generator built here.
    """
    model = AveragedNetwork(network, fast)
    indices = [network.reactions.index(r) for r in model.fast]
    slow = [j for j in range(len(network.reactions)) if j not in indices]
    first = tuple((model.laws @ start).tolist())
    index, queue, moves = {first: 0}, [(first, start)], []
    while queue:
        key, state = queue.pop()
        rates = stationary_average(network, state, indices)
        states, _ = fast_states(network, state, indices)
        for j in slow:
            if rates[j] < 1e-12:
                continue
            able = states[np.all(states >= network.reactants[:, j], axis=1)][0]
            after = able + network.stoichiometry[:, j]
            target = tuple((model.laws @ after).tolist())
            if target not in index:
                index[target] = len(index)
                queue.append((target, after))
            moves.append((index[key], index[target], rates[j]))
    generator = np.zeros((len(index), len(index)))
    for source, target, rate in moves:
        generator[target, source] += rate
        generator[source, source] -= rate
    values = np.array([expm(generator * t)[:, 0] for t in times])
    return {key: values[:, i] for key, i in index.items()}


CLOSED = {
    "enzyme": (ENZYME, BINDING, [4, 9, 1, 0]),
    "dimers": (
        ReactionNetwork("2 A <-> B ; 30, 20 \n A -> 0 ; 1 \n B -> A ; 0.5"), ["2 A <-> B"], [9, 0]
    ),
    "two groups": (
        ReactionNetwork(
            "A <-> B ; 30, 20 \n 2 X <-> Y ; 10, 40 \n A + Y -> Z ; 1 \n Z + B -> X ; 2"
        ),
        ["A <-> B", "2 X <-> Y"], [3, 1, 4, 0, 1],
    ),
    "a cycle": (
        ReactionNetwork("A -> B ; 5 \n B -> C ; 2 \n C -> A ; 1 \n 2 A -> 0 ; 1 \n C -> D ; 1"),
        ["A -> B", "B -> C", "C -> A"], [3, 2, 1, 0],
    ),
    "odd and even": (
        ReactionNetwork("2 A <-> 2 B ; 1, 2 \n A -> 0 ; 0.5 \n B -> A ; 0.5"),
        ["2 A <-> 2 B"], [5, 0],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in CLOSED if name != "odd and even"])
def test_slow_states_follow_their_master_equation(name):
    network, fast, start = CLOSED[name]
    times, runs = [0.3, 2.0], 40_000
    law = averaged_law(network, fast, np.array(start), times)
    data = sample_slow(
        network, start, times, runs, seed=2, fast_reactions=fast, keep=runs, histograms=times
    )
    for row, time in enumerate(times):
        now = {state: p[row] for state, p in law.items()}
        assert reached(now, data.paths.values[:, row])
        assert float(data.histogram(time).sum()) == pytest.approx(1)


def test_slow_coordinates_may_share_a_value_and_differ_in_law():
    """2 A <-> 2 B keeps whether A is odd, which no sum tells."""
    network, fast, start = CLOSED["odd and even"]
    model = AveragedNetwork(network, fast)
    odd, even = model.propensities([[3, 0], [2, 1]])
    assert odd[0] == pytest.approx(stationary_average(network, [3, 0], [0, 1])[2])
    assert even[0] == pytest.approx(stationary_average(network, [2, 1], [0, 1])[2])
    assert abs(odd[0] - even[0]) > 0.04
    # fast enough, the full network has the same law
    fast_network = ReactionNetwork("2 A <-> 2 B ; 1000, 2000 \n A -> 0 ; 0.5 \n B -> A ; 0.5")
    law = oracles.dense_master_equation(
        fast_network.reactants, fast_network.products, fast_network.rate_constants(), start, [1.0]
    )
    totals = {}
    for (a, b), p in law.items():
        totals[(a + b,)] = totals.get((a + b,), 0.0) + p[0]
    runs = 40_000
    paths = sample_slow(network, start, [1.0], runs, seed=3, fast_reactions=fast, keep=runs).paths
    assert reached(totals, paths.values[:, 0], distance=2e-3)


def test_fast_reactions_that_are_fast_give_the_law_of_the_full_network():
    start, times, runs = [4, 9, 1, 0], [1.0, 4.0], 40_000
    law = oracles.dense_master_equation(
        ENZYME.reactants, ENZYME.products, ENZYME.rate_constants(), start, times, ENZYME.volume
    )
    data = sample_slow(ENZYME, start, times, runs, seed=4, fast_reactions=BINDING, keep=runs)
    for row, time in enumerate(times):
        products, bound = {}, np.zeros(6)
        for state, p in law.items():
            products[state[3]] = products.get(state[3], 0.0) + p[row]
            bound[state[2]] += p[row]
        made = {(n,): p for n, p in products.items()}
        assert reached(made, data.paths.sel(species=["P"]).values[:, row], distance=2e-3)
        found = data.distribution(time, "C").values
        assert np.abs(found - bound[: len(found)]).sum() / 2 < 0.01


def test_isomers_that_decay_alike_are_exact_however_slow():
    """The total decays the same in both forms: no separation of time scales is needed."""
    network = ReactionNetwork("A <-> B ; 0.01, 0.03 \n A -> 0 ; 0.7 \n B -> 0 ; 0.7")
    runs, left = 100_000, math.exp(-0.7)
    data = sample_slow(
        network, [30, 0], [0, 1.0], runs, seed=5, fast_reactions="A <-> B", keep=runs
    )
    law = {(n,): p for n, p in enumerate(binom.pmf(range(31), 30, left))}
    assert reached(law, data.paths.values[:, 1])
    found = data.distribution(1.0, "A")
    expected = binom.pmf(found["A"].values, 30, 0.75 * left)
    assert np.abs(found.values - expected).sum() / 2 < 0.005
    moments = data.species_moments().sel(time=1.0)
    error = math.sqrt(30 / runs)
    assert abs(moments.sel(moment="A") - 30 * 0.75 * left) < 4.5 * error
    variance = 30 * 0.75 * left * (1 - 0.75 * left)
    assert moments.sel(moment="Var(A)") == pytest.approx(variance, rel=0.03)
    assert data.distribution(0, "A").values == pytest.approx(binom.pmf(range(31), 30, 0.75))


def test_a_fast_dimer_with_production_stays_poissonian():
    """0 -> A and A -> 0 beside A <-> B: A and B are Poissonian at all times from zero."""
    network = ReactionNetwork("A <-> B ; 2, 1 \n 0 -> A ; 6 \n A -> 0 ; 1")
    data = sample_slow(network, {}, [0.5, 50], 50_000, seed=6, fast_reactions=["A <-> B"])
    for time in (0.5, 50):
        mean = 18 * (1 - math.exp(-time / 3))  # the total decays with a third of the rate of A
        for name, share in (("A", 1 / 3), ("B", 2 / 3)):
            found = data.distribution(time, name)
            expected = poisson.pmf(found[name].values, mean * share)
            assert np.abs(found.values - expected).sum() / 2 < 0.012


def test_gene_network_against_exact_sampling():
    times, runs = [5.0, 60.0], 4000
    network = GENE.with_parameters(k1=15, k_m1=12, k2=45, k_m2=30)
    full = cn.sample(network, GENE_START, times, runs, seed=7)
    slow = sample_slow(network, GENE_START, times, runs, seed=8, fast_reactions=GENE_FAST)
    both = slow.species_moments()
    names = [name for name in both.moment.values if not name.startswith("Var")]
    scale = full.standard_error().sel(moment=list(both.moment.values))
    z = (both - full.moments().sel(moment=both.moment)) / scale / math.sqrt(2)
    assert np.abs(z.sel(moment=names)).max() < 4.5 and np.abs(z).max() < 5.5


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 6), st.integers(0, 6), st.integers(0, 3), st.sampled_from(PROPENSITIES),
    st.sets(st.sampled_from(
        ["S -> 0", "C -> E + P", "0 -> S", "P -> S", "2 S -> P", "C + S -> E + P", "C -> E"]
    ), min_size=1),
)  # fmt: skip
def test_sums_of_means_are_slow_coordinates_and_laws_hold(e, s, p, kind, reactions):
    network = ReactionNetwork([f"{text} ; 1" for text in sorted(reactions)], species="ESCP")
    network = network + "E + S <-> C ; 3, 2"
    data = sample_slow(
        network, [e, s, 0, p], [0, 0.5, 2], 30, seed=1, fast_reactions=BINDING, propensities=kind,
        free=["S"],
    )  # fmt: skip
    paths, means = data.paths, data.species_moments()
    assert paths.min() >= 0 and means.min() >= -1e-12
    assert np.all(paths.sel(species="E + C") == e)
    species = means.sel(moment=list("ESCP")).values
    assert species @ data.network.laws.T == pytest.approx(data.mean().values, abs=1e-9)
    # what the whole network conserves is conserved
    for law in network.conservation_laws().to_numpy():
        weights = np.linalg.lstsq(data.network.laws.T, law, rcond=None)[0]
        assert (paths.values @ weights) == pytest.approx(law @ [e, s, 0, p], abs=1e-9)


# --- the same bits ------------------------------------------------------------------------------


def _reference(**change):
    arguments = dict(runs=500, seed=9, fast_reactions=GENE_FAST, histograms=[60], keep=50)
    return sample_slow(GENE, GENE_START, [0, 20, 60], **(arguments | change))


def same(first, second):
    """Whether two ensembles agree bit for bit."""
    found = [
        (e.moments().values, e.paths.values, e.histogram(60).values, e.species_moments().values,
         e.distribution(20, "P").values)
        for e in (first, second)
    ]  # fmt: skip
    return all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("kind", PROPENSITIES)
def test_threads_do_not_matter(kind):
    one = _reference(propensities=kind, threads=1)
    assert same(one, _reference(propensities=kind, threads=8))


@pytest.mark.parametrize("kind", PROPENSITIES)
@pytest.mark.parametrize("lanes", [1, 2, 7, 64, 300])
def test_lanes_do_not_matter(kind, lanes, monkeypatch):
    """Side by side or alone, with tables that are too small at first."""
    monkeypatch.setattr(slow_scale, "_FEWEST_FOR_LANES", 10**9)
    alone = _reference(propensities=kind, threads=1)
    monkeypatch.setattr(slow_scale, "_FEWEST_FOR_LANES", 1)
    monkeypatch.setattr(slow_scale, "_PILOTS", 1)
    monkeypatch.setattr(slow_scale, "_LANES", lanes)
    monkeypatch.setattr(fast_subsystem, "_LEAST_GROWTH", 1)
    assert same(alone, _reference(propensities=kind, threads=2))


def test_absorbing_states_and_spectators_in_lanes(monkeypatch):
    """Everything dies out, slow reactions of two spectators among them."""
    network = ReactionNetwork("A <-> B ; 5, 3 \n B -> C ; 1 \n 2 C -> D ; 0.5 \n C + D -> 0 ; 2")
    found = []
    for fewest in (1, 10**9):
        monkeypatch.setattr(slow_scale, "_FEWEST_FOR_LANES", fewest)
        found.append(sample_slow(
            network, [9, 0, 0, 0], [0, 1, 1e9], 400, seed=3, fast_reactions="A <-> B", keep=400
        ).paths)  # fmt: skip
    assert np.array_equal(*found)
    assert not found[0].sel(species="A + B").values[:, -1].any()


@pytest.mark.parametrize(("pilots", "most"), [(1, 2**25), (100, 2**25), (16, 1), (16, 11 * 72)])
def test_blocks_do_not_matter(pilots, most, monkeypatch):
    reference = _reference(runs=120, threads=1)
    monkeypatch.setattr(slow_scale, "_PILOTS", pilots)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", most)
    for threads in (1, 3):
        assert same(reference, _reference(runs=120, threads=threads))


@pytest.mark.parametrize("kind", PROPENSITIES)
def test_results_do_not_tell_in_which_order_states_were_met(kind, monkeypatch):
    """Numbers of slow states follow it, and so depend on threads; no result does."""
    text = (
        "E + S <-> C ; 9, 5 \n 0 -> S ; 5 \n S -> 0 ; 1 \n 0 -> E ; 1 \n E -> 0 ; 0.3 \n C -> P ; 1"
    )

    def draw(threads):
        return sample_slow(
            ReactionNetwork(text), [3, 6, 0, 0], [0, 2, 5], 300, seed=2, fast_reactions=BINDING,
            propensities=kind, threads=threads, free=["E", "S"], keep=50,
        )  # fmt: skip

    one = draw(1)
    monkeypatch.setattr(fast_subsystem, "_LEAST_GROWTH", 1)
    monkeypatch.setattr(slow_scale, "_PILOTS", 1)
    monkeypatch.setattr(blocks, "FIRST_BLOCK", 7)
    monkeypatch.setattr(blocks, "_FEWEST_RUNS", 7)
    other = draw(8)
    met = [data.network.groups[0].totals.tolist() for data in (one, other)]
    assert met[0][: len(met[1])] != met[1][: len(met[0])]
    for found in (
        lambda data: data.paths, lambda data: data.moments(), lambda data: data.species_moments(),
        lambda data: data.distribution(2, "E", "S"),
    ):  # fmt: skip
        assert found(one).equals(found(other))


def test_how_tables_grow_does_not_matter(monkeypatch):
    reference = _reference()
    monkeypatch.setattr(fast_subsystem, "_LEAST_GROWTH", 1)
    slowly = _reference()
    paths = [data.paths.values for data in (reference, slowly)]
    assert np.array_equal(*paths)
    assert slowly.moments().equals(reference.moments())
    assert np.array_equal(slowly.distribution(60, "P"), reference.distribution(60, "P"))
    sizes = [len(data.network.groups[0].totals) for data in (slowly, reference)]
    assert sizes[0] < sizes[1]


def test_seeds_matter_and_the_grid_does_not():
    few, many = _reference(runs=30), _reference(runs=60)
    assert np.array_equal(few.paths, many.paths[:30])
    assert not np.array_equal(_reference(runs=30, seed=10).paths, few.paths)
    arguments = dict(runs=30, seed=9, fast_reactions=GENE_FAST, keep=30)
    fine = sample_slow(GENE, GENE_START, np.linspace(0, 60, 61), **arguments).paths.values
    assert np.array_equal(fine[:, [0, 20, 60]], few.paths.values)


def test_another_network_does_not_recompile():
    for network, fast, start in CLOSED.values():
        sample_slow(network, start, [0, 0.1], 3, seed=1, fast_reactions=fast)
    assert len(kernel.run_block.signatures) == 1


def test_reactions_are_named_by_text_index_or_object():
    whole = AveragedNetwork(GENE, GENE_FAST)
    texts = [reaction.equation for reaction in whole.fast]
    indices = [GENE.reactions.index(reaction) for reaction in whole.fast]
    for other in (texts, indices, whole.fast, ["P + G ⇌ GP", "GP2 <=> P + GP"]):
        assert AveragedNetwork(GENE, other).fast == whole.fast
    twice = ReactionNetwork("A -> B ; 1 \n A -> B ; 2 \n B -> A ; 1 \n A -> 0 ; 1")
    assert len(AveragedNetwork(twice, "A <-> B").fast) == 3
    assert AveragedNetwork(twice, [1, 2]).slow == (twice.reactions[0], twice.reactions[3])


def test_results_show_what_they_are():
    data = _reference(runs=10)
    assert repr(data) == (
        "SlowScaleEnsemble(10 runs, 3 times, species M, G + GP + GP2, P + GP + 2 GP2, seed 9, "
        "direct method)"
    )
    assert data.initial == {"M": 5, "G + GP + GP2": 2, "P + GP + 2 GP2": 9}
    assert "Var(M)" in data._repr_html_()
    assert data.distribution(0, "P + GP + 2 GP2").values.argmax() == 9
    joint = data.distribution(20, "G", "P")
    assert joint.dims == ("G", "P")
    assert np.allclose(joint.sum("G"), data.distribution(20, "P"))


# --- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "fast", "start", "error", "message"),
    [
        (ENZYME, [], [1, 1, 0, 0], SlowScaleError, "no reaction is fast; name at least one"),
        (ENZYME, range(3), [1, 1, 0, 0], SlowScaleError, "all reactions are fast, so nothing"),
        (ENZYME, ["E + S -> D"], [1, 1, 0, 0], NetworkError, "no reaction 'E . S -> D' in this"),
        (ENZYME, ["C <-> E + P"], [1, 1, 0, 0], NetworkError, "no reaction 'E . P -> C'"),
        (ENZYME, ["E", "S"], [1, 1, 0, 0], SlowScaleError, "'E' is not a reaction, which has an"),
        (ENZYME, [0.5], [1, 1, 0, 0], SlowScaleError, "0.5 is not a reaction, which has an arrow"),
        (ENZYME, None, [1, 1, 0, 0], SlowScaleError, "fast_reactions=None is no list of reac"),
        (ENZYME, [7], [1, 1, 0, 0], NetworkError, "no reaction 7; they run from 0 to 2"),
        (
            ReactionNetwork("0 -> A ; 9 \n A -> 0 ; 9 \n A -> B ; 1"), ["0 <-> A"], [0, 0],
            SlowScaleError, "do not bound 'A': at fixed slow coordinates there are infinitely",
        ),
        (
            ReactionNetwork("A + B <-> C ; 9, 9 \n C -> C + D ; 9 \n D -> 0 ; 9 \n A -> 0 ; 1"),
            [0, 1, 2, 3], [1, 1, 0, 0], SlowScaleError, "do not bound 'D'",
        ),
        (
            ReactionNetwork("A -> B ; 9 \n A -> C ; 9 \n B -> 0 ; 1"), [0, 1], [1, 0, 0],
            SlowScaleError, "near 1 A, 0 B, 0 C the fast reactions 'A -> B', 'A -> C' do not lead",
        ),
        (
            # a molecule that is left alone stays what it is
            ReactionNetwork("2 A <-> A + B ; 9, 9 \n A -> 0 ; 1"), [0, 1], [2, 0],
            SlowScaleError, "do not lead to one stationary law",
        ),
        (
            ReactionNetwork("A <-> B ; k, h \n A -> 0 ; 1", k=None, h=1), ["A <-> B"], [1, 0],
            NetworkError, "'k' has no value",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_averaged_is_explained(network, fast, start, error, message):
    with pytest.raises(error, match=message):
        sample_slow(network, start, [0, 5], 50, seed=1, fast_reactions=fast)


def test_too_many_states_are_explained():
    with pytest.raises(SlowScaleError, match="'E', 'S', 'C' have more than 50 states in"):
        sample_slow(ENZYME, [99, 99, 0, 0], [1], 5, seed=1, fast_reactions=BINDING, max_states=50)
    cycle, fast, _ = AVERAGES["a cycle"]
    with pytest.raises(SlowScaleError, match="not in detailed balance and join 5151 states"):
        sample_slow(cycle, [100, 0, 0], [1], 5, seed=1, fast_reactions=fast)


def test_oscillating_fast_reactions_have_no_deterministic_equilibrium():
    text = "A + B -> 2 B ; 1 \n B + C -> 2 C ; 1 \n C + A -> 2 A ; 1 \n A -> 0 ; 0.1"
    network = ReactionNetwork(text)
    with pytest.raises(SlowScaleError, match="come to rest; use propensities='slow-scale'|one st"):
        AveragedNetwork(network, [0, 1, 2], propensities="total").propensities([6, 3, 2])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"propensities": "fast"}, SlowScaleError, "propensities='fast' is unknown; use one of"),
        ({"runs": 0}, SimulationError, "runs=0 must be a whole number of 1 or more"),
        ({"seed": 2**63}, SimulationError, "is too large; use a whole number below"),
        ({"threads": 0}, SimulationError, "threads=0 must be a whole number"),
        ({"threads": 9999}, SimulationError, "threads=9999; this machine allows 1 to"),
        ({"keep": -1}, SimulationError, "keep=-1 must be a whole number"),
        ({"histograms": [3]}, SimulationError, "histogram time 3 is not one of the recorded"),
        ({"max_events": 5}, SimulationError, r"run \d+ passed 5 reactions, lately '(M|G)"),
    ],
)
def test_bad_arguments_are_explained(change, error, message):
    with pytest.raises(error, match=message):
        _reference(**change)


def test_propensities_that_no_float_holds_are_explained():
    network = ReactionNetwork("A <-> B ; 1, 1 \n 0 -> A ; 1e308 \n C -> 0 ; 1e308")
    with pytest.raises(SimulationError, match="averaged propensity of 'C -> 0.* too large for a"):
        sample_slow(network, {"C": 9}, [1], 5, seed=1, fast_reactions="A <-> B")


def test_rate_laws_are_refused():
    network = ReactionNetwork("A <-> B ; 1, 1 \n A -> 0 ; law: A/(1 + A)")
    with pytest.raises(SlowScaleError, match="'A -> 0.*' has a rate law, but averages are taken"):
        sample_slow(network, {"A": 9}, [1], 5, seed=1, fast_reactions="A <-> B")


def test_blocks_at_work_end_when_interrupted():
    simulator = slow_scale._Simulator(
        AveragedNetwork(GENE, GENE_FAST), GENE.counts(GENE_START), np.array([1e9]), 1, 10**12
    )
    simulator.interrupt()
    for runs in (5, 100):  # alone and in lanes
        with pytest.raises(KeyboardInterrupt):
            simulator.run(0, runs)


def test_bad_starts_and_questions_are_explained():
    with pytest.raises(SimulationError, match=r"initial has shape \(1, 4\); give one count"):
        sample_slow(ENZYME, [[1, 1, 0, 0]], [1], 5, seed=1, fast_reactions=BINDING)
    with pytest.raises(NetworkError, match="'X' is not a species of this network"):
        sample_slow(ENZYME, {"X": 1}, [1], 5, seed=1, fast_reactions=BINDING)
    data = _reference(runs=10)
    with pytest.raises(cn.EnsembleError, match="time 30 was not recorded; the nearest is 20"):
        data.distribution(30, "P")
    with pytest.raises(SlowScaleError, match=r"'GP3' is not a set of species .* mean 'GP"):
        data.distribution(20, "GP3")
    with pytest.raises(SlowScaleError, match="'M' is not a set of species that the same fast"):
        data.network.conditional(GENE_START, "M")
    with pytest.raises(cn.EnsembleError, match="one run has no variance"):
        _reference(runs=1).species_moments()


def test_falling_factorials():
    found = falling_factorials(np.array([[4.5, 0.5]]), np.array([[2, 0], [0, 2]]))
    assert found.tolist() == [[4.5 * 3.5, 0.0]]
