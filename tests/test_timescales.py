"""Time scales: Table II, exact spectra, what is fast in networks where it is known, bad input."""

import matplotlib
import numpy as np
import pytest

import chemnb as cn
from chemnb.networks.fluxes import Fluxes
from chemnb.networks.slow_coordinates import directions, inner_laws, slow_coordinates, totals
from chemnb.reduction.timescales import TimeScaleError, derivative_correlations, time_scales
from tests.reduction_cases import GENE, GENE_FAST, GENE_START, SEVEN, scales_are_right

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def gene():
    return time_scales(GENE, GENE_START, np.arange(1001.0))


# --- Table II ------------------------------------------------------------------------------------


def test_table_2_is_the_correlation_of_absolute_rates():
    here = derivative_correlations(GENE, GENE_START, range(1001))
    difference = (here - cn.paper.table2()).abs()
    assert difference.max(axis=None) <= 0.002 and difference.max(axis=None) > 0
    # an independent way to it: finite differences of a fine solution
    times = np.arange(1001.0)
    ends = np.sort(np.concatenate([times, times + 1e-5]))
    path = cn.integrate(GENE, GENE_START, ends, rtol=1e-12, atol=1e-15).values
    rates = np.abs(np.diff(path.reshape(1001, 2, 5), axis=1)[:, 0] / 1e-5)
    assert np.allclose(here, np.corrcoef(rates.T), atol=2e-4)


def test_one_sample_carries_table_2():
    without = derivative_correlations(GENE, GENE_START, range(1, 1001))
    found = without.loc[["G", "G", "GP"], ["GP", "GP2", "GP2"]].to_numpy().diagonal()
    assert found == pytest.approx([0.892, 0.772, 0.439], abs=1e-3)


def test_correlations_need_samples_and_motion():
    with pytest.raises(TimeScaleError, match="needs three samples or more, but there are 2 times"):
        derivative_correlations(GENE, GENE_START, [0, 1])
    steady = derivative_correlations(
        cn.ReactionNetwork("A -> B ; 1 \n C -> D ; 1"), [1, 0, 0, 0], range(9)
    )
    assert np.isnan(steady.loc["A", "C"]) and steady.loc["A", "B"] == pytest.approx(1)


# --- spectra -------------------------------------------------------------------------------------


def test_eigenvalues_are_those_of_the_whole_jacobian(gene):
    fluxes = Fluxes(GENE)
    for place in (0, 5, 100, 1000):
        c = gene.trajectory.values[place]
        whole = np.sort(np.abs(np.linalg.eigvals(fluxes.jacobian(c))))[::-1]
        own = np.abs(gene.eigenvalues.values[place])
        assert np.allclose(own, whole[:4], rtol=1e-6, atol=1e-12) and whole[4] < 1e-12


def test_eigenvalues_of_a_linear_chain():
    chain = cn.ReactionNetwork("A -> B ; 1000 \n B -> C ; 20 \n C -> D ; 1")
    scales = time_scales(chain, [1, 0, 0, 0], np.linspace(0.1, 3, 9))
    assert np.allclose(scales.eigenvalues, [[-1000, -20, -1]])
    # both gaps are wide; the wider one counts
    assert scales.modes == 1 and scales.gap == pytest.approx(50) and scales.fast == ("A",)
    both = time_scales(chain, [1, 0, 0, 0], np.linspace(0.1, 3, 9), modes=2)
    assert both.gap == pytest.approx(20) and both.fast == ("A", "B")
    assert list(both.slow_coordinates.index) == ["A + B + C", "D"]


def test_jacobian_and_fluxes_agree_with_the_mass_action_equations():
    network = cn.ReactionNetwork("2 A + B -> 3 B ; 0.5 \n B -> 0 ; 2 \n 0 -> A ; 1")
    fluxes, c = Fluxes(network), np.array([[1.5, 0.4], [0.0, 2.0]])
    assert np.allclose(fluxes.values(c), [[0.5 * 1.5**2 * 0.4 / 2, 0.8, 1], [0, 4, 1]])
    system, weights = cn.mass_action(network).polynomial_system()
    theta = weights @ network.rate_constants()
    for state in c:
        assert np.allclose(fluxes.rates(state), system.rhs(state, theta))
        assert np.allclose(fluxes.jacobian(state), system.jacobian(state, theta))


def test_participation_and_shares_add_up_to_the_number_of_modes(gene):
    assert np.allclose(gene.participation.sum("species"), gene.modes)
    assert gene.reaction_shares.sum() == pytest.approx(gene.modes)
    # measured once for all: P .05, M 0, the others above .97
    largest = gene.table()["participation"]
    assert largest["P"] == pytest.approx(0.046, abs=0.002) and largest["M"] < 1e-4
    assert (largest[list(GENE_FAST)] > 0.97).all()
    assert gene.reaction_shares.filter(like="M").abs().max() < 1e-4  # transcription and the like


# --- what is fast --------------------------------------------------------------------------------


def test_gene_network_is_sorted(gene):
    assert gene.fast == GENE_FAST and gene.slow == ("P", "M") and gene.modes == 2
    assert gene.gap > 250 and gene.notes == []
    assert list(gene.slow_coordinates.index) == ["P + GP + 2 GP2", "M"]
    assert list(gene.conserved.index) == ["G + GP + GP2"]
    assert gene.slow_coordinates.to_numpy().tolist() == [[1, 0, 0, 1, 2], [0, 1, 0, 0, 0]]


@pytest.mark.parametrize("name", SEVEN)
def test_fast_species_of_known_networks(name):
    assert scales_are_right(SEVEN[name])


@pytest.mark.parametrize("name", ["michaelis_menten", "goldbeter_koshland", "dimer_toggle"])
def test_fast_species_do_not_hang_on_the_grid_or_the_start(name):
    case, rng = SEVEN[name], np.random.default_rng(3)
    end = case.times[-1]
    for times in (
        np.linspace(0, end, 11),
        np.r_[0, np.geomspace(1e-5 * end, end, 60)],
        case.times / 2,
    ):
        start = {s: v * 10 ** rng.uniform(-0.5, 0.5) for s, v in case.start.items()}
        assert set(time_scales(case.network, start, times).fast) == set(case.fast)


@pytest.mark.parametrize("concentration", [1e-6, 1e3])
def test_fast_species_do_not_hang_on_units(concentration):
    case = SEVEN["competitive_inhibition"]
    rates = {"k1": 50 / concentration, "k3": 20 / concentration}
    start = {name: value * concentration for name, value in case.start.items()}
    scales = time_scales(cn.models.competitive_inhibition(**rates), start, case.times)
    assert set(scales.fast) == set(case.fast)
    here = time_scales(case.network, case.start, case.times)
    assert scales.gap == pytest.approx(here.gap, rel=1e-3)
    assert np.allclose(scales.participation, here.participation, atol=1e-4)


def test_no_gap_is_said():
    hunt = time_scales(cn.models.lotka_volterra(), [50, 80], np.linspace(0, 20, 201))
    assert hunt.modes == 0 and hunt.fast == () and hunt.slow == ("X", "Y")
    assert np.isnan(hunt.gap) and repr(hunt) == "TimeScales(no gap)"
    assert "No gap" in hunt.notes[0] and "No gap" in hunt._repr_html_()
    assert list(hunt.slow_coordinates.index) == ["X", "Y"]
    assert np.all(hunt.participation == 0) and np.all(hunt.reaction_shares == 0)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("A -> B ; 1", [1, 0], 10),  # one mode cannot be separated from others
        ("A -> 0 ; 100 \n B -> 0 ; 50", [1, 1], 1),  # only twice as fast
        ("A -> 0 ; 100 \n B -> 0 ; 1", [1, 1], 0.01),  # too short to see that B is slower
        ("A -> 2 A ; 100 \n B -> 0 ; 1", [1, 1], 0.1),  # fast, but it grows
    ],
)
def test_what_is_no_gap(text, start, end):
    assert time_scales(cn.ReactionNetwork(text), start, np.linspace(0, end, 21)).modes == 0


def test_open_network_with_a_product_that_only_grows():
    network = cn.models.michaelis_menten() + "0 -> S ; 0.0005"
    scales = time_scales(network, {"S": 0.5, "E": 0.01}, np.linspace(0, 1000, 101))
    assert scales.fast == ("E", "C") and np.isfinite(scales.gap)
    assert list(scales.slow_coordinates.index) == ["S + C", "P"]


def test_enzyme_that_is_not_scarce_gives_the_total_and_a_note():
    scales = time_scales(cn.models.michaelis_menten(), {"S": 1, "E": 1}, np.linspace(0, 60, 201))
    assert list(scales.slow_coordinates.index) == ["S + C", "P"]
    assert "take part in fast modes too" in scales.notes[0] and "'C'" in scales.notes[0]


def test_slow_coordinate_follows_what_the_complex_does():
    # nearly every complex goes on to the product: S, and P with C, are what is slow
    network = cn.models.michaelis_menten(k_m1=0.01, k2=10.0)
    scales = time_scales(network, {"S": 0.2, "E": 0.2}, np.linspace(0, 10, 101), modes=1)
    assert list(scales.slow_coordinates.index) == ["S", "C + P"]


# --- stoichiometry -------------------------------------------------------------------------------


def test_slow_coordinates_from_stoichiometry_alone():
    assert list(slow_coordinates(GENE, GENE_FAST).index) == ["P + GP + 2 GP2", "M"]
    assert totals(GENE, GENE_FAST) == {"G_T": {"G": 1, "GP": 1, "GP2": 1}}
    case = SEVEN["dimer_toggle"]
    assert list(slow_coordinates(case.network, case.fast).index) == [
        "A + 2 A2 + 2 GBr", "B + 2 B2 + 2 GAr",
    ]  # fmt: skip
    # rows that no law among fast species is made of, and none of the fast reactions changes
    rows = slow_coordinates(case.network, case.fast).to_numpy()
    binding = case.network.stoichiometry[:, 4:]
    assert not (rows @ binding).any() and not (inner_laws(case.network, case.fast) @ binding).any(
        axis=None
    )


def test_totals_take_names_that_are_free():
    network = cn.ReactionNetwork("E + S <-> E_T ; a, b \n E_T -> E + P ; c")
    assert list(totals(network, ["E", "E_T"])) == ["E_T_"]


def test_directions_join_both_senses():
    found = directions(cn.models.robertson())
    assert [d.senses for d in found] == [{0: 1, 2: -1}, {1: 1}]
    assert [d.reversible for d in found] == [True, False]
    double = directions(cn.ReactionNetwork("2 A -> 2 B ; a \n B -> A ; b"))
    assert [d.senses for d in double] == [{0: 2, 1: -1}]


# --- display and bad input -----------------------------------------------------------------------


def test_it_shows_itself(gene):
    assert repr(gene).startswith("TimeScales(2 fast modes, ")
    shown = gene._repr_html_()
    assert "P + GP + 2 GP2" in shown and "participation" in shown and "fast" in shown
    assert gene.eigenvalues.dims == ("time", "mode") and gene.eigenvalues.mode.values.tolist() == [
        1,
        2,
        3,
        4,
    ]
    axes = gene.plot()
    assert axes.get_yscale() == "log" and len(axes.lines) == 4
    assert [line.get_linestyle() for line in axes.lines] == ["-", "-", "--", "--"]
    rates = axes.lines[0].get_ydata()
    assert np.allclose(rates, np.abs(gene.eigenvalues.sel(mode=1))[1:])
    matplotlib.pyplot.close("all")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"times": [0]}, TimeScaleError, "need a run, but there is 1 time; give two or more"),
        ({"times": [3, 2]}, cn.DynamicsError, "times must increase, but 2 comes after 3"),
        ({"times": [0, np.nan]}, cn.DynamicsError, "must be finite numbers"),
        ({"initial": {"M": np.nan}}, cn.DynamicsError, "M=nan at the start"),
        ({"initial": {"X": 1}}, cn.DynamicsError, "'X' is not a species"),
        ({"gap": 1}, TimeScaleError, "gap=1 must be above 1"),
        ({"share": 0}, TimeScaleError, "share=0 above 0 and at most 1"),
        ({"participation": 1}, TimeScaleError, "participation=1 between 0 and 1"),
        ({"modes": 4}, TimeScaleError, "modes=4 of 4; at least one must be fast and one slow"),
        ({"network": cn.ReactionNetwork("A -> B ; k")}, cn.NetworkError, "'k' has no value"),
    ],
)
def test_bad_input_is_explained(options, error, message):
    given = {"network": GENE, "initial": GENE_START, "times": [0, 1, 2]} | options
    if given["network"] is not GENE:
        given["initial"] = [1, 0]
    with pytest.raises(error, match=message):
        time_scales(given.pop("network"), given.pop("initial"), given.pop("times"), **given)
