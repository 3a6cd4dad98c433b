"""Slow-scale sampling of the gene network (Eq. 15) against exact sampling, and where it fails.

`slow_scale.speedup`, `.mean_error`, `.variance_error`: the paper's run to t = 1000 at
V = 1000/3, where 0.01 of each of G, GP and GP2 is ten copies of the gene in all. Exact and
slow-scale runs are equally many and timed in turn, in CPU time on one thread; tables are made
anew and timed in every call. Errors are the largest over M, the total protein
P_T = P + GP + 2 GP2 and the free protein P, which the slow-scale runs give by its stationary law
at fixed P_T, and over all times; `.sampling` is the standard error that the runs leave at the
place where it is largest.

`slow_scale.fails.*`: the paper's run can hardly fail, because its protein comes from the mRNA of
the start. Here protein decays in every form, V = 20, and the binding is s times as fast as the
paper's. Total variation between stationary laws of P_T, all exact: null vectors on a box that
holds all but 1e-4 of the probability.
"""

import time

import numpy as np
import xarray as xr
from scipy.sparse import coo_array, diags_array, eye_array
from scipy.sparse.linalg import splu

import chemnb as cn
from chemnb.projection.state_space import StateSpace
from chemnb.reduction.averaged_network import PROPENSITIES, AveragedNetwork
from chemnb.reduction.slow_scale import sample_slow

FAST = ["G + P <-> GP", "GP + P <-> GP2"]
TOTAL = "P + GP + 2 GP2"
START = {"G": 4, "GP": 3, "GP2": 3, "M": 1667}
TIMES = [20, 50, 100, 200, 500, 1000]
RUNS, ROUNDS, SEED = 20_000, 4, 2005

SCALES = [10, 1, 0.1, 0.01, 0.001]
MOST_RNA, MOST_PROTEIN = 30, 200


def run(progress=print):
    """Return the records of the study."""
    full, slow, speedup = compare(progress)
    means, variances = errors(full, slow)
    records = {
        "slow_scale.speedup": {
            "value": speedup,
            "what": f"CPU time of {RUNS} exact runs over that of as many slow-scale runs",
            "n": ROUNDS,
        }
    }
    for name, (found, sampling) in {"mean": means, "variance": variances}.items():
        records[f"slow_scale.{name}_error"] = {
            "value": 100 * found,
            "unit": "%",
            "what": f"largest relative difference of a {name} (M, total and free P, 6 times)",
            "n": RUNS,
        }
        records[f"slow_scale.{name}_error.sampling"] = {
            "value": 100 * sampling,
            "unit": "%",
            "what": f"largest relative standard error of a difference of {name}s",
            "n": RUNS,
        }
    for key, (found, floor) in distances(full, slow).items():
        name, what = ("protein", "total P") if key == TOTAL else ("mrna", "M")
        records |= {
            f"slow_scale.total_variation.{name}": {
                "value": found,
                "what": f"total variation of {what} between exact and slow-scale runs, t = 1000",
                "n": RUNS,
            },
            f"slow_scale.sampling_floor.{name}": {
                "value": floor,
                "what": f"total variation that sampling alone causes on average in {what}",
                "n": RUNS,
            },
        }
    progress("exact stationary laws where it can fail")
    return records | failures()


# --- the paper's run ----------------------------------------------------------------------------


def compare(progress):
    """Return counts (run, time, species) of exact runs, slow-scale runs and the speed-up."""
    network = cn.models.gene_feedback().with_volume(1000 / 3)
    part = RUNS // ROUNDS
    exact(network, 1, 0)  # compiled before it is timed
    averaged(network, 1)
    paths, seconds = [], {"exact": 0.0, "averaged": 0.0}
    for number in range(ROUNDS):
        progress(f"round {number + 1} of {ROUNDS}: {part} exact, {RUNS} slow-scale runs")
        began = time.process_time()
        data = exact(network, part, SEED + number)
        seconds["exact"] += time.process_time() - began
        paths.append(data.paths)
        began = time.process_time()
        slow = averaged(network, RUNS)
        seconds["averaged"] += (time.process_time() - began) / ROUNDS
    return xr.concat(paths, "run"), slow, seconds["exact"] / seconds["averaged"]


def exact(network, runs, seed):
    return cn.sample(
        network, START, TIMES, runs, seed=seed, keep=runs, threads=1, progress=False
    )  # fmt: skip


def averaged(network, runs):
    return sample_slow(
        network, START, TIMES, runs, fast_reactions=FAST, seed=SEED + ROUNDS, keep=runs,
        threads=1, progress=False,
    )  # fmt: skip


def errors(full, slow):
    """Return (largest relative error, largest relative standard error) of means and variances."""
    counts = xr.concat([full, slow.network.coordinates(full).sel(species=[TOTAL])], "species")
    found = xr.concat([slow.species_moments(), slow.moments().drop_sel(moment="M")
                       .drop_sel(moment="Var(M)")], "moment")  # fmt: skip
    names = ["M", TOTAL, "P"]
    counts = counts.sel(species=names)
    mean, variance = counts.mean("run"), counts.var("run", ddof=1)
    deviation = (counts - mean) ** 2
    results = []
    for exact_values, label, spread in (
        (mean, "{}", variance),
        (variance, "Var({})", deviation.var("run", ddof=1)),
    ):
        ours = found.sel(moment=[label.format(name) for name in names]).values
        error = np.abs(ours / exact_values.values - 1).max()
        # both samples err by as much
        sampling = (np.sqrt(2 * spread / RUNS) / exact_values).max().item()
        results.append((error, sampling))
    return results


def distances(full, slow):
    """Return the total variation at the last time and its floor, for M and the total protein."""
    coordinates = slow.network.coordinates(full).isel(time=-1)
    results = {}
    for name in ("M", TOTAL):
        both = [
            histogram(coordinates.sel(species=name)),
            histogram(slow.paths.isel(time=-1).sel(species=name)),
        ]
        pooled = sum(xr.align(*both, join="outer", fill_value=0.0)) / 2
        # the difference of two samples is as wide as one sample of half the runs
        results[name] = cn.total_variation(*both), cn.sampling_floor(pooled, RUNS // 2)
    return results


def histogram(counts):
    shares = np.bincount(counts.values) / counts.size
    return xr.DataArray(shares, {"n": np.arange(len(shares))}, ["n"])


# --- where it fails -----------------------------------------------------------------------------


def failures():
    """Return the records of slow promoters: one gene for all scales, three for fast binding."""
    records = {}
    for genes, scales in ((1, SCALES), (3, SCALES[:1])):
        ours = {kind: averaged_law(genes, kind) for kind in PROPENSITIES}
        for scale in scales:
            law, events = full_law(genes, scale)
            place = f"slow_scale.fails.genes{genes}.s{scale:g}"
            where = f"{genes} gene(s), binding x {scale:g}, V = 20, stationary"
            for kind, (other, _) in ours.items():
                records[f"{place}.{kind.replace('-', '_')}"] = {
                    "value": float(np.abs(law - other).sum() / 2),
                    "what": f"total variation of total P, {kind} propensities: {where}",
                }
            records[f"{place}.events"] = {
                "value": events / ours["slow-scale"][1],
                "what": f"reactions a time, full over slow-scale: {where}",
            }
    return records


def promoter(genes, scale):
    """Return the network: as much mRNA from one gene as from three."""
    network = cn.models.gene_feedback(
        k0=1 / genes, k_s=0.2, k_dm=0.1,
        k1=3 * scale, k_m1=2.4 * scale, k2=9 * scale, k_m2=6 * scale,
    )  # fmt: skip
    decay = "P -> 0 ; decay \n GP -> G ; decay \n GP2 -> GP ; decay"
    return network.with_reactions(decay, decay=0.02).with_volume(20)


def full_law(genes, scale):
    """Return the stationary law of the total protein and the reactions a time."""
    network = promoter(genes, scale)
    bounds = {"M": MOST_RNA, "P": MOST_PROTEIN - 2 * genes}
    box = np.array([bounds.get(name, genes) for name in network.species])
    space = StateSpace(
        network, network.rate_constants(), network.counts({"G": genes})[None], box, 10**6
    )
    size = len(space)
    flow = space.matrix[:size, :size] - eye_array(size)
    counts = dict(zip(network.species, space.states.T, strict=True))
    likely = np.argmin(np.abs(counts["P"] - 30) + np.abs(counts["M"] - 3) + 10 * counts["G"])
    law = null_vector(flow, likely)
    total = counts["P"] + counts["GP"] + 2 * counts["GP2"]
    events = law @ network.propensities(space.states).sum(axis=1)
    return np.bincount(total, law, MOST_PROTEIN + 1), events


def averaged_law(genes, kind):
    """Return the same for averaged propensities, on the grid of M and the total protein."""
    network = promoter(genes, 1)
    model = AveragedNetwork(network, FAST, propensities=kind)
    shape = MOST_RNA + 1, MOST_PROTEIN + 1
    rna, protein = np.indices(shape).reshape(2, -1)
    states = np.zeros((len(rna), len(network.species)), dtype=np.int64)
    for name, values in {"M": rna, "P": protein, "G": genes}.items():
        states[:, network.species.index(name)] = values
    rates = model.propensities(states)
    change = model.laws @ network.stoichiometry[:, model.indices]
    change = change[[model.species.index("M"), model.species.index(TOTAL)]]
    flow = coo_array((rates.shape[0],) * 2)
    for j, (more_rna, more_protein) in enumerate(change.T):
        after = np.stack([rna + more_rna, protein + more_protein])
        source = np.flatnonzero(
            (rates[:, j] > 0) & np.all(after <= np.array(shape)[:, None] - 1, axis=0)
        )
        target = np.ravel_multi_index(after[:, source], shape)
        flow = flow + coo_array((rates[source, j], (target, source)), flow.shape)
    law = null_vector(flow, 3 * shape[1] + 30)
    return law.reshape(shape).sum(axis=0), law @ rates.sum(axis=1)


def null_vector(flow, likely):
    """Return the law that a generator leaves as it is; what would leave the box stays."""
    diagonal = np.asarray(flow.sum(axis=0)).ravel()
    generator = (flow - diags_array(diagonal)).tocsc()
    others = np.delete(np.arange(flow.shape[0]), likely)
    law = np.ones(flow.shape[0])
    law[others] = splu(generator[others][:, others].tocsc()).solve(
        -generator[others][:, [likely]].toarray()[:, 0]
    )
    return law / law.sum()
