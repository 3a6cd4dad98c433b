"""Own, Hill and rational terms in a fit from end to end, with constants fitted along."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import chemnb as cn
from chemnb.learning.free_constants import started
from chemnb.learning.library import LibraryError
from chemnb.learning.monomials import monomials
from chemnb.learning.odenet import ODENet, ODENetError
from chemnb.learning.own_terms import free, hill, own
from chemnb.learning.rational_terms import rational
from chemnb.learning.stacked import TooStiff, solve_stacked
from chemnb.learning.timeseries import read_experiments

NAMES = ["S", "P"]


def michaelis_menten(noise, seed, points=13):
    """Return S -> P by Vmax = 1.5, K = 2, and P -> 0 by 0.3, from three starts."""

    def rhs(_, y):
        rate = 1.5 * y[0] / (2 + y[0])
        return [-rate, rate - 0.3 * y[1]]

    times, rng = np.linspace(0, 8, points), np.random.default_rng(seed)
    runs = [
        solve_ivp(rhs, (0, 8), start, t_eval=times, rtol=1e-10, atol=1e-12).y.T
        for start in ([6, 0], [2, 1], [0.5, 3])
    ]
    error = noise * np.concatenate(runs).std(axis=0)
    data = [(times, run + error * rng.standard_normal(run.shape)) for run in runs]
    return data, [np.tile(error, (points, 1)) for _ in runs]


@pytest.fixture(scope="module")
def measured():
    return michaelis_menten(0.005, seed=1)


def kept(model):
    table = model.coefficients
    return set(map(tuple, table.loc[table["kept"], ["equation", "term"]].to_numpy().tolist()))


def test_one_of_several_half_saturations_is_chosen(measured):
    data, errors = measured
    library = monomials(2) + own("S/(K + S)", K=[0.5, 2, 8])
    model = ODENet(library, progress=False).fit(data, variables=NAMES, standard_errors=errors)
    term = "S/(2 + S)"
    assert kept(model) == {("S", term), ("P", term), ("P", "P")}
    rate = model.coefficients.set_index(["equation", "term"]).loc[("S", term)]
    assert abs(rate["value"] + 1.5) < 4 * rate["standard error"] < 0.05
    assert str(model.equations(2)).startswith("d/dt S = -1.5*S/(S + 2)\n")
    path = model.predict([6, 0], [0, 4.0, 8.0]).values
    np.testing.assert_allclose(path, data[0][1][[0, 6, 12]], atol=0.05)


@pytest.mark.parametrize(
    ("term", "label"),
    [
        (lambda: own(lambda S: S / (2 + S), label="f"), "f(S)"),
        (lambda: hill("S", K=2), "S/(2 + S)"),
        (lambda: hill("S", K=2, repressing=True) + monomials(1, constant=True), "2/(2 + S)"),
    ],
    ids=["function", "hill", "repressing"],
)
def test_every_kind_of_term_is_fitted(measured, term, label):
    data, errors = measured
    library = term() if "2/(2" in label else term() + monomials(1)
    model = ODENet(library, progress=False).fit(data, variables=NAMES, standard_errors=errors)
    assert ("S", label) in kept(model)
    freedom = len(data) * data[0][1].size
    assert model.report.loss < freedom + 5 * np.sqrt(2 * freedom)


@pytest.mark.parametrize(
    "term", [lambda: own("S/(K + S)", K=free(0.7)), lambda: hill("S", K=free(6.0))],
    ids=["own", "hill"],
)  # fmt: skip
def test_a_free_half_saturation_is_found_with_its_error(measured, term):
    data, errors = measured
    library = term() + monomials(1)
    model = ODENet(library, progress=False).fit(data, variables=NAMES, standard_errors=errors)
    (found,) = model.constants.itertuples()
    assert abs(found.value - 2) < 4 * model.constants["standard error"].iloc[0] < 0.2
    assert {term for _, term in kept(model)} == {library.bind(NAMES).labels[0], "P"}
    rate = model.coefficients.query("equation == 'S' and kept").iloc[0]
    assert abs(rate["value"] + 1.5) < 4 * rate["standard error"]
    # K and Vmax are fitted together: with K known the rate would be much more certain
    fixed = ODENet(own("S/(2 + S)") + monomials(1), progress=False)
    known = fixed.fit(data, variables=NAMES, standard_errors=errors).coefficients
    alone = known.query("equation == 'S' and kept").iloc[0]["standard error"]
    assert rate["standard error"] > 1.5 * alone


def test_a_common_denominator_is_found():
    """The denominator 1 + S/2 with one of its two candidates dropped."""
    data, errors = michaelis_menten(0.005, seed=2)
    library = rational(2, denominator=["S", "P"])
    model = ODENet(library, progress=False).fit(data, variables=NAMES, standard_errors=errors)
    assert list(model.constants.index) == ["b(S)"]
    assert model.constants["value"].iloc[0] == pytest.approx(0.5, abs=0.04)
    assert kept(model) == {("S", "S/Q"), ("P", "S/Q"), ("P", "P/Q"), ("P", "S P/Q")}
    values = model.theta.sel(equation="P", term=["P/Q", "S P/Q"]).values
    np.testing.assert_allclose(values, [-0.3, -0.15], rtol=0.1)


def test_the_implicit_regression_starts_near_the_truth():
    data, _ = michaelis_menten(0.0, seed=0, points=41)
    library = started(rational(1).bind(NAMES[:1]), read_experiments(
        [(times, values[:, 0]) for times, values in data], ["S"]))  # fmt: skip
    assert library.constants["b(S)"] == pytest.approx(0.5, rel=0.1)


def test_adam_learns_the_same_kinds_of_terms():
    pytest.importorskip("torchdiffeq")
    times = np.linspace(0, 3, 7)
    values = solve_ivp(lambda _, y: -1.5 * y / (2 + y), (0, 3), [4.0], t_eval=times, rtol=1e-9).y.T
    model = ODENet(
        own("S/(2 + S)") + monomials(1), optimizer="adam", penalty=1e-2, iterations=150,
        progress=False,
    ).fit((times, values), variables=["S"])  # fmt: skip
    np.testing.assert_allclose(model.predict([4.0], times).values, values, atol=0.2)


def test_a_term_that_is_not_finite_in_the_data_is_named():
    times = np.linspace(0, 2, 6)
    values = np.maximum(1 - times, 0.0)
    with pytest.raises(LibraryError, match="'1/S' is not finite at S = 0"):
        ODENet(own("1/S"), progress=False).fit((times, values), variables=["S"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: free(0.0), "starts above 0"),
        (lambda: free("1"), "give a finite number"),
        (lambda: rational(0), "use a whole number"),
        (lambda: rational(1, denominator=["X"]).bind(["S"]), "denominator names 'X'.*there are"),
        (lambda: own("A*K", K=free(1)) + own("A**2*K", K=free(1)), "'K' is in two parts"),
    ],
)
def test_constants_that_cannot_be(make, message):
    with pytest.raises(LibraryError, match=message):
        make()


def test_adam_fits_no_constants():
    model = ODENet(own("S/(K + S)", K=free(1)), optimizer="adam", progress=False)
    with pytest.raises(ODENetError, match="free constants need optimizer='lm'"):
        model.fit(([0, 1, 2], [3.0, 2.0, 1.0]), variables=["S"])


def test_derivatives_by_constants_are_those_of_the_terms():
    library = (monomials(1) + hill("A", K=free(2.0), n=2) + own("exp(-c*A)", c=free(3.0))).bind(
        ["A"]
    )
    slopes, owners = library.slope_terms()
    assert owners == [(1, "K(A)"), (2, "c")]
    y = np.array([[0.7], [2.5]])
    for column, (term, name) in enumerate(owners):
        moved = [
            library.with_constants({name: library.constants[name] + step}).evaluate(y)[:, term]
            for step in (1e-6, -1e-6)
        ]
        expected = (moved[0] - moved[1]) / 2e-6
        np.testing.assert_allclose(slopes.evaluate(y)[:, column], expected, rtol=1e-6)


def test_a_stiff_trajectory_is_handed_on():
    with pytest.raises(TooStiff):
        solve_stacked(
            lambda z: -1e7 * (z - 1), np.zeros((1, 1)), np.array([0, 1]), np.array([1.0]),
            (1e-8, 1e-10),
        )  # fmt: skip


def test_what_is_public():
    assert {"own", "hill", "free", "rational", "elementary_reactions"} <= set(cn.__all__)
