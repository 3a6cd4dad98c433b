"""Finite state projection: the chemical master equation (Eq. 4) on a finite set of states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .expressions import listing
from .network import ReactionNetwork
from .progress import progress_bar
from .reactions import NetworkError
from .state_distribution import FSPError, StateDistribution, check_species
from .state_space import StateSpace, TooManyStatesError, largest_counts, uniformise

_MEAN_EVENTS = 500  # Λt of one stretch of time: long enough to be cheap, short enough to redo
_AMPLIFICATION = 5  # exponent by which negative rates may amplify round-off in one stretch
_MAX_NUMBERS = 100_000_000
_MAX_OPERATIONS = 1e12


def finite_state_projection(
    network: ReactionNetwork,
    initial,
    times: Sequence[float],
    *,
    tolerance: float = 1e-8,
    bounds: Mapping[str, int] | None = None,
    rate_constants: Sequence[float] | None = None,
    max_states: int = 1_000_000,
    progress: bool = False,
) -> StateDistribution:
    r"""Solve the chemical master equation (Eq. 4) on a finite set of states, with its error.

    Only states that reactions reach inside a box 0..b of counts are kept; what leaves the box
    is lost. The lost probability bounds the total error: the solution lies below the true one in
    every state [1]_. The box grows while time goes on, through the faces where probability leaves,
    until the loss at the last time is within ``tolerance``. The transient is solved by
    uniformisation: its cost is the largest total propensity in the box times the last time.

    Parameters
    ----------
    network : ReactionNetwork
    initial : mapping species -> count, sequence of counts, or DataArray
        The state at t = 0, or a distribution with one dimension a species, as `.at` returns it
        (what it lacks to a sum of 1 counts as lost, on top of ``tolerance``).
    times : increasing sequence of T numbers, zero or more
        In the unit of time of the rate constants.
    tolerance : float
        Largest loss at the last time; below about 1e-12 round-off is larger.
    bounds : mapping species -> largest count, optional
        Fixes the box of these species; the loss through their faces is reported, not limited.
    rate_constants : sequence of M numbers, optional
        Instead of the network's own. Negative ones give the formal solution, which has negative
        "probabilities"; no bound exists then and ``lost_mass`` is nan.
    max_states : int
        Refuse to go beyond this number of states.
    progress : bool
        Show a bar if it takes longer than two seconds.

    Returns
    -------
    StateDistribution

    Raises
    ------
    FSPError
        For bad input, and if the states become too many or the reactions too fast.

    References
    ----------
    .. [1] Munsky and Khammash, J. Chem. Phys. 124, 044104 (2006), doi:10.1063/1.2145882

    Examples
    --------
    >>> net = ReactionNetwork("2 A <-> B ; 1, 0.5")
    >>> p = finite_state_projection(net, {"A": 6}, [0, 1, 10])
    >>> p.states, p.probability.dims
    (4, ('time', 'A', 'B'))
    >>> p.mean().sel(species="B").values.round(4)
    array([0.    , 2.1848, 2.2659])
    """
    times = _check_times(times)
    if not 0 < tolerance < 1:
        raise FSPError(f"tolerance is {tolerance}; it must lie between 0 and 1, for example 1e-8")
    if "time" in network.species:
        raise FSPError("a species is called 'time', which names the times here; rename it")
    rates = _check_rates(network, rate_constants)
    start, weights = _check_initial(network, initial)
    box = _Box(network, rates, start, _check_bounds(network, bounds, start))
    limit = min(max_states, _MAX_NUMBERS // len(times))
    with progress_bar(100, "finite state projection", "%", progress) as bar:
        space, values, leaked = _solve(box, start, weights, times, tolerance, limit, bar)
    # the sum also misses the truncated series, but it cannot resolve a loss below round-off
    lost = np.maximum(1 - values.sum(axis=1), leaked)
    if np.any(rates < 0):
        lost = np.full(len(times), np.nan)
    largest = space.states.max(axis=0)
    reached = {
        name: int(box.bounds[i] if box.fixed[i] else largest[i])
        for i, name in enumerate(network.species)
    }
    return StateDistribution(network, times, space.states, values, lost, reached)


class _Box:
    """The bounds of the counts, and how they grow."""

    def __init__(self, network, rates, start, bounds: Mapping[str, int]) -> None:
        self.network, self.rates = network, rates
        self.fixed = np.array([name in bounds for name in network.species])
        active = network.stoichiometry[:, rates != 0]
        caps = largest_counts(active if active.size else network.stoichiometry, start)
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

    def space(self, start, limit: int, duration: float) -> StateSpace:
        """Return the reachable states, or refuse."""
        try:
            space = StateSpace(self.network, self.rates, start, self.bounds, limit)
        except TooManyStatesError:
            raise FSPError(f"more than {limit} states {self._where()}") from None
        steps = space.rate * duration
        # the second number stands for the fixed cost of a step
        if steps * (len(space) * len(self.rates) + 5000) > _MAX_OPERATIONS:
            equation, fastest = space.fastest()
            raise FSPError(
                f"{steps:.1e} steps of uniformisation over {len(space)} states {self._where()}; "
                f"the fastest reaction is '{equation}' with propensity {fastest:.3g}: "
                "remove or slow it, or compute a stiff network otherwise (moments, sampling)"
            )
        return space

    def _where(self) -> str:
        names = self.network.species
        box = ", ".join(f"{name} 0..{b}" for name, b in zip(names, self.bounds, strict=True))
        cause = f"; {listing(self.grown)} keeps growing" if self.grown else ""
        name = str(self.grown[0] if self.grown else names[int(self.bounds.argmax())])
        return (
            f"in the box {box}{cause}; fix or reduce the box with bounds={{{name!r}: ...}}, "
            "end earlier, ask for fewer times, or allow a larger tolerance or max_states"
        )


def _solve(box: _Box, start, weights, times, tolerance, limit, bar):
    """Return the final space, p at the times (T, n) and the probability that left the box (T,)."""
    end, n_sinks = times[-1], len(box.bounds)
    space = box.space(start, limit, end)
    now = _embed(space, start, np.append(weights, np.zeros(n_sinks)))
    solved = [(space.states, now)] if times[0] == 0 else []
    t = 0.0
    while t < end:
        h = _stretch(space, end - t)
        new_t = end if end - (t + h) < 1e-12 * end else t + h
        stops = np.append(times[(times > t) & (times < new_t)], new_t)
        means = space.rate * (stops - t)
        values = uniformise(space.matrix, now, means, space.amplification)
        sinks = np.where(box.fixed, 0, np.abs(values[-1, -n_sinks:]))
        # a tenth of the tolerance is kept for the truncated series and round-off
        allowed = 0.9 * tolerance * new_t / end
        if sinks.sum() > allowed:
            leak = np.where(box.fixed, 0, np.abs(values[-1, -n_sinks:] - now[-n_sinks:]))
            box.grow(leak, allowed)
            old, space = space, box.space(space.states, limit, end - t)
            now = _embed(space, old.states, now)
            continue
        wanted = len(stops) if np.any(times == new_t) else len(stops) - 1
        solved += [(space.states, row) for row in values[:wanted]]
        t, now = new_t, values[-1]
        bar.update(100 * t / end - bar.n)
    rows = np.array([_embed(space, states, row) for states, row in solved])
    return space, rows[:, :-n_sinks], rows[:, -n_sinks:].sum(axis=1)


def _stretch(space: StateSpace, remaining: float) -> float:
    """Return the time that one series covers."""
    if space.rate == 0:
        return remaining
    events = min(_MEAN_EVENTS, _AMPLIFICATION / max(space.amplification, 1e-300))
    return min(remaining, events / space.rate)


def _embed(space: StateSpace, states: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return values on some states, followed by those of the sinks, as a vector of a space."""
    vector = np.zeros(len(space) + len(space.bounds))
    vector[space.index(states)] = values[: len(states)]
    vector[len(space) :] = values[len(states) :]
    return vector


def _check_times(times) -> np.ndarray:
    array = np.atleast_1d(np.asarray(times, dtype=float))
    if array.ndim != 1 or array.size == 0 or not np.all(np.isfinite(array)):
        raise FSPError(
            f"times must be a list of finite numbers, for example range(21); got {times}"
        )
    if array[0] < 0:
        raise FSPError(f"times starts at {array[0]:g}; the initial state holds at 0, begin there")
    if np.any(falls := np.diff(array) <= 0):
        i = int(falls.argmax())
        raise FSPError(
            f"times must increase; {array[i + 1]:g} follows {array[i]:g} at position {i + 1}"
        )
    return array


def _check_rates(network: ReactionNetwork, rate_constants) -> np.ndarray:
    if network.is_time_dependent:
        raise FSPError(
            "a rate law of this network depends on the time t; finite_state_projection solves "
            "networks whose propensities depend on the state alone"
        )
    try:
        given = network.rate_constants() if rate_constants is None else rate_constants
    except NetworkError as error:
        raise FSPError(f"rate constants: {error}") from None
    rates = np.asarray(given, dtype=float)
    wanted = len(network.reactions)
    if rates.shape != (wanted,) or not np.all(np.isfinite(rates)):
        raise FSPError(
            f"rate_constants must be {wanted} finite numbers, one a reaction; got {given}"
        )
    return rates


def _check_bounds(network: ReactionNetwork, bounds, start: np.ndarray) -> dict[str, int]:
    bounds = {} if bounds is None else bounds
    if not isinstance(bounds, Mapping):
        raise FSPError(f"bounds is {bounds!r}; give a mapping, species -> largest count")
    check_species(bounds, network.species, "bounds")
    for name, bound in bounds.items():
        if not isinstance(bound, (int, np.integer)) or bound < 0:
            raise FSPError(f"bounds[{name!r}] is {bound!r}; give a whole number, zero or more")
        most = start[:, network.species.index(name)].max()
        if most > bound:
            raise FSPError(
                f"the start has {most} of {name!r}, outside bounds[{name!r}] = {bound}; "
                f"give {most} or more"
            )
    return dict(bounds)


def _check_initial(network: ReactionNetwork, initial) -> tuple[np.ndarray, np.ndarray]:
    """Return the states at t = 0 (m, N) and their probabilities (m,)."""
    try:
        if not hasattr(initial, "dims"):
            state = network.counts(initial)
            if state.ndim != 1:
                raise NetworkError(f"{len(state)} states; give one state, or a DataArray")
            return state[None, :], np.ones(1)
        if sorted(map(str, initial.dims)) != sorted(network.species):
            raise NetworkError(
                f"a distribution over {listing(initial.dims)}; "
                f"its dimensions must be the species {listing(network.species)}"
            )
        array = initial.transpose(*network.species)
        places = np.nonzero(array.values)
        axes = zip(network.species, places, strict=True)
        states = np.stack([array[name].values[place] for name, place in axes], axis=1)
        states, weights = network.counts(states), array.values[places].astype(float)
    except NetworkError as error:
        raise FSPError(f"initial: {error}") from None
    if not (np.all(weights >= 0) and 0 < weights.sum() <= 1 + 1e-9):
        raise FSPError(
            "initial: probabilities must be zero or more and sum to 1; "
            f"these sum to {weights.sum():.6g}, the smallest is {weights.min(initial=0):.3g}"
        )
    return states, weights
