"""What a fit of equations found: coefficients with intervals, formulas, forecasts, a verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..networks.expressions import listing
from .library import Library, state_symbols
from .noise import reach
from .selection import Choice
from .term_system import term_system
from .timeseries import check_times, read_initial
from .trajectories import Fit, TrajectoryProblem
from .unknowns import Pair

_COLLINEAR = 1000.0  # condition number of normalised columns that calls for a warning
_NAMED = 6  # collinear terms that are named in the advice


class LearnedEquations(list):
    """Learned equations as a list of SymPy equations that shows itself as LaTeX.

    Parameters
    ----------
    parts : sequence of (symbol, [(coefficient, term), ...])
        In the order in which they are shown.
    """

    def __init__(self, parts) -> None:
        import sympy

        t = sympy.Symbol("t")
        self._parts = list(parts)
        super().__init__(
            sympy.Eq(sympy.Derivative(symbol, t), sum(c * g for c, g in terms), evaluate=False)
            for symbol, terms in self._parts
        )

    def __str__(self) -> str:
        return "\n".join(f"d/dt {equation.lhs.args[0]} = {equation.rhs}" for equation in self)

    def _repr_latex_(self) -> str:
        import sympy

        from ..equations.typeset import aligned, latex, term_latex

        one = sympy.Integer(1)
        rows = [
            (
                rf"\frac{{d{latex(symbol)}}}{{dt}}",
                [term_latex(c, one, "" if term == 1 else latex(term)) for c, term in terms],
            )
            for symbol, terms in self._parts
        ]
        return f"$\\displaystyle {aligned(rows)}$"


@dataclass(frozen=True)
class Report:
    """How a fit went.

    Attributes
    ----------
    converged : bool
        Whether the loss is at a minimum.
    iterations : int
        Of the last fit.
    loss : float
        Levenberg-Marquardt: the weighted sum of squares; Adam: Eq. 2.
    verdict : str
        The same in words, with what is suspicious about the fit.
    condition_number : float
        Of the library's columns along the data, each of length one.
    collinear : tuple of str
        Terms that these data can hardly tell apart.
    advice : str
        What would help; empty if nothing is wrong.
    path : tuple of (terms, score)
        The choices that the selection went through.
    history : ndarray
        Adam: the loss of every iteration.
    """

    converged: bool
    iterations: int
    loss: float
    verdict: str
    condition_number: float
    collinear: tuple[str, ...] = ()
    advice: str = ""
    path: tuple = ()
    history: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)

    def __str__(self) -> str:
        return self.verdict + (f"\n{self.advice}" if self.advice else "")


@dataclass(frozen=True)
class Learned:
    """Learned coefficients of dy/dt = θΓ(y).

    Attributes
    ----------
    problem : TrajectoryProblem
        The data, the library, bound to their names, and all unknowns.
    chosen : list of int
        The unknowns that were kept.
    fit : Fit
        Their values, in the units of the problem.
    report : Report
    shares : ndarray (unknowns,) or None
        Share of resamples in which each unknown is kept.
    """

    problem: TrajectoryProblem
    chosen: list[int]
    fit: Fit
    report: Report
    shares: np.ndarray | None = None

    @property
    def scaled(self) -> np.ndarray:
        """Values of the chosen unknowns in the units of the problem."""
        return self.fit.parameters

    @property
    def scaled_errors(self) -> np.ndarray:
        """Covariance of their errors; NaN where unknown."""
        return self.fit.covariance

    @property
    def starts(self) -> np.ndarray:
        """State (experiments, D) at the origin of each, in units of the problem."""
        windows = self.problem.windows
        _, first = np.unique(windows.experiment, return_index=True)
        return self.fit.starts[first]

    def refitted(self, weights) -> Fit:
        """Return the fit of the same terms with other factors on the weights of the data.

        One array (T * D,) an experiment: a resample, or data left out.
        """
        problem = self.problem.weighted(weights)
        return problem.fit(self.chosen, self.fit.parameters, self.fit.starts)

    @property
    def library(self) -> Library:
        """The library, bound to the names of the data."""
        return self.problem.scaling.library

    @property
    def candidates(self) -> tuple[Pair, ...]:
        """The (equation, term) pairs that could be used."""
        return self.problem.unknowns.pairs

    @cached_property
    def _kept(self) -> np.ndarray:
        tie = self.problem.tie[:, self.chosen]
        return np.flatnonzero((tie != 0).any(axis=1) | (self.problem.offset != 0))

    @property
    def pairs(self) -> list[Pair]:
        """The (equation, term) pairs that were kept."""
        return [self.candidates[i] for i in self._kept]

    @property
    def scaled_values(self) -> np.ndarray:
        """θ of the kept pairs in the units of the problem."""
        return self.problem.theta(self.chosen, self.scaled)[self._kept]

    @property
    def values(self) -> np.ndarray:
        """θ of the kept pairs in the user's units."""
        return self.scaled_values * self.problem.scaling.factors(self.pairs)

    @property
    def errors(self) -> np.ndarray:
        """Covariance of θ of the kept pairs in the user's units; NaN where unknown."""
        tie = self.problem.tie[np.ix_(self._kept, self.chosen)]
        tie = tie * self.problem.scaling.factors(self.pairs)[:, None]
        if np.isnan(self.scaled_errors).any():
            return np.full((len(tie), len(tie)), np.nan)
        errors = tie @ self.scaled_errors @ tie.T
        if self.fit.loose is not None and self.fit.loose.any():
            loose = (tie[:, self.fit.loose] != 0).any(axis=1)
            errors[loose] = errors[:, loose] = np.nan
            errors[loose, loose] = np.inf
        return errors

    def reach(self, level: float) -> np.ndarray:
        """How many standard errors the interval of each chosen unknown reaches."""
        freedom = np.inf if self.fit.freedom is None else self.fit.freedom
        return np.broadcast_to(reach(level, freedom), len(self.chosen))

    def unknowns(self, level: float):
        """What was fitted, in the user's units: value, standard error, interval, kept."""
        import pandas as pd

        unit = self.problem.unit[self.chosen]
        values = self.scaled * unit
        errors = np.sqrt(np.clip(np.diag(self.scaled_errors), 0.0, None)) * unit
        if self.fit.loose is not None:
            errors[self.fit.loose] = np.inf
        limits = self.reach(level)
        table = pd.DataFrame(
            {"value": 0.0, "standard error": np.nan, "lower": np.nan, "upper": np.nan,
             "kept": False},
            index=pd.Index(self.problem.unknowns.names, name="unknown"),
        )  # fmt: skip
        for place, value, error, far in zip(self.chosen, values, errors, limits, strict=True):
            table.iloc[place] = [value, error, value - far * error, value + far * error, True]
        return table

    def support_path(self):
        """Coefficients of all candidates as an L1 penalty grows, DataFrame by ε."""
        import pandas as pd

        from .stability import l1_path

        problem, library = self.problem, self.library
        choice = Choice(self.chosen, self.fit, [], problem)
        epsilons, path = l1_path(choice)
        theta = path @ problem.tie.T + problem.offset
        theta = theta * problem.scaling.factors(self.candidates)
        columns = pd.MultiIndex.from_tuples(
            [(library.names[row], library.labels[term]) for row, term in self.candidates],
            names=["equation", "term"],
        )
        return pd.DataFrame(theta, pd.Index(epsilons, name="epsilon"), columns)

    def initial(self):
        """States at the origins in the user's units, DataArray (experiment, variable)."""
        import xarray as xr

        problem = self.problem
        dimension = problem.experiments[0].dimension
        coords = {
            "experiment": np.arange(1, len(self.starts) + 1), dimension: list(self.library.names)
        }  # fmt: skip
        return xr.DataArray(self.starts * problem.scaling.scale, coords, dims=list(coords))

    def coefficients(self, level: float):
        """Every candidate term: value, standard error, interval, and whether it was kept."""
        import pandas as pd

        names, labels = self.library.names, self.library.labels
        errors = np.sqrt(np.clip(np.diag(self.errors), 0.0, None))
        tied = self.problem.tie[np.ix_(self._kept, self.chosen)] != 0
        limits = np.where(tied, self.reach(level), 0.0).max(axis=1, initial=0.0)
        known = {
            pair: (value, error, value - far * error, value + far * error, True)
            for pair, value, error, far in zip(self.pairs, self.values, errors, limits, strict=True)
        }
        nothing = (0.0, np.nan, np.nan, np.nan, False)
        rows = [
            (names[row], labels[term], *known.get((row, term), nothing))
            for row, term in self.candidates
        ]
        columns = ["equation", "term", "value", "standard error", "lower", "upper", "kept"]
        table = pd.DataFrame(rows, columns=columns)
        if self.shares is not None:
            tied = (self.problem.tie != 0) * self.shares
            table["stability"] = tied.max(axis=1, initial=0.0)
        return table

    def theta(self):
        """Coefficients as DataArray (equation, term); dropped terms are zero."""
        import xarray as xr

        library = self.library
        table = np.zeros((len(library.names), len(library)))
        for (row, term), value in zip(self.pairs, self.values, strict=True):
            table[row, term] = value
        coords = {"equation": list(library.names), "term": list(library.labels)}
        return xr.DataArray(table, coords=coords, dims=("equation", "term"))

    def covariance(self):
        """Covariance of the errors of the kept coefficients, DataFrame by (equation, term)."""
        import pandas as pd

        library = self.library
        index = pd.MultiIndex.from_tuples(
            [(library.names[row], library.labels[term]) for row, term in self.pairs],
            names=["equation", "term"],
        )
        return pd.DataFrame(self.errors, index=index, columns=index)

    def equations(self, digits: int = 4) -> LearnedEquations:
        """Return the learned equations as SymPy equations with rounded coefficients."""
        import sympy

        library = self.library
        symbols = state_symbols(library.names)
        terms = library.to_sympy(symbols)
        sums: dict[str, list] = {name: [] for name in library.names}
        for (row, term), value in zip(self.pairs, self.values, strict=True):
            rounded = sympy.Float(f"{value:.{digits}g}", digits)
            sums[library.names[row]].append((rounded, terms[term]))
        return LearnedEquations((symbols[name], parts) for name, parts in sums.items())

    def predict(self, initial, times):
        """Return the solution of the learned equations, labelled as the data were (DataArray).

        Parameters
        ----------
        initial : mapping of variable -> value, or sequence
            State at t = 0.
        times : sequence of float
            Increasing, zero or more.

        Raises
        ------
        SolverError
            If the learned equations blow up from there.
        """
        import xarray as xr

        problem = self.problem
        names = self.library.names
        times = np.asarray(times, dtype=float)
        check_times(times, "predict")
        scale = problem.scaling.scale
        start = read_initial(initial, list(names), "predict") / scale
        if self.pairs:
            values = term_system(problem.library, self.pairs).solve(
                self.scaled_values, start, times
            )
        else:
            values = np.tile(start, (len(times), 1))
        dimension = problem.experiments[0].dimension
        coords = {"time": times, dimension: list(names)}
        return xr.DataArray(values * scale, coords=coords, dims=list(coords))


def make_report(problem: TrajectoryProblem, choice: Choice, training, dead) -> Report:
    """Return the verdict on a fit; ``training`` is what Adam did, or None."""
    estimate = choice.estimate
    condition, collinear = collinearity(problem)
    verdict = estimate.message
    if problem.absolute and training is None:
        freedom = max(estimate.observations - len(choice.chosen), 1)
        ratio = estimate.chi_square / freedom
        verdict += f"; chi-square {estimate.chi_square:.4g} for {freedom} degrees of freedom"
        if ratio > 1 + 5 * np.sqrt(2 / freedom):
            verdict += ": these terms do not explain the data within their errors"
    advice = []
    if collinear:
        advice.append(
            f"{_short(collinear)} are nearly collinear along these data (condition number "
            f"{condition:.2g}), so their coefficients can hardly be told apart; add experiments "
            "from other starting states, or restrict the terms with allowed="
        )
    loose = estimate.loose
    if loose is not None and loose.any():
        shown = [problem.unknowns.names[choice.chosen[i]] for i in np.flatnonzero(loose)]
        advice.append(
            f"these data do not determine the coefficients of {_short(shown)}: they can change "
            "together without any change of the solution; measure more variables, tie "
            "coefficients, or give the starts that are known with initial="
        )
    if dead:
        advice.append(f"{listing(dead)} are zero in all data and cannot be learned from them")
    return Report(
        estimate.converged if training is None else training.converged,
        estimate.iterations if training is None else len(training.history),
        estimate.chi_square if training is None else training.loss,
        verdict if training is None else training.verdict,
        condition, collinear, "; ".join(advice), tuple(choice.path),
        np.zeros(0) if training is None else training.history,
    )  # fmt: skip


def _short(names) -> str:
    more = len(names) - _NAMED
    return listing(names) if more <= 0 else f"{listing(names[:_NAMED])} and {more} more"


def collinearity(problem: TrajectoryProblem) -> tuple[float, tuple[str, ...]]:
    """Return the worst condition number of an equation's columns, and the terms to blame."""
    worst, names, candidates = 1.0, (), problem.unknowns.pairs
    for terms in {tuple(t for r, t in candidates if r == row) for row, _ in candidates}:
        columns = problem.scaling.columns[:, terms] / np.linalg.norm(
            problem.scaling.columns[:, terms], axis=0
        )
        triangle = np.linalg.qr(columns, mode="r")
        square = np.zeros((len(terms), len(terms)))  # rows of zeros: fewer points than terms
        square[: len(triangle)] = triangle
        _, values, right = np.linalg.svd(square)
        condition = values[0] / max(values[-1], 1e-16 * values[0])
        if condition <= worst:
            continue
        worst = condition
        weak = np.abs(right[values < values[0] / _COLLINEAR])
        blamed = (weak > 0.3 * weak.max(axis=1, keepdims=True)).any(axis=0)
        labels = problem.scaling.library.labels
        names = tuple(labels[term] for term in np.array(terms)[blamed])
    return float(worst), names
