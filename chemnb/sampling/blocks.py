"""Many runs in blocks, on several threads, in order: quick to answer and quick to interrupt."""

from __future__ import annotations

import math
import time as clock
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError

BLOCK_BYTES = 32 * 2**20
FIRST_BLOCK = 256
SECONDS_PER_BLOCK = 0.2
_SMALLEST_SHARE, _FEWEST_RUNS = 64, 256
_LANES = 64  # runs that are simulated together: a block of 65 would take as long as one of 128
_PATIENCE = 0.1  # seconds between looks for the interrupt key


def in_blocks(
    simulate: Callable, runs: int, threads: int, run_bytes: int, interrupt: Callable
) -> Iterator:
    """Yield ``simulate(first, size)`` of consecutive blocks that make up all runs.

    Blocks are computed on ``threads`` threads (the function must release Python's lock) and
    come in order. Their sizes follow the clock, so results must not depend on them.

    Parameters
    ----------
    simulate : function (first run, number of runs) -> anything
    runs, threads : int
    run_bytes : int
        Memory that a run takes in a block; all blocks at work take at most 32 MB.
    interrupt : function ()
        Called when the loop is left early, so that blocks at work end soon.

    Examples
    --------
    >>> blocks = list(in_blocks(lambda first, size: range(first, first + size), 1000, 2, 1, print))
    >>> sum(map(len, blocks)), blocks[0][0], blocks[-1][-1]
    (1000, 0, 999)
    """
    ahead = threads + 1 if threads > 1 else 1
    largest = max(1, BLOCK_BYTES // (run_bytes * ahead))
    block, given, waiting = min(FIRST_BLOCK, largest), 0, deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="chemnb")
    try:
        while given < runs or waiting:
            while given < runs and len(waiting) < ahead:
                # the last blocks are cut so that all threads end together
                share = max(_SMALLEST_SHARE, math.ceil((runs - given) / threads))
                size = min(block, share, largest, runs - given)
                waiting.append(pool.submit(_timed, simulate, given, size))
                given += size
            size, seconds, result = _patiently(waiting.popleft())
            pace = size / max(seconds, 1e-6)
            # never so few that lanes stay empty; long blocks can be interrupted, too
            wanted = max(_FEWEST_RUNS, pace * SECONDS_PER_BLOCK)
            block = int(min(largest, wanted, 4 * max(block, size)))
            block -= block % _LANES if block > _LANES else 0
            yield result
    except BaseException:
        interrupt()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _timed(simulate, first: int, size: int):
    began = clock.perf_counter()
    result = simulate(first, size)
    return size, clock.perf_counter() - began, result


def _patiently(future: Future):
    """Return the result of a future; wait in small steps, so that the interrupt key is heard."""
    while True:
        try:
            return future.result(timeout=_PATIENCE)
        except TimeoutError:
            if future.done():
                raise
