"""The numbers of a reduced model, as plain arrays: motion on a slow manifold, and off it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from ..equations.polynomials import SolverError
from ..networks.fluxes import Fluxes
from .manifold import ClosedForm, Implicit, ReductionError, largest

_BELOW = 0.01  # how far below zero a first-order correction may start, of the largest coordinate


class SlowFlow:
    r"""Motion of the slow species on a manifold :math:`c_F = g(c_s)`.

    Parameters
    ----------
    fluxes : Fluxes
        Of the full network.
    g : ClosedForm or Implicit
    fast, slow : sequence of int
        Positions of the species.
    coordinates : ndarray (S, species)
        L: what moves is L c.
    counted : ndarray (S, species)
        L as far as it is counted in :math:`x = X(c_s)`.
    laws : ndarray (totals, F)
        The conserved totals among fast species.
    """

    def __init__(
        self,
        fluxes: Fluxes,
        g: ClosedForm | Implicit,
        fast: Sequence[int],
        slow: Sequence[int],
        coordinates: np.ndarray,
        counted: np.ndarray,
        laws: np.ndarray,
    ) -> None:
        self.fluxes, self.g = fluxes, g
        self.fast, self.slow = list(fast), list(slow)
        self.coordinates, self.counted, self.laws = coordinates, counted, laws

    def state(self, slow, held) -> np.ndarray:
        """Return all species (species,) from the slow ones and the conserved totals."""
        c = np.empty(len(self.fast) + len(self.slow))
        c[self.slow], c[self.fast] = slow, self.g.values(slow, held)
        return c

    def slopes(self, rows: np.ndarray, slow, held) -> np.ndarray:
        """Return the derivatives (S, S) of the coordinates ``rows`` by the slow species."""
        fast, own = rows[:, self.fast], rows[:, self.slow]
        return own + fast @ self.g.slopes(slow, held) if fast.any() else own

    def rates(self, slow, held) -> np.ndarray:
        """Return dc_s/dt (S,)."""
        rates = self.coordinates @ self.fluxes.rates(self.state(slow, held))
        return np.linalg.solve(self.slopes(self.counted, slow, held), rates)

    def project(self, start: np.ndarray, held: np.ndarray) -> np.ndarray:
        """Return the slow species (S,) of the manifold's point with the same coordinates.

        A first-order correction may put it slightly below zero where a species starts at zero.

        Raises
        ------
        ReductionError
            If there is none.
        """
        own, wanted = start[self.slow], self.counted @ start
        found = own
        if self.counted[:, self.fast].any():
            found = self._search(own, wanted, held, 0.0)
            if found is None:
                found = self._search(own, wanted, held, -_BELOW * largest(wanted))
        if found is None or not np.all(np.isfinite(self.g.values(found, held))):
            raise ReductionError(
                f"no point of the slow manifold has slow coordinates {wanted.tolist()}; "
                "start elsewhere, or use the coordinates 'species'"
            )
        return found

    def _search(self, own, wanted, held, lowest: float) -> np.ndarray | None:
        """Return slow species from ``lowest`` on with coordinates ``wanted``, if there are any."""
        from scipy.optimize import least_squares

        scale = np.maximum(np.abs(wanted), 1e-3 * largest(wanted))

        def gap(slow):
            found = (self.counted @ self.state(slow, held) - wanted) / scale
            return np.where(np.isfinite(found), found, 1e6)

        def slopes(slow):
            found = self.slopes(self.counted, slow, held) / scale[:, None]
            return np.where(np.isfinite(found), found, 0.0)

        with np.errstate(all="ignore"):
            found = least_squares(
                gap, own, slopes, bounds=(lowest, np.inf), x_scale="jac",
                xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=500,
            )  # fmt: skip
        if np.abs(found.fun).max() > 1e-6:
            return None
        # the bounded search stops at about 1e-8; one step of Newton makes it exact
        exact = found.x - np.linalg.lstsq(slopes(found.x), gap(found.x), rcond=None)[0]
        return exact if np.all(exact >= lowest) else found.x

    def corrected(self, slow, held, kept) -> np.ndarray:
        r"""Return all species with the first-order correction of the fast ones (one Newton step).

        The true slow manifold moves with the flow: :math:`f_F(c_s, h) = Dh\, f_s(c_s, h)`. With
        h = g + δ and Dδ left out, :math:`(J_{FF} - Dg\,J_{sF})\,δ = Dg\,f_s - f_F`, together
        with the conserved totals of fast species.

        Parameters
        ----------
        slow, held : array_like
            A point of the manifold.
        kept : ndarray (totals,)
            Values of the conserved totals.
        """
        c = self.state(slow, held)
        bend = self.g.slopes(slow, held)
        if not np.all(np.isfinite(c)) or not np.all(np.isfinite(bend)):
            raise ReductionError(f"the slow manifold has no value at {np.array(slow).tolist()}")
        rates = self.fluxes.rates(c)
        jacobian = self.fluxes.jacobian(c)[:, self.fast]
        matrix = jacobian[self.fast] - bend @ jacobian[self.slow]
        size = largest(matrix)
        right = [bend @ rates[self.slow] - rates[self.fast], kept - self.laws @ c[self.fast]]
        matrix = np.vstack([matrix, size * self.laws])
        right[1] *= size
        c[self.fast] += np.linalg.lstsq(matrix, np.concatenate(right), rcond=None)[0]
        return c

    def corrected_path(self, start, held, rows, times) -> np.ndarray:
        """Return all species (T, species) on the corrected manifold.

        Parameters
        ----------
        start : ndarray (species,)
            Of the full network; its coordinates ``rows`` and conserved totals are kept.
        """
        kept, slow = self.laws @ start[self.fast], self.project(start, held)
        for _ in range(20):
            gap = rows @ (self.corrected(slow, held, kept) - start)
            slow = slow - np.linalg.solve(self.slopes(rows, slow, held), gap)

        def rates(_, c):
            return self.fluxes.rates(self.corrected(c, held, kept))[self.slow]

        path = solve(rates, slow, times)
        return np.array([self.corrected(c, held, kept) for c in path])

    def spectra(self, slow, held) -> tuple[np.ndarray, np.ndarray]:
        """Return the eigenvalues towards the manifold, at fixed coordinates, and along it."""
        from scipy.linalg import null_space

        laws = np.zeros((len(self.laws), self.counted.shape[1]))
        laws[:, self.fast] = self.laws
        across = null_space(np.vstack([self.counted, laws]))
        along = np.zeros((len(across), len(self.slow)))
        along[self.slow] = np.eye(len(self.slow))
        along[self.fast] = self.g.slopes(slow, held)
        frame = np.hstack([along, across])
        jacobian = self.fluxes.jacobian(self.state(slow, held))
        split = np.linalg.pinv(frame) @ jacobian @ frame
        size = len(self.slow)
        return np.linalg.eigvals(split[size:, size:]), np.linalg.eigvals(split[:size, :size])


def solve(rates, start, times, rtol: float = 1e-8, atol: float = 1e-12) -> np.ndarray:
    """Integrate the slow species from t = 0 (LSODA).

    Raises
    ------
    SolverError
        If the end is not reached.
    """
    from scipy.integrate import ODEintWarning, odeint

    grid = times if times[0] == 0 else np.concatenate([[0.0], times])
    if len(grid) == 1:
        return start[None, :]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # failure is read from the report below and raised, not warned about
        warnings.simplefilter("ignore", ODEintWarning)
        path, info = odeint(
            rates, start, grid, tfirst=True, rtol=rtol, atol=atol, mxstep=20_000, full_output=True
        )
    if info["message"] != "Integration successful." or not np.all(np.isfinite(path)):
        raise SolverError(
            f"the reduced equations could not be solved to t = {grid[-1]:g}: the slow manifold "
            "may fold or end on the way; look at project(...) and at the full network there"
        )
    return path if times[0] == 0 else path[1:]
