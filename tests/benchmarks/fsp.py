"""The master equation of Fig. 2 to week 20 on 20,000 states, against SciPy's `expm_multiply`.

What is compared: the processor time, in one thread, to get p(n, 20) from 10 A in the box of 100 A
and 200 B, the generator of which has 99,203 entries. Ours is the call of a user,
`chemnb.finite_state_projection`, and finds the states, builds the generator and labels the result
as well. SciPy is handed the generator, ready made, with its trace, which it would else estimate.

Equal accuracy: both aim at the rounding of doubles. The records tell how far apart they are and how
much each misses of the probability that the box loses, summed over all states.
"""

import numpy as np
from scipy.sparse.linalg import expm_multiply

import chemnb as cn
from chemnb.projection.state_space import StateSpace
from tests.benchmarks._peers import cost, interleaved, ratio

BOX, START, END = {"A": 99, "B": 199}, {"A": 10, "B": 0}, 20.0
REPEATS = 9


def run(progress=print):
    """Return the records: the ratio of processor times, and how well both agree."""
    network = cn.models.single_progenitor()
    space = StateSpace(network, network.rate_constants(), np.array([[10, 0]]), [99, 199], 10**6)
    generator = space.generator * END
    # with the short indices that SciPy itself prefers
    generator.indices, generator.indptr = (
        index.astype(np.int32) for index in (generator.indices, generator.indptr)
    )
    start = np.zeros(generator.shape[0])
    start[space.index(np.array([[10, 0]]))] = 1.0
    trace = float(generator.trace())

    def ours():
        return cn.finite_state_projection(network, START, [END], bounds=BOX)

    def scipys():
        return expm_multiply(generator, start, traceA=trace)

    found, reference = ours(), scipys()
    states, sinks = reference[: len(space)], reference[len(space) :]
    apart = np.abs(found.probability.values.ravel() - states).sum()
    if not apart < 1e-11:
        raise AssertionError(f"the two solutions are {apart:.1e} apart")
    costs = interleaved({"ours": counted(ours), "scipy": counted(scipys)}, REPEATS, progress)
    what = f"{found.states} states of the SPCM to t = 20, one thread"
    return {
        "bench.fsp.over_expm_multiply": ratio(
            costs["scipy"], costs["ours"], f"processor time of expm_multiply over ours, {what}"
        ),
        "bench.fsp.cost": cost(costs["ours"], f"finite_state_projection, {what}"),
        "bench.fsp.difference": {
            "value": float(apart), "what": "sum over the states of how far the two are apart",
        },
        "bench.fsp.sum": {
            "value": float(abs(states.sum() + sinks.sum() - 1)),
            "what": "how much expm_multiply misses of a total probability of 1",
        },
        "bench.fsp.sum.ours": {
            "value": float(abs(found.lost_mass.values[0] - sinks.sum())),
            "what": "how far our loss is from that of expm_multiply",
        },
    }  # fmt: skip


def counted(solve):
    """Return a tool for `interleaved`, whose event is one solution."""

    def tool(seed):
        solve()
        return 1

    return tool
