"""Table I over ten samples of a million runs: three estimators, and the distance of Fig. 3."""

import numpy as np

import chemnb as cn

SEEDS, RUNS = range(1, 11), 10**6
TIMES = np.linspace(0, 20, 81)  # the paper gives no grid
WEEKS = (1, 5, 10, 20)
PAPER = cn.paper.table1()
ROWS = [(equation, term) for _, equation, term, _ in cn.paper.RATE_ROWS]
WAYS = {
    "ols": (
        {"method": "two-stage", "weights": "none", "rows": ROWS},
        "free α and β, then Eq. 14, by ordinary least squares as in the paper",
    ),
    "gls": ({}, "six free rates, all moments weighted by their path covariance"),
    "selected": (
        {"nonnegative": True, "select": "bic"},
        "rates of zero or more, reactions kept or dropped by BIC",
    ),
}


def errors(fit):
    """Return the relative error (%) of the four rates that are not zero."""
    found = fit.rates["value"]
    return {
        name: 100 * (found[name] / true - 1) for name, true in PAPER["true"].items() if true > 0
    }


def floors(fit):
    """Return the standard error (%) that the data allow for the four rates that are not zero."""
    stated = fit.rates["standard error"]
    return {name: 100 * stated[name] / true for name, true in PAPER["true"].items() if true > 0}


def distances(data, network):
    """Return the total variation between runs and a network over the sampling floor, by week."""
    exact = cn.finite_state_projection(network, data.initial, WEEKS)
    ratios = []
    for week in WEEKS:
        probability = exact.at(week)
        floor = cn.sampling_floor(probability, data.runs)
        ratios.append(cn.total_variation(data.histogram(week), probability) / floor)
    return ratios


def run(progress=print):
    truth, candidate = cn.models.single_progenitor(), cn.models.single_progenitor_candidate()
    found, limits, right, ratios = {way: [] for way in WAYS}, {way: [] for way in WAYS}, 0, []
    for seed in SEEDS:
        data = cn.sample(
            truth, {"A": 10}, TIMES, RUNS, seed=seed, histograms=WEEKS, keep=10_000
        )  # fmt: skip
        for way, (options, _) in WAYS.items():
            fit = cn.fit_rates(candidate, data, **options)
            found[way].append(errors(fit))
            limits[way].append(floors(fit))
        right += set(fit.kept) == {reaction.equation for reaction in truth.reactions}
        ratios.append(distances(data, fit.network))
        progress(f"seed {seed} of {SEEDS[-1]}")
    return records(found, limits, right, ratios)


def records(found, limits, right, ratios):
    repeats = len(ratios)
    result = {
        f"table1.{way}.{name}.rms_error": {
            "value": float(np.sqrt(np.mean([one[name] ** 2 for one in draws]))),
            "unit": "%",
            "what": f"{WAYS[way][1]}; RMS over {repeats} samples of 10^6 runs",
            "n": repeats,
            "paper": PAPER["error %"][name],
        }
        for way, draws in found.items()
        for name in draws[0]
    }
    for way, draws in limits.items():
        for name in draws[0]:
            result[f"table1.{way}.{name}.expected_error"] = {
                "value": float(np.mean([one[name] for one in draws])),
                "unit": "%",
                "what": "standard error that the covariance of the data gives this estimator; mean",
                "n": repeats,
            }
    result["table1.selected.right_rate"] = {
        "value": right / repeats,
        "what": "share of samples in which exactly the four true reactions are kept",
        "n": repeats,
    }
    result["fig3.tv_over_floor.max"] = {
        "value": float(np.mean(ratios, axis=0).max()),
        "what": "total variation between runs and learned network over what the truth would give; "
        "mean over the samples, largest of 1, 5, 10, 20 weeks",
        "n": repeats,
    }
    result["fig3.tv_over_floor.worst"] = {
        "value": float(np.max(ratios)),
        "what": "the same, worst sample and week",
        "n": repeats,
    }
    return result
