"""Rate constants from moments: Eq. 14 against the paper, estimators against known answers."""

import numpy as np
import pandas as pd
import pytest
import sympy

import chemnb as cn
from chemnb import DataError, RatesError, ReactionNetwork, fit_rates, rate_map

TIMES = np.arange(21.0)
TRUE = cn.paper.table1()["true"]
CANDIDATE = cn.models.single_progenitor_candidate()
ROWS = [(equation, term) for _, equation, term, _ in cn.paper.RATE_ROWS]


@pytest.fixture(scope="module")
def data():
    truth = cn.models.single_progenitor()
    return cn.sample(truth, {"A": 10}, TIMES, 40_000, seed=3, keep=4000)


def exact_moments():
    return cn.integrate(cn.moment_equations(cn.models.single_progenitor()), {"A": 10}, TIMES)


# --- Eq. 14 --------------------------------------------------------------------------------


def test_equation_14_is_generated_in_the_papers_order():
    table = rate_map(CANDIDATE).table()[list(cn.paper.RATE_UNKNOWNS)]
    for row, (_, equation, term, sign) in zip(
        cn.paper.RATE_MATRIX, cn.paper.RATE_ROWS, strict=True
    ):
        assert (sign * table.loc[(equation, term)]).tolist() == row.tolist()


def test_the_two_rows_that_the_paper_leaves_out():
    table = rate_map(CANDIDATE).table()[list(cn.paper.RATE_UNKNOWNS)]
    left_out = table.drop(index=ROWS)
    assert {index: row.tolist() for index, row in left_out.iterrows()} == {
        ("Var(B)", "Var(B)"): [0, 0, 0, 0, 0, -2],
        ("Var(B)", "Cov(A, B)"): [-2, 2, 0, 2, 2, 0],
    }
    assert np.linalg.matrix_rank(cn.paper.RATE_MATRIX) == np.linalg.matrix_rank(table) == 6


def test_the_map_gives_the_coefficients_that_sympy_gives():
    network = ReactionNetwork(
        "A + B -> C ; a*b \n C -> A + B ; 3*b \n 2 A -> C ; c**2 + 0.5*a*b \n A -> 0 ; 0.7",
        a=2.0, b=0.3, c=1.5, volume=4.0,
    )  # fmt: skip
    found = rate_map(network, order=2, closure="normal")
    assert found.unknowns == ("a*b", "c**2", "b")
    u = np.array([2.0 * 0.3, 1.5**2, 0.3])
    _, weights = found.equations.polynomial_system()
    assert found.matrix @ u + found.offset == pytest.approx(weights @ network.rate_constants())
    for (row, term), value in zip(found.labels, found.matrix @ u + found.offset, strict=True):
        expression = found.equations.coefficients[row][term]
        numbers = {sympy.Symbol(k): v for k, v in network.parameters.items()}
        by_name = {s: numbers.get(sympy.Symbol(s.name), 4.0) for s in expression.free_symbols}
        assert float(expression.subs(by_name)) == pytest.approx(value)


def test_names_come_back_from_the_unknowns_with_their_derivatives():
    found = rate_map(CANDIDATE)
    u = np.array([0.2, 0.3, 2.0, 0.4, 0.05, 0.01])
    values, slopes = found.parameters(u)
    assert dict(zip(found.names, values, strict=True)) == pytest.approx(
        {"r1": 0.1, "lam": 2.0, "r2": 0.15, "Gamma": 0.4, "k1": 0.05, "k2": 0.01}
    )
    numeric = np.stack(
        [
            (found.parameters(u + h)[0] - found.parameters(u - h)[0]) / 2e-6
            for h in 1e-6 * np.eye(6)
        ],
        axis=1,
    )
    assert slopes == pytest.approx(numeric, abs=1e-6)


def test_fixed_parameters_keep_their_values():
    network = cn.models.single_progenitor()
    found = rate_map(network, fixed=["lam"])
    assert found.unknowns == ("r1", "r2", "Gamma")
    assert found.known == pytest.approx([0, 1.1, 0, 0])


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ("A -> B ; 1/k", {}, "no sum of products of 'k'; give the reaction a rate constant"),
        ("A -> B ; 2.0", {}, "no rate constant has a name to be found; write"),
        ("A -> B ; rate", {"fixed": ["rat"]}, "fixed names 'rat'; did you mean 'rate'?"),
        ("A -> B ; k", {"fixed": ["k"]}, "'k' is fixed but has no value"),
    ],
)
def test_networks_without_a_linear_map_are_refused(network, options, message):
    names = {name: None for name in ("k", "rate") if name in network}
    with pytest.raises(RatesError, match=message.replace("?", r"\?")):
        rate_map(ReactionNetwork(network, names), **options)


# --- estimators ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["direct", "two-stage"])
@pytest.mark.parametrize("rows", [None, ROWS])
def test_exact_moments_give_exact_rates(method, rows):
    fit = fit_rates(CANDIDATE, exact_moments(), method=method, weights="none", rows=rows)
    assert (fit.rates["value"][TRUE.index] - TRUE).abs().max() < 1e-5


@pytest.mark.parametrize("weights", ["path", "diagonal", "none"])
@pytest.mark.parametrize("method", ["direct", "two-stage"])
def test_every_estimator_is_right_within_its_own_errors(data, method, weights):
    fit = fit_rates(CANDIDATE, data, method=method, weights=weights)
    table = fit.rates.loc[TRUE.index]
    assert ((table["value"] - TRUE).abs() < 3.5 * table["standard error"]).all()
    assert fit.estimate.converged


def test_two_stages_lose_nothing_if_the_covariance_is_carried_along(data):
    direct, staged = (
        fit_rates(CANDIDATE, data, method=method) for method in ("direct", "two-stage")
    )
    error = direct.rates["standard error"]
    assert ((direct.rates["value"] - staged.rates["value"]).abs() < 0.3 * error).all()
    assert (staged.rates["standard error"] / error).to_numpy() == pytest.approx(1, abs=0.05)


def test_better_weights_give_smaller_errors(data):
    errors = [
        fit_rates(CANDIDATE, data, **options).rates["standard error"]
        for options in ({}, {"weights": "diagonal"}, {"weights": "none"})
    ]
    assert (errors[0] < errors[1]).all() and (errors[0] < errors[2]).all()


def test_the_stated_errors_are_the_scatter_over_experiments():
    truth, found, stated = cn.models.single_progenitor(), [], []
    for seed in range(60):
        data = cn.sample(truth, {"A": 10}, TIMES, 2000, seed=seed, keep=2000)
        table = fit_rates(CANDIDATE, data, weights="diagonal").rates
        found.append(table["value"])
        stated.append(table["standard error"])
    ratio = np.std(found, axis=0) / np.mean(stated, axis=0)
    assert np.all((0.7 < ratio) & (ratio < 1.35))


def test_selection_keeps_exactly_the_true_reactions(data):
    fit = fit_rates(CANDIDATE, data, nonnegative=True, select="bic")
    assert set(fit.kept) == {r.equation for r in cn.models.single_progenitor().reactions}
    assert fit.rates.loc[["k1", "k2"], "value"].tolist() == [0, 0]
    assert fit.rates["kept"].sum() == 4
    assert fit.network.parameters["r2"] == pytest.approx(0.0764, rel=0.02)
    assert [score for _, score in fit.path] == sorted((s for _, s in fit.path), reverse=True)
    assert repr(fit) == (
        "RateFit(direct, path weights, nonnegative: 4 of 6 reactions kept, converged)"
    )
    assert "<table" in fit._repr_html_()


def test_nonnegative_holds_for_reactions_and_not_for_names(data):
    fit = fit_rates(CANDIDATE, data, nonnegative=True)
    assert (fit.reactions["value"] > -1e-12).all()
    held = fit.rates.loc[["k1", "k2"]]
    assert held.loc[held["value"].abs() < 1e-12, "standard error"].isna().all()


def test_a_reaction_that_shares_its_parameters_can_be_dropped():
    truth = ReactionNetwork("A -> 2 A ; p*b \n A -> 0 ; d", p=1.0, b=0.2, d=0.3)
    candidate = ReactionNetwork(
        "A -> 2 A ; p*b \n A -> 3 A ; (1 - p)*b \n A -> 0 ; d", {"p": None, "b": None, "d": 0.3}
    )
    data = cn.sample(truth, {"A": 50}, range(9), 20_000, seed=1, keep=2000)
    fit = fit_rates(candidate, data, nonnegative=True, select="bic", fixed=["d"])
    assert fit.kept == ("A -> 2 A", "A -> 0")
    assert fit.rates["value"].to_dict() == pytest.approx({"p": 1.0, "b": 0.2}, rel=0.03)


def test_several_experiments_are_fitted_together(data):
    truth = cn.models.single_progenitor()
    second = cn.sample(truth, {"A": 2, "B": 30}, TIMES, 40_000, seed=4, keep=4000)
    both = fit_rates(CANDIDATE, [data, second])
    assert both.estimate.observations == 2 * fit_rates(CANDIDATE, data).estimate.observations
    table = both.rates.loc[TRUE.index]
    assert ((table["value"] - TRUE).abs() < 3.5 * table["standard error"]).all()


def test_the_fit_solves_its_own_equations(data):
    fit = fit_rates(CANDIDATE, data)
    deviation = (fit.solve({"A": 10}, TIMES) - data.moments()) / data.standard_error()
    assert abs(deviation.isel(time=slice(1, None))).max() < 4
    implied = fit.coefficients[("B", "B")]
    assert implied == pytest.approx(-fit.rates.loc["Gamma", "value"])


def test_bring_your_own_table_of_moments():
    moments = exact_moments()
    errors = 0.001 * np.abs(moments) + 1e-4
    fit = fit_rates(CANDIDATE, moments, weights="diagonal", standard_errors=errors)
    assert (fit.rates["value"][TRUE.index] - TRUE).abs().max() < 1e-4
    assert isinstance(fit.rates, pd.DataFrame) and (fit.rates["standard error"] > 0).all()


# --- what is refused -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "three-stage"}, "method='three-stage' is unknown; use one of"),
        ({"weights": "gls"}, "weights='gls' is unknown; use one of"),
        ({"select": "aic"}, "select='aic' is unknown; use one of"),
        ({"level": 95}, "level=95 must lie between 0 and 1"),
        ({"method": "two-stage", "rows": [("A", "Z")]}, r"rows names \('A', 'Z'\)"),
        ({"method": "two-stage", "rows": ROWS[:4]}, "4 rows for 6 unknowns"),
    ],
)
def test_options_that_are_unknown_are_named(data, options, message):
    with pytest.raises(RatesError, match=message):
        fit_rates(CANDIDATE, data, **options)


def test_weights_need_errors():
    with pytest.raises(DataError, match="needs the errors of the data: an Ensemble"):
        fit_rates(CANDIDATE, exact_moments())


def test_rates_that_cannot_be_told_apart_are_refused(data):
    twice = cn.models.single_progenitor() + "B -> 0 ; extra"
    with pytest.raises(DataError, match="cannot be told apart: different values give the same"):
        fit_rates(twice, data)


def test_a_number_plus_a_name_cannot_be_bounded(data):
    network = ReactionNetwork("A -> 2 A ; a \n A -> A + B ; 1 + b \n B -> 0 ; d")
    with pytest.raises(RatesError, match="cannot bound 'A -> A \\+ B ; 1 \\+ b'"):
        fit_rates(network.with_parameters(a=None, b=None, d=None), data, nonnegative=True)


def test_a_negative_rate_is_no_network(data):
    fit = fit_rates(CANDIDATE, data, method="two-stage", weights="none")
    if (fit.reactions["value"] >= 0).all():
        pytest.fail("this seed no longer gives a negative rate; choose another")
    with pytest.raises(RatesError, match="which no reaction can have; fit with nonnegative=True"):
        _ = fit.network
