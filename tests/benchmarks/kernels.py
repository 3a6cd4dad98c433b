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
RUNS, THREAD_RUNS = 30_000, 400_000
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

    tools = {f"{lanes} lanes": with_lanes(lanes) for lanes in (1, 64)}
    for draw in tools.values():
        draw(1)
    costs = _peers.interleaved(tools, REPEATS, progress)
    found = {
        "bench.lanes.over_scalar": _peers.ratio(
            costs["1 lanes"], costs["64 lanes"], "direct method, lockstep over one by one, W1"
        ),
        "bench.lanes.cost": _peers.cost(costs["64 lanes"], "an event of W1, kernel alone"),
    }
    return found | threads(progress) | memory(progress)


def threads(progress):
    """Return the speed-up of two threads by the clock on the wall, and what others left of it.

    On a machine that others use, two threads do not get two cores. The shortest times on the wall
    are those of the least disturbed repeats; how many cores two threads got (processor time over
    wall time) tells what to think of them. What does not depend on others is recorded beside it:
    by how much two threads make the work longer.
    """
    walls, works, load = {1: [], 2: []}, {1: [], 2: []}, []
    for repeat in range(REPEATS):
        for number in (1, 2):
            began, worked = time.perf_counter(), time.process_time()
            w1.ours(repeat, THREAD_RUNS, threads=number)
            walls[number].append(time.perf_counter() - began)
            works[number].append(time.process_time() - worked)
        load.append(os.getloadavg()[0] if hasattr(os, "getloadavg") else np.nan)
        got = works[2][-1] / walls[2][-1]
        progress(
            f"threads {repeat + 1}/{REPEATS}: {walls[1][-1] / walls[2][-1]:.2f}, "
            f"two threads got {got:.2f} cores, load {load[-1]:.1f}"
        )
    cores = np.median(np.divide(works[2], walls[2]))
    busy = f"load of the machine {np.median(load):.1f}, two threads got {cores:.2f} cores"
    return {
        "bench.threads.two_over_one": {
            "value": min(walls[1]) / min(walls[2]), "n": REPEATS,
            "what": f"shortest wall time of one thread over that of two on W1 ({busy})",
        },
        "bench.threads.work_of_two": _peers.ratio(
            works[2], works[1], "processor time of two threads over that of one, same runs"
        ),
    }  # fmt: skip


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
