"""The networks of the notebooks against the paper's formulas and published numbers."""

import inspect

import numpy as np
import pytest
import sympy

import chemnb as cn
from chemnb import models


def test_the_single_progenitor_model_is_fig_2a():
    net = models.single_progenitor()
    assert net.stoichiometry.tolist() == [[1, 0, -1, 0], [0, 1, 2, -1]]
    assert net.parameters == {"r1": 0.0836, "lam": 1.1, "r2": 0.0764, "Gamma": 0.31}
    # the three divisions share the rate lambda
    assert net.rate_constants()[:3].sum() == pytest.approx(1.1)
    assert models.single_progenitor(r1=0.1).parameters["r1"] == 0.1
    # dn_A/dt = (r1 - r2) lambda n_A
    growth = cn.integrate(cn.moment_equations(net), {"A": 10}, [20]).sel(moment="A").item()
    assert growth == pytest.approx(10 * np.exp((0.0836 - 0.0764) * 1.1 * 20), rel=1e-7)


def test_the_candidate_is_the_network_of_eq_12():
    net = models.single_progenitor_candidate()
    assert [r.equation for r in net.reactions] == [
        "A -> 2 A", "A -> A + B", "A -> 2 B", "B -> 0", "A -> 0", "A -> B",
    ]  # fmt: skip
    assert set(net.free_parameters) == {"r1", "r2", "lam", "Gamma", "k1", "k2"}
    truth = net.with_parameters(k1=0, k2=0, r1=0.0836, r2=0.0764, lam=1.1, Gamma=0.31)
    assert truth - "A -> 0" - "A -> B" == models.single_progenitor()


def test_dimerisation_does_not_close():
    net = models.dimerisation(k1=1.0, k2=0.5, volume=20)
    assert net.volume == 20 and net.parameters == {"k1": 1.0, "k2": 0.5}
    assert not cn.moment_equations(net).closed
    # equilibrium of the rate equations: k1 c_A^2/2 = k2 c_B
    a, b = cn.integrate(net, {"A": 1.0}, [1e3]).values[0]
    assert a**2 / 2 == pytest.approx(0.5 * b, rel=1e-6) and a + 2 * b == pytest.approx(1)


def test_lotka_volterra_has_its_published_equations():
    net = models.lotka_volterra()
    equations = cn.mass_action(net)
    X, Y = equations.symbols.values()
    a, b, c = sympy.symbols("birth predation death")
    assert sympy.expand(equations.equations["X"] - (a * X - b * X * Y)) == 0
    assert sympy.expand(equations.equations["Y"] - (b * X * Y - c * Y)) == 0
    assert np.allclose(cn.integrate(net, [100, 100], [5]), 100)  # the fixed point
    # V = c x - d ln x + b y - a ln y stays
    path = cn.integrate(net, [50, 80], np.linspace(0, 20, 50)).values
    v = 0.01 * path.sum(axis=1) - np.log(path).sum(axis=1)
    assert np.ptp(v) < 1e-5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: models.single_progenitor(gamma=1), "'gamma' is in no rate; did you mean 'Gamma'"),
        (lambda: models.single_progenitor(r1=0.95), "line 3 .* is -0.02904; a rate constant is ze"),
        (lambda: models.dimerisation(k1=-1), "line 1 .*: the rate constant 'k1' is -1"),
        (lambda: models.dimerisation(volume=0), "volume=0 must be a number above zero"),
        (lambda: models.lotka_volterra(death=float("inf")), "death=inf is not finite"),
    ],
)
def test_bad_parameters_are_explained(make, message):
    with pytest.raises(cn.NetworkError, match=message):
        make()


@pytest.mark.parametrize("name", [n for n, _ in inspect.getmembers(models, inspect.isfunction)])
def test_every_model_can_be_sampled(name):
    net = getattr(models, name)()
    net = net.with_parameters({free: 0.1 for free in net.free_parameters})
    data = cn.sample(net, [5] * len(net.species), [0, 0.5], 10, seed=1)
    assert np.all(data.mean().values[0] == 5) and isinstance(net._repr_html_(), str)
