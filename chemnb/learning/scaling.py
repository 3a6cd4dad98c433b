"""The data in units of their own size, so that no tolerance or threshold depends on the user's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .library import Library, check_columns
from .scaled_library import scaled
from .timeseries import Experiment
from .unknowns import Pair

_NO_MOVE = 1e-6  # share of a variable's range


class Scaling:
    """Size of every variable and every term along the data.

    Parameters
    ----------
    library : Library
        Bound to the names of the data.
    experiments : sequence of Experiment

    Attributes
    ----------
    scale, ranges : ndarray (D,)
        Largest value in the user's units, and range in units of ``scale``.
    units : ndarray (terms,)
        Value of every term where each variable equals its scale.
    inner : Library
        The same terms, in scaled units, of scaled states. Monomials are their own.
    columns : ndarray (points, terms)
        Terms at all data, in scaled units; gaps between measurements are bridged.
    sizes : ndarray (terms,)
        Root mean square of each column.
    duration : float
        Of the longest experiment.
    """

    def __init__(self, library: Library, experiments: Sequence[Experiment]) -> None:
        self.library, self.experiments = library, experiments
        self.hidden = np.all([np.isnan(e.values).all(axis=0) for e in experiments], axis=0)
        stacked = np.vstack([self._bridged(e) for e in experiments])
        self.scale = positive(np.abs(stacked).max(axis=0))
        self.ranges = positive(np.ptp(stacked, axis=0), self.scale) / self.scale
        self.units = library.units(self.scale)
        self.inner = scaled(library, self.scale)
        self.columns = self.inner.evaluate(stacked / self.scale)
        check_columns(library, self.columns, stacked)
        self.sizes = np.sqrt((self.columns**2).mean(axis=0))
        self.duration = max(e.times[-1] - e.origin for e in experiments)

    def _bridged(self, e: Experiment) -> np.ndarray:
        """Return start and values (T + 1, D) without gaps."""
        start = np.where(self.hidden & (e.initial == 0), 1.0, e.initial)
        values = e.values.copy()
        for column, first in zip(values.T, start, strict=True):
            seen = np.isfinite(column)
            if not seen.any():
                column[:] = first
            elif not seen.all():
                column[~seen] = np.interp(e.times[~seen], e.times[seen], column[seen])
        return np.vstack([start, values])

    def factors(self, pairs: Sequence[Pair]) -> np.ndarray:
        """Return what turns scaled coefficients into the user's units (pairs,)."""
        rows, terms = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
        return self.scale[rows] / self.units[terms]

    def contributions(self, pairs: Sequence[Pair], theta: np.ndarray) -> np.ndarray:
        """Return the size of each term relative to the largest of its equation (pairs,).

        An equation whose terms together move its variable by less than rounding has no
        largest term: all its sizes are then small.
        """
        rows, terms = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
        size = np.abs(theta) * self.sizes[terms]
        largest = _NO_MOVE * self.ranges / self.duration
        np.maximum.at(largest, rows, size)
        return size / largest[rows]


def positive(values: np.ndarray, otherwise=1.0) -> np.ndarray:
    """Return the values with zeros replaced, so that they can divide."""
    return np.where(values > 0, values, otherwise)
