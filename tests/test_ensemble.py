"""Streamed statistics against plain NumPy, whole-number arithmetic and known laws; moment names."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chemnb.ensemble import Ensemble, EnsembleError
from chemnb.gillespie import sample
from chemnb.moments import moment_indices, moment_label, moment_labels
from chemnb.network import ReactionNetwork

PAIR = ReactionNetwork("A <-> B ; 1, 1")
BIRTH_DEATH = ReactionNetwork("0 -> A ; 4 \n A -> 0 ; 0.5")


def collect(*blocks, keep=10**6, histograms=()):
    """Return an ensemble of given counts (runs, times, 2)."""
    times = np.arange(blocks[0].shape[1], dtype=float)
    data = Ensemble(PAIR, blocks[0][0, 0], times, 1, keep=keep, histograms=list(histograms))
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
    message = "a joint histogram of 5001 x 5001 states is too large; ask for fewer"
    with pytest.raises(EnsembleError, match=message):
        sample(PAIR, [5000, 5000], [0], 2, seed=1, histograms=[0])


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
