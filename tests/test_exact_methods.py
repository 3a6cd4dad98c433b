"""Every exact method against distributions that are known without sampling."""

import math
from functools import cache

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.stats import chi2, expon, kstest, nbinom, poisson

import chemnb as cn
from chemnb import models
from chemnb._kernels import composition_rejection
from chemnb.networks.network import ReactionNetwork
from chemnb.sampling.simulator import METHODS, Simulator, choose_method

EXACT = [method for method in METHODS if method != "auto"]

TOGGLE = """
    0 -> U ; law: 6/(1 + (W/2)**2)
    U -> 0 ; 1
    0 -> W ; law: 5/(1 + (U/2)**3)
    W -> 0 ; 1
"""
NETWORKS = {
    "birth and death": (ReactionNetwork("0 <-> A ; 4, 0.5"), [0], 3.0),
    "skin cells": (models.single_progenitor(), [10, 0], 2.0),
    "dimers in a volume": (models.dimerisation(volume=10), [21, 0], 0.7),
    "Schloegl": (
        ReactionNetwork("2 A <-> 3 A ; 0.6, 0.12 \n 0 <-> A ; 1.5, 1"), [3], 4.0,
    ),
    "enzyme": (
        ReactionNetwork("S + E <-> C ; 0.5, 0.5 \n C -> E + P ; 1"), [8, 3, 0, 0], 2.0,
    ),
    "predator and prey": (
        ReactionNetwork("X -> 2 X ; 1 \n X + Y -> 2 Y ; 0.2 \n Y -> 0 ; 1.2"), [6, 3], 1.0,
    ),
    "toggle switch, Hill laws": (ReactionNetwork(TOGGLE), [0, 0], 3.0),
    "Michaelis and Menten, with loss": (
        ReactionNetwork("S -> P ; law: Vm*S/(K + S) \n P -> 0 ; 0.3", Vm=4, K=3), [12, 0], 2.0,
    ),
}  # fmt: skip


@cache
def _solved(name):
    net, start, end = NETWORKS[name]
    solution = cn.finite_state_projection(net, start, [end], tolerance=1e-7)
    return solution.probability.isel(time=0)


def chi_square(shares, probability, runs):
    """Return the p-value of counts against probabilities, rare states put together."""
    expected = probability * runs
    common = expected >= 10
    rest = runs - expected[common].sum()
    seen = np.append(shares[common] * runs, runs - shares[common].sum() * runs)
    wanted = np.append(expected[common], rest)
    keep = wanted > 1e-6 * runs
    statistic = ((seen[keep] - wanted[keep]) ** 2 / wanted[keep]).sum()
    return chi2.sf(statistic, keep.sum() - 1)


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_distribution_is_that_of_the_master_equation(name, method):
    net, start, end = NETWORKS[name]
    runs, probability = 40_000, _solved(name)
    data = cn.sample(net, start, [end], runs, seed=11, method=method, histograms=[end], keep=0)
    shares = data.histogram(end)
    shape = np.maximum(shares.shape, probability.shape)
    seen, exact = (
        np.pad(x.values, [(0, m - s) for m, s in zip(shape, x.shape, strict=True)])
        for x in (shares, probability)
    )
    # 40 tests: a false alarm once in 2500 suites
    assert chi_square(seen, exact, runs) > 1e-5
    assert np.abs(seen - exact).sum() / 2 < 1.5 * cn.sampling_floor(exact, runs) + 0.01


@pytest.mark.parametrize("method", EXACT)
def test_waiting_times_are_exponential_and_choices_independent(method):
    """Two reactions compete: time of the first event, and which it was."""
    net = ReactionNetwork("A -> B ; 0.7 \n A + C -> D ; 0.4 \n 2 A -> E ; 0.1")
    start = {"A": 4, "C": 2}
    rates = net.propensities(start)
    runs = 4000
    first = [
        Simulator(net, net.counts(start), [50.0], seed, method=method).log(0)
        for seed in range(runs)
    ]
    times = np.array([t[0] for t, _ in first])
    which = np.array([j[0] for _, j in first])
    assert kstest(times, expon(scale=1 / rates.sum()).cdf).pvalue > 1e-5
    counts = np.bincount(which, minlength=3)
    expected = runs * rates / rates.sum()
    assert chi2.sf(((counts - expected) ** 2 / expected).sum(), 2) > 1e-5
    assert abs(np.corrcoef(times, which)[0, 1]) < 4.5 / math.sqrt(runs)


def variance_score(data, species, variance, kurtosis):
    """Return how many standard errors the sample variance is off; kurtosis is the fourth central
    moment over the squared variance."""
    found = data.moments().sel(moment=f"Var({species})").values[-1]
    n = data.runs
    return (found - variance) / (variance * math.sqrt((kurtosis - 1 + 2 / (n - 1)) / n))


@pytest.mark.parametrize("method", EXACT)
def test_immigration_in_batches(method):
    """Ten at a time, lost one by one: heavy tails, where a naive variance score is wrong."""
    lam, size, mu, t, runs = 0.2, 10, 1.0, 1.5, 60_000
    net = ReactionNetwork(f"0 -> {size} A ; lam \n A -> 0 ; mu", lam=lam, mu=mu)
    data = cn.sample(net, {}, [t], runs, seed=5, method=method)
    # a cluster point process: cumulants are integrals of factorial moments of a binomial
    s = np.linspace(0, t, 20_001)
    p = np.exp(-mu * s)
    raw = _binomial_moments(size, p)
    cumulants = [np.trapezoid(lam * raw[k], s) for k in range(4)]
    mean, variance, _, fourth = cumulants
    z = (data.mean().values[0, 0] - mean) / math.sqrt(variance / runs)
    assert abs(z) < 4.5
    assert abs(variance_score(data, "A", variance, fourth / variance**2 + 3)) < 4.5


def _binomial_moments(n, p):
    """Return the raw moments of orders 1 to 4 of Binomial(n, p)."""
    falling = [math.prod(range(n - k + 1, n + 1)) * p**k for k in range(5)]
    stirling = [[1], [1, 1], [1, 3, 1], [1, 7, 6, 1]]
    return [sum(c * falling[k + 1] for k, c in enumerate(row)) for row in stirling]


@pytest.mark.parametrize("method", EXACT)
def test_immigration_and_death_from_many(method):
    """A Poisson part that comes in and a binomial part that is left."""
    net = ReactionNetwork("0 <-> A ; 30, 1.5")
    t, runs = 0.4, 30_000
    data = cn.sample(net, [50], [t], runs, seed=6, method=method)
    p = math.exp(-1.5 * t)
    mean, variance = 50 * p + 20 * (1 - p), 50 * p * (1 - p) + 20 * (1 - p)
    assert abs(data.mean().values[0, 0] - mean) < 4.5 * math.sqrt(variance / runs)
    fourth = 50 * p * (1 - p) * (1 - 6 * p * (1 - p)) + 20 * (1 - p)
    assert abs(variance_score(data, "A", variance, fourth / variance**2 + 3)) < 4.5


@pytest.mark.parametrize("method", EXACT)
def test_growth_by_division_is_geometric(method):
    net, t, runs = ReactionNetwork("A -> 2 A ; 1"), 1.2, 20_000
    paths = cn.sample(net, [3], [t], runs, seed=7, method=method, keep=runs).paths.values[:, 0, 0]
    law = nbinom(3, math.exp(-t))  # failures before three successes
    cells = np.arange(0, 40)
    expected = law.pmf(cells) * runs
    counts = np.bincount(paths - 3, minlength=40)[:40]
    keep = expected > 10
    assert chi2.sf(((counts - expected)[keep] ** 2 / expected[keep]).sum(), keep.sum() - 1) > 1e-5


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("molecules", [0, 1, 2])
def test_homodimers_of_few_molecules(method, molecules):
    """Two molecules react at the rate k/V; none and one never do."""
    net, runs, t = ReactionNetwork("2 A -> B ; 3", volume=2.0), 20_000, 0.5
    paths = cn.sample(net, [molecules, 0], [t, 1e6], runs, seed=8, method=method, keep=runs).paths
    reacted = (paths.values[:, :, 1] == 1).mean(axis=0)
    if molecules < 2:
        assert not reacted.any()
        return
    expected = 1 - math.exp(-1.5 * t)
    assert abs(reacted[0] - expected) < 4.5 * math.sqrt(expected * (1 - expected) / runs)
    assert reacted[1] == 1


# --- large networks ----------------------------------------------------------------------------


def ring(size):
    return ReactionNetwork([f"S{i} -> S{(i + 1) % size} ; 1" for i in range(size)])


@pytest.mark.parametrize("method", ["tree", "next-reaction", "composition-rejection"])
@pytest.mark.parametrize("size", [7, 64, 65, 600, 1100])
def test_walkers_on_a_ring_are_independent(method, size):
    """A molecule has moved on by a Poisson number of steps; molecules do not see each other."""
    start = np.zeros(size, dtype=int)
    start[0] = 400
    found = cn.sample(ring(size), start, [2.0], 30, seed=3, method=method, keep=30).paths.values
    total = found[:, 0].sum(axis=0)
    steps = np.arange(40 * size)
    expected = np.bincount(steps % size, poisson.pmf(steps, 2.0), minlength=size) * total.sum()
    keep = expected > 5
    assert np.all(found.sum(axis=2) == 400)
    statistic = ((total - expected)[keep] ** 2 / expected[keep]).sum()
    assert chi2.sf(statistic, keep.sum() - 1) > 1e-5


def test_widely_different_propensities():
    """Sixteen orders of magnitude between reactions: no sum drifts, nothing is lost."""
    lines = [f"F{i} <-> G{i} ; 1e8, 1e8" for i in range(4)]
    net = ReactionNetwork([*lines, "A -> 0 ; 1e-3"])
    start = {f"F{i}": 1 for i in range(4)} | {"A": 1000}
    runs, t = 200, 2e-5
    for method in ("tree", "next-reaction", "direct", "composition-rejection"):
        data = cn.sample(net, start, [t], runs, seed=4, method=method, keep=runs)
        found = data.paths.sel(species="A").values
        assert 1000 * runs - found.sum() <= 5  # 0.004 are expected
        pairs = data.mean().sel(species=[f"F{i}" for i in range(4)]).values
        assert np.abs(pairs - 0.5).max() < 4.5 * math.sqrt(0.25 / runs)


LARGE_METHODS = ["tree", "next-reaction", "composition-rejection"]


@pytest.mark.parametrize("method", LARGE_METHODS)
def test_a_ring_whose_rates_span_ten_decades(method):
    """Molecules leave fast places for slow ones: groups of propensities appear and fall empty."""
    size, runs, times = 60, 3000, [1e-4, 0.02]
    rates = 10.0 ** np.linspace(-5, 5, size)
    net = ReactionNetwork([f"S{i} -> S{i + 1} ; {float(k)!r}" for i, k in enumerate(rates)])
    start = [3] * size + [0]
    data = cn.sample(net, start, times, runs, seed=13, method=method, keep=0)
    flow = np.zeros((size + 1, size + 1))
    flow[range(size), range(size)], flow[range(1, size + 1), range(size)] = -rates, rates
    for time, found in zip(times, data.mean().values, strict=True):
        reached = expm(flow * time)[:, :size]  # from each place where molecules start
        mean = 3 * reached.sum(axis=1)
        variance = 3 * (reached * (1 - reached)).sum(axis=1)
        error = (found - mean) / np.sqrt(variance / runs + 1e-9)
        # 61 places: rare visits are far from normal
        assert np.abs(error[mean * runs > 20]).max() < 5
        assert found.sum() == pytest.approx(3 * size)


@pytest.mark.parametrize("lanes", [1, 2, 5, 16])
@pytest.mark.parametrize("name", ["enzyme", "toggle switch, Hill laws", "decades"])
def test_lanes_do_not_matter(name, lanes):
    """Trajectories that take turns do not see each other."""
    if name == "decades":
        net = ReactionNetwork([f"S{i} -> S{(i + 1) % 40} ; {10.0 ** (i % 9)}" for i in range(40)])
        start, times = [2] * 40, np.array([0.0, 1e-6, 1e-4])
    else:
        net, start, end = NETWORKS[name]
        times = np.array([0.0, end / 2, end])
    simulator = Simulator(
        net, net.counts(start), times, 5, method="composition-rejection", max_events=10**6
    )
    reference = simulator.run(0, 40)

    def alone(first, size):
        arrays = (
            np.zeros((size, 3), np.int64), np.zeros((size, 1)), np.zeros((size, len(start))),
            np.empty((size, len(times), len(start)), np.int64),
        )  # fmt: skip
        composition_rejection.run_block(
            *arrays,
            times,
            first,
            5,
            simulator.start,
            simulator._tables,
            simulator._control(),
            lanes,
        )
        return arrays

    for first, size in ((0, 40), (7, 9), (39, 1)):
        report, ended, final, counts = alone(first, size)
        part = slice(first, first + size)
        assert np.array_equal(counts, reference.counts[part])
        assert np.array_equal(report[:, 2], reference.events[part])
        assert np.array_equal(ended[:, 0], reference.ended[part])
        assert np.array_equal(final, reference.final[part])


@pytest.mark.parametrize("method", LARGE_METHODS)
def test_large_methods_stop_log_and_end_alike(method):
    """Stops, logs, absorbing states, guards: the same through every way of running."""
    net = ReactionNetwork("A -> B ; 1 \n B -> 0 ; law: 2*B/(1 + B) \n 2 A -> 0 ; 0.1")
    start, runs = {"A": 12}, 50
    passed = cn.first_passage(net, start, "A <= 2", 90, runs, seed=3, method=method)
    ends = cn.sample(net, start, [0, 1, 1e9], runs, seed=3, method=method, keep=runs).paths.values
    assert not ends[:, -1].any()  # everything dies out
    for run, path in enumerate(cn.record_events(net, start, 90, runs, seed=3, method=method)):
        assert np.array_equal(path.values[-1], [0, 0])
        first = np.flatnonzero(path.sel(species="A").values <= 2)[0]
        assert path.time.values[first] == passed.time.values[run]
        assert np.array_equal(path.values[first], passed.state.values[run])
        at = np.searchsorted(path.time.values, 1.0, side="right") - 1
        assert np.array_equal(path.values[at], ends[run, 1])
    one, two = (
        cn.sample(net, start, [1], 700, seed=3, method=method, threads=threads, keep=700)
        for threads in (1, 2)
    )
    assert np.array_equal(one.paths, two.paths) and one.moments().equals(two.moments())
    with pytest.raises(cn.SimulationError, match="passed 5 reactions, lately '"):
        cn.sample(net, start, [9], 20, seed=3, method=method, max_events=5)
    with pytest.raises(cn.SimulationError, match="the rate law of 'A -> 0.* gives -"):
        cn.sample(
            ReactionNetwork("A -> 0 ; law: 3 - A \n 0 -> A ; 9"), [0], [9], 5, seed=1, method=method
        )
    with pytest.raises(cn.SimulationError, match="the propensity of 'A -> 2 A.* too large for a"):
        cn.sample(ReactionNetwork("A -> 2 A ; 1e308"), [9], [9], 5, seed=1, method=method)
    with pytest.raises(cn.SimulationError, match="drove a count beyond 2.53"):
        cn.sample(ReactionNetwork("A -> 2 A ; 1"), [2**53 - 1], [9], 5, seed=1, method=method)


def test_the_method_that_is_chosen():
    assert choose_method(ring(70), "auto") == "direct"
    assert choose_method(ring(100), "auto") == "composition-rejection"
    assert choose_method(ring(1000), "next-reaction") == "next-reaction"
    data = cn.sample(ring(101), np.ones(101), [0.1], 2, seed=1)
    assert data.method == "composition-rejection"
    assert "composition-rejection method" in repr(data)
    # a species that every reaction reads: each of its events changes them all
    joined = [f"S{i} + H -> S{i + 1} + 2 H ; 1" for i in range(150)]
    assert choose_method(ReactionNetwork(joined), "auto") == "direct"
    timed = ReactionNetwork("0 -> A ; law: t")
    assert choose_method(timed, "auto") == "direct"
    with pytest.raises(cn.SimulationError, match="method='tree' cannot follow a rate law that dep"):
        cn.sample(timed, [0], [1], 1, seed=1, method="tree")


# --- rates that depend on the time -------------------------------------------------------------

TIMED = {
    "20*(1 + sin(3*t))": lambda t: 20 * (t + (1 - np.cos(3 * t)) / 3),
    "50*exp(-2*t)": lambda t: 25 * (1 - np.exp(-2 * t)),
    "30*cos(2*t)**2": lambda t: 15 * t + 15 * np.sin(4 * t) / 4,
    "10*t**2": lambda t: 10 * t**3 / 3,
    "piecewise(5, t < 1, 40)": lambda t: 5 * np.minimum(t, 1) + 40 * np.maximum(t - 1, 0),
    "12*sqrt(t)": lambda t: 8 * t**1.5,
    "20/(1 + t)": lambda t: 20 * np.log1p(t),
    "10*abs(t - 1) + 3*floor(2*t)": lambda t: np.where(
        t < 1, 10 * t - 5 * t**2, 5 + 5 * (t - 1) ** 2
    ) + 3 * (np.floor(2 * t) * (np.floor(2 * t) - 1) / 4 + np.floor(2 * t) * (t - np.floor(2 * t) / 2)),
    "9*tanh(t) + 4*t**0.5 + log(1 + t)": lambda t: 9 * np.log(np.cosh(t))
    + 8 / 3 * t**1.5
    + (1 + t) * np.log1p(t)
    - t,
}  # fmt: skip


@pytest.mark.parametrize("law", TIMED)
def test_an_inhomogeneous_poisson_process(law):
    times, runs = np.array([0.4, 1.0, 2.3]), 20_000
    data = cn.sample(ReactionNetwork(f"0 -> A ; law: {law}"), [0], times, runs, seed=9, keep=runs)
    means = TIMED[law](times)
    for row, mean in enumerate(means):
        counts = data.paths.values[:, row, 0]
        expected = poisson.pmf(np.arange(300), mean) * runs
        seen = np.bincount(counts, minlength=300)[:300]
        keep = expected > 10
        statistic = ((seen - expected)[keep] ** 2 / expected[keep]).sum()
        assert chi2.sf(statistic, keep.sum() - 1) > 1e-5
    # increments are independent
    steps = np.diff(data.paths.values[:, :, 0], axis=1)
    assert abs(np.corrcoef(steps.T)[0, 1]) < 4.5 / math.sqrt(runs)


def test_a_waiting_time_under_a_rising_hazard():
    """P(T > t) = exp(-t^2) for the hazard 2 t, of one molecule among others that react often."""
    net = ReactionNetwork("A -> B ; law: 2*t*A \n 0 <-> C ; 30, 1")
    runs = 5000
    passed = cn.first_passage(net, {"A": 1}, "B == 1", until=10, runs=runs, seed=3)
    assert kstest(passed.time.values, lambda t: 1 - np.exp(-(t**2))).pvalue > 1e-5


def test_time_only_shifts_what_does_not_depend_on_it():
    """A law that mentions the time but does not depend on it has the law of the plain network."""
    plain = ReactionNetwork("0 -> A ; 6 \n 2 A -> 0 ; 0.3")
    timed = ReactionNetwork("0 -> A ; law: 6 + 0*t \n 2 A -> 0 ; 0.3")
    exact = cn.finite_state_projection(plain, [0], [2.0]).probability.values[0]
    shares = cn.sample(timed, [0], [2.0], 40_000, seed=2, histograms=[2]).histogram(2).values
    size = max(len(exact), len(shares))
    seen, wanted = (np.pad(x, (0, size - len(x))) for x in (shares, exact))
    assert chi_square(seen, wanted, 40_000) > 1e-5


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ("1/t", r"gives inf in the state {'A': 0} at t = 0 \(run 0\)"),
        ("10 - 20*t", "the rate law of '0 -> A ; law: 10 - 20.t' gives -[0-9.e-]+ in the state"),
        ("1/(t - 1)**2", "has no finite bound in the state|passed 9,000 reactions"),
        ("sqrt(1 - t)", "gives nan|has no finite bound"),
    ],
)
def test_laws_without_a_bound_are_explained(law, message):
    with pytest.raises(cn.SimulationError, match=message):
        cn.sample(ReactionNetwork(f"0 -> A ; law: {law}"), [0], [3], 10, seed=1, max_events=9000)
