"""Kurtz's limit by hand: chance fades as the volume grows (Remark II.1, Eq. 8)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .. import models, plots
from ..equations.dynamics import integrate
from ..projection.fsp import finite_state_projection
from ..sampling.gillespie import sample
from .controls import Choice, Slider
from .explorer import explorer

_TIMES = np.linspace(0, 4, 81)
_MOST = 50


@explorer(
    "Left: jagged paths of the concentration of A fall from one and scatter around the dashed "
    "solution of the rate equation. Right: the distribution at time 4 as horizontal bars, a bell "
    "around the dashed line; both grow narrow as the volume grows.",
    volume=Choice(100, (10, 30, 100, 300, 1000), "volume V"),
    k1=Slider(2.0, 0.5, 4.0, 0.5, "rate constant k1"),
    paths=Slider(20, 1, _MOST, 1, "paths"),
)
def volume(volume, k1, paths):
    """Draw paths of n_A/V with their exact mean and Eq. 8, and the law at the last time."""
    import matplotlib.pyplot as plt

    limit, mean, law, found = _numbers(volume, k1)
    figure, (left, right) = plt.subplots(1, 2, width_ratios=[3, 1], figsize=(8, 3.2), sharey=True)
    left.step(_TIMES, found[:paths].T, "-", where="post", color=plots.COLOURS[0], lw=0.6)
    left.plot(_TIMES, mean, "-", color=plots.COLOURS[1], label="mean of all paths")
    left.plot(_TIMES, limit, label="Eq. 8", **plots.REFERENCE)
    right.barh(law.A / volume, law * volume / 2, 2 / volume, color=plots.COLOURS[0])
    right.axhline(limit[-1], **plots.REFERENCE)
    left.set(xlabel="time", ylabel="$n_A/V$", ylim=(0, 1.02))
    right.set(xlabel="density at time 4")
    left.legend()
    return figure


@lru_cache(maxsize=32)
def _numbers(volume, k1):
    net, start = models.dimerisation(k1=k1, volume=volume), {"A": volume}
    limit = integrate(net, {"A": 1.0}, _TIMES).sel(species="A").values
    found = sample(net, start, _TIMES, 500, seed=1971, keep=_MOST, progress=False)
    mean = found.mean().sel(species="A").values / volume
    law = finite_state_projection(net, start, [4.0]).at(4).sum("B")
    return limit, mean, law[volume % 2 :: 2], found.paths.sel(species="A").values / volume
