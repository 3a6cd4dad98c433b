"""What may be asked of a sampler: starts, times, seeds, threads and conditions, or why not."""

from __future__ import annotations

import math
import os
from numbers import Real

import numpy as np

from ..networks.expressions import ExpressionError, closest, listing
from ..networks.laws import TIME, VOLUME, Condition
from ..networks.network import NetworkError, ReactionNetwork
from .simulator import SimulationError

_MOST_THREADS = 16  # allowed on any machine: more than its cores do no harm


def check_stop(stop: str | None, network: ReactionNetwork) -> Condition | None:
    """Return a condition that was given as text.

    Raises
    ------
    SimulationError
        If it is no condition over the species and parameters of the network.
    """
    if stop is None:
        return None
    if not isinstance(stop, str):
        raise SimulationError(f"stop={stop!r} is no condition; write text such as 'A == 0'")
    try:
        condition = Condition(stop)
    except ExpressionError as error:
        raise SimulationError(f"stop: {error}") from None
    known = [*network.species, *network.parameters, VOLUME]
    if TIME in condition.names and TIME not in known:
        raise SimulationError(
            f"stop='{stop}' uses the time t; a run stops at a state, its end is the last of times"
        )
    if unknown := [name for name in condition.names if name not in known]:
        raise SimulationError(
            f"stop='{stop}': {listing(unknown)} is unknown{closest(unknown[0], known)}; "
            f"there are {listing(known)}"
        )
    if free := [name for name in condition.names if network.parameters.get(name, 0) is None]:
        raise NetworkError(
            f"{listing(free)} has no value; give it with network.with_parameters({free[0]}=...)"
        )
    return condition


def check_start(network: ReactionNetwork, initial) -> np.ndarray:
    """Return the counts at t = 0."""
    start = network.counts(initial)
    if start.ndim != 1:
        raise SimulationError(f"initial has shape {start.shape}; give one count a species")
    return start


def check_times(times) -> np.ndarray:
    """Return increasing times, zero or more, as an array."""
    array = np.atleast_1d(np.asarray(times, dtype=float))
    if array.ndim != 1 or not len(array):
        raise SimulationError(
            f"times has shape {array.shape}; give a sequence of at least one time"
        )
    if not np.all(np.isfinite(array)) or array[0] < 0 or np.any(np.diff(array) <= 0):
        raise SimulationError(
            f"times must be finite, zero or more and increasing; got {array[:6].tolist()}"
            + ("..." if len(array) > 6 else "")
        )
    return array


def check_whole(value, name: str, least: int) -> int:
    """Return a whole number that is not too small; ``name`` is what the caller calls it."""
    number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value != int(value) or value < least:
        raise SimulationError(f"{name}={value!r} must be a whole number of {least} or more")
    return int(value)


def check_seed(seed) -> int:
    """Return a seed that fits a word of the random streams."""
    seed = check_whole(seed, "seed", 0)
    if seed >= 2**63:
        raise SimulationError(f"seed={seed} is too large; use a whole number below 2**63")
    return seed


def check_threads(threads: int | None) -> int:
    """Return the number of threads; None is one a core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = check_whole(cores if threads is None else threads, "threads", 1)
    if threads > (most := max(cores, _MOST_THREADS)):
        raise SimulationError(f"threads={threads}; this machine allows 1 to {most}")
    return threads


def check_keep(keep: int | None, run_bytes: int) -> int:
    """Return how many runs are kept whole; None is up to 10,000 or 64 MB."""
    if keep is None:
        keep = max(1, min(10_000, 64 * 2**20 // run_bytes))
    return check_whole(keep, "keep", 0)


def check_subset(histograms, times: np.ndarray) -> list[int]:
    """Return the rows of ``times`` at which histograms are wanted."""
    rows = []
    for t in histograms:
        match = np.flatnonzero(np.isclose(times, t, rtol=1e-12, atol=1e-12))
        if not len(match):
            raise SimulationError(f"histogram time {t} is not one of the recorded times; add it")
        rows.append(int(match[0]))
    return rows
