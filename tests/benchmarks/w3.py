"""W3, rings of 100 and 1000 unimolecular reactions, ten molecules of each species, t = 0..1.

The kernels are timed without the statistics, whose covariance of 1000 species is another matter.
The growth compares the method for large networks, the tree of sums, with itself; what ``auto``
takes at 100 (the direct method in lockstep) is faster there and has a record of its own.
"""

import numpy as np

from chemnb.sampling.simulator import Simulator
from tests.benchmarks import _peers

RUNS = {"tree_100": 600, "auto_100": 1024, "tree_1000": 60, "sparse_1000": 2, "next_1000": 60}
REPEATS = 7


def run(progress=print):
    """Return the records of W3."""
    rings = {size: _peers.ring(size) for size in (100, 1000)}

    def ours(size, method, runs):
        network, start = rings[size]

        def draw(seed):
            simulator = Simulator(network, network.counts(start), [0.0, 1.0], seed, method=method)
            found = simulator.run(0, runs)
            spread = found.counts[:, 1].var()
            if runs * size > 10**4 and abs(spread - 6.915) > 0.3:
                raise AssertionError(f"variance {spread:.3f}, not 6.915: another model")
            return found.events.sum()

        return draw

    core = _peers.rebop_core(
        _peers.rebop_model(rings[1000][0]), rings[1000][1], 1.0, 1, sparse=True
    )

    def sparse(seed):
        core(seed, RUNS["sparse_1000"])
        return RUNS["sparse_1000"] * 10_000  # 1000 species x 10 molecules x 1 per time

    tools = {
        "tree_100": ours(100, "tree", RUNS["tree_100"]),
        "auto_100": ours(100, "auto", RUNS["auto_100"]),
        "tree_1000": ours(1000, "auto", RUNS["tree_1000"]),
        "next_1000": ours(1000, "next-reaction", RUNS["next_1000"]),
        "sparse_1000": sparse,
    }
    for draw in tools.values():
        draw(REPEATS + 1)
    costs = _peers.interleaved(tools, REPEATS, progress)
    large = costs["tree_1000"]
    return {
        "bench.w3.growth": _peers.ratio(
            large, costs["tree_100"], "cost of an event of W3 with 1000 over 100 species, tree"
        ),
        "bench.w3.growth.auto": _peers.ratio(
            large, costs["auto_100"], "the same with what auto takes: tree over direct in lockstep"
        ),
        "bench.w3.over_rebop_sparse_1000": _peers.ratio(
            costs["sparse_1000"],
            large,
            "events a core-second on W3, 1000 species, over rebop sparse",
        ),
        "bench.w3.cost_1000": _peers.cost(large, "an event of W3, 1000 species, tree"),
        "bench.w3.cost_100": _peers.cost(costs["auto_100"], "an event of W3, 100 species, auto"),
        "bench.w3.cost_1000.next_reaction": _peers.cost(
            np.array(costs["next_1000"]), "an event of W3, 1000 species, next-reaction"
        ),
    }
