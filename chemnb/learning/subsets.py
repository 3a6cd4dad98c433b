"""BIC of every choice of columns of one linear least-squares problem, and the best ones."""

from __future__ import annotations

from itertools import chain, combinations, islice, takewhile

import numpy as np

from .estimation import constrained_least_squares, least_squares
from .trajectories import Linearised, TrajectoryProblem

_SUBSETS_UP_TO = 6  # terms an equation of which all combinations are looked at
_RIDGE = 1e-10  # of columns of length one
_ON_BOUND = 1e-9  # share of the data below which a term stands at its bound
_CLOSE = 2.0  # differences in BIC below this are called "not worth more than a bare mention"
FINEST = 1e-7  # misfit a value, in ranges, below which only the solver's tolerance is seen


def misfit(problem: TrajectoryProblem, loss: float, observations: int, share: float = 1.0) -> float:
    """Return -2 ln(likelihood), up to a constant; ``share`` of the data count as independent."""
    if problem.absolute:
        return loss
    # the noise level is not known: its best estimate stands in the likelihood
    return share * observations * float(np.log(max(loss / observations, FINEST**2)))


class LinearSubsets:
    """BIC of any choice of columns of one linear least-squares problem."""

    def __init__(
        self, problem: TrajectoryProblem, near: Linearised, prices: np.ndarray, share: float = 1.0
    ) -> None:
        self.problem, self.near, self.prices, self.share = problem, near, prices, share
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
            inside = chosen
            if np.any(self.bounds[:, picks] @ best < 0):
                inside, loss = self._bounded(picks)
            cost = float(self.prices[picks].sum())
            self._inside[chosen] = inside
            self._scores[chosen] = self._bic(loss, cost) if inside == chosen else np.inf
        return self._scores[chosen]

    def settled(self, chosen: frozenset[int]) -> frozenset[int]:
        """Return those of the chosen columns that the best allowed fit uses."""
        self.score(chosen)
        return self._inside[chosen]

    def _bounded(self, picks: list[int]) -> tuple[frozenset[int], float]:
        """Return the columns in use where the bounds hold, and the loss."""
        matrix, rows = self.matrix[:, picks], self.bounds[:, picks]
        rows = rows[rows.any(axis=1)]
        try:
            best = constrained_least_squares(matrix, self.target, rows, np.zeros(len(rows)))
        except RuntimeError:  # it may cycle; then this choice is not looked at
            return frozenset(), np.inf
        used = np.abs(best) > _ON_BOUND * np.linalg.norm(self.target)
        loss = float(np.sum((self.target - matrix @ best) ** 2))
        return frozenset(pick for pick, use in zip(picks, used, strict=True) if use), loss

    def search(self, *more: frozenset[int]) -> frozenset[int]:
        """Return the best choice found from no column upwards, from all down, and from ``more``."""
        starts = (frozenset(), self.settled(frozenset(range(len(self.scale)))), *more)
        return min((self._descend(start) for start in starts), key=self.score)

    def nested(self) -> list[frozenset[int]]:
        """Return choices of every number of columns: each time the least missed one is dropped."""
        chosen, result = frozenset(range(len(self.scale))), []
        while chosen:
            result.append(chosen)
            moves = self._single(chosen)
            smaller = [move for move in moves if len(move) < len(chosen)]
            chosen = min(smaller, key=lambda move: (moves[move], sorted(move)))
        return result

    def promising(self, current: frozenset[int], score: float) -> list[frozenset[int]]:
        """Return the choices that this linear problem puts near or below the present BIC."""
        moves = {**self._single(current), **self._double(current)}
        ranked = sorted(moves, key=lambda move: (moves[move], sorted(move)))
        # bounds can only make a move worse
        hopeful = takewhile(lambda move: moves[move] < score + _CLOSE, ranked)
        tried = chain([self.search()], map(self.settled, hopeful))
        close = (move for move in _unique(tried) if self.score(move) < score + _CLOSE)
        return [move for move in islice(close, 4) if move != current]

    def _bic(self, loss: float, cost: float) -> float:
        return misfit(self.problem, loss, self.rows, self.share) + cost

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
        cost = float(self.prices[picks].sum())
        moves = {chosen - {i}: self._bic(x, cost - self.prices[i])
                 for i, x in zip(picks, shrunk, strict=True)}  # fmt: skip
        others = set(range(len(self.scale))) - chosen
        return moves | {chosen | {i}: self._bic(grown[i], cost + self.prices[i]) for i in others}

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
                picks = sorted(base)
                _, grown = self._grown(np.linalg.qr(self.matrix[:, picks])[0])
                cost = float(self.prices[picks].sum())
                moves |= {
                    base | {j}: self._bic(grown[j], cost + self.prices[j]) for j in members - base
                }
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
