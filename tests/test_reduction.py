"""Model reduction: the paper's equations and textbook forms in symbols, orders of error, laws."""

import matplotlib
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import chemnb as cn
from chemnb.networks.slow_coordinates import inner_laws
from chemnb.reduction.manifold import Implicit
from chemnb.reduction.steady_state import FastEquations
from tests.reduction_cases import (
    GENE,
    GENE_FAST,
    GENE_START,
    SEVEN,
    Names,
    eq17,
    eq18,
    equals_the_paper,
    is_right,
    same,
)
from tests.studies.reduction import eq18_deviation, plain_error, total_error

s = Names()
ENZYME = cn.models.michaelis_menten()
LATE = np.arange(5.0, 1001.0)


def largest(deviation, since=0.0):
    return np.abs(deviation.sel(time=slice(since, None))).max("time").values


# --- in symbols ----------------------------------------------------------------------------------


def test_eqs_17_and_18():
    assert equals_the_paper()
    model = cn.reduce(GENE, GENE_FAST, "species")
    for name, g in eq17(s).items():
        assert same(model.manifold[name], g)
    for name, rate in eq18(s).items():
        assert same(model.equations[name], rate)
    wrong = eq18(s)["M"] * (1 + s.P)
    assert not same(model.equations["M"], wrong)


@pytest.mark.parametrize("name", SEVEN)
def test_known_form(name):
    assert is_right(SEVEN[name])


def test_known_forms_hold_with_free_rate_constants():
    free = cn.ReactionNetwork("S + E <-> C ; k1, k_m1 \n C -> E + P ; k2")
    model = cn.reduce(free, ["E", "C"], "species")
    assert same(model.equations["P"], SEVEN["michaelis_menten"].rates(s)["P"])
    with pytest.raises(cn.NetworkError, match="'k1', 'k_m1', 'k2' has no value"):
        model.integrate({"S": 1, "E": 1}, [0, 1])


def test_total_coordinates_have_the_prefactor():
    model = cn.reduce(GENE, GENE_FAST)
    assert list(model.coordinates.index) == ["P + GP + 2 GP2", "M"]
    g = eq17(s)
    prefactor = 1 + sympy.diff(g["GP"] + 2 * g["GP2"], s.P)
    assert same(model.equations["P"], s.k_s * s.M / prefactor)
    assert same(model.equations["M"], eq18(s)["M"])


def test_total_reduction_is_the_closed_form_in_total_substrate():
    # Borghans, de Boer and Segel: C is the smaller root of C² - (E_T + K + S_T) C + E_T S_T
    model = cn.reduce(ENZYME, ["E", "C"])
    k, total = (s.k_m1 + s.k2) / s.k1, s.S + model.manifold["C"]
    c = sympy.Symbol("c")
    quadratic = c**2 - (s.E_T + k + total) * c + s.E_T * total
    assert same(quadratic.subs(c, model.manifold["C"]), 0)
    times = np.linspace(0, 60, 61)
    found = model.integrate({"S": 1, "E": 1}, times)
    S_T = (found.sel(species="S") + found.sel(species="C")).values
    root = (2.2 - (1 - S_T) - np.sqrt((2.2 - (1 - S_T)) ** 2 - 4 * S_T)) / 2
    assert np.allclose(found.sel(species="C"), root, rtol=1e-9)


def test_partial_equilibrium():
    enzyme = cn.reduce(ENZYME, ["E", "C"], method="partial equilibrium")
    assert same(enzyme.manifold["C"], s.E_T * s.S / (s.k_m1 / s.k1 + s.S))
    gene = cn.reduce(GENE, GENE_FAST, "species", "partial equilibrium")
    assert all(same(gene.manifold[name], g) for name, g in eq17(s).items())
    robertson = cn.reduce(cn.models.robertson(), ["B"], method="partial equilibrium")
    assert same(robertson.manifold["B"], s.k1 * s.A / (s.k3 * s.C))
    with pytest.raises(cn.ReductionError, match="no point of the slow manifold"):
        robertson.project({"A": 1})  # nothing balances A -> B where C is absent
    assert robertson.project({"A": 1, "C": 0.1}).sel(species="B") < 1e-4


def test_numbers_in_the_reactions_stay_exact():
    network = cn.ReactionNetwork("S + E <-> C ; 10, 1.9 \n C -> E + P ; 0.1")
    model = cn.reduce(network, ["E", "C"], "species")
    assert same(model.equations["P"], s.E_T * s.S / (2 + 10 * s.S))


def test_first_order_correction_by_hand():
    # linear: slow eigenvector of A <-> B, A -> 0, to first order in delta/(k + h)
    network = cn.ReactionNetwork("A <-> B ; k, h \n A -> 0 ; delta", k=80.0, h=20.0, delta=1.0)
    order0 = cn.reduce(network, ["B"])
    order1 = cn.reduce(network, ["B"], order=1)
    assert same(order0.manifold["B"], s.k * s.A / s.h)
    slope = np.array(
        [order.manifold["B"].subs({"k": 80, "h": 20, "delta": 1}) / s.A for order in ()]
    )
    values, vectors = np.linalg.eig([[-81, 20], [80, -20]])
    true = vectors[1, np.argmax(values)] / vectors[0, np.argmax(values)]
    slope = [order.project({"A": 1.0, "B": 4.0}).values for order in (order0, order1)]
    errors = [abs(b / a / true - 1) for a, b in slope]
    assert errors[0] == pytest.approx(1e-2, rel=0.1) and errors[1] < 2 * errors[0] ** 2


def test_first_order_correction_of_the_gene_network():
    at_5 = cn.integrate(GENE, GENE_START, [5], rtol=1e-12, atol=1e-15).isel(time=0)
    plain, better = (cn.reduce(GENE, GENE_FAST, order=order) for order in (0, 1))
    deviation = [
        [
            model.project(at_5).sel(species=n).item() / at_5.sel(species=n).item() - 1
            for n in GENE_FAST
        ]
        for model in (plain, better)
    ]
    assert np.allclose(deviation[0], [-0.030, 0.060, 0.110], atol=0.003)
    assert np.all(np.abs(deviation[1]) < 0.1 * np.abs(deviation[0]))
    assert "First-order correction" in " ".join(better.assumptions)


# --- roots ---------------------------------------------------------------------------------------


def test_of_two_roots_the_nonnegative_one_is_taken():
    model = cn.reduce(cn.models.robertson(), ["B"])
    assert any("Of 2 roots the only one" in sentence for sentence in model.assumptions)
    value = model.project({"A": 0.9, "C": 0.1}).sel(species="B").item()
    b = np.roots([3e7, 1e3, -0.04 * (0.9 - value)]).max()
    assert value == pytest.approx(b, rel=1e-9)


def test_bound_inhibitor_gives_a_square_root():
    network, start = cn.models.competitive_inhibition(), {"S": 1, "I": 0.02, "E": 0.02}
    model = cn.reduce(network, ["E", "ES", "EI", "I"])
    assert model.fast == ("E", "ES", "I", "EI") and list(model.totals) == ["E_T", "I_T"]
    assert any(
        abs(power.exp) == sympy.Rational(1, 2) for power in model.manifold["I"].atoms(sympy.Pow)
    )
    point = model.project(start).to_series()
    assert point["E"] + point["ES"] + point["EI"] == pytest.approx(0.02, rel=1e-9)
    assert point["I"] + point["EI"] == pytest.approx(0.02, rel=1e-9)
    assert point["I"] * point["E"] / point["EI"] == pytest.approx(0.5, rel=1e-9)  # K_I
    assert (point >= 0).all()
    assert largest(model.compare(start, np.linspace(0, 30, 61)), since=1)[3] < 3


TRIMER = cn.ReactionNetwork(
    "3 A <-> A3 ; 6*k, h \n A3 -> A3 + P ; g \n P -> 0 ; d", k=400.0, h=100.0, g=1.0, d=1.0
)


def test_without_closed_form_it_is_solved_numerically_and_says_so():
    model = cn.reduce(TRIMER, ["A", "A3"])
    assert model.manifold is None
    assert any("No closed form" in sentence for sentence in model.assumptions)
    point = model.project({"A": 1.0}).to_series()
    a = np.roots([3 * 4, 0, 1, -1.0])
    a = a[np.abs(a.imag) < 1e-12].real.item()
    assert point["A"] == pytest.approx(a, rel=1e-10) and point["A3"] == pytest.approx(4 * a**3)
    times = np.linspace(0, 5, 26)
    assert largest(model.compare({"A": 1.0}, times), since=0.2).max() < 1
    assert r"\text{solved numerically}" in model.to_latex()
    with pytest.raises(cn.ReductionError, match="no closed form; integrate"):
        _ = model.equations
    with pytest.raises(cn.ReductionError, match="order=1 needs a slow manifold in closed form"):
        cn.reduce(TRIMER, ["A", "A3"], order=1)


# X has two stable states; which one depends on where it comes from. S fades and shifts both.
SWITCH = cn.ReactionNetwork(
    "S -> S + X ; a \n 2 X -> 3 X ; 2*b \n 3 X -> 2 X ; 6*c \n X -> 0 ; d \n S -> 0 ; e",
    a=1000.0, b=6000.0, c=1000.0, d=9000.0, e=0.1,
)  # fmt: skip


@pytest.mark.parametrize(("x", "wanted"), [(0.0, 0.12), (5.0, 3.53)])
def test_of_several_stable_states_the_reached_one_is_followed(x, wanted):
    start = {"S": 1.0, "X": x}
    model = cn.reduce(SWITCH, ["X"], "species", initial=start, times=np.linspace(0, 3, 31))
    assert model.manifold is None
    roots = np.roots([-1000, 6000, -9000, 1000])
    assert np.all(np.isreal(roots)) and np.all(roots > 0)
    found = model.project(start).sel(species="X").item()
    assert np.abs(roots - found).min() < 1e-8 and found == pytest.approx(wanted, abs=0.01)
    assert largest(model.compare(start, np.linspace(0, 3, 31)), since=0.1).max() < 0.5


def test_numerical_and_closed_manifolds_agree():
    laws = inner_laws(GENE, GENE_FAST)[list(GENE_FAST)]
    numerical = Implicit(GENE, GENE_FAST, GENE.stoichiometry[2:], laws)
    times = np.linspace(0, 1000, 21)
    for coordinates in ("total", "species"):
        found = cn.ReducedModel(GENE, numerical, coordinates).integrate(GENE_START, times)
        known = cn.reduce(GENE, GENE_FAST, coordinates).integrate(GENE_START, times)
        assert np.allclose(found, known, rtol=1e-6, atol=1e-12)


# --- numbers -------------------------------------------------------------------------------------


def test_errors_of_the_gene_network():
    # Eq. 18, started at t = 5 on the solution of Eq. 15
    errors = np.abs(eq18_deviation()).max("time").values
    assert errors == pytest.approx([2.55, 0.79, 4.5, 6.2, 11.6], abs=0.06)
    total = cn.reduce(GENE, GENE_FAST)
    deviation = total.compare(GENE_START, LATE)
    assert largest(deviation) == pytest.approx([0.344, 0.0047, 3.04, 6.02, 11.0], rel=0.02)
    assert largest(deviation, since=20)[0] < 0.035
    corrected = largest(cn.reduce(GENE, GENE_FAST, order=1).compare(GENE_START, LATE))
    assert np.all(corrected[2:] < 0.1 * largest(deviation)[2:])


def test_total_reduction_of_an_enzyme_that_is_not_scarce():
    assert plain_error() > 0.25 and plain_error() / total_error() > 20


@pytest.mark.parametrize(("order", "slope"), [(0, 1), (1, 2)])
def test_the_error_falls_with_its_order(order, slope):
    # slower release of the product: the fast species follow more closely
    errors = []
    for k in (0.2, 0.05, 0.0125):
        network = cn.models.michaelis_menten(k1=100.0, k_m1=20.0, k2=k)
        model = cn.reduce(network, ["E", "C"], order=order)
        times = np.linspace(0, 0.5 / k, 21)[4:]
        # start after the initial layer
        layer = cn.integrate(network, {"S": 1, "E": 1}, [1.0], rtol=1e-12, atol=1e-14).isel(time=0)
        errors.append(np.abs(model.compare(layer, times).sel(species="C")).max().item())
    found = np.diff(np.log(errors)) / np.log(1 / 4)
    assert np.all(found > slope - 0.25) and np.all(found < slope + 0.45)


@pytest.mark.parametrize(
    "name", ["gene", "michaelis_menten", "competitive_inhibition", "dimer_toggle"]
)
@pytest.mark.parametrize("coordinate", ["total", "species"])
def test_the_error_is_predicted(name, coordinate):
    if name == "gene":
        network, start, fast, times = GENE, GENE_START, GENE_FAST, LATE
    else:
        case = SEVEN[name]
        network, start, fast, times = case.network, case.start, case.fast, case.times[20:]
    model = cn.reduce(network, fast, coordinate)
    predicted = largest(model.predicted_error(start, times))
    true = largest(model.compare(start, times))
    # the initial layer is not in the prediction; it moves totals by less than 1 %
    assert np.all(np.abs(predicted - true) < 0.15 * true + 0.6)
    assert model.predicted_error(start, times).attrs["units"] == "%"


def test_projection_keeps_totals_and_laws():
    model = cn.reduce(GENE, GENE_FAST)
    point = model.project(GENE_START)
    start = np.array([GENE_START.get(name, 0.0) for name in GENE.species])
    laws = np.vstack([model.coordinates, GENE.conservation_laws()])
    assert np.allclose(laws @ point.values, laws @ start, rtol=1e-12)
    assert point.sel(species="P") == pytest.approx(0.0289, abs=1e-4)
    assert np.allclose(model.project(point), point, rtol=1e-10)
    # the slow species alone: P stays at zero
    alone = cn.reduce(GENE, GENE_FAST, "species").project(GENE_START)
    assert alone.values == pytest.approx([0, 5, 0.03, 0, 0])


def test_a_learned_manifold_runs_in_all_three_forms():
    P = sympy.Symbol("P")
    omega = 0.54 + 0.66 * P + P**2
    learned = {"G": 0.0163 / omega, "GP": 0.02 * P / omega, "GP2": 0.03 * P**2 / omega}
    kept = cn.ReducedModel(GENE, learned, "species")
    total = cn.ReducedModel(GENE, learned)
    dropped = cn.ReducedModel(GENE, learned, prefactor=False)
    at_5 = cn.integrate(GENE, GENE_START, [5], rtol=1e-10, atol=1e-13).isel(time=0)
    error = {
        name: largest(model.compare(at_5, np.arange(996.0)))[0]
        for name, model in (("kept", kept), ("total", total), ("dropped", dropped))
    }
    # the four underlined terms of Eq. 16 do not cancel for learned coefficients
    assert error["kept"] == pytest.approx(2.47, abs=0.02) and error["total"] < 0.35
    assert error["dropped"] == pytest.approx(2.55, abs=0.05)
    m, k1, k_m1, k2, k_m2 = sympy.symbols("M k1 k_m1 k2 k_m2")
    underlined = (k_m1 * learned["GP"] - k1 * P * learned["G"]) + (
        k_m2 * learned["GP2"] - k2 * P * learned["GP"]
    )
    point = {"P": 0.7, "M": 2.0} | {n: v for n, v in GENE.parameters.items()}
    found = [
        float(sympy.sympify(e).subs({x: point[x.name] for x in sympy.sympify(e).free_symbols}))
        for e in (kept.equations["P"], dropped.equations["P"], underlined)
    ]
    assert found[0] - found[1] == pytest.approx(found[2], rel=1e-10) and abs(found[2]) > 1e-4
    assert found[1] == pytest.approx(0.02)
    assert m not in underlined.free_symbols


def test_coordinates_can_be_given():
    case = SEVEN["michaelis_menten"]
    scales = cn.time_scales(case.network, case.start, case.times)
    manifold = cn.reduce(case.network, case.fast).manifold
    for rows in (scales.slow_coordinates, [{"S": 1, "C": 1}, {"P": 1}]):
        model = cn.ReducedModel(case.network, manifold, rows)
        assert list(model.coordinates.index) == ["S + C", "P"]
    # C + P belongs to the complex that goes on, S + C to the one that falls apart
    other = cn.ReducedModel(case.network, manifold, [{"S": 1}, {"C": 1, "P": 1}])
    assert other.project(case.start).sel(species="S") == 1


def test_fast_species_come_from_a_run():
    case = SEVEN["goldbeter_koshland"]
    model = cn.reduce(case.network, initial=case.start, times=case.times)
    assert set(model.fast) == set(case.fast)
    assert list(model.coordinates.index) == ["W + C1", "Ws + C2"]
    assert "times as fast as the rest" in model.assumptions[-1]
    scales = cn.time_scales(case.network, case.start, case.times)
    again = cn.reduce(case.network, scales)
    assert again.fast == model.fast and "Not checked" in again.assumptions[-1]


def test_totals_follow_what_the_complex_does():
    # nearly every complex goes on to the product, and the run says so
    network = cn.models.michaelis_menten(k_m1=0.01, k2=10.0)
    start, times = {"S": 0.2, "E": 0.2}, np.linspace(0, 10, 101)
    run = cn.reduce(network, ["C"], initial=start, times=times)
    assert list(run.coordinates.index) == ["S", "E + C", "C + P"]
    assert list(cn.reduce(network, ["C"]).coordinates.index) == ["S + C", "E + C", "P"]


def test_speed_ratios_are_those_of_the_eigenvalues():
    model = cn.reduce(GENE, GENE_FAST)
    times = np.array([100.0, 500.0, 1000.0])
    scales = cn.time_scales(GENE, GENE_START, times)
    rates = np.abs(scales.eigenvalues.values)
    assert np.allclose(model.speed_ratios(GENE_START, times), rates[:, 1] / rates[:, 2], rtol=0.02)


# --- laws ----------------------------------------------------------------------------------------

amounts = st.floats(0.0, 3.0).map(lambda x: round(x, 3))
constants = st.floats(-1.0, 1.0).map(lambda x: round(10**x, 4))


@settings(max_examples=25, deadline=None)
@given(k=st.lists(constants, min_size=3, max_size=3), c=st.lists(amounts, min_size=4, max_size=4))
def test_total_reduction_keeps_laws_and_nonnegativity(k, c):
    network = cn.models.michaelis_menten(k1=10 * k[0], k_m1=10 * k[1], k2=k[2])
    model = cn.ReducedModel(network, cn.reduce(network, ["E", "C"]).manifold)
    path = model.integrate(c, np.linspace(0, 5, 11))
    laws = network.conservation_laws().to_numpy()
    assert np.allclose(path.values @ laws.T, laws @ c, rtol=1e-6, atol=1e-9)
    assert path.min() >= -1e-9


@settings(max_examples=15, deadline=None)
@given(
    k=st.lists(constants, min_size=4, max_size=4),
    c=st.lists(amounts, min_size=5, max_size=5),
    coordinate=st.sampled_from(["total", "species"]),
)
def test_gene_reduction_keeps_laws_and_nonnegativity(k, c, coordinate):
    rates = dict(zip(("k1", "k_m1", "k2", "k_m2"), k, strict=True))
    network = cn.models.gene_feedback(**rates)
    model = cn.reduce(network, GENE_FAST, coordinate)
    path = model.integrate(c, np.linspace(0, 100, 6))
    assert np.allclose(path.sel(species=list(GENE_FAST)).sum("species"), sum(c[2:]), atol=1e-9)
    assert path.min() >= -1e-9


@settings(max_examples=15, deadline=None)
@given(c=st.lists(amounts, min_size=4, max_size=4))
def test_numerical_manifolds_keep_laws_and_nonnegativity(c):
    laws = inner_laws(ENZYME, ["E", "C"])[["E", "C"]]
    model = cn.ReducedModel(ENZYME, Implicit(ENZYME, ["E", "C"], ENZYME.stoichiometry[1:3], laws))
    path = model.integrate(c, np.linspace(0, 20, 5))
    laws = ENZYME.conservation_laws().to_numpy()
    assert np.allclose(path.values @ laws.T, laws @ c, rtol=1e-6, atol=1e-9)
    assert path.min() >= -1e-9


def test_what_is_not_conserved_is_said():
    P = sympy.Symbol("P")
    learned = {"G": 0.029 / (1 + P), "GP": 0.01 * P / (1 + P), "GP2": 0.02 * P / (1 + P)}
    loose = cn.ReducedModel(GENE, learned)
    assert "The network conserves 'G + GP + GP2', this model does not." in loose.assumptions
    tight = cn.ReducedModel(GENE, learned | {"G": 0.03 / (1 + P)})
    assert not any("does not" in sentence for sentence in tight.assumptions)
    plain = cn.reduce(ENZYME, ["E", "C"], "species")
    assert "The network conserves 'S + C + P', this model does not." in plain.assumptions
    total = cn.reduce(ENZYME, ["E", "C"])
    assert not any("does not" in sentence for sentence in total.assumptions)


# --- display -------------------------------------------------------------------------------------


def test_latex_is_eq_18():
    tex = cn.reduce(GENE, GENE_FAST, "species").to_latex()
    assert r"\frac{d}{dt} c_{P} &= k_{s} c_{M}" in tex
    assert r"c_{\mathrm{GP2}} &= \frac{k_{1} k_{2} c_{G,T} c_{P}^{2}}" in tex
    total = cn.reduce(GENE, GENE_FAST)
    assert (
        r"\left(c_{P} + c_{\mathrm{GP}} + 2 c_{\mathrm{GP2}}\right) &= k_{s} c_{M}"
        in total.to_latex()
    )
    assert total._repr_latex_().startswith(r"$\displaystyle \begin{aligned}")
    assert repr(total) == (
        "ReducedModel(fast: G, GP, GP2; slow: P, M; coordinates: P + GP + 2 GP2, M)"
    )


def test_drawings_show_the_data():
    matplotlib.use("Agg")
    model, times = cn.reduce(GENE, GENE_FAST), np.linspace(0, 1000, 11)
    found, deviation = model.integrate(GENE_START, times), model.compare(GENE_START, times)
    axes = cn.plots.concentrations(found, found, names=["P", "M"])
    assert np.array_equal(axes.lines[0].get_ydata(), found.sel(species="P"))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["P", "M", "full network"]
    axes = cn.plots.deviations({"total": deviation}, "P")
    drawn = axes.lines[0].get_ydata()[1:]
    assert np.allclose(drawn, np.abs(deviation.sel(species="P"))[1:]) and axes.get_yscale() == "log"
    matplotlib.pyplot.close("all")


def test_table_3_measures_its_errors_from_rounded_numbers():
    table = cn.paper.table3()
    given = table[table["error %"].notna() & (table["QSSA"] > 0)]
    errors = 100 * (given["ODENet"] / given["QSSA"] - 1).abs()
    assert np.allclose(errors, given["error %"], atol=0.005)
    # the exact row: beta = (8/15, 2/3, 1), alpha = 0.03 beta
    exact = {"b1": 8 / 15, "b2": 2 / 3, "b3": 1.0, "a11": 0.016, "a22": 0.02, "a33": 0.03}
    rounded = [table.loc[name, "QSSA"] - value for name, value in exact.items()]
    assert np.abs(rounded).max() < 0.005 and table.loc["a33", "ODENet"] == 0.03


def test_long_formulas_are_not_shown():
    case = SEVEN["cooperative_binding"]
    model = cn.reduce(case.network, case.fast, order=1)
    assert "operations}" in model.to_latex() and len(model.to_latex()) < 1000


def test_assumptions_are_sentences():
    model = cn.reduce(GENE, GENE_FAST, initial=GENE_START, times=range(0, 1001, 10))
    assert all(sentence.endswith(".") for sentence in model.assumptions)
    said = " ".join(model.assumptions)
    for part in ("rates of 'G', 'GP', 'GP2' are zero", "G_T = G + GP + GP2", "at least"):
        assert part in said


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fast", "options", "message"),
    [
        (None, {}, "which species are fast? Name them, fast=\\['C'\\], or give initial"),
        ([], {}, "no fast species; name some"),
        (["X"], {}, "'X' is not a species of this network"),
        (["Gp"], {}, "'Gp' is not a species of this network; did you mean 'G'"),
        ("G", {}, "fast='G' is a text; give a list of species, \\['G'\\]"),
        (["G", "G"], {}, "named twice"),
        (["P", "M", "G", "GP", "GP2"], {}, "all species are fast, so nothing is left to move"),
        (
            GENE_FAST,
            {"coordinate": "totals"},
            "coordinate='totals' is unknown; did you mean 'total'",
        ),
        (GENE_FAST, {"method": "qssa"}, "method='qssa' is unknown"),
        (GENE_FAST, {"order": 2}, "order=2; give 0, or 1"),
    ],
)
def test_bad_input_is_explained(fast, options, message):
    with pytest.raises(cn.ReductionError, match=message.replace("?", r"\?")):
        cn.reduce(GENE, fast, **options)


@pytest.mark.parametrize("fast", [["M"], ["GP2"], ["P"], ["G"]])
def test_a_set_that_is_not_fast_is_refused(fast):
    with pytest.raises(cn.ReductionError, match=f"'{fast[0]}' are not fast on this run"):
        cn.reduce(GENE, fast, "species", initial=GENE_START, times=np.arange(0.0, 1001, 10))


def test_no_gap_is_an_error():
    with pytest.raises(cn.ReductionError, match="no fast species: there is no gap"):
        cn.reduce(cn.models.lotka_volterra(), initial=[50, 80], times=np.linspace(0, 20, 101))
    scales = cn.time_scales(cn.models.lotka_volterra(), [50, 80], np.linspace(0, 20, 101))
    with pytest.raises(cn.ReductionError, match="no fast species: No gap"):
        cn.reduce(cn.models.lotka_volterra(), scales)


@pytest.mark.parametrize(
    ("text", "fast", "message"),
    [
        # nothing takes Q away
        ("S -> S + Q ; a \n S -> 0 ; b", ["Q"], "'Q' cannot all be zero while the other species"),
        ("S -> S + A ; a \n S -> S + B ; b \n A + B -> 0 ; c", ["A", "B"], "cannot all be zero"),
        # A and B are made and lost together: both equations say the same
        ("S -> S + A ; a \n S -> S + B ; a \n A + B -> 0 ; c", ["A", "B"], "Jacobian is singular"),
    ],
)
def test_fast_species_that_no_equation_determines(text, fast, message):
    with pytest.raises(cn.ReductionError, match=message):
        cn.reduce(cn.ReactionNetwork(text), fast)


def test_a_conserved_difference_counts_as_a_total():
    network = cn.ReactionNetwork(
        "S -> S + A + B ; a \n A + B -> 0 ; c \n S -> 0 ; d", a=100, c=100, d=1
    )
    model = cn.reduce(network, ["A", "B"], "species")
    assert "A_T = A - B" in " ".join(model.assumptions)
    point = model.project({"S": 1.0, "A": 2.0}).to_series()
    assert point["A"] - point["B"] == pytest.approx(2) and point["A"] * point["B"] == pytest.approx(
        1
    )


def test_equilibrium_needs_a_reverse():
    with pytest.raises(cn.ReductionError, match="has no reverse, so it has no equilibrium"):
        cn.reduce(cn.models.oregonator(), ["Y"], method="partial equilibrium")


def test_totals_are_given_up_where_there_are_none():
    model = cn.reduce(cn.models.oregonator(), ["X"])
    assert "so the slow species count alone" in " ".join(model.assumptions)
    assert list(model.coordinates.index) == ["Y", "Z"]


@pytest.mark.parametrize(
    ("manifold", "coordinates", "message"),
    [
        (
            {"C": "C"},
            "total",
            "the formula of 'C' has 'C' in it.* it may depend on 'S', 'E', 'P'",
        ),
        ({"C": "Z"}, "total", "the formula of 'C' has 'Z' in it"),
        ({"C": sympy.nan}, "total", "is not finite"),
        ({"C": 1 / sympy.S(0)}, "total", "is not finite"),
        ({}, "total", "no fast species"),
        ({"Q": "S"}, "total", "'Q' is not a species"),
        ({"C": "S"}, "totals", "coordinates='totals' is unknown"),
        ({"C": "S"}, [{"S": 1}], "1 coordinates for the slow species 'S', 'E', 'P'"),
        ({"C": "S"}, [{"S": 1}, {"S": 2}, {"P": 1}], "do not tell the slow species"),
        ({"C": "S"}, [{"S": 1}, {"X": 1}, {"P": 1}], "'X' is not a species"),
    ],
)
def test_bad_models_are_explained(manifold, coordinates, message):
    manifold = {name: sympy.Symbol(g) if isinstance(g, str) else g for name, g in manifold.items()}
    with pytest.raises(cn.ReductionError, match=message):
        cn.ReducedModel(ENZYME, manifold, coordinates)


@pytest.mark.parametrize(
    ("start", "times", "error", "message"),
    [
        ({"S": -1}, [0, 1], cn.DynamicsError, "S=-1 at the start"),
        ({"S": np.nan}, [0, 1], cn.DynamicsError, "S=nan at the start"),
        ({"X": 1}, [0, 1], cn.DynamicsError, "'X' is not a species"),
        ({"S": 1}, [1, 0], cn.ReductionError, "must be finite, zero or more, and increase"),
        ({"S": 1}, [], cn.ReductionError, "must be finite, zero or more, and increase"),
        ({"S": 1}, [-1, 1], cn.ReductionError, "must be finite, zero or more, and increase"),
    ],
)
def test_bad_runs_are_explained(start, times, error, message):
    model = cn.reduce(ENZYME, ["E", "C"])
    with pytest.raises(error, match=message):
        model.integrate(start, times)
    for method in (model.predicted_error, model.compare):
        with pytest.raises((error, cn.DynamicsError)):
            method(start, times)


def test_a_learned_pole_is_explained():
    S = sympy.Symbol("S")
    model = cn.ReducedModel(ENZYME, {"C": 0.01 / (S - 0.5)}, "species")
    with pytest.raises((cn.SolverError, cn.ReductionError), match="slow manifold"):
        model.integrate({"S": 1, "E": 0.01}, np.linspace(0, 2000, 11))


def test_roots_are_tried_at_the_networks_own_rate_constants():
    symbols = dict(cn.mass_action(cn.models.robertson()).symbols)
    equations = FastEquations(cn.models.robertson(), ["B"], symbols)
    roots = equations.solutions()
    assert len(roots) == 2 and len(equations.physical(roots)) == 1
