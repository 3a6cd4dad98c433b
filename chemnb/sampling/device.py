"""The direct method in lockstep on tensors of torch: many trajectories at once on a GPU.

Experimental on ``cuda``: every line has run on tensors of the processor, none on a GPU yet.

All runs of a block make one event a step. The streams, the logarithm and the order of all sums are
those of `chemnb._kernels.direct`, and no operation of torch that is used here rounds more than
once, so that the counts are the same, bit for bit. A run that meets anything unusual is given up:
the compiled kernel runs it again and says what was wrong, as in `chemnb._kernels.lanes`.
"""

from __future__ import annotations

import math
import re

import numpy as np

from .blocks import BLOCK_BYTES
from .simulator import SimulationError, Simulator

TINY = 1e-290  # as in `chemnb._kernels.random`
_LARGEST_COUNT = 2**53
_GPU_BLOCK_BYTES = 1 << 29  # many runs, for a GPU takes microseconds to start each operation
_CHECK = 16  # steps between looks at who has finished, for which the processor waits
_CROWDED = 0.75  # share of unfinished runs below which the finished ones are dropped


def _signed(word: int) -> int:
    """Return the whole number of torch's int64 with the bits of an unsigned 64-bit word."""
    return word - (1 << 64) if word >> 63 else word


_GOLDEN, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_ONE, _ROOT_HALF, _SHIFT, _INTEGER = (
    0x3FF0000000000000, 0x3FE6A09E667F3BCD, 64 << 52, 0x4330000000000000,
)  # fmt: skip


def check_device(device, threads: int | None = None):
    """Return the torch.device that a user means.

    Parameters
    ----------
    device : str or torch.device
        ``"cuda"``, ``"cuda:1"``, or ``"cpu"`` for torch tensors on the processor.
    threads : int, optional
        What the user asked for besides; only the compiled kernels share work among threads.

    Raises
    ------
    SimulationError
        If there is no such device, torch is missing, or it finds no such device here.

    Examples
    --------
    >>> check_device("gpu")
    Traceback (most recent call last):
    chemnb.sampling.simulator.SimulationError: device='gpu' is unknown; use 'cuda', 'cuda:0' or 'cpu'
    """
    if not re.fullmatch(r"cpu|cuda(:\d+)?", str(device)):
        raise SimulationError(f"device='{device}' is unknown; use 'cuda', 'cuda:0' or 'cpu'")
    if threads is not None:
        raise SimulationError(
            f"threads={threads} is for the compiled kernels; leave it out with device='{device}'"
        )
    try:
        import torch
    except ImportError:
        raise SimulationError(
            f"device='{device}' needs torch, which is not installed; "
            "install it with `pip install chemnb[learn]`, or leave device out"
        ) from None
    found = torch.device(device)
    here = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found.type == "cuda" and (found.index or 0) >= here:
        there = f"torch sees {here} CUDA device{'' if here == 1 else 's'} here"
        raise SimulationError(
            f"device='{device}': {there}; leave device out to use all cores of the processor"
        )
    return found


class DeviceSimulator:
    """Simulates runs of one ensemble on a device; run i is run i of `Simulator`, bit for bit.

    Experimental on ``cuda``: no GPU has run it yet.

    Parameters
    ----------
    simulator : Simulator
        With ``method="direct"``, of a network with mass action only, without ``stop``.
    device : torch.device

    Attributes
    ----------
    block : int
        How many runs fit the memory that a block may take: 32 MB on the processor, on a GPU
        512 MB or a quarter of what is free.

    Raises
    ------
    SimulationError
        If the device cannot do what the simulator was made for.
    """

    def __init__(self, simulator: Simulator, device) -> None:
        import torch

        _check_task(simulator, device)
        self.simulator, self.device = simulator, device
        self._plan = _Plan(torch, simulator, device)
        budget = BLOCK_BYTES
        if device.type == "cuda":
            budget = min(_GPU_BLOCK_BYTES, torch.cuda.mem_get_info(device)[0] // 4)
        self.block = max(1, budget // self._plan.run_bytes)

    def run(self, first: int, size: int) -> np.ndarray:
        """Return the counts (runs, times, species) of the runs ``first`` to ``first + size - 1``.

        Raises
        ------
        SimulationError
            As `Simulator.run`.
        """
        import torch

        with torch.inference_mode():
            lanes = _Lanes(self._plan, first, size)
            lanes.finish()
            counts, again = lanes.counts().cpu().numpy(), lanes.given_up.cpu().numpy()
        for i in np.flatnonzero(again):
            counts[i] = self.simulator.run(first + int(i), 1, lanes=1).counts[0]
        return counts


def _check_task(simulator: Simulator, device) -> None:
    rest = f"leave device='{device}' out"
    if simulator.method != "direct":
        raise SimulationError(
            f"method='{simulator.method}' has no code for a device; use 'direct' or {rest}"
        )
    if simulator.stop is not None:
        raise SimulationError(f"a device cannot stop runs at a condition; {rest}")
    for reaction in simulator.network.reactions:
        if not reaction.is_mass_action:
            raise SimulationError(
                f"'{reaction}' has a rate law; a device follows mass action only; {rest}"
            )


class _Plan:
    """A network and what is asked of it, in tensors on the device."""

    def __init__(self, torch, simulator: Simulator, device) -> None:
        self.torch, self.device, network = torch, device, simulator.network
        self.seed, self.max_events = simulator.seed, simulator.max_events
        tables, change = simulator._tables, network.stoichiometry.astype(np.int64)
        self.n_species, self.n_reactions = change.shape

        def moved(array):
            return torch.as_tensor(np.ascontiguousarray(array), device=device)

        self.start = moved(simulator.start.astype(np.int64))[:, None]
        self.times, self.rates = moved(simulator.times), moved(tables.rates)[:, None]
        # a last column for the runs that have finished: nothing happens
        self.change = moved(np.pad(change, ((0, 0), (0, 1))))
        # factor k of every reaction; species number n_species is a constant 1, which fills up
        order = np.diff(tables.factor_start)
        self.factors = []
        for k in range(order.max(initial=0)):
            species, offset = np.full((2, self.n_reactions), [[self.n_species], [0]])
            rows = tables.factors[tables.factor_start[:-1][order > k] + k]
            species[order > k], offset[order > k] = rows.T
            self.factors.append(
                (moved(species), moved(offset.astype(float))[:, None] if offset.any() else None)
            )
        # a count that was beyond 2^53, where floats miss some, since the last check is above this
        self.safe_count = _LARGEST_COUNT - (_CHECK + 1) * int(np.abs(change).max(initial=0))
        rows = len(simulator.times) + 1
        # the record and its copy in order; state, factors and sums; the words of the streams
        words = 2 * rows * self.n_species + 4 * self.n_species + 4 * self.n_reactions + 24
        self.run_bytes = 8 * words


class _Lanes:
    """The runs of one block side by side: the last axis of all tensors is a run.

    ``record`` holds the counts that a run had just before it passed the recorded time of a row;
    -1 stands for rows that were passed in the same step as the next. Row T takes what no one wants.
    """

    def __init__(self, plan: _Plan, first: int, size: int) -> None:
        torch, device = plan.torch, plan.device
        self.plan, self.size, self.rows = plan, size, len(plan.times)
        self.who = torch.arange(size, device=device)
        self.words = _streams(torch, plan.seed, first + self.who)
        self.n = plan.start.repeat(1, size)
        self.t = torch.zeros(size, dtype=torch.float64, device=device)
        self.row = torch.zeros_like(self.who)
        self.bad = torch.zeros(size, dtype=torch.bool, device=device)
        self.given_up = self.bad.clone()
        self.record = torch.full((plan.n_species, (self.rows + 1) * size), -1, device=device)

    def finish(self) -> None:
        """Go on until every run has passed the last recorded time or is given up."""
        step, most = 0, self.plan.max_events
        while True:
            until = min(step + _CHECK, most + 1)
            for _ in range(step, until):
                goes_on = self.step()
            step = until
            if step > most:  # these runs would have one event too many
                self.bad |= goes_on
                self.row.masked_fill_(goes_on, self.rows)
            if not self.tidy():
                return

    def step(self):
        """Draw a waiting time and a reaction for each run; return which runs made the event."""
        plan, torch = self.plan, self.plan.torch
        below = self.summed()
        total = below[-1]
        x, y = _draw(self.words), _draw(self.words)
        then = self.t + _waiting_time(torch, _uniform(torch, x), total)
        then.masked_fill_(total < TINY, math.inf)
        running = self.row < self.rows
        self.bad |= running & ~(total < math.inf)
        now = torch.maximum(torch.searchsorted(plan.times, then), self.row)
        now.masked_fill_(self.bad, self.rows)
        place = torch.where(now > self.row, now - 1, self.rows) * self.size + self.who
        self.record.scatter_(1, place.expand_as(self.n), self.n)
        goes_on = now < self.rows
        chosen = (below < _uniform(torch, y) * total).sum(0)
        chosen = torch.where(goes_on, chosen, plan.n_reactions)
        self.n = self.n + plan.change.index_select(1, chosen)
        self.t, self.row = then, now
        return goes_on

    def summed(self):
        """Return the propensities summed up one by one (reactions, runs), as the kernels do."""
        plan, torch = self.plan, self.plan.torch
        ones = torch.ones_like(self.t)[None]
        counts, values = torch.cat([self.n.double(), ones]), plan.rates
        for species, offset in plan.factors:
            factor = counts.index_select(0, species)
            values = values * (factor if offset is None else factor - offset)
        # not torch.cumsum, which may add in another order
        below = values.expand(-1, len(self.t)).clone()
        for j in range(1, plan.n_reactions):
            below[j] += below[j - 1]
        return below

    def tidy(self) -> int:
        """Give up runs with large counts, drop finished ones if many; return how many go on."""
        self.bad |= (self.n > self.plan.safe_count).any(0)
        self.row.masked_fill_(self.bad, self.rows)
        self.given_up[self.who] = self.bad
        left = self.plan.torch.nonzero(self.row < self.rows)[:, 0]
        if 0 < len(left) < _CROWDED * len(self.who):
            self.n = self.n.index_select(1, left)
            self.words = [word[left] for word in self.words]
            self.who, self.t = self.who[left], self.t[left]
            self.row, self.bad = self.row[left], self.bad[left]
        return len(left)

    def counts(self):
        """Return the record (runs, times, species) with its gaps filled."""
        record = self.record.view(self.plan.n_species, self.rows + 1, self.size)
        for row in reversed(range(self.rows - 1)):
            gap = record[:, row] < 0
            record[:, row] = record[:, row].where(~gap, record[:, row + 1])
        return record[:, : self.rows].permute(2, 1, 0).contiguous()


# --- random numbers: `chemnb._kernels.random` in the signed whole numbers of torch ---------------


def _right(x, places: int):
    """Return x shifted to the right with zeros moved in; >> alone would repeat the sign."""
    return (x >> places) & ((1 << (64 - places)) - 1)


def _split_mix(x):
    x = (x ^ _right(x, 30)) * _signed(_MIX_1)
    x = (x ^ _right(x, 27)) * _signed(_MIX_2)
    return x ^ _right(x, 31)


def _streams(torch, seed: int, index) -> list:
    word = torch.full_like(index[:1], seed) + _signed(_GOLDEN)
    base = _split_mix(word) ^ _split_mix((index + 1) * _signed(_MIX_2))
    return [_split_mix(base + _signed(k * _GOLDEN % 2**64)) for k in (1, 2, 3, 4)]


def _draw(words: list):
    """Return 64 random bits a run and move the streams on."""
    s0, s1, s2, s3 = words
    total = s0 + s3
    result = ((total << 23) | _right(total, 41)) + s0
    s2, s3, shifted = s2 ^ s0, s3 ^ s1, s1 << 17
    words[0], words[1], words[2] = s0 ^ s3, s1 ^ s2, s2 ^ shifted
    words[3] = (s3 << 45) | _right(s3, 19)
    return result


def _uniform(torch, random_bits):
    return (_right(random_bits, 12) | _ONE).view(torch.float64) - (1.0 - 2.0**-53)


def _waiting_time(torch, u, total):
    bits = u.view(torch.int64)
    exponent = (bits - _ROOT_HALF + _SHIFT) >> 52
    e = (exponent | _INTEGER).view(torch.float64) - (2.0**52 + 64.0)
    m = (bits - (exponent << 52) + _SHIFT).view(torch.float64)
    scale = ((m + 1.0) * total).reciprocal()
    s = (m - 1.0) * total * scale
    z = s * s
    p = 0.1531383769920937332 + z * 0.1479819860511658591
    p = 0.2222219843214978396 + z * (0.1818357216161805012 + z * p)
    p = 0.2857142874366239149 + z * p
    p = z * (0.6666666666666735130 + z * (0.3999999999940941908 + z * p))
    return -(e * 0.6931471805599453 + (2.0 * s + s * p)) * ((m + 1.0) * scale)
