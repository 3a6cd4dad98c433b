"""Random clones, their exact average and the exact law at the end (II.B.2, Fig. 2b)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .. import models, plots
from ..networks.network import ReactionNetwork
from ..projection.fsp import finite_state_projection
from ..sampling.gillespie import sample
from .controls import Slider
from .explorer import explorer


@explorer(
    "Left: thirty paths of A fan out around the dashed average. Right: histogram of A at the last "
    "week with the exact probabilities as a dashed line on its top.",
    cells=Slider(10, 1, 30, 1, "cells at the start"),
    r1=Slider(0.0836, 0.05, 0.12, 0.0001, "r1", ".4f"),
    end=Slider(20, 1, 40, 1, "weeks"),
)
def clones(cells, r1, end):
    """Draw paths of A, and the share of runs with each number of A at the end."""
    import matplotlib.pyplot as plt

    grid, paths, share, p, growth = _numbers(cells, r1, end)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.5, 3))
    left.step(grid, paths.T, "-", where="post", color=plots.COLOURS[0], lw=0.7)
    left.plot(grid, cells * np.exp(growth * grid), **plots.REFERENCE)
    left.set(xlabel="time (weeks)", ylabel="$n_A$ (cells)")
    right.bar(share.A, share, width=1.0, color=plots.COLOURS[0], alpha=0.6)
    right.plot(p.A, p, **plots.REFERENCE)
    right.set(xlabel=f"$n_A$ at week {end}", ylabel="probability", xlim=(-0.8, len(share)))
    return figure


@lru_cache(maxsize=32)
def _numbers(cells, r1, end):
    net, grid = models.single_progenitor(r1=r1), np.linspace(0, end, 81)
    found = sample(net, {"A": cells}, grid, 5000, seed=2020, histograms=[end], progress=False)
    up, _, down, _ = net.rate_constants()
    alone = ReactionNetwork("A -> 2 A ; up \n A -> 0 ; down", up=up, down=down)
    p = finite_state_projection(alone, {"A": cells}, [end]).at(end)
    return grid, found.paths[:30, :, 0].values, found.histogram(end, ["A"]), p, up - down
