"""What a learned reduction is: coefficients with intervals, formulas, a table like Table III."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..learning.estimation import normal_quantile
from ..learning.learned import Report
from ..learning.rational import RationalError, RationalFamily
from ..networks.expressions import closest, listing


@dataclass(frozen=True)
class LearnedReduction:
    """Fast species as learned rational functions of slow ones (Eq. 16); `learn_reduction` makes it.

    Attributes
    ----------
    family : RationalFamily
        The candidates: fast species, slow species, degree.
    values : ndarray (1 + F, K)
        The coefficients, normalised as in Table III: β first, then α; dropped ones are zero.
    covariance : ndarray ((1 + F) K, (1 + F) K)
        Of the errors of ``values``, row after row; NaN where unknown. It holds what noise in the
        data does. What a slow manifold is off by, the O(ε), is not in it.
    method : str
    level : float
        Of the intervals.
    total : float or None
        The conserved sum of the fast species that was used.
    report : Report
        Convergence, misfit, what was dropped.
    warnings : tuple of str
        What to be careful about, in plain words; empty if nothing.
    ladder : tuple of (degree, misfit)
        How well each degree could fit, in units of the expected errors.
    """

    family: RationalFamily
    values: np.ndarray
    covariance: np.ndarray
    method: str
    level: float
    total: float | None
    report: Report
    warnings: tuple[str, ...] = ()
    ladder: tuple[tuple[int, float], ...] = ()

    @property
    def fast(self) -> tuple[str, ...]:
        """The fast species."""
        return self.family.fast

    @property
    def of(self) -> tuple[str, ...]:
        """The slow species that they are functions of."""
        return self.family.of

    # --- tables ----------------------------------------------------------------------------

    @property
    def coefficients(self):
        """Every candidate term: value, standard error, interval, and whether it was kept."""
        import pandas as pd

        kept = self.values.ravel() != 0
        errors = np.where(kept, np.sqrt(np.clip(np.diag(self.covariance), 0.0, None)), np.nan)
        reach, values = normal_quantile(self.level) * errors, self.values.ravel()
        rows, terms = self.family.shape
        return pd.DataFrame(
            {
                "coefficient": self.family.names.ravel(),
                "of": np.repeat(["denominator", *self.fast], terms),
                "term": np.tile(self.family.terms, rows),
                "value": values,
                "standard error": errors,
                "lower": values - reach,
                "upper": values + reach,
                "kept": kept,
            }
        )

    def table(self, reference=None):
        """Return the coefficients beside those of a reference, as Table III prints them.

        Parameters
        ----------
        reference : mapping of species -> SymPy expression, optional
            Formulas in numbers and slow species to compare with, such as the ``manifold`` of
            `chemnb.reduce`; or an object that has a ``manifold``, or another learned reduction.

        Returns
        -------
        pandas.DataFrame
            By coefficient, named as in `chemnb.paper.table3`; columns "reference", "learned" and
            "error %" (NaN where the reference is 0).

        Raises
        ------
        RationalError
            If the reference is no set of rational functions of at most this degree.
        """
        import pandas as pd

        table = pd.DataFrame(
            {"learned": self.values.ravel()},
            index=pd.Index(self.family.names.ravel(), name="coefficient"),
        )
        if reference is not None:
            expected = self.family.read(self._formulas(reference)).ravel()
            table.insert(0, "reference", expected)
            known = np.where(expected == 0, np.nan, expected)
            table["error %"] = 100 * (table["learned"] / known - 1)
        return table

    def _formulas(self, reference) -> Mapping:
        if isinstance(reference, LearnedReduction):
            return reference.expressions
        formulas = getattr(reference, "manifold", reference)
        if not isinstance(formulas, Mapping):
            raise RationalError(
                f"reference is a {type(reference).__name__}; give formulas by species, such as "
                f"{{'{self.fast[0]}': ...}}, or a reduced model with a closed form"
            )
        values = getattr(getattr(reference, "network", None), "parameters", {})
        numbers = {name: value for name, value in values.items() if value is not None}
        numbers |= self._totals(reference)
        if not numbers:
            return formulas
        import sympy

        def put_in(formula):
            formula = sympy.sympify(formula)
            found = {s: numbers[s.name] for s in formula.free_symbols if s.name in numbers}
            return formula.subs({s: sympy.nsimplify(v, rational=True) for s, v in found.items()})

        return {str(name): put_in(formula) for name, formula in formulas.items()}

    def _totals(self, reference) -> dict[str, float]:
        """Return the value of the one total that a reduced model has as a name."""
        names = [*getattr(reference, "totals", {})]
        return {names[0]: self.total} if len(names) == 1 and self.total is not None else {}

    # --- formulas --------------------------------------------------------------------------

    @property
    def expressions(self) -> dict:
        """Fast species -> SymPy rational function of the slow species."""
        return self.family.to_sympy(self.values)

    def to_latex(self, digits: int = 4) -> str:
        """Return the formulas, with rounded coefficients, as one aligned LaTeX block."""
        return self.family.to_latex(self.values, digits)

    # --- numbers ---------------------------------------------------------------------------

    def predict(self, slow):
        """Return the fast species at slow states.

        Parameters
        ----------
        slow : DataArray with the dimension "species", mapping of species -> values, or array
            A DataArray may hold other species too. An array is (n, D), or (n,) for one slow
            species.

        Returns
        -------
        xarray.DataArray
            The dimension "species" holds the fast species; a DataArray keeps its others.

        Raises
        ------
        RationalError
            If a slow species is missing or the shape does not fit.
        """
        import xarray as xr

        if hasattr(slow, "dims") and "species" in slow.dims:
            self._check_slow(slow.coords["species"].values.tolist())
            ordered = slow.sel(species=list(self.of)).transpose(..., "species")
            values = ordered.values.reshape(-1, len(self.of))
            shape = (*ordered.shape[:-1], len(self.fast))
            coords = {k: v for k, v in ordered.coords.items() if "species" not in v.dims}
            return xr.DataArray(
                self.family.evaluate(self.values, values).reshape(shape),
                dims=ordered.dims, coords=coords | {"species": list(self.fast)},
                name="concentration",
            )  # fmt: skip
        if isinstance(slow, Mapping) or hasattr(slow, "columns"):
            self._check_slow(list(slow))
            columns = np.broadcast_arrays(*(np.atleast_1d(slow[name]) for name in self.of))
            slow = np.column_stack([np.asarray(c, dtype=float) for c in columns])
        values = np.asarray(slow, dtype=float)
        values = values[:, None] if values.ndim == 1 and len(self.of) == 1 else values
        if values.ndim != 2 or values.shape[1] != len(self.of):
            raise RationalError(
                f"slow values of shape {values.shape}; give (n, {len(self.of)}), "
                f"one column for each of {listing(self.of)}, or name them in a mapping"
            )
        return xr.DataArray(
            self.family.evaluate(self.values, values),
            dims=("sample", "species"), coords={"species": list(self.fast)}, name="concentration",
        )  # fmt: skip

    def _check_slow(self, names) -> None:
        if missing := [name for name in self.of if name not in names]:
            raise RationalError(
                f"no values of {listing(missing)}{closest(missing[0], map(str, names))}; "
                f"the fast species are functions of {listing(self.of)}"
            )

    def model(self, network, coordinate: str = "total", underlined: bool = True):
        """Return the reduced model of a network whose fast species follow these functions.

        Parameters
        ----------
        network : ReactionNetwork
            With the values of its rate constants.
        coordinate : {"total", "species"}
            ``"total"`` integrates what the fast reactions conserve, P + GP + 2 GP2 for Eq. 15;
            ``"species"`` integrates the slow species themselves, as Eq. 16 is printed.
        underlined : bool
            Whether the four underlined terms of Eq. 16 stay; without them fast reactions do not
            change the slow species, as in Eq. 18. Only with ``coordinate="species"``.

        Returns
        -------
        ReducedModel
        """
        from .reduced import ReducedModel

        if coordinate not in ("total", "species"):
            raise RationalError(f"coordinate={coordinate!r}; use 'total' or 'species'")
        if coordinate == "total" and not underlined:
            raise RationalError(
                "underlined=False goes with coordinate='species': a total has no such terms"
            )
        learned = f"{listing(self.fast)} learned from data as functions of {listing(self.of)}"
        return ReducedModel(
            network,
            self.expressions,
            coordinate if underlined else "total",
            prefactor=underlined,
            assumptions=[learned.replace("'", "")],
        )

    # --- display ---------------------------------------------------------------------------

    def __repr__(self) -> str:
        state = "converged" if self.report.converged else "not converged"
        kept, count = int(np.count_nonzero(self.values)), self.values.size
        careful = f", {len(self.warnings)} warning(s)" if self.warnings else ""
        return (
            f"LearnedReduction({', '.join(self.fast)} of {', '.join(self.of)}, "
            f"degree {self.family.degree}: {kept} of {count} terms kept, {state}{careful})"
        )

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.to_latex()}$"

    def _repr_html_(self) -> str:
        table = self.coefficients
        shown = table[table["kept"]].drop(columns="kept")
        text = shown.to_html(index=False, float_format="{:.5g}".format, border=0)
        careful = "".join(f"<li>{html.escape(w)}</li>" for w in self.warnings)
        return (
            f"<p>{html.escape(repr(self))}</p>{self._repr_latex_()}{text}"
            f"<p>{html.escape(self.report.verdict)}</p>"
            + (f"<ul>{careful}</ul>" if careful else "")
        )
