"""Learned reductions: Table III, other networks, noise, warnings, the ODENet, every complaint."""

from __future__ import annotations

import builtins
import functools

import numpy as np
import pandas as pd
import pytest
import sympy
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from chemnb import models
from chemnb.equations.dynamics import integrate
from chemnb.learning.rational import RationalError
from chemnb.learning.smoothing import noise_level, smooth
from chemnb.learning.timeseries import DataError
from chemnb.networks.network import ReactionNetwork
from chemnb.reduction.exchange import ExchangeError, coefficient_sensitivity, exchange_terms
from chemnb.reduction.reduction_fit import ReductionFitError, learn_reduction
from chemnb.reduction.symbolic import reduce
from chemnb.sampling.ensemble import Ensemble
from chemnb.sampling.gillespie import sample

FAST = ["G", "GP", "GP2"]
SUPPORT = {"b1", "b2", "b3", "a11", "a22", "a33"}
TERMS = ["b1", "b2", "a11", "a22", "a33"]
P = sympy.Symbol("P")
OMEGA = sympy.Rational(8, 15) + sympy.Rational(2, 3) * P + P**2
QSSA = {
    "G": sympy.Rational(16, 1000) / OMEGA,
    "GP": sympy.Rational(2, 100) * P / OMEGA,
    "GP2": sympy.Rational(3, 100) * P**2 / OMEGA,
}


@functools.cache
def _paper(end, step):
    initial = {"M": 5.0, "G": 0.01, "GP": 0.01, "GP2": 0.01}
    times = np.arange(0, end + step / 2, step)
    return integrate(models.gene_feedback(), initial, times, rtol=1e-10, atol=1e-14)


def paper_run(start=5.0, end=1000.0, step=1.0):
    return _paper(end, step).sel(time=slice(start, None))


@functools.cache
def _low(low, high, mrna):
    network, times = models.gene_feedback(), np.linspace(5, 60, 91)
    starts = [{"M": mrna, "G": 0.03, "P": p} for p in np.linspace(low, high, 11)]
    return [integrate(network, start, times, rtol=1e-10, atol=1e-14) for start in starts]


def low_runs(low=0.1, high=3.0, mrna=0.1):
    return list(_low(low, high, mrna))


def exact_runs():
    """Runs whose fast species lie exactly on Eq. 17."""
    curve = sympy.lambdify(P, list(QSSA.values()), "numpy")
    runs = [run.copy(deep=True) for run in low_runs()]
    for run in runs:
        run.loc[{"species": FAST}] = np.transpose(curve(run.sel(species="P").values))
    return runs


def noisy(runs, level, seed):
    largest = np.max([np.abs(run.values).max(axis=0) for run in runs], axis=0)
    rng = np.random.default_rng(seed)
    return [run + level * largest * rng.standard_normal(run.shape) for run in runs]


def learn(data, fast=FAST, of="P", **options):
    return learn_reduction(data, fast=fast, of=of, progress=False, **options)


def kept(learned):
    table = learned.coefficients
    return set(table.loc[table["kept"], "coefficient"])


def errors(learned):
    return learned.table(QSSA).loc[TERMS, "error %"]


def enzyme_runs(total=0.001, starts=(0.5, 4.0)):
    network = ReactionNetwork("E + S <-> C ; 10, 5 \n C -> E + P ; 5")
    return [integrate(network, {"E": total, "S": s}, np.arange(1.0, 60)) for s in starts]


# --- the gene network ----------------------------------------------------------------------------


@pytest.mark.parametrize("start", [3, 5, 12, 40])
def test_every_window_of_the_papers_run_gives_the_terms_of_table_iii(start):
    learned = learn(paper_run(start))
    assert kept(learned) == SUPPORT
    # the bias of QSSA on this run, not an error of the fit
    assert 0 < errors(learned)["b1"] < 3.1
    assert errors(learned).abs().max() < 3.1
    assert learned.report.converged
    assert learned.total == pytest.approx(0.03, rel=1e-8)


def test_the_bias_shrinks_with_the_drive():
    bias = [errors(learn(low_runs(mrna=m)))["b1"] for m in (0.4, 0.2, 0.1)]
    assert 0 < bias[2] < 0.12
    assert bias[0] > 1.5 * bias[1] > 2.2 * bias[2]


def test_data_on_the_curve_give_the_curve():
    learned = learn(exact_runs())
    assert kept(learned) == SUPPORT
    np.testing.assert_allclose(errors(learned), 0, atol=1e-6)
    assert learned.warnings == ()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", [0.01, 0.05])
def test_noise(level, seed):
    learned = learn(noisy(low_runs(), level, seed))
    assert kept(learned) == SUPPORT
    assert errors(learned).abs().max() < 80 * level
    assert learned.warnings == ()


def test_noise_can_be_told_in_two_ways():
    runs = noisy(exact_runs(), 0.01, 5)
    largest = {n: max(abs(r.sel(species=n)).max().item() for r in runs) for n in [*FAST, "P"]}
    share = learn(runs, noise=0.01)
    named = learn(runs, noise={name: 0.01 * size for name, size in largest.items()})
    np.testing.assert_allclose(share.values, named.values)
    some = learn(runs, noise={"P": 0.01 * largest["P"]})
    assert kept(some) == SUPPORT
    # an error said to be ten times smaller makes intervals that are too narrow
    bold = learn(exact_runs(), noise=0.001, degree=2)
    shy = learn(exact_runs(), noise=0.01, degree=2)
    ratio = shy.coefficients["standard error"] / bold.coefficients["standard error"]
    np.testing.assert_allclose(ratio[[0, 1, 3]], 10, rtol=0.2)


def test_intervals_cover_the_truth():
    truth, held = pd.Series(learn(exact_runs()).table(QSSA)["reference"]).loc[TERMS], []
    for seed in range(40):
        rows = learn(noisy(exact_runs(), 0.01, seed)).coefficients.set_index("coefficient")
        held.append((rows.loc[TERMS, "lower"] <= truth) & (truth <= rows.loc[TERMS, "upper"]))
    # 190 of 200 expected; the five are correlated within a draw
    assert 176 <= np.sum(held) <= 200


def test_level_sets_the_width():
    runs = noisy(exact_runs(), 0.01, 0)
    wide, narrow = (learn(runs, level=level).coefficients for level in (0.99, 0.5))
    ratio = (wide["upper"] - wide["value"])[0] / (narrow["upper"] - narrow["value"])[0]
    assert ratio == pytest.approx(2.575829 / 0.674490, rel=1e-5)


def test_runs_of_different_times_and_a_run_of_few_points():
    runs = low_runs()
    runs[0], runs[1] = runs[0].isel(time=slice(0, 3)), runs[1].isel(time=slice(None, None, 7))
    learned = learn(noisy(runs, 0.005, 1))
    assert kept(learned) == SUPPORT
    assert errors(learned).abs().max() < 3


def test_without_the_conservation_law():
    learned = learn(low_runs(), total=None)
    assert kept(learned) == SUPPORT
    assert errors(learned).abs().max() < 0.6
    assert learned.total is None
    # nothing holds the sum, so that it is only nearly kept
    total = learned.predict([0.5]).sum().item()
    assert total != 0.03 and total == pytest.approx(0.03, rel=1e-2)


def test_the_law_comes_from_the_network_the_data_or_the_user():
    network = models.gene_feedback()
    first = learn(paper_run())
    for options in ({"network": network}, {"total": 0.03}):
        np.testing.assert_allclose(learn(paper_run(), **options).values, first.values, rtol=1e-6)
    part = learn(paper_run(), fast=["G", "GP"])  # their sum is not constant
    assert part.total is None


def test_a_site_that_binds_two_at_once():
    network = ReactionNetwork("2 A + R <-> B ; 20, 5 \n 0 -> A ; 0.05")
    runs = [integrate(network, {"A": a, "R": 0.01}, np.linspace(1, 30, 40)) for a in (0.1, 0.5, 1)]
    learned = learn(runs, fast=["R", "B"], of="A", network=network)
    assert learned.total == pytest.approx(0.01)
    assert kept(learned) == {"b1", "b3", "a11", "a32"}
    assert learned.values[0, 0] == pytest.approx(0.5, rel=0.02)  # 5 / (20/2)


@settings(max_examples=8, deadline=None)
@given(st.floats(-4, 4), st.floats(-4, 4), st.floats(-2, 2))
def test_units_play_no_role(log_fast, log_slow, log_time):
    fast, slow, time = 10.0**log_fast, 10.0**log_slow, 10.0**log_time
    runs = noisy(low_runs(), 0.01, 3)
    scaled = []
    for run in runs:
        factors = xr.DataArray(
            [slow, 1.0, fast, fast, fast], coords={"species": run["species"]}, dims="species"
        )
        scaled.append((run * factors).assign_coords(time=run["time"] * time))
    first, second = learn(runs), learn(scaled)
    back = second.values / slow ** (2.0 - np.arange(3))
    back[1:] /= fast
    assert kept(first) == kept(second)
    np.testing.assert_allclose(back, first.values, rtol=1e-4)


def test_the_order_of_runs_and_species_plays_no_role():
    runs = noisy(low_runs(), 0.01, 2)
    first, second = learn(runs), learn(runs[::-1], fast=FAST[::-1])
    np.testing.assert_allclose(second.values[[0, 3, 2, 1]], first.values, rtol=1e-6)


# --- degree and terms ----------------------------------------------------------------------------


def test_the_lowest_degree_that_fits_is_taken():
    assert learn(enzyme_runs(), ["E", "C"], "S").family.degree == 1
    assert learn(low_runs()).family.degree == 2
    assert [degree for degree, _ in learn(low_runs()).ladder] == [1, 2]


def test_two_slow_species():
    network, times = models.competitive_inhibition(), np.linspace(1, 30, 40)
    runs = [
        integrate(network, {"E": 0.01, "S": s, "I": i}, times)
        for s in (0.1, 0.4, 1, 3) for i in (0.2, 1)
    ]  # fmt: skip
    learned = learn(noisy(runs, 0.01, 1), ["E", "ES", "EI"], ["S", "I"])
    form = {n: f"{up}/(1 + S/0.4 + I/0.5)" for n, up in
            {"E": "0.01", "ES": "0.01*S/0.4", "EI": "0.01*I/0.5"}.items()}  # fmt: skip
    table = learned.table(form)
    assert ((table["reference"] != 0) == (table["learned"] != 0)).all()
    assert table["error %"].abs().max() < 2
    values = learned.predict({"S": [1.0, 2.0], "I": 0.5})
    np.testing.assert_allclose(values[0], [0.01 / 4.5, 0.025 / 4.5, 0.01 / 4.5], rtol=0.01)


def test_a_polynomial_and_a_fraction_without_conservation():
    toggle, times = models.dimer_toggle(), np.linspace(0.2, 6, 60)
    runs = [
        integrate(toggle, {"A": a, "B": b, "GA": 0.01, "GB": 0.01}, times)
        for a, b in ((0.1, 0.3), (3, 1), (2, 0.1))
    ]
    learned = learn(runs, ["A2"], "A")
    assert kept(learned) == {"b1", "a31"}
    assert learned.values[1, 2] == pytest.approx(0.02, rel=1e-3)
    assert sympy.simplify(learned.expressions["A2"]).as_numer_denom()[1] == 1
    gas, times = models.lindemann_hinshelwood(), np.linspace(1, 40, 40)
    runs = [integrate(gas, {"A": a}, times) for a in (0.1, 0.3, 1, 2)]
    learned = learn(runs, ["As"], "A")
    assert kept(learned) == {"b1", "b2", "a31"}
    np.testing.assert_allclose(learned.values[:, [0, 2]], [[0.5, 0], [0, 1e-3]], rtol=5e-3)


def test_all_terms_of_a_degree():
    learned = learn(paper_run(), threshold=None)
    assert len(kept(learned)) == 12
    assert (learned.values < 0).any()
    assert abs(learned.values[2, 0]) < 0.001  # the small terms are the lag behind dP/dt
    positive = learn(paper_run(), threshold=None, nonnegative=True)
    assert (positive.values >= 0).all()
    truth = paper_run().sel(species=FAST)
    gaps = [abs(x.predict(paper_run()) - truth).max().item() for x in (learned, learn(paper_run()))]
    assert 10 * gaps[0] < gaps[1]


def test_the_learned_curve_is_never_negative():
    learned = learn(noisy(low_runs(), 0.05, 4))
    assert (learned.predict(np.linspace(0, 100, 50)) >= 0).all()


# --- warnings ------------------------------------------------------------------------------------


def only(warnings, word):
    found = [text for text in warnings if word in text]
    assert len(found) == 1, warnings
    return found[0]


def test_the_initial_layer_is_seen_and_a_start_suggested():
    learned = learn(paper_run(0, 60, 0.1))
    text = only(learned.warnings, "initial layer")
    start = float(text.rpartition("start=")[2])
    assert 0.8 <= start <= 3
    later = learn(paper_run(0, 60, 0.1), start=start)
    assert not any("initial layer" in w for w in later.warnings)
    assert kept(later) == SUPPORT
    assert not any("initial layer" in w for w in learn(paper_run()).warnings)


@pytest.mark.parametrize("reach", [(0.001, 0.1), (3, 5)])
def test_a_narrow_range_is_called_narrow(reach):
    assert "the range of the slow variable is" in only(learn(low_runs(*reach)).warnings, "range")
    assert not any("range" in text for text in learn(low_runs(0.01, 1)).warnings)


def test_a_shared_factor_is_called_one():
    learned = learn(enzyme_runs(), ["E", "C"], "S", degree=3)
    assert "degree 1 fits as well as degree 3" in only(learned.warnings, "share a factor")
    np.testing.assert_allclose(learned.predict([1.0]), [[5e-4, 5e-4]], rtol=1e-2)


def test_terms_near_the_threshold_are_named():
    learned = learn(low_runs(0.001, 0.1))
    assert "'a23' was dropped at" in only(learned.warnings, "close to the floor")
    near = learn(paper_run(), threshold=0.25)
    assert "was kept at" in only(near.warnings, "close to the floor")


def test_a_curve_that_is_none_is_called_wrong():
    run = paper_run(5, 300)
    rng = np.random.default_rng(0)
    walk = xr.zeros_like(run)
    walk.loc[{"species": "G"}] = 0.002 * np.cumsum(rng.standard_normal(run.sizes["time"])) ** 2
    learned = learn(run + walk, total=None, noise={"G": 1e-5, "GP": 1e-5, "GP2": 1e-5, "P": 0.0})
    assert "beyond their noise" in only(learned.warnings, "misses the data")


def test_a_loose_coefficient_is_named():
    learned = learn(noisy([paper_run(5, 300)[::20]], 0.05, 1), degree=2)
    assert "(standard error)" in only(learned.warnings, "data fix")


# --- the ODENet ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_the_papers_way_from_random_starts(seed):
    learned = learn(paper_run(), method="odenet", degree=2, total=None, seed=seed)
    assert kept(learned) == SUPPORT
    assert errors(learned).abs().max() < 4
    assert learned.report.converged and "converged" in learned.report.verdict
    assert learned.coefficients["standard error"].isna().all()
    assert len(learned.report.history) > 500
    assert learned.report.path[0][1] < 0.05


def test_the_odenet_knows_conservation_and_is_reproducible():
    first, again = (learn(paper_run(), method="odenet", iterations=200, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.values, again.values)
    assert kept(first) == SUPPORT
    np.testing.assert_allclose(first.values[1:].sum(axis=0), 0.03 * first.values[0], rtol=1e-9)


def test_segments_through_the_slow_equations():
    learned = learn(
        low_runs()[::3], method="odenet", degree=2, segment=2, network=models.gene_feedback(),
        iterations=150,
    )  # fmt: skip
    assert kept(learned) == SUPPORT
    assert errors(learned).abs().max() < 2


def test_a_fit_that_is_not_at_a_minimum_is_not_called_converged(monkeypatch):
    monkeypatch.setattr("chemnb.reduction.reduction_odenet._ROUNDS", 0)
    learned = learn(
        paper_run(), method="odenet", degree=2, total=None, iterations=5, threshold=None
    )
    assert not learned.report.converged
    assert "other methods find" in learned.report.verdict
    assert "not converged" in repr(learned)


def test_an_interrupted_training_keeps_the_best_so_far(monkeypatch):
    from chemnb.learning import adam as _adam

    step, count = _adam.Descent.step, iter(range(1000))

    def interrupted(self):
        if next(count) == 30:
            raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(_adam.Descent, "step", interrupted)
    learned = learn(paper_run(), method="odenet", degree=2)
    assert "interrupted after 30 iterations; this is the best so far" in learned.report.verdict
    assert not learned.report.converged
    assert len(kept(learned)) == 12


def test_segments_need_a_network_and_its_numbers():
    with pytest.raises(DataError, match="give it, network=..., or leave segment out"):
        learn(paper_run(), method="odenet", degree=2, segment=5)
    free = models.gene_feedback(k1=None)
    with pytest.raises(DataError, match="the network has no value for 'k1'"):
        learn(paper_run(), method="odenet", degree=2, segment=5, network=free)
    with pytest.raises(DataError, match="no run has more than 2000 samples"):
        learn(paper_run(), method="odenet", degree=2, segment=2000, network=models.gene_feedback())


def test_without_torch(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "torch":
            raise ImportError("no torch", name="torch")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="method='odenet' needs torch.*chemnb\\[learn\\]"):
        learn(paper_run(), method="odenet")


# --- results -------------------------------------------------------------------------------------


def test_the_table_is_shaped_like_table_iii():
    table = learn(paper_run()).table(QSSA)
    assert table.columns.tolist() == ["reference", "learned", "error %"]
    assert table.index[:5].tolist() == ["b1", "b2", "b3", "a11", "a21"]
    assert table.loc["b3", "learned"] == 1
    assert np.isnan(table.loc["a21", "error %"])
    alone = learn(paper_run()).table()
    assert alone.columns.tolist() == ["learned"]
    reduced = reduce(models.gene_feedback(), FAST, "species")
    pd.testing.assert_frame_equal(learn(paper_run()).table(reduced), table, rtol=1e-6)
    itself = learn(paper_run()).table(learn(paper_run()))
    np.testing.assert_allclose(itself["error %"].dropna(), 0, atol=1e-9)
    with pytest.raises(RationalError, match="reference is a int; give formulas by species"):
        learn(paper_run()).table(3)


def test_predictions_keep_their_labels():
    learned, run = learn(paper_run()), paper_run()
    found = learned.predict(run)
    assert found.dims == ("time", "species")
    assert found["species"].values.tolist() == FAST
    np.testing.assert_array_equal(found["time"], run["time"])
    np.testing.assert_allclose(found, run.sel(species=FAST), atol=6e-4)
    for slow in ([0.5], np.array([[0.5]]), {"P": 0.5}, pd.DataFrame({"P": [0.5]})):
        other = learned.predict(slow)
        assert other.dims == ("sample", "species")
        np.testing.assert_allclose(other[0], learned.predict([0.5])[0])
    formulas = learned.expressions
    at_half = [float(formulas[name].subs({s: 0.5 for s in formulas[name].free_symbols}))
               for name in FAST]  # fmt: skip
    np.testing.assert_allclose(learned.predict([0.5])[0], at_half)
    with pytest.raises(RationalError, match="no values of 'P'"):
        learned.predict({"M": 1.0})
    with pytest.raises(RationalError, match=r"give \(n, 1\)"):
        learned.predict(np.ones((3, 2)))


def test_displays():
    learned = learn(paper_run())
    assert repr(learned) == (
        "LearnedReduction(G, GP, GP2 of P, degree 2: 6 of 12 terms kept, converged)"
    )
    assert learned._repr_latex_().startswith(r"$\displaystyle \begin{aligned}G &= \frac{0.01642}")
    shown = learned._repr_html_()
    assert "<td>a22</td>" in shown and "<td>a21</td>" not in shown
    assert "<ul>" not in shown
    layered = learn(paper_run(0, 60, 0.1))
    assert "warning(s)" in repr(layered) and "<li>until about" in layered._repr_html_()
    assert "misfit beyond it" in str(learned.report)


def test_the_learned_model_in_the_conserved_total():
    network, full = models.gene_feedback(), paper_run()
    start, times = full.isel(time=0), full.time.values - 5
    learned = learn(full, threshold=None)

    def off(model):
        found = model.integrate(start, times)
        return dict(zip(found["species"].values, 100 * abs(found.values / full.values - 1).max(0),
                        strict=True))  # fmt: skip

    total = off(learned.model(network))
    assert total["P"] < 0.05 and total["M"] < 0.05
    assert total["G"] < 0.5 and total["GP"] < 0.5 and total["GP2"] < 1
    assert off(learned.model(network, "species"))["P"] < 0.3
    assert 2 < off(learned.model(network, "species", underlined=False))["P"] < 3
    assert "learned from data" in learned.model(network).assumptions[0]
    with pytest.raises(RationalError, match="coordinate='sum'; use 'total' or 'species'"):
        learned.model(network, "sum")
    with pytest.raises(RationalError, match="a total has no such terms"):
        learned.model(network, underlined=False)


# --- the underlined terms ------------------------------------------------------------------------


def test_the_underlined_terms_are_what_becomes_bound():
    network, run = models.gene_feedback(), paper_run(0)
    table = exchange_terms(run, network, fast=FAST, of="P")
    assert table.columns.tolist() == [
        "G + P -> GP", "GP -> G + P", "GP + P -> GP2", "GP2 -> GP + P", "sum",
        "-d/dt (GP + 2 GP2)", "slow",
    ]  # fmt: skip
    np.testing.assert_allclose(table["sum"], table["-d/dt (GP + 2 GP2)"], atol=1e-16)
    # the same by differences along the run
    bound = run.sel(species="GP") + 2 * run.sel(species="GP2")
    slope = np.gradient(bound.values, run.time.values)
    np.testing.assert_allclose(table["sum"].iloc[20:-1], -slope[20:-1], rtol=0.02)
    np.testing.assert_allclose(table["slow"], 0.01 * run.sel(species="M"))
    learned = exchange_terms(run, network, fast=FAST, of="P", manifold=learn(paper_run()))
    by_formula = exchange_terms(run, network, fast=FAST, of="P", manifold=QSSA)
    # QSSA cancels them, a learned manifold does not
    np.testing.assert_allclose(by_formula["sum"], 0, atol=1e-15)
    assert learned["sum"].abs().max() > 1e-4


def test_one_per_cent_in_one_coefficient():
    network, full = models.gene_feedback(), paper_run()
    start, times = full.isel(time=0), full.time.values[::20] - 5
    learned = learn(full)
    kept_terms = coefficient_sensitivity(learned, network, start, times)
    dropped = coefficient_sensitivity(learned, network, start, times, underlined=False)
    total = coefficient_sensitivity(learned, network, start, times, coordinate="total")
    assert set(kept_terms.index) == SUPPORT
    assert kept_terms.columns.tolist() == ["P", "M"]
    assert kept_terms.loc[["a22", "a33"], "P"].min() > 20
    assert dropped["P"].max() < 0.1 and total["P"].max() < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fast": ["G", "X"], "of": "P"}, "'X' is not a species of the network"),
        ({"fast": FAST, "of": "G"}, "'G' is itself fast"),
        ({"fast": FAST, "of": "M"}, "no fast reaction changes 'M'"),
        ({"fast": FAST, "of": "P", "manifold": {"G": P}}, "a formula for each of"),
    ],
)
def test_terms_that_are_not_there(options, message):
    with pytest.raises(ExchangeError, match=message):
        exchange_terms(paper_run(), models.gene_feedback(), **options)


def test_runs_that_lack_something():
    with pytest.raises(ExchangeError, match="a DataArray over time and species"):
        exchange_terms(np.ones((3, 5)), models.gene_feedback(), fast=FAST, of="P")
    some = paper_run().sel(species=["P", "G", "GP", "GP2"])
    with pytest.raises(ExchangeError, match="no values of 'M'"):
        exchange_terms(some, models.gene_feedback(), fast=FAST, of="P")


# --- kinds of data, and bad data -----------------------------------------------------------------


def test_all_kinds_of_data_agree():
    run = paper_run(5, 300)
    frame = run.to_pandas()
    ordered = run.sel(species=[*FAST, "P"])
    first = learn(run).values
    bare = (ordered.time.values, ordered.values)
    for data in ([run], run.T, frame, bare, [bare], (bare, bare), (run, run)):
        np.testing.assert_allclose(learn(data).values, first, rtol=1e-9)


def test_the_row_at_zero_is_left_out():
    run = paper_run(0, 300)
    np.testing.assert_array_equal(learn(run).values, learn(run.isel(time=slice(1, None))).values)


def test_an_ensemble_brings_its_noise():
    # fast species are linear in E and C, so their means obey the same curve at large volume
    network = models.michaelis_menten(k1=0.1, k_m1=1.9, k2=0.1)
    data = sample(
        network, {"S": 60, "E": 20}, np.linspace(0, 60, 13), 4000, seed=1, keep=400, progress=False
    )
    assert isinstance(data, Ensemble)
    learned = learn(data, ["E", "C"], "S")
    assert kept(learned) == {"b1", "b2", "a11", "a22"}
    assert learned.total == pytest.approx(20)
    assert learned.values[0, 0] == pytest.approx(20, rel=0.15)


def broken():
    run = paper_run().copy(deep=True)
    run[7, 0] = np.nan
    return run


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (paper_run(), {"fast": ["G", "GP3"]}, "has no variable 'GP3'; did you mean 'GP'"),
        (paper_run(), {"of": ["Q"]}, "has no variable 'Q'"),
        (broken(), {}, "1 value.s. are not finite numbers.*nan for 'P' at t = 12"),
        (paper_run(1000), {}, r"1 sample\(s\) after t = 0"),
        (paper_run(), {"start": 2000}, r"0 sample\(s\) from t = 2000 on"),
        (paper_run(), {"start": "late"}, "start='late'; give a number of zero or more"),
        (paper_run(), {"noise": -0.1}, "noise=-0.1; give a number of zero or more"),
        (paper_run(), {"noise": {"M": 0.1}}, "noise names 'M'"),
        ("text", {}, "is no time series"),
    ],
)
def test_bad_data(data, options, message):
    with pytest.raises(DataError, match=message):
        learn(data, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fast": []}, r"fast=\[\] is empty"),
        ({"fast": ["P", "M", *FAST], "of": []}, r"of=\[\] is empty"),
        ({"fast": ["P", "M", *FAST]}, "'P' is in fast and in of"),
    ],
)
def test_bad_sets_of_species(options, message):
    with pytest.raises(RationalError, match=message):
        learn(paper_run(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "method='magic'; it must be 'regression' or 'odenet'"),
        ({"degree": 0}, "degree=0; it must be 'auto' or a whole number above 0"),
        ({"threshold": 2}, "threshold=2; it must be from 0 to below 1, or None"),
        ({"level": 1.0}, "level=1.0; it must be between 0 and 1"),
        ({"tolerance": -1}, "tolerance=-1"),
        ({"penalty": -1}, "penalty=-1"),
        ({"iterations": 0}, "iterations=0"),
        ({"learning_rate": 0}, "learning_rate=0"),
        ({"segment": 0}, "segment=0"),
        ({"total": -1}, "total=-1; give the conserved sum of the fast species"),
        ({"total": 0.05}, "total=0.05, but 'G', 'GP', 'GP2' add up to 0.03"),
        ({"network": ReactionNetwork("G -> P ; 1")}, "'GP' is not a species of the network"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ReductionFitError, match=message):
        learn(paper_run(), **options)


def test_a_slow_species_that_is_constant():
    run = paper_run().copy(deep=True)
    run.loc[{"species": "P"}] = 0.5
    with pytest.raises(ReductionFitError, match=r"'P' is constant \(0.5\)"):
        learn(run)
    with pytest.raises(ReductionFitError, match="'P' is constant but for its noise"):
        learn(noisy([run], 0.01, 0))


def test_a_fast_species_that_is_zero():
    run = paper_run().copy(deep=True)
    run.loc[{"species": "GP2"}] = 0.0
    with pytest.raises(ReductionFitError, match="'GP2' is zero in all samples"):
        learn(run)


def test_fewer_samples_than_coefficients():
    few = paper_run().isel(time=[0, 60, 300])
    with pytest.raises(ReductionFitError, match="3 samples of 3 fast species for 8 free"):
        learn(few, degree=2)
    assert learn(few).ladder[-1][0] == 1  # "auto" looks no further than the samples reach
    with pytest.raises(ReductionFitError, match="2 samples of 1 fast species for 3 free"):
        learn(few[:2], fast=["G"])


def test_different_totals_in_different_runs():
    network = ReactionNetwork("E + S <-> C ; 10, 5 \n C -> E + P ; 5")
    runs = [*enzyme_runs(0.001), *enzyme_runs(0.002)]
    with pytest.raises(ReductionFitError, match="but it gives 0.001, 0.002 in these data"):
        learn(runs, ["E", "C"], "S", network=network)
    # without the network it is a sum that is not conserved, and a curve that does not fit
    learned = learn(runs, ["E", "C"], "S")
    assert learned.total is None
    only(learned.warnings, "misses the data")


def test_a_sum_that_is_only_nearly_constant_is_no_law():
    runs = exact_runs()
    for run in runs:
        run.loc[{"species": "GP2"}] *= 1 + 0.05 * run.sel(species="P") / 3
    assert learn(runs).total is None
    assert learn(noisy(runs, 0.01, 0)).total is None
    assert learn(noisy(exact_runs(), 0.1, 0), degree=2).total == pytest.approx(0.03, rel=0.01)


def test_two_conservation_laws():
    network = models.goldbeter_koshland()
    start = {"E1": 0.01, "E2": 0.01, "W": 0.9, "Ws": 0.1}
    run = integrate(network, start, np.linspace(1, 100, 60))
    with pytest.raises(ReductionFitError, match="hold 2 conservation laws"):
        learn(run, ["E1", "C1", "E2", "C2"], ["W", "Ws"], network=network)


# --- smoothing -----------------------------------------------------------------------------------


def test_the_noise_level_is_found():
    rng, t = np.random.default_rng(0), np.linspace(0, 10, 400)
    levels = [noise_level(np.exp(-t) + 0.03 * rng.standard_normal(400)) for _ in range(20)]
    assert np.mean(levels) == pytest.approx(0.03, rel=0.05)
    assert noise_level(np.exp(-t)) < 1e-5
    assert np.isnan(noise_level([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("shape", ["line", "early"])
def test_smoothing_removes_noise_and_says_what_is_left(shape):
    t = np.linspace(5, 1000, 600)
    truth = 0.01 * t if shape == "line" else 5 * (1 - np.exp(-t / 50))
    ratios = []
    for seed in range(30):
        curve = smooth(t, truth + 0.1 * np.random.default_rng(seed).standard_normal(600))
        error, claimed = curve.values - truth, np.sqrt((curve.spread**2).sum(axis=1))
        assert np.sqrt(np.mean(error**2)) < 0.04
        ratios.append(np.mean(error**2) / np.mean(claimed**2))
        assert curve.noise == pytest.approx(0.1, rel=0.15)
    assert 0.6 < np.mean(ratios) < 2


def test_few_points_are_not_smoothed():
    curve = smooth([1.0, 2.0, 3.0], [1.0, 5.0, 2.0], noise=0.2)
    np.testing.assert_array_equal(curve.values, [1, 5, 2])
    np.testing.assert_array_equal(curve.spread, 0.2 * np.eye(3))
