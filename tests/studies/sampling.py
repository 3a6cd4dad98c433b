"""The sampler against exact results on the skin-cell network of Fig. 2, from 10 A to week 20.

`moments.max_abs_z`: 10^6 runs beside the moment equations, Eq. 13. The largest deviation of all
five moments at 20 times, in standard errors. A hundred independent ones would pass 2.7 every
second time and 4.5 once in 1500 times; these are correlated and pass them less often.

`fsp.spcm.lost_mass`: what the finite state projection, which the histograms are compared with, may
have missed of the probability at week 20.
"""

import numpy as np

import chemnb as cn

START = {"A": 10}
TIMES = np.arange(21.0)
RUNS, SEED = 10**6, 2020


def run(progress=print):
    """Return the records of the study."""
    skin = cn.models.single_progenitor()
    progress(f"{RUNS} runs of the direct method")
    data = cn.sample(skin, START, TIMES, runs=RUNS, seed=SEED, histograms=[20], progress=False)
    progress("moment equations and finite state projection")
    exact = cn.integrate(cn.moment_equations(skin), START, TIMES)
    projected = cn.finite_state_projection(skin, START, [20.0], progress=False)
    law = projected.at(20)
    return {
        "moments.max_abs_z": {
            "value": largest_deviation(data, exact),
            "unit": "standard errors",
            "what": "largest deviation of 5 moments at 20 times from Eq. 13",
            "n": RUNS,
        },
        "fsp.spcm.lost_mass": {
            "value": projected.lost_mass.item(),
            "what": "probability that the projection may have lost, t = 20",
        },
        "fsp.spcm.total_variation": {
            "value": cn.total_variation(data.histogram(20), law),
            "what": "total variation between histogram and projection, t = 20",
            "n": RUNS,
        },
        "fsp.spcm.sampling_floor": {
            "value": cn.sampling_floor(law, RUNS),
            "what": "total variation that sampling alone causes on average, t = 20",
            "n": RUNS,
        },
    }


def largest_deviation(data, exact):
    """Return the largest |z| of all moments and times after the start, where nothing varies."""
    z = (data.moments() - exact) / data.standard_error()
    return float(abs(z[1:]).max())
