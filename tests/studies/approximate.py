"""Where approximate relatives of the sampler pay, and what they cost in truth: 2 A <-> B.

The system starts with V molecules of A in the volume V (10, 100, 1000, 10^4, 10^6), is followed to t = 4
near its equilibrium, and looked at on the way, t = 0.5.

`approximate.<method>.speed.<V>`: processor time of `chemnb.sample` over that of tau-leaping or the
Langevin equation, per run; above 1 the approximation is faster. Interleaved, one thread, median
ratio of several rounds after one that is not counted. The number of runs differs between methods,
so that each takes a time that can be measured.

`approximate.<method>.error.<V>`: error of the mean of A at t = 0.5 as a share of it, and
`...variance_error.<V>` that of its variance: the finite state projection is the truth up to 10^4
molecules; at 10^6 it is the linear noise approximation, good to 1 part in a million there.

`approximate.linear_noise.error.<V>`, `...variance_error.<V>`: the same for the linear noise
approximation, which does not sample.

`approximate.tau_leap.order`: exponent of epsilon in the error of the mean at 10^6.
"""

import time

import numpy as np

import chemnb as cn
from chemnb.equations.linear_noise import linear_noise
from chemnb.sampling.approximate import sample_langevin, sample_tau_leap

TIMES = [0.5, 4.0]
EPSILON = 0.03
EXACT_RUNS = {10: 30_000, 100: 30_000, 1000: 4000, 10**4: 1000, 10**6: 12}
RUNS = {10: 30_000, 100: 10_000, 1000: 4000, 10**4: 4000, 10**6: 3000}
ERROR_RUNS = {10: 100_000, 100: 40_000, 1000: 20_000, 10**4: 20_000, 10**6: 10_000}
METHODS = {"tau_leap": sample_tau_leap, "langevin": sample_langevin}
EPSILONS = [0.2, 0.1, 0.05]
ROUNDS, SEED = 5, 2006


def run(progress=print):
    """Return the records of the study."""
    found = {}
    for volume in RUNS:
        network, start = cn.models.dimerisation(volume=volume), {"A": volume}
        progress(f"{volume} molecules: processor times")
        ratios = speed_ratios(network, start, volume)
        progress(f"{volume} molecules: errors")
        truth = true_moments(network, start, volume)
        for name, draw in METHODS.items():
            found |= speed_record(name, volume, ratios[name])
            runs = ERROR_RUNS[volume]
            data = draw(network, start, TIMES, runs, seed=SEED, epsilon=EPSILON, progress=False)
            error = (data.standard_error()[0] / truth).values.tolist()
            found |= error_records(name, volume, data.moments()[0] / truth - 1, error, runs)
        if volume < 10**6:
            off = linear_noise(network, start, TIMES)[0] / truth - 1
            found |= error_records("linear_noise", volume, off)
    progress("order of convergence")
    return found | order_record()


def speed_ratios(network, start, volume):
    """Return time of exact sampling over time of each method, per run, one ratio a round."""
    draws = {"exact": cn.sample, **METHODS}
    seconds = {name: [] for name in draws}
    for turn in range(ROUNDS + 1):
        for name, draw in draws.items():
            runs = (EXACT_RUNS if name == "exact" else RUNS)[volume]
            began = time.process_time()
            draw(network, start, TIMES, runs, seed=SEED + turn, threads=1, progress=False)
            seconds[name].append((time.process_time() - began) / runs)
    # the first round compiles
    return {name: np.divide(seconds["exact"], seconds[name])[1:] for name in METHODS}


def true_moments(network, start, volume):
    """Return mean and variance of A and B at the first time."""
    if volume <= 10**4:
        projected = cn.finite_state_projection(network, start, TIMES[:1], tolerance=1e-10)
        return projected.moments()[0]
    return linear_noise(network, start, TIMES, rtol=1e-11, atol=1e-6)[0]


def speed_record(name, volume, ratios):
    """Return the record of a median ratio with the range of the rounds."""
    return {
        f"approximate.{name}.speed.{volume}": {
            "value": float(np.median(ratios)),
            "low": float(min(ratios)),
            "high": float(max(ratios)),
            "what": f"time of exact sampling over that of {name}, {volume} molecules",
            "n": RUNS[volume],
        }
    }


def error_records(name, volume, off, error=None, runs=None):
    """Return the records of relative errors of mean and variance of A."""
    records = {}
    for label, moment in (("error", "A"), ("variance_error", "Var(A)")):
        value = off.sel(moment=moment).item()
        entry = {"value": value, "true": 0.0,
                 "what": f"relative error of {moment}, {volume} molecules, {name}"}  # fmt: skip
        if error is not None:
            half = 1.96 * error[off.moment.values.tolist().index(moment)]
            entry |= {"low": value - half, "high": value + half, "n": runs}
        records[f"approximate.{name}.{label}.{volume}"] = entry
    return records


def order_record():
    """Return the exponent of epsilon in the error of the mean of A at a million molecules."""
    network, start = cn.models.dimerisation(volume=10**6), {"A": 10**6}
    truth = true_moments(network, start, 10**6).sel(moment="A").item()
    errors = [
        sample_tau_leap(network, start, TIMES[:1], 1000, seed=SEED, epsilon=e, progress=False)
        .mean()[0, 0].item() / truth - 1
        for e in EPSILONS
    ]  # fmt: skip
    slope = np.polyfit(np.log(EPSILONS), np.log(np.abs(errors)), 1)[0]
    return {
        "approximate.tau_leap.order": {
            "value": float(slope),
            "true": 1.0,
            "what": "exponent of epsilon in the error of the mean, 10^6 molecules",
            "n": 1000,
        }
    }
