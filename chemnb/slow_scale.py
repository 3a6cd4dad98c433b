"""Slow-scale stochastic simulation: only slow reactions happen, the fast ones are averaged."""

from __future__ import annotations

import time as clock
from collections.abc import Mapping, Sequence

import numpy as np

from .averaged_network import AveragedNetwork
from .ensemble import Ensemble, EnsembleError
from .gillespie import (
    _BLOCK_BYTES,
    _SECONDS_PER_BLOCK,
    SimulationError,
    _check_report,
    _check_subset,
    _check_times,
    _check_whole,
)
from .network import ReactionNetwork
from .progress import progress_bar
from .reactions import Reaction

_PILOTS = 16


class SlowScaleEnsemble(Ensemble):
    """Statistics of slow coordinates, and of all species at the recorded times.

    Made by `sample_slow`. The methods of `Ensemble` are about the slow coordinates.
    Fast species follow from them by their stationary law at fixed slow coordinates.

    Attributes
    ----------
    network : AveragedNetwork
    """

    def __init__(self, model: AveragedNetwork, start, times, seed, *, keep, histograms) -> None:
        coordinates = model.coordinates(start)
        super().__init__(model, coordinates, times, seed, keep=keep, histograms=histograms)
        # runs in each slow state: whole numbers, so that the order of blocks does not matter
        self._occupancy = [np.zeros((len(times), 1), dtype=np.int64) for _ in model.groups]

    def add(self, states: np.ndarray) -> None:
        """Take in further runs as the kernel kept them (runs, times, spectators + groups)."""
        super().add(self.network.join(states))
        first = states.shape[-1] - len(self._occupancy)
        for k, table in enumerate(self._occupancy):
            grown = np.zeros((len(table), len(self.network.groups[k].totals)), dtype=np.int64)
            grown[:, : table.shape[1]] = table
            cells = states[..., first + k] + grown.shape[1] * np.arange(len(table))
            counted = np.bincount(cells.ravel(), minlength=grown.size)
            self._occupancy[k] = grown + counted.reshape(grown.shape)

    def species_moments(self):
        """Return mean and variance of every species of the network: DataArray (time, moment).

        The variance of a fast species is what its stationary law has at fixed slow
        coordinates, plus what the slow coordinates add.
        """
        known = self.network.network.species
        slow = self.moments()
        means, variances = np.empty((2, len(self.times), len(known)))
        for name in set(known) & set(self.network.species):
            means[:, known.index(name)] = slow.sel(moment=name)
            variances[:, known.index(name)] = slow.sel(moment=f"Var({name})")
        for group, table in zip(self.network.groups, self._occupancy, strict=True):
            columns = [known.index(name) for name in group.network.species]
            inner_mean, inner_variance = group.conditional_moments()
            size = inner_mean.shape[0]
            share = table[:, :size] / self.runs
            means[:, columns] = mean = share @ inner_mean
            spread = [p @ (inner_mean - m) ** 2 for p, m in zip(share, mean, strict=True)]
            spread = np.array(spread) * self.runs / (self.runs - 1)
            variances[:, columns] = share @ inner_variance + spread
        labels = [*known, *(f"Var({name})" for name in known)]
        coords = {"time": self.times, "moment": labels}
        return self._array(np.hstack([means, variances]), coords)

    def distribution(self, time: float, *names: str):
        """Return the probability of species or slow coordinates at a recorded time.

        Parameters
        ----------
        time : float
        names : str
            Fast species, or slow coordinates made of them, that the same fast reactions join.

        Returns
        -------
        DataArray (one dimension a name)
            Slow coordinates as in the runs; fast species averaged over their stationary law.
        """
        row = int(np.abs(self.times - time).argmin())
        if not np.isclose(self.times[row], time, rtol=1e-12, atol=1e-12):
            raise EnsembleError(f"time {time} was not recorded; the nearest is {self.times[row]:g}")
        k, group = self.network.group(names)
        table = self._occupancy[k][row]
        weights = np.zeros(len(group.totals))
        weights[: len(table)] = table / self.runs
        return group.distribution(names, weights)

    def __repr__(self) -> str:
        return f"SlowScale{super().__repr__()}"


def sample_slow(
    network: ReactionNetwork,
    initial: Mapping[str, int] | Sequence[int],
    times: Sequence[float],
    runs: int,
    *,
    fast_reactions: Sequence[str | int | Reaction],
    seed: int,
    propensities: str = "slow-scale",
    free: Sequence[str] | None = None,
    histograms: Sequence[float] = (),
    keep: int | None = None,
    threads: int | None = None,
    max_events: int = 10**8,
    max_states: int = 2_000_000,
    progress: bool = True,
) -> SlowScaleEnsemble:
    """Draw trajectories of the slow coordinates, the fast reactions being at equilibrium.

    Gillespie's direct method with averaged propensities, which are tabulated: the tables grow
    when a run leaves them. Run i uses its own random stream, made from (seed, i): the result is
    the same, bit for bit, for any number of threads. From t = 0 on the fast species follow
    their stationary law; the start fixes only the slow coordinates.

    Parameters
    ----------
    network, initial, times, runs, seed, histograms, keep, threads, max_events, progress
        As in `sample`; histograms are over the slow coordinates.
    fast_reactions, propensities, free, max_states
        As in `AveragedNetwork`.

    Returns
    -------
    SlowScaleEnsemble

    Raises
    ------
    SlowScaleError
        If the fast reactions cannot be averaged.
    SimulationError
        If an argument is out of range, a run explodes or a count exceeds 2^53.
    NetworkError
        If the start or a reaction does not fit the network or a rate constant has no value.

    Examples
    --------
    >>> enzyme = ReactionNetwork("E + S <-> C ; 10, 9 \\n C -> E + P ; 0.1")
    >>> data = sample_slow(enzyme, {"E": 5, "S": 20}, [0, 20], 2000, seed=1,
    ...                    fast_reactions=["E + S <-> C"])
    >>> data.mean().sel(species=["P", "S + C"]).values.round(0)
    array([[ 0., 20.],
           [ 9., 11.]])
    >>> data.species_moments().sel(time=20, moment=["E", "Var(E)"]).values.round(1)
    array([0.6, 0.6])
    """
    start, times = network.counts(initial), _check_times(times)
    if start.ndim != 1:
        raise SimulationError(f"initial has shape {start.shape}; give one count a species")
    runs, seed = _check_whole(runs, "runs", 1), _check_whole(seed, "seed", 0)
    if seed >= 2**63:
        raise SimulationError(f"seed={seed} is too large; use a whole number below 2**63")
    model = AveragedNetwork(
        network, fast_reactions, propensities=propensities, free=free, max_states=max_states
    )
    run_bytes = len(times) * len(model.species) * 8
    if keep is None:
        keep = max(1, min(10_000, 64 * 2**20 // run_bytes))
    ensemble = SlowScaleEnsemble(
        model, start, times, seed, keep=min(runs, _check_whole(keep, "keep", 0)),
        histograms=_check_subset(histograms, times),
    )  # fmt: skip
    max_events = _check_whole(max_events, "max_events", 1)
    simulate = _simulator(model, start, times, seed, threads, max_events)
    largest = max(1, _BLOCK_BYTES // run_bytes)
    # few runs first: each is repeated whenever it leaves the tables
    done, block = 0, min(_PILOTS, largest)
    with progress_bar(runs, "slow-scale", "run", progress) as bar:
        while done < runs:
            size = min(block, runs - done)
            began = clock.perf_counter()
            ensemble.add(simulate(done, size))
            pace = size / max(clock.perf_counter() - began, 1e-6)
            block = int(min(largest, max(1, pace * _SECONDS_PER_BLOCK), 4 * block))
            done += size
            bar.update(size)
    return ensemble


def _simulator(model: AveragedNetwork, start, times, seed, threads, max_events):
    """Return a function (first run, number of runs) -> states (runs, times, ...)."""
    import numba

    from ._kernels import slow_scale as kernel

    reactions, begin = model.reaction_tables(), model.split(start)
    threads = numba.config.NUMBA_NUM_THREADS if threads is None else threads
    threads = _check_whole(threads, "threads", 1)
    if threads > numba.config.NUMBA_NUM_THREADS:
        raise SimulationError(
            f"threads={threads}; this machine allows 1 to {numba.config.NUMBA_NUM_THREADS}"
        )

    def simulate(first, size):
        states = np.empty((size, len(times), len(begin)), dtype=np.int64)
        report, pending = np.zeros((size, 2), dtype=np.int64), np.arange(size)
        before = numba.get_num_threads()
        numba.set_num_threads(threads)
        try:
            while len(pending):
                ended = kernel.run_block(
                    states, pending, times, first, seed, begin, reactions, *model.state_tables(),
                    max_events,
                )  # fmt: skip
                # messages name the reactions of the network
                report[pending] = np.stack([ended[:, 0], np.take(model.indices, ended[:, 1])], 1)
                left = ended[:, 0] == kernel.UNKNOWN_STATE
                pending, missing = pending[left], np.unique(ended[left, 1:], axis=0)
                for k in np.unique(missing[:, 1]):
                    wanted = missing[missing[:, 1] == k]
                    model.groups[k].grow([(state, j) for j, _, state in wanted])
        finally:
            numba.set_num_threads(before)
        _check_report(report, first, model.network, max_events)
        return states

    return simulate
