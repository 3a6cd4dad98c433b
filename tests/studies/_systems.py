"""The systems from which equations are learned: truth, sampling, noise. Known to every method.

Lotka-Volterra with the numbers of the SciPy Cookbook (growth 1, predation 0.1, death 1.5, of the
prey eaten 0.75 become predators; start (10, 5)), every 0.1 to t = 20, four cycles. The coarse
sampling is 30 random times of the same span, seven a cycle. Lorenz (1963),
doi:10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2, with sigma = 10, rho = 28, beta = 8/3, from
(-8, 7, 27) every 0.01 to t = 10, as in Brunton, Proctor and Kutz (2016),
doi:10.1073/pnas.1517384113, and Fasel et al. (2022), doi:10.1098/rspa.2021.0904.

Noise is normal and independent, on all values and the first one too; its size is given in per cent
of the standard deviation of each variable. Nothing here needs the package or a peer.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp


@dataclass(frozen=True)
class System:
    """Polynomial equations of degree two, where they start, and when they are looked at.

    ``truth`` maps (equation, term) to the coefficient; ``times`` maps a generator to times.
    """

    names: tuple[str, ...]
    truth: dict[tuple[str, str], float]
    start: tuple[float, ...]
    times: Callable[[np.random.Generator], np.ndarray]

    def slope(self, _, state):
        """Return dy/dt from the table of coefficients."""
        values = dict(zip(self.names, state, strict=True))
        result = dict.fromkeys(self.names, 0.0)
        for (equation, term), coefficient in self.truth.items():
            result[equation] += coefficient * math.prod(values[name] for name in term.split())
        return [result[name] for name in self.names]

    def solve(self, times):
        """Return the exact states (times, variables)."""
        found = solve_ivp(
            self.slope, (0.0, times[-1]), self.start, "DOP853", times, rtol=1e-10, atol=1e-10
        )
        return found.y.T

    def sample(self, percent, seed):
        """Return times (T,), noisy values (T, variables) and the size of the noise (variables,)."""
        random = np.random.default_rng([seed, percent])
        times = self.times(random)
        exact = self.solve(times)
        size = percent / 100 * exact.std(axis=0)
        return times, exact + size * random.standard_normal(exact.shape), size


_LOTKA_VOLTERRA = {("X", "X"): 1.0, ("X", "X Y"): -0.1, ("Y", "Y"): -1.5, ("Y", "X Y"): 0.075}
_LORENZ = {
    ("x", "x"): -10.0, ("x", "y"): 10.0, ("y", "x"): 28.0, ("y", "y"): -1.0, ("y", "x z"): -1.0,
    ("z", "z"): -8 / 3, ("z", "x y"): 1.0,
}  # fmt: skip
SYSTEMS = {
    "lv": System(
        ("X", "Y"), _LOTKA_VOLTERRA, (10.0, 5.0), lambda random: np.linspace(0, 20, 201)
    ),
    "lv.coarse": System(
        ("X", "Y"), _LOTKA_VOLTERRA, (10.0, 5.0),
        lambda random: np.append(0.0, np.sort(random.uniform(0.2, 20, 29))),
    ),
    "lorenz": System(
        ("x", "y", "z"), _LORENZ, (-8.0, 7.0, 27.0), lambda random: np.linspace(0, 10, 1001)
    ),
}  # fmt: skip
CELLS = {f"{name}.noise{percent}": (SYSTEMS[name], percent)
         for name in ("lv", "lorenz") for percent in (1, 5, 10)}  # fmt: skip
CELLS["lv.coarse"] = (SYSTEMS["lv.coarse"], 1)
SEEDS = range(100, 120)  # not 0 to 19, which were looked at when the rules were chosen


def coefficient_error(found, truth):
    """Return the median relative error (%) of coefficients, None if the terms are not the true."""
    if set(found) != set(truth):
        return None
    return float(np.median([100 * abs(found[pair] / truth[pair] - 1) for pair in truth]))
