"""How fast 2 A <-> B becomes its rate equation as the volume grows (Eq. 8, Remark II.1).

`kurtz.slope.sup`: exponent of V in the largest deviation of a path, sup |n_A/V - c_A| over the
times, averaged over the runs. The central limit theorem makes it -1/2.

`kurtz.slope.bias`: exponent of V in the largest deviation of the mean, computed by finite state
projection: sampling it would need many more than V runs. The expansion in 1/V makes it -1.

Both are fitted from V = 100 on: below, the jumps themselves are as large as the deviations.
"""

import numpy as np

import chemnb as cn

TIMES = np.linspace(0, 4, 401)
PATH_VOLUMES = [100, 400, 1600, 6400, 25_600, 102_400]
MEAN_VOLUMES = [100, 200, 400, 800, 1600, 3200]
RUNS, SEED = 2000, 1972


def run(progress=print):
    """Return the records of the study."""
    progress(f"{RUNS} paths in each of {len(PATH_VOLUMES)} volumes")
    distances, errors = np.transpose([path_distance(volume) for volume in PATH_VOLUMES])
    value, error = slope(PATH_VOLUMES, distances, errors)
    progress(f"finite state projection in {len(MEAN_VOLUMES)} volumes")
    bias, _ = slope(MEAN_VOLUMES, [mean_distance(volume) for volume in MEAN_VOLUMES])
    return {
        "kurtz.slope.sup": {
            "value": value,
            "low": value - 1.96 * error,
            "high": value + 1.96 * error,
            "true": -0.5,
            "what": "exponent of V in the average sup |n_A/V - c_A|",
            "n": RUNS,
        },
        "kurtz.slope.bias": {
            "value": bias,
            "true": -1.0,
            "what": "exponent of V in sup |<n_A>/V - c_A|, exact means",
        },
    }


def path_distance(volume):
    """Return sup |n_A/V - c_A| averaged over the runs, and its standard error."""
    network = cn.models.dimerisation(volume=volume)
    paths = cn.sample(
        network, {"A": volume}, TIMES, RUNS, seed=SEED + volume, keep=RUNS, progress=False
    ).paths
    gaps = np.abs(paths / volume - rate_equation(network)).sel(species="A").max("time")
    return gaps.mean().item(), gaps.std(ddof=1).item() / np.sqrt(RUNS)


def mean_distance(volume):
    """Return sup |<n_A>/V - c_A|."""
    network = cn.models.dimerisation(volume=volume)
    law = cn.finite_state_projection(network, {"A": volume}, TIMES, tolerance=1e-10)
    return np.abs(law.mean() / volume - rate_equation(network)).sel(species="A").max().item()


def rate_equation(network):
    """Return c of Eq. 8 from c_A = 1, far more exactly than any distance measured here."""
    return cn.integrate(network, {"A": 1.0}, TIMES, rtol=1e-11, atol=1e-13)


def slope(volumes, values, errors=0.0):
    """Return the exponent of a power law and its standard error."""
    lever = np.log(volumes) - np.log(volumes).mean()
    weights = lever / (lever @ lever)
    return float(weights @ np.log(values)), float(np.linalg.norm(weights * errors / values))
