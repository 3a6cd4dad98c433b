"""Stiff networks: contour integrals against closed forms and uniformisation, and their estimate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.sparse import csc_array
from scipy.stats import binom

from chemnb import ReactionNetwork, finite_state_projection
from chemnb.projection.contour import contour_exponential

FAST = ReactionNetwork("A <-> B ; 1e6, 3e6 \n B -> 0 ; 1")


def test_a_fast_equilibrium_before_a_slow_loss():
    solution = finite_state_projection(FAST, {"A": 10}, [0, 0.5, 2], tolerance=1e-6)
    assert solution.method == "contour"
    one = np.array([[-1e6, 3e6], [1e6, -3e6 - 1]])
    values, vectors = np.linalg.eig(one)
    for time in (0.5, 2):
        # every molecule on its own: the slow eigenvector alone is left
        a, b = vectors @ (np.exp(values * time) * np.linalg.solve(vectors, [1.0, 0.0]))
        p = solution.probability.sel(time=time)
        left = binom.pmf(np.arange(11), 10, a)
        error = np.abs(p.sum("B").values - left).sum()
        assert error <= solution.lost_mass.sel(time=time) + 1e-9
        assert error < 1e-7
        assert float(p.sum()) == pytest.approx(1, abs=1e-7)
    assert np.all(solution.probability.values >= 0)


def test_enzyme_with_fast_binding_agrees_with_uniformisation():
    network = ReactionNetwork("S + E <-> C ; 300, 2000 \n C -> E + P ; 10")
    start, times = {"S": 12, "E": 4}, [0.01, 0.1]
    first, second = (
        finite_state_projection(network, start, times, method=method)
        for method in ("uniformisation", "contour")
    )
    difference = np.abs((first.marginal("P") - second.marginal("P")).values).sum(axis=1)
    assert np.all(difference <= second.lost_mass.values + 1e-12)
    assert second.lost_mass.values[-1] <= 1e-8


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 6), log=st.floats(-2, 6))
def test_the_estimate_covers_the_error(seed, size, log):
    rng = np.random.default_rng(seed)
    q = rng.exponential(size=(size, size)) * (rng.random((size, size)) < 0.6)
    np.fill_diagonal(q, 0)
    q *= 10**log / max(q.max(), 1e-9) * (rng.random((size, size)) < 0.5) + 1
    q -= np.diag(q.sum(axis=0))
    start = rng.random((1, size))
    found, estimate = contour_exponential(csc_array(q), start, 0.7)
    scale = np.abs(q).max()
    error = np.abs(found[0] - expm(0.7 * q) @ start[0]).sum()
    # the reference itself squares its rounding up
    assert error <= 10 * estimate + 1e-13 + 1e-14 * scale


def test_a_long_cycle_takes_shorter_steps_to_stay_within_the_tolerance():
    names = "ABCDEF"
    network = ReactionNetwork(
        [f"{a} -> {b} ; 30" for a, b in zip(names, names[1:] + "A", strict=True)]
    )
    first, second = (
        finite_state_projection(network, {"A": 2}, [0.4], method=method)
        for method in ("uniformisation", "contour")
    )
    difference = np.abs(first._values - second._values).sum()
    assert difference <= second.lost_mass.values[0] <= 1e-8
