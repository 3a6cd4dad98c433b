"""`ODENet` against a plain torchdiffeq loop and PySINDy: processor time, measured in turn.

Gradient: five species, 100 experiments at 100 times, the squared misfit of whole solutions. Of
torchdiffeq, dopri5 in a plain loop over the experiments, as times that differ need it, and one call
for all as a batch, which equal times and care allow; ``backward`` goes through its steps. Its
tolerance is the loosest power of ten at which the gradient is as exact as ours. Ours is what a
step of the optimiser costs: the derivatives of every residual, of which the gradient is one product. Counted
are the 20 coefficients of a network's terms, as after the choice of terms, and all 100 of a library
of 20 terms in five equations.

Eq. 11: the means of two starts, half a million trajectories each. A plain torchdiffeq loop trains
all ten coefficients by Adam on the loss of Eq. 2, with columns of one size, which helps it; it is
stopped at the first look at which its terms above the threshold are the true ones, which the user
could not know. If they never are, the time to the last iteration stands for it. PySINDy's time is
that of one call of ``fit`` with the threshold known, and of 15 thresholds to choose from. Both get
the means; ours gets their covariance besides, which a record of its own computes from the runs.
"""

import time
import warnings

import numpy as np

import chemnb as cn
from chemnb.learning.scaling import Scaling
from chemnb.learning.timeseries import read_experiments
from chemnb.learning.trajectories import TrajectoryProblem
from chemnb.learning.unknowns import Unknowns
from tests.benchmarks import _peers
from tests.studies.odenet import BOTH, RUNS, TIMES, truth

REPEATS = 3
NETWORK = """
    A + B <-> C ; 1.0, 0.5
    C <-> D + E ; 0.7, 0.3
    A <-> D     ; 0.4, 0.2
    B <-> E     ; 0.6, 0.1
"""
TOLERANCES = (1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10)
ITERATIONS, LOOK, THRESHOLD, PENALTY = 2000, 20, 0.05, 1e-3  # of the torchdiffeq loop on Eq. 11


def run(progress=print):
    """Return the records of gradients and of Eq. 11."""
    found = gradients(progress)
    data = [
        cn.sample(cn.models.single_progenitor(), start, TIMES, RUNS // 2, seed=i, progress=False)
        for i, start in enumerate(BOTH)
    ]
    ours = [timed(lambda: fit_ours(data)) for _ in range(REPEATS + 1)][1:]  # the first compiles
    found |= over_pysindy(data, progress)
    seconds, iterations = train_torch(data, progress)
    reached = iterations < ITERATIONS
    found["bench.odenet.eq11_over_torchdiffeq"] = _peers.ratio(
        [seconds] * REPEATS, ours,
        f"time of a torchdiffeq loop, {iterations} iterations of Adam "
        f"({'first right terms' if reached else 'terms never right'}), over ODENet.fit",
    )  # fmt: skip
    found["bench.odenet.eq11_fit"] = {
        "value": float(np.median(ours)), "unit": "s", "n": REPEATS,
        "what": "processor time of ODENet(monomials(2)).fit on two ensembles",
    }  # fmt: skip
    return found


def timed(call):
    """Return the processor seconds of a call."""
    began = time.process_time()
    call()
    return time.process_time() - began


# --- one gradient ---------------------------------------------------------------------------------


def gradients(progress):
    """Return the ratios of the time of a gradient, with 20 and with 100 coefficients."""
    import torch

    torch.set_num_threads(1)
    network, random = cn.ReactionNetwork(NETWORK), np.random.default_rng(0)
    names, times = list(network.species), np.linspace(0, 5, 101)
    equations = cn.mass_action(network)
    states = np.array([
        cn.integrate(equations, dict(zip(names, start, strict=True)), times).values
        for start in random.uniform(0.2, 2.0, (100, len(names)))
    ])  # fmt: skip
    library = cn.monomials(2).bind(names)
    theta = coefficients(network, library)
    theta[theta != 0] *= 1.05  # away from the minimum, where the gradient is noise
    every = [(row, term) for row in range(len(names)) for term in range(len(library))]
    found = {}
    for ending, pairs in (("", [p for p in every if theta[p]]), (".dense", every)):
        ours = gradient_ours(library, names, times, states, pairs)
        exact, tolerance = compare(library, times, states, pairs, theta, ours, progress)
        ways = {
            "ours": lambda ours=ours: ours(theta),
            "batched": lambda t=tolerance: gradient_torch(library, times, states, theta, t),
        }
        if not ending:  # the loop costs the same for any number of coefficients, and much
            ways["loop"] = lambda t=tolerance: loop_torch(library, times, states, theta, t)
        costs = {way: [] for way in ways}
        for _ in range(REPEATS):
            for way, call in ways.items():
                costs[way].append(timed(call))
        for way, name in (("loop", ""), ("batched", f".batched{ending}")):
            if way not in ways:
                continue
            found[f"bench.odenet.gradient_over_torchdiffeq{name}"] = _peers.ratio(
                costs[way], costs["ours"],
                f"a gradient of {len(pairs)} coefficients: torchdiffeq dopri5 ({way}, tolerance "
                f"{tolerance:g}) over ours, relative error of ours {exact:.0e}",
            )  # fmt: skip
        shown = {way: round(float(np.median(cost)), 3) for way, cost in costs.items()}
        progress(f"{len(pairs)} coefficients, seconds: {shown}")
    return found


def coefficients(network, library):
    """Return θ (equations, terms) of a mass-action network."""
    from tests.studies._fits import true_coefficients

    labels, names = list(library.labels), list(network.species)
    theta = np.zeros((len(names), len(labels)))
    for (equation, term), value in true_coefficients(network).items():
        theta[names.index(equation), labels.index(term)] = value
    return theta


def gradient_ours(library, names, times, states, pairs):
    """Return a function θ -> gradient (pairs,) of the squared misfit, in the units of the data."""
    tables = [(times, table) for table in states]
    starts = [dict(zip(names, table[0], strict=True)) for table in states]
    experiments = read_experiments(
        tables, names, [np.ones((len(times), len(names)))] * len(tables), None, starts
    )
    unknowns = Unknowns.free(pairs, set(), [str(pair) for pair in pairs])
    problem = TrajectoryProblem(Scaling(library, experiments), unknowns)
    chosen, rows = list(range(len(pairs))), tuple(np.transpose(pairs))

    def gradient(theta):
        u = theta[rows] / problem.unit
        rest, slopes, _ = problem.solve(chosen, u, problem.windows.exact)
        return -2 * np.tensordot(rest, slopes, 2) / problem.unit

    return gradient


def gradient_torch(library, times, states, theta, tolerance):
    """Return the gradient (equations, terms) of the squared misfit by torchdiffeq."""
    import torch
    from torchdiffeq import odeint

    factors = torch.tensor(library.factor_table())
    weights = torch.tensor(theta, requires_grad=True)
    data = torch.tensor(states)

    def slope(_, y):
        padded = torch.cat([y, torch.ones_like(y[:, :1])], dim=1)
        return padded[:, factors].prod(dim=2) @ weights.T

    found = odeint(
        slope, data[:, 0], torch.tensor(times), method="dopri5", rtol=tolerance, atol=tolerance / 10
    )
    ((found.transpose(0, 1) - data) ** 2).sum().backward()
    return weights.grad.numpy()


def loop_torch(library, times, states, theta, tolerance):
    """Return the same gradient, one call an experiment."""
    parts = [gradient_torch(library, times, one[None], theta, tolerance) for one in states]
    return np.sum(parts, axis=0)


def compare(library, times, states, pairs, theta, ours, progress):
    """Return the relative error of our gradient, and the tolerance at which torch has the same."""
    rows = tuple(np.transpose(pairs))
    reference = gradient_torch(library, times, states, theta, 1e-11)[rows]

    def error(gradient):
        return float(np.linalg.norm(gradient - reference) / np.linalg.norm(reference))

    mine = error(ours(theta))
    for tolerance in TOLERANCES:
        other = error(gradient_torch(library, times, states, theta, tolerance)[rows])
        progress(f"tolerance {tolerance:g}: torchdiffeq {other:.1e}, ours {mine:.1e}")
        if other <= mine:
            break
    if mine > 1e-2:
        raise AssertionError(f"our gradient is {mine:.1e} off: another misfit")
    return mine, tolerance


# --- Eq. 11 ---------------------------------------------------------------------------------------


def fit_ours(data, **options):
    """Fit Eq. 11 and check the terms."""
    table = cn.ODENet(cn.monomials(2), progress=False).fit(data, **options).coefficients
    kept = table.loc[table["kept"], ["equation", "term"]]
    if set(kept.itertuples(index=False, name=None)) != set(truth()):
        raise AssertionError("ODENet did not find the terms of Eq. 11")


def over_pysindy(data, progress):
    """Return the ratios of fit times to PySINDy's; none where it is missing."""
    try:
        import pysindy as ps
    except ImportError:
        progress("no comparison with PySINDy: it is not installed; `run.py bench` brings it")
        return {}
    means, names = [one.mean() for one in data], ["A", "B"]
    size = means[0].size
    errors = [one.path_covariance(names).values.reshape(size, size) for one in data]

    def fit(threshold):
        library = ps.PolynomialLibrary(degree=2, include_bias=False)
        model = ps.SINDy(
            optimizer=ps.STLSQ(threshold), feature_library=library,
            differentiation_method=ps.SmoothedFiniteDifference(),
        )  # fmt: skip
        values = [table.values for table in means]
        return model.fit(values, [TIMES] * len(values), feature_names=names)

    def scan():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # all terms dropped, at the upper end of the range
            return [fit(threshold) for threshold in np.logspace(-3, 0, 15)]

    ways = {
        "means": lambda: fit_ours(means, covariance=errors, initial=list(BOTH)),
        "ensembles": lambda: fit_ours(data),
        "once": lambda: fit(0.005),
        "scan": scan,
    }
    costs = {way: [] for way in ways}
    for repeat in range(1 + 3 * REPEATS):
        for way, call in ways.items():
            seconds = timed(call)
            if repeat:  # the first one compiles and imports
                costs[way].append(seconds)
    progress({way: round(float(np.median(cost)), 4) for way, cost in costs.items()})
    names = {
        "": ("means", "once", "one fit of PySINDy, smoothed, its threshold given"),
        ".scan": ("means", "scan", "15 fits of PySINDy, from which a threshold is chosen"),
        ".from_runs": ("ensembles", "once", "one such fit of PySINDy to the means"),
    }
    what = {"means": "the means and their covariance", "ensembles": "the ensembles"}
    return {
        f"bench.odenet.eq11_over_pysindy{ending}": _peers.ratio(
            costs[mine], costs[theirs], f"time of ODENet.fit on {what[mine]} over {text}"
        )
        for ending, (mine, theirs, text) in names.items()
    }


def train_torch(data, progress):
    """Return the processor seconds and iterations of a torchdiffeq loop up to the right terms."""
    import torch
    from torchdiffeq import odeint

    names = ["A", "B"]
    library = cn.monomials(2).bind(names)
    values = torch.tensor(np.array([one.mean().values for one in data]))
    times, size = torch.tensor(TIMES), values.abs().amax(dim=(0, 1))
    factors = torch.tensor(library.factor_table())
    true = np.zeros((2, len(library)), bool)
    for equation, term in truth():
        true[names.index(equation), library.labels.index(term)] = True
    scaled = values / size
    columns = library.evaluate(scaled.numpy().reshape(-1, 2))
    weight = torch.tensor(np.sqrt((columns**2).mean(axis=0)))
    theta = torch.zeros(2, len(library), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([theta], lr=0.02)

    def slope(_, y):
        padded = torch.cat([y, torch.ones_like(y[:, :1])], dim=1)
        return padded[:, factors].prod(dim=2) / weight @ theta.T

    began = time.process_time()
    for iteration in range(1, ITERATIONS + 1):
        optimiser.zero_grad()
        found = odeint(slope, scaled[:, 0], times, method="dopri5").transpose(0, 1)
        loss = (found - scaled).abs().mean() + PENALTY * theta.abs().sum()
        loss.backward()
        optimiser.step()
        if iteration % LOOK == 0:
            share = np.abs(theta.detach().numpy())
            share = share / share.max(axis=1, keepdims=True)
            if ((share >= THRESHOLD) == true).all():
                break
            if iteration % 200 == 0:
                progress(f"torchdiffeq, iteration {iteration}: loss {loss.item():.3g}")
    return time.process_time() - began, iteration
