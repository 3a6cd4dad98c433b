"""Rates from joint histograms: recovered, with errors that the scatter confirms, better than moments."""

from __future__ import annotations

import numpy as np
import pytest

import chemnb as cn
from chemnb import FSPError, ReactionNetwork, finite_state_projection
from chemnb.learning.likelihood import fit_histograms

NAMES = ["r1", "r2", "lam", "Gamma", "k1", "k2"]
TRUTH = {"r1": 0.0836, "r2": 0.0764, "lam": 1.1, "Gamma": 0.31, "k1": 0.0, "k2": 0.0}
CANDIDATE = cn.models.single_progenitor_candidate().with_parameters(TRUTH)
GROWTH = ReactionNetwork("0 -> A ; b \n A -> 0 ; d", b=8, d=0.5)


def moment_information(solution):
    """Return what means, variances and covariance of one run a time tell of the parameters."""
    total = 0.0
    a, b = (solution.probability[name].values.astype(float) for name in "AB")
    a, b = a[:, None] + 0 * b, b + 0 * a[:, None]
    for time in solution.times:
        p = solution.probability.sel(time=time).values
        p = p / p.sum()
        da, db = a - (p * a).sum(), b - (p * b).sum()
        parts = np.array([da, db, *(x - (p * x).sum() for x in (da * da, db * db, da * db))])
        covariance = np.einsum("iab,jab,ab->ij", parts, parts, p)
        slopes = [solution.sensitivity(n).sel(time=time).values for n in solution.parameters]
        jacobian = np.einsum("iab,nab->in", parts, np.array(slopes))
        total = total + jacobian.T @ np.linalg.solve(covariance, jacobian)
    return total


def test_histograms_tell_more_than_moments_at_the_same_times():
    solution = finite_state_projection(
        CANDIDATE, {"A": 10}, [1, 5, 10, 20], sensitivities=NAMES, tolerance=1e-5
    )
    whole = solution.fisher_information().sum("time").values
    errors = [
        np.sqrt(np.diag(np.linalg.inv(information)))
        for information in (moment_information(solution), whole)
    ]
    gain = dict(zip(NAMES, errors[0] / errors[1], strict=True))
    for name in ("r1", "r2", "lam", "k1", "k2"):
        assert 1.3 < gain[name] < 1.95
    assert 1 <= gain["Gamma"] < 1.05  # which the means alone know


def test_the_six_rates_of_the_candidate_are_found_from_a_poor_start():
    data = cn.sample(
        CANDIDATE, {"A": 10}, [0, 1, 3], runs=40_000, histograms=[0, 1, 3], seed=3, progress=False
    )
    start = CANDIDATE.with_parameters(r1=0.15, r2=0.03, lam=0.8, Gamma=0.5, k1=0.05, k2=0.1)
    fit = fit_histograms(start, data, tolerance=1e-6)
    assert fit.converged and fit.iterations < 12
    assert fit.network.parameters == dict(zip(fit.parameters, fit.values, strict=True))
    assert np.all(fit.values >= 0)
    table = fit.rates
    distance = (table["value"] - [TRUTH[name] for name in table.index]) / table["standard error"]
    assert np.nanmax(np.abs(distance)) < 4
    # no neighbour is more likely
    from chemnb.learning.likelihood import _Point, _read

    times, tables, initial, runs = _read(CANDIDATE, data, None, None)
    for name in ("r2", "lam"):
        for sign in (1, -1):
            moved = {name: table["value"][name] + sign * 0.5 * table["standard error"][name]}
            other = finite_state_projection(
                fit.network.with_parameters(moved),
                initial,
                times,
                sensitivities=NAMES,
                tolerance=1e-6,
            )
            assert _Point(other, fit.values, tables, runs).log_likelihood < fit.log_likelihood


def test_the_standard_errors_are_those_of_the_scatter():
    found = []
    for seed in range(60):
        independent = {
            time: cn.sample(
                GROWTH, {"A": 0}, [0, time], runs=1000, histograms=[time], seed=2 * seed + k,
                progress=False,
            ).histogram(time)
            for k, time in enumerate((1, 3))
        }  # fmt: skip
        fit = fit_histograms(GROWTH, independent, {"A": 0}, runs=1000)
        found.append((fit.values - [8, 0.5]) / fit.rates["standard error"].values)
    squares = (np.array(found) ** 2).mean(axis=0)
    # a mean of 60 chi-squares has a standard deviation of 0.18
    assert np.all((squares > 0.4) & (squares < 1.8))


def test_a_rate_is_held_at_zero():
    network = GROWTH + "2 A -> A ; k"
    data = cn.sample(GROWTH, {"A": 0}, [0, 2], runs=3000, histograms=[2], seed=5, progress=False)
    fits = [
        fit_histograms(network.with_parameters(k=k), data, parameters=["b", "k"]) for k in (0.01, 0)
    ]
    for fit in fits:
        assert fit.converged and np.all(fit.values >= 0)
    assert fits[0].log_likelihood == pytest.approx(fits[1].log_likelihood, abs=1e-2)
    free = fit_histograms(GROWTH, data, parameters=["b"])
    assert all(fit.log_likelihood >= free.log_likelihood - 1e-6 for fit in fits)


def test_states_that_the_model_leaves_out_do_not_stop_the_fit():
    data = cn.sample(
        GROWTH, {"A": 0}, [0, 1, 4], runs=4000, histograms=[1, 4], seed=2, progress=False
    )
    fit = fit_histograms(GROWTH.with_parameters(b=0.5, d=2), data)
    assert fit.converged
    np.testing.assert_allclose(fit.values, [8, 0.5], rtol=0.15)
    assert "converged" in repr(fit) and "<table" in fit._repr_html_()


BAD = [
    ({"data": [1]}, "data must be an Ensemble or a mapping, time -> joint histogram"),
    ({"data": {}}, "no histogram later than t = 0"),
    ({"initial": None}, "initial is missing"),
    ({"runs": None}, r"runs is None; give the number of runs in each histogram"),
    ({"runs": 0}, r"runs is 0; give"),
    ({"parameters": ["x"]}, r"'x' is not a parameter of this network; its parameters are 'b', 'd'"),
    ({"network": GROWTH.with_parameters(b=None)}, r"'b' has no value; give one from which to start"),
    ({"network": ReactionNetwork("0 <-> A ; 8, 0.5")}, "has no named parameter to fit"),
    ({"network": ReactionNetwork("0 -> A ; b*c \n A -> 0 ; 0.5", b=8, c=1)}, "do not tell all par"),
    ({"network": GROWTH + "A -> B ; 1"}, r"the histogram at 1 lacks the species 'B'"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_explained(change, message):
    solution = finite_state_projection(GROWTH, {"A": 0}, [1])
    histogram = solution.at(1)
    arguments = {
        "network": GROWTH, "data": {1: histogram / histogram.sum()}, "initial": {"A": 0}, "runs": 100,
    } | change  # fmt: skip
    with pytest.raises(FSPError, match=message):
        fit_histograms(**arguments)


def test_a_histogram_that_does_not_sum_to_one():
    histogram = finite_state_projection(GROWTH, {"A": 0}, [1]).at(1)
    with pytest.raises(FSPError, match=r"the histogram at 1 sums to 0\.5"):
        fit_histograms(GROWTH, {1: histogram / 2}, {"A": 0}, runs=10)
