"""p(n, t) in a box of counts that grows where probability leaves it (Eq. 4)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..networks.expressions import listing
from .contour import contour_exponential
from .state_distribution import FSPError
from .state_space import StateSpace, TooManyStatesError, largest_counts
from .uniformisation import uniformise

METHODS = ("auto", "uniformisation", "contour")
_MEAN_EVENTS = 500  # Λt of one stretch of time: long enough to be cheap, short enough to redo
_AMPLIFICATION = 5  # exponent by which negative rates may amplify round-off in one stretch
_MAX_OPERATIONS = 1e12
_STIFF = 2e10  # operations beyond which factorising is cheaper
_MAX_FACTORISED = 30_000  # states
_ROUNDING = 2e-16  # of the largest propensity times the time, in a contour integral
_ROUNDING_SHARE = 0.1  # of the tolerance
_SHORTEST = 1e-4  # share of the whole time


class Box:
    """The bounds of the counts, how they grow, and which method suits the states inside.

    Parameters
    ----------
    network : ReactionNetwork
    rates : ndarray (M,)
    start : ndarray of int (m, N)
    bounds : mapping species -> largest count
        Of the species whose bound stays.
    limit : int
        Largest number of states.
    method : str
        One of ``METHODS``.
    slopes : PropensitySlopes, optional
    """

    def __init__(
        self, network, rates, start, bounds: Mapping[str, int], limit, method="auto", slopes=None
    ) -> None:
        self.network, self.rates, self.limit = network, rates, limit
        self.method, self.slopes = method, slopes
        self.fixed = np.array([name in bounds for name in network.species])
        active = rates != 0 if slopes is None else (rates != 0) | slopes.active
        changes = network.stoichiometry[:, active]
        caps = largest_counts(changes if changes.size else network.stoichiometry, start)
        most = start.max(axis=0)
        guess = np.minimum(caps, most + np.maximum(8, most // 2))
        given = [bounds.get(name, guess[i]) for i, name in enumerate(network.species)]
        self.caps, self.bounds, self.grown = caps, np.array(given, dtype=np.int64), ()

    def grow(self, leak: np.ndarray, allowed: float) -> None:
        """Enlarge the species through whose faces most is lost."""
        which = leak >= 0.1 * leak.max()
        factor = np.where(leak > 1e3 * allowed, 0.5, 0.2)
        larger = np.minimum(self.caps, self.bounds + np.maximum(4, self.bounds * factor))
        self.bounds = np.where(which, larger, self.bounds).astype(np.int64)
        self.grown = tuple(np.array(self.network.species)[which])

    def space(self, start) -> StateSpace:
        """Return the reachable states, or refuse."""
        try:
            return StateSpace(self.network, self.rates, start, self.bounds, self.limit, self.slopes)
        except TooManyStatesError:
            raise FSPError(f"more than {self.limit} states {self._where()}") from None

    def choose(self, space: StateSpace, duration: float, end: float, tolerance: float) -> str:
        """Return the method for these states, or refuse."""
        steps = space.rate * duration
        systems = 1 if self.slopes is None else 1 + 2 * len(self.slopes.names)
        # the second number stands for the fixed cost of a step
        operations = steps * systems * (len(space) * len(self.rates) + 2000)
        rounding = _ROUNDING * space.rate * end
        chosen = self.method
        if chosen == "auto":
            suits = not space.amplification and len(space) <= _MAX_FACTORISED
            precise = rounding <= _ROUNDING_SHARE * tolerance or operations > _MAX_OPERATIONS
            # by the whole time, so that the method stays the same to the end
            stiff = operations * end / max(duration, 1e-300) > _STIFF and suits and precise
            chosen = "contour" if stiff else "uniformisation"
        if chosen == "contour" and space.amplification:
            raise FSPError("method='contour' needs rate constants of zero or more; use 'auto'")
        equation, fastest = space.fastest()
        cause = f"the fastest reaction is '{equation}' with propensity {fastest:.3g}"
        if chosen == "contour" and rounding > _ROUNDING_SHARE * tolerance:
            raise FSPError(
                f"rounding may give an error of {rounding:.1e} {self._where()}; {cause}: remove "
                f"or slow it, or allow tolerance={2 * rounding / _ROUNDING_SHARE:.0e}"
            )
        if chosen == "uniformisation" and operations > _MAX_OPERATIONS:
            raise FSPError(
                f"{steps:.1e} steps of uniformisation over {len(space)} states {self._where()}; "
                f"{cause}: remove or slow it, or compute a stiff network otherwise "
                "(moments, sampling)"
            )
        return chosen

    def _where(self) -> str:
        names = self.network.species
        box = ", ".join(f"{name} 0..{b}" for name, b in zip(names, self.bounds, strict=True))
        cause = f"; {listing(self.grown)} keeps growing" if self.grown else ""
        name = str(self.grown[0] if self.grown else names[int(self.bounds.argmax())])
        return (
            f"in the box {box}{cause}; fix or reduce the box with bounds={{{name!r}: ...}}, "
            "end earlier, ask for fewer times, or allow a larger tolerance or max_states"
        )


class Projection:
    """The solution in a box that grows: `solve` gives p and its derivatives at the times.

    Attributes
    ----------
    space : StateSpace
        The last one.
    methods : list of str
        Those that were used, in their order.
    error : float
        What the contour integrals may be off in total.
    """

    def __init__(self, box: Box, start, weights, times, tolerance: float, bar) -> None:
        self.box, self.times, self.tolerance, self.bar = box, times, tolerance, bar
        self.space, self.methods, self.error = box.space(start), [], 0.0
        self._sinks, self._h = len(box.bounds), np.inf
        count = 1 if box.slopes is None else 1 + len(box.slopes.names)
        values = np.zeros((count, len(weights) + self._sinks))
        values[0, : len(weights)] = weights
        self._now = self._embed(start, values)

    def solve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return p and derivatives (T, 1 + D, n), and what left the box and the error (T,)."""
        t, end = 0.0, self.times[-1]
        solved = [(self.space.states, self._now, 0.0)] if self.times[0] == 0 else []
        while t < end:
            method = self.box.choose(self.space, end - t, end, self.tolerance)
            stops, values, error = getattr(self, f"_by_{method}")(t, end)
            # a tenth of the tolerance is kept for the truncated series and round-off
            allowed = 0.9 * self.tolerance * stops[-1] / end
            gone = np.where(self.box.fixed, 0, np.abs(values[-1, 0, -self._sinks :]))
            if gone.sum() > allowed:
                self._grow(values[-1, 0], allowed)
                continue
            self.methods += [] if self.methods[-1:] == [method] else [method]
            self.error += error
            t, self._now = stops[-1], values[-1]
            wanted = len(stops) if np.any(self.times == t) else len(stops) - 1
            solved += [(self.space.states, row, self.error) for row in values[:wanted]]
            self.bar.update(100 * t / end - self.bar.n)
        rows = np.array([self._embed(states, row) for states, row, _ in solved])
        leaked = rows[:, 0, -self._sinks :].sum(axis=1)
        return rows[:, :, : -self._sinks], leaked, np.array([error for *_, error in solved])

    def _by_uniformisation(self, t: float, end: float):
        space = self.space
        h = end - t
        # in a box that cannot grow nothing is ever redone
        if space.rate and (space.amplification or not self.box.fixed.all()):
            h = min(
                h, min(_MEAN_EVENTS, _AMPLIFICATION / max(space.amplification, 1e-300)) / space.rate
            )
        new_t = end if end - (t + h) < 1e-12 * end else t + h
        stops = np.append(self.times[(self.times > t) & (self.times < new_t)], new_t)
        means = space.rate * (stops - t)
        values = uniformise(
            space.matrix, self._now, means, space.amplification, space.derivatives,
            ahead=space.rate * (end - t),
        )  # fmt: skip
        return stops, values, 0.0

    def _by_contour(self, t: float, end: float):
        stop = self.times[self.times > t][0]
        while True:
            h = min(self._h, stop - t)
            new_t = stop if stop - (t + h) < 1e-9 * end else t + h
            h = new_t - t
            values, error = contour_exponential(
                self.space.generator, self._now, h, self.space.generator_derivatives
            )
            allowed = _ROUNDING_SHARE * self.tolerance * h / end
            if error <= allowed:
                self._h = 4 * h if error < 1e-3 * allowed else h
                values[0] = np.maximum(values[0], 0)  # only rounding can make them negative
                return np.array([new_t]), values[None], error
            self._h = h / 4
            if self._h < _SHORTEST * end:
                equation, fastest = self.space.fastest()
                raise FSPError(
                    f"the contour integral cannot follow this network within the tolerance "
                    f"{self.tolerance:g}; the fastest reaction is '{equation}' with propensity "
                    f"{fastest:.3g}: allow a larger tolerance or take method='uniformisation'"
                )

    def _grow(self, reached: np.ndarray, allowed: float) -> None:
        leak = np.abs(reached[-self._sinks :] - self._now[0, -self._sinks :])
        self.box.grow(np.where(self.box.fixed, 0, leak), allowed)
        old = self.space.states
        self.space = self.box.space(old)
        self._now = self._embed(old, self._now)

    def _embed(self, states: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return values on some states, followed by those of the sinks, as vectors of the space."""
        vectors = np.zeros((len(values), len(self.space) + self._sinks))
        vectors[:, self.space.index(states)] = values[:, : len(states)]
        vectors[:, len(self.space) :] = values[:, len(states) :]
        return vectors
