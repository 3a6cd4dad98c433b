"""Our kernels among themselves, on W1: lanes, threads, memory.

The first is a guard: a compiler can stop using vector registers without a word.
"""

import json
import os
import subprocess
import sys
import time

import numpy as np

import chemnb as cn
from chemnb.sampling.simulator import Simulator
from tests.benchmarks import _peers, w1

REPEATS = 7
RUNS = 30_000
MEMORY = """
import json, resource, sys
import chemnb as cn
skin = cn.models.single_progenitor()
data = cn.sample(
    skin, {"A": 10}, range(21), int(sys.argv[1]), seed=1, histograms=[1, 5, 10, 20], progress=False
)
data.path_covariance()
scale = 1 if sys.platform == "darwin" else 1024
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6))
"""


def run(progress=print):
    """Return the records of lanes, threads and memory."""
    skin = cn.models.single_progenitor()

    def with_lanes(lanes):
        def draw(seed):
            simulator = Simulator(skin, [10, 0], w1.TIMES, seed)
            return simulator.run(0, RUNS, lanes=lanes).events.sum()

        return draw

    tools = {f"{lanes} lanes": with_lanes(lanes) for lanes in (1, 32, 128)}
    for draw in tools.values():
        draw(1)
    costs = _peers.interleaved(tools, REPEATS, progress)
    found = {
        "bench.lanes.over_scalar": _peers.ratio(
            costs["1 lanes"], costs["128 lanes"], "direct method, lockstep over one by one, W1"
        ),
        "bench.lanes.cost": _peers.cost(costs["128 lanes"], "an event of W1, kernel alone"),
    }
    return found | threads(progress) | memory(progress)


def threads(progress):
    """Return the speed-up of two threads, by the clock on the wall, and how busy others were."""
    ratios, load = [], []
    for repeat in range(REPEATS):
        walls = []
        for number in (1, 2):
            began = time.perf_counter()
            w1.ours(repeat, 200_000, threads=number)
            walls.append(time.perf_counter() - began)
        ratios.append(walls[0] / walls[1])
        load.append(os.getloadavg()[0] if hasattr(os, "getloadavg") else np.nan)
        progress(f"threads {repeat + 1}/{REPEATS}: {ratios[-1]:.2f}, load {load[-1]:.1f}")
    what = f"speed-up of two threads on W1 (load of the machine {np.median(load):.1f})"
    return {"bench.threads.two_over_one": _peers.ratio(ratios, np.ones(len(ratios)), what)}


def memory(progress):
    """Return the largest memory of a process that samples 10^6 and 10^7 runs."""
    if os.name == "nt":
        return {}
    found = {}
    for name, runs in (("bench.memory_mb", 10**6), ("bench.memory_mb.1e7", 10**7)):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(runs)], capture_output=True, text=True, check=True
        )
        what = f"largest memory of a process with {runs:.0e} runs of W1, four joint histograms"
        found[name] = {"value": json.loads(done.stdout), "unit": "MB", "what": what, "n": 1}
        progress(f"{runs:.0e} runs: {found[name]['value']:.0f} MB")
    return found
