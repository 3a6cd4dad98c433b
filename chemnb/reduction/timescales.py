"""Time scales of a network: which species, reactions and combinations are fast."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..equations.dynamics import integrate
from ..networks.expressions import listing
from ..networks.fluxes import Fluxes
from ..networks.network import ReactionNetwork
from ..networks.slow_coordinates import coordinate_table, directions, slow_coordinates


class TimeScaleError(ValueError):
    """A start, times or settings from which no time scales can be read."""


def time_scales(
    network: ReactionNetwork,
    initial,
    times,
    *,
    gap: float = 10.0,
    share: float = 0.9,
    participation: float = 0.05,
    modes: int | None = None,
) -> TimeScales:
    """Find which species and combinations are fast along a run of the mass-action equations.

    The Jacobian is taken at every time, its exact zeros (one a conservation law) are left out,
    and the other eigenvalues are sorted by size. A mode counts as fast if it decays and if its
    rate is at least ``gap`` times that of the next slower one; rates below one over the length
    of the run count as that, since the run cannot tell them apart.

    A fast species is chosen for each fast mode: that which takes the largest part in the fast
    modes at any time of the run with the gap. A species that a conservation law ties to fast
    ones alone (the complex of an enzyme) is fast with them, if it takes a visible part itself or is
    no larger than they are (the complex of a saturated enzyme).

    Parameters
    ----------
    network : ReactionNetwork
    initial : mapping or array_like
        Concentrations, as for `chemnb.integrate`.
    times : sequence of float
        At least two. The conclusions hold on these times alone, so let them cover the run.
    gap : float
        Smallest ratio of rates that counts as a separation.
    share : float
        Share of the times at which the gap must be there: 1 is all of them. The number of fast
        modes is that with the widest gap at this share.
    participation : float
        Share of a fast mode from which on a species takes a visible part in it.
    modes : int, optional
        Number of fast modes, given instead of found.

    Returns
    -------
    TimeScales

    Raises
    ------
    TimeScaleError
        If there are fewer than two times, or a setting is out of range.
    NetworkError
        If a rate constant has no value.

    Examples
    --------
    >>> from chemnb import models
    >>> start = {"M": 5, "G": 0.01, "GP": 0.01, "GP2": 0.01}
    >>> scales = time_scales(models.gene_feedback(), start, range(1001))
    >>> scales
    TimeScales(2 fast modes, 930 times faster; fast: G, GP, GP2; slow: P, M)
    >>> list(scales.slow_coordinates.index), list(scales.conserved.index)
    (['P + GP + 2 GP2', 'M'], ['G + GP + GP2'])
    """
    times = np.atleast_1d(np.asarray(times, dtype=float))
    if times.ndim != 1 or len(times) < 2:
        raise TimeScaleError(
            f"time scales need a run, but there is {times.size} time; give two or more, "
            "such as numpy.linspace(0, 1000, 101)"
        )
    if not gap > 1 or not 0 < share <= 1 or not 0 < participation < 1:
        raise TimeScaleError(
            f"gap={gap} must be above 1, share={share} above 0 and at most 1, and "
            f"participation={participation} between 0 and 1"
        )
    path = integrate(network, initial, times, rtol=1e-10, atol=1e-14)
    return TimeScales(network, path, gap, share, participation, modes)


def derivative_correlations(network: ReactionNetwork, initial, times):
    r"""Return Pearson's correlation of the absolute rates :math:`|dc/dt|` of species (Table II).

    The paper's way to tell fast from slow. It hangs on the samples: in the gene network the
    single one at t = 0 carries most of the variance of the fast species.

    Parameters
    ----------
    network, initial
        As for `chemnb.integrate`.
    times : sequence of float
        At least three. Table II has t = 0, 1, ..., 1000.

    Returns
    -------
    pandas.DataFrame, species x species
        NaN where the rate of a species does not vary.

    Examples
    --------
    >>> from chemnb import models
    >>> start = {"M": 5, "G": 0.01, "GP": 0.01, "GP2": 0.01}
    >>> table = derivative_correlations(models.gene_feedback(), start, range(1001))
    >>> table.loc["P", ["M", "G"]].round(4).tolist()
    [0.9681, 0.5035]
    """
    import pandas as pd

    path = integrate(network, initial, times, rtol=1e-10, atol=1e-14)
    if path.sizes["time"] < 3:
        raise TimeScaleError(
            f"a correlation needs three samples or more, but there are {path.sizes['time']} times"
        )
    rates = np.abs(Fluxes(network).rates(path.values))
    names = list(network.species)
    return pd.DataFrame(rates, columns=names).corr()


class TimeScales:
    """Time scales along a run; `time_scales` makes it.

    Attributes
    ----------
    network : ReactionNetwork
    trajectory : xarray.DataArray (time, species)
    eigenvalues : xarray.DataArray (time, mode)
        Of the Jacobian, fastest first, without the zeros of conservation laws; complex.
    modes : int
        Number of fast modes; 0 where there is no gap.
    gap : float
        How many times faster they are than the rest, at ``share`` of the times; NaN if no gap.
    participation : xarray.DataArray (time, species)
        How much of each species lies in the fast modes: right times left eigenvectors, summed
        over the fast modes. At each time it adds up to their number.
    fast, slow : tuple of str
        The species to solve for, and the rest.
    conserved, slow_coordinates : pandas.DataFrame, combinations x species
        What no reaction changes; what the fast reactions leave alone.
    """

    def __init__(
        self, network, path, gap: float, share: float, participation: float, modes: int | None
    ) -> None:
        self.network, self.trajectory, self._visible = network, path, participation
        self._stoichiometry = network.stoichiometry.astype(float)
        self._find_modes()
        self.modes, self.gap = self._find_gap(gap, share, modes)
        self.conserved = network.conservation_laws()
        parts = np.einsum("tsk,tks->ts", *self._fast_modes()).real
        self.participation = self._labelled("participation", "species", network.species, parts)
        self._largest = np.abs(parts[self._on]).max(axis=0, initial=0.0)
        self.fast = self._fast_species()
        self.slow = tuple(s for s in network.species if s not in self.fast)

    # --- results ---------------------------------------------------------------------------

    @cached_property
    def reaction_shares(self):
        """How much of the fast eigenvalues each reaction makes (pandas.Series).

        Mean over the times with a gap; the shares add up to the number of fast modes.
        """
        import pandas as pd

        names = [r.equation for r in self.network.reactions]
        shares = self._shares()[self._on]
        mean = shares.mean(axis=0) if len(shares) else np.zeros(len(names))
        return pd.Series(mean, pd.Index(names, name="reaction"), name="share")

    @cached_property
    def slow_coordinates(self):
        if not self.modes:
            return coordinate_table(self.network, np.eye(len(self.network.species), dtype=int))
        table = slow_coordinates(self.network, self.fast, self.reaction_shares.to_numpy())
        moves = (table.to_numpy() @ self.network.stoichiometry).any(axis=1)
        return table[moves]

    def table(self):
        """Return the species with their largest participation in the fast modes, and their kind.

        Returns
        -------
        pandas.DataFrame
        """
        import pandas as pd

        names = list(self.network.species)
        return pd.DataFrame(
            {
                "participation": self._largest,
                "kind": ["fast" if name in self.fast else "slow" for name in names],
            },
            index=pd.Index(names, name="species"),
        )

    @property
    def notes(self) -> list[str]:
        """What to keep in mind, as sentences."""
        if not self.modes:
            return ["No gap: no group of modes is fast against all others on this run."]
        parts = zip(self.network.species, self._largest, strict=True)
        mixed = [n for n, part in parts if part > self._visible and n not in self.fast]
        if not mixed:
            return []
        return [
            f"{listing(mixed)} take part in fast modes too: use the slow coordinates, in which "
            "the fast species are counted, and not the species alone."
        ]

    def plot(self, axes=None):
        """Draw the rates over time, the fast ones solid (see `chemnb.plots.time_scales`)."""
        from .. import plots

        return plots.time_scales(self, axes=axes)

    def __repr__(self) -> str:
        if not self.modes:
            return "TimeScales(no gap)"
        plural = "s" if self.modes > 1 else ""
        return (
            f"TimeScales({self.modes} fast mode{plural}, {float(f'{self.gap:.3g}'):g} times faster; "
            f"fast: {', '.join(self.fast)}; slow: {', '.join(self.slow)})"
        )

    def _repr_html_(self) -> str:
        import html

        parts = [f"<p>{html.escape(repr(self))}</p>", self.table().round(3).to_html(border=0)]
        for title, table in (
            ("Conserved", self.conserved), ("Slow coordinates", self.slow_coordinates)
        ):  # fmt: skip
            shown = ", ".join(table.index) or "none"
            parts.append(f"<p>{title}: {html.escape(shown)}</p>")
        return "".join(parts + [f"<p>{html.escape(note)}</p>" for note in self.notes])

    # --- inside ----------------------------------------------------------------------------

    def _find_modes(self) -> None:
        """Find the modes within the states that the conservation laws allow, fastest first."""
        from scipy.linalg import orth

        fluxes, basis = Fluxes(self.network), orth(self._stoichiometry)
        states = np.maximum(self.trajectory.values, 0.0)
        self._slopes = np.array([fluxes.slopes(c) for c in states])  # (time, reactions, species)
        jacobians = basis.T @ self._stoichiometry @ self._slopes
        values, vectors = np.linalg.eig(jacobians @ basis)
        order = np.argsort(-np.abs(values), axis=1, kind="stable")
        values = np.take_along_axis(values, order, axis=1)
        vectors = np.take_along_axis(vectors, order[:, None, :], axis=2)
        with np.errstate(all="ignore"):
            # a left eigenvector of the restricted Jacobian extends to all states by J / λ
            self._left = np.linalg.pinv(vectors) @ jacobians / values[:, :, None]
        self._right = basis @ vectors
        numbers = np.arange(1, values.shape[1] + 1)
        self.eigenvalues = self._labelled("eigenvalue", "mode", numbers, values)

    def _find_gap(self, least: float, share: float, modes: int | None) -> tuple[int, float]:
        rates = np.abs(self.eigenvalues.values)
        floor = 1.0 / np.ptp(self.trajectory.time.values)
        slower = np.maximum(np.hstack([rates[:, 1:], np.zeros((len(rates), 1))]), floor)
        decays = np.maximum.accumulate(self.eigenvalues.values.real, axis=1) < 0
        ratios = np.where(decays, rates / slower, 0.0)
        # if all modes are fast nothing moves: that is a run too long, not a separation
        ratios = ratios[:, : max(rates.shape[1] - 1, 0)]
        if modes is not None and not 1 <= modes <= ratios.shape[1]:
            raise TimeScaleError(
                f"modes={modes} of {rates.shape[1]}; at least one must be fast and one slow"
            )
        if not ratios.size:
            self._on = np.zeros(len(rates), dtype=bool)
            return 0, np.nan
        # times at which the gap may be missing
        spared = min(int((1.0 - share) * len(ratios) + 1e-9), len(ratios) - 1)
        widths = np.sort(ratios, axis=0)[spared]
        found = modes or int(np.argmax(widths)) + 1
        width = float(widths[found - 1])
        if modes is None and width < least:
            self._on = np.zeros(len(rates), dtype=bool)
            return 0, np.nan
        self._on = ratios[:, found - 1] >= min(least, width)
        return found, width

    def _fast_modes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the right (time, species, k) and left (time, k, species) fast eigenvectors."""
        return self._right[:, :, : self.modes], self._left[:, : self.modes]

    def _shares(self) -> np.ndarray:
        """Return each reaction's part (time, reactions) of the fast eigenvalues.

        λ = left · J · right = Σ_j (left · U_j) (∇φ_j · right).
        """
        right, left = self._fast_modes()
        values = self.eigenvalues.values[:, : self.modes]
        made = (left @ self._stoichiometry).swapaxes(1, 2) * (self._slopes @ right)
        return (made / values[:, None, :]).sum(axis=2).real

    def _labelled(self, name: str, dimension: str, labels, values):
        import xarray as xr

        return xr.DataArray(
            values,
            dims=("time", dimension),
            coords={"time": self.trajectory.time.values, dimension: list(labels)},
            name=name,
        )

    def _fast_species(self) -> tuple[str, ...]:
        """Choose one species a fast mode, the largest first, and what laws tie to them alone."""
        if not self.modes:
            return ()
        names, chosen = self.network.species, []
        for i in np.argsort(-self._largest, kind="stable"):
            rows = self._fast_directions[[*chosen, i]]
            if len(chosen) < self.modes and np.linalg.matrix_rank(rows) == len(rows):
                chosen.append(int(i))
        laws, amounts = self.conserved.to_numpy() != 0, self.trajectory.values.max(axis=0)
        for _ in laws:
            for law in laws:
                left = [i for i in np.flatnonzero(law) if i not in chosen]
                if len(left) == 1 and (
                    self._largest[left[0]] > self._visible
                    or amounts[left[0]] <= amounts[chosen].max()
                ):
                    chosen += left
        return tuple(names[i] for i in sorted(chosen))

    @cached_property
    def _fast_directions(self) -> np.ndarray:
        """Directions (species, modes) of the reactions with the largest shares."""
        shares = self.reaction_shares.to_numpy()
        candidates = sorted(
            directions(self.network), key=lambda d: -sum(shares[j] for j in d.senses)
        )
        columns: list = []
        for candidate in candidates:
            trial = np.array([*columns, candidate.change], dtype=float)
            if len(columns) < self.modes and np.linalg.matrix_rank(trial) == len(trial):
                columns.append(candidate.change)
        return np.array(columns, dtype=float).T
