"""Stopping, first passages, every event, rate laws while running, and the interrupt key."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import expon, kstest

import chemnb as cn
from chemnb.networks.network import NetworkError, ReactionNetwork
from chemnb.sampling.simulator import METHODS, SimulationError, Simulator

EXACT = [method for method in METHODS if method != "auto"]
DECAY = ReactionNetwork("A -> 0 ; 1")
BRANCHING = ReactionNetwork("A -> 2 A ; 1 \n A -> 0 ; 1.5")
SKIN = cn.models.single_progenitor()


# --- every event -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", EXACT)
def test_events_are_those_of_the_sampled_runs(method):
    grid = np.linspace(0, 5, 23)
    runs = cn.sample(SKIN, {"A": 10}, grid, 6, seed=3, method=method, keep=6).paths.values
    for i, path in enumerate(cn.record_events(SKIN, {"A": 10}, 5, 6, seed=3, method=method)):
        times, reactions = path.time.values, path.reaction.values
        assert times[0] == 0 and np.all(np.diff(times) > 0) and times[-1] <= 5
        assert np.array_equal(np.diff(path.values, axis=0), SKIN.stoichiometry.T[reactions[1:]])
        rows = np.searchsorted(times, grid, side="right") - 1
        assert np.array_equal(path.values[rows], runs[i])


def test_many_events_are_all_recorded():
    path = cn.record_events(ReactionNetwork("0 -> A ; 1000"), [0], 30, seed=1)[0]
    assert len(path) > 20_000 and np.array_equal(path.values[:, 0], np.arange(len(path)))
    gaps = np.diff(path.time.values)
    assert kstest(gaps, expon(scale=1e-3).cdf).pvalue > 1e-5


def test_nothing_happens_in_an_absorbing_state():
    path = cn.record_events(DECAY, [0], 10, seed=1)[0]
    assert path.shape == (1, 1) and path.reaction.values.tolist() == [-1]


# --- stopping ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", EXACT)
def test_a_stopped_run_keeps_its_state(method):
    times = np.linspace(0, 20, 41)
    arguments = dict(seed=4, method=method, keep=200)
    free = cn.sample(BRANCHING, [5], times, 200, **arguments).paths.values[..., 0]
    stopped = cn.sample(BRANCHING, [5], times, 200, stop="A >= 8", **arguments).paths.values[..., 0]
    assert stopped.max() == 8 and free.max() > 8
    reached = stopped[:, -1] == 8
    assert 0 < reached.sum() < 200 and not stopped[~reached, -1].any()
    assert np.array_equal(stopped[~reached], free[~reached])
    for path, whole in zip(stopped[reached], free[reached], strict=True):
        first = np.argmax(path == 8)
        assert np.all(path[first:] == 8) and np.array_equal(path[:first], whole[:first])


def test_a_condition_that_holds_at_the_start():
    data = cn.sample(BRANCHING, [5], [0, 9], 10, seed=1, stop="A == 5")
    assert np.all(data.paths == 5)
    passed = cn.first_passage(BRANCHING, [5], "A > 2", 9, 10, seed=1)
    assert np.all(passed.time == 0) and np.all(passed.state == 5)
    assert len(cn.record_events(BRANCHING, [5], 9, seed=1, stop="A == 5")[0]) == 1


def test_conditions_may_use_parameters_and_several_species():
    net = ReactionNetwork("A -> B ; k", k=2.0, volume=3)
    paths = cn.sample(net, [9, 0], [50.0], 5, seed=1, stop="B >= k*V or A == 0").paths
    assert np.all(paths.values == [3, 6])


@pytest.mark.parametrize("method", EXACT)
def test_first_passage_times_have_their_closed_form(method):
    """All of n molecules decay by t with probability (1 - exp(-t))^n; gamblers are ruined."""
    passed = cn.first_passage(DECAY, [4], "A == 0", 1e3, 5000, seed=2, method=method)
    assert kstest(passed.time.values, lambda t: (1 - np.exp(-t)) ** 4).pvalue > 1e-5
    assert not passed.state.any() and passed.attrs["method"] == method
    ruined = cn.first_passage(
        ReactionNetwork("0 -> A ; law: 2 \n A -> 0 ; law: 3"),
        [3], "A == 0 or A == 6", 1e4, 20_000, seed=3, method=method,
    )  # fmt: skip
    rich = (ruined.state.values[:, 0] == 6).mean()
    ratio = 3 / 2
    expected = (ratio**3 - 1) / (ratio**6 - 1)
    assert abs(rich - expected) < 4.5 * math.sqrt(expected * (1 - expected) / 20_000)
    assert np.isfinite(ruined.time).all()


def test_runs_that_do_not_pass_are_infinite():
    passed = cn.first_passage(DECAY, [3], "A == 0", 0.5, 2000, seed=1)
    late = np.isinf(passed.time.values)
    expected = 1 - (1 - math.exp(-0.5)) ** 3
    assert abs(late.mean() - expected) < 4.5 * math.sqrt(expected * (1 - expected) / 2000)
    assert np.all(passed.state.values[late] > 0) and not passed.state.values[~late].any()
    assert passed.time.values[~late].max() <= 0.5


@pytest.mark.parametrize(
    ("stop", "message"),
    [
        ("A", "stop: 'A' in 'A' is a number where a condition is needed; compare it, as in 'A >="),
        ("A = 0", "stop: 'A = 0' is not arithmetic"),
        ("A == 0; import os", "is not arithmetic"),
        ("X == 0", r"stop='X == 0': 'X' is unknown; there are 'A', 'V'"),
        ("t > 3", "uses the time t; a run stops at a state, its end is the last of times"),
        (5, "stop=5 is no condition; write text such as 'A == 0'"),
        ("__import__('os').system('id') == 0", "is no function of rate laws"),
    ],
)
def test_bad_conditions_are_explained(stop, message):
    with pytest.raises(SimulationError, match=message):
        cn.sample(DECAY, [1], [1], 1, seed=1, stop=stop)
    with pytest.raises(SimulationError, match=message):
        cn.first_passage(DECAY, [1], stop, 1, 1, seed=1)


def test_a_passage_needs_a_condition():
    with pytest.raises(SimulationError, match="stop=None is no condition"):
        cn.first_passage(DECAY, [1], None, 1, 1, seed=1)


# --- rate laws while running -------------------------------------------------------------------


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("runs", [3, 2000])  # one after the other, and in lockstep
def test_a_law_that_turns_bad_is_named(method, runs):
    net = ReactionNetwork("0 -> A ; 5 \n A -> 0 ; law: sqrt(4 - A)*A")
    message = (
        r"the rate law of 'A -> 0 ; law: sqrt\(4 - A\)\*A' gives nan in the state {'A': 5} "
        r"at t = [0-9.]+ \(run \d+\); a propensity is a finite number, zero or more"
    )
    with pytest.raises(SimulationError, match=message):
        cn.sample(net, [0], [100], runs, seed=1, method=method)
    below = ReactionNetwork("0 -> A ; law: 3 - A")
    with pytest.raises(SimulationError, match=r"gives -1 in the state {'A': 4} at t = 0 \(run 0\)"):
        cn.sample(below, [4], [100], runs, seed=1, method=method)


@pytest.mark.parametrize("runs", [3, 2000])
def test_a_propensity_beyond_floats_is_named(runs):
    net = ReactionNetwork("A -> 0 ; 1 \n 20 A -> B ; 1e300")
    with pytest.raises(
        SimulationError, match="the propensity of '20 A -> B ; 1e300' is too large for a float in"
    ):
        cn.sample(net, {"A": 10**6}, [1], runs, seed=1)


@pytest.mark.parametrize("runs", [2, 1500])
@pytest.mark.parametrize("method", EXACT)
def test_a_count_beyond_exact_floats_is_named(method, runs):
    net = ReactionNetwork("B -> B + 1000000 A ; 1 \n A -> 0 ; 0")
    start = {"A": 2**53 - 5 * 10**6, "B": 1}
    with pytest.raises(SimulationError, match=r"in run 0 'B -> B \+ 1000000 A' drove a count bey"):
        cn.sample(net, start, [100], runs, seed=1, method=method)


def test_lanes_notice_a_large_count_in_short_runs():
    """Overflow and end may both come before the lanes look at the counts."""
    net = ReactionNetwork("B -> B + 1000000 A ; 1")
    simulator = Simulator(net, [1, 2**53 - 5 * 10**6], [100.0], seed=1)
    with pytest.raises(SimulationError, match="in run 0 .* drove a count beyond"):
        simulator.run(0, 200, lanes=128)


def test_laws_spelled_as_mass_action_give_the_same_runs():
    plain = ReactionNetwork("A -> B ; 2 \n A + B -> 0 ; 0.5")
    law = ReactionNetwork("A -> B ; law: 2*A \n A + B -> 0 ; law: 0.5*A*B")
    times = [0.1, 0.7, 3]
    for method in EXACT:
        one, other = (
            cn.sample(net, [20, 5], times, 600, seed=5, method=method) for net in (plain, law)
        )
        assert np.array_equal(one.paths, other.paths)


names = st.sampled_from("ABC")
sides = st.dictionaries(names, st.integers(1, 2), max_size=2)
laws = st.sampled_from(
    [
        "1.5",
        "law: 2*A/(1 + A + B)",
        "law: 3*exp(-A)",
        "law: min(A, 3)",
        "law: piecewise(2, A > B, 1)",
    ]
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(sides, sides, laws), min_size=1, max_size=4), st.integers(0, 8))
def test_any_network_keeps_its_laws_and_its_bits(reactions, molecules):
    """Counts stay whole and nonnegative, conservation laws hold, lanes do not matter."""

    def text(side):
        return " + ".join(f"{v} {s}" for s, v in sorted(side.items())) or "0"

    lines = {" -> ".join(map(text, pair)): rate for *pair, rate in reactions if pair[0] != pair[1]}
    lines = [f"{equation} ; {rate}" for equation, rate in lines.items()] or ["A -> 0 ; 1"]
    net = ReactionNetwork(lines, species=["A", "B", "C"])
    start = np.full(3, molecules)
    simulator = Simulator(net, start, [0.1, 0.5], seed=1, max_events=400)
    found = []
    for lanes in (1, 4, 32):
        try:
            found.append(simulator.run(0, 30, lanes=lanes))
        except SimulationError as error:
            found.append(str(error))
    if isinstance(found[0], str):
        assert "passed 400 reactions" in found[0] and found[1] == found[2] == found[0]
        return
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))
    counts = found[0].counts
    assert counts.min() >= 0
    conserved = net.conservation_laws().to_numpy()
    assert np.all(counts @ conserved.T == start @ conserved.T)


# --- the interrupt key -------------------------------------------------------------------------

PROGRAM = """
import json, sys, time
import chemnb as cn
method, runs, threads, rates = json.loads(sys.argv[1])
net = cn.ReactionNetwork("0 <-> A ; %s, 1" % rates)
small = dict(times=[1.0], runs=20, seed=1, method=method, progress=False)
before = cn.sample(net.with_volume(1e-3), [0], **small).mean().item()
print("ready", flush=True)
try:
    cn.sample(net, [0], [1e7], runs, seed=1, method=method, threads=threads, max_events=10**15)
except KeyboardInterrupt:
    stopped = time.time()
    after = cn.sample(net.with_volume(1e-3), [0], **small).mean().item()
    print(json.dumps([stopped, before == after]), flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="a signal cannot be sent to one process there")
@pytest.mark.parametrize(
    ("method", "runs", "threads", "rates"),
    [
        ("direct", 1, 1, "1000"),  # one endless run
        ("direct", 10**6, 2, "1000"),  # in lockstep
        ("tree", 1, 1, "1000"),
        ("next-reaction", 3, 2, "1000"),
        ("direct", 1, 1, "law: 1000*(1 + sin(t))"),
    ],
)
def test_the_interrupt_key_stops_a_run_and_leaves_python_usable(method, runs, threads, rates):
    words = json.dumps([method, runs, threads, rates])
    # on a busy machine the process itself may wait for more than a second
    assert any(_seconds_to_stop(words) < 1 for _ in range(4))


def _seconds_to_stop(words: str) -> float:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, words], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline().strip() == "ready"
        time.sleep(3)
        sent = time.time()
        process.send_signal(signal.SIGINT)
        stopped, same = json.loads(process.stdout.readline())
        assert same
        return stopped - sent
    finally:
        process.kill()
        process.wait()


def test_a_network_without_values_is_explained():
    net = ReactionNetwork("A -> 0 ; law: k*A")
    with pytest.raises(NetworkError, match="'k' has no value"):
        cn.sample(net, [1], [1], 1, seed=1)
