"""`ODENet` on Lotka-Volterra and Lorenz, on Robertson's stiff problem and on enzyme mechanisms.

Nothing is told but the data and, where a record says so, what the chemistry knows; the size of the
noise is not told. Samples are those of `_systems`, which every method sees. The mechanisms, both
with the noise of 1 % of each variable's standard deviation over the experiments:

- four species: Michaelis-Menten with both steps reversible (Haldane 1930, Enzymes, chapter V),
  two experiments of eleven times;
- six species: the covalent modification cycle of Goldbeter and Koshland (1981),
  doi:10.1073/pnas.78.11.6840, its complexes kept, three experiments of eleven times.

Without chemistry all monomials to degree two may stand in every equation; with it the candidates
are all reactions of at most two molecules a side that keep the conserved sums.

Robertson's (Hairer and Wanner, section IV.1, doi:10.1007/978-3-642-05221-7): all three species are
observed with relative errors of 1 %, 31 times from 0.1 to 100 in equal ratios, one experiment from
A = 1. The reactions are given, the rates are not; they span nine decades.
"""

from functools import partial

import numpy as np

import chemnb as cn
from tests.commands.records import Record
from tests.studies._fits import Tally, integrate_all, noisy, true_coefficients
from tests.studies._systems import CELLS, SEEDS

MECHANISMS = {
    "mechanism4": (
        """
        E + S <-> ES ; 1.0, 0.5
        ES <-> E + P ; 1.5, 0.4
        """,
        ["E + ES", "S + ES + P"],
        [{"E": 1, "S": 4}, {"E": 2, "S": 1, "P": 3}],
        np.linspace(0, 8, 11),
    ),
    "mechanism6": (
        """
        S + E <-> C ; 1.0, 0.5
        C -> P + E  ; 1.0
        P + F <-> D ; 1.5, 0.4
        D -> S + F  ; 0.8
        """,
        ["E + C", "F + D", "S + C + P + D"],
        [{"S": 5, "E": 1, "F": 0.5}, {"P": 4, "E": 0.5, "F": 1.5}, {"S": 2, "P": 2, "E": 2, "F": 1}],
        np.linspace(0, 12, 11),
    ),
}  # fmt: skip
STIFF_TIMES = np.geomspace(0.1, 100, 31)


def run(progress=print):
    """Return the records of all systems, and the coverage of their intervals together."""
    found, held = {}, []
    for cell, (system, percent) in CELLS.items():
        tally = polynomial(system, percent)
        held += tally.held
        found[f"odenet.{cell}.exact_support_rate"] = Record(
            tally.rate, "", f"ODENet, {cell}: exactly the true terms; defaults", len(SEEDS)
        )
        progress(f"{cell}: {tally.rate:.2f}, error {np.nanmedian(tally.errors):.3g} %")
    for name in MECHANISMS:
        for ending, chemistry in (("", True), ("_without_chemistry", False)):
            tally = mechanism(name, chemistry)
            held += tally.held
            what = "all reactions that keep the sums" if chemistry else "all monomials of degree 2"
            found[f"odenet.{name}.exact_rate{ending}"] = Record(
                tally.rate, "", f"ODENet, {name}: exactly the true terms; candidates {what}",
                len(tally.right),
            )  # fmt: skip
            progress(f"{name}{ending}: {tally.rate:.2f}")
    errors, inside = robertson()
    held += inside
    found["odenet.robertson.max_rate_error"] = Record(
        max(errors), "%", "largest error of three rates and all samples; A, B, C observed",
        len(SEEDS),
    )  # fmt: skip
    found["odenet.coverage95"] = Record(
        float(np.mean(held)), "",
        "share of 95 % intervals that hold the truth, all these systems, where the terms are right",
        len(held),
    )  # fmt: skip
    progress(f"robertson {max(errors):.2f} %, coverage {np.mean(held):.3f} of {len(held)}")
    return found


def polynomial(system, percent):
    """Return the tally of a cell: bare time series, PySINDy's default library."""
    tally = Tally()
    for seed in SEEDS:
        times, values, _ = system.sample(percent, seed)
        model = cn.ODENet(cn.monomials(2, constant=True), progress=False)
        attempt(tally, model, system.truth, (times, values), variables=system.names)
    return tally


def attempt(tally, model, truth, data, **options):
    """Fit and count; a fit that ends with an error is counted as wrong."""
    try:
        model.fit(data, **options)
    except ValueError:
        tally.fail()
    else:
        tally.add(model, truth)


def mechanism(name, chemistry):
    """Return the tally of a mechanism.

    Of 162 free coefficients a fit takes half a minute, so that these are five samples only.
    """
    text, sums, starts, times = MECHANISMS[name]
    network, tally = cn.ReactionNetwork(text), Tally()
    truth, runs = true_coefficients(network), integrate_all(network, starts, times)
    if chemistry:
        candidates = cn.elementary_reactions(network.species, sums)
        make = partial(cn.ODENet, network=candidates, progress=False)
    else:
        make = partial(cn.ODENet, cn.monomials(2), progress=False)
    for seed in SEEDS if chemistry or name == "mechanism4" else SEEDS[:5]:
        data = noisy(runs, 1, np.random.default_rng(seed))
        attempt(tally, make(), truth, data)
    return tally


def robertson():
    """Return the errors (%) of the rates in all samples, and whether the intervals hold them."""
    truth, start = cn.models.robertson(), {"A": 1.0}
    candidate = cn.models.robertson(k1=None, k2=None, k3=None)
    exact = integrate_all(truth, [start], STIFF_TIMES)[0]
    true, errors, held = truth.parameters, [], []
    for seed in SEEDS:
        data = exact * (1 + 0.01 * np.random.default_rng(seed).standard_normal(exact.shape))
        model = cn.ODENet(network=candidate, selection=None, progress=False)
        model.fit(data, standard_errors=0.01 * data.values, initial={"A": 1.0, "B": 0.0, "C": 0.0})
        for name, row in model.rates.iterrows():
            errors.append(100 * abs(row["value"] / true[name] - 1))
            held.append(bool(row["lower"] <= true[name] <= row["upper"]))
    return errors, held
