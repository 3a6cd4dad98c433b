"""What users do not expect: where the cheaper method is the one that seems dearer.

`bench.lessons.tau_leap_over_exact.<n>`: processor time of a run of tau-leaping over that of exact
sampling, 2 A <-> B from n molecules of A in the volume n, to t = 4; and `....skin` the same on W1,
from ten molecules. Both are calls of a user in one thread, at the default ``epsilon``. Above one,
the approximation is the slower of the two.

`bench.lessons.samples_over_distribution`: processor time of 10^6 exact runs of the skin-cell
network to week 20, with the joint histogram of that week, over that of the exact p(n, 20) by
`chemnb.finite_state_projection` with its default tolerance, in one thread. Above one, the exact
distribution is the cheaper of the two.

What is left out: one small job of each, which loads the kernels. All is measured in turn, so that a
busy moment meets both sides.
"""

import chemnb as cn
from tests.benchmarks import w1
from tests.benchmarks._peers import interleaved, ratio

MOLECULES = {10: (60_000, 20_000), 30: (60_000, 10_000), 100: (30_000, 5_000)}  # runs of both
SKIN_RUNS = (40_000, 4_000)
ENSEMBLE = 10**6
REPEATS, FEW_REPEATS = 7, 5


def run(progress=print):
    """Return the records of the study."""
    found = {}
    for molecules, runs in MOLECULES.items():
        network, start = cn.models.dimerisation(volume=molecules), {"A": molecules}
        found[f"bench.lessons.tau_leap_over_exact.{molecules}"] = compared(
            network, start, [0.5, 4.0], runs, f"2 A <-> B from {molecules} molecules", progress
        )
    found["bench.lessons.tau_leap_over_exact.skin"] = compared(
        cn.models.single_progenitor(), w1.START, w1.TIMES, SKIN_RUNS, "W1 from 10 cells", progress
    )
    return found | distribution(progress)


def compared(network, start, times, runs, what, progress):
    """Return the record of tau-leaping against exact sampling."""

    def drawn(method, size):
        def draw(seed, size=size):
            method(network, start, times, size, seed=seed, threads=1, progress=False)
            return size

        draw(0, 2000)
        return draw

    tools = {
        "exact": drawn(cn.sample, runs[0]),
        "tau_leap": drawn(cn.sample_tau_leap, runs[1]),
    }
    progress(what)
    costs = interleaved(tools, REPEATS, lambda *_: None)
    return ratio(
        costs["tau_leap"], costs["exact"], f"time of a run of tau-leaping over an exact one, {what}"
    )


def distribution(progress):
    """Return the record of a million samples against the exact distribution."""
    skin = cn.models.single_progenitor()

    def samples(seed, runs=ENSEMBLE):
        cn.sample(skin, w1.START, [20], runs, seed=seed, histograms=[20], threads=1, progress=False)
        return 1

    def exact(seed):
        cn.finite_state_projection(skin, w1.START, [20.0], progress=False)
        return 1

    samples(0, 20_000)
    exact(0)
    progress(f"{ENSEMBLE:,} runs and the exact distribution")
    costs = interleaved({"samples": samples, "exact": exact}, FEW_REPEATS, lambda *_: None)
    what = "time of 10^6 exact runs over that of the exact p(n, t), skin cells, week 20"
    return {
        "bench.lessons.samples_over_distribution": ratio(costs["samples"], costs["exact"], what)
    }
