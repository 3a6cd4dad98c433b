"""Stationary distributions: closed forms, late times, error bounds, networks that have none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, nbinom, poisson

import chemnb as cn
from chemnb import FSPError, ReactionNetwork, finite_state_projection
from chemnb.projection.stationary import stationary_distribution

TOGGLE = ReactionNetwork(
    """
    0 -> A ; law: a/(1 + (B/K)**2)
    0 -> B ; law: a/(1 + (A/K)**2)
    A -> 0 ; 1
    B -> 0 ; 1
    """,
    a=30,
    K=5,
)


def test_immigration_death_is_poisson():
    found = stationary_distribution(ReactionNetwork("0 <-> A ; 6, 0.5"), {"A": 40}, tolerance=1e-10)
    p = found.marginal("A")
    assert p.dims == ("A",) and np.all(p.values >= 0)
    assert np.abs(p.values - poisson.pmf(p.A.values, 12)).sum() < 1e-9
    assert found.moments().sel(moment="Var(A)").item() == pytest.approx(12)


def test_a_heavy_tail_is_negative_binomial():
    found = stationary_distribution(
        ReactionNetwork("0 -> A ; 1 \n A -> 2 A ; 0.9 \n A -> 0 ; 1"), [0]
    )
    counts = found.probability.A.values
    exact = nbinom.pmf(counts, 1 / 0.9, 0.1)
    assert np.abs(found.probability.values - exact).sum() < 3e-8
    assert 1 - exact.sum() < 3 * found.outside  # the estimate has the size of what is outside


@pytest.mark.parametrize("bound", [12, 18, 25])
def test_the_bound_holds_inside_a_box_that_is_too_small(bound):
    network = ReactionNetwork(
        "0 <-> A ; 4, 1 \n 0 <-> B ; 3, 1 \n A -> A + 2 B ; 0.5 \n 2 B -> A ; 0.1"
    )
    whole = stationary_distribution(network, [0, 0], tolerance=1e-10).probability
    small = stationary_distribution(network, [0, 0], bounds={"A": bound, "B": bound})
    inside = whole.sel(A=slice(0, bound), B=slice(0, bound)).values
    apart = np.abs(inside / inside.sum() - small.probability.values).sum() / 2
    assert 0 < apart <= small.error < 0.5
    assert np.isnan(small.outside) and small.outflow > 0


def test_a_closed_network_is_binomial_and_has_no_error():
    found = stationary_distribution(ReactionNetwork("A <-> B ; 1, 3"), {"A": 8})
    p = found.marginal("B").values
    assert found.states == 9 and found.error == 0 and found.outside == 0
    np.testing.assert_allclose(p, binom.pmf(np.arange(9), 8, 0.25), atol=1e-14)
    assert found.residual < 1e-14


def test_the_toggle_switch_has_two_modes():
    found = stationary_distribution(TOGGLE, {"A": 0})
    p = found.probability
    np.testing.assert_allclose(p.values, p.transpose("B", "A").values, atol=1e-12)
    high = float(p.sel(A=slice(15, None), B=slice(0, 8)).sum())
    between = float(p.sel(A=slice(8, 14), B=slice(8, 14)).sum())
    assert high > 0.4 > 10 * between
    assert found.error < 1e-8 and found.residual < 1e-13


def test_the_toggle_switch_at_a_late_time():
    late = finite_state_projection(TOGGLE.with_parameters(a=12), {"A": 10}, [150.0])
    found = stationary_distribution(TOGGLE.with_parameters(a=12), {"B": 3}, tolerance=1e-9)
    difference = (late.at(150.0) - found.probability).fillna(0)
    assert float(abs(difference).sum()) < 1e-6


def test_schloegl_has_two_modes_of_known_weight():
    network = ReactionNetwork(
        "2 A -> 3 A ; 0.03 \n 3 A -> 2 A ; 1e-4 \n 0 -> A ; 200 \n A -> 0 ; 3.5"
    )
    found = stationary_distribution(network, [250])
    p, n = found.probability.values, found.probability.A.values
    # detailed balance of a birth-death process
    up = 0.03 * n * (n - 1) / 2 + 200
    down = 1e-4 * n * (n - 1) * (n - 2) / 6 + 3.5 * n
    logs = np.concatenate([[0], np.cumsum(np.log(up[:-1] / down[1:]))])
    exact = np.exp(logs - logs.max())
    np.testing.assert_allclose(p, exact / exact.sum(), atol=1e-12)
    assert p[:248].sum() == pytest.approx(0.220, abs=2e-3)


def test_extinction_is_certain_or_not():
    dying = cn.models.single_progenitor(r1=0.05, r2=0.11)
    found = stationary_distribution(dying, {"A": 10})
    assert found.states == 1 and found.probability.sel(A=0, B=0) == 1
    assert found.outside < 1e-8
    with pytest.raises(FSPError, match="no stationary distribution found: more than 8000 states"):
        stationary_distribution(cn.models.single_progenitor(), {"A": 10}, max_states=8000)


@settings(max_examples=30, deadline=None)
@given(rates=st.tuples(*[st.floats(0.05, 3)] * 4), start=st.integers(1, 9))
def test_what_is_found_stays(rates, start):
    network = ReactionNetwork(
        "2 A -> B ; a \n B -> 2 A ; b \n A -> C ; c \n C -> A ; d",
        dict(zip("abcd", rates, strict=True)),
    )
    found = stationary_distribution(network, {"A": start})
    p = found.probability
    assert np.all(p.values >= 0)
    assert float(p.sum()) == pytest.approx(1, abs=1e-13)
    later = finite_state_projection(network, p, [2.0]).at(2.0)
    np.testing.assert_allclose((later - p).fillna(0).values, 0, atol=1e-10)
    total = (p.A + 2 * p.B + p.C).transpose(*p.dims).values
    assert np.all(total[p.values > 0] == start)


BAD = [
    ("A -> B ; 1 \n A -> C ; 1", {"A": 2}, {}, r"3 closed classes .*\(A=0, B=0, C=2\).*start in one"),
    ("0 -> A ; 1", [0], {"max_states": 100}, r"no stationary distribution found: more than 100 .*'A'"),
    ("0 -> A ; 1", [0], {"bounds": {"A": 9}}, r"what leaves it does not come back"),
    ("0 <-> A ; 1, 1", [0], {"tolerance": 2}, r"tolerance is 2; it must lie between 0 and 1"),
    ("0 <-> A ; 1, 1", [0], {"rate_constants": [1, -1]}, r"needs rate constants of zero or more"),
    ("0 <-> A ; 1, 1", {"X": 1}, {}, r"initial: 'X' is not a species"),
    ("0 <-> A ; 1, 1", [0], {"bounds": {"X": 1}}, r"bounds: 'X' is not a species"),
    ("0 -> A ; law: 1 + sin(t) \n A -> 0 ; 1", [0], {}, r"depends on the time t"),
    ("0 -> A ; law: 3 - A \n A -> 0 ; 1", [0], {}, r"rate law of '0 -> A.*' gives -"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "start", "options", "message"), BAD)
def test_what_has_no_answer_is_explained(text, start, options, message):
    with pytest.raises(FSPError, match=message):
        stationary_distribution(ReactionNetwork(text), start, **options)


def test_a_state_that_is_as_good_as_never_visited_does_no_harm():
    """Schloegl with one well far from zero: the empty vessel has a probability of 10^-170."""
    found = stationary_distribution(cn.models.schloegl(feed=6.0, volume=80), {"A": 40})
    p = found.probability.values
    n = np.arange(len(p))
    up = 80 * 6.0 + 6.5 * n * (n - 1) / 80
    down = 11.0 * n + n * (n - 1) * (n - 2) / 80**2
    # detailed balance: what goes up from n comes down from n + 1
    assert np.allclose(p[:-1] * up[:-1], p[1:] * down[1:], atol=1e-9)
