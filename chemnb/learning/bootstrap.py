"""Intervals by fitting again to data that could have been measured instead (Efron 1979)."""

from __future__ import annotations

import html
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..equations.polynomials import SolverError
from ..progress import progress_bar
from .estimation import EstimationError
from .learned import Learned
from .linearised import Fit
from .noise import UncertaintyError, estimate_noise, reach
from .robust import robust_choice
from .selection import Choice, Search, term_prices
from .trajectories import TrajectoryProblem

METHODS = ("auto", "parametric", "residuals", "experiments")
_FEWEST = 20  # resamples
_TIED = 0.05  # share of draws
_LOST = 0.2  # share of failed fits above which nothing is said


@dataclass(frozen=True)
class Bootstrap:
    """Fits to resampled data, and the intervals that follow.

    Attributes
    ----------
    learned : Learned
        The fit to the data themselves.
    method : str
        How the data were resampled.
    level : float
        Of the intervals.
    theta : ndarray (resamples, pairs)
        Every coefficient in the user's units; zero where it was dropped.
    unknowns : ndarray (resamples, unknowns)
        What was fitted, such as rates; zero where dropped.
    kept : ndarray of bool (resamples, unknowns)
    freedom : float
        Degrees of freedom of the noise level, infinite where it was given.
    failed : int
        Resamples whose fit failed; they are left out.
    selection : bool
        Whether terms were chosen anew in every resample.
    """

    learned: Learned
    method: str
    level: float
    theta: np.ndarray
    unknowns: np.ndarray
    kept: np.ndarray
    freedom: float
    failed: int
    selection: bool

    @property
    def coefficients(self):
        """Value, standard error, interval of every kept coefficient, DataFrame.

        With ``selection=True`` also those that only resamples kept, and the share of resamples
        that kept each.
        """
        import pandas as pd

        learned, library = self.learned, self.learned.library
        best = np.zeros(self.theta.shape[1])
        best[[learned.candidates.index(pair) for pair in learned.pairs]] = learned.values
        tied = learned.problem.tie != 0
        fixed = learned.problem.offset != 0
        share = np.array([(self.kept[:, row].any(axis=1) | known).mean()
                          for row, known in zip(tied, fixed, strict=True)])  # fmt: skip
        loose = np.zeros(len(best), dtype=bool)
        errors = np.diag(learned.errors)
        loose[[learned.candidates.index(pair) for pair in learned.pairs]] = np.isinf(errors)
        table = self._table(best, self.theta, loose)
        pairs = [(library.names[row], library.labels[term]) for row, term in learned.candidates]
        table.index = pd.MultiIndex.from_tuples(pairs, names=["equation", "term"])
        if self.selection:
            table["share"] = share
        return table[share > 0].reset_index()

    @property
    def rates(self):
        """The same for what was fitted, DataFrame by name: rate constants, with a network."""
        import pandas as pd

        learned = self.learned
        best = np.zeros(self.unknowns.shape[1])
        best[learned.chosen] = learned.scaled * learned.problem.unit[learned.chosen]
        loose = np.zeros(len(best), dtype=bool)
        if learned.fit.loose is not None:
            loose[learned.chosen] = learned.fit.loose
        table = self._table(best, self.unknowns, loose)
        table.index = pd.Index(learned.problem.unknowns.names, name="unknown")
        if self.selection:
            table["share"] = self.kept.mean(axis=0)
        return table[self.kept.any(axis=0)]

    def _table(self, best: np.ndarray, draws: np.ndarray, loose: np.ndarray):
        import pandas as pd

        lower, upper = percentiles(best, draws, float(reach(self.level, self.freedom)))
        table = pd.DataFrame({
            "value": best, "standard error": draws.std(axis=0, ddof=1), "lower": lower,
            "upper": upper,
        })  # fmt: skip
        # a fit that starts where the last one ended does not wander along a flat valley
        table.loc[loose, ["standard error", "lower", "upper"]] = [np.inf, -np.inf, np.inf]
        return table

    def __str__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        head = f"bootstrap ({self.method}), {len(self.theta)} resamples{failed}"
        return f"{head}\n{self._shown.to_string()}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self).splitlines()[0])}</p>{self._shown.to_html()}"

    @property
    def _shown(self):
        return self.coefficients.set_index(["equation", "term"]).map("{:.4g}".format)


def bootstrap(
    learned: Learned,
    resamples: int = 200,
    *,
    method: str = "auto",
    selection: bool = False,
    loss: str = "squared",
    seed: int = 0,
    level: float = 0.95,
    workers: int = 1,
    progress: bool = True,
) -> Bootstrap:
    """Fit again to resampled data; see `ODENet.bootstrap`."""
    _check(learned, resamples, method, selection, workers)
    problem = learned.problem
    if method == "auto":
        method = "parametric" if problem.absolute else "residuals"
    draw, freedom = _DRAWS[method](learned)
    prices = term_prices(problem) if selection else None

    def one(child):
        try:
            other, starts = draw(np.random.default_rng(child))
            return _refit(learned, other, starts, loss, prices)
        except (EstimationError, SolverError, np.linalg.LinAlgError):
            return None

    # each resample has a seed of its own: the order in which workers take them is no matter
    children = np.random.SeedSequence(seed).spawn(resamples)
    found = []
    with (
        progress_bar(resamples, "bootstrap", "fit", progress) as bar,
        ThreadPoolExecutor(workers, thread_name_prefix="chemnb") as pool,
    ):
        for result in pool.map(one, children):
            found.append(result)
            bar.update()
    good = [result for result in found if result is not None]
    if len(found) - len(good) > _LOST * resamples:
        raise UncertaintyError(
            f"{len(found) - len(good)} of {resamples} resamples could not be fitted; these data "
            "hardly hold the coefficients: look at identifiability() and learn fewer terms"
        )
    theta, unknowns, kept = (np.array(part) for part in zip(*good, strict=True))
    return Bootstrap(
        learned, method, level, theta, unknowns, kept, freedom, len(found) - len(good), selection
    )  # fmt: skip


def percentiles(best: np.ndarray, draws: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Return ends of bias-corrected percentile intervals (Efron 1981, doi:10.2307/3314608).

    ``limit`` is how many standard errors an interval would reach: where it is Student's, the
    percentiles lie further out (Hesterberg 2015, doi:10.1080/00031305.2015.1089789).

    Examples
    --------
    >>> draws = np.linspace(-1, 1, 1001)[:, None]
    >>> lower, upper = percentiles(np.zeros(1), draws, 1.96)
    >>> round(float(lower[0]), 2), round(float(upper[0]), 2)
    (-0.95, 0.95)
    """
    from scipy.special import ndtr, ndtri

    bias = ndtri(np.clip((draws < best).mean(axis=0), 1 / len(draws), 1 - 1 / len(draws)))
    # a value at its bound has many draws on it, and no bias that could be told from them
    at = np.abs(draws - best) <= 1e-9 * np.abs(draws).max(axis=0, initial=1e-300)
    bias = np.where(at.mean(axis=0) > _TIED, 0.0, bias)
    ends = [
        np.array([
            np.quantile(column, q) for column, q in zip(draws.T, ndtr(2 * bias + z), strict=True)
        ])
        for z in (-limit, limit)
    ]  # fmt: skip
    return ends[0], ends[1]


def _check(learned: Learned, resamples, method, selection, workers) -> None:
    if method not in METHODS:
        raise UncertaintyError(f"method={method!r} is unknown; use one of {METHODS}")
    if isinstance(resamples, bool) or resamples % 1 or resamples < _FEWEST:
        raise UncertaintyError(f"resamples={resamples!r}; give a whole number from {_FEWEST} on")
    if isinstance(workers, bool) or workers % 1 or workers < 1:
        raise UncertaintyError(f"workers={workers!r}; give a whole number of 1 or more")
    check_fit(learned, "a bootstrap")
    if method == "parametric" and not learned.problem.absolute:
        raise UncertaintyError(
            "method='parametric' draws errors from their covariance, which was not given; use "
            "method='residuals', or fit with standard_errors= or covariance="
        )
    if method == "residuals" and learned.problem.absolute:
        raise UncertaintyError(
            "method='residuals' is for errors of unknown size; here they were given: use "
            "method='parametric'"
        )
    if method == "experiments" and len(learned.problem.experiments) < 5:
        raise UncertaintyError(
            f"{len(learned.problem.experiments)} experiments are too few to resample; "
            "method='experiments' needs 5 or more"
        )


def check_fit(learned: Learned, what: str) -> None:
    """Raise `UncertaintyError` unless a fit has a minimum around which one can look."""
    if not learned.chosen:
        raise UncertaintyError(f"no term was kept, so there is nothing for {what}")
    if learned.library.constants:
        raise UncertaintyError(
            f"{what} would hold the constants inside the terms fixed; give them values, or use "
            "the standard errors in .constants"
        )
    if np.isnan(learned.scaled_errors).any():
        raise UncertaintyError(
            f"{what} needs a least-squares fit, and the penalty of Adam biases the coefficients; "
            "use refit=True, or optimizer='lm'"
        )


def _refit(learned: Learned, problem: TrajectoryProblem, starts, loss, prices):
    """Return θ (pairs,), unknowns, and which were kept, in the user's units."""
    picks, u = list(learned.chosen), learned.scaled
    if prices is not None:
        at = Fit(**{**vars(learned.fit), "starts": starts})
        search = Search(problem, prices, {})
        near = search.linear(problem.linearised(picks, at))
        picks = sorted(near.search(frozenset(picks)))
        u, starts = near.solution(picks)
    if loss == "squared":
        fit = problem.fit(picks, u, starts)
    else:
        fit = robust_choice(
            problem, loss, lambda p: Choice(picks, p.fit(picks, u, starts), [], p)
        ).estimate  # fmt: skip
    full, kept = np.zeros(len(problem.unknowns)), np.zeros(len(problem.unknowns), dtype=bool)
    full[picks], kept[picks] = fit.parameters * problem.unit[picks], True
    theta = problem.theta(picks, fit.parameters)
    return theta * problem.scaling.factors(problem.unknowns.pairs), full, kept


Draw = Callable[[np.random.Generator], tuple[TrajectoryProblem, np.ndarray]]


def _parametric(learned: Learned) -> tuple[Draw, float]:
    """Errors from the covariance of the data, around the fitted solution."""
    problem = learned.problem
    solutions = problem.solutions(learned.chosen, learned.fit)
    roots = [_root(e.covariance) for e in problem.experiments]

    def draw(rng):
        data = [
            y + _coloured(root, rng).reshape(y.shape)
            for y, root in zip(solutions, roots, strict=True)
        ]
        return _with_data(problem, data), learned.fit.starts

    return draw, np.inf


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return what turns independent errors of size one into those of the data."""
    known = np.nan_to_num(covariance)
    if known.ndim == 1:
        return np.sqrt(known)
    values, vectors = np.linalg.eigh(known)
    return vectors * np.sqrt(np.clip(values, 0.0, None))


def _coloured(root: np.ndarray, rng) -> np.ndarray:
    white = rng.standard_normal(root.shape[-1])
    return root * white if root.ndim == 1 else root @ white


def _residuals(learned: Learned) -> tuple[Draw, float]:
    """What the fit leaves, each variable's drawn in blocks of neighbours where it is alike.

    A residual is smaller than the error by what the fit followed, and is stretched by that.
    """
    problem = learned.problem.weighted(None)
    solutions = problem.solutions(learned.chosen, learned.fit)
    noise = estimate_noise(problem, learned.chosen, learned.fit)
    stretch = problem.windows.plain(1 / np.sqrt(np.clip(1 - noise.leverages, 0.05, None)))
    rest = [
        (e.values - y) * factor
        for e, y, factor in zip(problem.experiments, solutions, stretch, strict=True)
    ]
    length = 1 if noise.share == 1 else int(np.ceil(2 / noise.share))
    pools = []
    for column in np.vstack(rest).T:
        seen = column[np.isfinite(column)]
        pools.append(seen - seen.mean() if len(seen) else np.zeros(1))

    def draw(rng):
        data = []
        for y in solutions:
            error = [_blocks(pool, len(y), length, rng) for pool in pools]
            data.append(y + np.column_stack(error))
        return _with_data(problem, data), learned.fit.starts

    return draw, float(min(noise.freedom))


def _blocks(pool: np.ndarray, count: int, length: int, rng) -> np.ndarray:
    """Return ``count`` values of a pool, blocks of neighbours at a time (ends joined)."""
    first = rng.integers(len(pool), size=-(-count // length))
    places = (first[:, None] + np.arange(length)).ravel()[:count]
    return pool[places % len(pool)]


def _experiments(learned: Learned) -> tuple[Draw, float]:
    """Whole experiments, with replacement: no assumption on errors within one."""
    problem, count = learned.problem, len(learned.problem.experiments)
    owners = problem.windows.experiment

    def draw(rng):
        picks = rng.integers(count, size=count)
        starts = np.concatenate([learned.fit.starts[owners == k] for k in picks])
        return problem.resampled([problem.experiments[k] for k in picks], picks), starts

    return draw, count - 1.0


_DRAWS = {"parametric": _parametric, "residuals": _residuals, "experiments": _experiments}


def _with_data(problem: TrajectoryProblem, data) -> TrajectoryProblem:
    """Return the problem with other values where there were any."""
    from dataclasses import replace

    return problem.resampled([
        replace(e, values=np.where(np.isfinite(e.values), values, np.nan))
        for e, values in zip(problem.experiments, data, strict=True)
    ])  # fmt: skip
