"""Streamed statistics against plain NumPy, whole-number arithmetic and known laws; moment names."""

import copy
import math
import sys
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chemnb.equations.moments import moment_indices, moment_label, moment_labels
from chemnb.networks.network import ReactionNetwork
from chemnb.sampling.approximate import sample_langevin
from chemnb.sampling.ensemble import Ensemble, EnsembleError
from chemnb.sampling.ensemble_io import load_ensemble
from chemnb.sampling.gillespie import sample
from chemnb.sampling.simulator import SimulationError
from chemnb.sampling.tallies import sums_of

PAIR = ReactionNetwork("A <-> B ; 1, 1")
BIRTH_DEATH = ReactionNetwork("0 -> A ; 4 \n A -> 0 ; 0.5")


def collect(*blocks, keep=10**6, histograms=(), **options):
    """Return an ensemble of given counts (runs, times, 2)."""
    times = np.arange(blocks[0].shape[1], dtype=float)
    data = Ensemble(
        PAIR, np.array([5, 1]), times, options.pop("seed", 1), keep=keep,
        histograms=histograms or [], **options,
    )  # fmt: skip
    for block in blocks:
        data.add(block)
    return data


def drawn(seed=0, runs=50, times=3, largest=40):
    return np.random.default_rng(seed).integers(0, largest, (runs, times, 2))


# --- moments -----------------------------------------------------------------------------------


def test_statistics_are_those_of_numpy():
    counts = drawn()
    data = collect(counts)
    assert data.runs == 50
    assert np.allclose(data.mean(), counts.mean(axis=0), rtol=1e-15)
    covariance = [np.cov(counts[:, t].T) for t in range(3)]
    assert np.allclose(data.covariance(), covariance, rtol=1e-13)
    moments = data.moments()
    assert moments.moment.values.tolist() == ["A", "B", "Var(A)", "Var(B)", "Cov(A, B)"]
    for t in range(3):
        c = covariance[t]
        expected = [*counts[:, t].mean(axis=0), c[0, 0], c[1, 1], c[0, 1]]
        assert moments.values[t] == pytest.approx(expected, rel=1e-13)


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.int64, (6, 2, 2), elements=st.integers(0, 2**53)),
    st.lists(st.integers(1, 5), max_size=3, unique=True),
)
def test_sums_are_exact_however_the_runs_are_split(counts, cuts):
    """Fractions are the reference: floats of this size would lose the variance."""
    data = collect(*np.split(counts, sorted(cuts)))
    for t, i, j in product(range(2), repeat=3):
        a, b = ([int(n) for n in counts[:, t, k]] for k in (i, j))
        mean = Fraction(sum(a), 6)
        product_sum = sum(x * y for x, y in zip(a, b, strict=True))
        covariance = (product_sum - Fraction(sum(a) * sum(b), 6)) / 5
        assert data.mean().values[t, i] == float(mean)
        assert data.covariance().values[t, i, j] == float(covariance)


def test_large_counts_keep_a_small_variance():
    base = 2**52
    counts = (base + drawn(largest=3)).astype(np.int64)
    assert np.allclose(collect(counts).covariance(), collect(counts - base).covariance())


def test_conserved_sums_have_covariances_that_cancel():
    data = sample(PAIR, [30, 0], [0, 0.5, 2], 1000, seed=1)
    m = data.moments()
    assert np.array_equal(m.sel(moment="A") + m.sel(moment="B"), [30, 30, 30])
    assert np.allclose(m.sel(moment="Var(A)"), -m.sel(moment="Cov(A, B)"), rtol=1e-13)
    assert np.allclose(m.sel(moment="Var(A)"), m.sel(moment="Var(B)"), rtol=1e-13)


# --- errors ------------------------------------------------------------------------------------


def test_standard_errors_follow_the_formulas():
    counts = drawn(runs=400)
    data = collect(counts)
    error, n = data.standard_error(), 400
    x = counts[:, :, 0] - counts[:, :, 0].mean(axis=0)
    y = counts[:, :, 1] - counts[:, :, 1].mean(axis=0)
    expected = {
        "A": x.var(axis=0),
        "Var(A)": (x**4).mean(axis=0) - (x**2).mean(axis=0) ** 2,
        "Cov(A, B)": (x**2 * y**2).mean(axis=0) - (x * y).mean(axis=0) ** 2,
    }
    for label, variance in expected.items():
        # division by n - 1 in the moments shows at 1/n
        assert np.allclose(error.sel(moment=label), np.sqrt(variance / n), rtol=3e-3)


def test_standard_errors_are_the_spread_of_repeated_experiments():
    repeats, runs = 400, 500
    data = sample(BIRTH_DEATH, {}, [1, 4], repeats * runs, seed=2, keep=repeats * runs)
    groups = data.paths.values[:, :, 0].reshape(repeats, runs, 2).astype(float)
    spread_of_mean = groups.mean(axis=1).std(axis=0, ddof=1)
    spread_of_variance = groups.var(axis=1, ddof=1).std(axis=0, ddof=1)
    # a standard deviation of `repeats` draws is known to 1/sqrt(2 repeats)
    tolerance = 4.5 / math.sqrt(2 * repeats)
    found = data.standard_error().values * math.sqrt(repeats)
    assert spread_of_mean == pytest.approx(found[:, 0], rel=tolerance)
    assert spread_of_variance == pytest.approx(found[:, 1], rel=tolerance)


def test_path_covariance_of_births_and_deaths():
    """Cov(n(s), n(t)) = <n(s)> exp(-d (t - s)) and Var(n) has the variance mu + 2 mu^2."""
    runs, times = 50_000, np.array([1.0, 2.0, 6.0])
    data = sample(BIRTH_DEATH, {}, times, runs, seed=3, keep=runs)
    mean = 8 * (1 - np.exp(-0.5 * times))
    early = np.minimum.outer(mean, mean)
    expected = early * np.exp(-0.5 * np.abs(np.subtract.outer(times, times)))
    found = data.path_covariance() * runs
    of_means = found.sel(moment="A", moment_2="A").values
    assert of_means == pytest.approx(expected, rel=0.05)
    of_variances = found.sel(moment="Var(A)", moment_2="Var(A)").values
    assert np.diag(of_variances) == pytest.approx(mean + 2 * mean**2, rel=0.08)
    # for a Poisson law the third central moment is the mean
    assert np.diag(found.sel(moment="A", moment_2="Var(A)").values) == pytest.approx(mean, rel=0.2)


def test_path_covariance_is_a_covariance_with_the_standard_errors_on_its_diagonal():
    data = collect(drawn(runs=60), keep=37)
    covariance = data.path_covariance()
    assert covariance.dims == ("time", "moment", "time_2", "moment_2")
    flat = covariance.values.reshape(15, 15)
    assert np.allclose(np.diag(flat), data.standard_error().values.ravel() ** 2, rtol=1e-13)
    assert np.array_equal(flat, flat.T) and np.linalg.eigvalsh(flat).min() > -1e-12
    assert covariance.moment_2.values.tolist() == data.moments().moment.values.tolist()


def test_errors_shrink_with_all_runs_not_with_the_kept_ones():
    counts = drawn(runs=4000)
    all_kept, few_kept = collect(counts), collect(counts, keep=1000)
    ratio = few_kept.standard_error() / all_kept.standard_error()
    assert np.abs(ratio - 1).max() < 0.1


# --- moments of higher order -------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(arrays(np.int64, (5, 1, 2), elements=st.integers(0, 2**53)), st.integers(1, 4))
def test_high_moments_are_exact_however_large_the_counts(counts, cut):
    data = collect(counts[:cut], counts[cut:], moments=4)
    a, b = ([Fraction(int(n)) for n in counts[:, 0, k]] for k in (0, 1))
    mean_a, mean_b = sum(a) / 5, sum(b) / 5
    for i, j in ((3, 0), (2, 1), (1, 2), (4, 0), (2, 2), (1, 3)):
        name = " ".join(f"{s}^{p}" for s, p in (("A", i), ("B", j)) if p)
        pairs = list(zip(a, b, strict=True))
        raw = sum(x**i * y**j for x, y in pairs) / 5
        central = sum((x - mean_a) ** i * (y - mean_b) ** j for x, y in pairs) / 5
        assert data.moments(name, kind="raw").item() == float(raw)
        assert data.moments(name).item() == float(central)


def test_moments_of_a_known_law():
    """The central moments of a Poisson law of mean m: m, m, m, m + 3 m^2."""
    data = sample(BIRTH_DEATH, {}, [30], 40_000, seed=4, moments=8)
    found, error = data.moments(4).isel(time=0), data.standard_error(4).isel(time=0)
    mean = 8 * (1 - math.exp(-15))
    expected = np.array([mean, mean, mean, mean + 3 * mean**2])
    assert found.moment.values.tolist() == ["A", "Var(A)", "M[A^3]", "M[A^4]"]
    assert np.all(np.abs(found.values - expected) < 4.5 * error.values)
    # falling factorials of a Poisson number have the means m^k
    raw = data.moments(3, kind="raw").isel(time=0)
    assert raw.moment.values.tolist() == ["A", "E[A^2]", "E[A^3]"]
    third = raw.values @ [2, -3, 1]
    assert third == pytest.approx(mean**3, rel=0.03)


@pytest.mark.parametrize("kind", ["central", "raw"])
def test_streamed_standard_errors_are_those_of_the_kept_runs(kind):
    """All runs are kept here, so both ways see the same runs."""
    counts = drawn(runs=300)
    streamed = collect(counts, moments=8).standard_error(4, kind=kind)
    kept = collect(counts, moments=4).standard_error(4, kind=kind)
    assert streamed.dims == kept.dims and streamed.moment.equals(kept.moment)
    # variances are divided by one run less than there are, which shows at 1/n^2
    assert np.allclose(streamed, kept, rtol=1e-4)


def test_standard_errors_of_third_moments_are_the_spread_of_repeated_experiments():
    repeats, runs = 400, 500
    data = sample(
        BIRTH_DEATH, {}, [4], repeats * runs, seed=5, moments=["A^6"], keep=repeats * runs
    )
    groups = data.paths.values[:, 0, 0].reshape(repeats, runs).astype(float)
    deviations = groups - groups.mean(axis=1, keepdims=True)
    spread = (deviations**3).mean(axis=1).std(ddof=1) / math.sqrt(repeats)
    found = data.standard_error("A^3").item()
    assert found == pytest.approx(spread, rel=4.5 / math.sqrt(2 * repeats))


def test_moments_by_name():
    data = collect(drawn(), moments=["A^2 B"])
    named = data.moments(["Cov(A, B)", "M[A^2 B]", "B", "Var(B)"])
    assert named.moment.values.tolist() == ["Cov(A, B)", "M[A^2 B]", "B", "Var(B)"]
    assert np.array_equal(
        named[:, [0, 2, 3]], data.moments().sel(moment=["Cov(A, B)", "B", "Var(B)"])
    )
    with pytest.raises(
        EnsembleError, match=r"M\[A\^3\] was not recorded; .*moments=3\) or moments"
    ):
        data.moments("A^3")


@pytest.mark.parametrize(
    ("which", "message"),
    [
        (0, "moments=0; give an order from 1 to 8, or names"),
        (9, "moments=9; give an order"),
        (True, "moments=True; give an order"),
        (2.5, "moments=2.5; give an order"),
        (["A^2 Bee"], "moment 'A\\^2 Bee': 'Bee' is not a species.*'A', 'B'"),
        (["A^x"], "'x' is no power"),
        (["A^9"], "has order 9; 1 to 8 are kept"),
        ([""], "has order 0"),
        ([3], "3 is no moment; write text"),
    ],
)
def test_moments_that_are_none(which, message):
    with pytest.raises(EnsembleError, match=message):
        sample(PAIR, [5, 1], [0], 2, seed=1, moments=which)
    with pytest.raises(EnsembleError, match=message):
        collect(drawn()).moments(which)


def test_a_kind_of_moment_that_is_none():
    with pytest.raises(EnsembleError, match="kind='cumulant' is unknown; use 'central' or 'raw'"):
        collect(drawn()).moments(kind="cumulant")


# --- histograms and paths ----------------------------------------------------------------------


def test_histograms_count_states():
    first, second = drawn(1, largest=4), drawn(2, runs=30, largest=9)
    data = collect(first, second, histograms=[0, 2])
    counts = np.concatenate([first, second])
    for row in (0, 2):
        found = data.histogram(float(row))
        assert found.dims == ("A", "B") and found.sum().item() == pytest.approx(1, abs=1e-14)
        states, number = np.unique(counts[:, row], axis=0, return_counts=True)
        for (a, b), n in zip(states, number, strict=True):
            assert found.sel(A=a, B=b).item() == n / 80
        assert (found > 0).sum() == len(states)
        mean = float((found * found.A).sum())
        assert mean == pytest.approx(data.mean().sel(time=row, species="A").item())


def test_histograms_sum_over_other_species():
    data = sample(PAIR, [5, 1], [0, 1], 2000, seed=1, histograms=[1, 1, 0])
    full = data.histogram(1)
    assert np.array_equal(data.histogram(1, ["A"]), full.sum("B"))
    assert np.array_equal(data.histogram(1, "B"), full.sum("A"))
    assert data.histogram(0).sel(A=5, B=1).item() == 1.0
    assert all(h.sum().item() == pytest.approx(1) for h in (full, data.histogram(1, [])))


def test_histograms_of_chosen_species():
    net = ReactionNetwork("A -> B ; 1 \n B -> C ; 2")
    arguments = dict(initial=[9, 3, 0], times=[0.5, 1, 2], runs=500, seed=1)
    full = sample(net, **arguments, histograms=[0.5, 1, 2])
    some = sample(net, **arguments, histograms={1: ["B", ("A", "C")], 2: "A", 0.5: ("C", "A")})
    assert np.array_equal(some.histogram(1, "B"), some.histogram(1, ["B"]))
    for time, species in ((1, ["B"]), (1, ["A", "C"]), (1, "C"), (2, "A"), (0.5, ["A", "C"])):
        expected = full.histogram(time, species)
        assert np.allclose(some.histogram(time, species), expected, atol=1e-15)
        assert some.histogram(time, species).dims == expected.dims
    assert some.histogram(2).dims == ("A",)  # all that was counted there
    message = r"\(A, B\) was not counted at time 1, only \(B\), \(A, C\): .*\{1: \('A', 'B'\)\}"
    with pytest.raises(EnsembleError, match=message):
        some.histogram(1, ["A", "B"])
    with pytest.raises(EnsembleError, match="'X' is not a species"):
        sample(net, **arguments, histograms={1: "X"})
    with pytest.raises(EnsembleError, match="names no species"):
        sample(net, **arguments, histograms={1: ()})
    with pytest.raises(SimulationError, match="time 3 is not one of the recorded times"):
        sample(net, **arguments, histograms={3: "A"})


def test_many_species_need_no_joint_histogram():
    """Twelve species would have some 10^12 joint states."""
    ring = ReactionNetwork("\n".join(f"S{i} -> S{(i + 1) % 12} ; 1" for i in range(12)))
    data = sample(ring, [8] * 12, [1], 200, seed=1, histograms={1: [*ring.species, ("S0", "S7")]})
    assert data.histogram(1, ["S0", "S7"]).sum().item() == pytest.approx(1)
    assert data.quantile(0.5).sizes == {"quantile": 1, "time": 1, "species": 12}
    with pytest.raises(EnsembleError, match="too large; ask for fewer species"):
        sample(ring, [8] * 12, [1], 200, seed=1, histograms=[1])


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.int64, st.tuples(st.integers(1, 30), st.just(2), st.just(2)),
           elements=st.integers(0, 9)),
    st.lists(st.sampled_from([0, 0.1, 0.25, 0.3, 0.5, 0.7, 0.9, 1]), min_size=1, max_size=4),
)  # fmt: skip
def test_quantiles_are_those_of_numpy(counts, shares):
    data = collect(counts, histograms={0: [(0, 1)], 1: [(0,), (1,)]})
    expected = np.quantile(counts, shares, axis=0, method="inverted_cdf")
    found = data.quantile(shares)
    assert np.array_equal(found, expected)
    assert found.dims == ("quantile", "time", "species") and found.dtype == np.int64
    assert np.array_equal(data.quantile(shares, "B").values[..., 0], expected[..., 1])


def test_quantiles_that_cannot_be():
    data = collect(drawn(), histograms=[0])
    for q in (-0.1, 1.5, [0.5, math.nan]):
        with pytest.raises(EnsembleError, match="quantiles are shares between 0 and 1"):
            data.quantile(q)
    with pytest.raises(EnsembleError, match="no histogram at time 2.0; there are none"):
        collect(drawn()).quantile(0.5)
    with pytest.raises(EnsembleError, match="'C' is not a species"):
        data.quantile(0.5, "C")


def test_kept_paths():
    first, second = drawn(1, runs=8), drawn(2, runs=8)
    data = collect(first, second, keep=11)
    assert data.paths.dims == ("run", "time", "species")
    assert np.array_equal(data.paths, np.concatenate([first, second])[:11])
    # blocks that were handed over may be used again
    first[:] = 0
    assert data.paths.values[:8].any()


def test_labels_and_display():
    data = sample(PAIR, [5, 1], [0, 2.5], 100, seed=7)
    assert repr(data) == "Ensemble(100 runs, 2 times, species A, B, seed 7, direct method)"
    assert data.initial == {"A": 5, "B": 1} and data.moments().attrs == {"runs": 100, "seed": 7}
    assert data.covariance().sel(species="A", species_2="B").dims == ("time",)
    page = data._repr_html_()
    assert "at t = 2.5" in page and "Cov(A, B)" in page and "standard error" in page
    for less in (dict(runs=1), dict(runs=9, keep=0)):
        short = sample(PAIR, [5, 1], [0, 2.5], **({"seed": 7} | less))
        assert short._repr_html_() == f"<p>{short!r}</p>"


# --- what goes wrong ---------------------------------------------------------------------------


def test_what_was_not_recorded_is_said():
    data = sample(PAIR, [5, 1], [0, 1, 2], 20, seed=1, histograms=[1], keep=0)
    message = r"no histogram at time 2; there are \[1.0\]: ask for it with sample\(.*\[2\]\)"
    with pytest.raises(EnsembleError, match=message):
        data.histogram(2)
    with pytest.raises(EnsembleError, match="'C' is not a species of this network; its .*'A', 'B'"):
        data.histogram(1, ["A", "C"])
    for question in (data.standard_error, data.path_covariance, lambda: data.paths):
        with pytest.raises(EnsembleError, match=r"no run was kept whole; .*sample\(..., keep=10\)"):
            question()
    with pytest.raises(EnsembleError, match="there are none"):
        sample(PAIR, [5, 1], [0], 20, seed=1).histogram(0)


def test_one_run_has_no_variance():
    alone = sample(PAIR, [5, 1], [0, 1], 1, seed=1)
    assert alone.mean().shape == (2, 2)
    for question in (alone.moments, alone.covariance, alone.standard_error, alone.path_covariance):
        with pytest.raises(EnsembleError, match="one run has no variance; sample at least two"):
            question()


def test_a_histogram_too_large_is_refused():
    message = "a joint histogram of 5001 x 5001 states is too large; ask for fewer species"
    with pytest.raises(EnsembleError, match=message):
        sample(PAIR, [5000, 5000], [0], 2, seed=1, histograms=[0])


# --- merging -----------------------------------------------------------------------------------


def pieces_of(counts, cuts, keep, **options):
    """Return ensembles of consecutive runs, of two seeds in turn; the first keeps the fewest."""
    bounds = [0, *sorted(cuts), len(counts)]
    return [
        collect(counts[begin:end], keep=keep + i % 3, seed=1 + i % 2, first_run=begin, **options)
        for i, (begin, end) in enumerate(pairwise(bounds))
    ]


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.int64, (9, 2, 2), elements=st.integers(0, 60) | st.just(2**20)),
    st.lists(st.integers(1, 8), max_size=4, unique=True),
    st.randoms(use_true_random=False),
    st.integers(0, 9),
)
def test_merging_is_exact_and_associative(counts, cuts, random, keep):
    """In any order and grouping, the result is that of the sums over all runs."""
    options = dict(moments=4, histograms={1: [(0,)]} if counts.max() < 2**20 else ())
    pieces = pieces_of(counts, cuts, keep, **options)
    expected = pieces[0]
    for piece in pieces[1:]:
        expected = expected + piece
    trees = list(pieces)
    while len(trees) > 1:
        one, other = (trees.pop(random.randrange(len(trees))) for _ in range(2))
        trees.append(one.merge(other))
    assert trees[0] == expected
    whole = collect(counts, **options)
    assert trees[0].runs == 9 and np.array_equal(trees[0].moments(4), whole.moments(4))
    if options["histograms"]:
        assert np.array_equal(trees[0].histogram(1), whole.histogram(1))
    numbers = {(seed, run) for seed, begin, end in trees[0].parts for run in range(begin, end)}
    assert len(numbers) == 9
    if keep:
        first = [run for _, run in sorted(numbers)][:keep]
        assert np.array_equal(trees[0].paths, counts[first])


def test_merged_runs_are_those_of_one_call():
    arguments = dict(initial=[5, 1], times=[0, 1, 2], seed=3, histograms=[2], moments=3)
    whole = sample(PAIR, runs=700, **arguments)
    one, two, three = (
        sample(PAIR, runs=size, first_run=first, **arguments)
        for first, size in ((0, 100), (100, 350), (450, 250))
    )
    before = one.moments()
    assert one + two + three == one + (two + three) == three + one + two == whole
    assert (one + three).parts == ((3, 0, 100), (3, 450, 700))
    assert one.runs == 100 and one.moments().identical(before)  # left as it was
    assert whole != one and whole != sample(PAIR, runs=700, **(arguments | {"seed": 4}))


def test_merged_seeds_are_told():
    one, two = (sample(PAIR, [5, 1], [0, 1], 50, seed=seed) for seed in (9, 4))
    both = one + two
    assert both.seed == (4, 9) and both.runs == 100 and "seed (4, 9)" in repr(both)
    assert np.array_equal(both.paths, np.concatenate([two.paths, one.paths]))
    assert "standard error" in both._repr_html_()
    with pytest.raises(EnsembleError, match="merged ensembles take no further runs"):
        both.add(drawn(times=2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            dict(network=ReactionNetwork("A <-> B ; 1, 2")),
            "network: A -> B ; 1; B -> A ; 1 and A -> B ; 1; B",
        ),
        (dict(network=ReactionNetwork("A <-> B ; 1, 1", volume=2)), "in volume: 1.0 and 2.0"),
        (dict(initial=[4, 1]), r"differ in initial: \{'A': 5, 'B': 1\} and \{'A': 4, 'B': 1\}"),
        (dict(times=[0, 2]), r"differ in times: \[0.0, 1.0\] and \[0.0, 2.0\]"),
        (dict(method="next-reaction"), "differ in method: direct and next-reaction"),
        (dict(stop="A == 0"), "differ in stop: None and A == 0"),
        (dict(moments=3), "differ in moments"),
        (dict(histograms=[0]), "differ in histograms"),
    ],
)
def test_other_runs_are_not_merged(change, message):
    arguments = dict(network=PAIR, initial=[5, 1], times=[0, 1], runs=10)
    one = sample(**arguments, seed=1)
    with pytest.raises(EnsembleError, match=message):
        one + sample(**(arguments | change), seed=2)


def test_no_run_is_counted_twice():
    one, two = (sample(PAIR, [5, 1], [0], 50, seed=1, first_run=first) for first in (0, 30))
    message = "both ensembles have the runs 30 to 49 of seed 1.*another seed, or .*first_run"
    with pytest.raises(EnsembleError, match=message):
        one.merge(two)
    with pytest.raises(EnsembleError, match="runs 0 to 49"):
        one.merge(one)
    with pytest.raises(EnsembleError, match="a int is not counted"):
        one + 3


def test_ensembles_of_real_numbers_are_not_merged():
    one, two = (
        sample_langevin(BIRTH_DEATH, [8], [1], 5, seed=seed, progress=False) for seed in (1, 2)
    )
    with pytest.raises(EnsembleError, match="LangevinEnsemble is not counted in whole numbers"):
        one + two


def test_a_failed_merge_changes_nothing():
    large = [collect(np.full((2, 1, 2), [n, m]), seed=s, histograms=[0])
             for s, (n, m) in enumerate([(4999, 1), (1, 4999)])]  # fmt: skip
    before = copy.deepcopy(large[0])
    with pytest.raises(EnsembleError, match="a joint histogram of 5000 x 5000 states is too large"):
        large[0].absorb(large[1])
    assert large[0] == before and large[0].is_whole


# --- files -------------------------------------------------------------------------------------

REPRESSED = ReactionNetwork(
    "0 -> P ; law: beta*K**2/(K**2 + P**2) \n P -> 0 ; gamma",
    beta=20, K=0.1 + 0.2, gamma=1 / 3, volume=1e-3 / 7,
)  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        sample(PAIR, [5, 1], [0, 0.1 + 0.2, 1 / 3], 300, seed=2**62, histograms=[0, 1 / 3]),
        sample(PAIR, [5, 1], [0, 1], 20, seed=1, keep=0, moments=["A^2 B"], histograms={1: "B"}),
        sample(REPRESSED, [2], [1], 90, seed=1, stop="P > 30", first_run=7, moments=4),
        sample(PAIR, [5, 1], [2], 9, seed=8)
        + sample(PAIR, [5, 1], [2], 9, seed=3, first_run=2**50),
        collect(np.full((3, 2, 2), 2**53) - drawn(1, 3, 2), moments=4),
    ],
    ids=["plain", "chosen", "law", "merged", "huge"],
)
def test_files_lose_nothing(data, tmp_path):
    data.save(tmp_path / "data.nc")
    loaded = load_ensemble(str(tmp_path / "data.nc"))
    assert loaded == data and loaded.network == data.network and repr(loaded) == repr(data)
    assert loaded.parts == data.parts and loaded.seed == data.seed and loaded.stop == data.stop
    assert loaded.times.tobytes() == data.times.tobytes()
    assert loaded.moments().identical(data.moments())
    assert all(type(n) is int for n in loaded._products.ravel())
    loaded.save(tmp_path / "data.nc")  # over itself
    assert load_ensemble(tmp_path / "data.nc") == data
    assert [path.name for path in tmp_path.iterdir()] == ["data.nc"]


def test_a_loaded_ensemble_goes_on(tmp_path):
    first = sample(PAIR, [5, 1], [0, 1], 30, seed=1, histograms=[1])
    first.save(tmp_path / "first.nc")
    more = sample(PAIR, [5, 1], [0, 1], 70, seed=1, histograms=[1], first_run=30)
    whole = sample(PAIR, [5, 1], [0, 1], 100, seed=1, histograms=[1])
    assert load_ensemble(tmp_path / "first.nc") + more == whole


def test_other_tools_read_the_files(tmp_path):
    data = sample(PAIR, [5, 1], [0, 1], 30, seed=1, histograms=[1])
    data.save(tmp_path / "data.nc")
    with xr.open_dataset(tmp_path / "data.nc") as found:
        assert found.species.values.tolist() == ["A", "B"] and found.sizes["time"] == 2
        assert found.attrs["network"] == str(PAIR)
        assert np.array_equal(found.paths, data.paths)
        assert np.array_equal(found.histogram_0 / 30, data.histogram(1))


def test_files_that_are_no_ensembles(tmp_path, monkeypatch):
    (tmp_path / "text.nc").write_text("no netCDF")
    xr.Dataset({"x": 1}).to_netcdf(tmp_path / "other.nc")
    xr.Dataset(attrs={"format": "chemnb ensemble 9"}).to_netcdf(tmp_path / "new.nc")
    for name, message in (
        ("text.nc", "is no ensemble that Ensemble.save wrote"),
        ("other.nc", "is no ensemble that Ensemble.save wrote"),
        ("new.nc", "has the format 'chemnb ensemble 9'; this version of chemnb reads"),
        ("missing.nc", "there is no file"),
    ):
        with pytest.raises(EnsembleError, match=message):
            load_ensemble(tmp_path / name)
    data = sample(PAIR, [5, 1], [0], 3, seed=1)
    with pytest.raises(EnsembleError, match="there is no folder"):
        data.save(tmp_path / "no" / "data.nc")
    monkeypatch.setitem(sys.modules, "netCDF4", None)
    for question in (data.save, load_ensemble):
        with pytest.raises(EnsembleError, match=r"install chemnb\[netcdf\]"):
            question(tmp_path / "data.nc")


# --- names of moments --------------------------------------------------------------------------


def test_moment_labels_are_in_the_order_of_eq_13():
    assert moment_labels("AB") == ["A", "B", "Var(A)", "Var(B)", "Cov(A, B)"]
    assert moment_labels(["X1", "Y"], kind="raw")[2:] == ["E[X1^2]", "E[Y^2]", "E[X1 Y]"]
    assert moment_labels("ABC", 3)[9:] == [
        "M[A^3]", "M[B^3]", "M[C^3]", "M[A^2 B]", "M[A^2 C]", "M[A B^2]", "M[A C^2]", "M[B^2 C]",
        "M[B C^2]", "M[A B C]",
    ]  # fmt: skip
    assert moment_labels("A", 1) == ["A"] and moment_labels("A", 0) == []
    assert moment_label((0, 1, 1), "ABC") == "Cov(B, C)"


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(0, 5))
def test_every_moment_is_named_once(n_species, order):
    indices = moment_indices(n_species, order)
    assert len(set(indices)) == len(indices) == math.comb(n_species + order, order) - 1
    totals = [sum(index) for index in indices]
    assert totals == sorted(totals) and all(0 < total <= order for total in totals)
    for kind in ("central", "raw"):
        labels = moment_labels([f"S{i}" for i in range(n_species)], order, kind)
        assert len(set(labels)) == len(indices)


def test_sums_by_kernel_are_those_of_whole_numbers():
    """One pass of compiled code, a product of matrices and Python's integers give the same sums."""
    import chemnb._kernels.lanes  # noqa: F401  without kernels in memory there is only one way

    random = np.random.default_rng(1)
    for species, largest in ((1, 50), (3, 10**4), (16, 9), (17, 9), (3, 10**9)):
        counts = random.integers(-largest, largest, size=(3000, 4, species))
        exact = counts.astype(object)
        products = np.array([exact[:, t].T @ exact[:, t] for t in range(4)])
        parts = [sums_of(part) for part in np.split(counts, 3)]
        for found in (sums_of(counts), [a + b + c for a, b, c in zip(*parts, strict=True)]):
            sums, squares = found
            assert np.array_equal(sums, exact.sum(axis=0))
            assert np.array_equal(squares, products)
            assert all(type(value) is int for value in squares.ravel()[:3])
