"""W1, the skin-cell network of Fig. 2 from 10 A to week 20: one core, against other packages.

What is compared: the processor time (of the process and its children) to draw trajectories and
hand over the counts at 21 times, per event. All draw with the direct method from the same law,
so a trajectory has the same expected number of events; it is computed exactly, from the mean of a
counter that every reaction raises, and used for all.

What is left out: compiling. One call before the clock starts loads our kernels and makes
GillesPy2 generate, compile and link its C++ program, which it then keeps.

What is fair to know: ours is the call of a user, `chemnb.sample`, with its streamed statistics.
Of rebop and GillesPy2 two costs are measured: the user's call, and the compiled core alone:
rebop's inner object called directly, without the labelled result that its own call makes for each
run; GillesPy2's program with its output thrown away. The C++ lockstep loop is ours, written for
this one network (lockstep.cpp); it sums moments as it goes and hands over nothing else.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import chemnb as cn
from tests.benchmarks import _peers

TIMES = np.arange(21.0)
START = {"A": 10, "B": 0}
RUNS = {
    "ours": 100_000, "cpp": 400_000, "core": 10_000, "api": 400, "call": 4_000, "program": 4_000,
}  # fmt: skip
REPEATS = 7


def run(progress=print):
    """Return the records of W1: the ratios of speed and what an event costs.

    Raises
    ------
    RuntimeError
        On Windows, which does not tell the processor time of children.
    """
    if os.name == "nt":
        raise RuntimeError("W1 needs the processor time of children: run it on Linux or macOS")
    events = expected_events()
    with tempfile.TemporaryDirectory() as folder:
        draws = tools(Path(folder))
        for name, draw in draws.items():
            progress(f"{name}: first call, not timed")
            check_law(name, draw(REPEATS + 1))
        timed = {
            name: lambda seed, name=name, draw=draw: (draw(seed), RUNS[name] * events)[1]
            for name, draw in draws.items()
        }
        costs = _peers.interleaved(timed, REPEATS, progress)
    return records(costs)


def records(costs):
    ours = costs["ours"]

    def over(name, what):
        return _peers.ratio(costs[name], ours, f"events a core-second on W1 over {what}")

    found = {
        "bench.w1.over_rebop_core": over("core", "rebop's compiled core called directly"),
        "bench.w1.over_rebop_api": over("api", "rebop as documented, a call a run"),
        "bench.w1.over_gillespy2": over("call", "GillesPy2 1.8.3 C++"),
        "bench.w1.over_gillespy2.program": over(
            "program", "GillesPy2 1.8.3 C++, its program alone"
        ),
        "bench.w1.cost": _peers.cost(ours, "an event of W1, chemnb.sample, one thread"),
        "bench.w1.cost.rebop": _peers.cost(costs["core"], "an event of W1, rebop's core"),
        "bench.w1.cost.gillespy2": _peers.cost(costs["call"], "an event of W1, GillesPy2's call"),
    }
    if "cpp" in costs:
        found["bench.w1.over_cpp_lockstep"] = _peers.ratio(
            ours, costs["cpp"], "our time on W1 over that of a hand-written C++ -O3 lockstep loop"
        )
    return found


def tools(folder):
    """Return, by name, a function (seed) -> states at the last time, or their mean."""
    skin = cn.models.single_progenitor()
    core = _peers.rebop_core(_peers.rebop_model(skin), START, TIMES[-1], len(TIMES) - 1)
    model, solver = _peers.rebop_model(skin), _peers.gillespy2_solver(skin, START, TIMES)

    def last(found):
        return np.array([[run[name][-1] for name in "AB"] for run in found])

    def api(seed):
        return last(
            [
                {
                    k: v.values
                    for k, v in model.run(START, TIMES[-1], 20, rng=seed * 10**6 + i).items()
                }
                for i in range(RUNS["api"])
            ]
        )

    def call(seed):
        return last(solver.run(number_of_trajectories=RUNS["call"], seed=seed))

    found = {
        "ours": lambda seed: ours(seed, RUNS["ours"]),
        "core": lambda seed: last(core(seed, RUNS["core"])),
        "api": api,
        "call": call,
        "program": lambda seed: by_program(solver, seed),
    }
    if shutil.which("g++"):
        program = build(folder)
        found["cpp"] = lambda seed: by_cpp(program, seed, skin)
    return found


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


def check_law(name, finals):
    """Raise if the means at the last time are those of another model."""
    if finals is None:
        return
    exact = cn.integrate(cn.moment_equations(cn.models.single_progenitor()), START, [TIMES[-1]])[0]
    if finals.ndim == 1:
        finals = np.tile(finals, (RUNS[name], 1))
    variance = exact.sel(moment=["Var(A)", "Var(B)"]).values
    _peers.check_means(name, finals, exact.sel(moment=["A", "B"]).values, variance)


def ours(seed, runs, **options):
    network = cn.models.single_progenitor()
    data = cn.sample(
        network, START, TIMES, runs=runs, seed=seed, progress=False, **{"threads": 1} | options
    )
    return data.mean().values[-1]


def by_program(solver, seed):
    """Run the compiled program as the solver does, but drop what it writes."""
    options = {
        "trajectories": RUNS["program"],
        "timesteps": len(TIMES),
        "end": TIMES[-1],
        "interval": len(TIMES),
        "seed": seed,
    }
    words = [str(word) for pair in options.items() for word in (f"--{pair[0]}", pair[1])]
    program = solver.build_engine.get_executable_path()
    subprocess.run([program, *words], stdout=subprocess.DEVNULL, check=True)


def build(folder):
    """Compile the C++ loop for this processor."""
    program = folder / "lockstep"
    source = Path(__file__).with_name("lockstep.cpp")
    subprocess.run(["g++", "-O3", "-march=native", "-o", program, source], check=True)
    return program


def by_cpp(program, seed, skin):
    words = [program, str(RUNS["cpp"]), str(seed), *map(repr, skin.rate_constants().tolist())]
    found = subprocess.run(words, capture_output=True, text=True, check=True)
    return np.array(found.stdout.split()[:2], dtype=float)
