"""The deterministic rate equations of a network with rate laws: dc/dt = U f(c V, t)/V."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..networks.laws import TIME, VOLUME
from ..networks.network import ReactionNetwork
from .polynomials import SolverError


def solve_rate_equations(
    network: ReactionNetwork, start, times, rate_constants: Sequence[float], *,
    method: str, rtol: float, atol: float,
) -> np.ndarray:  # fmt: skip
    """Return concentrations at the times (T, species).

    A rate law is taken at the counts n = c V of the network's own volume, and divided by V; a
    rate constant gives the mass-action rate of Eq. 8. The solution is the limit of large volumes
    (Kurtz) only if the law divided by V is a function of c alone.

    Raises
    ------
    SolverError
        If a law gives no finite number on the way, or the solver gives up.

    Examples
    --------
    >>> net = ReactionNetwork("S -> 0 ; law: V*S/(10*V + S)", volume=5)
    >>> c = solve_rate_equations(net, [10.0], [5.0], [1.0], method="LSODA", rtol=1e-9, atol=1e-12)
    >>> round(10 * math.log(c.item() / 10) + c.item() - 10 + 5, 6) + 0.0
    0.0
    """
    from scipy.integrate import solve_ivp

    start, times = np.asarray(start, dtype=float), np.asarray(times, dtype=float)
    if times[-1] == 0:
        return start[None, :]
    slopes = _slopes(network, np.asarray(rate_constants, dtype=float))
    with np.errstate(all="ignore"):
        solution = solve_ivp(
            slopes, (0.0, times[-1]), start, method=method, t_eval=times, rtol=rtol, atol=atol
        )
    if not solution.success or not np.all(np.isfinite(solution.y)):
        reached = max(solution.t, default=0.0)
        raise SolverError(
            f"the rate equations could not be solved beyond t = {reached:g} of {times[-1]:g}: "
            f"{solution.message}"
        )
    return solution.y.T


def _slopes(network: ReactionNetwork, k: np.ndarray):
    """Return the function (t, c) -> dc/dt."""
    changes, orders, volume = network.stoichiometry, network.reactants, network.volume
    ways = [math.prod(math.factorial(v) for v in column) for column in orders.T.tolist()]
    laws = [None if r.is_mass_action else r.rate for r in network.reactions]
    known = network.parameters | {VOLUME: volume}

    def slopes(t, c):
        names = known | {TIME: t} | dict(zip(network.species, c * volume, strict=True))
        rates = np.empty(len(laws))
        for j, law in enumerate(laws):
            if law is None:
                rates[j] = k[j] * np.prod(c ** orders[:, j]) / ways[j]
            elif np.any(c[orders[:, j] > 0] <= 0):
                rates[j] = 0.0
            else:
                rates[j] = k[j] * law.values(names) / volume
                if not np.isfinite(rates[j]):
                    raise SolverError(
                        f"the rate law of '{network.reactions[j]}' gives {rates[j]:.6g} "
                        f"at t = {t:.6g}, where concentrations are {c.tolist()}"
                    )
        return changes @ rates

    return slopes
