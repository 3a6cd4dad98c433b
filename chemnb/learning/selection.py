"""Which candidate terms to keep: by BIC where the noise is known, else by relative size."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, combinations, islice
from typing import NamedTuple

import numpy as np

from ..equations.polynomials import SolverError
from .curves import CURVES
from .estimation import least_squares
from .trajectories import Fit, Linearised, TrajectoryProblem

_SUBSETS_UP_TO = 6  # terms an equation of which all combinations are looked at
_TRIAL_ITERATIONS = 15
_FINEST = 1e-7  # misfit a value, in ranges, below which only the solver's tolerance is seen
_RIDGE = 1e-10  # of columns of length one
_CLOSE = 2.0  # differences in BIC below this are called "not worth more than a bare mention"


class Choice(NamedTuple):
    """The unknowns that were kept, and their fit.

    Attributes
    ----------
    chosen : list of int
        Positions of the unknowns.
    estimate : Fit
    path : list of (number of terms, score)
        What was gone through: BIC, or the sum of squares.
    """

    chosen: list[int]
    estimate: Fit
    path: list[tuple[int, float]]


def _silent(terms: int, loss: float) -> None:
    """Report no step."""


def keep_all(problem: TrajectoryProblem, **options) -> Choice:
    """Fit all unknowns and drop nothing."""
    chosen = list(range(len(problem.unknowns)))
    estimate = problem.fit(chosen, problem.start(chosen), **options)
    return Choice(chosen, estimate, [(len(chosen), estimate.chi_square)])


def by_threshold(
    problem: TrajectoryProblem,
    threshold: float,
    on_step: Callable[[int, float], None] = _silent,
    *,
    start: Choice | None = None,
    **options,
) -> Choice:
    """Drop the smallest term of each equation, refit, and go on until all are large.

    Size is coefficient times column norm relative to the largest term of the same equation,
    so that units play no role. One term at a time: after each refit the others change.
    ``start`` is a choice with its fit from which to go on.
    """
    chosen, path, starts = list(range(len(problem.unknowns))), [], None
    if start is None:
        u = problem.start(chosen)
    else:
        chosen, u, starts = start.chosen, start.estimate.parameters, start.estimate.starts
    enters = problem.unknowns.equations
    while True:
        estimate = problem.fit(chosen, u, starts, **options)
        path.append((len(chosen), estimate.chi_square))
        on_step(*path[-1])
        sizes = problem.contributions(chosen, estimate.parameters)
        drop = set()
        for row in enters:
            members = [i for i, unknown in enumerate(chosen) if row[unknown]]
            smallest = min(members, key=lambda i: sizes[i], default=None)
            if smallest is not None and sizes[smallest] < threshold:
                drop.add(smallest)
        if not drop:
            return Choice(chosen, estimate, path)
        u, starts = np.delete(estimate.parameters, list(drop)), estimate.starts
        chosen = [unknown for i, unknown in enumerate(chosen) if i not in drop]


def by_bic(
    problem: TrajectoryProblem,
    penalty: float,
    on_step: Callable[[int, float], None] = _silent,
    **options,
) -> Choice:
    """Choose the terms with the lowest BIC = misfit + ``penalty`` a term.

    A search on the integral forms, from no term upwards and from all terms downwards, proposes
    a first set. Then additions, removals, exchanges and refilled equations are ranked on the
    linearised trajectories, and the promising ones are fitted through the solver, until none
    of them lowers the BIC. No threshold is involved.
    """
    search = _Search(problem, penalty, options)
    weak = [search.linear(problem.weak_form(curve)) for curve in CURVES]
    current = min((linear.search() for linear in weak), key=lambda chosen: search.fit(chosen)[0])
    score, estimate = search.fit(current)
    path = [(len(current), score)]
    while True:
        on_step(*path[-1])
        try:
            near = search.linear(problem.linearised(sorted(current), estimate))
        except SolverError:
            break
        trials = [(*search.fit(trial, near), trial) for trial in near.promising(current, score)]
        if not trials or min(trial[0] for trial in trials) >= score - 1e-6:
            break
        score, estimate, current = min(trials, key=lambda trial: trial[0])
        path.append((len(current), score))
    if not estimate.converged:
        estimate = problem.fit(sorted(current), estimate.parameters, estimate.starts, **options)
    return Choice(sorted(current), estimate, path)


class _Search:
    """The fits that `by_bic` makes, each made once."""

    def __init__(self, problem: TrajectoryProblem, penalty: float, options) -> None:
        self.problem, self.penalty = problem, penalty
        iterations = min(_TRIAL_ITERATIONS, options.get("iterations", _TRIAL_ITERATIONS))
        self.options = options | {"iterations": iterations}
        self._known: dict[frozenset[int], tuple[float, Fit]] = {}

    def linear(self, linearised: Linearised) -> _Linear:
        return _Linear(self.problem, linearised, self.penalty)

    def fit(self, chosen: frozenset[int], linear: _Linear | None = None) -> tuple[float, Fit]:
        """Return the BIC and the fit of a choice, started at a linear problem's solution."""
        if chosen not in self._known:
            picks, starts = sorted(chosen), None
            if linear is None:
                u = self.problem.start(picks)
            else:
                u, starts = linear.solution(picks)
            estimate = self.problem.fit(picks, u, starts, **self.options)
            misfit = _misfit(self.problem, estimate.chi_square, estimate.observations)
            self._known[chosen] = misfit + self.penalty * len(picks), estimate
        return self._known[chosen]


def _misfit(problem: TrajectoryProblem, loss: float, observations: int) -> float:
    if problem.absolute:
        return loss
    # the noise level is not known: its best estimate stands in the likelihood
    return observations * float(np.log(max(loss / observations, _FINEST**2)))


class _Linear:
    """BIC of any choice of columns of one linear least-squares problem."""

    def __init__(self, problem: TrajectoryProblem, near: Linearised, penalty: float) -> None:
        self.problem, self.near, self.penalty = problem, near, penalty
        self.rows, self.groups = problem.observations, problem.unknowns.equations
        matrix, target = near.matrix, near.target
        self.scale = np.linalg.norm(matrix, axis=0)
        self.scale[self.scale == 0] = 1.0
        self.bounds = problem.nonnegative / self.scale
        width = len(self.scale)
        # a trace of ridge gives every choice of columns full rank
        padded = np.block([[matrix / self.scale, target[:, None]],
                           [_RIDGE * np.eye(width), np.zeros((width, 1))]])  # fmt: skip
        # only the triangular factor is needed for every choice
        triangle = np.linalg.qr(padded, mode="r")
        self.matrix, self.target = triangle[:, :-1], triangle[:, -1]
        self._scores: dict[frozenset[int], float] = {}

    def solution(self, picks: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the best values of some unknowns, and the starts that go with them."""
        best = least_squares(self.matrix[:, picks], self.target) / self.scale[picks]
        full = np.zeros(len(self.scale))
        full[picks] = best
        return best, self.near.starts(full)

    def score(self, chosen: frozenset[int]) -> float:
        """Return the BIC of the chosen columns; infinite where a bound is crossed.

        The best allowed fit then lies on the bound, and fewer columns do as well.
        """
        if chosen not in self._scores:
            picks = sorted(chosen)
            best = least_squares(self.matrix[:, picks], self.target)
            loss = float(np.sum((self.target - self.matrix[:, picks] @ best) ** 2))
            crossed = np.any(self.bounds[:, picks] @ best < 0)
            self._scores[chosen] = np.inf if crossed else self._bic(loss, len(picks))
        return self._scores[chosen]

    def search(self) -> frozenset[int]:
        """Return the best choice found from no column upwards and from all downwards."""
        starts = (frozenset(), frozenset(range(len(self.scale))))
        return min((self._descend(start) for start in starts), key=self.score)

    def promising(self, current: frozenset[int], score: float) -> list[frozenset[int]]:
        """Return the choices that this linear problem puts near or below the present BIC."""
        moves = {**self._single(current), **self._double(current)}
        ranked = [self.search(), *sorted(moves, key=lambda move: (moves[move], sorted(move)))]
        close = (move for move in dict.fromkeys(ranked) if self.score(move) < score + _CLOSE)
        return [move for move in islice(close, 4) if move != current]

    def _bic(self, loss: float, count: int) -> float:
        return _misfit(self.problem, loss, self.rows) + self.penalty * count

    def _descend(self, chosen: frozenset[int]) -> frozenset[int]:
        """Take the best move as long as one helps; the dearer moves once single ones do not."""
        while True:
            for moves in (self._single, self._double):
                better = self._best(moves(chosen), self.score(chosen) - 1e-9)
                if better is not None:
                    chosen = better
                    break
            else:
                return chosen

    def _best(self, moves: dict[frozenset[int], float], limit: float) -> frozenset[int] | None:
        for move in sorted(moves, key=lambda move: (moves[move], sorted(move))):
            if moves[move] >= limit:
                return None
            if self.score(move) < limit:
                return move
        return None

    def _single(self, chosen: frozenset[int]) -> dict[frozenset[int], float]:
        """Return the BIC, bounds left aside, after one addition or removal."""
        picks = sorted(chosen)
        basis, triangle = np.linalg.qr(self.matrix[:, picks])
        inverse = np.linalg.inv(triangle)
        best = inverse @ (basis.T @ self.target)
        loss, grown = self._grown(basis)
        shrunk = loss + best**2 / (inverse**2).sum(axis=1)
        moves = {chosen - {i}: self._bic(x, len(picks) - 1)
                 for i, x in zip(picks, shrunk, strict=True)}  # fmt: skip
        others = set(range(len(self.scale))) - chosen
        return moves | {chosen | {i}: self._bic(grown[i], len(picks) + 1) for i in others}

    def _double(self, chosen: frozenset[int]) -> dict[frozenset[int], float]:
        """Return the BIC after one exchange, or after an equation is filled anew by two terms.

        A small equation is filled anew in all ways.
        """
        moves = {}
        for group in self.groups:
            members = frozenset(np.flatnonzero(group).tolist())
            bare = chosen - members
            bases = {chosen - {i} for i in chosen & members} | {bare | {i} for i in members}
            for base in bases:
                _, grown = self._grown(np.linalg.qr(self.matrix[:, sorted(base)])[0])
                moves |= {base | {j}: self._bic(grown[j], len(base) + 1) for j in members - base}
            if len(members) <= _SUBSETS_UP_TO:
                sizes = range(len(members) + 1)
                subsets = chain.from_iterable(combinations(members, size) for size in sizes)
                moves |= {move: self.score(move) for move in map(bare.union, subsets)}
        moves.pop(chosen, None)
        return moves

    def _grown(self, basis: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the misfit of some columns, and that with each further column."""
        residual = self.target - basis @ (basis.T @ self.target)
        rest = self.matrix - basis @ (basis.T @ self.matrix)
        size = np.maximum((rest**2).sum(axis=0), _RIDGE**2)
        loss = float(residual @ residual)
        return loss, np.maximum(loss - (rest.T @ residual) ** 2 / size, 0.0)
