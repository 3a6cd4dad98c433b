"""Where Numba and torch are absent: the same numbers, bit for bit, from NumPy and plain Python."""

import os
import subprocess
import sys
import tomllib

import numpy as np
import pytest

import chemnb as cn
from chemnb._kernels.slow_scale import stationary
from tests.commands.environment import ROOT

HIDDEN = ("numba", "llvmlite", "torch", "torchdiffeq")
CLONES = cn.models.single_progenitor()
LAWS = cn.ReactionNetwork("""
    0 -> P ; law: 5*exp(-P/20)/(1 + (P/9)**2.5) + min(P, 3)*sin(P)**2
    P -> 0 ; law: P*tanh(P/4) + sqrt(P)*log(1 + P) + piecewise(P, P > 1, 2)
""")
TIMED = cn.ReactionNetwork("0 -> P ; law: 5*(1 + cos(2*t))*exp(-t/9) \n P -> 0 ; 1")
LARGE = cn.ReactionNetwork("0 <-> A ; 2000, 1 \n 2 A -> B ; 0.001 \n B -> 0 ; 1")
ENZYME = cn.ReactionNetwork("S + E <-> C ; 1, 50 \n C -> E + P ; 0.1")
QUIET = {"seed": 1, "progress": False}


def paths(network, start, runs=40, **options):
    return cn.sample(network, start, [0, 0.5, 4], runs, **options, **QUIET).paths.values


def moments(network, start, runs):
    data = cn.sample(network, start, [0, 1, 4], runs, histograms=[4], **QUIET)
    return np.concatenate([data.moments().values.ravel(), data.histogram(4).values.ravel()])


def leaps(sampler):
    return sampler(LARGE, {"A": 2000}, [0, 0.3, 0.5], 10, **QUIET).paths.values


def passage(network, start, stop):
    found = cn.first_passage(network, start, stop, 9, 40, **QUIET)
    return np.concatenate([found.time.values, found.state.values.ravel()])


def projected():
    law = cn.finite_state_projection(CLONES, {"A": 6}, [1.0, 6.0], sensitivities=["r1"])
    return np.concatenate([law.at(6).values.ravel(), law.sensitivity("r1").values.ravel()])


CASES = {
    "direct": lambda: paths(CLONES, {"A": 9}, 2000),
    "moments": lambda: moments(CLONES, {"A": 9}, 3000),
    "two molecules": lambda: paths(LARGE, {"A": 30, "B": 2}, 100),
    "stopped": lambda: paths(CLONES, {"A": 3}, stop="A == 0 or B > 9"),
    "first-reaction": lambda: paths(CLONES, {"A": 9}, method="first-reaction"),
    "next-reaction": lambda: paths(CLONES, {"A": 9}, method="next-reaction"),
    "tree": lambda: paths(CLONES, {"A": 9}, method="tree"),
    "rate laws": lambda: paths(LAWS, {"P": 3}, 80),
    "time-dependent": lambda: paths(TIMED, {"P": 3}),
    "tau-leaping": lambda: leaps(cn.sample_tau_leap),
    "Langevin": lambda: leaps(cn.sample_langevin),
    "first passage": lambda: passage(CLONES, {"A": 2}, "A == 0"),
    "events": lambda: cn.record_events(CLONES, {"A": 9}, 3, seed=4)[0].time.values,
    "slow scale": lambda: cn.sample_slow(
        ENZYME, {"S": 20, "E": 5}, [0, 5, 50], 30, fast_reactions=["S + E <-> C"], **QUIET
    ).mean(),
    "projection": projected,
    "elimination": lambda: stationary(np.random.default_rng(1).random((40, 40))),
}  # fmt: skip


def hidden(*words, **options):
    """Run this file's ``main`` in a Python that finds neither Numba nor torch."""
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({HIDDEN}));"
        "from tests.test_without_numba import main; main(*sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)


def main(target):
    np.savez(target, **{name: np.asarray(case()) for name, case in CASES.items()})


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    target = tmp_path_factory.mktemp("without") / "found.npz"
    done = hidden(target, env=os.environ | {"PYTHONWARNINGS": "error::RuntimeWarning"})
    assert done.returncode == 0, done.stderr
    return np.load(target)


@pytest.mark.parametrize("name", CASES)
def test_it_gives_the_same_bits(without, name):
    expected = np.asarray(CASES[name]())
    assert expected.size > 4 and np.isfinite(expected).any()
    assert np.array_equal(without[name], expected, equal_nan=True)


def test_what_is_unusual_is_told_as_with_numba():
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({HIDDEN}));"
        "import chemnb as cn;"
        "cn.sample(cn.ReactionNetwork('A -> 2 A ; 9'), [1], [1, 50], 300, seed=1, max_events=2000)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert "SimulationError: run 0 passed 2,000 reactions, lately 'A -> 2 A'" in done.stderr


def test_browsers_are_not_asked_for_numba():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (line,) = [line for line in project["dependencies"] if line.startswith("numba")]
    assert line.endswith("; sys_platform != 'emscripten'")
