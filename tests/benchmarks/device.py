"""W1 and W2 on a GPU: events a second by the clock on the wall, and over all cores here.

Both sides are the call of a user, `chemnb.sample`, with its streamed statistics; only the device
differs. The first call of each is not timed. Both must give the same bits before anything is
measured. Where torch sees no CUDA device, nothing is measured and one sentence says so; the torch
of constraints.txt is a build for the processor, so that a build for CUDA must be installed first.
"""

import statistics
import time

import numpy as np

import chemnb as cn
from chemnb.sampling.device import check_device
from tests.benchmarks import _peers

RUNS = {"w1": 1_000_000, "w2": 200_000}
REPEATS = 5


def run(progress=print):
    """Return the records of both workloads, or none where there is no GPU."""
    try:
        check_device("cuda")
    except cn.SimulationError as error:
        progress(f"nothing is measured: {error}")
        return {}
    found = {}
    for name, runs in RUNS.items():
        found |= measure(name, "cuda", runs, REPEATS, progress)
    return found


def measure(name, device, runs, repeats, progress):
    """Return the records of a workload: events a second, and the ratio to all cores."""
    import torch

    if name == "w1":
        (network, start), times = (cn.models.single_progenitor(), {"A": 10}), np.arange(21.0)
    else:
        (network, start), times = _peers.gene_network(), np.arange(0.0, 41.0, 2.0)

    def draw(seed, runs=runs, **where):
        return cn.sample(network, start, times, runs, seed=seed, progress=False, **where)

    first, second = draw(0, min(runs, 2000), device=device), draw(0, min(runs, 2000))
    if not first.paths.equals(second.paths):
        raise AssertionError(f"{name}: '{device}' does not give the bits of the compiled kernels")
    events = _peers.expected_events(network, start, times[-1]) * runs
    speeds, ratios = [], []
    for repeat in range(1, repeats + 1):
        seconds = {}
        for where in (device, None):  # in turn, so that a busy moment meets both
            began = time.perf_counter()
            draw(repeat, device=where)
            seconds[where] = time.perf_counter() - began
        speeds.append(events / seconds[device])
        ratios.append(seconds[None] / seconds[device])
        progress(f"{name} {repeat}/{repeats}: {speeds[-1]:.3g} events/s, {ratios[-1]:.2f}")
    card = torch.cuda.get_device_name(device) if device.startswith("cuda") else "tensors of the CPU"
    return {
        f"bench.device.{name}.events_per_second": {
            "value": statistics.median(speeds), "unit": "1/s", "n": repeats,
            "what": f"events a second of {name.upper()}, chemnb.sample, {card}",
        },
        f"bench.device.{name}.over_all_cores": _peers.ratio(
            ratios, np.ones(repeats), f"speed on {name.upper()} of {card} over all cores here"
        ),
    }  # fmt: skip
