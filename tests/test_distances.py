"""Total variation and its sampling floor against definitions, closed forms and simulation."""

import math
from itertools import product

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from chemnb.sampling.distances import sampling_floor, total_variation


def on(values, first=0, name="A"):
    values = np.asarray(values, dtype=float)
    return xr.DataArray(values, {name: first + np.arange(len(values))}, [name])


weights = st.lists(st.floats(0, 1), min_size=1, max_size=8).filter(lambda w: sum(w) > 0.1)
distributions = st.tuples(weights, st.integers(0, 4)).map(
    lambda wf: on(np.array(wf[0]) / sum(wf[0]), wf[1])
)


@settings(max_examples=100, deadline=None)
@given(distributions, distributions, distributions)
def test_total_variation_is_a_distance(p, q, r):
    assert total_variation(p, p) == 0
    assert total_variation(p, q) == pytest.approx(total_variation(q, p), abs=1e-15)
    assert 0 <= total_variation(p, q) <= 1 + 1e-12
    assert total_variation(p, r) <= total_variation(p, q) + total_variation(q, r) + 1e-12


@settings(max_examples=50, deadline=None)
@given(distributions, distributions)
def test_it_is_the_largest_difference_of_any_event(p, q):
    states = sorted({*p.A.values.tolist(), *q.A.values.tolist()})
    given_p, given_q = (dict(zip(d.A.values.tolist(), d.values, strict=True)) for d in (p, q))
    gaps = [given_p.get(s, 0.0) - given_q.get(s, 0.0) for s in states]
    largest = max(
        sum(g for g, chosen in zip(gaps, event, strict=True) if chosen)
        for event in product([False, True], repeat=len(gaps))
    )
    assert total_variation(p, q) == pytest.approx(largest, abs=1e-12)


def test_states_that_one_lacks_count_as_zero():
    assert total_variation(on([0.5, 0.5]), on([0.5, 0.5], first=1)) == 0.5
    assert total_variation(on([1.0]), on([1.0], first=7)) == 1


def test_species_are_matched_by_name():
    p = xr.DataArray([[0.1, 0.2], [0.3, 0.4]], {"A": [0, 1], "B": [0, 1]}, ["A", "B"])
    assert total_variation(p, p.transpose("B", "A")) == 0
    with pytest.raises(
        ValueError, match=r"p is over \('A',\) and q over \('B',\); compare the same"
    ):
        total_variation(on([1.0]), on([1.0], name="B"))


@pytest.mark.parametrize("runs", [1, 2, 7, 30])
def test_the_floor_is_the_expected_distance(runs):
    """All outcomes of a two-state experiment, one by one."""
    p = 0.3
    expected = sum(
        math.comb(runs, k) * p**k * (1 - p) ** (runs - k) * abs(k / runs - p)
        for k in range(runs + 1)
    )
    assert sampling_floor(on([p, 1 - p]), runs) == pytest.approx(expected, rel=1e-12)


def test_the_floor_of_many_states_is_what_sampling_gives():
    p, runs, repeats = poisson.pmf(np.arange(40), 9.0), 500, 2000
    p /= p.sum()
    draws = np.random.default_rng(1).multinomial(runs, p, size=repeats) / runs
    distances = np.abs(draws - p).sum(axis=1) / 2
    error = distances.std() / math.sqrt(repeats)
    assert abs(sampling_floor(p, runs) - distances.mean()) < 4.5 * error


def test_the_floor_of_many_draws():
    p = np.full(50, 0.02)
    # E|z| = sqrt(2/pi) for a normal variable
    normal = 50 * math.sqrt(2 / math.pi) * math.sqrt(0.02 * 0.98 / 1e6) / 2
    assert sampling_floor(p, 10**6) == pytest.approx(normal, rel=1e-3)
    assert sampling_floor(on([1.0, 0.0]), 10) == 0
    # the shape of a joint distribution plays no role
    assert sampling_floor(p.reshape(5, 10), 100) == sampling_floor(p, 100)


@pytest.mark.parametrize("runs", [0, -3, math.nan])
def test_a_floor_needs_runs(runs):
    with pytest.raises(ValueError, match=f"runs={runs} must be 1 or more"):
        sampling_floor(on([0.5, 0.5]), runs)
