"""Which degree and which terms of rational functions the data ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .estimation import EstimationError
from .rational import RationalFamily, Tie
from .rational_data import ManifoldData
from .rational_fit import Fit, ManifoldProblem

HIGHEST = 3  # degree that is tried
SIGNIFICANT = 3.0  # standard errors that a term must exceed to stay
_WORSE = 1.15  # times the best misfit of all degrees, up to which a lower degree is preferred
_STEP = 0.005  # change off the curve between samples, as a share, that may be the initial layer
_ROUNDS = 20


@dataclass(frozen=True)
class Regression:
    """A fit with the terms that were kept, and how they were chosen.

    Attributes
    ----------
    problem : ManifoldProblem
    fit : Fit
    path : list of (column, share, standard errors)
        What was dropped, and how large it was then.
    ladder : list of (degree, misfit)
    condition : float
        How nearly alike the candidate terms are.
    """

    problem: ManifoldProblem
    fit: Fit
    path: list[tuple[int, float, float]]
    ladder: list[tuple[int, float]]
    condition: float


@dataclass(frozen=True)
class Plan:
    """What is asked of a fit, whatever the data.

    Attributes
    ----------
    degree : int or None
        None: the lowest that fits.
    weights : ndarray (F,) or None
    total : float or None
        The conservation law of the `Tie`.
    nonnegative : bool
    threshold : float
        Zero keeps all terms.
    tolerance : float
    """

    degree: int | None
    weights: np.ndarray | None
    total: float | None
    nonnegative: bool
    threshold: float
    tolerance: float

    def problems(self, samples: ManifoldData) -> list[ManifoldProblem]:
        """Return one problem a degree, as far as there are enough samples.

        Raises
        ------
        EstimationError
            If there are too few for the lowest degree, or for the degree that is asked for.
        """
        found = [self._problem(samples, d) for d in range(1, (self.degree or HIGHEST) + 1)]
        least = found[0] if self.degree is None else found[-1]
        if not least.enough:
            raise EstimationError(
                f"{len(samples.times)} samples of {len(samples.fast_names)} fast species for "
                f"{len(least.everything) - 1} free coefficients of degree {least.family.degree}; "
                "give more samples or runs, fewer slow species or a lower degree"
            )
        return [problem for problem in found if problem.enough]

    def _problem(self, samples: ManifoldData, degree: int) -> ManifoldProblem:
        family = RationalFamily(samples.fast_names, samples.slow_names, degree)
        tie = Tie(family, self.weights, self.total)
        return ManifoldProblem(samples, family, tie, self.nonnegative)

    def choose(self, samples: ManifoldData) -> tuple[ManifoldProblem, Fit, list]:
        """Return the problem of the right degree, its fit with all terms, and the ladder."""
        return choose_degree(self.problems(samples), self.tolerance, self.degree)

    def regress(
        self, samples: ManifoldData, on_step: Callable[[int], None] = lambda terms: None
    ) -> Regression:
        """Choose the degree, then drop terms."""
        problem, fit, ladder = self.choose(samples)
        condition = problem.condition(problem.everything, fit.coefficients)
        fit, path = settle(problem, fit), []
        if self.threshold:
            fit, path = drop_terms(problem, fit, self.threshold, on_step)
        return Regression(problem, fit, path, ladder, condition)


def settle(problem: ManifoldProblem, fit: Fit, lack: float | None = None, passes: int = 2) -> Fit:
    """Fit again with the errors that follow from the fit; ``lack`` is measured if not given."""
    for _ in range(passes):
        problem.weigh(fit.coefficients, problem.lack(fit) if lack is None else lack)
        fit = problem.fit(fit.columns, fit.numbers)
    return fit


def choose_degree(
    problems: Sequence[ManifoldProblem], tolerance: float, degree: int | None = None
) -> tuple[ManifoldProblem, Fit, list[tuple[int, float]]]:
    """Return the problem of the lowest degree that fits, its fit, and the misfit of those tried.

    Misfits are in units of the errors of the data and of ``tolerance``, the share that is put
    down to the approximation. The lowest degree passes whose misfit is below 1 or hardly worse
    than the best: a higher one would only add factors that numerator and denominator share.
    ``degree`` sets it instead.
    """
    fits = []
    for problem in problems:
        problem.weigh(None, tolerance)
        fits.append(settle(problem, problem.fit(problem.everything), tolerance))
        if degree is None and fits[-1].misfit <= 1:
            break  # no higher degree can win
    ladder = [(p.family.degree, fit.misfit) for p, fit in zip(problems, fits, strict=False)]
    if degree is None:
        degree = min(passing(ladder))
    place = next(i for i, (rung, _) in enumerate(ladder) if rung == degree)
    return problems[place], fits[place], ladder


def passing(ladder: Sequence[tuple[int, float]]) -> list[int]:
    """Return the degrees that fit."""
    limit = max(1.0, _WORSE * min(misfit for _, misfit in ladder))
    return [degree for degree, misfit in ladder if misfit <= limit]


def drop_terms(
    problem: ManifoldProblem,
    fit: Fit,
    threshold: float,
    on_step: Callable[[int], None] = lambda terms: None,
) -> tuple[Fit, list[tuple[int, float, float]]]:
    """Drop the least term, refit, and go on until all are large and significant.

    Returns
    -------
    fit : Fit
    path : list of (column, share, standard errors)
        What was dropped, and how large it was then.
    """
    path, stuck = [], set()
    while len(fit.columns) > 1:
        share = problem.contributions(fit)
        error = np.sqrt(np.clip(np.diag(problem.covariance(fit)), 0.0, None))
        ratio = np.abs(fit.numbers) / np.maximum(error, 1e-300)
        score = np.minimum(share / threshold, ratio / SIGNIFICANT)
        score[fit.numbers == 0] = 0.0
        score[[column in stuck for column in fit.columns]] = np.inf
        least = int(np.argmin(score))
        if score[least] >= 1:
            break
        try:
            smaller = problem.fit(np.delete(fit.columns, least), np.delete(fit.numbers, least))
        except EstimationError:
            stuck.add(fit.columns[least])
            continue
        path.append((int(fit.columns[least]), float(share[least]), float(ratio[least])))
        fit = smaller
        on_step(len(fit.columns))
    return settle(problem, fit), path


def layer_end(problem: ManifoldProblem, fit: Fit) -> float | None:
    """Return the first time at which all runs are on the curve, None if they are from the start.

    In the initial layer fast species move while the slow ones hardly do: what they move by is
    then what they move off or towards the curve by.
    """
    data = problem.data
    off, values = problem.residuals(fit) / problem.scale, data.fast / problem.scale
    least = np.maximum(_STEP, 6 * problem.errors(fit) / problem.scale)
    ends = []
    for run in data.runs:
        moved = np.abs(np.diff(off[run], axis=0))
        # of all species together: one alone may pass through an extremum
        own = moved.max(axis=1) > 0.5 * np.abs(np.diff(values[run], axis=0)).max(axis=1)
        steps = own & (moved > least[run][1:]).any(axis=1)
        count = len(steps) if steps.all() else int(np.argmin(steps))
        if count:
            ends.append(data.times[run][count])
    return max(ends, default=None)


def settled_since(plan: Plan, found: Regression) -> float | None:
    """Return from when on the runs lie on the slow manifold, None if from the start.

    A layer bends the curve towards itself and so hides a part of itself: what is found is left
    out, the curve is fitted again, and so on.
    """
    end, samples = None, found.problem.data
    for _ in range(_ROUNDS):
        later = layer_end(found.problem, found.fit)
        if later is None:
            break
        end, rest = later, since(samples, later)
        try:
            found = plan.regress(rest)
        except EstimationError:
            break
    return end


def since(samples: ManifoldData, start: float) -> ManifoldData:
    """Return the samples from a time on."""
    keep = samples.times >= start
    counts = [int(keep[run].sum()) for run in samples.runs]
    ends = np.cumsum([0, *counts])
    pairs = zip(ends[:-1], ends[1:], strict=True)
    return replace(
        samples,
        times=samples.times[keep], fast=samples.fast[keep], slow=samples.slow[keep],
        runs=tuple(slice(a, b) for a, b in pairs if b > a),
        spread=tuple(
            [None if s is None else s[keep[run]] for s in spreads]
            for run, spreads, count in zip(samples.runs, samples.spread, counts, strict=True)
            if count
        ),
    )  # fmt: skip
