"""Networks whose reduced form is known: what to start from, what is fast, what must come out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sympy

import chemnb as cn


@dataclass(frozen=True)
class Case:
    """One network with its usual run.

    Attributes
    ----------
    rates : callable (symbols) -> dict of slow species -> SymPy expression
        Rates of slow species in the textbook form, where fast species are not counted.
    """

    network: cn.ReactionNetwork
    start: dict
    times: np.ndarray
    fast: tuple
    rates: Callable


def _michaelis_menten(s):
    v = s.k2 * s.E_T * s.S / ((s.k_m1 + s.k2) / s.k1 + s.S)
    return {"S": -v, "P": v}


def _competitive_inhibition(s):
    k_m, k_i = (s.k_m1 + s.k2) / s.k1, s.k_m3 / s.k3
    v = s.k2 * s.E_T * s.S / (k_m * (1 + s.I / k_i) + s.S)
    return {"S": -v, "P": v, "I": 0}


def _cooperative_binding(s):
    one, two = (s.k_m1 + s.k2) / s.k1, (s.k_m3 + s.k4) / s.k3
    v = (s.k2 * two + s.k4 * s.S) * s.E_T * s.S / (one * two + two * s.S + s.S**2)
    return {"S": -v, "P": v}


def _goldbeter_koshland(s):
    there = s.k1 * s.E1_T * s.W / ((s.d1 + s.k1) / s.a1 + s.W)
    back = s.k2 * s.E2_T * s.Ws / ((s.d2 + s.k2) / s.a2 + s.Ws)
    return {"W": back - there, "Ws": there - back}


def _dimer_toggle(s):
    half = (s.k_m1 / s.k1) * (s.k_m2 / s.k2)
    return {
        "A": s.alpha * s.GA_T / (1 + s.B**2 / half) - s.delta * s.A,
        "B": s.alpha * s.GB_T / (1 + s.A**2 / half) - s.delta * s.B,
    }


def _lindemann_hinshelwood(s):
    v = s.k1 * s.k2 * s.A**2 / (s.k_m1 * s.A + s.k2)
    return {"A": -v, "P": v}


def _robertson(s):
    b = (-s.k3 * s.C + sympy.sqrt(s.k3**2 * s.C**2 + 4 * s.k1 * s.k2 * s.A)) / (2 * s.k2)
    return {"A": -s.k2 * b**2, "C": s.k2 * b**2}


def _case(name, start, end, fast, rates):
    network, times = getattr(cn.models, name)(), np.linspace(0, end, 201)
    return Case(network, start, times, tuple(fast.split()), rates)


SEVEN = {
    "michaelis_menten": _case(
        "michaelis_menten", {"S": 1, "E": 0.01}, 2000, "E C", _michaelis_menten
    ),
    "competitive_inhibition": _case(
        "competitive_inhibition",
        {"S": 1, "I": 0.5, "E": 0.01},
        30,
        "E ES EI",
        _competitive_inhibition,
    ),
    "cooperative_binding": _case(
        "cooperative_binding", {"S": 1, "E": 0.01}, 60, "E C1 C2", _cooperative_binding
    ),
    "goldbeter_koshland": _case(
        "goldbeter_koshland",
        {"W": 1, "E1": 0.0105, "E2": 0.01},
        500,
        "E1 C1 E2 C2",
        _goldbeter_koshland,
    ),
    "dimer_toggle": _case(
        "dimer_toggle",
        {"A": 3, "B": 1, "GA": 0.01, "GB": 0.01},
        10,
        "A2 B2 GA GAr GB GBr",
        _dimer_toggle,
    ),
    "lindemann_hinshelwood": _case(
        "lindemann_hinshelwood", {"A": 1}, 200, "As", _lindemann_hinshelwood
    ),
    "robertson": _case("robertson", {"A": 1}, 40, "B", _robertson),
}

GENE = cn.models.gene_feedback()
GENE_START = {"M": 5, "G": 0.01, "GP": 0.01, "GP2": 0.01}
GENE_FAST = ("G", "GP", "GP2")


class Names:
    """Symbols by name, positive ones, so that square roots compare."""

    def __getattr__(self, name):
        return sympy.Symbol(name, positive=True)


def same(found, known) -> bool:
    """Whether two formulas are equal for positive values of all names."""
    found = sympy.sympify(found)
    found = found.xreplace({s: sympy.Symbol(s.name, positive=True) for s in found.free_symbols})
    return sympy.simplify(found - known) == 0


def is_right(case: Case) -> bool:
    """Whether the reduction of a network has the known form, in symbols."""
    model = cn.reduce(case.network, case.fast, "species")
    known = case.rates(Names())
    return model.slow == tuple(known) and all(
        same(model.equations[name], rate) for name, rate in known.items()
    )


def eq17(s) -> dict:
    """Return Eq. 17 in the symbols ``s``; c_total is G_T."""
    k_2, k_3 = s.k_m2 / s.k2, s.k_m1 * s.k_m2 / (s.k1 * s.k2)
    omega = k_3 + k_2 * s.P + s.P**2
    return {
        "G": s.G_T * k_3 / omega, "GP": s.G_T * k_2 * s.P / omega, "GP2": s.G_T * s.P**2 / omega
    }  # fmt: skip


def eq18(s) -> dict:
    """Return the slow rates of Eq. 18 in the symbols ``s``."""
    k_2, k_3 = s.k_m2 / s.k2, s.k_m1 * s.k_m2 / (s.k1 * s.k2)
    omega = k_3 + k_2 * s.P + s.P**2
    return {
        "P": s.k_s * s.M,
        "M": -s.k_dm * s.M + s.k0 * (k_3 + k_2 * s.P) * s.G_T / omega,
    }


def equals_the_paper() -> bool:
    """Whether the reduction of Eq. 15 is Eqs. 17 and 18, in symbols."""
    model = cn.reduce(GENE, GENE_FAST, "species")
    s = Names()
    return all(same(model.manifold[n], g) for n, g in eq17(s).items()) and all(
        same(model.equations[n], rate) for n, rate in eq18(s).items()
    )


def scales_are_right(case: Case) -> bool:
    """Whether the fast species are found from the run alone."""
    scales = cn.time_scales(case.network, case.start, case.times)
    return scales.fast == tuple(n for n in case.network.species if n in case.fast)
