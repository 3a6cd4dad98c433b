"""How sure ODENet is: noise from residuals, bootstrap, identifiability, profiles, coverage."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy.stats import binom

import chemnb as cn
from chemnb.learning.bootstrap import percentiles
from chemnb.learning.monomials import monomials
from chemnb.learning.noise import UncertaintyError, reach
from chemnb.learning.odenet import ODENet, ODENetError

TIMES = np.linspace(0, 6, 13)
TRUE = {"1": 1.0, "A": -0.8}
CELL = {"A": ["1", "A"]}
DRAWS = 60


def relaxation(level, seed, times=TIMES, start=3.0):
    """dA/dt = 1 - 0.8 A with errors of one size."""
    exact = 1.25 + (start - 1.25) * np.exp(-0.8 * times)
    return exact + level * np.random.default_rng(seed).standard_normal(len(times))


@functools.cache
def relaxing(seed=0, known=True, times=13):
    times = np.linspace(0, 6, times)
    errors = np.full((len(times), 1), 0.03) if known else None
    model = ODENet(monomials(1, constant=True), allowed=CELL, selection=None, progress=False)
    return model.fit((times, relaxation(0.03, seed, times)), variables=["A"],
                     standard_errors=errors)  # fmt: skip


def shadows(level=0.01, seed=0):
    """A and B start alike and decay alike: nothing tells one from the other."""
    times = np.linspace(0, 3, 16)
    exact = np.exp(-times)[:, None] * np.ones(2)
    values = exact + level * np.random.default_rng(seed).standard_normal(exact.shape)
    model = ODENet(monomials(1), selection=None, progress=False)
    return model.fit((times, values), variables=["A", "B"], initial={"A": 1, "B": 1})


def kept(table):
    return table[table["kept"]].set_index("term") if "kept" in table else table.set_index("term")


def held(intervals):
    """Whether each interval holds the truth: bool (draws, terms)."""
    return np.array([[t.loc[term, "lower"] <= true <= t.loc[term, "upper"]
                      for term, true in TRUE.items()] for t in intervals])  # fmt: skip


def check_coverage(intervals):
    hits = held(intervals).sum(axis=0)
    lowest = binom.ppf(1e-3, len(intervals), 0.95)
    assert np.all(hits >= lowest), f"{hits} of {len(intervals)} intervals hold the truth"


# --- coverage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False])
def test_intervals_from_the_covariance_cover(known):
    models = [relaxing(seed, known) for seed in range(DRAWS)]
    tables = [kept(model.coefficients) for model in models]
    check_coverage(tables)
    spread = np.std([t["value"] for t in tables], axis=0)
    claimed = np.mean([t["standard error"] for t in tables], axis=0)
    # nor are they too wide: 60 draws give a standard deviation to 9 %
    np.testing.assert_allclose(claimed, spread, rtol=0.3)


@pytest.mark.parametrize("known", [True, False])
def test_bootstrap_intervals_cover(known):
    models = [relaxing(seed, known) for seed in range(DRAWS // 2)]
    check_coverage([
        model.bootstrap(50, seed=seed).coefficients.set_index("term")
        for seed, model in enumerate(models)
    ])  # fmt: skip


@pytest.mark.parametrize("known", [True, False])
def test_profile_intervals_cover(known):
    hits = 0
    for seed in range(DRAWS):
        found = relaxing(seed, known).profile("A", "A", points=3)
        hits += found.lower <= TRUE["A"] <= found.upper
    assert hits >= binom.ppf(1e-3, DRAWS, 0.95)


def test_noise_that_is_not_in_proportion_to_the_range():
    times, z = np.linspace(0, 4, 21), {"A": [], "B": []}
    for seed in range(30):
        rng = np.random.default_rng(seed)
        a, b = np.exp(-times) + 0.002 * rng.standard_normal(21), 0.5 + 2 * np.exp(-0.5 * times)
        b = b + 0.2 * rng.standard_normal(21)
        model = ODENet(
            monomials(1, constant=True), selection=None, progress=False,
            allowed={"A": ["A"], "B": ["1", "B"]},
        )  # fmt: skip
        table = model.fit((times, np.c_[a, b]), variables=["A", "B"]).coefficients
        for row, true in zip(table.itertuples(index=False), (-1.0, 0.25, -0.5), strict=True):
            z[row.equation].append((row.value - true) / row[3])
    # one noise level for both would make these 0.1 and 1.4
    for values in z.values():
        assert 0.7 < np.sqrt(np.mean(np.square(values))) < 1.35


def test_estimated_starts_and_coefficients_use_up_degrees_of_freedom():
    fit = relaxing(0, False, times=7)._result.fit
    assert fit.freedom == pytest.approx([7 - 2 - 1] * 2)


def test_errors_that_are_alike_in_time_widen_the_intervals():
    times, z = np.linspace(0, 8, 81), []
    for seed in range(20):
        rng, noise = np.random.default_rng(seed), np.zeros(81)
        for i in range(1, 81):
            noise[i] = 0.8 * noise[i - 1] + 0.02 * rng.standard_normal()
        data = 1.25 + 1.75 * np.exp(-0.8 * times) + noise
        model = ODENet(
            monomials(1, constant=True), allowed=CELL, selection=None, progress=False
        ).fit((times, data), variables=["A"])
        row = kept(model.coefficients).loc["A"]
        z.append((row["value"] + 0.8) / row["standard error"])
    # taken for independent these errors would give about 3
    assert np.sqrt(np.mean(np.square(z))) < 1.6


# --- bootstrap -----------------------------------------------------------------------------------


def test_bootstrap_agrees_with_the_covariance():
    model = relaxing()
    found = model.bootstrap(300).coefficients.set_index("term")
    straight = kept(model.coefficients)
    np.testing.assert_allclose(found["value"], straight["value"])
    np.testing.assert_allclose(found["standard error"], straight["standard error"], rtol=0.2)
    for end in ("lower", "upper"):
        off = (found[end] - straight[end]) / straight["standard error"]
        assert np.abs(off).max() < 0.6


def test_bootstrap_does_not_depend_on_workers_but_on_the_seed():
    model = relaxing()
    one, three = model.bootstrap(30), model.bootstrap(30, workers=3)
    np.testing.assert_array_equal(one.theta, three.theta)
    assert not np.array_equal(one.theta, model.bootstrap(30, seed=1).theta)


def test_bootstrap_with_selection_tells_which_terms_survive():
    times, rng = np.linspace(0, 6, 25), np.random.default_rng(3)
    exact = 3 * np.exp(-0.8 * times)
    model = ODENet(monomials(2), progress=False)
    model.fit((times, exact + 0.02 * rng.standard_normal(25)), variables=["A"])
    found = model.bootstrap(25, selection=True)
    share = found.coefficients.set_index("term")["share"]
    assert share["A"] > 0.9
    assert share.get("A^2", 0.0) < 0.4
    dropped = ~found.kept
    assert np.all(found.unknowns[dropped] == 0)


def test_bootstrap_over_experiments():
    times = np.linspace(0.5, 4, 8)
    rng = np.random.default_rng(0)
    data = [(times, s * np.exp(-0.5 * times) + 0.01 * rng.standard_normal(8)) for s in range(1, 9)]
    model = ODENet(monomials(1), progress=False).fit(
        data, variables=["A"], initial=[{"A": s} for s in range(1, 9)]
    )
    found = model.bootstrap(40, method="experiments")
    row = found.coefficients.iloc[0]
    assert found.freedom == 7
    assert row["lower"] < -0.5 < row["upper"]
    assert 0.3 < row["standard error"] / model.coefficients["standard error"][0] < 3


def test_bootstrap_of_a_robust_fit_keeps_it_robust():
    values = relaxation(0.02, 5)
    values[6] += 1.5
    model = ODENet(
        monomials(1, constant=True), allowed=CELL, selection=None, loss="huber", progress=False
    ).fit((TIMES, values), variables=["A"])
    table = model.bootstrap(30).coefficients.set_index("term")
    assert table.loc["A", "lower"] < -0.8 < table.loc["A", "upper"]


def test_bootstrap_of_rates():
    network = cn.ReactionNetwork("A -> B ; k1\nB -> A ; k2", k1=None, k2=None)
    times, rng = np.linspace(0, 4, 12), np.random.default_rng(1)
    a = 0.25 + 0.75 * np.exp(-2 * times)
    values = np.c_[a, 1 - a] + 0.01 * rng.standard_normal((12, 2))
    model = ODENet(network=network, selection=None, progress=False)
    model.fit((times, values), variables=["A", "B"], initial={"A": 1, "B": 0})
    rates = model.bootstrap(40).rates
    assert list(rates.index) == ["k1", "k2"]
    assert np.all((rates["lower"] < [1.5, 0.5]) & ([1.5, 0.5] < rates["upper"]))
    profile = model.profile("k1", points=3)
    assert profile.lower == pytest.approx(model.rates.loc["k1", "lower"], abs=0.02)


def test_percentiles_follow_student_and_the_bias():
    draws = np.random.default_rng(0).standard_normal((4000, 1))
    lower, upper = percentiles(np.zeros(1), draws, float(reach(0.95, 5)))
    assert (-lower[0], upper[0]) == pytest.approx((2.57, 2.57), abs=0.25)
    lower, upper = percentiles(np.zeros(1), draws + 0.5, 1.96)
    assert (lower[0] + upper[0]) / 2 == pytest.approx(-0.5, abs=0.15)


# --- what the data determine ---------------------------------------------------------------------


def test_a_well_posed_fit_is_determined():
    report = relaxing().identifiability()
    assert report.determined and report.starts.empty
    assert "determine all 2 coefficients" in str(report)
    errors = relaxing()._result
    relative = np.sqrt(np.diag(errors.errors)) / np.abs(errors.values)
    # the worst combination is at least as uncertain as any single coefficient
    assert report.combinations["relative error"].max() >= relative.max() * 0.99


def test_shadows_are_named_and_the_start_that_helps_is_found():
    report = shadows().identifiability()
    assert not report.determined
    assert report.combinations["determined"].tolist() == [True, True, False, False]
    assert "Not determined: [A: A] / [A: B]" in report.text
    best = report.starts.iloc[0]
    assert best["A"] != pytest.approx(best["B"])
    assert best["relative error"] < 0.1 * report.combinations["relative error"].iloc[-1]
    assert "<table" in report._repr_html_()


def test_the_suggested_start_does_help():
    model = shadows()
    start = model.identifiability().starts.iloc[0][["A", "B"]]
    times, rng = np.linspace(0, 3, 16), np.random.default_rng(1)
    first = np.exp(-times)[:, None] * np.ones(2)
    # the truth: each decays by itself
    second = np.exp(-times)[:, None] * start.to_numpy()
    data = [(times, y + 0.01 * rng.standard_normal(y.shape)) for y in (first, second)]
    both = ODENet(monomials(1), selection=None, progress=False).fit(
        data, variables=["A", "B"], initial=[{"A": 1, "B": 1}, start.to_dict()]
    )
    before = model.coefficients["standard error"].max()
    assert both.coefficients["standard error"].max() < 0.1 * before


def test_what_cannot_be_told_apart_at_all():
    network = cn.ReactionNetwork("A -> B ; k1\nA -> C ; k2", k1=None, k2=None)
    times, rng = np.linspace(0, 3, 16), np.random.default_rng(2)
    values = np.exp(-0.5 * times)[:, None] + 0.01 * rng.standard_normal((16, 1))
    model = ODENet(network=network, hidden=["B", "C"], selection=None, progress=False)
    model.fit((times, values), variables=["A"], standard_errors=np.full((16, 1), 0.01),
              initial={"A": 1, "B": 0, "C": 0})  # fmt: skip
    report = model.identifiability()
    assert report.combinations["determined"].tolist() == [True, False]
    assert "measure more variables" in report.text
    assert np.isinf(model.bootstrap(20).rates["standard error"]).all()
    whole = model.profile("A", "A", points=5)
    assert whole.determined and whole.lower < -0.5 < whole.upper


# --- profiles ------------------------------------------------------------------------------------


def test_a_profile_of_a_nearly_linear_fit_is_a_parabola():
    model = relaxing()
    found, row = model.profile("A", "A", points=7), kept(model.coefficients).loc["A"]
    assert found.threshold == pytest.approx(1.96**2, rel=1e-3)
    assert found.determined and found.note == ""
    assert found.lower == pytest.approx(row["lower"], abs=0.3 * row["standard error"])
    assert found.upper == pytest.approx(row["upper"], abs=0.3 * row["standard error"])
    at = model.profile("A", "A", points=[row["value"] + row["standard error"]])
    assert at.table["difference"].iloc[0] == pytest.approx(1, abs=0.2)
    # the other coefficient is refitted: raising the loss of A takes a larger gain
    table = found.table
    assert np.corrcoef(table.index, table["A: 1"])[0, 1] < -0.9


def test_a_flat_profile_is_called_not_determined():
    found = shadows().profile("A", "A", points=5)
    assert not found.determined
    assert "not determined" in str(found)
    assert "<table" in found._repr_html_()


def test_profiles_can_be_drawn(tmp_path):
    import matplotlib as mpl

    mpl.use("Agg")
    axes = cn.plots.profile(relaxing().profile("A", "A", points=9))
    assert axes.get_xlabel() == "A: A"
    assert len(axes.lines) == 3


# --- complaints ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask, message",
    [
        (lambda m: m.bootstrap(5), "resamples=5"),
        (lambda m: m.bootstrap(method="jackknife"), "is unknown"),
        (lambda m: m.bootstrap(workers=0), "workers=0"),
        (lambda m: m.bootstrap(method="residuals"), "use method='parametric'"),
        (lambda m: m.bootstrap(method="experiments"), "too few"),
        (lambda m: m.profile("A", "B"), "is no kept term"),
        (lambda m: m.profile("k1"), "is no kept unknown"),
        (lambda m: m.profile("A", "A", points=1), "3 or more"),
        (lambda m: m.profile("A", "A", points="many"), "list of values"),
    ],
)
def test_complaints(ask, message):
    with pytest.raises(UncertaintyError, match=message):
        ask(relaxing())


def test_complaints_about_the_fit():
    with pytest.raises(ODENetError, match="call .fit"):
        ODENet(monomials(1)).identifiability()
    with pytest.raises(UncertaintyError, match="standard_errors="):
        relaxing(0, False).bootstrap(method="parametric")
    times = np.linspace(0, 1, 5)
    still = ODENet(monomials(1), progress=False).fit((times, np.ones(5)), variables=["A"])
    with pytest.raises(UncertaintyError, match="no term was kept"):
        still.bootstrap()
