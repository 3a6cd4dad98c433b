"""ODENet: learn dy/dt = θΓ(y) from time series, sparse and with intervals (Eqs. 1, 2, 11)."""

from __future__ import annotations

import html
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..networks.expressions import closest
from ..networks.reactions import NetworkError
from ..progress import progress_bar
from .chemistry import OPTIONS, Chemistry, ChemistryError
from .estimation import EstimationError, normal_quantile
from .learned import Learned, LearnedEquations, Report, make_report
from .library import Library
from .noise import with_noise
from .odenet_options import ODENetError, check_options
from .rate_map import RatesError
from .robust import check_robust, robust_choice
from .scaling import Scaling
from .scoring import r_squared
from .selection import Choice, by_bic, by_dependent_bic, by_threshold, keep_all, term_prices
from .stability import by_l1, by_stability
from .timeseries import DataError, read_experiments
from .trajectories import Fit, TrajectoryProblem
from .units import UnitError, coefficient_units
from .unknowns import Unknowns

if TYPE_CHECKING:
    from .bootstrap import Bootstrap
    from .identifiability import Identifiability
    from .profile import Profile
    from .rates import RateFit


_ROUNDS = 5  # of choosing terms and fitting the constants inside them


class ODENet:
    r"""Learn :math:`dy/dt = \theta\,\Gamma(y)` with few terms from time series.

    The candidate terms stand in an ODE solver, and θ is fitted to the solution (Eq. 1). With
    ``optimizer="lm"`` an integral form of the equations gives the start and
    Levenberg-Marquardt the minimum of the squared misfit, weighted by the covariance of the
    data where there is one (an `Ensemble` brings its own). ``optimizer="adam"`` is the
    paper's way: the loss of Eq. 2, :math:`|y - \hat y|_1 + \varepsilon|\theta|_1`, by Adam
    (needs torch).

    Parameters
    ----------
    library : Library, optional
        Candidate terms, such as ``monomials(2)``; with ``network`` not needed.
    optimizer : {"lm", "adam"}
    selection : {"auto", "bic", "stability", "l1", "threshold"} or None
        How terms are dropped. "bic": the fewest terms that explain the data (Bayesian
        information criterion; it takes the errors for independent if no covariance is
        given); "threshold": by relative size; "auto": "bic", and where the errors are not
        known with their correlation between neighbouring times as it shows in the residuals;
        "stability": of those, what 60 % of 100 resamples keep; "l1": the best by BIC of what an
        L1 penalty leaves as it grows; None keeps all. Adam always uses the threshold.
    loss : {"squared", "huber", "absolute"}
        The other two are not moved by single wrong values (Levenberg-Marquardt).
    threshold : float
        A term is dropped if coefficient times column size is below this share of the
        largest term of its equation.
    penalty : float
        ε of Eq. 2, for Adam.
    allowed, forbidden : mapping of equation -> list of terms, optional
        Terms that may, or may not, stand in an equation.
    known : mapping of equation -> {term: value}, optional
        Coefficients that are not fitted.
    nonnegative : bool or mapping of equation -> list of terms, optional
        Coefficients that may not be below zero; with a network False lets rates be negative.
    conserved : str, list of str, or ReactionNetwork, optional
        Sums that stay, such as ``["E + ES"]``; θ keeps them exactly.
    network : ReactionNetwork, optional
        Candidate reactions: rate constants are fitted instead of coefficients, and Eq. 14 holds
        by construction. See `rates` and `rate_fit`.
    mass_action : bool
        What a term consumes stands in it: coefficients below zero only where the term vanishes
        with its species.
    units : mapping of variable -> unit, optional
        Shown with the coefficients; the key ``"time"`` is the unit of time.
    hidden : sequence of str
        Variables that take part and were not measured. Their starts are estimated unless
        ``initial`` gives them; `report` says which coefficients the data then determine.
    level : float
        Of the intervals, which are conditional on the chosen terms.
    iterations : int, optional
        Limit; default 60 for Levenberg-Marquardt, 3000 for Adam.
    learning_rate : float
        Of Adam.
    scale_columns : bool
        For Adam; False puts loss and penalty in the units of the data, as Eq. 2 is written.
    refit : bool
        Refit the terms that Adam kept by Levenberg-Marquardt, without the penalty; only then
        have they intervals.
    seed : int
        Of Adam's random start and of the resamples.
    device : str
        Where Adam computes: "cpu" or "cuda".
    progress : bool
        Show a progress bar when it takes long.

    Examples
    --------
    >>> import numpy as np
    >>> from chemnb.learning.monomials import monomials
    >>> times = np.linspace(0, 4, 9)
    >>> model = ODENet(monomials(2)).fit((times, np.exp(-0.5 * times)), variables=["A"])
    >>> model
    ODENet(monomials(2)): 1 of 2 terms kept, converged
    >>> print(model.equations())
    d/dt A = -0.5*A
    """

    def __init__(
        self,
        library: Library | None = None,
        *,
        optimizer: str = "lm",
        selection: str | None = "auto",
        loss: str = "squared",
        threshold: float = 0.05,
        penalty: float = 1e-3,
        allowed: Mapping[str, Sequence[str]] | None = None,
        forbidden: Mapping[str, Sequence[str]] | None = None,
        known: Mapping[str, Mapping[str, float]] | None = None,
        nonnegative: bool | Mapping[str, Sequence[str]] | None = None,
        conserved=None,
        network=None,
        mass_action: bool = False,
        units: Mapping[str, str] | None = None,
        hidden: Sequence[str] = (),
        level: float = 0.95,
        iterations: int | None = None,
        learning_rate: float = 0.05,
        scale_columns: bool = True,
        refit: bool = False,
        seed: int = 0,
        device: str = "cpu",
        progress: bool = True,
    ) -> None:
        self.library, self.optimizer, self.selection = library, optimizer, selection
        self.loss = loss
        self.threshold, self.penalty, self.level = threshold, penalty, level
        self.allowed, self.forbidden, self.known = allowed, forbidden, known
        self.nonnegative, self.conserved, self.network = nonnegative, conserved, network
        self.mass_action, self.units, self.hidden = mass_action, units, hidden
        self.iterations, self.learning_rate = iterations, learning_rate
        self.scale_columns, self.refit = scale_columns, refit
        self.seed, self.device, self.progress = seed, device, progress

    # --- parameters in scikit-learn's manner -------------------------------------------------

    def get_params(self, deep: bool = True) -> dict:
        """Return the options of the constructor."""
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        return {name: getattr(self, name) for name in names}

    def set_params(self, **options) -> ODENet:
        """Change options of the constructor."""
        known = self.get_params()
        for name, value in options.items():
            if name not in known:
                raise ODENetError(f"ODENet has no option '{name}'{closest(name, known)}")
            setattr(self, name, value)
        return self

    # --- learning ----------------------------------------------------------------------------

    def fit(
        self, data, *, variables=None, standard_errors=None, covariance=None, initial=None,
        missing: bool = False,
    ) -> ODENet:  # fmt: skip
        """Learn the equations.

        Parameters
        ----------
        data, variables, standard_errors, covariance, initial
            One time series or a list of several (each with its own start and times): see
            `chemnb.learning.timeseries.read_experiments`. The state at the start of each
            experiment is estimated with the coefficients, so that its error counts like all
            others; exact are the start of an Ensemble, one that ``initial`` gives, one whose
            standard error is zero, and all with ``initial="exact"`` or Adam.
        missing : bool
            Whether NaN stands for a value that was not measured; else it is an error.

        Returns
        -------
        ODENet
            Itself, with the attributes below filled.

        Raises
        ------
        DataError
            If the data are incomplete, unordered, mismatched or too few.
        ODENetError
            If an option is out of range or names an unknown equation or term.
        """
        check_options(self)
        if self.optimizer == "adam" and isinstance(initial, str) and initial == "estimated":
            raise ODENetError("initial='estimated' needs optimizer='lm'")
        experiments = read_experiments(
            data, variables, standard_errors, covariance, initial,
            estimate=self.optimizer == "lm", missing=missing, hidden=self.hidden,
        )  # fmt: skip
        library = self._bound_library(experiments[0].names)
        if library.constants:
            choice, covariance, dead = self._fit_constants(library, experiments)
            training = None
        else:
            choice, training, dead = self._learn(library, experiments)
            covariance = np.zeros((0, 0))
        self._result = Learned(
            choice.problem, choice.chosen, choice.estimate,
            make_report(choice.problem, choice, training, dead), self._shares,
        )  # fmt: skip
        self._constant_errors = np.sqrt(np.clip(np.diag(covariance), 0.0, None))
        return self

    def _learn(self, library: Library, experiments):
        """Return the choice of terms, what Adam did, and the terms that are zero in all data."""
        scaling = Scaling(library, experiments)
        unknowns, dead = self._unknowns(scaling)
        problem = TrajectoryProblem(scaling, unknowns)
        if len(unknowns) > problem.observations:
            raise DataError(
                f"{problem.observations} independent data for {len(unknowns)} coefficients; "
                "give more times or experiments, a lower degree, or restrict terms with allowed="
            )
        if self.loss != "squared" and (fault := check_robust(problem)):
            raise ODENetError(f"loss={self.loss!r} {fault}")
        self._shares = None
        if self.optimizer == "adam":
            return *self._fit_adam(problem), dead
        return self._fit_lm(problem), None, dead

    def _fit_constants(self, library: Library, experiments):
        """Choose terms and fit the constants inside them in turn, until both stay."""
        from .free_constants import drop_constants, fit_constants, started

        if self.optimizer == "adam":
            raise ODENetError("free constants need optimizer='lm'")
        library, before = started(library, experiments), None
        for _ in range(_ROUNDS):
            choice, _, dead = self._learn(library, experiments)
            found = fit_constants(choice)
            library = found.library
            if self.selection is not None:
                found = drop_constants(found, float(term_prices(choice.problem).max()))
                library = found.library
            if choice.chosen == before:
                break
            before = choice.chosen
        return found.choice, found.covariance, dead

    def _fit_lm(self, problem: TrajectoryProblem) -> Choice:
        best = []
        with progress_bar(None, "ODENet", "step", self.progress) as bar:

            def on_step(choice):
                best[:] = [choice]
                loss = choice.estimate.chi_square
                bar.set_postfix(loss=f"{loss:.4g}", terms=len(choice.chosen), refresh=False)
                bar.update()

            try:
                if self.loss == "squared":
                    return with_noise(self._choose(problem, on_step))
                return robust_choice(problem, self.loss, lambda p: self._choose(p, on_step))
            except EstimationError as error:
                count = len(problem.unknowns)
                raise DataError(f"the fit of {count} terms failed: {error}") from None
            except KeyboardInterrupt:
                if not best:
                    raise
        verdict = f"interrupted after {len(best[0].path)} steps; this is the best so far"
        estimate = replace(best[0].estimate, converged=False, message=verdict)
        return best[0]._replace(estimate=estimate)

    def _choose(self, problem: TrajectoryProblem, on_step) -> Choice:
        options, prices = {"iterations": self.iterations or 60}, term_prices(problem)
        if self.selection is None:
            return keep_all(problem, on_step, **options)
        if self.selection == "threshold":
            return by_threshold(problem, self.threshold, on_step, **options)
        plain = self.selection == "bic" or problem.absolute
        choice = (by_bic if plain else by_dependent_bic)(problem, prices, on_step, **options)
        if self.selection == "l1":
            return by_l1(choice, prices, on_step, **options)
        if self.selection == "stability":
            choice, self._shares = by_stability(choice, prices, self.seed, **options)
        return choice

    def _fit_adam(self, problem: TrajectoryProblem):
        from .adam import train

        training = train(
            problem, penalty=self.penalty, threshold=self.threshold,
            iterations=self.iterations or 3000, learning_rate=self.learning_rate,
            scale_columns=self.scale_columns, seed=self.seed, progress=self.progress,
            device=self.device,
        )  # fmt: skip
        sizes = problem.contributions(range(len(training.theta)), training.theta)
        keep = np.flatnonzero(sizes >= self.threshold)
        theta = training.theta[keep]
        if self.refit:
            estimate = problem.fit(keep, theta)
            training = replace(
                training,
                converged=training.converged and estimate.converged,
                verdict=f"{training.verdict}; the refit of the kept terms: {estimate.message}",
            )
        else:
            # the penalty biases θ, so its error has no simple covariance
            unknown = np.full((len(keep), len(keep)), np.nan)
            estimate = Fit(
                theta, unknown, training.loss, problem.observations, len(training.history),
                training.converged, training.verdict, problem.guess(),
            )  # fmt: skip
        return Choice(keep.tolist(), estimate, [], problem), training

    # --- results -----------------------------------------------------------------------------

    @property
    def report(self) -> Report:
        """Convergence, identifiability and advice."""
        return self._fitted.report

    @property
    def coefficients(self):
        """Every candidate term: value, standard error, interval, kept; DataFrame.

        With ``units`` the unit of every coefficient stands last.
        """
        table = self._fitted.coefficients(self.level)
        if self.units is not None:
            table["unit"] = coefficient_units(self._fitted.library, self.units, table)
        return table

    @property
    def rate_fit(self) -> RateFit:
        """The rate constants of ``network``, its reactions and the fitted network.

        Raises
        ------
        ODENetError
            If it was not fitted with a network.
        """
        from .rates import RateFit

        fitted = self._fitted
        if self.network is None:
            raise ODENetError("rates need candidate reactions; fit with network=")
        return RateFit.of_unknowns(
            self._chemistry.rate_map(fitted.library.names), fitted, self.level
        )

    @property
    def rates(self):
        """Each rate constant of ``network``: value, standard error, interval, kept; DataFrame."""
        return self.rate_fit.rates

    @property
    def constants(self):
        """Free constants inside the terms: value, standard error, interval; DataFrame."""
        import pandas as pd

        found = self._fitted.library.constants
        values, errors = np.array(list(found.values())), self._constant_errors
        reach = normal_quantile(self.level) * errors
        return pd.DataFrame(
            {"value": values, "standard error": errors, "lower": values - reach,
             "upper": values + reach},
            index=pd.Index(list(found), name="constant"),
        )  # fmt: skip

    @property
    def theta(self):
        """Coefficients as DataArray (equation, term); dropped terms are zero."""
        return self._fitted.theta()

    @property
    def covariance(self):
        """Covariance of the errors of the kept coefficients, DataFrame by (equation, term)."""
        return self._fitted.covariance()

    @property
    def initial(self):
        """State at the start of every experiment, as given or as estimated; DataArray."""
        return self._fitted.initial()

    @property
    def support_path(self):
        """Which terms survive as an L1 penalty ε grows (Eq. 2); DataFrame, one row an ε.

        The coefficients of all candidates, in the user's units; those that the penalty has
        dropped are exactly zero. ε is in units of the one that drops everything. Each term is
        penalised in proportion to what it does, not to its bare coefficient.
        """
        return self._fitted.support_path()

    # --- how sure ------------------------------------------------------------------------------

    def bootstrap(
        self, resamples: int = 200, *, method: str = "auto", selection: bool = False,
        seed: int = 0, workers: int = 1,
    ) -> Bootstrap:  # fmt: skip
        """Return intervals from fits to resampled data.

        Parameters
        ----------
        resamples : int
            20 or more; a few hundred for intervals.
        method : {"auto", "parametric", "residuals", "experiments"}
            "parametric": errors drawn from their covariance around the fitted solution;
            "residuals": what the fit leaves, drawn again; "experiments": whole experiments,
            five or more; "auto": "parametric" where the errors are known, else "residuals".
        selection : bool
            Choose the terms anew in every resample (by BIC, near the fit): ``share`` then says
            how often each survives, and a dropped term counts as zero.
        seed : int
        workers : int
            Threads; the numbers do not depend on it.

        Raises
        ------
        UncertaintyError
            If the method does not fit the data, or the fit has no minimum to look around.

        Examples
        --------
        >>> import numpy as np
        >>> from chemnb.learning.monomials import monomials
        >>> times, rng = np.linspace(0, 4, 9), np.random.default_rng(0)
        >>> noisy = np.exp(-0.5 * times) + 0.01 * rng.standard_normal(9)
        >>> model = ODENet(monomials(1)).fit((times, noisy), variables=["A"])
        >>> found = model.bootstrap(50)
        >>> list(found.coefficients.columns)
        ['equation', 'term', 'value', 'standard error', 'lower', 'upper']
        """
        from .bootstrap import bootstrap

        return bootstrap(
            self._fitted, resamples, method=method, selection=selection, loss=self.loss,
            seed=seed, level=self.level, workers=workers, progress=self.progress,
        )  # fmt: skip

    def identifiability(self) -> Identifiability:
        """Return which coefficients, and combinations of them, the data determine.

        Where some are not, it says which change of them leaves the solution as it is, and from
        which starting state a further experiment would help.

        Examples
        --------
        >>> import numpy as np
        >>> from chemnb.learning.monomials import monomials
        >>> times, rng = np.linspace(0, 4, 9), np.random.default_rng(0)
        >>> noisy = np.exp(-0.5 * times) + 0.01 * rng.standard_normal(9)
        >>> model = ODENet(monomials(1)).fit((times, noisy), variables=["A"])
        >>> model.identifiability().determined
        True
        """
        from .identifiability import identifiability

        return identifiability(self._fitted, self.level)

    def profile(self, *target: str, points=21) -> Profile:
        """Return chi-square along one coefficient, all others fitted again at every point.

        Its interval is where chi-square stays within the likelihood-ratio limit; a profile
        that never reaches the limit is called not determined.

        Parameters
        ----------
        target : str
            Equation and term, such as ``profile("A", "A^2")``, or the name of a rate constant.
        points : int or sequence of float
            How many values to show around the interval, or which.

        Raises
        ------
        UncertaintyError
            If there is no such kept coefficient, or the fit has no minimum to look around.

        Examples
        --------
        >>> import numpy as np
        >>> from chemnb.learning.monomials import monomials
        >>> times, rng = np.linspace(0, 4, 9), np.random.default_rng(0)
        >>> noisy = np.exp(-0.5 * times) + 0.01 * rng.standard_normal(9)
        >>> model = ODENet(monomials(1)).fit((times, noisy), variables=["A"])
        >>> found = model.profile("A", "A", points=5)
        >>> found.determined, len(found.table)
        (True, 5)
        """
        from .profile import profile

        return profile(self._fitted, target, points, self.level, self.iterations or 60)

    # --- use ---------------------------------------------------------------------------------

    def equations(self, digits: int = 4) -> LearnedEquations:
        """Return the learned equations as SymPy equations with rounded coefficients."""
        return self._fitted.equations(digits)

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
        return self._fitted.predict(initial, times)

    def score(self, data, *, variables=None, initial=None, missing: bool = False) -> float:
        """Return R² of the learned equations on data: the mean over the measured variables.

        One minus the sum of squared misfits over that of the deviations from the mean. Starts
        that are not given are estimated from the data, as in `fit`.

        Parameters
        ----------
        data, variables, initial, missing
            As in `fit`; an Ensemble counts by its means.
        """
        experiments = read_experiments(
            data, variables, initial=initial, estimate=True, missing=missing, hidden=self.hidden
        )
        experiments = [replace(e, covariance=None) for e in experiments]
        return r_squared(self._fitted, experiments)

    # --- display -----------------------------------------------------------------------------

    def __repr__(self) -> str:
        result = getattr(self, "_result", None)
        if result is None:
            return f"ODENet({self.library!r}, optimizer={self.optimizer!r}): not fitted"
        state = "converged" if result.report.converged else "not converged"
        counts = f"{len(result.pairs)} of {len(result.candidates)} terms kept"
        return f"ODENet({self.library!r}): {counts}, {state}"

    def _repr_html_(self) -> str:
        if not hasattr(self, "_result"):
            return f"<p>{html.escape(repr(self))}</p>"
        table = self.coefficients
        kept = table[table["kept"]].drop(columns="kept")
        shown = kept.to_html(index=False, float_format="{:.5g}".format, border=0)
        return (
            f"<p>{html.escape(repr(self))}</p>{self.equations()._repr_latex_()}{shown}"
            f"<p>{html.escape(str(self.report))}</p>"
        )

    # --- inside ------------------------------------------------------------------------------

    @property
    def _fitted(self) -> Learned:
        if not hasattr(self, "_result"):
            raise ODENetError("this ODENet has learned nothing yet; call .fit(data) first")
        return self._result

    @property
    def _chemistry(self) -> Chemistry:
        return Chemistry(**{option: getattr(self, option) for option in OPTIONS})

    def _bound_library(self, names: Sequence[str]) -> Library:
        """Return the library for the variables of the data; a network brings its own."""
        if self.library is not None:
            return self.library.bind(names)
        try:
            return self._chemistry.library(names)
        except (ChemistryError, NetworkError, RatesError) as error:
            raise ODENetError(str(error)) from None

    def _unknowns(self, scaling: Scaling) -> tuple[Unknowns, list[str]]:
        """Return what is to be fitted, and the terms that are zero in all data."""
        dead = np.flatnonzero(scaling.sizes == 0)
        try:
            unknowns = self._chemistry.tie(scaling.library, dead)
            coefficient_units(scaling.library, self.units or {})
        except (ChemistryError, NetworkError, RatesError, UnitError) as error:
            raise ODENetError(str(error)) from None
        return unknowns, [scaling.library.labels[term] for term in dead]
