"""Statistics of many stochastic runs, streamed: the data that everything is learned from."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np

from ..networks.expressions import listing
from .record import Record
from .tallies import EnsembleError, central_moment, moment_name, read_moments

__all__ = ["Ensemble", "EnsembleError"]


class Ensemble(Record):
    """Moments, histograms and some whole paths of independent runs (`sample` makes it).

    Sums are kept as exact whole numbers, so the statistics do not depend on how the runs were
    split among threads, machines or ensembles: ``a + b`` of different runs of one network is the
    ensemble that all of them together would have given.

    Attributes
    ----------
    network : ReactionNetwork
    initial : dict of str -> int
    times : ndarray (T,)
    runs : int
    seed : int
        A tuple of them if ensembles of several seeds were merged.
    method : str
        The method that drew the runs.
    stop : str or None
        The condition at which runs were stopped.
    parts : tuple of (seed, first run, end)
        Which runs are in.

    Examples
    --------
    >>> import chemnb as cn
    >>> net = cn.ReactionNetwork("0 -> A ; 5 \\n A -> 0 ; 1")
    >>> data = cn.sample(net, {"A": 0}, [0, 2, 4], runs=2000, seed=1)
    >>> data
    Ensemble(2000 runs, 3 times, species A, seed 1, direct method)
    >>> data.moments().sel(moment="Var(A)").values.round(1)
    array([0. , 4.3, 5.1])

    Further runs are added exactly:

    >>> more = cn.sample(net, {"A": 0}, [0, 2, 4], runs=500, seed=1, first_run=2000)
    >>> data + more == cn.sample(net, {"A": 0}, [0, 2, 4], runs=2500, seed=1)
    True
    """

    # --- moments ---------------------------------------------------------------------------

    def mean(self):
        """Return the mean counts, DataArray (time, species); Eq. 6 times the volume."""
        coords = {"time": self.times, "species": list(self.network.species)}
        return self._array(self._means(), coords)

    def covariance(self):
        """Return the covariances of the counts, DataArray (time, species, species_2)."""
        species = list(self.network.species)
        return self._array(
            self._covariances(), {"time": self.times, "species": species, "species_2": species}
        )

    def moments(self, which: int | str | Sequence[str] = 2, kind: str = "central"):
        """Return moments, DataArray (time, moment): means, variances, covariances (Eq. 13), ...

        Parameters
        ----------
        which : int or str or sequence of str
            All up to an order, or some by name, such as ``["A^3", "A^2 B"]``. Beyond order two
            they must have been asked for: ``sample(..., moments=...)``.
        kind : {"central", "raw"}
            About the mean, or products of counts. Variances and covariances are divided by the
            runs less one; central moments of higher order by the runs.

        Raises
        ------
        EnsembleError
            If a moment was not recorded.

        Examples
        --------
        >>> import chemnb as cn
        >>> net = cn.ReactionNetwork("0 -> A ; 5 \\n A -> 0 ; 1")
        >>> data = cn.sample(net, [0], [9.0], 10_000, seed=1, moments=4)
        >>> data.moments(["A^3"]).moment.item(), data.moments(["A^3"]).item().__round__()
        ('M[A^3]', 5)
        """
        indices = read_moments(which, self.network.species)
        return self._array(self._moments(indices, kind), self._moment_coords(indices, kind))

    def standard_error(self, which: int | str | Sequence[str] = 2, kind: str = "central"):
        """Return the standard errors of `moments`, DataArray (time, moment).

        They are computed from all runs where moments of twice the order were recorded, from the
        runs kept whole otherwise.
        """
        indices = read_moments(which, self.network.species)
        return self._array(self._errors(indices, kind), self._moment_coords(indices, kind))

    def path_covariance(self, which: int | str | Sequence[str] = 2, kind: str = "central"):
        """Return the covariance of the errors of `moments`, at all times jointly.

        The same runs are seen at every time, so the errors at different times are correlated.
        It is estimated from the runs that were kept whole and scaled to all runs.

        Returns
        -------
        DataArray (time, moment, time_2, moment_2)
        """
        indices = read_moments(which, self.network.species)
        table = self._influences(indices, kind)
        shape = table.shape[1:]
        flat = table.reshape(len(table), -1)
        covariance = flat.T @ flat / len(flat) / self.runs
        coords = self._moment_coords(indices, kind)
        return self._array(
            covariance.reshape(shape + shape),
            coords | {f"{name}_2": values for name, values in coords.items()},
        )

    # --- distributions and paths -----------------------------------------------------------

    def histogram(self, time: float, species: str | Sequence[str] | None = None):
        """Return the share of runs in each state at a time, one dimension a species.

        Parameters
        ----------
        time : float
            One of the ``histograms`` that `sample` was asked for.
        species : str or sequence of str, optional
            Sum over all other species; default all that were counted together.
        """
        picks, table, wanted = self._counted(time, species)
        names = [self.network.species[i] for i in picks]
        coords = {name: np.arange(size) for name, size in zip(names, table.shape, strict=True)}
        shares = self._array(table / self.runs, coords)
        return shares.sum([name for name in names if name not in wanted])

    def quantile(self, q: float | Sequence[float], species: str | Sequence[str] | None = None):
        """Return quantiles of the counts, DataArray (quantile, time, species) of whole numbers.

        The quantile q is the smallest count that a share of at least q of the runs does not
        exceed (NumPy's ``inverted_cdf``). It comes from the histograms: at all their times.

        Parameters
        ----------
        q : float or sequence of float
            Between 0 and 1.
        species : str or sequence of str, optional
            Default all. Each must have been counted at every histogram time.

        Examples
        --------
        >>> import chemnb as cn
        >>> net = cn.ReactionNetwork("0 -> A ; 5 \\n A -> 0 ; 1")
        >>> data = cn.sample(net, [0], [0, 9], 10_000, seed=1, histograms=[9])
        >>> data.quantile([0.1, 0.5, 0.9]).values.ravel()
        array([2, 5, 8])
        """
        shares = np.atleast_1d(np.asarray(q, dtype=float))
        if shares.ndim != 1 or not np.all((shares >= 0) & (shares <= 1)):
            raise EnsembleError(f"q={q}; quantiles are shares between 0 and 1")
        if not self._histograms:
            self._histogram_row(self.times[-1])
        names = [species] if isinstance(species, str) else list(species or self.network.species)
        rows = sorted(self._histograms)
        found = np.empty((len(shares), len(rows), len(names)), dtype=np.int64)
        # a share of the runs that is a whole number up to rounding is that number
        needed = np.maximum(np.ceil(shares * self.runs * (1 - 1e-12)), 1)
        for j, row in enumerate(rows):
            for i, name in enumerate(names):
                picks, table, _ = self._counted(self.times[row], name)
                axis = picks.index(self.network.species.index(name))
                alone = table.sum(axis=tuple(k for k in range(table.ndim) if k != axis))
                found[:, j, i] = np.searchsorted(np.cumsum(alone), needed)
        coords = {"quantile": shares, "time": self.times[rows], "species": names}
        return self._array(found, coords)

    @property
    def paths(self):
        """The runs kept whole, DataArray (run, time, species)."""
        kept = self._kept_runs()
        species = list(self.network.species)
        return self._array(
            kept, {"run": np.arange(len(kept)), "time": self.times, "species": species}
        )

    # --- display ---------------------------------------------------------------------------

    def __repr__(self) -> str:
        species = ", ".join(self.network.species)
        return (
            f"Ensemble({self.runs} runs, {len(self.times)} times, species {species}, "
            f"seed {self.seed}, {self.method} method)"
        )

    def _repr_html_(self) -> str:
        if self.runs < 2 or not self._kept:
            return f"<p>{html.escape(repr(self))}</p>"
        # plain arrays: a first look does not wait for the import of xarray
        indices = read_moments(2, self.network.species)
        names = self._moment_coords(indices, "central")["moment"]
        last, error = (table(indices, "central")[-1] for table in (self._moments, self._errors))
        rows = "".join(
            f"<tr><td style='text-align:left'>{html.escape(str(name))}</td>"
            f"<td>{value:.5g}</td><td>{e:.2g}</td></tr>"
            for name, value, e in zip(names, last, error, strict=True)
        )
        head = "<tr><th></th><th>value</th><th>standard error</th></tr>"
        return (
            f"<p>{html.escape(repr(self))}; at t = {self.times[-1]:g}:</p>"
            f"<table>{head}{rows}</table>"
        )

    # --- inside ----------------------------------------------------------------------------

    def _array(self, values, coords):
        import xarray as xr

        attrs = {"runs": self.runs, "seed": self.seed}
        return xr.DataArray(values, coords=coords, dims=list(coords), attrs=attrs)

    def _moment_coords(self, indices, kind: str):
        labels = [moment_name(index, self.network.species, kind) for index in indices]
        return {"time": self.times, "moment": labels}

    def _raw(self, index: tuple[int, ...]) -> np.ndarray:
        """Return the exact sum of a product of counts; a KeyError if it was not recorded."""
        picks = [i for i, power in enumerate(index) for _ in range(power)]
        if len(picks) == 1:
            return self._sums[:, picks[0]]
        return self._products[:, picks[0], picks[1]] if len(picks) == 2 else self._powers[index]

    def _means(self) -> np.ndarray:
        return (self._sums / self.runs).astype(float)

    def _moments(self, indices, kind: str) -> np.ndarray:
        return np.stack([self._moment(index, kind) for index in indices], axis=1)

    def _errors(self, indices, kind: str) -> np.ndarray:
        try:
            spread = [self._spread(index, kind) for index in indices]
            variance = np.maximum(np.stack(spread, axis=1), 0)
        except KeyError:
            variance = (self._influences(indices, kind) ** 2).mean(axis=0)
        return np.sqrt(variance / self.runs)

    def _moment(self, index: tuple[int, ...], kind: str) -> np.ndarray:
        try:
            if sum(index) == 1 or kind == "raw":
                return (self._raw(index) / self.runs).astype(float)
            if sum(index) == 2:
                i, j = (i for i, power in enumerate(index) for _ in range(power))
                return self._covariances()[:, i, j]
            return central_moment(index, self.runs, self._raw)
        except KeyError:
            name = moment_name(index, self.network.species, kind)
            raise EnsembleError(
                f"{name} was not recorded; ask for it with sample(..., moments={sum(index)}) "
                f"or moments=['{name}']"
            ) from None

    def _spread(self, index: tuple[int, ...], kind: str) -> np.ndarray:
        """Return the variance of what one run adds to the error of a moment, from all runs.

        That is (n - m)^a - M_a - sum_i a_i M_(a - e_i) (n_i - m_i) for a central moment M_a.
        """
        double = [2 * power for power in index]
        if kind == "raw":
            raw = self._raw(index)
            found = self.runs * self._raw(tuple(double)) - raw * raw
            return (found / self.runs**2).astype(float)
        if sum(index) == 1:
            return self._central(double)
        result = self._central(double) - self._central(index) ** 2
        unit = np.eye(len(index), dtype=int)
        used = np.flatnonzero(index) if sum(index) > 2 else []
        slopes = {i: index[i] * self._central(index - unit[i]) for i in used}
        for i, slope in slopes.items():
            result = result - 2 * slope * self._central(index + unit[i])
            for j, other in slopes.items():
                result = result + slope * other * self._central(unit[i] + unit[j])
        return result

    def _central(self, index) -> np.ndarray:
        index = tuple(int(power) for power in index)
        return central_moment(index, self.runs, self._raw)

    def _covariances(self) -> np.ndarray:
        if self.runs < 2:
            raise EnsembleError("one run has no variance; sample at least two")
        outer = self._sums[:, :, None] * self._sums[:, None, :]
        # whole numbers up to the division: nothing cancels
        return ((self.runs * self._products - outer) / (self.runs * (self.runs - 1))).astype(float)

    def _kept_runs(self) -> np.ndarray:
        if not self._kept:
            raise EnsembleError("no run was kept whole; ask for it with sample(..., keep=10)")
        return np.concatenate(self._kept)

    def _influences(self, indices, kind: str) -> np.ndarray:
        """Return what each kept run adds to the error of each moment: (runs, times, moments)."""
        kept = self._kept_runs()
        deviations = kept - self._means()
        columns = []
        for index in indices:
            column = _power(kept if kind == "raw" else deviations, index)
            if sum(index) > 1 or kind == "raw":
                column = column - self._moment(index, kind)
            if kind == "central" and sum(index) > 2:
                for i in np.flatnonzero(index):
                    lower = [power - (j == i) for j, power in enumerate(index)]
                    slope = _power(deviations, lower).mean(axis=0)
                    column = column - index[i] * slope * deviations[:, :, i]
            columns.append(column)
        return np.stack(columns, axis=2)

    def _counted(self, time: float, species):
        """Return the smallest histogram that holds the species: their indices, counts, names."""
        known = self.network.species
        wanted = (species,) if isinstance(species, str) else known if species is None else species
        if unknown := [name for name in wanted if name not in known]:
            raise EnsembleError(
                f"{listing(unknown)} is not a species of this network; "
                f"its species are {listing(known)}"
            )
        groups = self._histograms[self._histogram_row(time)]
        if species is None and len(groups) == 1:
            wanted = [known[i] for i in next(iter(groups))]
        able = [picks for picks in groups if {known.index(name) for name in wanted} <= set(picks)]
        if able:
            picks = min(able, key=len)
            return picks, groups[picks], wanted
        counted = ", ".join("(" + ", ".join(known[i] for i in picks) + ")" for picks in groups)
        raise EnsembleError(
            f"({', '.join(wanted)}) was not counted at time {time}, only {counted}: "
            f"ask for it with sample(..., histograms={{{time}: {tuple(wanted)}}})"
        )

    def _histogram_row(self, time: float) -> int:
        for row in self._histograms:
            if math.isclose(self.times[row], time, rel_tol=1e-12, abs_tol=1e-12):
                return row
        recorded = [float(self.times[row]) for row in self._histograms]
        raise EnsembleError(
            f"no histogram at time {time}; there are {recorded or 'none'}: "
            f"ask for it with sample(..., histograms=[{time}])"
        )


def _power(values: np.ndarray, index: Sequence[int]) -> np.ndarray:
    """Return products of powers over the last axis, in floating point."""
    result = np.ones(values.shape[:-1])
    for i, power in enumerate(index):
        # np.power costs ten times as much as a product
        for _ in range(power):
            result *= values[..., i]
    return result
