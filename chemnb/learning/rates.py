"""Rate constants from sampled moments, with intervals and a choice of reactions (Eq. 14, Table I)."""

from __future__ import annotations

import html
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from ..equations.dynamics import integrate
from ..networks.network import ReactionNetwork
from .estimation import Estimate, EstimationError
from .moment_fit import MomentFit
from .noise import reach
from .rate_map import RateMap, RatesError, rate_map
from .timeseries import DataError, read_experiments

_METHODS = ("direct", "two-stage")
_WEIGHTS = ("path", "diagonal", "none")


def fit_rates(
    candidate: ReactionNetwork,
    data,
    *,
    method: str = "direct",
    weights: str = "path",
    nonnegative: bool = False,
    select: str | None = None,
    order: int = 2,
    closure: str | None = None,
    fixed: Sequence[str] = (),
    rows: Sequence[tuple[str, str]] | None = None,
    level: float = 0.95,
    standard_errors=None,
    covariance=None,
    initial=None,
) -> RateFit:
    """Find the rate constants of a candidate network from moments over time.

    Parameters
    ----------
    candidate : ReactionNetwork
        All its named parameters are sought, whether or not they have values.
    data, standard_errors, covariance, initial
        An Ensemble with kept runs, labelled moments (time, moment), or a list of several
        experiments: see `chemnb.learning.timeseries.read_experiments`.
    method : {"direct", "two-stage"}
        "direct": the rates are fitted to the moments. "two-stage" is the paper's way: the
        coefficients of the equations are learned as if they were free (the α and β of
        Eqs. 11 and 13), then the rates from them by least squares (Eq. 14).
    weights : {"path", "diagonal", "none"}
        Weight of the data. "path": the inverse covariance of all moments at all times
        (generalised least squares); "diagonal": standard errors alone; "none": every moment by
        its range, as in ordinary least squares.
    nonnegative : bool
        Whether no reaction may have a rate constant below zero.
    select : {"bic"} or None
        Drop reactions as long as the Bayesian information criterion falls.
    order, closure, fixed
        See `chemnb.learning.rate_map.rate_map`.
    rows : sequence of (equation, term), optional
        Two stages: the learned coefficients to use, such as the ten of Eq. 14; default all.
    level : float
        Of the intervals. Whatever the weights, they follow from the covariance of the data;
        they are conditional on the reactions that were kept.

    Raises
    ------
    RatesError
        If an option is unknown, or data and network do not match.
    DataError
        If the data are incomplete or too few.

    Examples
    --------
    >>> import chemnb as cn
    >>> truth = cn.ReactionNetwork("0 -> A ; b \\n A -> 0 ; d", b=8, d=0.5)
    >>> data = cn.sample(truth, {"A": 0}, range(9), runs=20_000, keep=2000, seed=1)
    >>> fit = fit_rates(truth + "2 A -> A ; k", data, closure="normal", select="bic")
    >>> fit
    RateFit(direct, path weights: 2 of 3 reactions kept, converged)
    >>> fit.rates["value"].round(2).to_dict()
    {'b': 8.01, 'd': 0.5, 'k': 0.0}
    """
    for name, value, known in (
        ("method", method, _METHODS), ("weights", weights, _WEIGHTS), ("select", select, ("bic", None)),
    ):  # fmt: skip
        if value not in known:
            raise RatesError(f"{name}={value!r} is unknown; use one of {known}")
    if not 0 < level < 1:
        raise RatesError(f"level={level!r} must lie between 0 and 1, such as 0.95")
    rates = rate_map(candidate, order=order, closure=closure, fixed=fixed)
    labels = rates.equations.labels
    experiments = read_experiments(data, labels, standard_errors, covariance, initial)
    problem = MomentFit(rates, experiments, weights, method, rows)
    try:
        dropped, path = _eliminate(problem, nonnegative) if select else ((), ())
        basis = _basis(rates, dropped)
        estimate = problem.fit(basis, nonnegative)
    except EstimationError as error:
        raise DataError(f"the rates cannot be fitted: {error}") from None
    name = f"{method}, {weights} weights" + (", nonnegative" if nonnegative else "")
    return RateFit(rates, estimate, basis, dropped, path, level, name)


@dataclass(frozen=True)
class RateFit:
    """Rate constants with intervals (`fit_rates` makes it).

    Attributes
    ----------
    map : RateMap
        Eq. 14 for this network.
    estimate : Estimate
        Of the free directions; its chi-square tells whether the network explains the data.
    basis : ndarray (unknowns, free)
        The unknowns of the map are ``basis @ estimate.parameters``.
    dropped : tuple of int
        Reactions left out, by position in the candidate network.
    path : tuple of (tuple of int, float)
        What the selection went through: dropped reactions, BIC.
    level : float
    method : str
    """

    map: RateMap
    estimate: Estimate
    basis: np.ndarray
    dropped: tuple[int, ...]
    path: tuple
    level: float
    method: str
    freedom: float = np.inf

    @classmethod
    def of_unknowns(cls, rates: RateMap, fitted, level: float) -> RateFit:
        """Return the rates that an `ODENet` found when it was fitted with a network.

        Parameters
        ----------
        rates : RateMap
        fitted : chemnb.learning.learned.Learned
        level : float
        """
        names = fitted.problem.unknowns.names
        chosen = [rates.unknowns.index(names[place]) for place in fitted.chosen]
        unit = fitted.problem.unit[fitted.chosen]
        basis = np.eye(len(rates.unknowns))[:, chosen]
        silent = ~(rates.reactions @ basis != 0).any(axis=1) & (rates.known == 0)
        report = fitted.report
        estimate = Estimate(
            fitted.scaled * unit, fitted.scaled_errors * np.outer(unit, unit), report.loss,
            fitted.problem.observations, report.iterations, report.converged, report.verdict,
        )  # fmt: skip
        dropped = tuple(np.flatnonzero(silent).tolist())
        freedom = np.inf if fitted.fit.freedom is None else fitted.fit.freedom.min(initial=np.inf)
        return cls(rates, estimate, basis, dropped, report.path, level, "ODENet", float(freedom))

    @property
    def unknowns(self) -> np.ndarray:
        """Values of the map's unknowns."""
        return self.basis @ self.estimate.parameters

    @property
    def rates(self):
        """Each named parameter: value, standard error, interval, kept; DataFrame."""
        values, slopes = self.map.parameters(self.unknowns)
        own = [np.flatnonzero(row > 0) for row in self.map.inverse]
        kept = np.array([len(m) == 0 or bool(self.basis[m].any()) for m in own])
        return self._table("rate", list(self.map.names), values, slopes, kept)

    @property
    def reactions(self):
        """Each reaction of the candidate: rate constant, standard error, interval, kept."""
        values = self.map.reactions @ self.unknowns + self.map.known
        names = [reaction.equation for reaction in self.map.network.reactions]
        kept = ~np.isin(np.arange(len(names)), self.dropped)
        return self._table("reaction", names, values, self.map.reactions, kept)

    @property
    def coefficients(self):
        """Coefficients of the moment equations that the rates imply, by (equation, term)."""
        values = self.map.matrix @ self.unknowns + self.map.offset
        return self.map.table().assign(value=values)["value"]

    @property
    def kept(self) -> tuple[str, ...]:
        """The reactions that were not dropped."""
        return tuple(self.reactions.index[self.reactions["kept"]])

    @property
    def network(self) -> ReactionNetwork:
        """The fitted network: the kept reactions with the found rate constants.

        Raises
        ------
        RatesError
            If a rate constant is below zero: then there is no such network.
        """
        table = self.reactions
        for name, value in table["value"].items():
            if value < 0:
                raise RatesError(
                    f"'{name}' has the rate constant {value:.3g}, which no reaction can have; "
                    "fit with nonnegative=True or select='bic'"
                )
        values = self.rates["value"]
        if values.isna().any():
            raise RatesError(
                f"{', '.join(values.index[values.isna()])} cannot be told apart by these "
                "reactions; give the reactions rate constants of their own"
            )
        network = self.map.network.with_parameters(values.to_dict())
        return network.without_reactions(*self.dropped) if self.dropped else network

    def solve(self, initial, times):
        """Return the moments that the fitted rates give, DataArray (time, moment).

        A rate constant below zero is no obstacle to the moment equations.
        """
        rates = self.reactions["value"].to_numpy()
        return integrate(self.map.equations, initial, times, rate_constants=rates)

    def __repr__(self) -> str:
        count = len(self.map.network.reactions)
        state = "converged" if self.estimate.converged else "not converged"
        kept = f"{count - len(self.dropped)} of {count} reactions kept"
        return f"RateFit({self.method}: {kept}, {state})"

    def _repr_html_(self) -> str:
        shown = self.rates.to_html(float_format="{:.5g}".format, border=0, na_rep="")
        return f"<p>{html.escape(repr(self))}</p>{shown}"

    def _table(self, title, names, values, slopes, kept):
        """Return values with intervals by the delta method; ``slopes`` are by unknown."""
        import pandas as pd

        slopes = slopes @ self.basis
        variances = np.einsum("ip,pq,iq->i", slopes, self.estimate.covariance, slopes)
        # dropped, held at a bound or not to be told apart: there is no error to state
        free = kept & np.isfinite(values) & (variances > 1e-20 * variances.max(initial=0.0))
        errors = np.where(free, np.sqrt(np.where(free, variances, 0.0)), np.nan)
        limit = reach(self.level, self.freedom) * errors
        values = np.where(kept, values, 0.0)
        return pd.DataFrame(
            {
                "value": values,
                "standard error": errors,
                "lower": values - limit,
                "upper": values + limit,
                "kept": kept,
            },
            index=pd.Index(names, name=title),
        )


def _basis(rates: RateMap, dropped: Sequence[int]) -> np.ndarray:
    """Return a basis (unknowns, free) of the unknowns that make the dropped reactions zero."""
    from scipy.linalg import null_space

    size = rates.reactions.shape[1]
    if not dropped:
        return np.eye(size)
    rows = rates.reactions[list(dropped)]
    single = np.count_nonzero(rows, axis=1) == 1
    gone = rows[single].any(axis=0)
    basis = np.eye(size)[:, ~gone]
    mixed = rows[~single] @ basis
    return basis @ null_space(mixed) if mixed.any() else basis


def _eliminate(problem: MomentFit, nonnegative: bool) -> tuple[tuple[int, ...], tuple]:
    """Drop the reaction whose loss lowers the BIC most, as long as one does."""
    rates, dropped = problem.rates, ()
    best = problem.score(problem.fit(_basis(rates, dropped), nonnegative))
    path = [(dropped, best)]
    while True:
        trials = {}
        for j in range(len(rates.reactions)):
            # a rate that a number or a fixed parameter gives is not in question
            if j in dropped or rates.known[j] or not rates.reactions[j].any():
                continue
            basis = _basis(rates, (*dropped, j))
            if basis.shape[1]:
                with suppress(EstimationError):  # what cannot be solved is no candidate
                    trials[j] = problem.score(problem.fit(basis, nonnegative))
        if not trials or min(trials.values()) >= best:
            return dropped, tuple(path)
        chosen = min(trials, key=trials.get)
        dropped, best = tuple(sorted((*dropped, chosen))), trials[chosen]
        path.append((dropped, best))
