"""Tau-leaping and the chemical Langevin equation: right where they are right, wrong where wrong."""

import math
import time

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import chemnb as cn
from chemnb._kernels.random import stream
from chemnb._kernels.variates import log_poisson, normal_pair, poisson
from chemnb.networks.network import NetworkError, ReactionNetwork
from chemnb.sampling.approximate import LangevinEnsemble, _Leaper, sample_langevin, sample_tau_leap
from chemnb.sampling.ensemble import EnsembleError
from chemnb.sampling.simulator import SimulationError

DECAY = ReactionNetwork("A -> 0 ; 1")
USUAL = dict(epsilon=0.03, max_steps=10**7)


def reports(network, start, times, runs, *, seed=1, **options):
    """Return the states and (steps, leaps, refused leaps) of each run."""
    leaper = _Leaper(
        network, network.counts(start), np.array(times, float), seed, **(USUAL | options)
    )
    states, report = leaper.run(0, runs)
    return states, report[:, 2:].T


# --- random numbers ---------------------------------------------------------------------------


@numba.njit
def _poissons(out, mean):
    s0, s1, s2, s3 = stream(7, 3)
    for i in range(len(out)):
        out[i], s0, s1, s2, s3 = poisson(mean, s0, s1, s2, s3)


@numba.njit
def _normals(out):
    s0, s1, s2, s3 = stream(8, 3)
    for i in range(0, len(out), 2):
        out[i], out[i + 1], s0, s1, s2, s3 = normal_pair(s0, s1, s2, s3)


@pytest.mark.parametrize("mean", [0.0, 0.02, 3.0, 9.99, 10.0, 35.0, 4000.0])
def test_poisson_numbers_have_their_distribution(mean):
    out = np.empty(200_000)
    _poissons(out, mean)
    counts = np.bincount(out.astype(int))
    expected = stats.poisson.pmf(np.arange(len(counts)), mean) * len(out)
    common = expected >= 10
    seen = np.append(counts[common], len(out) - counts[common].sum())
    wanted = np.append(expected[common], len(out) - expected[common].sum())
    seen, wanted = seen[wanted > 1e-9], wanted[wanted > 1e-9]
    chi2 = ((seen - wanted) ** 2 / wanted).sum()
    assert len(wanted) == 1 or stats.chi2.sf(chi2, len(wanted) - 1) > 1e-4


@pytest.mark.parametrize("mean", [1e6, 1e9, 1e13])
def test_large_poisson_numbers_keep_mean_variance_and_skewness(mean):
    out = np.empty(100_000)
    _poissons(out, mean)
    z = (out - mean) / math.sqrt(mean)
    assert abs(z.mean()) < 4.5 / math.sqrt(len(z))
    assert abs((z**2).mean() - 1) < 4.5 * math.sqrt(2 / len(z))
    assert stats.kstest(z, "norm").pvalue > 1e-4


def test_the_logarithm_of_poisson_probabilities_does_not_cancel():
    for mean in (10.0, 77.7, 1e5):
        for k in {0, 1, 5, 9, 10, 11, *(round(mean * x) for x in (0.2, 0.9, 1.0, 1.1, 3))}:
            exact = stats.poisson.logpmf(k, mean)
            assert log_poisson(float(k), mean) == pytest.approx(exact, rel=1e-9, abs=1e-8)
    # at k = mean = 1e14 the logarithm of k! is 3e15: half a unit would be lost in it
    assert log_poisson(1e14, 1e14) == pytest.approx(-0.5 * math.log(2e14 * math.pi), abs=1e-9)


def test_normal_numbers_are_normal_and_independent():
    out = np.empty(200_000)
    _normals(out)
    assert stats.kstest(out, "norm").pvalue > 1e-4
    assert abs(np.corrcoef(out[::2], out[1::2])[0, 1]) < 4.5 / math.sqrt(len(out) / 2)
    assert abs((out**4).mean() - 3) < 4.5 * math.sqrt(96 / len(out))


# --- tau-leaping where it is right ------------------------------------------------------------


@pytest.mark.parametrize(
    "network, start, end",
    [
        (cn.models.single_progenitor(), {"A": 10}, 3.0),
        (cn.models.dimerisation(volume=30), {"A": 41}, 0.7),
        (ReactionNetwork("S + E <-> C ; 0.5, 0.5 \n C -> E + P ; 1"), {"S": 30, "E": 3}, 3.0),
        (ReactionNetwork("S -> P ; law: 4*S/(3 + S) \n P -> 0 ; 0.3"), {"S": 30}, 4.0),
    ],
    ids=["skin cells", "dimers", "enzyme", "rate law"],
)
def test_at_tens_of_molecules_every_step_is_an_exact_one(network, start, end):
    """The distribution is that of the master equation, since nothing is approximated."""
    runs = 40_000
    _, (_, leaps, _) = reports(network, start, [end], 200)
    assert leaps.sum() == 0
    data = sample_tau_leap(network, start, [end], runs, seed=3, histograms=[end], keep=0)
    exact = cn.finite_state_projection(network, start, [end], tolerance=1e-8).at(end)
    seen, exact = _same_shape(data.histogram(end).values, exact.values)
    common = exact * runs >= 10
    observed = np.append(seen[common], 1 - seen[common].sum()) * runs
    wanted = np.append(exact[common], 1 - exact[common].sum()) * runs
    kept = wanted > 1e-3
    chi2 = ((observed[kept] - wanted[kept]) ** 2 / wanted[kept]).sum()
    assert stats.chi2.sf(chi2, kept.sum() - 1) > 1e-5


def _same_shape(*tables):
    shape = np.max([table.shape for table in tables], axis=0)
    return [np.pad(t, [(0, m - s) for m, s in zip(shape, t.shape, strict=True)]) for t in tables]


def test_tau_leaping_converges_to_the_exact_law_with_first_order():
    """Dimers at 2000 molecules: bias of mean and variance against the master equation."""
    net, start, times = cn.models.dimerisation(volume=2000), {"A": 2000}, [0.5]
    exact = cn.finite_state_projection(net, start, times, tolerance=1e-9).moments()[0]
    bias, largest = [], [0.4, 0.2, 0.1, 0.05]
    for epsilon in largest:
        data = sample_tau_leap(net, start, times, 20_000, seed=2, epsilon=epsilon)
        assert reports(net, start, times, 20, epsilon=epsilon)[1][1].min() > 0
        ratio = data.moments()[0] / exact - 1
        bias.append(ratio.sel(moment=["A", "Var(A)"]).values)
    orders = np.polyfit(np.log(largest), np.log(np.abs(bias)), 1)[0]
    np.testing.assert_allclose(orders, 1.0, atol=0.15)
    # below, leaps would cover fewer than ten events and exact ones take over: no bias is left
    data = sample_tau_leap(net, start, times, 20_000, seed=2, epsilon=0.02)
    error = (data.moments()[0] - exact) / data.standard_error()[0]
    assert np.abs(error).max() < 4.5


@pytest.mark.parametrize("draw", [sample_tau_leap, sample_langevin])
def test_the_bias_of_a_decay_is_half_of_epsilon(draw):
    """A Euler step of relative size epsilon; no random error to speak of at a million."""
    for epsilon in (0.2, 0.1, 0.05):
        data = draw(DECAY, {"A": 10**6}, [1.0], 100, seed=1, epsilon=epsilon)
        assert data.mean().item() / 1e6 / math.exp(-1) - 1 == pytest.approx(-epsilon / 2, rel=0.12)


@pytest.mark.parametrize("draw", [sample_tau_leap, sample_langevin])
def test_the_variance_at_equilibrium_is_right_at_a_million(draw):
    """With gain and loss not bounded each, it would come out three times too large."""
    net = cn.models.dimerisation(volume=10**6)
    data = draw(net, {"A": 400_000, "B": 300_000}, [0, 6.0], 2000, seed=5)
    exact = cn.integrate(cn.moment_equations(net, closure="normal"), {"A": 400_000, "B": 300_000},
                         [6.0])  # fmt: skip
    for label in ("Var(A)", "Var(B)"):
        ratio = data.moments()[1].sel(moment=label) / exact[0].sel(moment=label)
        assert 0.92 < ratio.item() < 1.15


def test_a_rate_law_gives_what_its_elementary_form_gives():
    """2 S -> P written as a law: the steps need not be the same, the law of the runs is."""
    law = ReactionNetwork("2 S -> P ; law: 0.5*k*S*(S - 1)/V \n P -> 2 S ; 0.3", k=2, volume=20_000)
    plain = ReactionNetwork("2 S -> P ; k \n P -> 2 S ; 0.3", k=2, volume=20_000)
    found = [sample_tau_leap(net, {"S": 20_000}, [0.5], 2000, seed=9) for net in (law, plain)]
    a, b = (data.moments()[0] for data in found)
    error = found[1].standard_error()[0]
    assert np.abs((a - b) / error).max() < 8
    assert abs(a.sel(moment="S") / b.sel(moment="S") - 1) < 1e-3
    assert reports(law, {"S": 20_000}, [0.5], 5)[1][1].min() > 20


# --- tau-leaping where it is wrong ------------------------------------------------------------


def test_at_tens_of_molecules_it_is_slower_than_exact_sampling():
    skin, runs = cn.models.single_progenitor(), 30_000
    arguments = skin, {"A": 10}, np.arange(21.0), runs
    ratios = []
    for repeat in range(4):
        seconds = []
        for draw in (cn.sample, sample_tau_leap):
            began = time.process_time()
            draw(*arguments, seed=repeat, threads=1)
            seconds.append(time.process_time() - began)
        ratios.append(seconds[1] / seconds[0])
    assert np.median(ratios[1:]) > 1.5  # about 2.6; the first call compiles


def test_a_large_epsilon_is_wrong_by_several_percent():
    net, times = cn.models.dimerisation(volume=2000), [0.5]
    exact = cn.finite_state_projection(net, {"A": 2000}, times, tolerance=1e-9).moments()[0]
    data = sample_tau_leap(net, {"A": 2000}, times, 10_000, seed=1, epsilon=0.4)
    off = (data.moments()[0] / exact - 1).sel(moment=["A", "Var(A)"]).values
    np.testing.assert_allclose(off, [-0.06, 0.35], atol=0.03)


# --- what never happens -----------------------------------------------------------------------


def test_pure_death_ends_at_zero_in_every_run():
    for start in (7, 300, 10**6):
        data = sample_tau_leap(DECAY, {"A": start}, [2.0, 60.0], 500, seed=1, epsilon=0.3)
        assert np.all(data.paths[:, 1] == 0)
        assert data.paths.min() == 0


def test_a_leap_that_would_make_a_count_negative_is_drawn_again():
    """Forty reactions take from the same twenty molecules, so that none alone is critical."""
    drains = "\n".join(f"A -> B{i} ; {1 + i / 100}" for i in range(40))
    net = ReactionNetwork(drains)
    states, (_, leaps, refused) = reports(net, {"A": 60}, [0.02, 0.1, 9.0], 500, epsilon=0.9)
    assert leaps.sum() > 500 and refused.sum() > 50
    assert states.min() == 0
    assert np.all(states.sum(axis=2) == 60)
    assert np.all(states[:, -1, 0] == 0)


SIDES = st.dictionaries(st.sampled_from("ABC"), st.integers(1, 2), max_size=2)


@st.composite
def networks(draw):
    lines = []
    for i in range(draw(st.integers(1, 4))):
        before, after = draw(SIDES), draw(SIDES)
        if before == after or sum(after.values()) > max(sum(before.values()), 1):
            before, after = {"A": 1}, {"B": 1}
        rate = draw(st.sampled_from([0.001, 0.02, 1.0, 30.0]))
        sides = [" + ".join(f"{n} {s}" for s, n in x.items()) or "0" for x in (before, after)]
        lines.append(f"{sides[0]} -> {sides[1]} ; {rate * (1 + i / 8)}")
    return ReactionNetwork(lines, species="ABC")


@given(networks(), st.tuples(*[st.integers(0, 3000)] * 3), st.sampled_from([0.03, 0.5, 0.95]))
@settings(max_examples=60, deadline=None)
def test_no_count_is_negative_and_conservation_laws_hold(network, start, epsilon):
    times = [0.0, 0.01, 0.3]
    laws = network.conservation_laws().values
    states, _ = reports(network, list(start), times, 5, epsilon=epsilon)
    assert states.min() >= 0
    assert np.all(states[:, 0] == start)
    assert np.all(states @ laws.T == np.array(start) @ laws.T)
    real, _ = reports(network, list(start), times, 5, epsilon=epsilon, normal=True)
    np.testing.assert_allclose(real @ laws.T, np.tile(np.array(start) @ laws.T, (5, 3, 1)),
                               atol=1e-6 * (1 + sum(start)))  # fmt: skip


@pytest.mark.parametrize("draw", [sample_tau_leap, sample_langevin])
def test_the_same_bits_for_any_threads_and_blocks(draw):
    net, start, times = cn.models.dimerisation(volume=3000), {"A": 3000}, [0.0, 0.3, 2.0]
    one, two = (draw(net, start, times, 3000, seed=6, threads=threads) for threads in (1, 2))
    for question in ("mean", "covariance", "moments", "standard_error"):
        assert getattr(one, question)().identical(getattr(two, question)())
    assert np.array_equal(one.paths, two.paths)
    normal = draw is sample_langevin
    whole, _ = reports(net, start, times, 9, seed=6, normal=normal)
    leaper = _Leaper(net, net.counts(start), np.array(times), 6, **USUAL, normal=normal)
    parts = np.concatenate([leaper.run(0, 4)[0], leaper.run(4, 5)[0]])
    assert np.array_equal(whole, parts)
    assert not np.array_equal(whole[0], whole[1])
    other = draw(net, start, times, 9, seed=7)
    assert not np.array_equal(other.paths.values, one.paths.values[:9])


def test_an_ensemble_says_that_it_is_approximate():
    assert "approximate tau-leap, epsilon 0.1" in repr(
        sample_tau_leap(DECAY, {"A": 5}, [1], 3, seed=1, epsilon=0.1)
    )
    data = sample_langevin(DECAY, {"A": 5}, [1], 3, seed=1)
    assert "approximate Langevin" in repr(data) and "approximate" in data._repr_html_()


def test_time_stands_where_nothing_can_happen():
    still = ReactionNetwork("A + B -> C ; 1")
    for draw in (sample_tau_leap, sample_langevin):
        assert np.all(draw(still, {"A": 5}, [0, 3, 9], 2, seed=1).paths.values == [5, 0, 0])


# --- the chemical Langevin equation -----------------------------------------------------------


def test_langevin_has_the_moments_of_a_linear_network_at_large_counts():
    """To the order of epsilon, halved here: the rest is the error of sampling."""
    net, start, times = cn.models.single_progenitor(), {"A": 20_000}, [0.0, 2.0, 10.0]
    data = sample_langevin(net, start, times, 20_000, seed=8, epsilon=0.01)
    exact = cn.integrate(cn.moment_equations(net), start, times)
    off = np.abs(data.moments()[1:] / exact[1:] - 1)
    assert off.sel(moment=["A", "B"]).max() < 0.005
    assert off.sel(moment=["Var(A)", "Var(B)"]).max() < 0.06
    assert data.share_negative().max() == 0


def test_langevin_at_two_molecules_goes_below_zero_and_has_too_large_a_variance():
    """Births and deaths around a mean of 2: the exact law is Poisson, its variance 2."""
    net = ReactionNetwork("0 <-> A ; 2, 1")
    data = sample_langevin(net, {"A": 2}, [20.0], 10_000, seed=1)
    assert data.share_negative().item() == pytest.approx(0.074, abs=0.015)
    assert data.moments().sel(moment="Var(A)").item() == pytest.approx(2.35, abs=0.2)
    assert data.paths.min() < -1


def test_langevin_misses_extinction():
    """Critical branching from 5: a share of (5/6)^5 = 0.402 is extinct at t = 5."""
    net = ReactionNetwork("A -> 2 A ; 1 \n A -> 0 ; 1")
    exact = (5 / 6) ** 5
    leaped = sample_tau_leap(net, {"A": 5}, [5.0], 10_000, seed=1).paths
    assert abs(float((leaped == 0).mean()) - exact) < 4.5 * math.sqrt(exact * (1 - exact) / 10_000)
    real = sample_langevin(net, {"A": 5}, [5.0], 10_000, seed=1).paths
    assert float((abs(real) < 0.01).mean()) < 0.02  # spread around zero, not at zero
    assert float((real < 0.5).mean()) < exact - 0.04
    assert float((real < 0).mean()) == pytest.approx(0.277, abs=0.03)


def test_a_negative_count_has_no_propensity():
    """Nothing pushes a count below zero further, and nothing brings it back."""
    states, _ = reports(DECAY, {"A": 3}, [5.0, 50.0], 2000, normal=True)
    below = states[:, 0, 0] <= 0
    assert below.mean() > 0.5 and np.array_equal(states[below, 0], states[below, 1])


def test_sums_of_real_numbers_are_exact_and_do_not_depend_on_the_order():
    rng = np.random.default_rng(1)
    states = np.rint(rng.normal(3e8, 2e4, size=(60, 2, 2)) * 1024) / 1024
    ensembles = []
    for blocks in ([states], [states[:7], states[7:]], [states[30:], states[:30]]):
        data = LangevinEnsemble(
            cn.models.dimerisation(), np.array([1, 1]), np.array([0.0, 1.0]), 1, keep=60,
            histograms=[],
        )  # fmt: skip
        for block in blocks:
            data.add(block)
        ensembles.append(data)
    np.testing.assert_allclose(ensembles[0].mean(), states.mean(axis=0), rtol=1e-15)
    expected = [np.cov(states[:, t].T) for t in (0, 1)]
    np.testing.assert_allclose(ensembles[0].covariance(), expected, rtol=1e-6)
    for other in ensembles[1:]:
        assert other.moments().identical(ensembles[0].moments())


def test_real_numbers_have_no_histogram_over_counts():
    with pytest.raises(EnsembleError, match="real numbers"):
        sample_langevin(DECAY, {"A": 5}, [1], 3, seed=1).histogram(1)


# --- bad input --------------------------------------------------------------------------------

DRAWS = [sample_tau_leap, sample_langevin]


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(epsilon=0), "epsilon=0 must be a number between 0 and 1"),
        (dict(epsilon=1.0), "between 0 and 1"),
        (dict(epsilon=math.nan), "between 0 and 1"),
        (dict(epsilon="fine"), "epsilon='fine'"),
        (dict(epsilon=True), "epsilon=True"),
        (dict(seed=-1), "seed=-1"),
        (dict(runs=0), "runs=0"),
        (dict(keep=-1), "keep=-1"),
        (dict(times=[2, 1]), "increasing"),
        (dict(threads=0), "threads=0"),
        (dict(max_steps=0.5), "max_steps=0.5"),
        (dict(initial=[[1], [2]]), "one count a species"),
    ],
)
def test_arguments_out_of_range(draw, wrong, message):
    given = dict(network=DECAY, initial={"A": 5}, times=[1.0], runs=3, seed=1) | wrong
    with pytest.raises(SimulationError, match=message):
        draw(**given)


@pytest.mark.parametrize("draw", DRAWS)
def test_networks_that_cannot_be_used(draw):
    with pytest.raises(NetworkError, match="'k' has no value"):
        draw(ReactionNetwork("A -> 0 ; k"), {"A": 5}, [1], 2, seed=1)
    with pytest.raises(NetworkError, match="not a species"):
        draw(DECAY, {"B": 5}, [1], 2, seed=1)
    with pytest.raises(SimulationError, match="depends on the time"):
        draw(ReactionNetwork("A -> 0 ; law: 1 + sin(t)"), {"A": 5}, [1], 2, seed=1)


def test_a_histogram_at_a_time_that_is_not_recorded():
    with pytest.raises(SimulationError, match="histogram time 2 is not one"):
        sample_tau_leap(DECAY, {"A": 5}, [1], 2, seed=1, histograms=[2])


@pytest.mark.parametrize("draw", DRAWS)
def test_explosions_are_reported_with_the_reaction(draw):
    net = ReactionNetwork("2 A -> 3 A ; 1 \n A -> 0 ; 1")
    with pytest.raises(SimulationError, match=r"'2 A -> 3 A' drove a count beyond 2\^53"):
        draw(net, {"A": 100}, [10.0], 2, seed=1)
    with pytest.raises(SimulationError, match="more than 50 steps"):
        draw(cn.models.dimerisation(volume=1000), {"A": 1000}, [4.0], 2, seed=1, max_steps=50)


@pytest.mark.parametrize("draw", DRAWS)
def test_rate_laws_that_give_no_propensity_are_reported(draw):
    net = ReactionNetwork("A -> 0 ; law: 30 - A", species=["A"])
    with pytest.raises(SimulationError, match=r"'A -> 0 ; law: 30 - A' gives -4"):
        draw(net, {"A": 34}, [1.0], 2, seed=1)


def test_langevin_counts_too_large_to_keep():
    with pytest.raises(SimulationError, match="use the linear noise approximation"):
        sample_langevin(DECAY, {"A": 10**13}, [0.1], 2, seed=1)


@pytest.mark.parametrize("normal", [False, True])
def test_an_interrupted_run_ends_and_the_kernel_stays_usable(normal):
    net = cn.models.dimerisation(volume=10**6)
    leaper = _Leaper(net, net.counts({"A": 10**6}), np.array([500.0]), 1, **USUAL, normal=normal)
    leaper.interrupt()
    with pytest.raises(KeyboardInterrupt):
        leaper.run(0, 1)
    assert len(reports(net, {"A": 10**6}, [0.1], 1, normal=normal)[0]) == 1


def test_the_logarithm_takes_whole_numbers_as_numbers():
    from chemnb._kernels.compiled import allocating
    from chemnb._kernels.variates import log

    of_a_whole_number = allocating()(lambda n: log(n))
    assert of_a_whole_number(7) == pytest.approx(math.log(7), rel=1e-14)
