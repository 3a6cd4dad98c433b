"""p(n, t) on a finite set of states: its marginals, means and moments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..equations.moments import moment_indices, moment_labels
from ..networks.expressions import closest, listing

_MAX_NUMBERS = 100_000_000


class FSPError(ValueError):
    """A projection that cannot be computed; the message says what would be right."""


class StateDistribution:
    """p(n, t) on a finite set of states, with a bound on what lies outside of it.

    Made by `finite_state_projection`. Sums over states are divided by the probability inside,
    so `mean` and `moments` are those of a state known to lie in the set.

    Attributes
    ----------
    network : ReactionNetwork
    times : ndarray (T,)
    bounds : dict of species -> int
        Largest count of each species.
    states : int
        Number of states.
    method : str
        How the transient was solved.
    parameters : tuple of str
        Those with a `sensitivity`.
    """

    def __init__(
        self, network, times, counts, values, lost, bounds, *, method="", slopes=None
    ) -> None:
        self.network, self.times, self.bounds, self.method = network, times, bounds, method
        self._counts, self._values, self._lost = counts, values, lost
        self._slopes = slopes or {}
        self.parameters = tuple(self._slopes)

    @property
    def states(self) -> int:
        """Number of states."""
        return len(self._counts)

    @property
    def lost_mass(self):
        """Bound on the total error at each time: DataArray (time), nan for negative rates.

        Every probability is a lower bound of the true one and all together they miss
        ``lost_mass``. Round-off is not part of it: some 1e-16 for every step of the series.
        """
        return self._labelled(self._lost, "lost mass")

    @property
    def probability(self):
        """p(n, t): DataArray (time, one dimension a species), a dense box.

        Raises
        ------
        FSPError
            If the box is too large to store; `marginal` sums over some of the species.
        """
        return self.marginal(*self.network.species)

    def marginal(self, *species: str):
        """Return the distribution of some species: DataArray (time, *species).

        Raises
        ------
        FSPError
            If a species is unknown or named twice, or the result is too large.
        """
        return self._dense(self._values, "probability", species)

    def sensitivity(self, parameter: str, *species: str):
        """Return dp/dθ for a parameter: DataArray (time, *species), all species if none is named.

        Its sum over all states is minus the derivative of what lies outside. It is that of the
        projected equation: the loss bounds the error of p, not of dp/dθ, which is usually larger
        by a factor like the largest relative slope of the rates times the time.

        Raises
        ------
        FSPError
            If it was not asked for, or as `marginal`.
        """
        if parameter not in self._slopes:
            raise FSPError(
                f"no sensitivity to {parameter!r}; there are {listing(self._slopes) or 'none'}: "
                f"ask for it with finite_state_projection(..., sensitivities=[{parameter!r}])"
            )
        label = f"sensitivity to {parameter}"
        return self._dense(self._slopes[parameter], label, species or self.network.species)

    def fisher_information(self):
        r"""Return what one run tells of the parameters: DataArray (time, parameter, parameter_2).

        .. math:: I_{ab}(t) = \sum_n \frac{1}{p(n, t)} \frac{∂p}{∂θ_a} \frac{∂p}{∂θ_b}

        The inverse of the sum over independent runs bounds the covariance of every unbiased
        estimate (Cramér and Rao).

        Raises
        ------
        FSPError
            If there are no sensitivities.
        """
        if not self._slopes:
            raise FSPError(
                "no sensitivities, no information; ask for them with "
                "finite_state_projection(..., sensitivities=[...])"
            )
        slopes = np.array(list(self._slopes.values()))
        seen = self._values > 0
        scores = np.where(seen, slopes / np.sqrt(np.where(seen, self._values, 1.0)), 0.0)
        names = list(self.parameters)
        values = np.einsum("atn,btn->tab", scores, scores)
        axes = ("parameter", names), ("parameter_2", names)
        return self._labelled(values, "Fisher information", *axes)

    def at(self, time: float):
        """Return p(n) at one of the times: DataArray (one dimension a species).

        Raises
        ------
        FSPError
            If ``time`` is none of the times.
        """
        i = int(np.abs(self.times - time).argmin())
        if not np.isclose(self.times[i], time, rtol=1e-9, atol=1e-12):
            raise FSPError(
                f"no distribution at time {time:g}; the nearest is at {self.times[i]:g}; "
                "add the time to times"
            )
        one = slice(i, i + 1)
        parts = self._counts, self._values[one], self._lost[one], self.bounds
        return StateDistribution(self.network, self.times[one], *parts).probability[0]

    def mean(self):
        """Return the mean counts: DataArray (time, species)."""
        species = list(self.network.species)
        return self._labelled(self._means(), "mean count", ("species", species))

    def moments(self):
        """Return means, variances and covariances: DataArray (time, moment) (Eq. 13)."""
        weights, means = self._weights(), self._means()
        pairs = _pairs(len(self.network.species))
        centred = []
        for p, mean in zip(weights, means, strict=True):
            deviation = self._counts - mean
            covariance = (p[:, None] * deviation).T @ deviation
            centred.append(covariance[pairs])
        values = np.hstack([means, np.array(centred)])
        labels = moment_labels(self.network.species, order=2)
        return self._labelled(values, "moment", ("moment", labels))

    def __repr__(self) -> str:
        box = ", ".join(f"{name} 0..{bound}" for name, bound in self.bounds.items())
        return (
            f"StateDistribution({box}: {self.states} states, {len(self.times)} times "
            f"to {self.times[-1]:g}, lost mass {self._lost[-1]:.1e})"
        )

    def _repr_html_(self) -> str:
        import html

        numbers = zip(self.times, self._means(), self._lost, strict=True)
        cells = [[f"{t:g}", *(f"{m:.4g}" for m in mean), f"{lo:.1e}"] for t, mean, lo in numbers]
        rows = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in cells[-6:])
        names = "".join(f"<th>mean {html.escape(name)}</th>" for name in self.bounds)
        head = f"<tr><th>time</th>{names}<th>lost mass</th></tr>"
        return f"<table>{head}{rows}</table><p>{html.escape(repr(self))}</p>"

    def _dense(self, rows: np.ndarray, name: str, species: Sequence[str]):
        """Return rows over the states as a dense box of some species, summed over the others."""
        known = self.network.species
        check_species(species, known, "marginal")
        if not species or len(set(species)) < len(species):
            raise FSPError(f"marginal{species}: name each species once; they are {listing(known)}")
        shape = tuple(self.bounds[name] + 1 for name in species)
        if np.prod([len(rows), *shape], dtype=float) > _MAX_NUMBERS:
            raise FSPError(
                f"a box of {' x '.join(map(str, shape))} states at {len(rows)} times is too "
                f"large to store; use .marginal({known[0]!r}) for fewer species or ask for "
                "fewer times"
            )
        columns = self._counts[:, [known.index(name) for name in species]]
        place = np.ravel_multi_index(tuple(columns.T), shape)
        size = int(np.prod(shape))
        dense = np.stack([np.bincount(place, row, size) for row in rows])
        axes = [(name, np.arange(length)) for name, length in zip(species, shape, strict=True)]
        return self._labelled(dense.reshape(-1, *shape), name, *axes)

    def _weights(self) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return self._values / self._values.sum(axis=1, keepdims=True)

    def _means(self) -> np.ndarray:
        return self._weights() @ self._counts

    def _labelled(self, values, name: str, *axes):
        import xarray as xr

        axes = [("time", self.times), *axes]
        return xr.DataArray(values, coords=dict(axes), dims=[axis for axis, _ in axes], name=name)


def _pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which covariances `moment_labels` names, in its order, as two index arrays."""
    places = [np.repeat(np.arange(n), index) for index in moment_indices(n, 2)[n:]]
    first, second = np.array(places).T
    return first, second


def check_species(names, known: Sequence[str], where: str) -> None:
    """Raise an FSPError if a name is no species."""
    if unknown := [name for name in names if name not in known]:
        raise FSPError(
            f"{where}: {listing(unknown)} is not a species; the species are "
            f"{listing(known)}{closest(str(unknown[0]), known)}"
        )
