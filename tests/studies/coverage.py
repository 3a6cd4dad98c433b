"""How often the 95 % intervals hold the truth, over many small experiments."""

import numpy as np

import chemnb as cn
from tests.commands.records import Record

EXPERIMENTS, RUNS = 400, 10**4


def run(progress=print):
    truth, candidate = cn.models.single_progenitor(), cn.models.single_progenitor_candidate()
    true = cn.paper.table1()["true"]
    held = []
    for number in range(EXPERIMENTS):
        data = cn.sample(truth, {"A": 10}, range(21), RUNS, seed=10_000 + number, keep=RUNS)
        table = cn.fit_rates(candidate, data).rates.loc[true.index]
        held.append((table["lower"] <= true) & (true <= table["upper"]))
        if (number + 1) % 100 == 0:
            progress(f"{number + 1} of {EXPERIMENTS} experiments")
    share = np.mean(held, axis=0)
    result = {
        "table1.coverage95": Record(
            share.mean(), "", "share of 95 % intervals of six rates that hold the truth; 10^4 runs each",
            EXPERIMENTS,
        )
    }  # fmt: skip
    for name, value in zip(true.index, share, strict=True):
        result[f"table1.coverage95.{name}"] = Record(value, "", f"the same for {name}", EXPERIMENTS)
    return result
