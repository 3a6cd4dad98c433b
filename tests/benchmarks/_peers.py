"""What the benchmarks share: networks, other packages, processor time, ratios."""

import os
import statistics
import time

import numpy as np

import chemnb as cn

NANO = 1e9


def gene_network():
    """Return the network of Eq. 15 at V = 1000/3 and its start: W2."""
    net = cn.ReactionNetwork(
        """
        G + P <-> GP   ; k1, km1
        GP + P <-> GP2 ; k2, km2
        G -> G + M     ; k0
        GP -> GP + M   ; k0
        M -> M + P     ; ks
        M -> 0         ; kdm
        """,
        k1=3, km1=2.4, k2=9, km2=6, k0=0.05, ks=0.01, kdm=0.01, volume=1000 / 3,
    )  # fmt: skip
    return net, {"G": 4, "GP": 3, "GP2": 3, "M": 1667, "P": 0}


def ring(size):
    """Return a ring of unimolecular reactions, ten molecules of every species: W3."""
    net = cn.ReactionNetwork([f"S{i} -> S{(i + 1) % size} ; 1" for i in range(size)])
    return net, {name: 10 for name in net.species}


def processor_seconds():
    """Return the processor time of this process and of all children that have ended."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


def interleaved(tools, repeats, progress):
    """Return the nanoseconds an event of each tool, measured in turn.

    Parameters
    ----------
    tools : mapping of name -> function (seed) -> number of events
    """
    costs = {name: [] for name in tools}
    for repeat in range(1, repeats + 1):
        for name, draw in tools.items():  # in turn, so that a busy moment meets all of them
            before = processor_seconds()
            events = draw(repeat)
            costs[name].append((processor_seconds() - before) / events * NANO)
        shown = ", ".join(f"{name} {cost[-1]:.1f}" for name, cost in costs.items())
        progress(f"repeat {repeat}/{repeats}: {shown} ns an event")
    return costs


def ratio(slow, fast, what):
    """Return the median over the repeats of slow/fast, with the range of the middle values."""
    each = sorted(s / f for s, f in zip(slow, fast, strict=True))
    cut = len(each) > 4
    return {
        "value": statistics.median(each), "what": what, "n": len(each),
        "low": each[cut], "high": each[-1 - cut],
    }  # fmt: skip


def cost(nanoseconds, what):
    middle = statistics.median(nanoseconds)
    return {"value": middle, "unit": "ns", "what": what, "n": len(nanoseconds)}


def expected_events(network, start, end):
    """Return the mean number of reactions of a run, counted in runs of its own."""
    simulator = cn.sampling.simulator.Simulator(
        network, network.counts(start), [end], 10**6, method="tree"
    )
    return simulator.run(0, 300).events.mean()


def check_means(name, finals, exact, variance):
    """Raise if the means of final states are more than five standard errors off: another model.

    Parameters
    ----------
    finals : array (runs, species)
    exact, variance : array (species,)
    """
    error = np.sqrt(np.maximum(variance, 1e-12) / len(finals))
    worst = np.abs((np.mean(finals, axis=0) - exact) / error).max()
    if worst > 5:
        raise AssertionError(f"{name}: means are {worst:.1f} standard errors off")


def rebop_model(network):
    """Return rebop's model with propensities equal to ours."""
    import rebop

    model = rebop.Gillespie()
    for reaction, k in zip(network.reactions, network.rate_constants(), strict=True):
        left = [name for name, count in reaction.reactants for _ in range(count)]
        right = [name for name, count in reaction.products for _ in range(count)]
        if len(left) != len(set(left)):
            raise ValueError("rebop counts pairs of equal molecules twice; not used here")
        model.add_reaction(float(k) * network.volume ** (1 - len(left)), left, right)
    return model


def rebop_core(model, start, end, steps, sparse=False):
    """Return a function (seed, runs) that calls rebop's compiled core directly, run by run."""
    model.gillespie.set_init({name: int(n) for name, n in start.items()})

    def draw(seed, runs):
        return [
            model.gillespie.run(end, steps, params={}, seed=seed * 10**6 + i, sparse=sparse)[1]
            for i in range(runs)
        ]

    return draw


def gillespy2_solver(network, start, times):
    """Return GillesPy2's C++ solver of a network, compiled."""
    import gillespy2

    model = gillespy2.Model(name="bench")
    model.add_species(
        [
            gillespy2.Species(name=s, initial_value=start[s], mode="discrete")
            for s in network.species
        ]
    )
    orders = network.reactants.sum(axis=0)
    for j, rate in enumerate(network.rate_constants() * network.volume ** (1.0 - orders)):
        constant = gillespy2.Parameter(name=f"k{j}", expression=repr(float(rate)))
        sides = [
            {name: int(n) for name, n in zip(network.species, side[:, j], strict=True) if n}
            for side in (network.reactants, network.products)
        ]
        model.add_parameter(constant)
        model.add_reaction(gillespy2.Reaction(f"R{j}", *sides, rate=constant))
    model.timespan(gillespy2.TimeSpan(np.asarray(times)))
    return gillespy2.SSACSolver(model=model)
