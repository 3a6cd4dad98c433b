"""Which candidate terms to keep: by BIC where the noise is known, else by relative size."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, combinations, islice, takewhile
from typing import NamedTuple

import numpy as np

from ..equations.polynomials import SolverError
from .curves import CURVES
from .estimation import constrained_least_squares, least_squares
from .trajectories import Fit, Linearised, TrajectoryProblem

_SUBSETS_UP_TO = 6  # terms an equation of which all combinations are looked at
_TRIAL_ITERATIONS = 15
_FINEST = 1e-7  # misfit a value, in ranges, below which only the solver's tolerance is seen
_RIDGE = 1e-10  # of columns of length one
_ON_BOUND = 1e-9  # share of the data below which a term stands at its bound
_CHAOS = 300.0  # growth of a small change of a start within a window
_ROUNDS = 3
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
    problem : TrajectoryProblem
        The windows in which the fit was made.
    """

    chosen: list[int]
    estimate: Fit
    path: list[tuple[int, float]]
    problem: TrajectoryProblem


def _silent(terms: int, loss: float) -> None:
    """Report no step."""


def keep_all(problem: TrajectoryProblem, **options) -> Choice:
    """Fit all unknowns and drop nothing."""
    chosen = list(range(len(problem.unknowns)))
    estimate, problem = climb(problem.ladder(), chosen, problem.start(chosen), **options)
    return Choice(chosen, estimate, [(len(chosen), estimate.chi_square)], problem)


def climb(ladder, chosen, u, starts=None, **options) -> tuple[Fit, TrajectoryProblem]:
    """Fit in short windows first, then in longer ones; return the last fit and its problem.

    Windows stop growing where small changes of a start grow too much for a fit (chaos).
    """
    problem = ladder[0]
    estimate = problem.fit(chosen, u, starts, **options)
    for longer in ladder[1:]:
        if problem.spread(estimate, chosen) > _CHAOS:
            break
        starts = problem.carried(estimate, longer)
        estimate = longer.fit(chosen, estimate.parameters, starts, **options)
        problem = longer
    return estimate, problem


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
    if start is None:
        start = keep_all(problem, **options)
    chosen, estimate, _, problem = start
    path = []
    enters = problem.unknowns.equations
    while True:
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
            return Choice(chosen, estimate, path, problem)
        u = np.delete(estimate.parameters, list(drop))
        chosen = [unknown for i, unknown in enumerate(chosen) if i not in drop]
        estimate = problem.fit(chosen, u, estimate.starts, **options)


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
    of them lowers the BIC. This is done in short windows first, then in longer ones. No
    threshold is involved.
    """
    path, last = [], None
    for problem in problem.ladder():  # noqa: B020 (each step takes the place of the whole)
        search = _Search(problem, penalty, options)
        if last is None:
            weak = [search.linear(problem.weak_form(curve)) for curve in CURVES]
            proposed = (linear.search() for linear in weak)
            current = min(proposed, key=lambda chosen: search.fit(chosen)[0])
            score, estimate = search.fit(current)
        else:
            if last.spread(estimate, sorted(current)) > _CHAOS:
                problem = last
                break
            starts = last.carried(estimate, problem)
            score, estimate = search.fit(current, start=(estimate.parameters, starts))
        current, score, estimate, gone = _improve(search, current, score, estimate, on_step)
        path, last = path + gone, problem
    if not estimate.converged:
        estimate = problem.fit(sorted(current), estimate.parameters, estimate.starts, **options)
    return Choice(sorted(current), estimate, path, problem)


def by_dependent_bic(
    problem: TrajectoryProblem,
    penalty: float,
    on_step: Callable[[int, float], None] = _silent,
    **options,
) -> Choice:
    """Choose by BIC, where errors of neighbouring times may be alike.

    Errors that are not independent make BIC keep small terms. Their correlation shows in what
    the chosen terms leave; n data that are correlated by ρ from one time to the next say as
    much as n (1 - ρ)/(1 + ρ) independent ones, and the choice is made again with those.
    """
    choice = by_bic(problem, penalty, on_step, **options)
    known = 1.0
    for _ in range(_ROUNDS):
        _, estimate, path, problem = choice
        share = _independent(problem, choice)
        if share >= 0.9 * known:
            return choice
        known = share
        search, current = _Search(problem, penalty, options, share), frozenset(choice.chosen)
        score, estimate = search.fit(current, start=(estimate.parameters, estimate.starts))
        current, score, estimate, gone = _improve(search, current, score, estimate, on_step)
        choice = Choice(sorted(current), estimate, path + gone, problem)
    return choice


def _independent(problem: TrajectoryProblem, choice: Choice) -> float:
    """Return the share of independent data, from the correlation of neighbouring residuals."""
    fit = choice.estimate
    if fit.chi_square <= _FINEST**2 * fit.observations:
        return 1.0
    rest = problem.solve(choice.chosen, fit.parameters, fit.starts).rest
    ahead = square = count = 0.0
    for table in problem.windows.plain(rest):
        product = table[1:] * table[:-1]
        count += np.isfinite(product).sum()
        ahead += np.nansum(product)
        square += np.nansum(table[1:] ** 2 + table[:-1] ** 2) / 2
    if not square > 0:
        return 1.0
    correlation = ahead / square
    if correlation < 2 / np.sqrt(count):
        return 1.0
    return max((1 - correlation) / (1 + correlation), 1 / count)


def _improve(search: _Search, current, score, estimate, on_step):
    """Make the best change of the terms as long as one lowers the BIC."""
    path = [(len(current), score)]
    while True:
        on_step(*path[-1])
        try:
            near = search.linear(search.problem.linearised(sorted(current), estimate))
        except SolverError:
            return current, score, estimate, path
        trials = [(*search.fit(trial, near), trial) for trial in near.promising(current, score)]
        if not trials or min(trial[0] for trial in trials) >= score - 1e-6:
            return current, score, estimate, path
        score, estimate, current = min(trials, key=lambda trial: trial[0])
        path.append((len(current), score))


class _Search:
    """The fits that `by_bic` makes, each made once."""

    def __init__(
        self, problem: TrajectoryProblem, penalty: float, options, share: float = 1.0
    ) -> None:
        self.problem, self.penalty, self.share = problem, penalty, share
        iterations = min(_TRIAL_ITERATIONS, options.get("iterations", _TRIAL_ITERATIONS))
        self.options = options | {"iterations": iterations}
        self._known: dict[frozenset[int], tuple[float, Fit]] = {}

    def linear(self, linearised: Linearised) -> _Linear:
        return _Linear(self.problem, linearised, self.penalty, self.share)

    def fit(
        self, chosen: frozenset[int], linear: _Linear | None = None, start=None
    ) -> tuple[float, Fit]:
        """Return the BIC and the fit of a choice, started at a linear problem's solution."""
        if chosen not in self._known:
            picks = sorted(chosen)
            if start is not None:
                u, starts = start
            elif linear is None:
                u, starts = self.problem.start(picks), None
            else:
                u, starts = linear.solution(picks)
            estimate = self.problem.fit(picks, u, starts, **self.options)
            misfit = cost(self.problem, estimate.chi_square, estimate.observations, self.share)
            self._known[chosen] = misfit + self.penalty * len(picks), estimate
        return self._known[chosen]


def cost(problem, loss: float, observations: int, share: float = 1.0) -> float:
    """Return what the BIC counts for a loss: itself, where the errors of the data are known."""
    if problem.absolute:
        return loss
    # the noise level is not known: its best estimate stands in the likelihood
    return share * observations * float(np.log(max(loss / observations, _FINEST**2)))


class _Linear:
    """BIC of any choice of columns of one linear least-squares problem."""

    def __init__(self, problem, near: Linearised, penalty: float, share: float = 1.0) -> None:
        self.problem, self.near, self.penalty, self.share = problem, near, penalty, share
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
        self._inside: dict[frozenset[int], frozenset[int]] = {}

    def solution(self, picks: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the best values of some unknowns, and the starts that go with them."""
        best = least_squares(self.matrix[:, picks], self.target) / self.scale[picks]
        full = np.zeros(len(self.scale))
        full[picks] = best
        return best, self.near.starts(full)

    def score(self, chosen: frozenset[int]) -> float:
        """Return the BIC of the chosen columns; infinite where fewer do as well.

        That is so where a bound is crossed and the best allowed fit lies on it.
        """
        if chosen not in self._scores:
            picks = sorted(chosen)
            best = least_squares(self.matrix[:, picks], self.target)
            loss = float(np.sum((self.target - self.matrix[:, picks] @ best) ** 2))
            inside, bic = chosen, self._bic(loss, len(picks))
            if np.any(self.bounds[:, picks] @ best < 0):
                inside, bic = self._bounded(picks)
            self._inside[chosen] = inside
            self._scores[chosen] = bic if inside == chosen else np.inf
        return self._scores[chosen]

    def settled(self, chosen: frozenset[int]) -> frozenset[int]:
        """Return those of the chosen columns that the best allowed fit uses."""
        self.score(chosen)
        return self._inside[chosen]

    def _bounded(self, picks: list[int]) -> tuple[frozenset[int], float]:
        """Return the columns in use where the bounds hold, and the BIC."""
        matrix, rows = self.matrix[:, picks], self.bounds[:, picks]
        rows = rows[rows.any(axis=1)]
        try:
            best = constrained_least_squares(matrix, self.target, rows, np.zeros(len(rows)))
        except RuntimeError:  # it may cycle; then this choice is not looked at
            return frozenset(), np.inf
        used = np.abs(best) > _ON_BOUND * np.linalg.norm(self.target)
        loss = float(np.sum((self.target - matrix @ best) ** 2))
        inside = frozenset(pick for pick, use in zip(picks, used, strict=True) if use)
        return inside, self._bic(loss, len(inside))

    def search(self) -> frozenset[int]:
        """Return the best choice found from no column upwards and from all downwards."""
        starts = (frozenset(), self.settled(frozenset(range(len(self.scale)))))
        return min((self._descend(start) for start in starts), key=self.score)

    def promising(self, current: frozenset[int], score: float) -> list[frozenset[int]]:
        """Return the choices that this linear problem puts near or below the present BIC."""
        moves = {**self._single(current), **self._double(current)}
        ranked = sorted(moves, key=lambda move: (moves[move], sorted(move)))
        # bounds can only make a move worse
        hopeful = takewhile(lambda move: moves[move] < score + _CLOSE, ranked)
        tried = chain([self.search()], map(self.settled, hopeful))
        close = (move for move in _unique(tried) if self.score(move) < score + _CLOSE)
        return [move for move in islice(close, 4) if move != current]

    def _bic(self, loss: float, count: int) -> float:
        return cost(self.problem, loss, self.rows, self.share) + self.penalty * count

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
            move = self.settled(move)
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


def _unique(moves):
    seen: set[frozenset[int]] = set()
    for move in moves:
        if move not in seen:
            seen.add(move)
            yield move
