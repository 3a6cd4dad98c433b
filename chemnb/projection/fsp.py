"""Finite state projection: the chemical master equation (Eq. 4) on a finite set of states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..networks.expressions import listing
from ..networks.network import ReactionNetwork
from ..networks.reactions import NetworkError
from ..progress import progress_bar
from .growing_box import METHODS, Box, Projection
from .slopes import PropensitySlopes
from .state_distribution import FSPError, StateDistribution, check_species

_MAX_NUMBERS = 100_000_000


def finite_state_projection(
    network: ReactionNetwork,
    initial,
    times: Sequence[float],
    *,
    tolerance: float = 1e-8,
    bounds: Mapping[str, int] | None = None,
    rate_constants: Sequence[float] | None = None,
    sensitivities: Sequence[str] = (),
    method: str = "auto",
    max_states: int = 1_000_000,
    progress: bool = False,
) -> StateDistribution:
    r"""Solve the chemical master equation (Eq. 4) on a finite set of states, with its error.

    Only states that reactions reach inside a box 0..b of counts are kept; what leaves the box
    is lost. The lost probability bounds the total error: the solution lies below the true one in
    every state [1]_. The box grows while time goes on, through the faces where probability leaves,
    until the loss at the last time is within ``tolerance``.

    The transient is solved by uniformisation, which never subtracts: its cost is the largest total
    propensity in the box times the last time. For stiff networks, where that would be very many
    steps, it is solved by contour integrals with an estimate of their error, which is added to the
    loss (the solution is then near the true one within it, no longer below).

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
    sensitivities : sequence of str
        Parameters by which to differentiate p(n, t): see `StateDistribution.sensitivity`.
    method : {"auto", "uniformisation", "contour"}
        The result's ``method`` says what "auto" took.
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
    check_tolerance(tolerance)
    if method not in METHODS:
        raise FSPError(f"method={method!r} is unknown; use one of {METHODS}")
    if "time" in network.species:
        raise FSPError("a species is called 'time', which names the times here; rename it")
    rates = check_rates(network, rate_constants)
    slopes = _check_sensitivities(network, sensitivities, rate_constants)
    start, weights = check_initial(network, initial)
    fixed = check_bounds(network, bounds, start)
    rows = len(times) * (1 + len(sensitivities))
    box = Box(network, rates, start, fixed, min(max_states, _MAX_NUMBERS // rows), method, slopes)
    try:
        with progress_bar(100, "finite state projection", "%", progress) as bar:
            projection = Projection(box, start, weights, times, tolerance, bar)
            values, leaked, error = projection.solve()
    except NetworkError as problem:  # a rate law that fails in one of the states
        raise FSPError(str(problem)) from None
    # the sum also misses the truncated series, but it cannot resolve a loss below round-off
    lost = np.maximum(1 - values[:, 0].sum(axis=1), leaked) + error
    if np.any(rates < 0):
        lost = np.full(len(times), np.nan)
    largest = projection.space.states.max(axis=0)
    reached = {
        name: int(box.bounds[i] if box.fixed[i] else largest[i])
        for i, name in enumerate(network.species)
    }
    return StateDistribution(
        network,
        times,
        projection.space.states,
        values[:, 0],
        lost,
        reached,
        method=" and ".join(dict.fromkeys(projection.methods)),
        slopes=dict(zip(sensitivities, values[:, 1:].transpose(1, 0, 2), strict=True)),
    )


def check_tolerance(tolerance: float) -> None:
    """Raise an FSPError unless a tolerance lies between 0 and 1."""
    if not 0 < tolerance < 1:
        raise FSPError(f"tolerance is {tolerance}; it must lie between 0 and 1, for example 1e-8")


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


def check_rates(network: ReactionNetwork, rate_constants) -> np.ndarray:
    """Return the rate constants (M,), or raise an FSPError."""
    if network.is_time_dependent:
        raise FSPError(
            "a rate law of this network depends on the time t; this solves "
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


def _check_sensitivities(network, names, rate_constants) -> PropensitySlopes | None:
    if isinstance(names, str):
        raise FSPError(f"sensitivities={names!r} is one text; give a list, [{names!r}]")
    if not len(names):
        return None
    if rate_constants is not None:
        raise FSPError(
            "sensitivities are by the network's own parameters; set them with "
            "network.with_parameters(...) and leave rate_constants out"
        )
    try:
        return PropensitySlopes(network, names)
    except NetworkError as error:
        raise FSPError(f"sensitivities: {error}") from None


def check_bounds(network: ReactionNetwork, bounds, start: np.ndarray) -> dict[str, int]:
    """Return the bounds that stay, or raise an FSPError."""
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


def check_initial(network: ReactionNetwork, initial) -> tuple[np.ndarray, np.ndarray]:
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
