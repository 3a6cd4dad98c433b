"""What a cluster costs: two Dask workers of one thread against two threads, on W1.

What is compared: the time on the clock of one call of `chemnb.sample`, which is the same but for
``client=`` or ``threads=2``, and gives the same bits, which is checked. Each side does its job in
two halves, in turn, so that a busy moment meets both; the size of the job follows from a short
trial, so that the halves of each side take more than a minute together on any machine.

What is left out: the start of the cluster and of its workers, and one small job, which loads the
kernels on both sides. What is fair to know: the scheduler, the workers' other threads and the
process that sums have the same two cores as the workers, here as on a laptop; on a real cluster
they have others.
"""

import os
import time

import numpy as np

import chemnb as cn
from tests.benchmarks import _peers, w1

SECONDS, HALVES = 40.0, 2  # of a half; 80 s of each side, so that a slow trial still gives 60
TRIAL, SEED = 400_000, 17


def run(progress=print):
    """Return the records: the ratio of the times on the clock, and how long both sides took."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as local,
        Client(local) as client,
    ):
        sides = {"threads": {"threads": 2}, "workers": {"client": client}}
        for where in sides.values():
            timed(SEED, TRIAL // 4, where)  # loads the kernels
        runs = int(TRIAL * SECONDS / timed(SEED, TRIAL, sides["threads"])[0])
        progress(f"{runs:,} runs in each half")
        walls, load = {name: [] for name in sides}, []
        for half in range(HALVES):
            found = []
            for name, where in sides.items():
                seconds, ensemble = timed(SEED + half, runs, where)
                walls[name].append(seconds)
                found.append(ensemble)
                load.append(os.getloadavg()[0] if hasattr(os, "getloadavg") else np.nan)
                progress(
                    f"half {half + 1} of {HALVES}, {name}: {seconds:.1f} s, load {load[-1]:.1f}"
                )
            if found[0] != found[1]:
                raise AssertionError("workers and threads gave different ensembles")
    return records(walls, runs, float(np.median(load)))


def timed(seed, runs, where):
    """Return the seconds on the clock of one job, and its ensemble."""
    began = time.perf_counter()
    network = cn.models.single_progenitor()
    ensemble = cn.sample(network, w1.START, w1.TIMES, runs, seed=seed, progress=False, **where)
    return time.perf_counter() - began, ensemble


def records(walls, runs, load):
    """Return the records from the seconds of each half."""
    job = f"{HALVES} x {runs:,} runs of W1 (load of the machine {load:.1f})"
    found = {
        "bench.dask.two_workers_over_two_threads": _peers.ratio(
            walls["threads"], walls["workers"], f"speed of two Dask workers over two threads, {job}"
        )
    }
    for name, seconds in walls.items():
        found[f"bench.dask.seconds.{name}"] = {
            "value": sum(seconds), "unit": "s", "what": f"time on the clock, two {name}, {job}",
            "n": HALVES,
        }  # fmt: skip
    return found
