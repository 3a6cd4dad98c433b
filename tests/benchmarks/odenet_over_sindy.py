"""Errors of the coefficients, `ODENet` over PySINDy, on the same samples with 5 % noise.

PySINDy's are those that the benchmark ``sindy`` left in ``build/sindy.json``: with the threshold
chosen by BIC, and with the one that an oracle chose. Counted are the samples in which both have exactly the true
terms, by the median relative error of the coefficients of each sample.
"""

import json

import numpy as np

import chemnb as cn
from tests.commands.records import BUILD
from tests.studies._fits import Tally
from tests.studies._systems import CELLS, SEEDS


def run(progress=print):
    """Return the ratios of Lotka-Volterra and Lorenz; none where PySINDy's results are missing."""
    path = BUILD / "sindy.json"
    if not path.exists():
        progress("nothing is compared: run the benchmark 'sindy' first")
        return {}
    theirs, found = json.loads(path.read_text("utf-8")), {}
    for name in ("lv", "lorenz"):
        system, percent = CELLS[f"{name}.noise5"]
        tally = Tally()
        for seed in SEEDS:
            times, values, _ = system.sample(percent, seed)
            model = cn.ODENet(cn.monomials(2, constant=True), progress=False)
            tally.add(model.fit((times, values), variables=system.names), system.truth)
        ours = np.array(tally.errors)
        for way, ending in (("bic", ""), ("oracle", ".oracle")):
            other = np.array(theirs[f"{name}.noise5"][way], dtype=float)
            both = np.isfinite(ours) & np.isfinite(other)
            medians = [float(np.median(errors[both])) for errors in (ours, other)]
            record = {
                "value": medians[0] / medians[1], "n": int(both.sum()),
                "what": f"median error of coefficients, ODENet {medians[0]:.2g} % over PySINDy "
                f"{medians[1]:.2g} %, its threshold by {way}, where both are right",
            }  # fmt: skip
            found[f"odenet.{name}.noise5.median_coef_error_over_pysindy{ending}"] = record
            progress(name, way, record)
    return found
