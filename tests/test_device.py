"""Sampling on a device: the bits of the compiled kernels, on tensors of torch."""

import builtins

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import chemnb as cn
from chemnb import models
from chemnb._kernels import random as streams
from chemnb.networks.network import ReactionNetwork
from chemnb.sampling import device as devices
from chemnb.sampling.device import DeviceSimulator, check_device
from chemnb.sampling.simulator import SimulationError, Simulator
from tests.benchmarks import device as benchmark

DECAY = ReactionNetwork("A -> 0 ; 1")
SKIN = models.single_progenitor()
RING = ReactionNetwork([f"S{i} -> S{(i + 1) % 130} ; 1" for i in range(130)])
GENE = """
    G + P <-> GP   ; 3, 2.4
    GP + P <-> GP2 ; 9, 6
    G -> G + M     ; 0.05
    GP -> GP + M   ; 0.05
    M -> M + P     ; 0.01
    M -> 0         ; 0.01
"""
CASES = {
    "skin cells": (SKIN, [10, 0], [0.0, 0.5, 1, 5, 8]),
    "birth and death, from nothing": (ReactionNetwork("0 <-> A ; 4, 0.5"), [0], [3.0]),
    "birth alone": (ReactionNetwork("0 -> A ; 2", volume=3), [0], [0.0, 1.0]),
    "pure death, many times": (DECAY, [7], np.linspace(0, 30, 301)),
    "dimers in a volume": (models.dimerisation(volume=10), [21, 0], [0.2, 0.7]),
    "no pair left": (ReactionNetwork("2 A -> 0 ; 1"), [5], [0.0, 90.0]),
    "one molecule, no pair": (ReactionNetwork("2 A -> 0 ; 1"), [1], [1.0]),
    "Schloegl": (ReactionNetwork("2 A <-> 3 A ; 0.6, 0.12 \n 0 <-> A ; 1.5, 1"), [3], [1.0, 4.0]),
    "enzyme": (ReactionNetwork("S + E <-> C ; .5, .5 \n C -> E + P ; 1"), [8, 3, 0, 0], [1.0, 2]),
    "genes": (ReactionNetwork(GENE, volume=1000 / 3), [4, 0, 3, 3, 1667], [1.0, 2.0]),
    "ring of 130": (RING, [1] * 130, [0.2, 0.4]),
    "rate zero": (ReactionNetwork("A -> B ; 0 \n A -> C ; 1"), [4, 0, 0], [1.0, 5.0]),
}


def drawn(network, start, times, runs, device, seed=2):
    simulator = Simulator(network, network.counts(start), times, seed, method="direct")
    if device is None:
        return simulator.run(0, runs, lanes=1).counts
    return DeviceSimulator(simulator, check_device(device)).run(0, runs)


def message(call):
    with pytest.raises(SimulationError) as caught:
        call()
    return str(caught.value)


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


# --- the same bits -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_runs_are_those_of_the_direct_method(name, torch):
    network, start, times = CASES[name]
    expected = drawn(network, start, times, 150, None)
    assert np.array_equal(drawn(network, start, times, 150, "cpu"), expected)


@pytest.mark.parametrize("name", CASES)
def test_runs_on_a_gpu_are_those_of_the_direct_method(name, torch):
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device here")
    network, start, times = CASES[name]
    expected = drawn(network, start, times, 20_000, None)
    assert np.array_equal(drawn(network, start, times, 20_000, "cuda"), expected)


def total(molecules):
    return sum(molecules.values())


def side(molecules):
    return " + ".join(f"{count} {name}" for name, count in sorted(molecules.items())) or "0"


species = st.dictionaries(st.sampled_from("ABC"), st.integers(1, 2), max_size=2)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(species, species, st.floats(0.01, 2)), min_size=1, max_size=4),
    st.integers(0, 6), st.integers(0, 2**63 - 1),
)  # fmt: skip
def test_runs_of_any_small_network_are_those_of_the_direct_method(reactions, count, seed):
    pytest.importorskip("torch")
    # molecules may be born from nothing, but do not multiply: none explodes
    kept = [(a, b, k) for a, b, k in reactions if a != b and (not a or total(b) <= total(a))]
    kept = {side(a) + " -> " + side(b): k for a, b, k in kept}
    assume(kept)
    network = ReactionNetwork([f"{text} ; {k!r}" for text, k in kept.items()], volume=2.5)
    start = [count] * len(network.species)
    expected = drawn(network, start, [0.3, 1.0], 20, None, seed)
    assert np.array_equal(drawn(network, start, [0.3, 1.0], 20, "cpu", seed), expected)


def test_the_generator_is_that_of_the_kernels(torch):
    seed, index = 2**63 - 1, np.array([0, 1, 2**40, 2**62])
    words = devices._streams(torch, seed, torch.as_tensor(index))
    states = [streams.stream(np.uint64(seed), np.uint64(i)) for i in index]
    for _ in range(50):
        bits = devices._draw(words)
        each = [streams.draw(*map(np.uint64, state)) for state in states]
        states = [state for _, *state in each]
        assert [int(x) % 2**64 for x in bits] == [int(x) % 2**64 for x, *_ in each]
        uniform = devices._uniform(torch, bits)
        assert uniform.tolist() == [streams.uniform(np.uint64(x)) for x, *_ in each]


def test_waiting_times_are_those_of_the_kernels(torch):
    rng = np.random.default_rng(3)
    u = np.concatenate([[2.0**-53, 0.5, 1 - 2.0**-53, np.sqrt(0.5)], rng.random(2000)])
    total = np.exp(rng.uniform(-300, 300, len(u)))
    found = devices._waiting_time(torch, torch.as_tensor(u), torch.as_tensor(total))
    assert found.tolist() == [
        streams.waiting_time(a, b) for a, b in zip(u.tolist(), total.tolist(), strict=True)
    ]


@pytest.mark.parametrize("crowded, check", [(0.0, 16), (1.0, 1), (1.0, 5)])
def test_runs_do_not_depend_on_when_finished_ones_are_dropped(crowded, check, torch, monkeypatch):
    expected = drawn(SKIN, [10, 0], [1.0, 3.0], 100, None)
    monkeypatch.setattr(devices, "_CROWDED", crowded)
    monkeypatch.setattr(devices, "_CHECK", check)
    assert np.array_equal(drawn(SKIN, [10, 0], [1.0, 3.0], 100, "cpu"), expected)


def test_runs_do_not_depend_on_the_block(torch):
    simulator = Simulator(SKIN, np.array([10, 0]), np.array([1.0, 3.0]), 4, method="direct")
    on_device = DeviceSimulator(simulator, check_device("cpu"))
    whole = on_device.run(0, 70)
    blocks = [on_device.run(first, size) for first, size in ((0, 32), (32, 32), (64, 6))]
    assert np.array_equal(np.concatenate(blocks), whole)


def test_runs_are_added_to_on_a_device(torch):
    options = {"network": SKIN, "initial": {"A": 10}, "times": [1.0, 3.0], "seed": 4}
    first = cn.sample(**options, runs=30, device="cpu")
    both = first + cn.sample(**options, runs=40, first_run=30, device="cpu")
    assert both == cn.sample(**options, runs=70, method="direct")
    with pytest.raises(SimulationError, match="client is a cluster; give one"):
        cn.sample(**options, runs=3, device="cpu", client=object())


def test_blocks_fit_their_memory(torch):
    simulator = Simulator(RING, RING.counts([1] * 130), np.arange(100.0), 1, method="direct")
    block = DeviceSimulator(simulator, check_device("cpu")).block
    assert 2 * block * 100 * 130 * 8 <= 32 * 2**20


@pytest.mark.parametrize("network", [SKIN, RING], ids=["skin cells", "ring of 130"])
def test_the_ensemble_is_that_of_the_direct_method(network, torch):
    start = dict.fromkeys(network.species, 1)
    small = {} if network is RING else {"histograms": [1.0]}
    options = dict(runs=90, seed=7, keep=30, **small)
    found = cn.sample(network, start, [0.0, 1.0], device="cpu", **options)
    expected = cn.sample(network, start, [0.0, 1.0], method="direct", **options)
    assert repr(found) == repr(expected)
    assert found.paths.equals(expected.paths)
    assert found.covariance().equals(expected.covariance())
    if small:
        assert found.histogram(1.0).equals(expected.histogram(1.0))


# --- runs that go too far -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, start, most",
    [("A -> 2 A ; 1", [1], 1000), ("A -> 2 A ; 1", [1], 16), ("2 A -> 3 A ; 1", [5], 77)],
)
def test_an_explosion_is_told_as_by_the_direct_method(text, start, most, torch):
    def draw(**options):
        network = ReactionNetwork(text)
        cn.sample(network, start, [50.0], 20, seed=1, max_events=most, **options)

    found = message(lambda: draw(device="cpu"))
    assert found == message(lambda: draw(method="direct"))
    assert f"passed {most:,} reactions" in found


def test_as_many_events_as_allowed_are_no_explosion(torch):
    for most in (5, 16, 17):
        options = dict(runs=20, seed=1, max_events=most, device="cpu")
        assert not cn.sample(DECAY, [most], [99.0], **options).mean().any()
        with pytest.raises(SimulationError, match=f"passed {most} reactions"):
            cn.sample(DECAY, [most + 1], [99.0], **options)


@pytest.mark.parametrize("text, below", [("0 -> 1000000 A ; 9", 10**7), ("0 -> 2 A ; 90", 100)])
def test_a_count_beyond_all_floats_is_told_as_by_the_direct_method(text, below, torch):
    def draw(**options):
        cn.sample(ReactionNetwork(text), [2**53 - below], [3.0], 20, seed=1, **options)

    found = message(lambda: draw(device="cpu"))
    assert found == message(lambda: draw(method="direct"))
    assert "beyond 2^53" in found


def test_large_counts_that_are_still_exact(torch):
    start, times = [2**53 - 40], [1e-16, 1e-15]
    expected = drawn(DECAY, start, times, 30, None)
    assert len(np.unique(expected)) > 5
    assert np.array_equal(drawn(DECAY, start, times, 30, "cpu"), expected)


def test_a_propensity_beyond_all_floats_is_told(torch):
    network = ReactionNetwork("3 A -> 0 ; 1e300")
    found = message(lambda: cn.sample(network, [10**5], [1.0], 5, seed=1, device="cpu"))
    assert "'3 A -> 0" in found and "too large for a float" in found


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "mps", "cpu:3", 7])
def test_unknown_devices(device):
    found = message(lambda: cn.sample(DECAY, [3], [1.0], 5, seed=1, device=device))
    assert found == f"device='{device}' is unknown; use 'cuda', 'cuda:0' or 'cpu'"


@pytest.mark.parametrize(
    "network, options, expected",
    [
        (DECAY, {"threads": 2}, "threads=2 is for the compiled kernels; leave it out"),
        (DECAY, {"method": "tree"}, "method='tree' has no code for a device; use 'direct'"),
        (DECAY, {"method": "best"}, "method='best' is unknown"),
        (DECAY, {"stop": "A == 0"}, "a device cannot stop runs at a condition; leave device='cpu'"),
        (ReactionNetwork("A -> 0 ; law: A/(1 + A)"), {}, "has a rate law.* mass action only"),
        (ReactionNetwork("A -> 0 ; law: A*t"), {}, "has a rate law.* mass action only"),
    ],
)
def test_what_a_device_cannot_do(network, options, expected, torch):
    with pytest.raises(SimulationError, match=expected):
        cn.sample(network, [3], [1.0], 5, seed=1, device="cpu", **options)


def test_no_such_gpu(torch, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = message(lambda: cn.sample(DECAY, [3], [1.0], 5, seed=1, device="cuda"))
    assert found.startswith("device='cuda': torch sees 0 CUDA devices here; leave device out")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert check_device("cuda:0").index == 0
    assert "torch sees 1 CUDA device here" in message(lambda: check_device("cuda:1"))


def test_without_torch(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "torch":
            raise ImportError("No module named 'torch'", name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    found = message(lambda: cn.sample(DECAY, [3], [1.0], 5, seed=1, device="cuda"))
    assert found.startswith("device='cuda' needs torch, which is not installed; install it with")


# --- the benchmark ------------------------------------------------------------------------------


def test_the_benchmark_tells_why_it_measures_nothing(torch, monkeypatch):
    said = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert benchmark.run(said.append) == {}
    assert len(said) == 1 and "torch sees 0 CUDA devices here" in said[0]


def test_the_benchmark_runs_on_any_device(torch):
    found = benchmark.measure("w1", "cpu", 40, 2, lambda _: None)
    assert set(found) == {"bench.device.w1.events_per_second", "bench.device.w1.over_all_cores"}
    assert all(record["n"] == 2 and record["value"] > 0 for record in found.values())
