"""Time scales and reduction in symbols: Table II, Eqs. 17 and 18, networks of known form, Fig. 4.

`reduction.general.symbolic_right` and `timescales.right` count networks: seven of known form, and
for the time scales Lotka-Volterra too, which has no gap. One rule serves them all.

`fig4.qssa.*` is how far Eq. 18 is from Eq. 15 from t = 5 on, when it starts there on the solution
of Eq. 15: what the paper's Fig. 4 would show with an error panel.
"""

import numpy as np

import chemnb as cn
from tests import reduction_cases as cases


def run(progress=print):
    """Return the records of the study."""
    progress("Table II")
    here = cn.derivative_correlations(cases.GENE, cases.GENE_START, range(1001))
    records = {
        "table2.max_abs_difference": {
            "value": float((here - cn.paper.table2()).abs().max(axis=None)),
            "what": "largest difference from the ten correlations of Table II",
            "n": 10,
        },
        "qssa.symbolic_equal": {
            "value": int(cases.equals_the_paper()),
            "what": "Eqs. 17 and 18 derived: 1 if equal in symbols",
        },
    }
    progress("seven networks of known form")
    records["reduction.general.symbolic_right"] = {
        "value": sum(map(cases.is_right, cases.SEVEN.values())),
        "what": "networks reduced to their known form, in symbols",
        "n": len(cases.SEVEN),
    }
    found = [cases.scales_are_right(case) for case in cases.SEVEN.values()]
    hunt = cn.time_scales(cn.models.lotka_volterra(), [50, 80], np.linspace(0, 20, 201))
    records["timescales.right"] = {
        "value": sum(found) + (hunt.modes == 0),
        "what": "networks whose fast species are found; no gap for Lotka-Volterra",
        "n": len(found) + 1,
    }
    progress("Michaelis-Menten with E0 = S0, and Fig. 4")
    records["tqssa.michaelis_menten.gain"] = {
        "value": plain_error() / total_error(),
        "what": "error of the product by plain over total QSSA, E0 = S0",
    }
    errors = np.abs(eq18_deviation()).max("time")
    for name in cases.GENE.species:
        records[f"fig4.qssa.{name}.max_rel_error"] = {
            "value": errors.sel(species=name).item(),
            "unit": "%",
            "what": f"Eq. 18 against Eq. 15 from t = 5, {name}",
        }
    return records


def plain_error():
    return _product_error("species")


def total_error():
    return _product_error("total")


def _product_error(coordinate):
    network, start = cn.models.michaelis_menten(), {"S": 1, "E": 1}
    times = np.linspace(0, 60, 601)
    model = cn.reduce(network, ["E", "C"], coordinate)
    full = cn.integrate(network, start, times, rtol=1e-11, atol=1e-13)
    return np.abs(model.integrate(start, times) - full).sel(species="P").max().item()


def eq18_deviation():
    """Return how far Eq. 18 is from Eq. 15 in per cent, started at t = 5 on its solution."""
    at_5 = cn.integrate(cases.GENE, cases.GENE_START, [5], rtol=1e-11, atol=1e-13).isel(time=0)
    model = cn.reduce(cases.GENE, cases.GENE_FAST, "species")
    return model.compare(at_5, np.arange(996.0))
