"""What more workers bring: a simulated job in blocks that one scheduler hands out."""

from __future__ import annotations

import heapq
from functools import lru_cache

import numpy as np

from .. import plots
from .controls import LogSlider
from .explorer import explorer

_COUNTS = 4 ** np.arange(0, 7)


@explorer(
    "Simulated speed-up against workers on logarithmic axes. Both curves follow the dashed ideal "
    "line at first. Equal blocks level off near the dotted line of the number of blocks; with the "
    "last blocks cut the curve goes on well beyond it before it falls.",
    hours=LogSlider(1.0, 0.1, 100.0, 0.1, "work (hours)"),
    block=LogSlider(20.0, 0.1, 100.0, 0.1, "block (s)"),
    overhead=LogSlider(0.002, 1e-4, 0.1, 0.1, "scheduler (s a block)"),
)
def workers(hours, block, overhead):
    """Draw the simulated speed-up, and the two limits of the model."""
    import matplotlib.pyplot as plt

    work = 3600 * hours
    block = max(block, work / 5000)  # so that the sliders answer at once
    figure, axes = plt.subplots(figsize=(5.8, 3.6))
    for even, look in ((False, "s--"), (True, "o-")):
        gains = _gains(work, block, overhead, even)
        axes.loglog(_COUNTS, gains, look, label="last blocks cut" if even else "equal blocks")
    axes.loglog(_COUNTS, _COUNTS, label="ideal", **plots.REFERENCE)
    axes.axhline(block / overhead, color=plots.COLOURS[2], ls="-.", label="scheduler: b / h")
    axes.axhline(work / block, color=plots.COLOURS[3], ls=":", label="blocks: W / b")
    axes.set(xlabel="workers", ylabel="speed-up", xlim=(0.8, 6000), ylim=(0.8, 20_000))
    axes.legend(fontsize=8, loc="lower right")
    return figure


def speed_up(workers, work=3600.0, block=2.0, overhead=0.002, even=False, seed=2020):
    """Return how many times faster than one core a simulated job is.

    Parameters
    ----------
    workers : int
    work, block, overhead : float
        Seconds: of the whole job, of one block, and of the scheduler for one block.
    even : bool
        Whether the last blocks are cut shorter, as `chemnb.sample` cuts them.
    seed : int
        Of the times of the blocks, which vary by a fifth.

    Examples
    --------
    >>> round(speed_up(1, overhead=0.0), 6)
    1.0
    """
    lengths = _cut(work, block, workers, even)
    lengths = lengths * np.random.default_rng(seed).gamma(25, 1 / 25, len(lengths))
    free, scheduler = [0.0] * workers, 0.0
    for length in lengths.tolist():
        scheduler = max(scheduler, free[0]) + overhead
        heapq.heapreplace(free, scheduler + length)
    return float(lengths.sum() / max(free))


def _cut(work, block, workers, even):
    if not even:
        count = int(np.ceil(work / block))
        return np.full(count, work / count)
    lengths, left = [], work
    while left > 1e-9 * work:
        lengths.append(min(block, max(block / 20, left / workers), left))
        left -= lengths[-1]
    return np.array(lengths)


@lru_cache(maxsize=64)
def _gains(work, block, overhead, even):
    return [speed_up(count, work, block, overhead, even) for count in _COUNTS.tolist()]
