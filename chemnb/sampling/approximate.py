"""Approximate relatives of `sample`: tau-leaping and the chemical Langevin equation.

Both advance over many events at once. They pay where counts are large; at tens of molecules they
are slower than exact sampling, and wrong besides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from numbers import Real

import numpy as np

from ..networks.laws import TIME, VOLUME
from ..networks.network import ReactionNetwork
from ..networks.tables import reaction_tables
from ..progress import progress_bar
from .blocks import in_blocks
from .ensemble import Ensemble, EnsembleError
from .sampling_input import (
    check_keep,
    check_seed,
    check_start,
    check_subset,
    check_threads,
    check_times,
    check_whole,
)
from .simulator import SimulationError

__all__ = ["LangevinEnsemble", "sample_langevin", "sample_tau_leap"]

_GRID = 2**10  # a Langevin state is kept to 1/1024 molecule, so that sums are whole numbers
_LARGEST_ON_GRID = 2.0**52 / _GRID


def sample_tau_leap(
    network: ReactionNetwork,
    initial: Mapping[str, int] | Sequence[int],
    times: Sequence[float],
    runs: int,
    *,
    seed: int,
    epsilon: float = 0.03,
    histograms: Sequence[float] = (),
    keep: int | None = None,
    threads: int | None = None,
    max_steps: int = 10**7,
    progress: bool = True,
) -> Ensemble:
    r"""Draw approximate trajectories by tau-leaping, for counts too large for `sample`.

    **What is approximated.** In a leap of length τ the propensities stay as they were at its
    start, so reaction j fires a Poisson number of times of mean :math:`\Phi_j \tau`. The leap is
    so long that no propensity is expected to change by more than a share ``epsilon`` [1]_, be it
    by gain or by loss (one alone, which is stricter than the reference: it keeps variances right).
    Reactions that ten firings or fewer would starve are treated exactly, one at a time; a leap
    that would still make a count negative is drawn again at half the length. Where a leap would
    cover fewer than ten events, a hundred exact events are drawn instead.

    **When it is valid.** When many events happen before a propensity changes noticeably: counts
    of all species that react often well above 1/epsilon. The errors of mean and variance are then
    of first order in ``epsilon``: propensities are those of the past, so that a decay comes out
    epsilon/2 too fast. For stiff networks leaps are as short as the fastest reaction demands.

    **How to see it fail.** Compare with half the ``epsilon``: what changes was wrong. At tens of
    molecules every step is an exact one: right, but two to four times slower than `sample`, which
    draws many runs side by side (``bench.lessons.tau_leap_over_exact``: 2.7 to 3.9 on four
    networks of 10 to 100 molecules). With ``epsilon=0.4`` means are off by several percent,
    variances by a third.

    Run i has its own random stream, made from (seed, i): the result is the same, bit for bit, for
    any number of threads.

    Parameters
    ----------
    network : ReactionNetwork
        With a value for every rate constant; its rate laws must not depend on the time.
    initial, times, runs, seed, histograms, keep, threads, progress
        As in `sample`.
    epsilon : float
        Allowed relative change of a propensity in a leap, between 0 and 1.
    max_steps : int
        Leaps and exact events allowed in one run, a guard against explosion.

    Returns
    -------
    Ensemble
        Its ``method`` says that it is approximate.

    Raises
    ------
    SimulationError
        If an argument is out of range, a rate law depends on the time, is negative or no number,
        a run explodes, or a count exceeds 2^53.
    NetworkError
        If the start does not fit the network or a rate constant has no value.

    References
    ----------
    .. [1] Cao, Gillespie and Petzold, J. Chem. Phys. 124, 044109 (2006), doi:10.1063/1.2159468

    Examples
    --------
    >>> net = ReactionNetwork("0 <-> A ; 100000, 1")
    >>> data = sample_tau_leap(net, {"A": 100_000}, [0, 5], runs=1000, seed=1)
    >>> data
    Ensemble(1000 runs, 2 times, species A, seed 1, approximate tau-leap, epsilon 0.03 method)
    >>> round(data.mean().values[1, 0] / 1000)
    100
    """
    start, times = check_start(network, initial), check_times(times)
    leaper = _Leaper(network, start, times, check_seed(seed), epsilon, max_steps)
    runs = check_whole(runs, "runs", 1)
    keep = check_keep(keep, 8 * len(times) * len(start))
    ensemble = Ensemble(
        network, start, times, leaper.seed, keep=keep,
        histograms=check_subset(histograms, times), method=leaper.method,
    )  # fmt: skip
    return _fill(ensemble, leaper, runs, threads, progress)


def sample_langevin(
    network: ReactionNetwork,
    initial: Mapping[str, int] | Sequence[int],
    times: Sequence[float],
    runs: int,
    *,
    seed: int,
    epsilon: float = 0.03,
    keep: int | None = None,
    threads: int | None = None,
    max_steps: int = 10**7,
    progress: bool = True,
) -> LangevinEnsemble:
    r"""Draw trajectories of the chemical Langevin equation: counts become real numbers.

    .. math:: dn_i = \sum_j U_{ij} \Phi_j(n)\, dt + \sum_j U_{ij} \sqrt{\Phi_j(n)}\, dW_j

    **What is approximated.** Each Poisson number of tau-leaping becomes a normal number of the
    same mean and variance [1]_: the equation is solved by Euler and Maruyama with the steps of
    tau-leaping (``epsilon``), and no event is treated exactly.

    **When it is valid.** When every reaction fires many times before a propensity changes
    noticeably: all counts in the hundreds or more. For reactions of one molecule means and
    variances are then right to the order of ``epsilon``; rare large fluctuations (switching,
    extinction) are not, at any size of the system [2]_.

    **At the boundary.** Nothing keeps the noise from driving a count below zero. Such a count is
    left as it is; propensities take it as zero, so that only production brings it back. The
    conservation laws hold, and nothing is hidden: `LangevinEnsemble.share_negative` tells how
    often it happens.

    **How to see it fail.** Look at `LangevinEnsemble.share_negative`, and at counts near zero: a
    species that has died out is spread below zero and not at zero, and too few die out.

    Parameters
    ----------
    network, initial, times, runs, seed, keep, threads, progress
        As in `sample`. Rate laws must not depend on the time.
    epsilon : float
        Sets the step, between 0 and 1: the error of the solver is of first order in it.
    max_steps : int
        Steps allowed in one run, a guard against explosion.

    Returns
    -------
    LangevinEnsemble

    Raises
    ------
    SimulationError, NetworkError
        As `sample_tau_leap`.

    References
    ----------
    .. [1] Gillespie, J. Chem. Phys. 113, 297 (2000), doi:10.1063/1.481811
    .. [2] Hanggi, Grabert, Talkner and Thomas, Phys. Rev. A 29, 371 (1984),
       doi:10.1103/PhysRevA.29.371

    Examples
    --------
    >>> net = ReactionNetwork("0 <-> A ; 1000, 1")
    >>> data = sample_langevin(net, {"A": 1000}, [0, 5], runs=2000, seed=1)
    >>> data.moments().sel(time=5).values.round(-2)
    array([1000., 1000.])
    >>> data.share_negative().values.max()
    np.float64(0.0)
    """
    start, times = check_start(network, initial), check_times(times)
    leaper = _Leaper(network, start, times, check_seed(seed), epsilon, max_steps, normal=True)
    runs = check_whole(runs, "runs", 1)
    keep = check_keep(keep, 8 * len(times) * len(start))
    ensemble = LangevinEnsemble(
        network, start, times, leaper.seed, keep=keep, histograms=[], method=leaper.method
    )
    return _fill(ensemble, leaper, runs, threads, progress)


class LangevinEnsemble(Ensemble):
    """Moments and some whole paths of runs whose counts are real numbers.

    States are kept to 1/1024 molecule: sums are then exact, as in `Ensemble`, whose methods it
    has except for histograms.
    """

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self._negative = np.zeros(self._sums.shape, dtype=np.int64)

    def add(self, counts: np.ndarray) -> None:
        """Take in further runs: numbers of shape (runs, times, species)."""
        grid = np.rint(counts * _GRID).transpose(1, 2, 0)
        near = grid[:, :, :1].copy()  # sums of what lies around it are exact in floats
        away = grid - near
        if float(np.abs(away).max(initial=0)) ** 2 * len(counts) >= 2.0**53:
            away = away.astype(np.int64).astype(object)
        total = _whole(away.sum(axis=2))
        products = _whole(np.array([table @ table.T for table in away]))
        base = _whole(near[:, :, 0])
        runs, cross = len(counts), base[:, :, None] * total[:, None, :]
        products += cross + cross.transpose(0, 2, 1) + runs * base[:, :, None] * base[:, None, :]
        self._sums += (total + runs * base) * Fraction(1, _GRID)
        self._products += products * Fraction(1, _GRID**2)
        self._negative += (grid < 0).sum(axis=2)
        missing = self._keep - sum(len(block) for block in self._kept)
        if missing > 0:
            self._kept.append(grid[:, :, :missing].transpose(2, 0, 1) / _GRID)
        self.runs += runs

    def share_negative(self):
        """Return the share of runs with a negative count, DataArray (time, species)."""
        coords = {"time": self.times, "species": list(self.network.species)}
        return self._array(self._negative / self.runs, coords)

    def histogram(self, time: float, species: str | list[str] | None = None):
        """Raise an EnsembleError: real numbers have no joint distribution over counts."""
        raise EnsembleError(
            "states of the Langevin equation are real numbers and are not counted; "
            "make a histogram of .paths"
        )


class _Leaper:
    """Simulates any runs of one approximate ensemble with the same result in any thread."""

    def __init__(
        self, network, start, times, seed: int, epsilon, max_steps, *, normal: bool = False
    ) -> None:
        self.network, self.times, self.seed, self.normal = network, times, seed, normal
        self.start = start.astype(float)
        self.epsilon = _check_epsilon(epsilon)
        self.max_steps = check_whole(max_steps, "max_steps", 1)
        if network.is_time_dependent:
            raise SimulationError(
                "a rate law depends on the time t, which no leap condition looks at; "
                "use sample(network, ...), which follows it exactly"
            )
        name = "Langevin" if normal else "tau-leap"
        self.method = f"approximate {name}, epsilon {self.epsilon:g}"
        self.run_bytes = 8 * (len(times) + 2) * len(start) + 48
        self._tables = reaction_tables(network)
        self._reads = _reads(network)
        self._interrupt = np.zeros(1, dtype=np.int64)

    def run(self, first: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the states (runs, times, species) and the report of some runs."""
        from .._kernels import leaping

        kernel = leaping.langevin_block if self.normal else leaping.leap_block
        report, ended = np.zeros((size, 5), np.int64), np.zeros((size, 1))
        final = np.zeros((size, len(self.start)))
        out = np.zeros((size, len(self.times), len(self.start)), float if self.normal else np.int64)
        kernel(
            report, ended, final, out, self.times, first, self.seed, self.start, self._tables,
            self._reads, self.epsilon, self.max_steps, self._interrupt,
        )  # fmt: skip
        self._check(report, ended, final, first)
        if self.normal and (largest := np.abs(out).max(initial=0.0)) > _LARGEST_ON_GRID:
            raise SimulationError(
                f"a count of {largest:.3g} is beyond {_LARGEST_ON_GRID:.3g}, up to which states "
                "are kept to 1/1024 molecule; use the linear noise approximation"
            )
        return out, report

    def interrupt(self) -> None:
        """Make all blocks that are being computed end soon."""
        self._interrupt[0] = 1

    def _check(self, report, ended, final, first: int) -> None:
        from .._kernels import network as kernel

        bad = np.flatnonzero(report[:, 0] != kernel.COMPLETE)
        if not len(bad):
            return
        if self._interrupt[0]:
            raise KeyboardInterrupt
        i = bad[0]
        status, reaction = report[i, 0], self.network.reactions[report[i, 1]]
        where = f"run {first + i}, t = {ended[i, 0]:.6g}"
        if status == kernel.TOO_MANY_EVENTS:
            raise SimulationError(
                f"{where}: more than {self.max_steps:,} steps; the network may explode or is too "
                "stiff for leaps: end earlier, or raise max_steps"
            )
        if status == kernel.COUNT_TOO_LARGE:
            raise SimulationError(
                f"{where}: '{reaction.equation}' drove a count beyond 2^53; the network may "
                "explode: check its rates or end earlier"
            )
        state = dict(zip(self.network.species, final[i].round(3).tolist(), strict=True))
        names = self.network.parameters | {VOLUME: self.network.volume, TIME: 0.0} | state
        value = (
            "" if reaction.is_mass_action else f" gives {float(reaction.rate.values(names)):.6g}"
        )
        raise SimulationError(
            f"{where}: '{reaction}'{value} in the state {state}; "
            "a propensity is a finite number, zero or more"
        )


def _fill(ensemble: Ensemble, leaper: _Leaper, runs: int, threads, progress: bool):
    threads = check_threads(threads)
    with progress_bar(runs, ensemble.method, "run", progress) as bar:
        for states, _ in in_blocks(leaper.run, runs, threads, leaper.run_bytes, leaper.interrupt):
            ensemble.add(states)
            bar.update(len(states))
    return ensemble


def _reads(network: ReactionNetwork) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which counts each propensity reads, and the weight of the elasticity by each.

    The change of Φ_j is shared among the molecules that react, as Cao, Gillespie and Petzold do:
    g_i = (order/ν_i) d log Φ_j/d log n_i. A rate law is shared among the species that it names.
    """
    starts, species, weights = [0], [], []
    for reaction in network.reactions:
        orders = dict(reaction.reactants)
        names = list(orders)
        if not reaction.is_mass_action:
            names = list(dict.fromkeys([*names, *reaction.rate.names]))
        names = [name for name in names if name in network.species]
        order = sum(orders.values())
        for name in names:
            species.append(network.species.index(name))
            weights.append(order / orders[name] if reaction.is_mass_action else len(names))
        starts.append(len(species))
    whole = np.array(starts, np.int64), np.array(species, np.int64)
    return *whole, np.array(weights, float)


def _whole(values: np.ndarray) -> np.ndarray:
    """Return whole numbers that are stored in floats or objects as Python's integers."""
    return values if values.dtype == object else values.astype(np.int64).astype(object)


def _check_epsilon(epsilon) -> float:
    number = isinstance(epsilon, Real) and not isinstance(epsilon, bool)
    if not number or not 0 < epsilon < 1:
        raise SimulationError(
            f"epsilon={epsilon!r} must be a number between 0 and 1, for example 0.03"
        )
    return float(epsilon)
