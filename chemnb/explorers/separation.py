"""Scale separation against the error of the quasi-steady state (Eqs. 9, 10, 17, 18; Fig. 4)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .. import models, plots
from ..equations.dynamics import integrate
from ..reduction.reduction_fit import learn_reduction
from ..reduction.symbolic import reduce
from .controls import LogSlider
from .explorer import explorer

_BINDING, _FAST = ("k1", "k_m1", "k2", "k_m2"), ("G", "GP", "GP2")
_TIMES = np.r_[0, np.geomspace(1, 1000, 40)]
_GENES = 0.03
_LAYER = 5  # from here on the initial layer is over at the paper's speed


@explorer(
    "Left: error of the protein over time on logarithmic axes; that of Eq. 18 stays between one "
    "and five per cent, that of the total form falls from one per cent to below a hundredth. "
    "Right: five arcs of free gene above Eq. 17, larger at small protein; the title gives the "
    "learned coefficient b1 beside 0.5333.",
    mrna=LogSlider(5.0, 0.1, 10.0, 0.1, "mRNA at the start"),
    gap=LogSlider(1.0, 0.1, 100.0, 0.1, "speed of binding"),
)
def separation(mrna, gap):
    """Draw the errors of two reduced models, and what is learned from short runs."""
    import matplotlib.pyplot as plt

    errors, arcs, b1 = _numbers(mrna, gap)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 2.8))
    for place, (name, values) in enumerate(errors.items()):
        style = {"color": plots.COLOURS[place], "linestyle": plots.LINES[place]}
        left.loglog(_TIMES[1:], values, label=name, **style)
    left.set(xlabel="time", ylabel="error of P (%)", ylim=(1e-5, 100))
    left.minorticks_off()  # drawing them takes longer than the fit
    left.legend(loc="lower left")
    for protein, excess in arcs:
        right.plot(protein, excess, "-", color=plots.COLOURS[0], lw=1.2)
    right.set(xlabel="P", ylabel="G above Eq. 17 (%)", title=f"learned b1 = {b1:.4f}, QSSA 0.5333")
    return figure


@lru_cache(maxsize=1)
def _models():
    import sympy

    gene = models.gene_feedback()
    plain, total = reduce(gene, _FAST, "species"), reduce(gene, _FAST)
    free = plain.manifold["G"]
    values = {"G_T": _GENES, **gene.parameters}
    left = [symbol for symbol in free.free_symbols if symbol.name != "P"]
    curve = free.subs({symbol: values.get(symbol.name, _GENES) for symbol in left})
    (protein,) = curve.free_symbols
    return {"Eq. 18": plain, "total form": total}, sympy.lambdify(protein, curve)


@lru_cache(maxsize=64)
def _numbers(mrna, gap):
    gene, (reduced, curve) = models.gene_feedback(), _models()
    network = gene.with_parameters(**{name: gap * gene.parameters[name] for name in _BINDING})
    place = {"M": mrna, "G": _GENES}
    true = integrate(network, place, _TIMES).sel(species="P")[1:].values
    errors = {}
    for name, model in reduced.items():
        found = model.integrate(place, _TIMES).sel(species="P")[1:].values
        errors[name] = np.abs(100 * (found / true - 1))
    starts = [{"P": p, **place} for p in np.linspace(0.1, 3, 5)]
    runs = [integrate(network, start, np.linspace(_LAYER, 60, 30)) for start in starts]
    fit = learn_reduction(runs, fast=list(_FAST), of="P", progress=False, degree=2)
    pairs = [run.sel(species=["P", "G"]).values.T for run in runs]
    arcs = [(p, 100 * (g / curve(p) - 1)) for p, g in pairs]
    return errors, arcs, fit.table().loc["b1"].item()
