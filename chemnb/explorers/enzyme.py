"""An enzyme that is not scarce: where the standard quasi-steady state fails and the total holds."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .. import models, plots
from ..equations.dynamics import integrate
from ..reduction.symbolic import reduce
from .controls import LogSlider
from .explorer import explorer


@explorer(
    "Left: product against time; the standard form runs above the dashed full curve, the more so "
    "the more enzyme there is, the total form lies on it. Right: their errors in per cent of the "
    "substrate.",
    amount=LogSlider(0.1, 0.01, 10.0, 0.25, "enzyme / substrate"),
    turnover=LogSlider(0.1, 0.01, 10.0, 0.25, "turnover k2"),
)
def enzyme(amount, turnover):
    """Draw product over time by the full network and both quasi-steady states, and their errors."""
    import matplotlib.pyplot as plt

    times, exact, ways = _numbers(amount, turnover)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 2.8))
    left.plot(times, exact, label="full", **plots.REFERENCE)
    for place, (name, ours) in enumerate(ways.items()):
        style = {"color": plots.COLOURS[place], "ls": ["-.", "-"][place]}
        left.plot(times, ours, label=name, **style)
        right.plot(times, 100 * (ours - exact), **style)
    left.set(xlabel="time", ylabel="product P")
    right.set(xlabel="time", ylabel="error (% of S(0))")
    left.legend()
    return figure


@lru_cache(maxsize=64)
def _numbers(amount, turnover):
    network, start = models.michaelis_menten(k2=turnover), {"S": 1.0, "E": amount}
    half = (network.parameters["k_m1"] + turnover) / network.parameters["k1"]
    times = np.linspace(0, 5 * (1 + half + amount) / (turnover * amount), 121)
    exact = integrate(network, start, times).sel(species="P").values
    ways = {"sQSSA": "species", "tQSSA": "total"}
    found = {
        name: reduce(network, ["C", "E"], kind).integrate(start, times).sel(species="P").values
        for name, kind in ways.items()
    }
    return times, exact, found
