"""Solutions of θΓ(y) from many starts at once, with their derivatives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..equations.polynomials import SolverError, solve_initial_value
from .library import Library
from .stacked import TooStiff, solve_stacked
from .unknowns import Pair

_RTOL, _ATOL = 1e-8, 1e-10
_BLOWN_UP, _NEAR = 1e3, 3.0  # in units of the largest value of a variable in the data
_STIFF = 300.0  # fastest decay in units of a trajectory's length


class Shooter:
    """Solves dy/dt = θΓ(y), with θ = V u + θ0, for many starts and times.

    Polynomial terms run through a compiled explicit scheme; where that needs too many steps
    the equations are stiff, and an implicit one (LSODA) takes over for good. All other terms
    go the same way with ``library.evaluate`` and ``library.jacobian`` in NumPy, many
    trajectories at a time.

    Parameters
    ----------
    library : Library
    pairs : sequence of (equation, term)
    matrix, offset : ndarray (pairs, unknowns), (pairs,)
        V and θ0, scaled.
    """

    def __init__(
        self, library: Library, pairs: Sequence[Pair], matrix: np.ndarray, offset: np.ndarray
    ) -> None:
        self.library, self.pairs, self.matrix, self.offset = library, pairs, matrix, offset
        rows, terms = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        self._rows, self._terms = rows, np.ascontiguousarray(terms)
        self.stiff, self._factors = False, None
        if not library.is_polynomial:
            return
        factors = library.factor_table()
        tied, columns = np.nonzero(matrix)
        first = np.searchsorted(tied, np.arange(len(pairs) + 1)).astype(np.int64)
        self._factors = np.ascontiguousarray(factors[terms], dtype=np.int64)
        self._ties = first, columns.astype(np.int64), matrix[tied, columns]

    def __call__(
        self, u: np.ndarray, starts: np.ndarray, first: np.ndarray, times: np.ndarray,
        with_starts: bool = True,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
        """Return values (N, D), and their derivatives by u (N, D, P) and start (N, D, D).

        ``times`` hold those of trajectory w, since its start, from ``first[w]`` on.

        Raises
        ------
        SolverError
            If a solution runs away.
        """
        theta = self.matrix @ u + self.offset
        if self._factors is None:
            path = self._generic(theta, starts, first, times, with_starts)
        else:
            path = self._compiled(theta, starts, first, times, with_starts)
        known = 1 + self.matrix.shape[1]
        return path[..., 0], path[..., 1:known], path[..., known:]

    def _compiled(self, theta, starts, first, times, with_starts):
        from .._kernels.shooting import SOLVED, TOO_MANY_STEPS, shoot

        tables = (self._rows, self._factors, theta, *self._ties)
        # one memory layout: the kernel is compiled once
        starts, known = np.ascontiguousarray(starts), self.matrix.shape[1]
        for implicit in (False, True) if not self.stiff else (True,):
            path, status, place = shoot(
                starts, first, times, tables, known, with_starts, implicit,
                _RTOL, _ATOL, _BLOWN_UP,
            )  # fmt: skip
            if status != TOO_MANY_STEPS or not self._is_stiff(theta, path[place, :, 0], times):
                break
        if status != SOLVED or not np.isfinite(path[..., 0]).all():
            raise SolverError("the solution leaves the range of the data by far")
        self.stiff = implicit
        return path

    def _is_stiff(self, theta, y, times) -> bool:
        """Whether a fast decay, not a solution that runs away, calls for small steps."""
        if not np.abs(y).max() < _NEAR:
            return False
        rates = np.linalg.eigvals(self._jacobian(theta, y))
        return bool(-rates.real.min() * times.max() > _STIFF)

    def _jacobian(self, theta, y):
        return (self._sums() * theta) @ self.library.jacobian(y)[self._terms]

    def _sums(self) -> np.ndarray:
        """Return what adds the terms of each equation (D, pairs)."""
        sums = np.zeros((len(self.library.names), len(self._rows)))
        sums[self._rows, np.arange(len(self._rows))] = 1.0
        return sums

    def _generic(self, theta, *trajectories):
        if not self.stiff:
            try:
                return self._stacked(theta, *trajectories)
            except TooStiff:
                self.stiff = True
        return self._one_by_one(theta, *trajectories)

    def _stacked(self, theta, starts, first, times, with_starts):
        sums, known = self._sums(), self.matrix.shape[1]

        def slope(z):
            y = z[:, :, 0]
            if not np.abs(y).max() < _BLOWN_UP:
                raise SolverError("the solution leaves the range of the data by far")
            terms = self.library.evaluate(y)[:, self._terms]
            change = (sums * theta) @ self.library.jacobian(y)[:, self._terms] @ z
            change[:, :, 0] = (terms * theta) @ sums.T
            change[:, :, 1 : 1 + known] += (sums * terms[:, None, :]) @ self.matrix
            return change

        z = self._begun(starts, with_starts)
        return solve_stacked(slope, z, first, times, (_RTOL, _ATOL))

    def _begun(self, starts, with_starts):
        """Return starts with their derivatives (W, D, 1 + unknowns + D)."""
        n, known = starts.shape[1], self.matrix.shape[1]
        z = np.zeros((len(starts), n, 1 + known + (n if with_starts else 0)))
        z[:, :, 0] = starts
        if with_starts:
            z[:, :, 1 + known :] = np.eye(n)
        return z

    def _one_by_one(self, theta, starts, first, times, with_starts):
        begun = self._begun(starts, with_starts)
        result = np.empty((len(times), *begun.shape[1:]))
        for w, z in enumerate(begun):
            mine = slice(first[w], first[w + 1])
            result[mine] = self._trajectory(theta, z, times[mine])
        return result

    def _trajectory(self, theta, z, times):
        n, width = z.shape
        rows = self._sums()

        def jacobian(y):
            return self._jacobian(theta, y)

        def slope(_, flat):
            z = flat.reshape(n, width)
            if not np.abs(z[:, 0]).max() < _BLOWN_UP:
                raise SolverError("the solution leaves the range of the data by far")
            terms = self.library.evaluate(z[:, 0])[self._terms]
            change = jacobian(z[:, 0]) @ z
            change[:, 0] = rows @ (theta * terms)
            change[:, 1 : 1 + self.matrix.shape[1]] += (rows * terms) @ self.matrix
            return change.ravel()

        def stiff_part(_, flat):
            # the coupling of slopes to y is left out: it only speeds the corrector
            return np.kron(jacobian(flat.reshape(n, width)[:, 0]), np.eye(width))

        later = times > 0
        path = np.empty((len(times), n, width))
        path[~later] = z
        if later.any():
            solved = solve_initial_value(slope, stiff_part, z.ravel(), times[later], _RTOL, _ATOL)
            path[later] = solved.reshape(-1, n, width)
        return path
