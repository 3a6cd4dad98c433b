"""W3, rings of 100 and 1000 unimolecular reactions, ten molecules of each species, t = 0..1.

About 1000 and 10,000 events a run. Both sizes are sampled with what ``auto`` takes, as a user
pays it: bringing every run to its start and recording it are in the time of its events. What is
done once for any number of runs is not (reading 1000 reactions into tables takes 12 ms), nor are
the statistics; the covariance of 1000 species is another matter. The tree of sums and the
next-reaction method are timed beside it.
"""

from chemnb.sampling.simulator import Simulator
from tests.benchmarks import _peers

RUNS = {
    "auto_100": 1024, "tree_100": 600, "auto_1000": 128, "tree_1000": 60, "next_1000": 60,
    "sparse_1000": 2,
}  # fmt: skip
REPEATS = 7


def run(progress=print):
    """Return the records of W3."""
    rings = {size: _peers.ring(size) for size in (100, 1000)}

    def ours(size, method, runs):
        network, start = rings[size]
        simulator = Simulator(network, network.counts(start), [0.0, 1.0], seed=1, method=method)

        def draw(seed):
            found = simulator.run(seed * runs, runs)
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
        "auto_100": ours(100, "auto", RUNS["auto_100"]),
        "auto_1000": ours(1000, "auto", RUNS["auto_1000"]),
        "tree_100": ours(100, "tree", RUNS["tree_100"]),
        "tree_1000": ours(1000, "tree", RUNS["tree_1000"]),
        "next_1000": ours(1000, "next-reaction", RUNS["next_1000"]),
        "sparse_1000": sparse,
    }
    for draw in tools.values():
        draw(REPEATS + 1)
    costs = _peers.interleaved(tools, REPEATS, progress)
    large = costs["auto_1000"]
    return {
        "bench.w3.growth": _peers.ratio(
            large, costs["auto_100"], "cost of an event of W3 with 1000 over 100 species, auto"
        ),
        "bench.w3.growth.tree": _peers.ratio(
            costs["tree_1000"], costs["tree_100"], "the same with the tree of sums"
        ),
        "bench.w3.over_rebop_sparse_1000": _peers.ratio(
            costs["sparse_1000"],
            large,
            "events a core-second on W3, 1000 species, over rebop sparse",
        ),
        "bench.w3.cost_1000": _peers.cost(large, "an event of W3, 1000 species, auto"),
        "bench.w3.cost_100": _peers.cost(costs["auto_100"], "an event of W3, 100 species, auto"),
        "bench.w3.cost_1000.tree": _peers.cost(
            costs["tree_1000"], "an event of W3, 1000 species, tree of sums"
        ),
        "bench.w3.cost_1000.next_reaction": _peers.cost(
            costs["next_1000"], "an event of W3, 1000 species, next-reaction"
        ),
    }
