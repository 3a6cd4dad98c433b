"""The stationary distribution of the chemical master equation (Eq. 4): Q π = 0, with checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..networks.network import ReactionNetwork
from ..networks.reactions import NetworkError
from .fsp import check_bounds, check_initial, check_rates, check_tolerance
from .growing_box import Box
from .recurrence import ClosedClass
from .state_distribution import FSPError, StateDistribution

_MAX_STATES = 200_000


def stationary_distribution(
    network: ReactionNetwork,
    initial,
    *,
    tolerance: float = 1e-8,
    bounds: Mapping[str, int] | None = None,
    rate_constants: Sequence[float] | None = None,
    max_states: int = _MAX_STATES,
) -> StationaryDistribution:
    r"""Return the distribution that no longer changes, of what is reached from a start.

    The box of counts grows until what a larger box added, and the bound on the error inside,
    are within ``tolerance``. Inside a box the stationary distribution is a mixture of simple ones:
    for each state x at which the chain may come back from outside, the share of time spent in
    each state from x until it leaves. Their spread bounds the error of the distribution *given
    that the state is in the box* [1]_. How much lies outside, no finite box can tell: that is
    judged by what the last enlargement added.

    Parameters
    ----------
    network : ReactionNetwork
    initial : mapping species -> count, or sequence of counts
        Fixes the conserved totals, and which states are reached at all.
    tolerance : float
    bounds : mapping species -> largest count, optional
        Fixes the box of these species, whatever is lost through it.
    rate_constants : sequence of M numbers, optional
        Instead of the network's own, zero or more.
    max_states : int

    Returns
    -------
    StationaryDistribution

    Raises
    ------
    FSPError
        For bad input; if there are several closed classes, so that the limit depends on chance;
        and if the box keeps growing, as it does where no stationary distribution exists.

    References
    ----------
    .. [1] Kuntz, Thomas, Stan and Barahona, SIAM Review 63, 3 (2021), doi:10.1137/19M1289625

    Examples
    --------
    >>> net = ReactionNetwork("0 <-> A ; 6, 0.5")
    >>> p = stationary_distribution(net, {"A": 0})
    >>> p.mean().sel(species="A").item().__round__(6), p.error < 1e-8
    (12.0, True)
    """
    check_tolerance(tolerance)
    rates = check_rates(network, rate_constants)
    if np.any(rates < 0):
        raise FSPError("a stationary distribution needs rate constants of zero or more")
    start, _ = check_initial(network, initial)
    box = Box(network, rates, start, check_bounds(network, bounds, start), max_states)
    try:
        return _solve(network, box, start, tolerance)
    except NetworkError as problem:  # a rate law that fails in one of the states
        raise FSPError(str(problem)) from None


class StationaryDistribution:
    """π(n) on a finite set of states, with what is known of its error.

    Made by `stationary_distribution`; `probability`, `marginal`, `mean` and `moments` are those of
    `StateDistribution` without the time.

    Attributes
    ----------
    network : ReactionNetwork
    bounds : dict of species -> int
    states : int
    error : float
        Bound on the total variation from the true distribution given that the state is in the box
        (rounding aside); nan where it would have cost too much.
    outside : float
        Estimate of the probability outside the box: what the last enlargement added (nan if the
        box could not grow). Where the chain comes to rest in a class inside the box, the
        probability to leave the box before.
    outflow : float
        Probability that crosses the faces of the box (1/time).
    residual : float
        Sum of magnitudes of Q π over the largest total propensity, what flows out included.
    """

    def __init__(self, solution: StateDistribution, error, outside, outflow, residual) -> None:
        self._solution = solution
        self.network, self.bounds, self.states = solution.network, solution.bounds, solution.states
        self.error, self.outside = float(error), float(outside)
        self.outflow, self.residual = float(outflow), float(residual)

    @property
    def probability(self):
        """π(n): DataArray (one dimension a species), a dense box."""
        return self._solution.probability.isel(time=0, drop=True)

    def marginal(self, *species: str):
        """Return the distribution of some species: DataArray (*species)."""
        return self._solution.marginal(*species).isel(time=0, drop=True)

    def mean(self):
        """Return the mean counts: DataArray (species)."""
        return self._solution.mean().isel(time=0, drop=True)

    def moments(self):
        """Return means, variances and covariances: DataArray (moment)."""
        return self._solution.moments().isel(time=0, drop=True)

    def __repr__(self) -> str:
        box = ", ".join(f"{name} 0..{bound}" for name, bound in self.bounds.items())
        return (
            f"StationaryDistribution({box}: {self.states} states, error inside {self.error:.1e}, "
            f"outside about {self.outside:.1e})"
        )


def _solve(network, box: Box, start, tolerance: float) -> StationaryDistribution:
    smaller = None
    while True:
        try:
            space = box.space(start)
        except FSPError as problem:
            raise FSPError(
                f"no stationary distribution found: {problem}. Where counts grow without end there "
                "is none; one with a heavy tail needs more states"
            ) from None
        found = ClosedClass(space)
        growing = ~box.fixed & (box.bounds < box.caps)
        if not found.members.size:
            if not growing.any():
                raise FSPError(
                    "no stationary distribution in this box: what leaves it does not come back, or "
                    "comes back to several places; allow larger bounds"
                )
            leak = growing.astype(float)
        elif found.leaks:
            values = found.occupation.values
            leak = found.outflow(values) * growing
            added = _beyond(space.states[found.members], values, smaller)
            if not leak.any() or added <= tolerance:
                error = found.occupation.error()
                if not leak.any() or not error > tolerance:
                    return _result(box, found, error, added)
        else:
            lost = found.lost_before(start)
            leak = lost * growing
            if not leak.sum() > tolerance:
                return _result(box, found, 0.0, lost.sum())
        smaller = box.bounds.copy()
        box.grow(leak, tolerance)


def _beyond(states: np.ndarray, values: np.ndarray, bounds) -> float:
    return np.nan if bounds is None else float(values[(states > bounds).any(axis=1)].sum())


def _result(box: Box, found: ClosedClass, error: float, outside: float) -> StationaryDistribution:
    network, states = box.network, found.space.states[found.members]
    values, largest = found.occupation.values, states.max(axis=0)
    reached = {
        name: int(box.bounds[i] if box.fixed[i] else largest[i])
        for i, name in enumerate(network.species)
    }
    parts = np.array([np.inf]), states, values[None], np.zeros(1), reached
    outflow = found.outflow(values).sum()
    residual = found.occupation.residual()
    return StationaryDistribution(
        StateDistribution(network, *parts), error, outside, outflow, residual
    )
