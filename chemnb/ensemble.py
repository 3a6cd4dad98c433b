"""Statistics of many stochastic runs, streamed: the data that everything is learned from."""

from __future__ import annotations

import html
import math

import numpy as np

from .expressions import listing
from .moments import moment_indices, moment_labels
from .network import ReactionNetwork

_LARGEST_HISTOGRAM = 20_000_000


class EnsembleError(ValueError):
    """A question that the recorded runs cannot answer; the message says what to record."""


class Ensemble:
    """Moments, histograms and some whole paths of independent runs (`sample` makes it).

    Sums are kept as exact whole numbers, so the statistics do not depend on how the runs were
    split among threads.

    Attributes
    ----------
    network : ReactionNetwork
    initial : dict of str -> int
    times : ndarray (T,)
    runs : int
    seed : int
    method : str
        The exact method that drew the runs.

    Examples
    --------
    >>> import chemnb as cn
    >>> net = cn.ReactionNetwork("0 -> A ; 5 \\n A -> 0 ; 1")
    >>> data = cn.sample(net, {"A": 0}, [0, 2, 4], runs=2000, seed=1)
    >>> data
    Ensemble(2000 runs, 3 times, species A, seed 1, direct method)
    >>> data.moments().sel(moment="Var(A)").values.round(1)
    array([0. , 4.3, 5.1])
    """

    def __init__(
        self,
        network: ReactionNetwork,
        start: np.ndarray,
        times: np.ndarray,
        seed: int,
        *,
        keep: int,
        histograms: list[int],
        method: str = "direct",
    ) -> None:
        self.method = method
        self.network, self.times, self.seed, self.runs = network, times, seed, 0
        self.initial = dict(zip(network.species, (int(n) for n in start), strict=True))
        n_times, n_species = len(times), len(start)
        self._sums = np.zeros((n_times, n_species), dtype=object)
        self._products = np.zeros((n_times, n_species, n_species), dtype=object)
        self._keep = keep
        self._kept: list[np.ndarray] = []
        shape = (1,) * n_species
        self._histograms = {row: np.zeros(shape, dtype=np.int64) for row in histograms}

    # --- filling ---------------------------------------------------------------------------

    def add(self, counts: np.ndarray) -> None:
        """Take in further runs: whole numbers of shape (runs, times, species)."""
        by_time = counts.transpose(1, 2, 0)
        # floats add and multiply whole numbers exactly as long as the result is below 2^53
        if float(np.abs(counts).max(initial=0)) ** 2 * max(len(counts), 1) < 2.0**53:
            exact = by_time.astype(float)
            products = exact @ exact.transpose(0, 2, 1)
            self._sums += exact.sum(axis=2).astype(np.int64).astype(object)
            self._products += products.astype(np.int64).astype(object)
        else:
            exact = by_time.astype(object)
            self._sums += exact.sum(axis=2)
            self._products += np.array([table @ table.T for table in exact])
        missing = self._keep - sum(len(block) for block in self._kept)
        if missing > 0:
            self._kept.append(counts[:missing].copy())
        for row in self._histograms:
            self._histograms[row] = _count(self._histograms[row], counts[:, row, :])
        self.runs += len(counts)

    # --- moments ---------------------------------------------------------------------------

    def mean(self):
        """Return the mean counts, DataArray (time, species); Eq. 6 times the volume."""
        values = (self._sums / self.runs).astype(float)
        return self._array(values, {"time": self.times, "species": list(self.network.species)})

    def covariance(self):
        """Return the covariances of the counts, DataArray (time, species, species_2)."""
        species = list(self.network.species)
        return self._array(
            self._covariances(), {"time": self.times, "species": species, "species_2": species}
        )

    def moments(self):
        """Return means, variances and covariances, DataArray (time, moment) as in Eq. 13."""
        means, covariances = (self._sums / self.runs).astype(float), self._covariances()
        columns = [
            means[:, picks[0]] if len(picks) == 1 else covariances[:, picks[0], picks[1]]
            for picks in self._picks()
        ]
        return self._array(np.stack(columns, axis=1), self._moment_coords())

    def standard_error(self):
        """Return the standard errors of `moments`, DataArray (time, moment)."""
        table = self._influences()
        error = np.sqrt((table**2).mean(axis=0) / self.runs)
        return self._array(error, self._moment_coords())

    def path_covariance(self):
        """Return the covariance of the errors of `moments`, at all times jointly.

        The same runs are seen at every time, so the errors at different times are correlated.
        It is estimated from the runs that were kept whole and scaled to all runs.

        Returns
        -------
        DataArray (time, moment, time_2, moment_2)
        """
        table = self._influences()
        shape = table.shape[1:]
        flat = table.reshape(len(table), -1)
        covariance = flat.T @ flat / len(flat) / self.runs
        coords = self._moment_coords()
        return self._array(
            covariance.reshape(shape + shape),
            coords | {f"{name}_2": values for name, values in coords.items()},
        )

    # --- distributions and paths -----------------------------------------------------------

    def histogram(self, time: float, species: str | list[str] | None = None):
        """Return the share of runs in each state at a time, one dimension a species.

        Parameters
        ----------
        time : float
            One of the ``histograms`` that `sample` was asked for.
        species : str or list of str, optional
            Sum over all other species.
        """
        species = [species] if isinstance(species, str) else species
        if unknown := [s for s in species or () if s not in self.network.species]:
            raise EnsembleError(
                f"{listing(unknown)} is not a species of this network; "
                f"its species are {listing(self.network.species)}"
            )
        recorded = [float(self.times[row]) for row in self._histograms]
        for row, table in self._histograms.items():
            if math.isclose(self.times[row], time, rel_tol=1e-12, abs_tol=1e-12):
                coords = {
                    name: np.arange(size)
                    for name, size in zip(self.network.species, table.shape, strict=True)
                }
                shares = self._array(table / self.runs, coords)
                drop = [] if species is None else [s for s in coords if s not in species]
                return shares.sum(drop)
        raise EnsembleError(
            f"no histogram at time {time}; there are {recorded or 'none'}: "
            f"ask for it with sample(..., histograms=[{time}])"
        )

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
        last = self.moments().isel(time=-1)
        error = self.standard_error().isel(time=-1)
        rows = "".join(
            f"<tr><td style='text-align:left'>{html.escape(str(name))}</td>"
            f"<td>{value:.5g}</td><td>{e:.2g}</td></tr>"
            for name, value, e in zip(last.moment.values, last.values, error.values, strict=True)
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

    def _moment_coords(self):
        return {"time": self.times, "moment": moment_labels(self.network.species)}

    def _picks(self) -> list[list[int]]:
        """Return the species that each moment of order one and two multiplies."""
        indices = moment_indices(len(self.network.species), 2)
        return [[i for i, power in enumerate(index) for _ in range(power)] for index in indices]

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

    def _influences(self) -> np.ndarray:
        """Return what each kept run adds to the error of each moment: (runs, times, moments)."""
        deviations = self._kept_runs() - self.mean().values
        moments = self.moments().values
        columns = [
            deviations[:, :, picks[0]]
            if len(picks) == 1
            else deviations[:, :, picks[0]] * deviations[:, :, picks[1]] - moments[:, m]
            for m, picks in enumerate(self._picks())
        ]
        return np.stack(columns, axis=2)


def _count(histogram: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return the histogram with the states (runs, species) counted in, grown where needed."""
    needed = tuple(
        max(size, int(largest) + 1)
        for size, largest in zip(histogram.shape, states.max(axis=0), strict=True)
    )
    if needed != histogram.shape:
        if math.prod(needed) > _LARGEST_HISTOGRAM:
            raise EnsembleError(
                f"a joint histogram of {' x '.join(map(str, needed))} states is too large; "
                "ask for fewer histogram times or use a network of fewer species"
            )
        grown = np.zeros(needed, dtype=np.int64)
        grown[tuple(slice(size) for size in histogram.shape)] = histogram
        histogram = grown
    cells = np.ravel_multi_index(tuple(states.T), histogram.shape)
    return histogram + np.bincount(cells, minlength=histogram.size).reshape(histogram.shape)
