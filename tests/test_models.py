"""The networks of the notebooks against the paper's formulas and published numbers."""

import inspect
import re

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


def test_gene_feedback_is_eq_15():
    net = models.gene_feedback()
    equations = cn.mass_action(net).equations
    P, M, G, GP, GP2 = cn.mass_action(net).symbols.values()
    k0, k_s, k_dm, k1, k_m1, k2, k_m2 = sympy.symbols("k0 k_s k_dm k1 k_m1 k2 k_m2")
    one, two = k1 * G * P - k_m1 * GP, k2 * P * GP - k_m2 * GP2
    eq15 = [k_s * M - one - two, k0 * G + k0 * GP - k_dm * M, -one, one - two, two]
    for found, known in zip(equations.values(), eq15, strict=True):
        assert sympy.expand(found - known) == 0
    assert list(net.parameters.values()) == [0.05, 0.01, 0.01, 3.0, 2.4, 9.0, 6.0]


def test_enzymes_have_the_constants_that_they_name():
    def ratio(net, text):
        return sympy.sympify(text).subs(net.parameters)

    assert ratio(models.michaelis_menten(), "(k_m1 + k2)/k1") == pytest.approx(0.2)
    inhibited = models.competitive_inhibition()
    assert ratio(inhibited, "(k_m1 + k2)/k1") == pytest.approx(0.4)
    assert ratio(inhibited, "k_m3/k3") == pytest.approx(0.5)
    two_sites = models.cooperative_binding()
    assert ratio(two_sites, "(k_m1 + k2)/k1") == pytest.approx(2)
    assert ratio(two_sites, "(k_m3 + k4)/k3") == pytest.approx(0.1)
    switch = models.goldbeter_koshland()
    assert ratio(switch, "(d1 + k1)/a1") == ratio(switch, "(d2 + k2)/a2") == pytest.approx(0.1)


def test_goldbeter_koshland_rests_where_its_paper_says():
    # v1 W/(K + W) = v2 Ws/(K + Ws) with W + Ws = 1, for enzymes that hold next to nothing
    ratio, k = 1.05, 0.1
    start = {"W": 1, "E1": ratio * 1e-4, "E2": 1e-4}
    end = cn.integrate(models.goldbeter_koshland(), start, [5e5]).isel(time=0)
    w, ws = end.sel(species="W").item(), end.sel(species="Ws").item()
    assert ratio * w / (k + w) == pytest.approx(ws / (k + ws), rel=2e-3)
    assert w + ws == pytest.approx(1, abs=1e-3) and ws > 0.5


def test_dimer_toggle_remembers():
    net = models.dimer_toggle()
    for one, other in ("AB", "BA"):
        start = {one: 3, other: 1, "GA": 0.01, "GB": 0.01}
        end = cn.integrate(net, start, [60]).isel(time=0).to_series()
        assert end[one] > 10 * end[other]
        assert end[one + "2"] == pytest.approx(end[one] ** 2 / 50, rel=0.02)  # K = 50


def test_robertson_ends_where_the_test_sets_say():
    end = cn.integrate(models.robertson(), {"A": 1}, [40], rtol=1e-10, atol=1e-14).values[0]
    assert end == pytest.approx([0.7158270688, 9.185534765e-6, 0.2841637457], rel=1e-7)


def test_oregonator_is_the_scaled_one_of_the_test_sets():
    # Hairer and Wanner: time in 0.161 s, X, Y, Z in 5.025e-11, 3e-7, 2.412e-8 mol/l
    system, weights = cn.mass_action(models.oregonator()).polynomial_system()
    theta = weights @ models.oregonator().rate_constants()
    unit = np.array([5.025e-5, 0.3, 2.412e-2])
    for x, y, z in ([2.0, 1.2, 3.0], [4e4, 3.0, 2e4], [1.01, 500.0, 90.0]):
        known = [
            77.27 * (y + x * (1 - 8.375e-6 * x - y)),
            (z - (1 + x) * y) / 77.27,
            0.161 * (x - z),
        ]
        found = system.rhs(unit * [x, y, z], theta) * 0.161 / unit
        assert np.allclose(found, known, rtol=3e-3, atol=1e-3)


def test_oregonator_oscillates():
    times = np.linspace(0, 150, 1501)
    path = cn.integrate(models.oregonator(), {"X": 5e-5, "Y": 0.6, "Z": 0.07}, times)
    z = path.sel(species="Z").values
    peaks = np.flatnonzero((z[1:-1] > z[:-2]) & (z[1:-1] > z[2:]) & (z[1:-1] > 100))
    assert len(peaks) == 4 and np.ptp(np.diff(times[peaks])) < 0.3
    assert np.diff(times[peaks]).mean() == pytest.approx(48.7, abs=0.2)


@pytest.mark.parametrize(
    "name",
    [
        "michaelis_menten", "competitive_inhibition", "cooperative_binding", "goldbeter_koshland",
        "dimer_toggle", "lindemann_hinshelwood", "robertson", "oregonator",
    ],
)  # fmt: skip
def test_networks_name_their_source_and_a_start(name):
    said = " ".join(inspect.getdoc(getattr(models, name)).split())
    assert "doi:10." in said and "sual start" in said and "to t = " in said
    # what the start names are species of the network
    start = re.search(r"sual start (.+?), to t = ", said)[1]
    names = re.findall(r"(\w+) =", start)
    assert names and set(names) <= set(getattr(models, name)().species)


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
