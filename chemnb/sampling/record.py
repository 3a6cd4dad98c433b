"""What is kept of runs that stream by, and how what was kept elsewhere is added exactly."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np

from ..networks.network import ReactionNetwork
from .tallies import (
    EnsembleError,
    add_histograms,
    count_states,
    first_of,
    join_ranges,
    needed_powers,
    power_sum,
    room_for,
    sums_of,
)


class Record:
    """Exact sums, histograms and the first whole paths of runs; memory does not grow with runs.

    `Ensemble` is a record that answers questions.

    Parameters
    ----------
    network, start, times, seed
        Of the runs.
    keep : int
        How many runs to keep whole: the first ones.
    histograms : sequence of int, or mapping of int -> list of tuples of int
        Rows of ``times`` where all species are counted jointly, or for each row the groups of
        species (by index) that are.
    method, stop : str
        How the runs are drawn and stopped: runs of another law are never taken together.
    moments : int or sequence of str
        As `read_moments`; those of order one and two are always kept.
    first_run : int
        The number of the first run.

    Attributes
    ----------
    is_whole : bool
        False while runs are being taken in, and after that was interrupted halfway.
    """

    def __init__(
        self,
        network: ReactionNetwork,
        start: np.ndarray,
        times: np.ndarray,
        seed: int,
        *,
        keep: int,
        histograms: Sequence[int] | Mapping[int, list[tuple[int, ...]]],
        method: str = "direct",
        moments: int | Sequence[str] = 2,
        stop: str | None = None,
        first_run: int = 0,
    ) -> None:
        self.method, self.stop, self._first = method, stop, first_run
        self.network, self.times, self.seed, self.runs = network, times, seed, 0
        self.initial = dict(zip(network.species, (int(n) for n in start), strict=True))
        n_times, n_species = len(times), len(start)
        self._sums = np.zeros((n_times, n_species), dtype=object)
        self._products = np.zeros((n_times, n_species, n_species), dtype=object)
        powers = needed_powers(moments, network.species)
        self._powers = {power: np.zeros(n_times, dtype=object) for power in powers}
        self._keep = keep
        self._kept: list[np.ndarray] = []
        self._joined: tuple | None = None
        self.is_whole = True
        if not isinstance(histograms, Mapping):
            histograms = {row: [tuple(range(n_species))] for row in histograms}
        self._histograms = {
            row: {picks: np.zeros((1,) * len(picks), dtype=np.int64) for picks in groups}
            for row, groups in histograms.items()
        }

    # --- filling ---------------------------------------------------------------------------

    def add(self, counts: np.ndarray) -> None:
        """Take in further runs, the next of this seed: whole numbers (runs, times, species)."""
        if self._joined is not None:
            raise EnsembleError("merged ensembles take no further runs; sample and merge them")
        self.is_whole = False
        sums, products = sums_of(counts)
        self._sums += sums
        self._products += products
        if self._powers and len(counts):
            rows = np.ascontiguousarray(counts.transpose(1, 2, 0))
            for power, total in self._powers.items():
                total += power_sum(rows, power)
        missing = self._keep - sum(len(block) for block in self._kept)
        if missing > 0:
            self._kept.append(counts[:missing].copy())
        for row, groups in self._histograms.items() if len(counts) else ():
            for picks, table in groups.items():
                groups[picks] = count_states(table, counts[:, row, list(picks)])
        self.runs += len(counts)
        self.is_whole = True

    # --- merging ---------------------------------------------------------------------------

    @property
    def first_run(self) -> int:
        """The number of the first run."""
        return self._first

    @property
    def parts(self) -> tuple[tuple[int, int, int], ...]:
        """Which runs are in: (seed, first run, end), in order."""
        if self._joined is not None:
            return self._joined
        return ((self.seed, self._first, self._first + self.runs),) if self.runs else ()

    def merge(self, other: Record) -> Record:
        """Return the ensemble of the runs of both; ``a + b`` is the short form.

        It is exact, and the order of merging does not matter. Of the runs kept whole it keeps
        the first ones, by seed and number, as many as the smaller of the two limits.

        Raises
        ------
        EnsembleError
            If the two differ in network, start, times, method, stop condition or in what they
            record, or if a run is in both.

        Examples
        --------
        >>> import chemnb as cn
        >>> net = cn.ReactionNetwork("A -> 0 ; 1")
        >>> a, b = (cn.sample(net, [5], [1.0], 100, seed=seed) for seed in (1, 2))
        >>> (a + b).parts, a + b == b.merge(a)
        (((1, 0, 100), (2, 0, 100)), True)
        """
        self.check_same_job(other)
        merged = copy.copy(self)
        merged._sums, merged._products = self._sums.copy(), self._products.copy()
        merged._powers = {power: total.copy() for power, total in self._powers.items()}
        merged._histograms = {
            row: {picks: table.copy() for picks, table in groups.items()}
            for row, groups in self._histograms.items()
        }
        merged.absorb(other)
        return merged

    __add__ = merge

    def absorb(self, other: Record) -> None:
        """Take in the runs of another ensemble, in place: as `merge`."""
        self.check_same_job(other)
        parts = join_ranges(self.parts, other.parts)
        keep = min(self._keep, other._keep)
        tables = [
            (groups, picks, table, other._histograms[row][picks])
            for row, groups in self._histograms.items()
            for picks, table in groups.items()
        ]
        # what can fail goes first: a failure must leave the ensemble as it was
        rooms = [room_for(table, more.shape) for _, _, table, more in tables]
        self.is_whole = False
        for (groups, picks, _, more), room in zip(tables, rooms, strict=True):
            groups[picks] = add_histograms(room, more)
        self._kept, self._keep = _first_kept(self, other, keep), keep
        self._sums, self._products = self._sums + other._sums, self._products + other._products
        self._powers = {p: total + other._powers[p] for p, total in self._powers.items()}
        self.runs += other.runs
        seeds = tuple(dict.fromkeys(seed for seed, _, _ in parts))
        self.seed = seeds[0] if len(seeds) == 1 else seeds or self.seed
        self._joined = None if len(parts) < 2 else parts
        if len(parts) == 1:
            self._first = parts[0][1]
        self.is_whole = True

    def check_same_job(self, other: Record) -> None:
        """Raise an EnsembleError unless the other one holds runs of the same law and record."""
        for one in (self, other):
            if not isinstance(one, Record) or type(one).add is not Record.add:
                raise EnsembleError(
                    f"a {type(one).__name__} is not counted in whole numbers as an Ensemble is; "
                    "only those are merged and saved"
                )
        own, others = self._job(), other._job()
        for name, value in own.items():
            if value != others[name]:
                raise EnsembleError(
                    f"the ensembles differ in {name}: {_short(value)} and {_short(others[name])}; "
                    "only runs of the same network, start, times and record can be taken together"
                )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        if type(self) is not type(other) or self._job() != other._job():
            return False
        if self.parts != other.parts or self._keep != other._keep:
            return False
        pairs = zip(self._arrays(), other._arrays(), strict=True)
        return all(np.array_equal(a, b) for a, b in pairs)

    __hash__ = None

    def save(self, path) -> None:
        """Write everything to a netCDF file, without loss; `load_ensemble` reads it back."""
        from .ensemble_io import save_ensemble

        save_ensemble(self, path)

    # --- inside ----------------------------------------------------------------------------

    def _job(self) -> dict:
        """Return what two ensembles must share to be taken together."""
        groups = {
            float(self.times[row]): sorted(tables)
            for row, tables in sorted(self._histograms.items())
        }
        network = self.network
        return {
            "network": str(network), "parameters": dict(sorted(network.parameters.items())),
            "volume": network.volume, "reactions": network, "initial": self.initial, "times": self.times.tolist(),
            "method": self.method, "stop": self.stop, "moments": list(self._powers),
            "histograms": groups,
        }  # fmt: skip

    def _arrays(self) -> list[np.ndarray]:
        tables = [
            self._histograms[row][picks]
            for row in sorted(self._histograms)
            for picks in sorted(self._histograms[row])
        ]
        kept = np.concatenate(self._kept) if self._kept else np.empty(0)
        return [self._sums, self._products, *self._powers.values(), *tables, kept]


def _first_kept(one: Record, other: Record, keep: int) -> list[np.ndarray]:
    """Return the kept runs of two ensembles in order, the first ``keep``, as blocks."""
    early, late = sorted((one, other), key=lambda e: e.parts)
    if not early.parts or early.parts[-1] < late.parts[0]:
        # one after the other: nothing is copied
        blocks, missing = [], keep
        for block in (*early._kept, *late._kept):
            if missing > 0 and len(block):
                blocks.append(block[:missing])
                missing -= len(blocks[-1])
        return blocks
    which = [run for e in (one, other) for run in first_of(e.parts, e._keep)]
    order = sorted(range(len(which)), key=which.__getitem__)[:keep]
    return [np.concatenate([*one._kept, *other._kept])[order]] if order else []


def _short(value) -> str:
    text = str(value).replace("\n", "; ")
    return text if len(text) <= 60 else text[:57] + "..."
