"""The models of the SBML Test Suite, where a copy of it is at hand.

    CHEMNB_SBML_SUITE=folder python run.py validate ONLY=sbml_suite --fresh
    python -m tests.studies.sbml_suite folder [semantic] [stochastic] [wrong]

The folder is that of https://github.com/sbmlteam/sbml-test-suite, or its ``cases``. Every file of
every level and version is read.

Stochastic cases are simulated with 10,000 runs and their means and standard deviations compared
as the suite says: Z = sqrt(n) (mean - mu)/sigma and Y = sqrt(n/2) (S^2/sigma^2 - 1) have to be in
the ranges of the case. With some hundred values a case, a few of a right simulator are outside; the
suite allows up to three of each. A case beyond that is drawn again with ten times the runs.

Semantic cases are rate equations. A model that is read gives propensities; with so many molecules
in a unit of substance that noise is far below the tolerances, its rate equations
(`chemnb.integrate`) have to give the suite's time course, within the tolerances of the case.

`sbml.<kind>.right`, `...wrong`, `...refused`, `...crashed`, `...unfinished`: how many files.
``refused`` raised an SBMLError that names the fault, ``crashed`` another error, and of
``unfinished`` the equations could not be integrated to the end.
"""

import collections
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

import chemnb as cn
from chemnb.sbml.elements import Elements, open_document

FOLDER = "CHEMNB_SBML_SUITE"
RUNS, SEED = 10_000, 2008
MOST_OUTSIDE = 3  # values of a case, as the suite says
MANY = 1e12  # molecules in a unit of substance for rate equations
MOST_MOLECULES = 1e14
OUTCOMES = ("right", "wrong", "refused", "crashed", "unfinished")


class Outcome(NamedTuple):
    """What became of one file: one of `OUTCOMES`, and why."""

    file: str
    outcome: str
    why: str = ""


def run(progress=print):
    """Return the records of the study; none where there is no copy of the suite."""
    folder = os.environ.get(FOLDER)
    if not folder:
        progress(f"skipped: the environment variable {FOLDER} names no copy of the suite")
        return {}
    found = {}
    for kind in ("stochastic", "semantic"):
        counts = collections.Counter(o.outcome for o in outcomes(folder, kind, progress))
        for outcome in OUTCOMES:
            found[f"sbml.{kind}.{outcome}"] = {
                "value": counts[outcome],
                "what": f"files of the {kind} cases: {outcome}",
                "n": counts.total(),
            }
    return found


def outcomes(folder, kind, progress=print):
    """Return the outcome of every file of one kind of cases.

    Raises
    ------
    SystemExit
        If the folder holds no such cases.
    """
    root = Path(folder)
    root = root / "cases" if (root / "cases").is_dir() else root
    files = sorted((root / kind).glob("*/*-sbml-l*.xml"))
    if not files:
        raise SystemExit(f"no cases in '{root / kind}'; give the folder of the SBML Test Suite")
    check = {"stochastic": stochastic, "semantic": semantic}[kind]
    found = []
    for number, file in enumerate(files, start=1):
        found.append(Outcome(file.name, *one(check, file)))
        if number % 500 == 0 or number == len(files):
            counts = collections.Counter(o.outcome for o in found)
            progress(f"{kind}: {number} of {len(files)} files, {dict(counts)}")
    return found


def one(check, file):
    """Return outcome and reason of a file."""
    try:
        return check(Case(file))
    except cn.SBMLError as error:
        return "refused", str(error)
    except Exception as error:  # whatever it is, it is counted and shown
        return "crashed", f"{type(error).__name__}: {error}"


class Case:
    """A file with the settings and the expected results of its case."""

    def __init__(self, file):
        self.file = file
        number = file.name[:5]
        lines = (file.parent / f"{number}-settings.txt").read_text("utf-8").splitlines()
        self.settings = dict(
            (part.strip() for part in line.split(":", 1)) for line in lines if ":" in line
        )
        self.expected = pd.read_csv(
            file.parent / f"{number}-results.csv", index_col=0, skipinitialspace=True
        )

    def names(self, key):
        return [name.strip() for name in self.settings.get(key, "").split(",") if name.strip()]

    def range(self, key):
        return [float(end) for end in re.findall(r"-?[\d.]+", self.settings[key])]


# --- stochastic cases ------------------------------------------------------------------------


def stochastic(case):
    """Return the outcome of a stochastic case."""
    model = cn.read_sbml(case.file)
    for runs in (RUNS, 10 * RUNS):
        outside = {
            name: count
            for name, count in values_outside(case, model, runs).items()
            if count > MOST_OUTSIDE
        }
        if not outside:
            return ("right",)
    return "wrong", f"values outside the range with {runs} runs: {outside}"


def values_outside(case, model, runs):
    """Return how many values of each output are outside the range of the case."""
    data = cn.sample(
        model.network, model.initial, case.expected.index.to_numpy(float), runs, seed=SEED,
        keep=runs, progress=False,
    )  # fmt: skip
    paths = data.paths
    found = {}
    for name in case.names("output"):
        variable, kind = name.rsplit("-", 1)
        counts = observed(case, model, variable, paths)
        expected = case.expected[f"{variable}-mean"].to_numpy()
        sigma = case.expected[f"{variable}-sd"].to_numpy()
        noisy = sigma > 0
        if not np.allclose(counts.mean(axis=0)[~noisy], expected[~noisy], rtol=1e-4):
            return {name: len(expected)}
        if kind == "mean":
            z = np.sqrt(runs) * (counts.mean(axis=0) - expected)[noisy] / sigma[noisy]
        else:
            z = np.sqrt(runs / 2) * (counts.var(axis=0, ddof=1)[noisy] / sigma[noisy] ** 2 - 1)
        low, high = case.range("meanRange" if kind == "mean" else "sdRange")
        found[name] = int(((z <= low) | (z >= high)).sum())
    return found


def observed(case, model, variable, paths):
    """Return a quantity of a model in each run at each time."""
    species = dict(zip(model.network.species, np.moveaxis(paths.values, -1, 0), strict=True))
    if variable in species:
        return species[variable].astype(float)
    if variable in model.rules:
        known = model.parameters | species | {"V": model.network.volume}
        return np.broadcast_to(model.rules[variable].values(known), paths.shape[:2])
    return np.full(paths.shape[:2], Elements(open_document(case.file)).amount(variable))


# --- semantic cases --------------------------------------------------------------------------


def semantic(case):
    """Return the outcome of a semantic case."""
    elements = Elements(open_document(case.file))
    molecules = MANY
    amounts = [abs(elements.amount(s) or 0) for s in elements.species]
    while max(amounts, default=0) * molecules > MOST_MOLECULES:
        molecules /= 10
    model = cn.read_sbml(case.file, molecules_per_unit=molecules, round_counts=True)
    volume, times = model.network.volume, case.expected.index.to_numpy(float)
    start = {name: count / volume for name, count in model.initial.items()}
    try:
        course = cn.integrate(
            model.network, start, times, rtol=1e-9, atol=1e-14 * molecules / volume
        )
    except ValueError as error:
        return "unfinished", str(error)
    absolute, relative = (float(case.settings[key]) for key in ("absolute", "relative"))
    # where a concentration of the suite is negative, there are no molecules to follow it
    species = [name for name in case.expected if name in model.network.species]
    real = ~np.maximum.accumulate((case.expected[species] < -absolute).any(axis=1).to_numpy())
    for name in case.expected:
        own = values_of(name, case, model, elements, course, molecules)[real]
        expected = case.expected[name].to_numpy(float)[real]
        off = np.abs(own - expected) / (absolute + relative * np.abs(expected))
        if not np.all(off <= 1):
            worst = np.nanargmax(np.where(np.isfinite(off), off, np.inf))
            return "wrong", (
                f"{name} at t = {times[worst]:g} is {own[worst]:.9g}, not {expected[worst]:.9g}"
            )
    return ("right",)


def values_of(name, case, model, elements, course, molecules):
    """Return the time course of one column of the expected results."""
    times, volume = course.time.values, model.network.volume
    counts = dict(zip(model.network.species, course.values.T * volume, strict=True))
    is_species = name in elements.species
    size = elements.value(elements.species[name].getCompartment()) if is_species else None
    if name in counts:
        value = counts[name] / molecules * elements.conversion(name)
        is_concentration = False
    else:
        is_concentration = is_species and elements.is_concentration(name)
        if name in model.rules:
            known = model.parameters | counts | {"V": volume, "t": times}
            value = model.rules[name].values(known)
        else:
            value = elements.value(name)
    value = np.broadcast_to(np.asarray(value, dtype=float), times.shape)
    if is_concentration and name in case.names("amount"):
        return value * size
    if is_species and not is_concentration and name in case.names("concentration"):
        return value / size
    return value


# --- the table ---------------------------------------------------------------------------------


def reason(why):
    """Return a reason without names and numbers, so that like ones are counted together."""
    return re.sub(r"-?\d[\d.e+-]*", "#", re.sub(r"'[^']*'", "'...'", why))[:110]


def main(words):
    """Print the table of the cases in the folder that the first word names."""
    if not words:
        raise SystemExit("give the folder of the SBML Test Suite")
    folder, *rest = words
    for kind in [k for k in ("stochastic", "semantic") if k in rest] or ("stochastic", "semantic"):
        found = outcomes(folder, kind)
        cases = collections.defaultdict(set)
        for entry in found:
            cases[entry.outcome].add(entry.file[:5])
        counts = collections.Counter(entry.outcome for entry in found)
        print(f"\n{kind}: {len(found)} files of {len({e.file[:5] for e in found})} cases")
        for outcome in OUTCOMES:
            print(f"  {outcome:<11}{counts[outcome]:>6} files of {len(cases[outcome]):>4} cases")
        for outcome in OUTCOMES[1:]:
            whys = collections.Counter(reason(e.why) for e in found if e.outcome == outcome)
            for why, count in whys.most_common():
                print(f"  {outcome:<11}{count:>6}  {why}")
        if "wrong" in rest:
            for entry in found:
                if entry.outcome not in ("right", "refused"):
                    print(" ", *entry)


if __name__ == "__main__":
    main(sys.argv[1:])
