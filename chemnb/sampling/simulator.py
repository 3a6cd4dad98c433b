"""One network made ready to be sampled: the method chosen, any block of runs on demand."""

from __future__ import annotations

import importlib
import sys
from typing import NamedTuple

import numpy as np

from ..networks.laws import TIME, VOLUME, Condition
from ..networks.network import ReactionNetwork
from ..networks.programs import no_program, program_of
from ..networks.reactions import Reaction
from ..networks.tables import Control, Tables, reaction_tables
from .tallies import has_kernels

METHODS = ("auto", "direct", "first-reaction", "next-reaction", "tree", "composition-rejection")
_KERNELS = {
    "composition-rejection": "composition_rejection",
    "direct": "direct",
    "first-reaction": "first_reaction",
    "next-reaction": "next_reaction",
    "tree": "tree",
}
# an event costs a sum over all reactions or a search for each reaction that it changes
_SEARCH, _SEARCHES = 50, 12  # in reactions summed up: for the event, and for each one changed
_LANES = 64  # of one processor's vector registers: more were not faster
_FEWEST_FOR_LANES = 16  # runs; fewer leave too many lanes empty
_FEW_RUNS, _FEW_STEPS = 256, 2000  # what NumPy does within half a second
_FIRST_LOG = 1 << 12


class SimulationError(ValueError):
    """A simulation that cannot start or go on; the message says what, where and the fix."""


class Runs(NamedTuple):
    """What a block of runs gave.

    Attributes
    ----------
    counts : ndarray of int64 (runs, times, species)
    events : ndarray of int64 (runs,)
        How many reactions happened.
    ended : ndarray (runs,)
        Time of the last event; of the stop, if the run was stopped.
    final : ndarray (runs, species)
        The last state.
    stopped : ndarray of bool (runs,)
    """

    counts: np.ndarray
    events: np.ndarray
    ended: np.ndarray
    final: np.ndarray
    stopped: np.ndarray


class Simulator:
    """Simulates any runs of one ensemble, in any order, in any thread, with the same result.

    Run i depends on the network, the start, the seed, the method and i alone: not on the block
    in which it is computed, the number of lanes or the machine's threads.

    Parameters
    ----------
    network : ReactionNetwork
    start : ndarray of int (species,)
    times : ndarray (T,)
    seed : int
    method : one of `METHODS`
    max_events : int
    stop : Condition, optional
    job : int, optional
        How many runs will be wanted in all, if that is known: a small job does without Numba.

    Attributes
    ----------
    method : str
        The method that was chosen: never ``"auto"``.
    run_bytes : int
        Memory of the counts of one run.

    Examples
    --------
    >>> decay = ReactionNetwork("A -> 0 ; 1")
    >>> simulator = Simulator(decay, np.array([5]), np.array([0.0, 9.0]), seed=1)
    >>> simulator.method, simulator.run(3, 2).counts[:, :, 0]
    ('direct', array([[5, 0],
           [5, 0]]))
    """

    def __init__(
        self, network: ReactionNetwork, start, times, seed: int, *,
        method: str = "auto", max_events: int = 10**8, stop: Condition | None = None,
        job: int | None = None,
    ) -> None:  # fmt: skip
        self.network, self.seed, self.max_events, self.stop = network, seed, max_events, stop
        self.start, self.times = np.asarray(start, dtype=float), np.asarray(times, dtype=float)
        self._job = job
        self._tables = reaction_tables(network)
        self.method = choose_method(network, method, self._tables)
        self.run_bytes = 8 * (len(self.times) + 2) * len(self.start) + 48
        self._program = no_program() if stop is None else program_of(stop, network)
        self._interrupt = np.zeros(1, dtype=np.int64)
        self._stops_at_once = stop is not None and self._holds(stop, self.start)

    def run(self, first: int, size: int, lanes: int | None = None) -> Runs:
        """Simulate the runs ``first`` to ``first + size - 1``.

        Parameters
        ----------
        lanes : int, optional
            How many runs side by side (direct method), rounded up to whole packs of vector
            registers; 1 is one after the other. The default is what is fastest. The result does
            not depend on it.

        Raises
        ------
        SimulationError
            If a run explodes, a count exceeds 2^53 or a rate law gives no propensity.
        KeyboardInterrupt
            If `interrupt` was called meanwhile.
        """
        if lanes is None and (found := self._first_answer(first, size)):
            return found
        n_species = len(self.start)
        report, ended = np.zeros((size, 3), np.int64), np.zeros((size, 1))
        final = np.zeros((size, n_species))
        counts = np.empty((size, len(self.times), n_species), np.int64)
        arrays = report, ended, final, counts
        if self._stops_at_once:
            counts[:], final[:] = self.start, self.start
            return self._runs(*arrays)
        lanes = self._lanes(first, size) if lanes is None else lanes
        if lanes > 1 and self._can_lockstep:
            from .._kernels import lanes as lockstep
            from .._kernels.network import REPLAY

            lockstep.run_block(
                *arrays, self.times, first, self.seed, self.start, self._tables, self._control(),
                lockstep.plan(self.network.stoichiometry, self._tables),
                -(-min(lanes, size) // lockstep.WIDTH),
            )  # fmt: skip
            again = np.flatnonzero(report[:, 0] == REPLAY)
        else:
            again, rows = np.arange(size)[:0], arrays
            self._one_by_one(rows, first)
        for i in again:
            self._one_by_one([array[i : i + 1] for array in arrays], first + i)
            if report[i, 0]:
                break
        self._check(report, ended, final, first)
        return self._runs(*arrays)

    def log(self, run: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the time and the reaction of every event of one run."""
        from .._kernels.network import LOG_FULL

        room = _FIRST_LOG
        while True:
            log = np.empty(room), np.empty(room, np.int64)
            arrays = (
                np.zeros((1, 3), np.int64), np.zeros((1, 1)), np.zeros((1, len(self.start))),
                np.empty((1, len(self.times), len(self.start)), np.int64),
            )  # fmt: skip
            if not self._stops_at_once:
                self._one_by_one(arrays, run, *log)
            if arrays[0][0, 0] != LOG_FULL:
                self._check(*arrays[:3], run)
                events = arrays[0][0, 2]
                return tuple(column[:events].copy() for column in log)
            room *= 4  # the same run again, with room for more

    def interrupt(self) -> None:
        """Make all blocks that are being computed end soon."""
        self._interrupt[0] = 1

    # --- inside ----------------------------------------------------------------------------

    @property
    def _can_lockstep(self) -> bool:
        return self.method == "direct" and self.stop is None and not self.network.is_time_dependent

    def _first_answer(self, first: int, size: int) -> Runs | None:
        """Return the first few runs without Numba, whose import and compiling take seconds."""
        if not self._is_small(first, size) or has_kernels():
            return None
        if not self._can_lockstep or not self.network.is_mass_action:
            return None
        from .first_answer import simulate

        found = simulate(
            self._tables, self.network.stoichiometry.astype(float), self.start, self.times, first,
            size, self.seed, min(self.max_events, _FEW_STEPS),
        )  # fmt: skip
        return found and Runs(*found, np.zeros(size, dtype=bool))

    def _lanes(self, first: int, size: int) -> int:
        # a small job does not wait for a kernel that it may never need
        ready = not self._is_small(first, size) or "chemnb._kernels.lanes" in sys.modules
        return _LANES if ready and size >= _FEWEST_FOR_LANES else 1

    def _is_small(self, first: int, size: int) -> bool:
        """Return whether these are some of a few runs, as far as is known."""
        return (first + size if self._job is None else self._job) <= _FEW_RUNS

    def _control(self, log_time=None, log_reaction=None) -> Control:
        if log_time is None:
            log_time, log_reaction = np.empty(0), np.empty(0, np.int64)
        return Control(self.max_events, *self._program, self._interrupt, log_time, log_reaction)

    def _one_by_one(self, arrays, first: int, *log) -> None:
        name = "thinning" if self.network.is_time_dependent else _KERNELS[self.method]
        kernel = importlib.import_module(f"chemnb._kernels.{name}")
        kernel.run_block(
            *arrays, self.times, first, self.seed, self.start, self._tables, self._control(*log)
        )

    def _runs(self, report, ended, final, counts) -> Runs:
        stopped = np.zeros(len(report), dtype=bool)
        if self.stop is not None:
            stopped = np.asarray(self.stop.values(self._names(final.T)) != 0)
        stopped = np.broadcast_to(stopped, len(report))
        return Runs(counts, report[:, 2], ended[:, 0], final, stopped)

    def _names(self, counts) -> dict:
        names = dict(zip(self.network.species, counts, strict=True))
        return self.network.parameters | {VOLUME: self.network.volume} | names

    def _holds(self, condition: Condition, state) -> bool:
        return bool(condition.values(self._names(state)))

    def _check(self, report, ended, final, first: int) -> None:
        from .._kernels import network as kernel

        bad = np.flatnonzero(report[:, 0] != kernel.COMPLETE)
        if not len(bad):
            return
        if self._interrupt[0]:
            raise KeyboardInterrupt
        i = bad[0]
        status, j, _ = report[i]
        run, t, reaction = first + i, ended[i, 0], self.network.reactions[j]
        check_growth(status, reaction, run, self.max_events)
        state = dict(zip(self.network.species, final[i].astype(int).tolist(), strict=True))
        where = f"in the state {state} at t = {t:.6g} (run {run})"
        if status == kernel.NO_BOUND:
            raise SimulationError(
                f"'{reaction}' has no finite bound {where}; a rate law that depends on the time "
                "must stay finite: does it divide by zero at some time?"
            )
        if reaction.is_mass_action:
            raise SimulationError(
                f"the propensity of '{reaction}' is too large for a float {where}"
            )
        value = float(reaction.rate.values(self._names(final[i]) | {TIME: t}))
        raise SimulationError(
            f"the rate law of '{reaction}' gives {value:.6g} {where}; "
            "a propensity is a finite number, zero or more"
        )


def choose_method(network: ReactionNetwork, method: str, tables: Tables | None = None) -> str:
    """Return the method that ``"auto"`` stands for, or the one that was asked for.

    It depends on the network alone: the direct method in lockstep if there are few reactions or
    each of them changes the propensities of many, composition-rejection otherwise.

    Raises
    ------
    SimulationError
        If there is no such method, or it cannot follow rates that depend on the time.
    """
    if method not in METHODS:
        raise SimulationError(f"method='{method}' is unknown; use one of {METHODS}")
    if network.is_time_dependent:
        if method not in ("auto", "direct"):
            raise SimulationError(
                f"method='{method}' cannot follow a rate law that depends on the time t; "
                "use method='direct'"
            )
        return "direct"
    if method != "auto":
        return method
    size = len(network.reactions)
    if size <= _SEARCH:
        return "direct"
    changed = len((tables or reaction_tables(network)).affected) / size
    return "direct" if size <= _SEARCH + _SEARCHES * changed else "composition-rejection"


def check_growth(status: int, reaction: Reaction, run: int, max_events: int) -> None:
    """Say why a kernel ended a run that went too far.

    Raises
    ------
    SimulationError
        If ``status`` tells that it had too many events or a count grew too large.
    """
    from .._kernels import network as kernel

    if status == kernel.TOO_MANY_EVENTS:
        raise SimulationError(
            f"run {run} passed {max_events:,} reactions, lately '{reaction.equation}'; "
            "the network may explode: check its rates, end earlier, or raise max_events"
        )
    if status == kernel.COUNT_TOO_LARGE:
        raise SimulationError(
            f"in run {run} '{reaction.equation}' drove a count beyond 2^53, where whole numbers "
            "are no longer exact; use a smaller start, an earlier end or the rate equations"
        )
