"""Slow-scale stochastic simulation: only slow reactions happen, the fast ones are averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock

import numpy as np

from ..networks.network import ReactionNetwork
from ..networks.reactions import Reaction
from ..progress import progress_bar
from ..sampling.blocks import in_blocks
from ..sampling.ensemble import Ensemble, EnsembleError
from ..sampling.sampling_input import (
    check_keep,
    check_seed,
    check_start,
    check_subset,
    check_threads,
    check_times,
    check_whole,
)
from ..sampling.simulator import SimulationError, check_growth
from .averaged_network import AveragedNetwork

_PILOTS = 16
_LANES, _FEWEST_FOR_LANES = 128, 64  # runs side by side; fewer leave lanes empty


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
            # only states that were met, in an order that does not tell which thread met them first
            met = group.order[group.order < table.shape[1]]
            met = met[table[:, met].any(axis=0)]
            inner_mean, inner_variance = (values[met] for values in group.conditional_moments())
            share = table[:, met] / self.runs
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
    start, times = check_start(network, initial), check_times(times)
    runs, seed, threads = check_whole(runs, "runs", 1), check_seed(seed), check_threads(threads)
    model = AveragedNetwork(
        network, fast_reactions, propensities=propensities, free=free, max_states=max_states
    )
    run_bytes = 8 * len(times) * len(model.species)
    ensemble = SlowScaleEnsemble(
        model, start, times, seed, keep=check_keep(keep, run_bytes),
        histograms=check_subset(histograms, times),
    )  # fmt: skip
    simulator = _Simulator(model, start, times, seed, check_whole(max_events, "max_events", 1))
    with progress_bar(runs, "slow-scale", "run", progress) as bar:
        for states in _blocks(simulator, runs, threads, run_bytes):
            ensemble.add(states)
            bar.update(len(states))
    return ensemble


def _blocks(simulator: _Simulator, runs: int, threads: int, run_bytes: int):
    """Yield blocks of runs in order: first a few, as runs are repeated when they leave the tables."""
    pilots = min(runs, _PILOTS)

    def later(first, size):
        return simulator.run(pilots + first, size)

    yield from in_blocks(simulator.run, pilots, 1, run_bytes, simulator.interrupt)
    yield from in_blocks(later, runs - pilots, threads, run_bytes, simulator.interrupt)


class _Simulator:
    """Simulates any runs of one ensemble, in any order, in any thread, over tables that grow."""

    def __init__(self, model: AveragedNetwork, start, times, seed: int, max_events: int) -> None:
        self._model, self._begin, self._tables = model, model.split(start), model.slow_tables()
        self._times, self._seed, self._max_events = times, seed, max_events
        self._interrupt, self._growing = np.zeros(1, dtype=np.int64), Lock()

    def interrupt(self) -> None:
        """Make all blocks that are being computed end soon."""
        self._interrupt[0] = 1

    def run(self, first: int, size: int) -> np.ndarray:
        """Return the states (runs, times, spectators + groups) of consecutive runs."""
        from .._kernels import slow_scale as kernel

        states = np.empty((size, len(self._times), len(self._begin)), dtype=np.int64)
        pending = np.arange(size)
        while len(pending):
            with self._growing:
                tables = self._model.state_tables()
            report = self._simulate(states, pending, first, tables)
            self._check(report, first + pending)
            left = report[:, 0] == kernel.UNKNOWN_STATE
            pending = pending[left]
            self._grow(np.unique(report[left, 1:], axis=0))
        return states

    def _simulate(self, states, pending, first: int, tables) -> np.ndarray:
        """Fill rows of states; return how each run ended, as `kernel.run_block`."""
        from .._kernels import slow_scale as kernel
        from .._kernels.network import REPLAY

        rest = (
            self._times, first, self._seed, self._begin, self._tables, *tables, self._max_events,
            self._interrupt,
        )  # fmt: skip
        if len(pending) < _FEWEST_FOR_LANES:
            return kernel.run_block(states, pending, *rest)
        report = np.zeros((len(pending), 4), dtype=np.int64)
        report[:, 0] = kernel.run_lanes(states, pending, *rest, _LANES)
        again = np.flatnonzero(report[:, 0] == REPLAY)
        if len(again):
            report[again] = kernel.run_block(states, pending[again], *rest)
        return report

    def _grow(self, missing: np.ndarray) -> None:
        """Tabulate where slow reactions lead: rows (reaction, group, slow state)."""
        with self._growing:
            for k in np.unique(missing[:, 1]):
                group = self._model.groups[k]
                # another thread may have been there
                pairs = [(state, j) for j, _, state in missing[missing[:, 1] == k]
                         if group.following[state, j] < 0]  # fmt: skip
                if pairs:
                    group.grow(pairs)

    def _check(self, report: np.ndarray, runs: np.ndarray) -> None:
        from .._kernels import network as kernel

        bad = np.flatnonzero(report[:, 0] > kernel.COMPLETE)
        if not len(bad):
            return
        if self._interrupt[0]:
            raise KeyboardInterrupt
        status, reaction, run = *report[bad[0], :2], runs[bad[0]]
        check_growth(status, self._model.slow[reaction], run, self._max_events)
        raise SimulationError(
            f"the averaged propensity of '{self._model.slow[reaction]}' is too large for a float "
            f"in run {run}"
        )
