"""Exact sampling: the law against exact solutions, one result for a seed, and every bad input."""

import math
import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, poisson

import chemnb as cn
from chemnb import models
from chemnb._kernels import direct, lanes
from chemnb._kernels import random as streams
from chemnb._kernels.network import propensity
from chemnb.networks.network import NetworkError, ReactionNetwork
from chemnb.networks.tables import reaction_tables
from chemnb.sampling import blocks
from chemnb.sampling.first_answer import simulate
from chemnb.sampling.gillespie import sample
from chemnb.sampling.simulator import SimulationError, Simulator
from tests import oracles

METHODS = ["direct", "first-reaction", "next-reaction", "tree"]
DECAY = ReactionNetwork("A -> 0 ; 1")
SKIN = models.single_progenitor()
DIMER = models.dimerisation(volume=10)


def reached(probabilities, states, bound=1e-6):
    """Whether states (runs, species) look drawn from a dict {state: probability}.

    The total variation exceeds its expectation (the floor) by e with probability below
    exp(-2 runs e^2) (McDiarmid's inequality).
    """
    runs = len(states)
    seen, counts = np.unique(states, axis=0, return_counts=True)
    shares = dict(zip(map(tuple, seen.tolist()), counts / runs, strict=True))
    every = probabilities.keys() | shares.keys()
    distance = sum(abs(probabilities.get(s, 0.0) - shares.get(s, 0.0)) for s in every) / 2
    floor = cn.sampling_floor(np.array(list(probabilities.values())), runs)
    return distance < floor + math.sqrt(math.log(1 / bound) / (2 * runs))


def same(first, second):
    """Whether two ensembles agree bit for bit."""
    found = [
        (e.moments().values, e.covariance().values, e.path_covariance().values, e.paths.values,
         *(e.histogram(e.times[row]).values for row in e._histograms))
        for e in (first, second)
    ]  # fmt: skip
    return all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


# --- random numbers ----------------------------------------------------------------------------


def draw(state):
    return streams.draw(*map(np.uint64, state))


def test_the_generator_is_xoshiro256_plus_plus():
    # first outputs of the authors' C code from the state 1, 2, 3, 4
    expected = [41943041, 58720359, 3588806011781223, 3591011842654386, 9228616714210784205,
                9973669472204895162, 14011001112246962877, 12406186145184390807]  # fmt: skip
    state = 1, 2, 3, 4
    for value in expected:
        x, *state = draw(state)
        assert x == value
        assert streams.uniform(np.uint64(x)) == (2 * (value >> 12) + 1) * 2.0**-53


def test_uniform_numbers_are_never_0_or_1():
    ends = [streams.uniform(np.uint64(x)) for x in (0, 2**64 - 1)]
    assert ends == [2.0**-53, 1 - 2.0**-53]


def test_waiting_times_are_those_of_the_logarithm():
    u = np.concatenate([[2.0**-53, 0.5, 1 - 2.0**-53], np.linspace(1e-6, 1 - 1e-6, 1001)])
    for total in (1.0, 3e-200, 7e250):
        found = [streams.waiting_time(x, total) for x in u]
        assert found == pytest.approx((-np.log(u) / total).tolist(), rel=4e-16 * 8)
    assert math.isnan(streams.waiting_time(0.5, 0.0))


def test_the_seeding_is_splitmix64():
    golden, mask = 0x9E3779B97F4A7C15, 2**64 - 1
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    found = [streams._split_mix(np.uint64((1234567 + i * golden) & mask)) for i in (1, 2, 3)]
    assert found == expected


def test_streams_are_uniform_and_unrelated():
    n = 20_000
    first, second, other_seed = np.empty((3, n))
    for i in range(n):
        x, *state = draw(streams.stream(7, i))
        numbers = x, draw(state)[0], draw(streams.stream(8, i))[0]
        first[i], second[i], other_seed[i] = (streams.uniform(np.uint64(x)) for x in numbers)
    for u in (first, second, other_seed):
        assert 0 < u.min() and u.max() < 1
        assert abs(u.mean() - 0.5) < 4.5 * math.sqrt(1 / 12 / n)
        counts = np.bincount((u * 20).astype(int).clip(0, 19), minlength=20)
        assert ((counts - n / 20) ** 2 / (n / 20)).sum() < 55  # 1e-5 quantile at 19
    pairs = [(first[1:], first[:-1]), (first, second), (first, other_seed)]
    assert all(abs(np.corrcoef(a, b)[0, 1]) < 4.5 / math.sqrt(n) for a, b in pairs)


# --- the law -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_birth_and_death_is_a_poisson_distribution(method):
    net = ReactionNetwork("0 -> A ; 4 \n A -> 0 ; 0.5", volume=2)
    times, runs = [0.5, 2.0, 10.0], 100_000
    data = sample(net, {}, times, runs, seed=1, method=method, histograms=times, keep=runs)
    for row, t in enumerate(times):
        mean = 16 * (1 - math.exp(-0.5 * t))
        law = {(n,): p for n, p in enumerate(poisson.pmf(range(60), mean))}
        assert reached(law, data.paths.values[:, row])
        z = (data.moments().values[row] - mean) / data.standard_error().values[row]
        assert np.abs(z).max() <= 4.5


@pytest.mark.parametrize("method", METHODS)
def test_decay_is_a_binomial_distribution(method):
    states = sample(DECAY, {"A": 30}, [0.7], 100_000, seed=2, method=method, keep=10**6).paths
    law = {(n,): p for n, p in enumerate(binom.pmf(range(31), 30, math.exp(-0.7)))}
    assert reached(law, states.values[:, 0])


def test_moments_of_the_single_progenitor_model():
    times = [0, 1, 5, 10, 20]
    pins = [
        [10, 0, 0, 0, 0],
        [10.080, 9.429, 1.781, 9.886, -0.578],
        [10.404, 28.447, 9.339, 52.197, 11.653],
        [10.824, 35.635, 19.825, 151.064, 42.338],
        [11.716, 40.177, 44.687, 430.693, 124.362],
    ]
    data = sample(SKIN, {"A": 10}, times, 100_000, seed=3, keep=20_000)
    found, error = data.moments(), data.standard_error()
    assert found.moment.values.tolist() == ["A", "B", "Var(A)", "Var(B)", "Cov(A, B)"]
    assert found.values[0].tolist() == pins[0] and not error.values[0].any()
    z = (found.values[1:] - pins[1:]) / error.values[1:]
    assert np.abs(z).max() <= 4.5
    exact_moments = cn.integrate(cn.moment_equations(SKIN), {"A": 10}, times)
    assert np.abs((found - exact_moments)[1:] / error[1:]).max() <= 4.5


CLOSED = {
    "homodimers, odd number": (DIMER, [21, 0]),
    "different molecules": (ReactionNetwork("A + B <-> C ; 0.3, 0.2", volume=4), [6, 9, 0]),
    "three molecules": (
        ReactionNetwork("3 A <-> B ; 0.9, 0.4 \n 2 B -> 6 A ; 0.1", volume=3),
        [10, 1],
    ),
    "2 A + B": (ReactionNetwork("2 A + B -> 3 B ; 0.4 \n B -> A ; 1"), [5, 2]),
    "autocatalysis": (ReactionNetwork("A + B -> 2 B ; 0.2 \n A <-> B ; 0.05, 0.5"), [9, 1]),
    "a rate of zero": (ReactionNetwork("A -> B ; 1 \n A -> C ; 0 \n B -> A ; 0.5"), [6, 0, 0]),
}


@cache
def _exact(name):
    net, start = CLOSED[name]
    times = [0.3, 1.5]
    law = oracles.dense_master_equation(
        net.reactants, net.products, net.rate_constants(), start, times, net.volume
    )
    return times, law


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CLOSED)
def test_nonlinear_networks_follow_the_master_equation(name, method):
    net, start = CLOSED[name]
    times, law = _exact(name)
    runs = 50_000
    paths = sample(net, start, times, runs, seed=4, method=method, keep=runs).paths.values
    for row in range(len(times)):
        assert reached({state: p[row] for state, p in law.items()}, paths[:, row])


@pytest.mark.parametrize("method", METHODS[1:])
def test_methods_agree_in_law_and_differ_in_numbers(method):
    runs = 50_000
    one, other = (
        sample(SKIN, {"A": 10}, [5], runs, seed=5, method=m, histograms=[5])
        for m in ("direct", method)
    )
    assert one.method == "direct" and other.method == method
    p, q = one.histogram(5), other.histogram(5)
    # the difference of two samples is as wide as one sample of half the runs
    floor = cn.sampling_floor(p, runs // 2)
    assert cn.total_variation(p, q) < floor + math.sqrt(math.log(1e6) / runs)
    error = np.hypot(one.standard_error(), other.standard_error())
    assert np.abs((one.moments() - other.moments()) / error).max() <= 4.5


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("volume", [1.0, 5.0])
def test_waiting_times(order, volume):
    """The share of runs in which n A have not yet reacted is exp(-k V C(n, v)/V^v t)."""
    n, k, runs = 7, 0.8, 40_000
    net = ReactionNetwork(f"{order} A -> B ; {k}", volume=volume)
    rate = k * volume * math.comb(n, order) / volume**order
    paths = sample(net, {"A": n}, [0.5 / rate, 1 / rate], runs, seed=6, keep=runs).paths
    for row, expected in enumerate(np.exp([-0.5, -1.0])):
        share = (paths.values[:, row, 0] == n).mean()
        assert abs(share - expected) < 4.5 * math.sqrt(expected * (1 - expected) / runs)


def test_tables_are_eq_5():
    net = ReactionNetwork(
        "0 -> A ; 1.3 \n A -> B ; 0.7 \n 2 A -> B ; 0.5 \n A + B -> 0 ; 0.2 \n"
        "3 A + 2 B -> A ; 1.1",
        volume=2.5,
    )  # fmt: skip
    tables = reaction_tables(net)
    for state in ([0, 0], [1, 1], [2, 1], [5, 4]):
        n = np.array(state, dtype=float)
        found = [
            propensity(
                j, n, 0.0, tables.rates, tables.factor_start, tables.factors, tables.law_start,
                tables.code, tables.constants, np.empty(400),
            )
            for j in range(5)
        ]  # fmt: skip
        assert found == pytest.approx(net.propensities(state).tolist(), rel=1e-14)
    assert tables.affected[tables.affected_start[0] : tables.affected_start[1]].tolist() == [
        1, 2, 3, 4,
    ]  # fmt: skip


def test_high_orders_do_not_overflow():
    # 20! * 20! does not fit into 64 bits
    net = ReactionNetwork("20 A + 20 B -> C ; 1e3")
    paths = sample(net, [21, 20, 0], [1, 50], 20, seed=1).paths.values
    assert set(map(tuple, paths[:, -1].tolist())) == {(1, 0, 1)}


# --- ends, grids and states that last ----------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_absorbing_states_last(method):
    arguments = dict(times=[0, 50, 1e6], runs=300, seed=1, method=method)
    assert not sample(DECAY, {"A": 0}, **arguments).paths.values.any()
    died = sample(DECAY, {"A": 20}, **arguments).paths.values
    assert np.all(died[:, 0] == 20) and not died[:, 1:].any()
    # one A is left of seven, and two of eight
    assert np.all(sample(ReactionNetwork("2 A -> 0 ; 1"), [7], **arguments).paths[:, -1] == 1)
    assert np.all(sample(ReactionNetwork("3 A -> 0 ; 1"), [8], **arguments).paths[:, -1] == 2)
    alone = sample(ReactionNetwork("A + B -> 0 ; 1"), [9, 0], **arguments).paths
    assert np.all(alone == [9, 0])


def test_without_a_positive_rate_nothing_happens():
    paths = sample(ReactionNetwork("A -> 0 ; 0 \n 0 -> A ; 0"), [4], [0, 9], 10, seed=1).paths
    assert np.all(paths == 4)


def test_the_grid_does_not_change_the_runs():
    """Recorded are the counts that hold at a time, whichever other times are recorded."""
    fine = sample(SKIN, {"A": 10}, np.linspace(0, 4, 41), 50, seed=3).paths
    coarse = sample(SKIN, {"A": 10}, [0, 1, 4], 50, seed=3).paths
    assert np.array_equal(fine.values[:, [0, 10, 40]], coarse.values)
    last = sample(SKIN, {"A": 10}, 4, 50, seed=3).paths
    assert np.array_equal(last.values[:, 0], coarse.values[:, 2])
    assert np.all(coarse.values[:, 0] == [10, 0])


def test_one_reaction_at_a_time():
    fine = sample(DIMER, [12, 0], np.linspace(0, 0.2, 200_001), 5, seed=1, keep=5).paths.values
    steps = np.diff(fine, axis=1).reshape(-1, 2)
    steps = {tuple(s) for s in steps.tolist()}
    assert {(0, 0), (-2, 1), (2, -1)} >= steps and len(steps) > 1


names = st.sampled_from("ABC")
sides = st.dictionaries(names, st.integers(1, 3), max_size=2)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(sides, sides, st.sampled_from([0, 0.3, 2])), min_size=1, max_size=4),
    st.integers(0, 10),
    st.sampled_from(METHODS),
)  # fmt: skip
def test_counts_stay_whole_and_laws_hold(reactions, molecules, method):
    def text(side):
        return " + ".join(f"{v} {s}" for s, v in sorted(side.items())) or "0"

    lines = {" -> ".join(map(text, pair)): rate for *pair, rate in reactions if pair[0] != pair[1]}
    net = ReactionNetwork([f"{text} ; {rate}" for text, rate in lines.items()] or ["A -> 0 ; 1"])
    start = [molecules] * len(net.species)
    try:
        data = sample(net, start, [0, 0.1, 0.5], 20, seed=1, method=method, max_events=500)
    except SimulationError as error:
        assert "passed 500 reactions" in str(error)
        return
    paths = data.paths.values
    assert paths.min() >= 0 and np.all(paths[:, 0] == start)
    laws = net.conservation_laws().to_numpy()
    assert np.all(paths @ laws.T == (np.array(start) @ laws.T))


# --- the same bits -----------------------------------------------------------------------------


def _reference(**change):
    arguments = dict(runs=3000, seed=9, histograms=[3], keep=100) | change
    return sample(SKIN, {"A": 10}, [0, 1, 3], **arguments)


@pytest.mark.parametrize("method", METHODS)
def test_threads_do_not_matter(method):
    one = _reference(method=method, threads=1)
    assert same(one, _reference(method=method, threads=2))
    assert same(one, _reference(method=method, threads=5))
    assert same(one, _reference(method=method))


@pytest.mark.parametrize(("first", "most"), [(1, 2**25), (7, 2**25), (3000, 2**28), (256, 4000)])
def test_blocks_do_not_matter(first, most, monkeypatch):
    reference = _reference()
    monkeypatch.setattr(blocks, "FIRST_BLOCK", first)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", most)
    assert same(reference, _reference())


LOCKSTEP = {
    "skin cells": (SKIN, [10, 0]),
    "no events": (ReactionNetwork("A -> 0 ; 0"), [3]),
    "dying out": (ReactionNetwork("A -> 2 A ; 1 \n A -> 0 ; 2"), [4]),
    "rate laws": (
        ReactionNetwork(
            "0 -> A ; law: 9*exp(-A/5) + sqrt(B) \n A -> B ; law: min(A, 4)*2**-B \n"
            "B -> 0 ; 1.5 \n 2 A -> 0 ; law: piecewise(A, B > 2, 0.1)"
        ),
        [1, 2],
    ),
    "all orders": (
        ReactionNetwork("0 -> A ; 5 \n 3 A <-> B ; 0.2, 1 \n A + B -> B ; 1 \n 2 B -> 0 ; 1"),
        [0, 0],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LOCKSTEP)
def test_lanes_do_not_matter(name):
    """Any number of lanes gives the numbers of the plain direct method, bit for bit."""
    net, start = LOCKSTEP[name]
    simulator = Simulator(net, start, [0, 0.3, 0.31, 2.5], seed=7)
    plain = simulator.run(5, 300, lanes=1)
    for number in (2, 3, 8, 64, 128, 301):
        for found, expected in zip(simulator.run(5, 300, lanes=number), plain, strict=True):
            assert np.array_equal(found, expected)


def test_the_width_of_a_pack_does_not_matter(tmp_path):
    """Code for a processor of any make has narrow packs, and the same bits."""
    program = """if True:
        import chemnb as cn
        from chemnb._kernels.lanes import WIDTH
        from chemnb.sampling.simulator import Simulator
        net = cn.ReactionNetwork("2 A <-> B ; 0.2, 3 \\n B -> 0 ; law: 9*B/(1 + A)")
        print(WIDTH, Simulator(net, [9, 0], [0, 0.3, 2.5], seed=7).run(5, 150, lanes=48).ended.sum())
    """
    plain = Simulator(
        ReactionNetwork("2 A <-> B ; 0.2, 3 \n B -> 0 ; law: 9*B/(1 + A)"), [9, 0], [0, 0.3, 2.5], 7
    ).run(5, 150, lanes=1)
    own = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | own, capture_output=True, text=True
    )
    assert done.stdout.split() == ["16", repr(float(plain.ended.sum()))], done.stderr


@pytest.mark.parametrize("name", sorted(LOCKSTEP.keys() - {"rate laws"}))
def test_the_first_answer_has_the_same_bits(name):
    net, start = LOCKSTEP[name]
    times = np.array([0, 0.3, 0.31, 2.5])
    plain = Simulator(net, start, times, seed=7).run(5, 200, lanes=1)
    arguments = reaction_tables(net), net.stoichiometry.astype(float), np.array(start, float), times
    found = simulate(*arguments, 5, 200, 7, most_steps=10**5)
    for a, b in zip(found, plain, strict=False):
        assert np.array_equal(a, b)
    # what is long is left to the compiled kernels
    assert name == "no events" or simulate(*arguments, 5, 200, 7, most_steps=3) is None


def test_a_first_answer_needs_no_numba():
    program = (
        "import sys, chemnb as cn; net = cn.ReactionNetwork('A -> 0 ; 1'); "
        "first = cn.sample(net, [9], [0, 1, 9], 200, seed=3, keep=300); "
        "assert 'Var(A)' in first._repr_html_(); "
        "assert not {'numba', 'xarray', 'pandas'} & sys.modules.keys(); "
        "from chemnb.sampling.simulator import Simulator; Simulator(net, [9], [1.0], 3).run(256, 5); "
        "assert 'chemnb._kernels.direct' in sys.modules; "  # only the very first runs do without
        "again = cn.sample(net, [9], [0, 1, 9], 200, seed=3, keep=300); "
        "assert (first.paths == again.paths).all()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_long_job_starts_with_the_kernels():
    program = (
        "import sys, chemnb as cn; net = cn.ReactionNetwork('A -> 0 ; 1'); "
        "cn.sample(net, [9], [0, 1, 9], 5000, seed=3); "
        "assert 'chemnb._kernels.lanes' in sys.modules; "
        "assert 'chemnb.sampling.first_answer' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_seeds_matter_and_runs_have_streams_of_their_own():
    few, many = _reference(runs=40), _reference(runs=60)
    assert np.array_equal(few.paths, many.paths[:40])
    other = _reference(runs=40, seed=10).paths.values
    assert not np.array_equal(other, few.paths)
    # neither do seed and run number stand in for each other
    assert not np.array_equal(other[:-1], few.paths.values[1:])
    assert not np.array_equal(other[1:], few.paths.values[:-1])
    largest = _reference(runs=40, seed=2**63 - 1)
    assert largest.seed == 2**63 - 1 and not np.array_equal(largest.paths, few.paths)


def test_kept_paths_are_those_of_a_rerun():
    data = _reference(keep=25)
    assert np.array_equal(data.paths, _reference(runs=25).paths)
    assert data.runs == 3000 and data.paths.sizes["run"] == 25


def test_neighbouring_runs_are_uncorrelated():
    counts = sample(DECAY, {"A": 40}, [0.7], 50_000, seed=1, keep=10**5).paths.values[:, 0, 0]
    for lag in (1, 2, 64):
        assert abs(np.corrcoef(counts[lag:], counts[:-lag])[0, 1]) < 4.5 / math.sqrt(len(counts))


def test_another_network_does_not_recompile():
    for net, start in CLOSED.values():
        for method in METHODS:
            sample(net, start, [0, 0.1], 3, seed=1, method=method, max_events=1e5)
        Simulator(net, start, [0, 0.1], 1).run(0, 9, lanes=4)
    sample(DECAY, np.array([3], dtype=np.int32), range(3), 3, seed=np.uint8(1))
    sample(ReactionNetwork("A -> 0 ; law: A/(A + 1)"), [3], [1.0], 3, seed=1, stop="A == 1")
    assert len(direct.run_block.signatures) == len(lanes.run_block.signatures) == 1


# --- memory ------------------------------------------------------------------------------------


def test_blocks_are_bounded_in_memory(monkeypatch):
    sizes = []
    add = cn.Ensemble.add
    monkeypatch.setattr(cn.Ensemble, "add", lambda self, c: (sizes.append(c.nbytes), add(self, c)))
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4800)
    data = _reference(runs=5000, threads=2)
    assert max(sizes) <= 4800 // 3 and sum(sizes) == 5000 * 48
    assert data._sums.shape == (3, 2) and data._products.shape == (3, 2, 2)
    assert sum(block.nbytes for block in data._kept) == 100 * 48


def test_kept_runs_are_few_by_default():
    assert sample(DECAY, [1], [0, 1], 20_000, seed=1).paths.sizes["run"] == 10_000
    long = sample(DECAY, [1], np.arange(2**17), 100, seed=1)
    assert long.paths.sizes["run"] == 64  # 64 MB
    assert sample(DECAY, [1], [0, 1], 10, seed=1, keep=50).paths.sizes["run"] == 10


# --- what goes wrong ---------------------------------------------------------------------------

WHOLE = "must be a whole number of"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runs": 0}, f"runs=0 {WHOLE} 1 or more"),
        ({"runs": -5}, f"runs=-5 {WHOLE} 1 or more"),
        ({"runs": 2.5}, f"runs=2.5 {WHOLE} 1 or more"),
        ({"runs": True}, f"runs=True {WHOLE} 1"),
        ({"runs": math.nan}, f"runs=nan {WHOLE} 1"),
        ({"runs": "many"}, f"runs='many' {WHOLE} 1"),
        ({"runs": None}, f"runs=None {WHOLE} 1"),
        ({"seed": -1}, f"seed=-1 {WHOLE} 0 or more"),
        ({"seed": None}, f"seed=None {WHOLE} 0"),
        (
            {"seed": 2**63},
            r"seed=9223372036854775808 is too large; use a whole number below 2\*\*63",
        ),
        ({"keep": -1}, f"keep=-1 {WHOLE} 0 or more"),
        ({"max_events": 0}, f"max_events=0 {WHOLE} 1 or more"),
        ({"max_events": 2.5}, f"max_events=2.5 {WHOLE} 1"),
        ({"threads": 0}, f"threads=0 {WHOLE} 1 or more"),
        ({"threads": 1.5}, f"threads=1.5 {WHOLE} 1"),
        ({"threads": 10_000}, "threads=10000; this machine allows 1 to "),
        ({"method": "tau"}, r"method='tau' is unknown; use one of \('auto', 'direct', 'first-rea"),
        ({"times": []}, r"times has shape \(0,\); give a sequence of at least one time"),
        ({"times": [[0, 1]]}, r"times has shape \(1, 2\); give a sequence"),
        (
            {"times": [0, 1, 1]},
            r"times must be finite, zero or more and increasing; got \[0.0, 1.0, ",
        ),
        ({"times": [1, 0]}, r"increasing; got \[1.0, 0.0\]$"),
        ({"times": [-1, 1]}, r"zero or more and increasing; got \[-1.0, 1.0\]"),
        ({"times": [0, math.nan]}, "times must be finite"),
        ({"times": [0, math.inf]}, "times must be finite"),
        ({"times": range(9, 0, -1)}, r"got \[9.0, 8.0, 7.0, 6.0, 5.0, 4.0\]\.\.\."),
        ({"histograms": [3]}, "histogram time 3 is not one of the recorded times; add it"),
        ({"histograms": [0, math.nan]}, "histogram time nan is not one of the recorded times"),
        ({"initial": [[1], [2]]}, r"initial has shape \(2, 1\); give one count a species"),
    ],
)
def test_bad_arguments_are_explained(change, message):
    arguments = dict(network=DECAY, initial=[5], times=[0, 1], runs=10, seed=1) | change
    with pytest.raises(SimulationError, match=message):
        sample(**arguments)


@pytest.mark.parametrize(
    ("network", "initial", "message"),
    [
        (DECAY, {"X": 1}, "'X' is not a species of this network"),
        (DECAY, [1, 2], r"a state of shape \(2,\) for 1 species"),
        (DECAY, [-1], "counts must be whole numbers, zero or more"),
        (DECAY, [0.5], "counts must be whole numbers, zero or more"),
        (DECAY, [math.inf], r"counts must be at most 2\^53"),
        (ReactionNetwork("A -> 0 ; k"), [1], r"'k' has no value; give it with .*\(k=...\)"),
    ],
)
def test_bad_networks_and_starts_are_explained(network, initial, message):
    with pytest.raises(NetworkError, match=message):
        sample(network, initial, [0, 1], 10, seed=1)


@pytest.mark.parametrize("method", METHODS)
def test_an_explosion_is_stopped(method):
    growth = ReactionNetwork("A -> 2 A ; 1 \n B -> 0 ; 1")
    message = r"run 0 passed 1,500 reactions, lately 'A -> 2 A'; the network may explode: .*max_ev"
    with pytest.raises(SimulationError, match=message):
        sample(growth, {"A": 1}, [100], 10, seed=1, method=method, max_events=1500)


def test_the_event_limit_is_exact():
    for limit in (5, 6):
        done = sample(DECAY, {"A": 5}, [0, 100], 20, seed=1, max_events=limit)
        assert not done.paths.values[:, 1].any()
    with pytest.raises(SimulationError, match="run 0 passed 4 reactions, lately 'A -> 0'"):
        sample(DECAY, {"A": 5}, [0, 100], 20, seed=1, max_events=4)


def test_the_failing_run_is_named(monkeypatch):
    # extinction comes early or the run explodes: the first that does is reported, in any block
    net = ReactionNetwork("A -> 2 A ; 1.1 \n A -> 0 ; 1")
    found = set()
    for first in (1, 256):
        monkeypatch.setattr(blocks, "FIRST_BLOCK", first)
        with pytest.raises(SimulationError, match="passed 2,000 reactions") as error:
            sample(net, {"A": 1}, [1000], 500, seed=2, max_events=2000)
        found.add(str(error.value).split()[1])
    assert len(found) == 1 and int(found.pop()) > 0


def test_a_count_beyond_exact_floats_is_stopped():
    net = ReactionNetwork("A -> 1000000 A ; 1")
    with pytest.raises(
        SimulationError, match=r"in run 0 'A -> 1000000 A' drove a count beyond 2\^53"
    ):
        sample(net, {"A": 2**53 - 10**7}, [100], 3, seed=1)


@pytest.mark.parametrize("method", ["direct", "tree"])
def test_a_count_does_not_stick_where_floats_end(method):
    # from 2^53 on, one more is rounded away
    net = ReactionNetwork("0 -> A ; 90")
    with pytest.raises(SimulationError, match=r"beyond 2\^53"):
        sample(net, {"A": 2**53 - 100}, [3], 70, seed=1, method=method)
