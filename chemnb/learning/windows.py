"""Experiments cut into windows, each with a start of its own that is fitted along."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .estimation import whitener
from .scaling import Scaling, positive
from .timeseries import Experiment


class Residuals(NamedTuple):
    """Whitened residuals (W, n), their derivatives by u (W, n, P) and by the starts (W, n, D)."""

    rest: np.ndarray
    slopes: np.ndarray
    start_slopes: np.ndarray


class Windows:
    """Which points belong to which window, and how they are weighted.

    A window begins at one of the points of its experiment, with a free start; the first one
    begins at the start of the experiment, which may be exact.

    Parameters
    ----------
    scaling : Scaling
    pieces : sequence of int, optional
        Number of windows of each experiment; by default one.
    weights : list of ndarray (T * D,), optional
        Factors on the weights of each experiment's values.

    Attributes
    ----------
    experiment : ndarray (W,)
        Position of the experiment.
    begin : ndarray (W,)
        Time of the start.
    first : ndarray (W + 1,)
        Where the points of each window begin.
    times : ndarray (N,)
        Of the points, since the start of their window.
    free : ndarray of bool (W, D)
    exact : ndarray (W, D)
        Scaled start where it is not free.
    rows : int
        Number of weighted data.
    """

    def __init__(
        self, scaling: Scaling, pieces: Sequence[int] | None = None, weights: Sequence | None = None
    ) -> None:
        self.scaling, experiments = scaling, scaling.experiments
        pieces = [1] * len(experiments) if pieces is None else pieces
        pieces = [
            (number, piece)
            for number, (e, count) in enumerate(zip(experiments, pieces, strict=True))
            for piece in _cut(len(e.times), count)
        ]
        self.experiment = np.array([number for number, _ in pieces])
        self.points = [piece for _, piece in pieces]
        self.first = np.cumsum([0] + [len(piece) for piece in self.points])
        opening = np.array([piece[0] == 0 for piece in self.points])
        begin = [
            experiments[k].origin if piece[0] == 0 else experiments[k].times[piece[0]]
            for k, piece in pieces
        ]
        self.begin = np.array(begin)
        self.times = np.concatenate([
            experiments[k].times[piece] - start
            for (k, piece), start in zip(pieces, begin, strict=True)
        ])  # fmt: skip
        given = [experiments[k].free for k, _ in pieces]
        dimension = len(scaling.scale)
        free = np.array([np.zeros(dimension, bool) if f is None else f for f in given])
        self.free = free | ~opening[:, None]
        self.exact = np.array([experiments[k].initial for k, _ in pieces]) / scaling.scale
        self._layout(experiments, weights)

    def __len__(self) -> int:
        return len(self.experiment)

    def _layout(self, experiments, factors) -> None:
        """Say for every observed value where it stands and what it weighs."""
        data, used, weights, self._whiteners, counts = [], [], [], [], []
        for k, points in zip(self.experiment, self.points, strict=True):
            e = experiments[k]
            values, seen = (e.values[points] / self.scaling.scale).ravel(), None
            seen = np.isfinite(values)
            weight = self._diagonal(e, points)
            if weight is not None:
                if factors is not None:
                    weight = weight * np.sqrt(factors[k].reshape(e.values.shape)[points].ravel())
                seen &= weight > 0
                weights.append(weight[seen])
                counts.append(int(seen.sum()))
            else:
                part = e.covariance[np.ix_(seen, seen)]
                block = whitener(part) * np.tile(self.scaling.scale, len(points))[seen]
                self._whiteners.append(block)
                counts.append(len(block))
            data.append(np.where(seen, values, 0.0)[seen])
            used.append(seen)
        self.data, self._used = np.concatenate(data), np.concatenate(used)
        self.rows, self._height = int(sum(counts)), max(counts)
        self._counts = np.array(counts)
        place = [w * self._height + np.arange(count) for w, count in enumerate(counts)]
        self._place = np.concatenate(place)
        self._weights = None if self._whiteners else np.concatenate(weights)
        self._full = self._weights is not None and self._used.all() and len(set(counts)) == 1
        self._split = np.cumsum([len(part) for part in data])[:-1]

    def _diagonal(self, e: Experiment, points) -> np.ndarray | None:
        scale = np.tile(self.scaling.scale, len(points))
        if e.covariance is None:
            return np.tile(1 / self.scaling.ranges, len(points))
        if e.covariance.ndim == 2:
            return None
        variances = e.covariance.reshape(e.values.shape)[points].ravel()
        known = np.nan_to_num(variances)
        return np.where(known > 0, scale / np.sqrt(positive(known)), 0.0)

    def residuals(self, values, slopes, start_slopes) -> Residuals:
        """Return what is left of the data, window by window, rows of zeros at the ends."""
        width = slopes.shape[-1]
        if self._full:
            # nothing is missing: the tables have their shape already
            shape, weights = (len(self), self._height), self._weights.reshape(len(self), -1)
            return Residuals(
                (self.data - values.ravel()).reshape(shape) * weights,
                slopes.reshape(*shape, width) * weights[:, :, None],
                start_slopes.reshape(*shape, -1) * weights[:, :, None],
            )
        rest = self.data - values.ravel()[self._used]
        stack = np.concatenate([
            rest[:, None],
            slopes.reshape(len(self._used), width)[self._used],
            start_slopes.reshape(-1, start_slopes.shape[-1])[self._used],
        ], axis=1)  # fmt: skip
        if self._weights is not None:
            stack *= self._weights[:, None]
        else:
            parts = np.split(stack, self._split)
            stack = np.concatenate(
                [block @ part for block, part in zip(self._whiteners, parts, strict=True)]
            )
        table = np.zeros((len(self) * self._height, stack.shape[1]))
        table[self._place] = stack
        table = table.reshape(len(self), self._height, -1)
        return Residuals(table[:, :, 0], table[:, :, 1 : 1 + width], table[:, :, 1 + width :])

    def plain(self, rest: np.ndarray) -> list[np.ndarray]:
        """Return residuals (W, n) as one table (T, D) an experiment; NaN where none is."""
        dimension = len(self.scaling.scale)
        flat = np.full(len(self._used), np.nan)
        flat[self._used] = rest.ravel()[self._place]
        tables = [np.full(e.values.shape, np.nan) for e in self.scaling.experiments]
        for w, (k, points) in enumerate(zip(self.experiment, self.points, strict=True)):
            mine = slice(self.first[w] * dimension, self.first[w + 1] * dimension)
            tables[k][points] = flat[mine].reshape(-1, dimension)
        return tables


def can_cut(e: Experiment) -> bool:
    """Whether the errors at different times are independent."""
    return e.covariance is None or e.covariance.ndim == 1


def _cut(count: int, pieces: int) -> list[np.ndarray]:
    """Return the points of each window, of about equal number."""
    edges = np.linspace(0, count, pieces + 1).round().astype(int)
    return [np.arange(a, b) for a, b in pairwise(edges)]


def eliminate(residuals: Residuals, damping: float = 1e-14):
    """Project the starts out; return (rest (rows,), slopes (rows, P), starts(step) -> (W, D)).

    ``starts`` tells the best step of the starts that belongs to a step of u.
    """
    rest, slopes, start_slopes = residuals
    width = slopes.shape[-1]
    if not start_slopes.any():
        still = np.zeros((len(rest), start_slopes.shape[-1]))
        return rest.ravel(), slopes.reshape(rest.size, width), lambda step: still
    size = positive(np.linalg.norm(start_slopes, axis=1))
    count, dimension = size.shape
    ridge = np.broadcast_to(np.sqrt(damping) * np.eye(dimension), (count, dimension, dimension))
    basis, triangle = np.linalg.qr(np.concatenate([start_slopes / size[:, None], ridge], axis=1))
    nothing = np.zeros((count, dimension, 1 + width))
    stack = np.concatenate([
        np.concatenate([rest[:, :, None], slopes], axis=2), nothing
    ], axis=1)  # fmt: skip
    shadow = basis.transpose(0, 2, 1) @ stack
    stack = stack - basis @ shadow
    back = np.linalg.solve(triangle, shadow) / size[:, :, None]
    return (
        stack[:, :, 0].ravel(),
        stack[:, :, 1:].reshape(stack[:, :, 0].size, width),
        lambda step: back[:, :, 0] - back[:, :, 1:] @ step,
    )
