"""`ODENet` on Eq. 11 from 10^6 trajectories: two starts, and the single start of the paper.

Of both: how often exactly the true terms are found, with nothing tuned on the answer. Of two
starts: the errors of the coefficients, beside the standard errors that these data allow, and what
the intervals hold. Of one: how often the fit warns that its terms can hardly be told apart.
"""

from __future__ import annotations

import numpy as np

import chemnb as cn
from tests.commands.records import Record
from tests.studies._fits import Tally

BOTH, ONE = ({"A": 10, "B": 0}, {"A": 20, "B": 0}), ({"A": 10, "B": 0},)
NAMES = {"a11": ("A", "A"), "a21": ("B", "A"), "a22": ("B", "B")}
PAPER = {"a11": 0.25, "a21": 0.16, "a22": 0.2}
TIMES = np.linspace(0, 20, 81)
RUNS = 10**6  # from all starts together
SEEDS = range(100, 120)  # not 0 to 19, which were looked at when the rules were chosen


def truth():
    """Return {(equation, term): value} of Eq. 11."""
    rate = cn.models.single_progenitor().parameters
    return {
        ("A", "A"): (rate["r1"] - rate["r2"]) * rate["lam"],
        ("B", "A"): (1 - rate["r1"] + rate["r2"]) * rate["lam"],
        ("B", "B"): -rate["Gamma"],
    }


def learned(starts, seed):
    """Return the default ODENet of a sample of 10^6 trajectories, shared among the starts."""
    data = [
        cn.sample(cn.models.single_progenitor(), start, TIMES, RUNS // len(starts),
                  seed=1000 * seed + i, progress=False)
        for i, start in enumerate(starts)
    ]  # fmt: skip
    return cn.ODENet(cn.monomials(2), progress=False).fit(data)


def run(progress=print):
    """Return the records of Eq. 11."""
    both, one, warned, errors, allowed, true = Tally(), Tally(), [], [], [], truth()
    for seed in SEEDS:
        model = learned(BOTH, seed)
        if both.add(model, true):
            table = model.coefficients.set_index(["equation", "term"])
            errors.append(
                [100 * (table["value"][pair] / true[pair] - 1) for pair in NAMES.values()]
            )
            allowed.append(
                [100 * table["standard error"][pair] / abs(true[pair]) for pair in NAMES.values()]
            )
        model = learned(ONE, seed)
        right = one.add(model, true)
        warned.append(bool(model.report.advice))
        progress(f"seed {seed}: two starts {both.right[-1]}, one {right}, warned {warned[-1]}")
    found = {
        "eq11.two_starts.exact_support_rate": Record(
            both.rate, "", "ODENet(monomials(2)), 10^6 trajectories: exactly Eq. 11's true terms",
            len(SEEDS),
        ),
        "eq11.one_start.exact_support_rate": Record(
            one.rate, "", "the same from the start (10, 0) alone", len(SEEDS)
        ),
        "eq11.one_start.warned_rate": Record(
            np.mean(warned), "", "the report says that terms can hardly be told apart", len(SEEDS)
        ),
        "eq11.two_starts.coverage95": Record(
            np.mean(both.held), "", "share of 95 % intervals that hold the truth", len(both.held)
        ),
    }  # fmt: skip
    for column, name in enumerate(NAMES):
        values = np.array(errors)[:, column]
        found[f"eq11.two_starts.{name}.rms_error"] = Record(
            np.sqrt(np.mean(values**2)), "%", "two starts, RMS error", len(values),
            paper=PAPER[name],
        )  # fmt: skip
        found[f"eq11.two_starts.{name}.expected_error"] = Record(
            np.mean(np.array(allowed)[:, column]), "%", "standard error that the data allow; mean",
            len(values),
        )  # fmt: skip
    return found
