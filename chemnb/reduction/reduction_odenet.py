"""The paper's way to learn Eq. 16: Adam on the L1 loss of Eq. 2, with torch and torchdiffeq."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..learning.adam import Descent
from ..learning.estimation import EstimationError
from ..learning.learned import Report
from ..learning.rational_data import ManifoldData, read_manifold
from ..learning.rational_fit import Fit, ManifoldProblem
from ..learning.rational_selection import Regression, layer_end
from ..learning.timeseries import DataError
from ..networks.expressions import listing
from ..progress import progress_bar
from . import reduction_advice as advice
from .learned_reduction import LearnedReduction

_SAMPLES = 200  # that the curve is trained on
_SEGMENTS = 64
_POSITIVE = 1e-6  # of its mean, below which a denominator counts as a blow-up
_POLISHING = 100  # evaluations of L-BFGS in one round after Adam
_ROUNDS = 10
_LOWER = 0.99  # times the loss: what a second method must not find


def by_odenet(
    problem: ManifoldProblem, ladder, *, data, network, noise, start, level, threshold,
    segment, penalty, iterations, learning_rate, seed, progress,
) -> LearnedReduction:  # fmt: skip
    """Train the coefficients, drop the least term, train the rest, and so on.

    Samples are thinned so that they lie evenly along the path of the slow species. On an even
    grid of times a run that hardly moves any more would drown the rest: on the paper's, more
    than half of the samples lie at P > 5, and the L1 loss never learns what happens below 1.

    Raises
    ------
    ImportError
        If torch or torchdiffeq is missing.
    DataError
        If segments are asked for and the data lack a slow species or are shorter than one.
    """
    torch, odeint = _import()
    few = ManifoldProblem(
        thinned(problem.data, _SAMPLES), problem.family, problem.tie, nonnegative=False
    )
    if segment is None:
        curve = _Curve(torch, few)
    else:
        wide = read_manifold(data, problem.family.fast, _slow(network, problem), noise, start)
        curve = _Segments(torch, odeint, few, network, wide, int(segment))
    threads = torch.get_num_threads()
    # small problems run many times faster on one thread, above all on a busy machine
    torch.set_num_threads(1)
    try:
        with progress_bar(None, "ODENet", "it", progress) as bar:
            trainer = _Trainer(torch, curve, penalty, learning_rate, seed, bar)
            trained = trainer.run(iterations, threshold)
    finally:
        torch.set_num_threads(threads)
    return _result(problem, trained, ladder, threshold, level)


def thinned(data: ManifoldData, most: int) -> ManifoldData:
    """Return at most about ``most`` samples, evenly along the path of the slow species."""
    picks = [run.start + i for run, i in zip(data.runs, _even(data, most), strict=True)]
    order = np.concatenate(picks)
    ends = np.cumsum([0, *(len(pick) for pick in picks)])
    return replace(
        data,
        times=data.times[order], slow=data.slow[order], fast=data.fast[order],
        runs=tuple(slice(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)),
        spread=tuple([None] * len(data.slow_names) for _ in picks),
    )  # fmt: skip


def _even(data: ManifoldData, most: int) -> list[np.ndarray]:
    """Return positions within each run, evenly along its path in units of the ranges."""
    scaled = data.slow / np.ptp(data.slow, axis=0)
    paths = [
        np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(scaled[run], axis=0), axis=1))])
        for run in data.runs
    ]
    whole = sum(path[-1] for path in paths)
    result = []
    for path in paths:
        count = min(len(path), max(2, round(most * path[-1] / whole)))
        places = np.searchsorted(path, np.linspace(0.0, path[-1], count))
        result.append(np.unique(np.minimum(places, len(path) - 1)))
    return result


class _Curve:
    """The L1 misfit of the rational functions at the data (teacher forcing).

    Coefficients are scaled: each monomial by its mean, α by the size of its species as well, and
    all by the mean of the denominator, so that a common factor can lower no penalty.
    """

    def __init__(self, torch, problem: ManifoldProblem) -> None:
        self.torch, self.problem = torch, problem
        m = problem.family.monomials(problem.data.slow)
        self._m, self._fast = torch.tensor(m), torch.tensor(problem.data.fast)
        self._scale = torch.tensor(problem.scale)
        size = m.mean(axis=0)
        units = np.vstack([size, size / problem.scale[:, None]]).ravel()[problem.tie.cells]
        self._units, self._matrix = units, torch.tensor(problem.tie.matrix / units)
        self.choose(problem.everything)

    def choose(self, columns: np.ndarray) -> None:
        """Set which free numbers are in use."""
        self.columns = columns
        self._active = self._matrix[:, columns]

    def start(self, rng) -> np.ndarray:
        """Return random scaled coefficients, all positive, of the size of one term each."""
        return rng.uniform(0.0, 1.0, len(self.columns)) / self.problem.family.shape[1]

    def scaled(self, numbers: np.ndarray) -> np.ndarray:
        """Return the scaled coefficients of the numbers in use."""
        return numbers * self._units[self.columns]

    def coefficients(self, theta):
        """Return the coefficients (1 + F, K) and the mean of the denominator before scaling."""
        table = (self._active @ theta).reshape(self.problem.family.shape)
        mean = (self._m @ table[0]).mean()
        return table / mean, mean

    def loss(self, theta, penalty: float):
        """Return the loss of Eq. 2, or None where the denominator vanishes."""
        table, mean = self.coefficients(theta)
        misfit = self.misfit(table)
        return None if misfit is None else misfit + penalty * (theta / mean).abs().sum()

    def misfit(self, table):
        """Return the mean of |c - H| in units of the sizes of the species."""
        values = self.values(table, self._m)
        return None if values is None else ((self._fast - values).abs() / self._scale).mean()

    def values(self, table, m):
        """Return the fast species, or None."""
        omega = m @ table[0]
        if not bool((omega > _POSITIVE).all()):
            return None
        return (m @ table[1:].T) / omega[..., None]


class _Segments(_Curve):
    """The L1 misfit of all species over short solutions of the slow equations (Eq. 16)."""

    def __init__(self, torch, odeint, problem, network, wide: ManifoldData, length: int) -> None:
        super().__init__(torch, problem)
        self._odeint, self._network = odeint, network
        starts = self._starts(wide, length)
        places = starts[:, None] + np.arange(length + 1)
        self._steps = torch.tensor(np.diff(wide.times[places], axis=1))
        self._slow_data = torch.tensor(wide.slow[places])
        self._fast_data = torch.tensor(wide.fast[places])
        reach = np.ptp(wide.slow, axis=0)
        self._slow_scale = torch.tensor(np.where(reach > 0, reach, 1.0))
        self._names = [*wide.fast_names, *wide.slow_names]
        self._of = [wide.slow_names.index(name) for name in problem.family.of]
        self._powers = torch.tensor(problem.family.powers.astype(float))
        self._read_network()

    def _starts(self, wide: ManifoldData, length: int) -> np.ndarray:
        ahead = [slice(run.start, run.stop - length) for run in wide.runs]
        if not any(run.stop > run.start for run in ahead):
            raise DataError(
                f"segment={length}, but no run has more than {length} samples; use a shorter one"
            )
        usable = replace(wide, runs=tuple(run for run in ahead if run.stop > run.start))
        picks = zip(usable.runs, _even(usable, _SEGMENTS), strict=True)
        return np.concatenate([run.start + i for run, i in picks])

    def _read_network(self) -> None:
        from ..networks.fluxes import Fluxes

        network, torch = self._network, self.torch
        order = [network.species.index(name) for name in self._names]
        reactants = network.reactants[order]
        # factors of every rate as positions in [state, 1]
        table = np.full((len(network.reactions), max(1, reactants.sum(axis=0).max())), len(order))
        for row, column in zip(table, reactants.T, strict=True):
            factors = np.repeat(np.arange(len(order)), column)
            row[: len(factors)] = factors
        self._factors = torch.tensor(table)
        # the rates of one molecule of everything are the rate constants
        self._k = torch.tensor(Fluxes(network).values(np.ones(len(order))))
        slow = order[len(self.problem.family.fast) :]
        self._change = torch.tensor(network.stoichiometry[slow].T.astype(float))

    def misfit(self, table):
        """Return the mean misfit of all species, or None where the denominator vanishes."""
        y, off = self._slow_data[:, 0], []
        try:
            for j in range(self._steps.shape[1] + 1):
                if j:
                    step = self._steps[:, j - 1, None]
                    y = self._odeint(
                        lambda _, c, step=step: step * self._slope(c, table), y,
                        self.torch.tensor([0.0, 1.0], dtype=self.torch.float64), method="rk4",
                    )[-1]  # fmt: skip
                    off.append((y - self._slow_data[:, j]).abs() / self._slow_scale)
                off.append((self._fast_of(y, table) - self._fast_data[:, j]).abs() / self._scale)
        except ZeroDivisionError:
            return None
        misfit = self.torch.cat(off, dim=1).mean()
        return misfit if self.torch.isfinite(misfit) else None

    def _fast_of(self, slow, table):
        m = (slow[:, None, self._of] ** self._powers).prod(dim=-1)
        values = self.values(table, m)
        if values is None:
            raise ZeroDivisionError("the denominator vanishes")
        return values

    def _slope(self, slow, table):
        state = self.torch.cat(
            [self._fast_of(slow, table), slow, self.torch.ones_like(slow[:, :1])], dim=1
        )
        return (self._k * state[:, self._factors].prod(dim=-1)) @ self._change


class _Trainer:
    """Adam, then one term less at a time, each time with Adam again."""

    def __init__(self, torch, curve: _Curve, penalty, rate, seed, bar) -> None:
        self._torch, self._curve, self._penalty, self._rate = torch, curve, penalty, rate
        self._rng, self._bar = np.random.default_rng(seed), bar
        self.history: list[float] = []
        self.path: list[tuple[int, float, float]] = []
        self.stopped = ""

    def run(self, iterations: int, threshold: float):
        """Return the trainer itself, with what was found."""
        curve, problem = self._curve, self._curve.problem
        theta = self._train(curve.start(self._rng), iterations, self._rate)
        while threshold and len(curve.columns) > 1 and self.stopped != "interrupted":
            share = problem.contributions(self._fit(theta))
            least = int(np.argmin(share))
            if share[least] >= threshold:
                break
            self.path.append((int(curve.columns[least]), float(share[least]), np.inf))
            curve.choose(np.delete(curve.columns, least))
            theta = self._train(np.delete(theta, least), max(1, iterations // 4), self._rate / 2)
        if self.stopped != "interrupted":
            theta = self._train(theta, max(1, iterations // 2), self._rate / 4)
        self.fit = self._fit(theta)
        self.loss = self._value(theta)
        self.converged, self.verdict = self._judge(theta)
        return self

    def _train(self, theta: np.ndarray, iterations: int, rate: float) -> np.ndarray:
        descent = Descent(
            self._torch, lambda point: self._curve.loss(point, self._penalty), theta, rate
        )
        patience, self.stopped = max(50, iterations // 15), ""
        polished, lower = theta, np.inf
        try:
            for _ in range(iterations):
                descent.step()
                self._bar.set_postfix(
                    loss=f"{descent.history[-1]:.3g}", terms=len(theta), refresh=False
                )
                self._bar.update()
                self.stopped = descent.end(patience)
                if self.stopped:
                    break
            if self.stopped != "blow-up":
                # Adam crawls where terms look alike; a quasi-Newton method goes on from there
                polished, lower = self._polish(descent.best_point)
        except KeyboardInterrupt:
            self.stopped = "interrupted"
        self.history += descent.history
        return polished if lower < descent.best else descent.best_point

    def _fit(self, theta: np.ndarray) -> Fit:
        with self._torch.no_grad():
            table = self._curve.coefficients(self._torch.tensor(theta))[0].numpy()
        columns = self._curve.columns
        numbers = table.ravel()[self._curve.problem.tie.cells[columns]]
        nothing = np.zeros((0, len(columns)))
        return Fit(columns, numbers, table, np.nan, nothing, True, len(self.history))

    def _value(self, theta: np.ndarray) -> float:
        with self._torch.no_grad():
            loss = self._curve.loss(self._torch.tensor(theta), self._penalty)
        return np.inf if loss is None else loss.item()

    def _judge(self, theta: np.ndarray) -> tuple[bool, str]:
        """Say whether Adam is at a minimum: a second method must not find a lower loss."""
        count = len(self.history)
        if self.stopped == "interrupted":
            return False, f"interrupted after {count} iterations; this is the best so far"
        if self.stopped == "blow-up" or not np.isfinite(self.loss):
            return False, f"the denominator kept vanishing; the best of {count} iterations is kept"
        lower = min(self._polish(theta)[1], self._least_squares())
        verdict = f"{count} iterations of Adam, polished by L-BFGS, loss {self.loss:.3g}"
        if lower < _LOWER * self.loss:
            return False, f"{verdict}, but other methods find {lower:.3g} from there: not converged"
        return True, f"{verdict}, and neither L-BFGS nor least squares finds a lower one: converged"

    def _polish(self, theta: np.ndarray) -> tuple[np.ndarray, float]:
        """Return where L-BFGS ends, begun anew as long as that helps: the loss has kinks."""
        from scipy.optimize import minimize

        best, lowest = theta, self._value(theta)
        for _ in range(_ROUNDS):
            found = minimize(
                self._slope, best, jac=True, method="L-BFGS-B", options={"maxfun": _POLISHING}
            )
            falls = found.fun < _LOWER * lowest
            if found.fun < lowest:
                best, lowest = found.x, float(found.fun)
            if not falls:
                break
        return best, lowest

    def _least_squares(self) -> float:
        """Return the loss of the least-squares solution for the same terms."""
        problem, curve = self._curve.problem, self._curve
        try:
            fit = problem.fit(curve.columns, self.fit.numbers)
        except EstimationError:
            return np.inf
        return self._value(curve.scaled(fit.numbers))

    def _slope(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        point = self._torch.tensor(theta, requires_grad=True)
        loss = self._curve.loss(point, self._penalty)
        if loss is None:
            return 1e6, np.zeros_like(theta)
        loss.backward()
        return loss.item(), point.grad.numpy()


def _result(problem, trained, ladder, threshold, level) -> LearnedReduction:
    names = problem.family.names.ravel()[problem.tie.cells]
    fit = problem.fixed(trained.fit)
    condition = problem.condition(problem.everything, fit.coefficients)
    report = Report(
        trained.converged, len(trained.history), trained.loss, trained.verdict, condition,
        path=tuple((str(names[column]), share) for column, share, _ in trained.path),
        history=np.array(trained.history),
    )  # fmt: skip
    found = Regression(problem, fit, trained.path, ladder, condition)
    # the penalty biases the coefficients, so that their errors have no simple covariance
    unknown = np.full((fit.coefficients.size,) * 2, np.nan)
    return LearnedReduction(
        problem.family, problem.family.normalise(fit.coefficients), unknown, "odenet", level,
        problem.tie.total, report,
        advice.warnings(found, threshold, layer_end(problem, fit)), tuple(ladder),
    )  # fmt: skip


def _slow(network, problem) -> list[str]:
    """Return the slow species of the network."""
    if network is None:
        raise DataError(
            "segment=... solves the slow equations of a network: give it, network=..., or leave "
            "segment out to train the curve on the data"
        )
    if free := network.free_parameters:
        raise DataError(f"the network has no value for {listing(free)}; segments need all of them")
    return [name for name in network.species if name not in problem.data.fast_names]


def _import():
    try:
        import torch
        from torchdiffeq import odeint
    except ImportError as error:
        raise ImportError(
            f"method='odenet' needs {error.name}, which is not installed; "
            "install it with `pip install chemnb[learn]`, or use method='regression'"
        ) from None
    return torch, odeint
