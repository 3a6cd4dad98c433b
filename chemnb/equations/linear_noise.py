"""Linear noise approximation: Gaussian fluctuations around the rate equations (Eq. 8)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..networks.laws import TIME, VOLUME
from ..networks.network import ReactionNetwork
from .dynamics import DynamicsError, check_times
from .moments import moment_indices, moment_labels
from .polynomials import SolverError

__all__ = ["linear_noise", "linear_noise_correlations", "stationary_linear_noise"]

_RELATIVE_STEP = 1e-6  # of the difference quotients of rate laws
_DOUBLINGS = 60
_STILL = 1e-9


def linear_noise(
    network: ReactionNetwork,
    initial: Mapping[str, int] | Sequence[int],
    times: Sequence[float],
    *,
    rtol: float = 1e-8,
    atol: float = 1e-8,
):
    r"""Return means, variances and covariances in the linear noise approximation.

    .. math:: \frac{d\phi}{dt} = U f(\phi), \qquad
              \frac{dC}{dt} = J C + C J^T + U\,\mathrm{diag}(f)\,U^T

    with f the rates of the mass-action equations (Eq. 8) in molecules, J = U df/dφ.

    **What is approximated.** van Kampen's expansion in the inverse of the volume, cut after the
    first two orders [1]_: the mean follows the rate equations, the noise is Gaussian and feels
    the slope of the propensities at the mean.

    **When it is valid.** Exact (Eq. 13) for networks whose reactions have at most one reactant
    molecule. Otherwise for large volumes and one stable state: the error of the mean is of order
    1 molecule (1/V of the concentration), that of the covariance of order 1/V of itself.

    **How to see it fail.** Compare with `sample` or `finite_state_projection`. With two stable
    states it knows only the one that the start leads to, and nothing of switching; at few
    molecules its mean ignores that 2 A -> B has the propensity of n(n - 1), not n²; a variance
    larger than the square of the mean tells that a Gaussian would be negative.

    Parameters
    ----------
    network : ReactionNetwork
        With a value for every rate constant. A rate law is taken as a smooth function of real
        counts, and differentiated by difference quotients.
    initial : mapping of species -> count, or sequence of counts
    times : sequence of float
        Zero or more, increasing.
    rtol, atol : float
        Tolerances of the solver; ``atol`` in molecules.

    Returns
    -------
    xarray.DataArray (time, moment)
        In molecules, labelled as ``Ensemble.moments()`` and ``integrate(moment_equations(...))``.

    Raises
    ------
    DynamicsError
        If the times are not increasing or the start is no single state.
    NetworkError
        If the start does not fit the network or a rate constant has no value.
    SolverError
        If the rate equations blow up or a rate law gives no finite number.

    References
    ----------
    .. [1] van Kampen, Can. J. Phys. 39, 551 (1961), doi:10.1139/p61-056

    Examples
    --------
    >>> net = ReactionNetwork("2 A <-> B ; 2, 0.3", volume=1000)
    >>> linear_noise(net, {"A": 1000}, [4]).sel(moment=["A", "Var(A)"]).values.round(1)
    array([[320.2, 258.7]])
    """
    import xarray as xr

    times, start = check_times(times), _check_start(network, initial)
    means, covariances, _ = _solve(network, start, times, rtol, atol)
    return xr.DataArray(
        _as_moments(means, covariances),
        dims=("time", "moment"),
        coords={"time": times, "moment": moment_labels(network.species)},
        name="moments",
        attrs={"units": "molecules, to the power of the moment",
               "approximation": "linear noise"},
    )  # fmt: skip


def linear_noise_correlations(
    network: ReactionNetwork,
    initial: Mapping[str, int] | Sequence[int],
    times: Sequence[float],
    *,
    rtol: float = 1e-8,
    atol: float = 1e-8,
):
    """Return the covariances of the counts at one time with those at another.

    Cov(n(t), n(s)) = Φ(t, s) C(s) for t after s, with Φ the propagator of the linearised rate
    equations. Arguments, validity and errors are those of `linear_noise`.

    Returns
    -------
    xarray.DataArray (time, species, time_2, species_2)

    Examples
    --------
    >>> net = ReactionNetwork("0 <-> A ; 50, 1")
    >>> found = linear_noise_correlations(net, {"A": 50}, [20, 21])
    >>> found.values[:, 0, :, 0].round(3)
    array([[50.   , 18.394],
           [18.394, 50.   ]])
    """
    import xarray as xr

    times, start = check_times(times), _check_start(network, initial)
    _, covariances, propagators = _solve(network, start, times, rtol, atol)
    size, species = len(times), list(network.species)
    result = np.empty((size, len(species), size, len(species)))
    for early in range(size):
        block = covariances[early]
        for late in range(early, size):
            if late > early:
                block = propagators[late] @ block
            result[late, :, early] = block
            result[early, :, late] = block.T
    return xr.DataArray(
        result,
        dims=("time", "species", "time_2", "species_2"),
        coords={"time": times, "species": species, "time_2": times, "species_2": species},
        name="covariance",
        attrs={"units": "molecules squared", "approximation": "linear noise"},
    )


def stationary_linear_noise(network: ReactionNetwork, initial: Mapping[str, int] | Sequence[int]):
    """Return the moments of the stationary state that a start leads to.

    Follows the rate equations from the start until they stand still, refines the root by Newton's
    method and solves the Lyapunov equation J C + C Jᵀ + U diag(f) Uᵀ = 0, both within what the
    conservation laws leave free.

    Returns
    -------
    xarray.DataArray (moment,)

    Raises
    ------
    DynamicsError
        If the rate laws depend on the time, there is no steady state, or it is not stable: no
        stationary covariance exists then.
    NetworkError, SolverError
        As `linear_noise`.

    Examples
    --------
    >>> stationary_linear_noise(ReactionNetwork("0 <-> A ; 50, 1"), {"A": 0}).values.round(6)
    array([50., 50.])
    """
    import xarray as xr
    from scipy.linalg import solve_continuous_lyapunov

    start = _check_start(network, initial)
    if network.is_time_dependent:
        raise DynamicsError("a rate law depends on the time t: there is no stationary state")
    rates = _Rates(network)
    directions = _free_directions(network.stoichiometry)
    state = _steady_state(rates, directions, start)
    flow, slope = rates.flow(state), directions.T @ rates.jacobian(state) @ directions
    growth = np.linalg.eigvals(slope).real.max(initial=-math.inf)
    size = np.abs(slope).max(initial=0.0)
    if growth >= -_STILL * size:
        shown = dict(zip(network.species, state.round(6).tolist(), strict=True))
        raise DynamicsError(
            f"the steady state {shown} is not stable (a disturbance grows at the rate "
            f"{growth:.3g}), so fluctuations have no stationary covariance; "
            "use linear_noise(network, initial, times)"
        )
    noise = directions.T @ rates.diffusion(flow) @ directions
    covariance = directions @ solve_continuous_lyapunov(slope, -noise) @ directions.T
    return xr.DataArray(
        _as_moments(state[None], covariance[None])[0],
        dims=("moment",),
        coords={"moment": moment_labels(network.species)},
        name="moments",
        attrs={"units": "molecules, to the power of the moment",
               "approximation": "linear noise, stationary"},
    )  # fmt: skip


class _Rates:
    """The macroscopic rates f(φ) of all reactions in molecules per time, and their slopes."""

    def __init__(self, network: ReactionNetwork) -> None:
        self.network, self.change = network, network.stoichiometry.astype(float)
        self.orders, volume = network.reactants, network.volume
        ways = [math.prod(map(math.factorial, column)) for column in self.orders.T.tolist()]
        self.laws = [None if r.is_mass_action else r.rate for r in network.reactions]
        # V k Π (n/V)^ν/ν!: the leading order of Eq. 5 in 1/V
        self.k = network.rate_constants() * volume ** (1.0 - self.orders.sum(axis=0)) / ways
        self.known = network.parameters | {VOLUME: volume}

    def flow(self, n: np.ndarray, t: float = 0.0) -> np.ndarray:
        """Return the rate of each reaction (M,)."""
        values = self.k * np.prod(n[:, None] ** self.orders, axis=0)
        for j, law in enumerate(self.laws):
            if law is not None:
                values[j] = self._law(j, law, n, t)
        return values

    def slopes(self, n: np.ndarray, t: float = 0.0) -> np.ndarray:
        """Return the derivatives of the rates by the counts (M, N)."""
        result = np.zeros((len(self.laws), len(n)))
        for i in range(len(n)):
            lowered = self.orders.copy()
            lowered[i] = np.maximum(lowered[i] - 1, 0)
            result[:, i] = self.k * self.orders[i] * np.prod(n[:, None] ** lowered, axis=0)
        for j, law in enumerate(self.laws):
            if law is not None:
                result[j] = self._law_slopes(j, law, n, t)
        return result

    def jacobian(self, n: np.ndarray, t: float = 0.0) -> np.ndarray:
        """Return J = U df/dn (N, N)."""
        return self.change @ self.slopes(n, t)

    def diffusion(self, flow: np.ndarray) -> np.ndarray:
        """Return U diag(f) U^T (N, N)."""
        return (self.change * flow) @ self.change.T

    def _law(self, j: int, law, n: np.ndarray, t: float) -> float:
        if np.any(n[self.orders[:, j] > 0] <= 0):
            return 0.0
        names = self.known | {TIME: t} | dict(zip(self.network.species, n, strict=True))
        value = float(law.values(names))
        if not math.isfinite(value):
            state = dict(zip(self.network.species, n.tolist(), strict=True))
            raise SolverError(
                f"the rate law of '{self.network.reactions[j]}' gives {value:.6g} "
                f"at t = {t:.6g}, counts {state}"
            )
        return value

    def _law_slopes(self, j: int, law, n: np.ndarray, t: float) -> np.ndarray:
        result = np.zeros(len(n))
        for i, name in enumerate(self.network.species):
            if name in law.names:
                low, high = n.copy(), n.copy()
                step = _RELATIVE_STEP * max(n[i], 1.0)
                high[i] += step
                low[i] = max(low[i] - step, 0.0)
                rise = self._law(j, law, high, t) - self._law(j, law, low, t)
                result[i] = rise / (high[i] - low[i])
        return result


def _solve(network: ReactionNetwork, start, times, rtol: float, atol: float):
    """Return means (T, N), covariances (T, N, N) and propagators from each time to the next."""
    rates, size = _Rates(network), len(start)
    square = size * size
    identity = np.eye(size).ravel()

    def slopes(t, packed):
        n, covariance = packed[:size], packed[size : size + square].reshape(size, size)
        flow, jacobian = rates.flow(n, t), rates.jacobian(n, t)
        drift = jacobian @ covariance
        spread = drift + drift.T + rates.diffusion(flow)
        propagated = jacobian @ packed[size + square :].reshape(size, size)
        return np.concatenate([rates.change @ flow, spread.ravel(), propagated.ravel()])

    now, state = 0.0, np.concatenate([start, np.zeros(square)])
    found = []
    for t in times:
        packed = np.concatenate([state, identity])
        if t > now:
            packed = _advance(slopes, packed, now, t, rtol, atol)
        now, state = t, packed[: size + square]
        found.append(packed)
    means, covariances, propagators = np.split(np.array(found), [size, size + square], axis=1)
    covariances = covariances.reshape(-1, size, size)
    covariances = (covariances + covariances.transpose(0, 2, 1)) / 2
    return means, covariances, propagators.reshape(-1, size, size)


def _advance(slopes, packed, now: float, then: float, rtol: float, atol: float) -> np.ndarray:
    import warnings

    from scipy.integrate import ODEintWarning, odeint

    with np.errstate(all="ignore"), warnings.catch_warnings():
        # failure is read from the report below and raised, not warned about
        warnings.simplefilter("ignore", ODEintWarning)
        path, info = odeint(
            slopes, packed, [now, then], tfirst=True, rtol=rtol, atol=atol, mxstep=20_000,
            full_output=True,
        )  # fmt: skip
    if info["message"] != "Integration successful." or not np.all(np.isfinite(path)):
        raise SolverError(
            f"the linear noise equations could not be solved from t = {now:g} to {then:g}; "
            "the rate equations may blow up"
        )
    return path[-1]


def _free_directions(stoichiometry: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the changes that reactions can make (N, rank)."""
    left, sizes, _ = np.linalg.svd(stoichiometry.astype(float))
    return left[:, : int((sizes > 1e-10 * sizes.max(initial=0.0)).sum())]


def _steady_state(rates: _Rates, directions: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return where the rate equations stand still, from ever longer solutions."""
    state, span = start, 1.0 / max(rates.flow(start).max(initial=0.0), _STILL)
    restless = "the rate equations reach no steady state: they grow, oscillate or blow up"
    for _ in range(_DOUBLINGS):
        try:
            state = _advance(
                lambda t, n: rates.change @ rates.flow(n, t), state, 0.0, span, 1e-8, 1e-8
            )
        except SolverError as error:
            raise DynamicsError(f"{restless} ({error})") from None
        span *= 2.0
        flow = rates.flow(state)
        if np.abs(rates.change @ flow).max() <= 1e-6 * max(flow.max(initial=0.0), 1e-300):
            break
    else:
        raise DynamicsError(restless)
    for _ in range(20):
        slope = directions.T @ rates.jacobian(state) @ directions
        force = directions.T @ (rates.change @ rates.flow(state))
        step = directions @ np.linalg.lstsq(slope, -force, rcond=None)[0]
        state = state + step
        if np.abs(step).max(initial=0.0) <= 1e-12 * max(np.abs(state).max(), 1.0):
            break
    return state


def _as_moments(means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Return means and covariances side by side, in the order of `moment_labels`."""
    size = means.shape[1]
    picks = [np.repeat(np.arange(size), index) for index in moment_indices(size, 2)]
    columns = [
        means[:, pick[0]] if len(pick) == 1 else covariances[:, pick[0], pick[1]] for pick in picks
    ]
    return np.stack(columns, axis=1)


def _check_start(network: ReactionNetwork, initial) -> np.ndarray:
    start = network.counts(initial)
    if start.ndim != 1:
        raise DynamicsError(f"initial has shape {start.shape}; give one count a species")
    return start.astype(float)
