"""ODENet: recovery, selection, intervals, Adam, displays, and every complaint."""

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
from scipy import stats
from scipy.integrate import solve_ivp

from chemnb.equations.polynomials import SolverError
from chemnb.learning.monomials import monomials
from chemnb.learning.odenet import ODENet, ODENetError
from chemnb.learning.timeseries import DataError, read_experiments
from chemnb.models import single_progenitor
from chemnb.sampling.gillespie import sample

TIMES = np.linspace(0, 10, 41)
DECAY = (np.linspace(0, 4, 9), np.exp(-0.5 * np.linspace(0, 4, 9)))
PREDATORS = {("X", "X"): 1.0, ("X", "X Y"): -0.5, ("Y", "Y"): -0.8, ("Y", "X Y"): 0.3}
EQ11 = {("A", "A"): 0.00792, ("B", "A"): 1.09208, ("B", "B"): -0.31}


def lotka_volterra(start=(2, 1), times=TIMES):
    def slope(_, y):
        return [y[0] - 0.5 * y[0] * y[1], 0.3 * y[0] * y[1] - 0.8 * y[1]]

    span = (0, times[-1])
    return solve_ivp(slope, span, start, t_eval=times, rtol=1e-11, atol=1e-13).y.T


def noisy(values, level, seed):
    factors = 1 + level * np.random.default_rng(seed).standard_normal(values.shape)
    factors[0] = 1.0  # the start is known
    return values * factors


def kept(model):
    table = model.coefficients
    rows = table[table["kept"]].itertuples(index=False)
    return {(row.equation, row.term): row.value for row in rows}


@functools.cache
def skin(start_a, start_b, runs=40_000):
    times = np.linspace(0, 20, 81)
    start = {"A": start_a, "B": start_b}
    return sample(single_progenitor(), start, times, runs, seed=start_b + 1, keep=1000)


# --- recovery ------------------------------------------------------------------------------------


@pytest.mark.parametrize("selection", ["auto", "bic", "threshold"])
def test_exact_data_give_exact_equations(selection):
    model = ODENet(monomials(2, constant=True), selection=selection)
    model.fit((TIMES, lotka_volterra()), variables=["X", "Y"])
    found = kept(model)
    assert found.keys() == PREDATORS.keys()
    np.testing.assert_allclose([found[pair] for pair in PREDATORS], [*PREDATORS.values()], 1e-6)
    assert model.report.converged


def test_all_terms_of_exact_data_without_selection():
    model = ODENet(monomials(2), selection=None)
    model.fit((TIMES, lotka_volterra()), variables=["X", "Y"])
    truth = np.array([[1, 0, 0, -0.5, 0], [0, -0.8, 0, 0.3, 0]])
    np.testing.assert_allclose(model.theta.values, truth, atol=1e-6)
    assert model.coefficients["kept"].all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", [0.01, 0.05])
def test_noisy_lotka_volterra(level, seed):
    values = lotka_volterra()
    data = (TIMES, noisy(values, level, seed))
    plain = ODENet(monomials(2, constant=True)).fit(data, variables=["X", "Y"])
    assert kept(plain).keys() == PREDATORS.keys()
    errors = level * values
    weighted = ODENet(monomials(2, constant=True))
    weighted.fit(data, variables=["X", "Y"], standard_errors=errors)
    assert kept(weighted).keys() == PREDATORS.keys()
    table = weighted.coefficients[weighted.coefficients["kept"]]
    truth = [PREDATORS[pair] for pair in kept(weighted)]
    assert np.all(np.abs(table["value"] - truth) < 4 * table["standard error"])


def irregular(seed):
    """Return three noisy experiments; some of their times almost meet, others leave gaps."""
    rng, data = np.random.default_rng(seed), []
    for start, end, count in (((1, 2), 10, 24), ((4, 1), 6, 14), ((2, 4), 4, 9)):
        times = np.unique(np.r_[0, rng.uniform(0, end, count)].round(2))
        values = lotka_volterra(start, times)
        values[1:] += 0.1 * rng.standard_normal(values[1:].shape)
        data.append((times, values))
    return data


@pytest.mark.parametrize("seed", [0, 15, 22, 27])
def test_irregular_times_do_not_lead_astray(seed):
    # a spline through such data swings, and a fit that trusts it ends in a wrong minimum
    data = irregular(seed)
    allowed = {"X": ["X", "X Y"], "Y": ["Y", "X Y"]}
    known = ODENet(monomials(2), selection=None, allowed=allowed).fit(data, variables=["X", "Y"])
    found = ODENet(monomials(2)).fit(data, variables=["X", "Y"])
    assert kept(found).keys() == PREDATORS.keys()
    assert found.report.converged
    assert found.report.loss == pytest.approx(known.report.loss, rel=1e-6)
    truth = [PREDATORS[pair] for pair in kept(known)]
    errors = known.coefficients.query("kept")["standard error"]
    assert np.all(np.abs([*kept(known).values()] - np.array(truth)) < 4 * errors)


def test_two_starts_give_eq_11():
    model = ODENet(monomials(2), selection="bic").fit([skin(10, 0), skin(2, 30)])
    found = kept(model)
    assert found.keys() == EQ11.keys()
    np.testing.assert_allclose([found[pair] for pair in EQ11], [*EQ11.values()], rtol=0.06)
    assert model.report.converged
    assert model.report.advice == ""
    assert 50 < model.report.condition_number < 100
    assert "chi-square" in model.report.verdict
    assert "do not explain" not in model.report.verdict


def test_one_start_is_reported_as_collinear():
    report = ODENet(monomials(2)).fit(skin(10, 0)).report
    assert 0.8e4 < report.condition_number < 1.6e4
    assert {"A", "A^2"} <= set(report.collinear)
    assert "nearly collinear" in report.advice
    assert "add experiments from other starting states" in report.advice
    assert report.advice in str(report)


def test_wrong_terms_are_called_wrong():
    model = ODENet(monomials(1), allowed={"B": ["A"]}).fit([skin(10, 0), skin(2, 30)])
    assert "do not explain the data within their errors" in model.report.verdict


def test_moments_of_an_ensemble():
    data = skin(10, 0, 4000)
    allowed = {"A": ["A"], "B": ["A", "B"], "Var(A)": ["A", "Var(A)"]}
    names = list(allowed)
    model = ODENet(monomials(1), selection=None, allowed=allowed).fit(data, variables=names)
    assert kept(model)["Var(A)", "A"] == pytest.approx(0.176, rel=0.05)
    assert r"\frac{dV_{A}}{dt}" in model.equations()._repr_latex_()
    every = read_experiments(data, variables="moments")[0]
    assert every.names == tuple(data.moments().moment.values)
    assert every.runs == 4000
    assert every.covariance.shape == (400, 400)


def test_the_covariance_is_unbiased_for_its_inverse():
    freedom, ratios = 157, []
    for seed in range(4):
        data = sample(single_progenitor(), {"A": 10, "B": 0}, np.linspace(0, 20, 81), 3000,
                      seed=100 + seed, keep=400)  # fmt: skip
        allowed = {"A": ["A"]}
        model = ODENet(monomials(1), selection=None, allowed=allowed).fit(data)
        ratios.append(model.report.loss / freedom)
    # without the correction the mean would be 1.66
    assert 0.8 < np.mean(ratios) < 1.25


def test_a_variable_that_does_not_change_has_no_terms():
    times, decay = DECAY
    values = np.column_stack([decay, np.full_like(times, 3.0)])
    for selection in ("auto", "bic"):
        model = ODENet(monomials(1), selection=selection).fit((times, values), variables=["A", "C"])
        assert str(model.equations()) == "d/dt A = -0.5*A\nd/dt C = 0"


def test_four_variables():
    rng, n = np.random.default_rng(1), 4

    def slope(_, y):
        change = 0.4 * np.roll(y, 1) - 0.5 * y
        change[:2] += np.array([0.1, -0.1]) * y[0] * y[1]
        return change

    times = np.linspace(0, 6, 13)
    starts = rng.uniform(0.2, 3, (4, n))
    data = [
        (times, solve_ivp(slope, (0, 6), start, t_eval=times, rtol=1e-10, atol=1e-12).y.T)
        for start in starts
    ]
    model = ODENet(monomials(2)).fit(data, variables=list("ABCD"))
    assert len(kept(model)) == 10
    assert kept(model)["B", "A B"] == pytest.approx(-0.1, rel=1e-4)


def test_a_start_that_blows_up_is_drawn_to_zero():
    problem = ODENet(monomials(2)).fit(DECAY, variables=["A"])._fitted.problem
    estimate = problem.fit([0, 1], np.array([30.0, 30.0]))
    assert estimate.converged
    np.testing.assert_allclose(estimate.parameters, [-0.5, 0.0], atol=1e-6)


def test_long_lists_of_collinear_terms_are_cut():
    times, decay = DECAY
    values = np.column_stack([decay, 2 * decay, 3 * decay, decay**2])
    model = ODENet(monomials(1), selection=None, allowed={n: [n] for n in "ABC"})
    report = model.fit((times, values), variables=list("ABCD")).report
    assert report.collinear == ("A", "B", "C")
    assert report.advice.startswith("'A', 'B', 'C' are nearly collinear")
    more = np.column_stack([k * decay for k in range(1, 9)])
    allowed = {f"y{k}": [] for k in range(2, 9)}
    model = ODENet(monomials(1), selection=None, allowed=allowed).fit((times, more))
    assert "'y6' and 2 more are nearly collinear" in model.report.advice


# --- restrictions --------------------------------------------------------------------------------


def test_allowed_terms():
    data = (TIMES, lotka_volterra())
    model = ODENet(monomials(2), allowed={"X": ["X", "X Y"], "Y": []}, selection=None)
    model.fit(data, variables=["X", "Y"])
    assert set(kept(model)) == {("X", "X"), ("X", "X Y")}
    assert model.equations()[1].rhs == 0
    one = ODENet(monomials(2), allowed={"X": "X"}, selection=None).fit(data, variables=["X", "Y"])
    assert set(kept(one)) == {("X", "X"), *(("Y", t) for t in one.theta.term.values)}


@pytest.mark.parametrize("selection", ["bic", "threshold", None])
def test_nonnegative_coefficients(selection):
    times, decay = DECAY
    values = np.column_stack([decay, 1 - decay])
    model = ODENet(monomials(1), selection=selection, nonnegative=True)
    found = kept(model.fit((times, values), variables=["A", "B"]))
    # A cannot fall, so the best that is left holds it where it is
    assert min(found.values()) >= 0
    assert found.get(("A", "A"), 0.0) == pytest.approx(0, abs=1e-12)
    part = ODENet(monomials(1), selection=selection, nonnegative={"B": ["A", "B"]})
    found = kept(part.fit((times, values), variables=["A", "B"]))
    assert found["A", "A"] == pytest.approx(-0.5)
    assert found["B", "A"] == pytest.approx(0.5)


# --- uncertainty ---------------------------------------------------------------------------------


def test_intervals_cover_the_truth():
    times = np.linspace(0, 6, 25)[1:]
    exact, errors = 3 * np.exp(-0.5 * times), np.full((24, 1), 0.05)
    hits = {"known": 0, "unknown": 0}
    for seed in range(200):
        noise = 0.05 * np.random.default_rng(seed).standard_normal(24)
        for key, given_errors in (("known", errors), ("unknown", None)):
            model = ODENet(monomials(1), selection=None)
            model.fit((times, exact + noise), standard_errors=given_errors, initial=[3.0])
            row = model.coefficients.iloc[0]
            hits[key] += row["lower"] <= -0.5 <= row["upper"]
    # 190 of 200 expected, standard deviation 3.1
    assert 180 <= hits["known"] <= 199
    assert 180 <= hits["unknown"] <= 199


def test_level_sets_the_width():
    data = (TIMES, noisy(lotka_volterra(), 0.01, 0))
    models = [
        ODENet(monomials(2), level=level).fit(data, variables=["X", "Y"]) for level in (0.5, 0.99)
    ]
    narrow, wide = (model.coefficients for model in models)
    ratio = (wide["upper"] - wide["value"]) / (narrow["upper"] - narrow["value"])
    # the noise was estimated: Student's t, between the freedom of one variable and that of both
    freedom = models[0]._result.fit.freedom
    assert np.all((freedom > 35) & (freedom <= 2 * len(TIMES) - 4 - 2))
    expected = stats.t.ppf(0.995, freedom) / stats.t.ppf(0.75, freedom)
    np.testing.assert_allclose(ratio[wide["kept"]], expected, rtol=1e-5)


def test_covariance_belongs_to_the_standard_errors():
    model = ODENet(monomials(2)).fit(
        (TIMES, noisy(lotka_volterra(), 0.01, 0)), variables=["X", "Y"]
    )
    table = model.coefficients[model.coefficients["kept"]]
    assert list(model.covariance.index) == list(zip(table["equation"], table["term"], strict=True))
    np.testing.assert_allclose(np.sqrt(np.diag(model.covariance)), table["standard error"])


# --- kinds of data -------------------------------------------------------------------------------


def test_all_kinds_of_data_agree():
    values = lotka_volterra()
    frame = pd.DataFrame(values, index=TIMES, columns=["X", "Y"])
    array = xr.DataArray(values.T, coords={"s": ["X", "Y"], "time": TIMES}, dims=("s", "time"))
    thetas = [
        ODENet(monomials(2)).fit(data, variables=variables).theta
        for data, variables in (
            ((TIMES, values), ["X", "Y"]), ((list(TIMES), values.tolist()), ["X", "Y"]),
            (frame, None), (array, None), ([array], None), (array, ["X", "Y"]),
        )
    ]  # fmt: skip
    for theta in thetas[1:]:
        xr.testing.assert_allclose(theta, thetas[0])


def test_names_of_bare_data_and_of_one_variable():
    assert ODENet(monomials(1)).fit(DECAY).theta.equation.values.tolist() == ["y1"]
    assert ODENet(monomials(1)).fit(DECAY, variables="A").theta.equation.values.tolist() == ["A"]


def test_experiments_may_differ_in_times_and_starts():
    data = [
        (TIMES[::2], lotka_volterra((1, 1), TIMES[::2])),
        (TIMES[:20], lotka_volterra((3, 0.5), TIMES[:20])),
        (TIMES[1:9], lotka_volterra((2, 2), TIMES)[1:9]),
    ]
    starts = [[1, 1], {"Y": 0.5, "X": 3}, (2, 2)]
    model = ODENet(monomials(2)).fit(data, variables=["X", "Y"], initial=starts)
    assert kept(model).keys() == PREDATORS.keys()


def test_some_variables_with_the_covariance_of_all():
    times, decay = DECAY
    frame = pd.DataFrame({"junk": decay**2, "A": decay}, index=times)
    full = np.diag(np.tile([1.0, 1e-4], len(times)))
    part = read_experiments(frame, variables=["A"], covariance=full)[0]
    np.testing.assert_array_equal(part.covariance, 1e-4 * np.eye(len(times) - 1))


def test_variances_and_covariances_say_the_same():
    data = (TIMES, noisy(lotka_volterra(), 0.02, 5))
    errors = np.full((len(TIMES), 2), 0.03)
    errors[0] = 0
    one = ODENet(monomials(2)).fit(data, standard_errors=errors)
    other = ODENet(monomials(2)).fit(data, covariance=np.diag(errors.ravel() ** 2))
    pd.testing.assert_frame_equal(one.coefficients, other.coefficients, rtol=1e-5)
    common = ODENet(monomials(2)).fit(data, standard_errors=0.03, initial="exact")
    pd.testing.assert_frame_equal(one.coefficients, common.coefficients, rtol=1e-5)


def test_values_without_error_carry_no_weight():
    times, decay = DECAY
    values = np.column_stack([decay, np.full_like(times, 3.0)])
    errors = np.tile([0.01, 0.0], (len(times), 1))
    model = ODENet(monomials(1), allowed={"A": ["A"], "C": []})
    model.fit((times, values), variables=["A", "C"], standard_errors=errors)
    assert kept(model)["A", "A"] == pytest.approx(-0.5)
    assert "for 7 degrees of freedom" in model.report.verdict


def test_terms_that_are_always_zero():
    values = np.column_stack([DECAY[1], np.zeros_like(DECAY[0])])
    model = ODENet(monomials(2)).fit((DECAY[0], values), variables=["A", "B"])
    assert kept(model) == {("A", "A"): pytest.approx(-0.5)}
    assert "'B', 'A B', 'B^2' are zero in all data" in model.report.advice


# --- invariance ----------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(-3, 3))
def test_units_play_no_role(log_x, log_y, log_t):
    x, y, t = 10.0**log_x, 10.0**log_y, 10.0**log_t
    values = noisy(lotka_volterra(), 0.02, 3)
    found = kept(ODENet(monomials(2)).fit((TIMES, values), variables=["X", "Y"]))
    scaled = ODENet(monomials(2)).fit((TIMES * t, values * [x, y]), variables=["X", "Y"])
    units = {"X": x, "Y": y, "X Y": x * y}
    back = {pair: v * t * units[pair[1]] / units[pair[0]] for pair, v in kept(scaled).items()}
    assert back.keys() == found.keys()
    np.testing.assert_allclose([back[p] for p in found], [*found.values()], rtol=1e-4)


# --- results -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def predators():
    return ODENet(monomials(2)).fit((TIMES, lotka_volterra()), variables=["X", "Y"])


def test_equations_as_text_formula_and_latex(predators):
    equations = predators.equations(digits=3)
    assert str(equations) == "d/dt X = -0.5*X*Y + 1.0*X\nd/dt Y = 0.3*X*Y - 0.8*Y"
    assert all(isinstance(equation, sympy.Equality) for equation in equations)
    at_two = equations[1].rhs.subs(dict.fromkeys(equations[1].rhs.free_symbols, 2))
    assert float(at_two) == pytest.approx(-0.4, abs=1e-3)
    tex = equations._repr_latex_()
    assert tex.startswith(r"$\displaystyle \begin{aligned}\frac{dX}{dt} &= ")
    assert "- 0.5 X Y" in tex
    assert "e-" not in tex


def test_predict_from_another_start(predators):
    times = [0.5, 3, 8]
    found = predators.predict({"Y": 2, "X": 1}, times)
    assert found.dims == ("time", "variable")
    assert found.coords["variable"].values.tolist() == ["X", "Y"]
    exact = lotka_volterra((1, 2), np.array([0, *times], dtype=float))[1:]
    np.testing.assert_allclose(found, exact, rtol=1e-5)
    np.testing.assert_allclose(predators.predict([1, 2], [0.0]), [[1, 2]], rtol=1e-14)


def test_predict_keeps_the_axis_of_an_ensemble():
    model = ODENet(monomials(1), selection=None).fit(skin(10, 0, 4000))
    assert model.predict({"A": 5, "B": 5}, [1, 2]).dims == ("time", "species")


def test_predict_without_terms_stands_still():
    values = np.ones((5, 1))
    model = ODENet(monomials(1)).fit((np.arange(5.0), values), variables=["A"])
    assert kept(model) == {}
    assert model.predict([2.0], [0, 1]).values.tolist() == [[2.0], [2.0]]


def test_predict_of_an_explosion():
    times = np.linspace(0, 0.9, 10)
    model = ODENet(monomials(2)).fit((times, 1 / (1 - times)), variables=["A"])
    assert kept(model) == {("A", "A^2"): pytest.approx(1.0, rel=1e-4)}
    with pytest.raises(SolverError, match="blow up"):
        model.predict([1.0], [2.0])


def test_displays(predators):
    assert repr(ODENet(monomials(2))) == "ODENet(monomials(2), optimizer='lm'): not fitted"
    assert "not fitted" in ODENet(monomials(2))._repr_html_()
    assert repr(predators) == "ODENet(monomials(2)): 4 of 10 terms kept, converged"
    shown = predators._repr_html_()
    assert r"\frac{dX}{dt}" in shown
    assert "standard error" in shown
    assert shown.count("<tr") == 1 + 4


def test_stopped_too_early_is_not_called_converged():
    data = (TIMES, noisy(lotka_volterra(), 0.1, 0))
    model = ODENet(monomials(2), iterations=1, selection=None).fit(data)
    assert not model.report.converged
    assert "not converged after 1 iterations" in model.report.verdict
    assert repr(model).endswith("not converged")


def test_parameters_in_the_manner_of_scikit_learn():
    model = ODENet(monomials(2), threshold=0.1)
    assert model.get_params()["threshold"] == 0.1
    twin = ODENet(**model.get_params())
    assert twin.get_params() == model.get_params()
    assert twin.set_params(penalty=0.5, level=0.9) is twin
    assert (twin.penalty, twin.level) == (0.5, 0.9)
    with pytest.raises(ODENetError, match="no option 'treshold'; did you mean 'threshold'"):
        model.set_params(treshold=0.2)


@pytest.mark.parametrize("name", ["report", "coefficients", "theta", "covariance"])
def test_questions_before_learning(name):
    with pytest.raises(ODENetError, match=r"learned nothing yet; call \.fit"):
        getattr(ODENet(monomials(2)), name)


# --- complaints ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "sgd"}, "optimizer='sgd' is unknown; use one of"),
        ({"selection": "aic"}, "selection='aic' is unknown; use one of"),
        ({"threshold": 1.5}, "threshold=1.5; it must be a number from 0 to 1"),
        ({"threshold": "a"}, "threshold='a'; it must be a number"),
        ({"threshold": None}, "threshold=None; it must be a number"),
        ({"level": 1}, "level=1; it must be a number above 0 and below 1"),
        ({"level": float("nan")}, "level=nan; it must be"),
        ({"penalty": -1}, "penalty=-1; it must be a number of 0 or more"),
        ({"learning_rate": 0}, "learning_rate=0; it must be a number above 0"),
        ({"iterations": 0}, "iterations=0; it must be a whole number of 1 or more"),
        ({"iterations": 2.5}, "iterations=2.5; it must be a whole number"),
        ({"seed": -1}, "seed=-1; it must be a whole number of 0 or more"),
        ({"optimizer": "adam", "selection": "bic"}, "Adam|adam.*use selection='threshold'"),
        ({"optimizer": "adam", "nonnegative": True}, "nonnegative needs optimizer='lm'"),
        ({"allowed": ["A"]}, r"allowed=\['A'\]; it must map equations to lists of terms"),
        ({"nonnegative": ["A"]}, r"nonnegative=\['A'\]; it must map equations"),
        ({"allowed": {"a": ["A"]}}, "allowed names the equation 'a'.*there are 'A'"),
        ({"allowed": {"A": ["A^3"]}}, r"allowed\['A'\] names the term 'A\^3'; did you mean 'A\^2'"),
        ({"nonnegative": {"A": ["B"]}}, r"nonnegative\['A'\] names the term 'B'"),
        ({"allowed": {"A": []}}, "no term is left to learn"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ODENetError, match=message):
        ODENet(monomials(2), **options).fit(DECAY, variables=["A"])


def test_no_library():
    with pytest.raises(ODENetError, match="library=2; give a library such as monomials"):
        ODENet(2).fit(DECAY)


T3, Y3 = [0.0, 1.0, 2.0], [[1.0, 2.0], [2.0, 3.0], [3.0, 5.0]]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ([], {}, "list of experiments is empty"),
        (5, {}, "a int is no time series"),
        ((T3, [[1, 2], [np.nan, 3], [3, 5]]), {}, "1 value.*the first is nan for 'y1' at t = 1"),
        (([0, 2, 1], Y3), {}, "the time 1 comes after 2; times must increase"),
        (([0, 1, 1], Y3), {}, "the time 1 is repeated"),
        (([-1, 0, 1], Y3), {}, "the time -1 is below 0"),
        (([0, 1, np.inf], Y3), {}, "a time is not a finite number"),
        (([], []), {}, r"times of shape \(0,\)"),
        ((T3, Y3[:2]), {}, r"values of shape \(2, 2\).*must be \(3, 2\)"),
        ((T3, Y3), {"variables": ["A"]}, r"values of shape \(3, 2\).*must be \(3, 1\)"),
        ((T3, [[1, 2], [3], [4, 5]]), {}, "the values are not a regular table of numbers"),
        ((["a", "b", "c"], Y3), {}, "the times are not a regular table of numbers"),
        (([1, 2, 3], Y3), {"initial": "exact"}, "the first time is 1 and the state at t = 0 is not known"),
        (([0], [[1, 2]]), {}, "one point at t = 0 shows no change"),
        ((T3, Y3), {"initial": [1]}, r"initial must be 2 finite number\(s\)"),
        ((T3, Y3), {"initial": {"y1": 1}}, "initial gives no value for 'y2'"),
        ((T3, Y3), {"initial": {"y1": 1, "y3": 1}}, "initial names 'y3'; the variables are 'y1', 'y2'"),
        ((T3, Y3), {"standard_errors": [[1, 1]] * 2}, r"they have shape \(2, 2\)"),
        ((T3, Y3), {"standard_errors": -1}, "standard_errors must be finite, not negative"),
        ((T3, Y3), {"standard_errors": np.nan}, "standard_errors must be finite"),
        ((T3, Y3), {"standard_errors": 0}, "every error is zero"),
        ((T3, Y3), {"covariance": np.eye(5)}, r"a covariance of shape \(5, 5\); it must be"),
        ((T3, Y3), {"covariance": np.triu(np.ones((6, 6)))}, "not finite and symmetric"),
        ((T3, Y3), {"covariance": np.full((6, 6), np.nan)}, "not finite and symmetric"),
        ((T3, Y3), {"covariance": 2 - np.eye(6)}, "the covariance has a negative eigenvalue"),
        ((T3, Y3), {"covariance": np.zeros((6, 6))}, "every error is zero"),
        ((T3, Y3), {"covariance": np.eye(6), "standard_errors": 1}, "or covariance, not both"),
        ([(T3, Y3), (T3, Y3)], {"standard_errors": 1}, "one entry for each of the 2 experiments"),
        ([(T3, Y3), (T3, Y3)], {"initial": [[1, 2]]}, "initial must be a list with one entry"),
        ([(T3, Y3), (T3, Y3)], {"standard_errors": [1, None]}, "one has a covariance and the oth"),
        ([(T3, Y3), ([0, 0], Y3[:2])], {}, "experiment 2: the time 0 is repeated"),
        ([(T3, Y3), (T3, [1, 2, 3])], {}, "experiment 2 has the variables 'y1' and experiment 1"),
        ((T3, Y3), {}, "4 independent data for 10 coefficients; give more times"),
    ],
)  # fmt: skip
def test_bad_data(data, options, message):
    with pytest.raises(DataError, match=message):
        ODENet(monomials(2)).fit(data, **options)


def test_bad_tables():
    frame = pd.DataFrame(Y3, index=T3, columns=["A", "B"])
    with pytest.raises(DataError, match="has no variable 'AA'; did you mean 'A'"):
        ODENet(monomials(1)).fit(frame, variables=["AA"])
    dated = frame.set_index(pd.date_range("2021-01-01", periods=3))
    with pytest.raises(DataError, match="the times are dates; convert them to numbers"):
        ODENet(monomials(1)).fit(dated)
    for dims in (("t", "s"), ("time", "s", "u")):
        array = xr.DataArray(np.ones((3,) * len(dims)), dims=dims)
        with pytest.raises(DataError, match="it needs the dimension 'time'"):
            ODENet(monomials(1)).fit(array)
    with pytest.raises(DataError, match="the dimension 'time' has no values"):
        ODENet(monomials(1)).fit(xr.DataArray(Y3, dims=("time", "s")))


def test_too_few_whole_runs_for_a_covariance():
    data = sample(single_progenitor(), {"A": 10}, np.linspace(0, 5, 21), 500, seed=1, keep=40)
    with pytest.raises(DataError, match="40 whole runs are too few for the covariance of 40 data"):
        ODENet(monomials(1)).fit(data)


def test_predict_complains_like_fit(predators):
    with pytest.raises(DataError, match="predict: initial gives no value for 'Y'"):
        predators.predict({"X": 1}, [1, 2])
    with pytest.raises(DataError, match="predict: the time 1 comes after 2"):
        predators.predict([1, 1], [2, 1])


# --- Adam, the paper's way -----------------------------------------------------------------------


def learn_by_adam(**options):
    pytest.importorskip("torchdiffeq")
    times, decay = DECAY
    values = np.column_stack([decay, 1 - decay])
    options = {"iterations": 150, "learning_rate": 0.1, "penalty": 1e-4} | options
    model = ODENet(monomials(1), optimizer="adam", **options)
    return model.fit((times, values), variables=["A", "B"])


@pytest.fixture(scope="module")
def adam():
    return learn_by_adam()


def test_adam_lowers_the_loss_of_eq_2(adam):
    history = adam.report.history
    assert len(history) == adam.report.iterations <= 150
    assert adam.report.loss == history.min() < 0.05 * history[0]
    theta = adam.theta.values
    np.testing.assert_allclose(theta, [[-0.5, 0], [0.5, 0]], atol=0.1)


def test_adam_gives_no_intervals_without_a_refit(adam):
    assert adam.coefficients["standard error"].isna().all()


def test_adam_depends_on_nothing_but_the_seed(adam):
    again, other = learn_by_adam(iterations=5), learn_by_adam(iterations=5, seed=1)
    np.testing.assert_array_equal(again.report.history, adam.report.history[:5])
    assert other.report.history[0] != again.report.history[0]


def test_adam_says_that_it_is_not_there_yet():
    model = learn_by_adam(iterations=20)
    assert not model.report.converged
    assert "still falling after 20 iterations" in model.report.verdict
    assert model.report.verdict.endswith("not converged")


def test_adam_says_that_it_has_arrived():
    pytest.importorskip("torchdiffeq")
    data = ([0.0, 1.0, 2.0], np.exp(-0.5 * np.array([0.0, 1.0, 2.0])))
    model = ODENet(monomials(1), optimizer="adam", iterations=1000, penalty=0, learning_rate=0.2)
    model.fit(data, variables=["A"])
    report = model.report
    assert report.converged
    assert report.verdict.startswith("the loss stopped falling after ")
    assert "not converged" not in report.verdict
    assert kept(model)["A", "A"] == pytest.approx(-0.5, abs=0.01)


def test_adam_with_refit():
    model = learn_by_adam(iterations=100, refit=True)
    found = kept(model)
    assert found["A", "A"] == pytest.approx(-0.5, rel=1e-6)
    assert found["B", "A"] == pytest.approx(0.5, rel=1e-6)
    assert "the refit of the kept terms: converged" in model.report.verdict
    table = model.coefficients
    assert table.loc[table["kept"], "standard error"].notna().all()


def test_adam_in_the_units_of_the_data():
    times, decay = DECAY
    model = ODENet(monomials(1), optimizer="adam", scale_columns=False, iterations=3, penalty=1.0)
    pytest.importorskip("torchdiffeq")
    model.fit((times, 1000 * decay), variables=["A"])
    start = 0.1 * np.random.default_rng(0).standard_normal(1)
    # Eq. 2 by hand at the random start
    size = np.sqrt(np.mean(decay**2))
    theta = start * np.ptp(decay) / (size * 4)
    misfit = np.abs(1000 * decay - 1000 * np.exp(theta * times))[1:].mean()
    assert model.report.history[0] == pytest.approx(misfit + np.abs(theta).sum(), rel=1e-3)


def test_adam_goes_back_from_a_blow_up():
    pytest.importorskip("torchdiffeq")
    times = np.linspace(0, 0.9, 10)
    model = ODENet(monomials(3), optimizer="adam", learning_rate=50.0, iterations=8)
    report = model.fit((times, 1 / (1 - times)), variables=["A"]).report
    assert np.isinf(report.history).any()
    assert np.isfinite(report.loss)
    assert np.isfinite(model.theta).all()


def test_adam_interrupted(monkeypatch):
    pytest.importorskip("torchdiffeq")
    from chemnb.learning import adam as _adam

    step, calls = _adam.Descent.step, []

    def interrupted(self):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(_adam.Descent, "step", interrupted)
    report = learn_by_adam().report
    assert report.verdict == "interrupted after 3 iterations; this is the best so far"
    assert not report.converged


@pytest.mark.parametrize("missing", ["torch", "torchdiffeq"])
def test_adam_without_torch(missing, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == missing:
            raise ImportError(f"No module named '{name}'", name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=f"needs {missing}, which is not installed.*optimizer='l"):
        ODENet(monomials(1), optimizer="adam").fit(DECAY)


@pytest.mark.parametrize("seed", range(20))
def test_the_l1_path_is_the_minimum_for_every_penalty(seed):
    from chemnb.learning.stability import _homotopy

    rng = np.random.default_rng(seed)
    count = rng.integers(1, 12)
    columns = rng.standard_normal((40, count))
    if seed % 2:  # nearly collinear
        columns = columns[:, :1] + 10.0 ** -(seed % 4) * columns
    target = columns @ (rng.standard_normal(count) * (rng.random(count) < 0.5))
    target += 0.1 * rng.standard_normal(40)
    gram, pull, shares = columns.T @ columns, columns.T @ target, np.geomspace(1, 1e-4, 41)
    path = _homotopy(gram, pull, shares)
    slope, limits = (pull - path @ gram) / np.abs(pull).max(), shares[:, None]
    # the conditions of Karush, Kuhn and Tucker
    assert (np.abs(slope) <= limits * (1 + 1e-8)).all()
    on = path != 0
    np.testing.assert_allclose(slope[on], (np.sign(path) * limits)[on], rtol=1e-7)
    assert not on[0].any() or np.abs(path[0]).max() < 1e-9 * np.abs(path).max()
