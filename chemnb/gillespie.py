"""Exact stochastic simulation of the master equation (II.B.2): many runs, one call."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Mapping, Sequence
from numbers import Real

import numpy as np

from .ensemble import Ensemble
from .network import ReactionNetwork
from .progress import progress_bar

METHODS = ("direct", "first-reaction")
_BLOCK_BYTES = 32 * 2**20
_FIRST_BLOCK = 256
_SECONDS_PER_BLOCK = 0.5


class SimulationError(ValueError):
    """A simulation that cannot start or go on; the message says what, where and the fix."""


def sample(
    network: ReactionNetwork,
    initial: Mapping[str, int] | Sequence[int],
    times: Sequence[float],
    runs: int,
    *,
    seed: int,
    method: str = "direct",
    histograms: Sequence[float] = (),
    keep: int | None = None,
    threads: int | None = None,
    max_events: int = 10**8,
    progress: bool = True,
) -> Ensemble:
    """Draw independent trajectories with Gillespie's algorithm and return their statistics.

    Run i uses its own random stream, made from (seed, i), and all sums are whole numbers: the
    result is the same, bit for bit, for any number of threads. Memory does not grow with the
    number of runs.

    Parameters
    ----------
    network : ReactionNetwork
        With a value for every rate constant.
    initial : mapping of species -> count, or sequence of counts
        The state at t = 0; species left out are zero.
    times : sequence of float
        When to record: increasing, zero or more.
    runs : int
        Number of trajectories.
    seed : int
        Zero or more.
    method : {"direct", "first-reaction"}
        Gillespie's two methods: the same law from different random numbers. The paper uses
        the first-reaction method; the direct method needs two random numbers an event.
    histograms : sequence of float
        Some of ``times``, at which the joint distribution of all species is counted.
    keep : int, optional
        How many runs (the first ones) to keep whole, for plots and for the covariance along
        the paths; default up to 10,000 or 64 MB.
    threads : int, optional
        Default is all cores.
    max_events : int
        Reactions allowed in one run, a guard against explosion.
    progress : bool
        Show a progress bar when it takes long.

    Returns
    -------
    Ensemble

    Raises
    ------
    SimulationError
        If an argument is out of range, a run explodes or a count exceeds 2^53.
    NetworkError
        If the start does not fit the network or a rate constant has no value.

    Examples
    --------
    >>> decay = ReactionNetwork("A -> 0 ; k", k=1.0)
    >>> sample(decay, {"A": 100}, [0, 1], runs=1000, seed=1).mean().values.round(0)
    array([[100.],
           [ 37.]])
    """
    start, times = network.counts(initial), _check_times(times)
    if start.ndim != 1:
        raise SimulationError(f"initial has shape {start.shape}; give one count a species")
    runs, seed = _check_whole(runs, "runs", 1), _check_whole(seed, "seed", 0)
    if method not in METHODS:
        raise SimulationError(f"method='{method}' is unknown; use one of {METHODS}")
    if seed >= 2**63:
        raise SimulationError(f"seed={seed} is too large; use a whole number below 2**63")
    run_bytes = len(times) * len(start) * 8
    if keep is None:
        keep = max(1, min(10_000, 64 * 2**20 // run_bytes))
    ensemble = Ensemble(
        network, start, times, seed, keep=min(runs, _check_whole(keep, "keep", 0)),
        histograms=_check_subset(histograms, times),
    )  # fmt: skip
    max_events = _check_whole(max_events, "max_events", 1)
    simulate = _simulator(network, start, times, seed, method, threads, max_events)
    largest = max(1, _BLOCK_BYTES // run_bytes)
    done, block = 0, min(_FIRST_BLOCK, largest)
    with progress_bar(runs, "Gillespie", "run", progress) as bar:
        while done < runs:
            size = min(block, runs - done)
            began = clock.perf_counter()
            ensemble.add(simulate(done, size))
            # short blocks keep the interrupt key and the bar alive; results do not depend on it
            pace = size / max(clock.perf_counter() - began, 1e-6)
            block = int(min(largest, max(1, pace * _SECONDS_PER_BLOCK), 4 * block))
            done += size
            bar.update(size)
    return ensemble


def _simulator(network, start, times, seed, method, threads, max_events):
    """Return a function (first run, number of runs) -> counts (runs, times, species)."""
    import numba

    from ._kernels import exact

    tables = reaction_tables(network)
    threads = numba.config.NUMBA_NUM_THREADS if threads is None else threads
    threads = _check_whole(threads, "threads", 1)
    if threads > numba.config.NUMBA_NUM_THREADS:
        raise SimulationError(
            f"threads={threads}; this machine allows 1 to {numba.config.NUMBA_NUM_THREADS}"
        )

    def simulate(first, size):
        counts = np.empty((size, len(times), len(start)), dtype=np.int64)
        before = numba.get_num_threads()
        numba.set_num_threads(threads)
        try:
            report = exact.run_block(
                counts, times, first, seed, start, tables, method == "first-reaction", max_events
            )
        finally:
            numba.set_num_threads(before)
        _check_report(report, first, network, max_events)
        return counts

    return simulate


def reaction_tables(network: ReactionNetwork) -> tuple[np.ndarray, ...]:
    """Return the network as the flat arrays that the compiled kernels read.

    Rates carry the volume and 1/ν! of Eq. 5, so a propensity is the rate times the factors
    (count - offset) of its reactants.
    """
    orders, change = network.reactants, network.stoichiometry
    reactions = range(len(network.reactions))
    rates = network.rate_constants() * network.volume ** (1.0 - orders.sum(axis=0))
    rates /= [float(math.prod(math.factorial(v) for v in orders[:, j])) for j in reactions]
    factors = [[(i, o) for i, v in enumerate(orders[:, j]) for o in range(v)] for j in reactions]
    changes = [[(i, u) for i, u in enumerate(change[:, j]) if u] for j in reactions]
    touched = [
        [(other,) for other in reactions if np.any(orders[:, other] * change[:, j])]
        for j in reactions
    ]
    return (rates, *_flat(factors, 2), *_flat(changes, 2), *_flat(touched, 1))


def _flat(groups, width: int) -> list[np.ndarray]:
    starts = np.concatenate([[0], np.cumsum([len(group) for group in groups])])
    rows = np.array([row for group in groups for row in group], dtype=np.int64)
    rows = rows.reshape(-1, width)
    columns = [np.ascontiguousarray(rows[:, c]) for c in range(width)]
    return [starts.astype(np.int64), *columns]


def _check_report(report, first, network, max_events) -> None:
    from ._kernels import exact

    bad = np.flatnonzero(report[:, 0] != exact.COMPLETE)
    if not len(bad):
        return
    status, reaction = report[bad[0]]
    equation = network.reactions[reaction].equation
    if status == exact.TOO_MANY_EVENTS:
        raise SimulationError(
            f"run {first + bad[0]} passed {max_events:,} reactions, lately '{equation}'; "
            "the network may explode: check its rates, end earlier, or raise max_events"
        )
    raise SimulationError(
        f"in run {first + bad[0]} '{equation}' drove a count beyond 2^53, where whole numbers "
        "are no longer exact; use a smaller start, an earlier end or the rate equations"
    )


def _check_times(times) -> np.ndarray:
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


def _check_whole(value, name: str, least: int) -> int:
    number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value != int(value) or value < least:
        raise SimulationError(f"{name}={value!r} must be a whole number of {least} or more")
    return int(value)


def _check_subset(histograms, times: np.ndarray) -> list[int]:
    rows = []
    for t in histograms:
        match = np.flatnonzero(np.isclose(times, t, rtol=1e-12, atol=1e-12))
        if not len(match):
            raise SimulationError(f"histogram time {t} is not one of the recorded times; add it")
        rows.append(int(match[0]))
    return rows
