"""Rate parameters from joint histograms: maximum likelihood with the master equation (Eq. 4)."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..networks.expressions import listing
from ..networks.network import ReactionNetwork
from ..networks.reactions import NetworkError
from ..projection.fsp import finite_state_projection
from ..projection.state_distribution import FSPError, StateDistribution, check_species
from ..sampling.ensemble import Ensemble
from .estimation import normal_quantile

_HALVINGS = 12
_DAMPED = 0.1  # Levenberg's damping, relative, far from the maximum
_FAR = 4  # times more information in the data than the model expects
_BLIND = 1e12  # condition number of the information, parameters in their own units
_CLOSE = 0.01  # of a standard error: a step that short no longer matters


def fit_histograms(
    network: ReactionNetwork,
    data: Ensemble | Mapping,
    initial=None,
    *,
    parameters: Sequence[str] | None = None,
    runs: int | None = None,
    tolerance: float = 1e-8,
    level: float = 0.95,
    max_iterations: int = 30,
) -> HistogramFit:
    r"""Find the parameters under which joint histograms are most likely, by Fisher scoring.

    .. math:: θ ← θ + I^{-1} \sum_{t,n} N_t(n) \frac{∂ \ln p(n, t)}{∂θ}

    with the information I of `StateDistribution.fisher_information`. Every step solves the master
    equation once, with sensitivities. Parameters stay at zero or above.

    Parameters
    ----------
    network : ReactionNetwork
        Its parameters have values: where the search starts.
    data : Ensemble, or mapping of time -> DataArray (one dimension a species)
        Shares of runs in each state, as `Ensemble.histogram` returns them; of an Ensemble, all
        that it recorded, apart from t = 0.
    initial : mapping species -> count, sequence of counts, or DataArray, optional
        The start; default that of the Ensemble.
    parameters : sequence of str, optional
        Those to find; default all.
    runs : int, optional
        Number of runs in each histogram; default that of the Ensemble.
    tolerance : float
        Of the finite state projection.
    level : float
        Of the intervals.
    max_iterations : int

    Returns
    -------
    HistogramFit

    Raises
    ------
    FSPError
        If data and network do not match, if a parameter has no value or cannot be told from
        the others, or if the model cannot be solved.

    Notes
    -----
    The standard errors hold for histograms of independent runs at each time (cells that are
    killed to be counted). Histograms of the same runs at several times are not independent: the
    estimate is still consistent, but its standard errors are then too small or too large.

    Examples
    --------
    >>> import chemnb as cn
    >>> truth = cn.ReactionNetwork("0 -> A ; b \n A -> 0 ; d", b=8, d=0.5)
    >>> data = cn.sample(truth, {"A": 0}, [0, 1, 3], runs=20_000, histograms=[1, 3], seed=1)
    >>> fit = fit_histograms(truth.with_parameters(b=3, d=1), data)
    >>> fit.rates[["value", "standard error"]].round(2).to_dict("list")
    {'value': [8.07, 0.51], 'standard error': [0.04, 0.01]}
    """
    times, tables, initial, runs = _read(network, data, initial, runs)
    names = tuple(network.parameters if parameters is None else parameters)
    if not names:
        raise FSPError("this network has no named parameter to fit; write for example 'A -> 0 ; k'")
    if free := [name for name in network.parameters if network.parameters[name] is None]:
        raise FSPError(
            f"{listing(free)} has no value; give one from which to start, "
            f"network.with_parameters({free[0]}=...)"
        )

    if unknown := [name for name in names if name not in network.parameters]:
        raise FSPError(
            f"{listing(unknown)} is not a parameter of this network; "
            f"its parameters are {listing(network.parameters)}"
        )
    seen = dict(zip(network.species, np.max([t.shape for t in tables], axis=0) - 1, strict=True))

    def solve(values):
        given = network.with_parameters(dict(zip(names, values, strict=True)))
        options = dict(sensitivities=names, tolerance=tolerance)
        solution = finite_state_projection(given, initial, times, **options)
        if any(seen[name] > bound for name, bound in solution.bounds.items()):
            # far from the truth: what was seen must still have a probability
            bounds = {name: int(max(seen[name], b)) for name, b in solution.bounds.items()}
            solution = finite_state_projection(given, initial, times, bounds=bounds, **options)
        return _Point(solution, values, tables, runs)

    now = solve(np.array([network.parameters[name] for name in names], dtype=float))
    moved, iterations = np.inf, 0
    while moved > _CLOSE and iterations < max_iterations:
        now, moved = _better(solve, now)
        iterations += 1
    estimate = now.values, now.covariance(), now.log_likelihood
    return HistogramFit(now.network, names, *estimate, iterations, moved <= _CLOSE, level)


@dataclass(frozen=True)
class HistogramFit:
    """Parameters with intervals (`fit_histograms` makes it).

    Attributes
    ----------
    network : ReactionNetwork
        With the found values.
    parameters : tuple of str
    values : ndarray (P,)
    covariance : ndarray (P, P)
        Of the estimation error; zero for parameters held at zero.
    log_likelihood : float
        Without the number of ways to order the runs.
    iterations : int
    converged : bool
        Whether the last step was shorter than a hundredth of a standard error.
    level : float
    """

    network: ReactionNetwork
    parameters: tuple[str, ...]
    values: np.ndarray
    covariance: np.ndarray
    log_likelihood: float
    iterations: int
    converged: bool
    level: float

    @property
    def rates(self):
        """Each parameter: value, standard error, interval; DataFrame."""
        import pandas as pd

        variances = np.diag(self.covariance)
        # held at zero: there is no error to state
        errors = np.where(variances > 0, np.sqrt(variances), np.nan)
        reach = normal_quantile(self.level) * errors
        columns = {
            "value": self.values, "standard error": errors,
            "lower": self.values - reach, "upper": self.values + reach,
        }  # fmt: skip
        return pd.DataFrame(columns, index=pd.Index(self.parameters, name="rate"))

    def __repr__(self) -> str:
        state = "converged" if self.converged else "not converged"
        return f"HistogramFit({len(self.parameters)} parameters, {self.iterations} steps, {state})"

    def _repr_html_(self) -> str:
        shown = self.rates.to_html(float_format="{:.5g}".format, border=0, na_rep="")
        return f"<p>{html.escape(repr(self))}</p>{shown}"


class _Point:
    """The likelihood, its slope and its information for one set of parameters."""

    def __init__(self, solution: StateDistribution, values, tables, runs: int) -> None:
        self.network, self.values = solution.network, values
        self.log_likelihood = 0.0
        self.score, self.information = np.zeros(len(values)), np.zeros((len(values),) * 2)
        self._seen_information = np.zeros_like(self.information)
        probabilities = solution.probability.values
        slopes = np.array([solution.sensitivity(name).values for name in solution.parameters])
        for t, table in enumerate(tables):
            p, slope, share = self._cells(probabilities[t], slopes[:, t], table)
            relative = slope / p
            self.log_likelihood += runs * float(share @ np.log(p))
            self.score += runs * (relative @ share)
            self.information += runs * (relative * p) @ relative.T
            self._seen_information += runs * (relative * share) @ relative.T

    @staticmethod
    def _cells(p, slopes, table):
        """Return probabilities, slopes and shares of the states of the model, and of all others."""
        shape = tuple(max(sizes) for sizes in zip(p.shape, table.shape, strict=True))
        share = np.zeros(shape)
        share[tuple(map(slice, table.shape))] = table
        seen = np.zeros(shape, dtype=bool)
        seen[tuple(map(slice, p.shape))] = p > 0
        inside = seen[tuple(map(slice, p.shape))]
        p, slopes, share, elsewhere = p[inside], slopes[:, inside], share[seen], share[~seen].sum()
        rest = max(1 - p.sum(), 1e-15)
        other = -slopes.sum(axis=1, keepdims=True)
        return np.append(p, rest), np.hstack([slopes, other]), np.append(share, elsewhere)

    @property
    def held(self) -> np.ndarray:
        """Which parameters are zero and would go below."""
        return (self.values == 0) & (self.score <= 0)

    def step(self) -> tuple[np.ndarray, float]:
        """Return the step of Fisher scoring, with its length in standard errors."""
        damped = self._inverse(self.information, _DAMPED)
        # the data are unlikely here, and what they should tell is not what they do
        far = np.sum(damped * self._seen_information) > _FAR * len(self.values)
        step = (damped if far else self.covariance()) @ self.score
        length = float(np.sqrt(max(self.score @ step, 0.0)))
        growth = np.abs(step) / np.where(self.values > 0, self.values, np.inf)
        return step / (max(1.0, growth.max()) if far else 1.0), length

    def covariance(self) -> np.ndarray:
        """Return the inverse of the information on the parameters that are not held."""
        return self._inverse(self.information)

    def _inverse(self, information: np.ndarray, damping: float = 0.0) -> np.ndarray:
        free = np.flatnonzero(~self.held)
        block = information[np.ix_(free, free)]
        scale = np.sqrt(np.diag(block))
        units = np.outer(scale, scale)
        block = block + damping * np.diag(scale**2)
        if np.any(scale == 0) or np.linalg.cond(block / units) > _BLIND:
            raise FSPError(
                "these histograms do not tell all parameters from each other (the Fisher "
                "information is singular); fit fewer, parameters=[...], or use more times"
            )
        result = np.zeros_like(information)
        result[np.ix_(free, free)] = np.linalg.inv(block / units) / units
        return result


def _better(solve, now: _Point) -> tuple[_Point, float]:
    """Return a point of higher likelihood, by the full step or a part, and the step's length."""
    step, length = now.step()
    if length <= _CLOSE:
        return now, length
    for _ in range(_HALVINGS):
        values = np.maximum(now.values + step, 0)
        try:
            tried = solve(values)
        except (NetworkError, FSPError):  # 1 - r1 - r2 below zero, or rates too large to solve
            tried = None
        if tried is not None and tried.log_likelihood > now.log_likelihood - 1e-9:
            return tried, length
        step = step / 2
    return now, length


def _read(network, data, initial, runs):
    """Return times, tables (arrays over the species), the start and the number of runs."""
    if isinstance(data, Ensemble):
        recorded = [float(data.times[row]) for row in data._histograms]
        data, initial, runs = (
            {time: data.histogram(time) for time in recorded},
            data.initial if initial is None else initial,
            data.runs if runs is None else runs,
        )
    if not isinstance(data, Mapping):
        raise FSPError("data must be an Ensemble or a mapping, time -> joint histogram")
    times = sorted(time for time in data if time > 0)
    if not times:
        raise FSPError(
            "no histogram later than t = 0; ask for them with sample(..., histograms=[...])"
        )
    if initial is None:
        raise FSPError("initial is missing; give the state at t = 0")
    if not isinstance(runs, (int, np.integer)) or runs < 1:
        raise FSPError(f"runs is {runs!r}; give the number of runs in each histogram")
    return times, [_table(network, data[time], time) for time in times], initial, int(runs)


def _table(network, histogram, time: float) -> np.ndarray:
    if not hasattr(histogram, "dims"):
        raise FSPError(f"the histogram at {time:g} is no DataArray with one dimension a species")
    check_species(map(str, histogram.dims), network.species, f"the histogram at {time:g}")
    if missing := [name for name in network.species if name not in histogram.dims]:
        raise FSPError(f"the histogram at {time:g} lacks the species {listing(missing)}")
    histogram = histogram.transpose(*network.species)
    shape = [int(histogram[name].max()) + 1 for name in network.species]
    table = np.zeros(shape)
    table[np.ix_(*(histogram[name].values for name in network.species))] = histogram.values
    if not (np.all(table >= 0) and abs(table.sum() - 1) < 1e-6):
        raise FSPError(
            f"the histogram at {time:g} sums to {table.sum():.6g}; "
            "shares are zero or more and sum to 1"
        )
    return table
