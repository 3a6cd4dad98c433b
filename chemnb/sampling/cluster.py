"""The same ensemble on many machines: a dask.distributed cluster simulates, this process sums."""

from __future__ import annotations

import functools
import time as clock
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..equations.moments import moment_label
from ..networks.network import ReactionNetwork
from .blocks import BLOCK_BYTES
from .ensemble import Ensemble
from .sampling_input import check_stop
from .simulator import SimulationError, Simulator

SECONDS_PER_TASK = 2.0
_FIRST_TASK = 16  # runs: a run may take long
_SHORTEST = 20  # parts of a full task that are worth sending
_AHEAD = 3  # tasks in flight for each thread of the cluster
_PATIENCE = 1.0  # seconds between looks at the cluster


class ClusterError(RuntimeError):
    """A cluster that cannot do the job; the message says why and what to change."""


class Task(NamedTuple):
    """Some runs of an ensemble, as they are sent to a worker."""

    network: ReactionNetwork
    start: tuple[int, ...]
    times: tuple[float, ...]
    seed: int
    method: str
    stop: str | None
    max_events: int
    moments: tuple[str, ...] | int
    histograms: tuple
    first: int
    size: int
    keep: int
    version: str


def sample_on_cluster(ensemble: Ensemble, simulator: Simulator, runs: int, client) -> Iterator[int]:
    """Fill an ensemble up to a number of runs; yield how many were added each time.

    Each task simulates some runs and sends back their sums. They are added in the order of the
    runs, and run i depends on its number alone, so the result is that of one machine, bit for
    bit, whatever the number of workers and their speed (on processors whose floating-point
    functions agree, as those of one kind do). Dask gives the tasks of a worker that died to
    another one. The size of tasks follows the clock: about two seconds each.

    Parameters
    ----------
    ensemble : Ensemble
        Of one range of runs, or empty.
    simulator : Simulator
        What `sample` made for this job.
    runs : int
    client : dask.distributed.Client

    Raises
    ------
    ClusterError
        If ``client`` is no client of a running cluster, the workers have another version of
        chemnb or die of every task, or the cluster is closed.
    SimulationError
        As `Simulator.run`.
    """
    _check_client(client)
    make = functools.partial(_task, ensemble, simulator)
    waiting: deque = deque()
    given, size, end = ensemble.first_run + ensemble.runs, _FIRST_TASK, ensemble.first_run + runs
    try:
        while given < end or waiting:
            threads = max(1, sum(client.nthreads().values()))
            while given < end and len(waiting) < _AHEAD * threads:
                # the last tasks are cut so that all workers end together
                share = max(1, size // _SHORTEST, -(-(end - given) // threads))
                task = make(given, min(size, share, end - given))
                # Dask would take a second call for the first one, whose futures were cancelled
                waiting.append((task, client.submit(simulate, task, pure=False)))
                given += task.size
            task, future = waiting[0]
            part, seconds = _patiently(future, task)
            waiting.popleft()
            part._keep = ensemble._keep  # it was sent what is missing
            ensemble.absorb(part)
            pace = task.size / max(seconds, 1e-6)
            size = max(1, int(min(pace * SECONDS_PER_TASK, 4 * max(size, task.size))))
            yield task.size
    finally:
        if waiting:
            _cancel(client, [future for _, future in waiting])


def simulate(task: Task) -> tuple[Ensemble, float]:
    """Return the ensemble of a task and the seconds that it took: what a worker does.

    Examples
    --------
    >>> from chemnb import __version__
    >>> network = ReactionNetwork("A -> 0 ; 1")
    >>> job = Task(network, (5,), (0.0, 9.0), 1, "direct", None, 1000, 2, (), 3, 2, 0, __version__)
    >>> simulate(job)[0]
    Ensemble(2 runs, 2 times, species A, seed 1, direct method)
    """
    from .. import __version__

    if task.version != __version__:
        raise ClusterError(
            f"a worker has chemnb {__version__} and this process {task.version}; "
            "install the same version everywhere"
        )
    began = clock.perf_counter()
    simulator = _simulator(*task[:7])
    part = Ensemble(
        task.network, np.array(task.start), np.array(task.times), task.seed, keep=task.keep,
        histograms={row: list(groups) for row, groups in task.histograms},
        method=task.method, moments=task.moments, stop=task.stop, first_run=task.first,
    )  # fmt: skip
    most = max(1, BLOCK_BYTES // simulator.run_bytes)
    for done in range(0, task.size, most):
        part.add(simulator.run(task.first + done, min(most, task.size - done)).counts)
    return part, clock.perf_counter() - began


@functools.lru_cache(maxsize=4)
def _simulator(network, start, times, seed, method, stop, max_events) -> Simulator:
    return Simulator(
        network, np.array(start), np.array(times), seed, method=method, max_events=max_events,
        stop=check_stop(stop, network),
    )  # fmt: skip


def _task(ensemble: Ensemble, simulator: Simulator, first: int, size: int) -> Task:
    from .. import __version__

    names = ensemble.network.species
    moments = tuple(moment_label(power, names, "raw") for power in ensemble._powers) or 2
    histograms = tuple((row, tuple(tables)) for row, tables in ensemble._histograms.items())
    keep = min(size, max(0, ensemble._keep - (first - ensemble.first_run)))
    return Task(
        ensemble.network, tuple(ensemble.initial.values()), tuple(ensemble.times.tolist()),
        ensemble.seed, ensemble.method, ensemble.stop, simulator.max_events,
        moments, histograms, first, size, keep, __version__,
    )  # fmt: skip


def _check_client(client) -> None:
    try:
        from distributed import Client
    except ImportError:
        raise ClusterError(
            "client=... needs Dask: install chemnb[cluster], or the package distributed"
        ) from None
    if not isinstance(client, Client):
        raise ClusterError(
            f"client is a {type(client).__name__}; give a dask.distributed.Client, such as "
            "Client(LocalCluster(n_workers=2))"
        )
    if client.asynchronous:
        raise ClusterError("client is asynchronous; give a Client(..., asynchronous=False)")
    if client.status != "running":
        raise ClusterError(f"client is {client.status}; connect it to a running cluster")


def _patiently(future, task: Task):
    """Return the result of a task; wait in small steps, so that the interrupt key is heard."""
    from concurrent.futures import CancelledError as Cancelled

    from distributed import CancelledError, KilledWorker, TimeoutError

    last = task.first + task.size - 1
    while True:
        try:
            return future.result(timeout=_PATIENCE)
        except TimeoutError:
            continue
        except (SimulationError, ClusterError):
            raise
        except KilledWorker as error:
            raise ClusterError(
                f"the runs {task.first} to {last} ended every worker that took them; is there "
                f"enough memory for each worker? ({error})"
            ) from None
        except (CancelledError, Cancelled):
            raise ClusterError(
                f"the cluster was closed before the runs {task.first} to {last} were done; "
                "with sample(..., checkpoint=folder) the same call goes on where it was"
            ) from None


def _cancel(client, futures) -> None:
    try:
        client.cancel(futures, force=True)
    except Exception:
        # the cluster may be gone, and why we are here must not be hidden by that
        return
