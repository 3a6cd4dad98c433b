"""W1, the skin-cell network of Fig. 2 from 10 A to week 20: one core, against GillesPy2's C++.

What is compared: the processor time (of the process and its children) to draw the same number of
trajectories and hand over the counts at 21 times. Both draw with the direct method from the same
law, so a trajectory has the same expected number of events in both; it is computed exactly, from
the mean of a counter that every reaction raises, and used for both.

What is left out: compiling. One call before the clock starts makes Numba compile ours and makes
GillesPy2 generate, compile and link its C++ program, which it then keeps.

What is fair to know: ours is the call of a user, `chemnb.sample`, with its streamed statistics.
Of GillesPy2 two costs are measured: its user's call, `solver.run`, in which the program writes the
counts as text that Python reads back, and that program alone with its output thrown away. The
first is the record that is asked for; the second tells how much of it is the writing and reading.
"""

import os
import statistics
import subprocess
import time

import numpy as np

import chemnb as cn

TIMES = np.arange(21.0)
START = {"A": 10, "B": 0}
RUNS, REPEATS = 20_000, 9


def run(progress=print):
    """Return the records of W1: the ratios of speed and what an event costs.

    Raises
    ------
    RuntimeError
        On Windows, which does not tell the processor time of children.
    """
    if os.name == "nt":
        raise RuntimeError("W1 needs the processor time of children: run it on Linux or macOS")
    events = RUNS * expected_events()
    solver = gillespy2_solver()
    tools = {
        "ours": lambda seed: ours(seed).mean().sel(species="A").values,
        "call": lambda seed: by_call(solver, seed),
        "program": lambda seed: by_program(solver, seed),
    }
    for name, draw in tools.items():
        progress(f"{name}: first call, not timed")
        means = draw(REPEATS + 1)
        if means is not None:
            check_law(name, means)
    costs = {name: [] for name in tools}
    for repeat in range(1, REPEATS + 1):
        for name, draw in tools.items():  # in turn, so that a busy moment meets all of them
            before = processor_seconds()
            draw(repeat)
            costs[name].append((processor_seconds() - before) / events * 1e9)
        progress(
            f"repeat {repeat}/{REPEATS}: "
            + ", ".join(f"{name} {cost[-1]:.0f}" for name, cost in costs.items())
            + " ns an event"
        )
    return records(costs)


def records(costs):
    what = "events a core-second on W1 over GillesPy2 1.8.3 C++"
    ours, call, program = costs.values()
    return {
        "bench.w1.over_gillespy2": ratio(call, ours, what),
        "bench.w1.over_gillespy2.program": ratio(program, ours, f"{what}, its program alone"),
        "bench.w1.cost": cost(ours, "an event of W1, chemnb.sample, one thread"),
        "bench.w1.cost.gillespy2": cost(call, "an event of W1, GillesPy2's SSACSolver.run"),
    }


def ratio(slow, fast, what):
    """Return the median over the repeats of slow/fast, with its 95 % interval."""
    each = sorted(s / f for s, f in zip(slow, fast, strict=True))
    middle = statistics.median(each)
    # of nine values, the second and the last but one enclose the median in 96 % of all cases
    return {"value": middle, "what": what, "n": len(each), "low": each[1], "high": each[-2]}


def cost(nanoseconds, what):
    middle = statistics.median(nanoseconds)
    return {"value": middle, "unit": "ns", "what": what, "n": len(nanoseconds)}


def processor_seconds():
    """Return the processor time of this process and of all children that have ended."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


def expected_events():
    """Return the expected number of reactions in one trajectory."""
    skin = cn.models.single_progenitor()
    counted = [
        cn.Reaction(reaction.reactants, (*reaction.products, ("Count", 1)), reaction.rate)
        for reaction in skin.reactions
    ]
    equations = cn.moment_equations(cn.ReactionNetwork(counted, skin.parameters), order=1)
    means = cn.integrate(equations, START, [TIMES[-1]])
    return means.sel(moment="Count").item()


def check_law(name, means):
    """Raise if mean A is more than five standard errors off at some time: different models."""
    exact = cn.integrate(cn.moment_equations(cn.models.single_progenitor()), START, TIMES[1:])
    error = np.sqrt(exact.sel(moment="Var(A)").values / RUNS)
    worst = np.abs((means[1:] - exact.sel(moment="A").values) / error).max()
    if worst > 5:
        raise AssertionError(f"{name}: mean A is {worst:.1f} standard errors from the exact one")


def ours(seed):
    network = cn.models.single_progenitor()
    return cn.sample(network, START, TIMES, runs=RUNS, seed=seed, threads=1, progress=False)


def gillespy2_solver():
    """Return GillesPy2's C++ solver of the same network, compiled."""
    import gillespy2

    skin = cn.models.single_progenitor()
    model = gillespy2.Model(name="W1")
    model.add_species(
        [gillespy2.Species(name=s, initial_value=START[s], mode="discrete") for s in skin.species]
    )
    names = skin.species
    for j, rate in enumerate(skin.rate_constants()):
        constant = gillespy2.Parameter(name=f"k{j}", expression=repr(float(rate)))
        sides = [
            {name: int(n) for name, n in zip(names, side[:, j], strict=True) if n}
            for side in (skin.reactants, skin.products)
        ]
        model.add_parameter(constant)
        model.add_reaction(gillespy2.Reaction(f"R{j}", *sides, rate=constant))
    model.timespan(gillespy2.TimeSpan(TIMES))
    return gillespy2.SSACSolver(model=model)


def by_call(solver, seed):
    found = solver.run(number_of_trajectories=RUNS, seed=seed)
    return np.mean([trajectory["A"] for trajectory in found], axis=0)


def by_program(solver, seed):
    """Run the compiled program as the solver does, but drop what it writes."""
    options = {
        "trajectories": RUNS,
        "timesteps": len(TIMES),
        "end": TIMES[-1],
        "interval": len(TIMES),
        "seed": seed,
    }
    words = [str(word) for pair in options.items() for word in (f"--{pair[0]}", pair[1])]
    program = solver.build_engine.get_executable_path()
    subprocess.run([program, *words], stdout=subprocess.DEVNULL, check=True)
