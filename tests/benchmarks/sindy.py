"""How often PySINDy finds the true terms of Lotka-Volterra and Lorenz, with its best setting.

The recipes and the two ways to choose a threshold stand in `_sindy`. For every cell the recipe is
the one that finds most, so that both records flatter PySINDy: one chooses the recipe with the
answer known, the other the threshold as well. What it found of every sample is kept in
``build/sindy.json``, for the comparison with `ODENet`. Nothing here needs chemnb, so that this is
not run again when chemnb changes.
"""

import importlib.util
from functools import partial

import numpy as np

from tests.benchmarks import _sindy
from tests.commands.records import BUILD, write_json
from tests.studies._systems import CELLS, SEEDS, coefficient_error


def run(progress=print):
    """Return the records of all cells; none where PySINDy is missing."""
    if importlib.util.find_spec("pysindy") is None:
        progress("nothing is measured: PySINDy is not installed; `run.py bench` brings it")
        return {}
    found, kept = {}, {}
    for cell, (system, percent) in CELLS.items():
        samples = [system.sample(percent, seed)[:2] for seed in SEEDS]
        tables = {str(recipe): table(recipe, system, samples) for recipe in _sindy.RECIPES}
        blind = best(tables, lambda errors, chosen: errors[np.arange(len(errors)), chosen])
        oracle = best(tables, lambda errors, _: errors[:, np.argmin(np.isnan(errors).sum(axis=0))])
        kept[cell] = {"bic": blind[1], "oracle": oracle[1]}
        record = partial(as_record, cell=cell)
        found[f"pysindy.{cell}.exact_support_rate"] = record(*blind, "threshold by BIC")
        found[f"pysindy.{cell}.oracle_support_rate"] = record(*oracle, "threshold by an oracle")
        shares = [found[f"pysindy.{cell}.{kind}_support_rate"] for kind in ("exact", "oracle")]
        progress(cell, *(f"{share['value']:.2f} ({share['what']})" for share in shares))
    write_json(kept, BUILD / "sindy.json")
    return found


def table(recipe, system, samples):
    """Return the errors (seeds, thresholds), NaN where terms are wrong, and the chosen columns."""
    errors, picks = [], []
    for times, values in samples:
        models, chosen = _sindy.scan(recipe, system, times, values)
        errors.append([coefficient_error(model, system.truth) for model in models])
        picks.append(chosen)
    return np.array(errors, dtype=float), np.array(picks)


def best(tables, choose):
    """Return the recipe that is right most often, and its error at every seed (None: wrong)."""
    chosen = {name: choose(*entry) for name, entry in tables.items()}
    name = min(
        chosen, key=lambda name: (np.isnan(chosen[name]).sum(), np.nanmean([*chosen[name], 0]))
    )
    return name, [None if np.isnan(error) else error for error in chosen[name].tolist()]


def as_record(recipe, errors, way, cell):
    right = sum(error is not None for error in errors)
    return {
        "value": right / len(errors), "n": len(errors),
        "what": f"PySINDy, {cell}: exactly the true terms; {recipe}; {way}",
    }  # fmt: skip
