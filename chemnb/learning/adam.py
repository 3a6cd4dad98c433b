"""The paper's way to train: Adam on the L1 loss of Eq. 2, with torch and torchdiffeq."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..equations.polynomials import SolverError
from ..progress import progress_bar
from .estimation import EstimationError
from .torch_terms import terms_on_torch
from .trajectories import TrajectoryProblem

_RTOL, _ATOL, _MOST_STEPS = 1e-5, 1e-7, 5000
_STALLED = 1e-3  # relative fall of the loss that no longer counts as falling
_FINEST = 1e-2  # share of the learning rate down to which a stalled loss is followed


@dataclass(frozen=True)
class Training:
    """What Adam reached: scaled coefficients, the loss of every iteration, and a verdict."""

    theta: np.ndarray
    loss: float
    history: np.ndarray
    converged: bool
    verdict: str


def train(
    problem: TrajectoryProblem,
    *,
    penalty: float,
    threshold: float,
    iterations: int,
    learning_rate: float,
    scale_columns: bool,
    seed: int,
    progress: bool,
    device: str = "cpu",
) -> Training:
    """Minimise mean |y - ŷ| + ε Σ|θ| (Eq. 2) by Adam through a torchdiffeq solver.

    With ``scale_columns`` every variable is measured in its range, every term by its size
    along the data and time in the length of the longest experiment, so that each θ says how
    much its term moves its variable. Without, the loss and the penalty are in the units of
    the data, term by term.

    Raises
    ------
    ImportError
        If torch or torchdiffeq is missing.
    """
    torch, odeint = _import()
    threads = torch.get_num_threads()
    # small problems run many times faster on one thread, above all on a busy machine
    torch.set_num_threads(1)
    try:
        return _train(
            torch, odeint, problem, penalty, threshold, iterations, learning_rate,
            scale_columns, seed, progress, device,
        )  # fmt: skip
    finally:
        torch.set_num_threads(threads)


def _train(
    torch, odeint, problem, penalty, threshold, iterations, rate, scaled, seed, progress, device
) -> Training:
    pairs = problem.unknowns.pairs
    network = _Network(torch, odeint, problem, pairs, scaled, device)
    start = 0.1 * np.random.default_rng(seed).standard_normal(len(pairs)) * network.natural
    descent = Descent(torch, lambda theta: network.loss(theta, penalty), start, rate)
    patience, stopped = max(50, iterations // 20), ""
    with progress_bar(iterations, "ODENet", "it", progress) as bar:
        try:
            for count in range(1, iterations + 1):
                descent.step()
                bar.update()
                if count % 10 == 0:
                    sizes = problem.scaling.contributions(pairs, descent.point * network.factor)
                    terms = int((sizes >= threshold).sum())
                    bar.set_postfix(loss=f"{descent.history[-1]:.3g}", terms=terms)
                stopped = descent.end(patience)
                if stopped:
                    break
        except KeyboardInterrupt:
            stopped = "interrupted"
    values, best, history = descent.best_point * network.factor, descent.best, descent.history
    converged, verdict = _judge(problem, network, values, best, penalty, stopped, history)
    return Training(values, best, np.array(history), converged, verdict)


class Descent:
    """Adam, with a smaller step from the best point where the loss stalls or blows up."""

    def __init__(self, torch, loss, start: np.ndarray, rate: float) -> None:
        self._torch, self._loss, self._finest = torch, loss, rate * _FINEST
        self.best, self.best_point, self.history = np.inf, start, []
        self._restart(rate)

    @property
    def point(self) -> np.ndarray:
        return self._theta.detach().numpy()

    def step(self) -> None:
        """Go one step, or back where the trial solution blew up."""
        self._optimizer.zero_grad()
        loss = self._loss(self._theta)
        if loss is not None:
            loss.backward()
        if loss is None or not self._torch.isfinite(self._theta.grad).all():
            self.history.append(np.inf)
            self._restart(self._rate / 2)
            return
        self.history.append(loss.item())
        if loss.item() < self.best:
            self.best, self.best_point = loss.item(), self.point.copy()
        self._optimizer.step()

    def end(self, patience: int) -> str:
        """Return why there is no point in going on, or an empty text."""
        if self._rate < 1e-12:
            return "blow-up"
        history = self.history[self._since :]
        if len(history) <= patience:
            return ""
        if min(history[-patience:]) <= min(history[:-patience]) * (1 - _STALLED):
            return ""
        if self._rate <= self._finest:
            return "stalled"
        # Adam jitters about a minimum by its step: it may still fall with smaller ones
        self._restart(self._rate / 4)
        return ""

    def _restart(self, rate: float) -> None:
        self._rate, self._since = rate, len(self.history)
        self._theta = self._torch.nn.Parameter(self._torch.tensor(self.best_point))
        self._optimizer = self._torch.optim.Adam([self._theta], lr=rate)


def _judge(problem, network, values, best, penalty, stopped, history):
    """Say whether Adam is at a minimum: a second method must not find a lower loss from there."""
    count = len(history)
    if stopped == "interrupted":
        return False, f"interrupted after {count} iterations; this is the best so far"
    if stopped == "blow-up" or not np.isfinite(best):
        return False, f"the solutions kept blowing up; the best of {count} iterations is kept"
    lower = None
    try:
        polished = problem.fit(range(len(values)), values).parameters
        lower = network.loss_value(polished / network.factor, penalty)
    except (EstimationError, SolverError):
        pass
    falling = "stopped" if stopped == "stalled" else "was still"
    verdict = f"the loss {falling} falling after {count} iterations ({best:.3g})"
    if lower is not None and lower < 0.99 * best:
        verdict += f", and Levenberg-Marquardt finds {lower:.3g} from there: not converged"
        return False, verdict
    converged = stopped == "stalled"
    return converged, verdict if converged else f"{verdict}: not converged"


class _Network:
    """θΓ(y) inside a torchdiffeq solver, for all experiments at once on one grid of times."""

    def __init__(
        self, torch, odeint, problem: TrajectoryProblem, pairs, scaled: bool, device: str
    ) -> None:
        self._torch, self._odeint, self._device = torch, odeint, device
        rows, terms = np.array(pairs).T
        experiments, scaling = problem.experiments, problem.scaling
        unit = np.ones_like(scaling.scale) if scaled else scaling.scale
        longest = max(e.times[-1] for e in experiments)
        relative = scaling.ranges[rows] / (scaling.sizes[terms] * longest)
        # θ here times factor is θ in the units of the problem
        self.factor = relative if scaled else 1 / scaling.factors(pairs)
        self.natural = relative / self.factor
        """θ (pairs,) with which each term alone would move its variable by its range."""
        self._inner = self._tensor(relative if scaled else np.ones(len(pairs)))
        self._weight = self._tensor(1 / scaling.ranges if scaled else np.ones_like(unit))
        grid = np.unique(np.concatenate([[0.0]] + [e.times for e in experiments]))
        self._grid = self._tensor(grid)
        self._start = self._tensor(
            np.array([e.initial / scaling.scale * unit for e in experiments])
        )
        self._targets = [
            (self._tensor(np.searchsorted(grid, e.times)),
             self._tensor(np.nan_to_num(e.values) / scaling.scale * unit),
             self._tensor(np.isfinite(e.values)))
            for e in experiments
        ]  # fmt: skip
        self._cells = self._tensor(rows), self._tensor(terms)
        self._library = scaling.inner if scaled else scaling.library

    def _tensor(self, array):
        return self._torch.tensor(array, device=self._device)

    def __call__(self, _, y):
        return terms_on_torch(self._library, y) @ self._matrix.T

    def loss(self, theta, penalty: float):
        """Return the loss of Eq. 2, or None if the solution blows up."""
        theta = theta.to(self._device)
        empty = theta.new_zeros(len(self._weight), len(self._library))
        self._matrix = empty.index_put(self._cells, theta * self._inner)
        try:
            path = self._odeint(
                self, self._start, self._grid, method="dopri5", rtol=_RTOL, atol=_ATOL,
                options={"max_num_steps": _MOST_STEPS},
            )  # fmt: skip
        except AssertionError:
            return None  # torchdiffeq's way to say that the step size vanished
        misfits = [
            ((path[pick, i] - target) * self._weight).abs()[seen]
            for i, (pick, target, seen) in enumerate(self._targets)
        ]
        loss = self._torch.cat(misfits).mean() + penalty * theta.abs().sum()
        return loss if self._torch.isfinite(loss) else None

    def loss_value(self, theta: np.ndarray, penalty: float) -> float | None:
        """Return the loss as a number."""
        with self._torch.no_grad():
            loss = self.loss(self._torch.tensor(theta), penalty)
        return None if loss is None else loss.item()


def _import():
    try:
        import torch
        from torchdiffeq import odeint
    except ImportError as error:
        raise ImportError(
            f"optimizer='adam' needs {error.name}, which is not installed; "
            "install it with `pip install chemnb[learn]`, or use optimizer='lm'"
        ) from None
    return torch, odeint
