"""Which candidate terms to keep: by BIC where the noise is known, else by relative size."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import NamedTuple

import numpy as np

from ..equations.polynomials import SolverError
from .subsets import FINEST, LinearSubsets, misfit
from .trajectories import Fit, Linearised, TrajectoryProblem

_TRIAL_ITERATIONS = 15
_CHAOS = 300.0  # growth of a small change of a start within a window
_ROUNDS = 3
_PATTERN = 0.6  # share of independent residuals below which other first choices are tried
_OTHERS = 3


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


OnStep = Callable[[Choice], None]


def _silent(choice: Choice) -> None:
    """Report no step."""


def keep_all(problem: TrajectoryProblem, on_step: OnStep = _silent, **options) -> Choice:
    """Fit all unknowns and drop nothing: in short windows first, then in longer ones.

    Windows stop growing where small changes of a start grow too much for a fit (chaos).
    """
    chosen, choice = list(range(len(problem.unknowns))), None
    for longer in problem.ladder():
        if choice is None:
            u, starts = longer.start(chosen), None
        elif choice.problem.spread(choice.estimate, chosen) > _CHAOS:
            break
        else:
            u = choice.estimate.parameters
            starts = choice.problem.carried(choice.estimate, longer)
        estimate = longer.fit(chosen, u, starts, **options)
        choice = Choice(chosen, estimate, [(len(chosen), estimate.chi_square)], longer)
        on_step(choice)
    return choice


def by_threshold(
    problem: TrajectoryProblem,
    threshold: float,
    on_step: OnStep = _silent,
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
        start = keep_all(problem, on_step, **options)
    chosen, estimate, _, problem = start
    path = []
    enters = problem.unknowns.equations
    while True:
        path.append((len(chosen), estimate.chi_square))
        on_step(Choice(chosen, estimate, path, problem))
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


def term_prices(problem: TrajectoryProblem) -> np.ndarray:
    """Return what every unknown must lower the misfit by to be kept.

    The logarithm of the number of independent observations (BIC), and twice that of one over
    the term's share among the candidates (extended BIC, Chen and Chen 2008,
    doi:10.1093/biomet/asn034). A degree is held half as likely as the one below, and equally
    shared by its terms, so that a near tie goes to the lower degree. Independent observations
    are the stochastic runs, where they are known; else the data.
    """
    runs = [e.runs for e in problem.experiments]
    count = problem.observations if None in runs else sum(runs)
    degrees = _degrees(problem.scaling.library)
    kinds, kind, size = np.unique(degrees, return_inverse=True, return_counts=True)
    likely = 0.5 ** (kinds - kinds.min())
    share = (likely / likely.sum() / size)[kind] / problem.variables
    terms = np.array([term for _, term in problem.unknowns.pairs])
    dearest = np.where(problem.tie != 0, -2 * np.log(share[terms])[:, None], 0.0)
    return np.log(max(count, 2)) + dearest.max(axis=0, initial=0.0)


def _degrees(library) -> np.ndarray:
    """Return the degree of every term, one for constants; all alike where there is none."""
    if not library.is_polynomial:
        return np.ones(len(library), dtype=int)
    return np.maximum((library.factor_table() < len(library.names)).sum(axis=1), 1)


def by_bic(
    problem: TrajectoryProblem,
    prices: np.ndarray,
    on_step: OnStep = _silent,
    **options,
) -> Choice:
    """Choose the terms with the lowest BIC = misfit + ``prices`` of the terms.

    A search on the integral forms, from no term upwards and from all terms downwards, proposes
    a first set. Then additions, removals, exchanges and refilled equations are ranked on the
    linearised trajectories, and the promising ones are fitted through the solver, until none
    of them lowers the BIC. This is done in short windows first, then in longer ones. No
    threshold is involved.
    """
    first = problem.ladder()[0]
    search = Search(first, prices, options)
    choice = _climb(problem, prices, _proposed(search), on_step, options)
    if not _is_suspicious(choice):
        return choice
    others = [_climb(problem, prices, other, on_step, options) for other in _others(search)]
    return min([choice, *others], key=_score)


def _score(choice: Choice) -> tuple[int, float]:
    """Return what is lower for the better choice: fewer windows, then the BIC."""
    return len(choice.problem.windows), choice.path[-1][1]


def _climb(problem, prices, current: frozenset[int], on_step: OnStep, options) -> Choice:
    """Improve a first choice in short windows, then in longer ones."""
    path, last = [], None
    for longer in problem.ladder():
        search, start = Search(longer, prices, options), None
        if last is not None:
            if last.spread(estimate, sorted(current)) > _CHAOS:  # noqa: F821 (of the last turn)
                break
            start = estimate.parameters, last.carried(estimate, longer)  # noqa: F821
        score, estimate = search.fit(current, start=start)
        current, score, estimate, gone = improve(search, current, score, estimate, on_step)
        path, last = path + gone, longer
    if not estimate.converged:
        estimate = last.fit(sorted(current), estimate.parameters, estimate.starts, **options)
    return Choice(sorted(current), estimate, path, last)


def _proposed(search: Search) -> frozenset[int]:
    """Return a first choice: from the integral forms, or all where a variable is hidden."""
    problem = search.problem
    if problem.scaling.hidden.any():
        return frozenset(range(len(problem.unknowns)))
    weak = [search.linear(problem.weak_form(curve)) for curve in problem.curves]
    return min((linear.search() for linear in weak), key=lambda chosen: search.fit(chosen)[0])


def _is_suspicious(choice: Choice) -> bool:
    """Whether a fit seems to have ended far from the best: it leaves a pattern in time."""
    if not choice.estimate.converged:
        return True
    return not choice.problem.absolute and independent(choice.problem, choice) < _PATTERN


def _others(search: Search) -> list[frozenset[int]]:
    """Return the best of the choices of every size that the integral forms rank first."""
    problem = search.problem
    if problem.scaling.hidden.any():
        return []
    nested = [search.linear(problem.weak_form(curve)).nested() for curve in problem.curves]
    choices = list(dict.fromkeys(chain.from_iterable(nested)))
    return sorted(choices, key=lambda chosen: search.fit(chosen)[0])[:_OTHERS]


def by_dependent_bic(
    problem: TrajectoryProblem,
    prices: np.ndarray,
    on_step: OnStep = _silent,
    **options,
) -> Choice:
    """Choose by BIC, where errors of neighbouring times may be alike.

    Errors that are not independent make BIC keep small terms. Their correlation shows in what
    the chosen terms leave; n data that are correlated by ρ from one time to the next say as
    much as n (1 - ρ)/(1 + ρ) independent ones, and the choice is made again with those.
    """
    choice = by_bic(problem, prices, on_step, **options)
    known = 1.0
    for _ in range(_ROUNDS):
        _, estimate, path, problem = choice
        share = independent(problem, choice)
        if share >= 0.9 * known:
            return choice
        known = share
        search, current = Search(problem, prices, options, share), frozenset(choice.chosen)
        score, estimate = search.fit(current, start=(estimate.parameters, estimate.starts))
        current, score, estimate, gone = improve(search, current, score, estimate, on_step)
        choice = Choice(sorted(current), estimate, path + gone, problem)
    return choice


def independent(problem: TrajectoryProblem, choice: Choice) -> float:
    """Return the share of independent data, from the correlation of neighbouring residuals."""
    fit = choice.estimate
    if fit.chi_square <= FINEST**2 * fit.observations:
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


def improve(search: Search, current, score, estimate, on_step: OnStep = _silent):
    """Make the best change of the terms as long as one lowers the BIC."""
    path = [(len(current), score)]
    while True:
        on_step(Choice(sorted(current), estimate, path, search.problem))
        try:
            near = search.linear(search.problem.linearised(sorted(current), estimate))
        except SolverError:
            return current, score, estimate, path
        trials = [(*search.fit(trial, near), trial) for trial in near.promising(current, score)]
        if not trials or min(trial[0] for trial in trials) >= score - 1e-6:
            return current, score, estimate, path
        score, estimate, current = min(trials, key=lambda trial: trial[0])
        path.append((len(current), score))


class Search:
    """The fits that `by_bic` makes, each made once."""

    def __init__(
        self, problem: TrajectoryProblem, prices: np.ndarray, options, share: float = 1.0
    ) -> None:
        self.problem, self.prices, self.share = problem, prices, share
        iterations = min(_TRIAL_ITERATIONS, options.get("iterations", _TRIAL_ITERATIONS))
        self.options = options | {"iterations": iterations}
        self._known: dict[frozenset[int], tuple[float, Fit]] = {}

    def linear(self, linearised: Linearised) -> LinearSubsets:
        return LinearSubsets(self.problem, linearised, self.prices, self.share)

    def fit(
        self, chosen: frozenset[int], linear: LinearSubsets | None = None, start=None
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
            rest = misfit(self.problem, estimate.chi_square, estimate.observations, self.share)
            self._known[chosen] = rest + float(self.prices[picks].sum()), estimate
        return self._known[chosen]
