"""W2, the gene network of Eq. 15 at V = 1000/3 from (G, GP, GP2, M, P) = (4, 3, 3, 1667, 0).

As W1, at 21 times up to t = 40; bimolecular constants are divided by the volume for the others.
"""

import os

import numpy as np

import chemnb as cn
from tests.benchmarks import _peers

TIMES = np.linspace(0, 40, 21)
RUNS = {"ours": 8_000, "core": 1_000, "call": 400}
REPEATS = 7


def run(progress=print):
    """Return the records of W2."""
    if os.name == "nt":
        raise RuntimeError("W2 needs the processor time of children: run it on Linux or macOS")
    network, start = _peers.gene_network()
    events = _peers.expected_events(network, start, TIMES[-1])
    core = _peers.rebop_core(_peers.rebop_model(network), start, TIMES[-1], len(TIMES) - 1)
    solver = _peers.gillespy2_solver(network, start, TIMES)
    species = list(network.species)

    def ours(seed):
        data = cn.sample(network, start, TIMES, RUNS["ours"], seed=seed, threads=1, progress=False)
        return data.mean().values[-1]

    def last(found):
        return np.array([[run[name][-1] for name in species] for run in found])

    draws = {
        "ours": ours,
        "core": lambda seed: last(core(seed, RUNS["core"])),
        "call": lambda seed: last(solver.run(number_of_trajectories=RUNS["call"], seed=seed)),
    }
    reference = cn.sample(network, start, TIMES, 4_000, seed=99, method="tree", progress=False)
    moments = reference.moments().values[-1]
    for name, draw in draws.items():
        progress(f"{name}: first call, not timed")
        finals = draw(REPEATS + 1)
        if finals.ndim > 1:
            variance = reference.covariance().values[-1].diagonal()
            _peers.check_means(
                name, finals, moments[: len(species)], variance * (1 + len(finals) / reference.runs)
            )
    timed = {
        name: lambda seed, name=name, draw=draw: (draw(seed), RUNS[name] * events)[1]
        for name, draw in draws.items()
    }
    costs = _peers.interleaved(timed, REPEATS, progress)
    what = "events a core-second on W2 over"
    return {
        "bench.w2.over_rebop_core": _peers.ratio(
            costs["core"], costs["ours"], f"{what} rebop's compiled core called directly"
        ),
        "bench.w2.over_gillespy2": _peers.ratio(
            costs["call"], costs["ours"], f"{what} GillesPy2 1.8.3 C++"
        ),
        "bench.w2.cost": _peers.cost(costs["ours"], "an event of W2, chemnb.sample, one thread"),
    }
