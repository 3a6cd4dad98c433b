"""Trajectories as linear functions of what is fitted, near one fit; starts eliminated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..equations.polynomials import SolverError
from .estimation import Estimate
from .scaling import positive
from .windows import eliminate

_UNDETERMINED = 1e-6  # singular value of the sensitivities, columns of length one


@dataclass(frozen=True)
class Fit(Estimate):
    """A least-squares fit of some unknowns, and the starts (W, D) of the windows with it.

    ``loose`` says which of the parameters the data do not determine, ``freedom`` how well their
    errors are known: degrees of freedom, None where the errors of the data were given.
    """

    starts: np.ndarray
    loose: np.ndarray | None = None
    freedom: np.ndarray | None = None


class Linearised:
    """The trajectories as linear functions of all unknowns, near one fit; starts eliminated.

    Attributes
    ----------
    matrix, target : ndarray (rows, unknowns), (rows,)
        |target - matrix u| is the misfit.
    """

    def __init__(self, residuals, at: np.ndarray, starts: np.ndarray) -> None:
        rest, self.matrix, self._steps = eliminate(residuals)
        self.target, self._at, self._starts = rest + self.matrix @ at, at, starts
        if not (np.all(np.isfinite(self.matrix)) and np.all(np.isfinite(self.target))):
            raise SolverError("the sensitivities are not finite")

    def starts(self, u: np.ndarray) -> np.ndarray:
        """Return the best starts (W, D) for these values of all unknowns."""
        return self._starts + self._steps(u - self._at)


def undetermined(slopes: np.ndarray) -> np.ndarray:
    """Return which parameters can be moved without moving the solution: bool (P,)."""
    size = positive(np.linalg.norm(slopes, axis=0))
    _, values, right = np.linalg.svd(slopes / size)
    weak = right[values <= _UNDETERMINED * values.max(initial=0.0)]
    still = np.linalg.norm(slopes, axis=0) <= 1e-12 * size.max()
    return still | (np.abs(weak) > 1e-3).any(axis=0)


def squares(residuals) -> float:
    """Return the sum of squares; infinite where it is not finite."""
    loss = float(np.sum(residuals.rest**2))
    return loss if np.isfinite(loss) else np.inf


def expected(residuals, step, ahead) -> float:
    """Return the loss after a step if the solution were linear."""
    left = residuals.rest - residuals.slopes @ step
    left = left - (residuals.start_slopes @ ahead[:, :, None])[:, :, 0]
    return float(np.sum(left**2))


def compressed(rest: np.ndarray, slopes: np.ndarray):
    """Return a linear least-squares problem of as many rows as columns with the same solution."""
    width = slopes.shape[1]
    if len(rest) <= 2 * width + 1:
        return rest, slopes
    triangle = np.linalg.qr(np.concatenate([slopes, rest[:, None]], axis=1), mode="r")
    return triangle[:width, -1], triangle[:width, :width]
