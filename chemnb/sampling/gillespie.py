"""Exact stochastic simulation of the master equation (II.B.2): many runs, one call."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext

import numpy as np

from ..networks.network import ReactionNetwork
from ..progress import progress_bar
from .blocks import in_blocks
from .device import DeviceSimulator, check_device
from .ensemble import Ensemble
from .sampling_input import (
    check_keep,
    check_seed,
    check_start,
    check_stop,
    check_subset,
    check_threads,
    check_times,
    check_whole,
)
from .simulator import METHODS, SimulationError, Simulator
from .tallies import read_histograms

__all__ = ["METHODS", "SimulationError", "first_passage", "record_events", "sample"]


def sample(
    network: ReactionNetwork,
    initial: Mapping[str, int] | Sequence[int],
    times: Sequence[float],
    runs: int,
    *,
    seed: int,
    method: str = "auto",
    stop: str | None = None,
    moments: int | Sequence[str] = 2,
    histograms: Sequence[float] | Mapping[float, str | tuple | list] = (),
    keep: int | None = None,
    first_run: int = 0,
    threads: int | None = None,
    client=None,
    checkpoint: str | os.PathLike | None = None,
    max_events: int = 10**8,
    device: str | None = None,
    progress: bool = True,
) -> Ensemble:
    """Draw independent trajectories with Gillespie's algorithm and return their statistics.

    Run i uses its own random stream, made from (seed, i), and all sums are whole numbers: the
    result is the same, bit for bit, for any number of threads or of a cluster's workers. Memory
    does not grow with the number of runs.

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
    method : {"auto", "direct", "first-reaction", "next-reaction", "tree", "composition-rejection"}
        Exact methods: the same law from different random numbers. ``direct`` (Gillespie 1977)
        picks the next reaction from all; ``first-reaction`` is the paper's, a waiting time a
        reaction; ``next-reaction`` (Gibson and Bruck 2000, doi:10.1021/jp993732q) keeps the
        waiting times in a queue, and ``tree`` the propensities in a tree of sums: their cost an
        event grows with the logarithm of the number of reactions. ``composition-rejection``
        (Slepoy et al. 2008, doi:10.1063/1.2919546) keeps reactions of like propensity in groups:
        its cost does not grow. ``auto`` takes ``direct`` for up to 50 reactions and 12 for each
        one whose propensity an event changes on average, and ``composition-rejection`` above;
        the ensemble's ``method`` tells which.
    stop : str, optional
        A condition over counts and parameters, such as ``"A == 0"`` or ``"A + B >= 100"``: a run
        that meets it keeps that state from then on.
    moments : int or sequence of str
        The order up to which all moments are summed up, or further ones by name, such as
        ``["A^3", "A^2 B"]``. Means and covariances always are.
    histograms : sequence of float, or mapping of float -> species
        Some of ``times``, at which the joint distribution of all species is counted. With many
        species, say which: ``{20: ["A", ("B", "C")]}`` counts A alone, and B and C jointly.
    keep : int, optional
        How many runs (the first ones) to keep whole, for plots and for the covariance along
        the paths; default up to 10,000 or 64 MB.
    first_run : int
        The number of the first run: runs of the same seed can be drawn in several calls and
        added with ``+``.
    threads : int, optional
        Default is all cores.
    client : dask.distributed.Client, optional
        Draw the runs on its cluster (needs ``chemnb[cluster]``).
    checkpoint : path, optional
        A folder in which the state of the job is kept (needs ``chemnb[netcdf]``): the same call
        after an interruption goes on where it was, and one with more runs adds to them.
    max_events : int
        Reactions allowed in one run, a guard against explosion.
    device : str, optional
        ``"cuda"`` draws the same runs on a GPU that torch knows, with the direct method for any
        number of reactions; mass action only, without ``stop`` and ``threads``. Experimental: it
        was tested with ``"cpu"``, torch on the processor, where it gives the same bits; no GPU
        has run it yet.
    progress : bool
        Show a progress bar when it takes long.

    Returns
    -------
    Ensemble

    Raises
    ------
    SimulationError
        If an argument is out of range, a run explodes, a count exceeds 2^53, a rate law is
        negative or no number, or there is no such device or it cannot do what is asked.
    NetworkError
        If the start does not fit the network or a rate constant has no value.
    EnsembleError
        If a moment or histogram names no species, or the checkpoint is one of another job.
    ClusterError
        If the cluster cannot do it.

    Examples
    --------
    >>> decay = ReactionNetwork("A -> 0 ; k", k=1.0)
    >>> sample(decay, {"A": 100}, [0, 1], runs=1000, seed=1).mean().values.round(0)
    array([[100.],
           [ 37.]])
    """
    start, times = check_start(network, initial), check_times(times)
    runs, seed = check_whole(runs, "runs", 1), check_seed(seed)
    if device is not None:
        device, method = check_device(device, threads), "direct" if method == "auto" else method
    simulator = Simulator(
        network, start, times, seed, method=method, stop=check_stop(stop, network),
        max_events=check_whole(max_events, "max_events", 1), job=runs,
    )  # fmt: skip
    ensemble = Ensemble(
        network, start, times, seed, keep=check_keep(keep, 8 * len(times) * len(start)),
        histograms=_check_histograms(histograms, times, network), moments=moments,
        method=simulator.method, stop=stop, first_run=check_whole(first_run, "first_run", 0),
    )  # fmt: skip
    threads = _check_where(threads, client, device)
    saver = None
    if checkpoint is not None:
        from .checkpoint import Checkpoint

        saver = Checkpoint(checkpoint)
        ensemble = saver.restore(ensemble, runs)
    with (
        saver or nullcontext(),
        progress_bar(runs, f"Gillespie, {simulator.method}", "run", progress) as bar,
        closing(_filled(ensemble, simulator, runs, threads, client, device)) as filling,
    ):
        bar.update(ensemble.runs)
        for size in filling:
            bar.update(size)
            if saver is not None:
                saver.save_now_and_then(ensemble)
    return ensemble


def first_passage(
    network: ReactionNetwork,
    initial: Mapping[str, int] | Sequence[int],
    stop: str,
    until: float,
    runs: int,
    *,
    seed: int,
    method: str = "auto",
    threads: int | None = None,
    max_events: int = 10**8,
    progress: bool = True,
):
    """Return when runs first meet a condition, and in which state.

    Run i is the run i of `sample` with the same seed and method.

    Parameters
    ----------
    stop : str
        Such as ``"A == 0"`` or ``"A + B >= 100"``.
    until : float
        When to give up a run that does not meet it.

    Returns
    -------
    xarray.Dataset
        ``time`` (run): when; inf where the condition was not met by ``until``. ``state``
        (run, species): the counts then, or at ``until``.

    Raises
    ------
    SimulationError, NetworkError
        As `sample`.

    Examples
    --------
    The last of two molecules decays after 3/2 on average:

    >>> decay = ReactionNetwork("A -> 0 ; 1")
    >>> extinct = first_passage(decay, {"A": 2}, "A == 0", until=50, runs=10_000, seed=1)
    >>> round(extinct.time.mean().item(), 1)
    1.5
    """
    import xarray as xr

    if stop is None:
        raise SimulationError("stop=None is no condition; write text such as 'A == 0'")
    runs, until = check_whole(runs, "runs", 1), check_times([until])
    simulator = Simulator(
        network, check_start(network, initial), until, check_seed(seed), method=method,
        stop=check_stop(stop, network), max_events=check_whole(max_events, "max_events", 1),
        job=runs,
    )  # fmt: skip
    blocks = [b[1:] for b in _blocks(simulator, runs, threads, progress)]
    _, ended, final, stopped = (np.concatenate(column) for column in zip(*blocks, strict=True))
    return xr.Dataset(
        {
            "time": ("run", np.where(stopped, ended, math.inf)),
            "state": (("run", "species"), final.astype(np.int64)),
        },
        coords={"run": np.arange(runs), "species": list(network.species)},
        attrs={"stop": stop, "until": float(until[0]), "seed": seed, "method": simulator.method},
    )


def record_events(
    network: ReactionNetwork,
    initial: Mapping[str, int] | Sequence[int],
    until: float,
    runs: int = 1,
    *,
    seed: int,
    method: str = "auto",
    stop: str | None = None,
    max_events: int = 10**7,
):
    """Return runs with every event: when, which reaction, and the counts from then on.

    Run i is the run i of `sample` with the same seed and method.

    Returns
    -------
    list of xarray.DataArray, one a run
        Counts (time, species): the start at t = 0, then a row an event; the coordinate
        ``reaction`` (time) tells which reaction happened (-1 for the start).

    Raises
    ------
    SimulationError, NetworkError
        As `sample`.

    Examples
    --------
    >>> decay = ReactionNetwork("A -> 0 ; 1")
    >>> path = record_events(decay, {"A": 3}, until=50, seed=1)[0]
    >>> path.sel(species="A").values, path.reaction.values
    (array([3, 2, 1, 0]), array([-1,  0,  0,  0]))
    """
    start, end = check_start(network, initial), check_times([until])
    simulator = Simulator(
        network, start, end, check_seed(seed), method=method, stop=check_stop(stop, network),
        max_events=check_whole(max_events, "max_events", 1),
    )  # fmt: skip
    return [_path(network, start, *simulator.log(i)) for i in range(check_whole(runs, "runs", 1))]


def _path(network: ReactionNetwork, start: np.ndarray, times: np.ndarray, reactions: np.ndarray):
    import xarray as xr

    changes = network.stoichiometry.T[reactions]
    return xr.DataArray(
        np.concatenate([start[None], start + np.cumsum(changes, axis=0)]),
        dims=("time", "species"),
        coords={
            "time": np.append(0.0, times),
            "species": list(network.species),
            "reaction": ("time", np.append(-1, reactions)),
        },
        name="counts",
    )


def _blocks(simulator: Simulator, runs: int, threads: int | None, progress: bool):
    """Yield blocks of runs in order, with a bar."""
    threads = check_threads(threads)
    with progress_bar(runs, f"Gillespie, {simulator.method}", "run", progress) as bar:
        blocks = in_blocks(simulator.run, runs, threads, simulator.run_bytes, simulator.interrupt)
        for block in blocks:
            yield block
            bar.update(len(block.counts))


def _filled(ensemble: Ensemble, simulator: Simulator, runs: int, threads, client, device):
    """Fill an ensemble up to a number of runs; yield how many were added each time."""
    if client is not None:
        from .cluster import sample_on_cluster

        yield from sample_on_cluster(ensemble, simulator, runs, client)
        return
    if device is not None:
        on_device = DeviceSimulator(simulator, device)
        while ensemble.runs < runs:
            size = min(on_device.block, runs - ensemble.runs)
            ensemble.add(on_device.run(ensemble.first_run + ensemble.runs, size))
            yield size
        return
    begin = ensemble.first_run + ensemble.runs
    blocks = in_blocks(
        lambda first, size: simulator.run(begin + first, size), runs - ensemble.runs, threads,
        simulator.run_bytes, simulator.interrupt,
    )  # fmt: skip
    with closing(blocks):
        for block in blocks:
            ensemble.add(block.counts)
            yield len(block.counts)


def _check_where(threads: int | None, client, device) -> int | None:
    if client is not None and device is not None:
        raise SimulationError("device is of this machine and client is a cluster; give one")
    if client is None:
        return check_threads(threads)
    if threads is not None:
        raise SimulationError("threads are of this machine and client is a cluster; give one")
    return None


def _check_histograms(histograms, times: np.ndarray, network: ReactionNetwork) -> dict:
    if not isinstance(histograms, Mapping):
        histograms = dict.fromkeys(histograms, network.species)
    return read_histograms(histograms, check_subset(histograms, times), network.species)
