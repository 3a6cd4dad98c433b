"""What the chemistry knows: each option as an exact tie, what it gains, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import chemnb as cn
from chemnb.learning.chemistry import Chemistry, ChemistryError, vanishing
from chemnb.learning.monomials import monomials
from chemnb.learning.odenet import ODENet, ODENetError
from chemnb.learning.own_terms import hill, own
from chemnb.networks.conservation import elementary_vectors, read_laws
from chemnb.networks.elementary import elementary_reactions
from chemnb.networks.reactions import NetworkError

LAWS = ["E + ES", "S + ES + P"]
BINDING = cn.ReactionNetwork(
    "E + S -> ES ; k1 \n ES -> E + S ; k2 \n ES -> E + P ; k3 \n E + P -> ES ; k4",
    k1=1.0, k2=0.5, k3=1.5, k4=0.4,
)  # fmt: skip
STARTS = [{"E": 1, "S": 4}, {"E": 2, "S": 1, "P": 3}]


def measured(network, starts, times, noise, seed):
    """Return noisy runs of the rate equations and their standard errors."""
    equations, rng = cn.mass_action(network), np.random.default_rng(seed)
    runs = [cn.integrate(equations, start, times) for start in starts]
    error = noise * np.concatenate([run.values for run in runs]).std(axis=0)
    errors = [np.tile(error, (len(times), 1)) for _ in runs]
    return [run + error * rng.standard_normal(run.shape) for run in runs], errors


def support(model):
    table = model.coefficients
    kept = table[table["kept"]]
    return set(zip(kept["equation"], kept["term"], strict=True))


@pytest.fixture(scope="module")
def enzyme():
    """Reversible Michaelis-Menten from two experiments of eleven times, 1 % noise."""
    return measured(BINDING, STARTS, np.linspace(0, 8, 11), 0.01, seed=0)


TRUE = {
    *((name, "E S") for name in ("E", "S", "ES")),
    *((name, "ES") for name in ("E", "S", "ES", "P")),
    *((name, "E P") for name in ("E", "ES", "P")),
}


# --- each option helps -------------------------------------------------------------------------


def test_without_chemistry_these_data_are_too_few(enzyme):
    runs, errors = enzyme
    assert support(ODENet(monomials(2), progress=False).fit(runs, standard_errors=errors)) != TRUE


@pytest.mark.parametrize(
    "options",
    [
        {"library": monomials(2), "conserved": LAWS},
        {"library": monomials(2), "conserved": BINDING},
        {"library": monomials(2), "mass_action": True},
        {"library": monomials(2), "mass_action": True, "conserved": LAWS},
        {"network": elementary_reactions(BINDING.species, LAWS)},
    ],
    ids=["laws", "laws of a network", "mass action", "laws and mass action", "network"],
)
def test_with_chemistry_the_mechanism_is_found(enzyme, options):
    runs, errors = enzyme
    model = ODENet(progress=False, **options).fit(runs, standard_errors=errors)
    assert support(model) == TRUE


def test_conserved_sums_stay_exactly(enzyme):
    runs, errors = enzyme
    model = ODENet(monomials(2), conserved=LAWS, progress=False).fit(runs, standard_errors=errors)
    theta = model.theta.transpose("equation", "term").values
    laws = read_laws(LAWS, list(model.theta["equation"].values))
    np.testing.assert_allclose(laws @ theta, 0.0, atol=1e-12)
    path = model.predict({"E": 3, "S": 2, "ES": 0, "P": 0}, np.linspace(0, 20, 5)).values
    np.testing.assert_allclose(laws @ path.T, [[3.0] * 5, [2.0] * 5], rtol=1e-7)


def test_a_network_goes_in_and_a_network_comes_out(enzyme):
    runs, errors = enzyme
    candidate = elementary_reactions(BINDING.species, LAWS)
    model = ODENet(network=candidate, progress=False).fit(runs, standard_errors=errors)
    fitted = model.rate_fit.network
    assert {r.equation for r in fitted.reactions} == {r.equation for r in BINDING.reactions}
    truth = {
        r.equation: k for r, k in zip(BINDING.reactions, BINDING.rate_constants(), strict=True)
    }
    table = model.rate_fit.reactions
    for equation, value in truth.items():
        row = table.loc[equation]
        assert abs(row["value"] - value) < 4 * row["standard error"] < 0.2 * value
    # Eq. 14 by construction: the coefficients are those of the fitted network
    implied = cn.mass_action(fitted).polynomial_system()
    state = np.array([0.7, 1.1, 0.4, 0.9])
    rhs = implied[0].rhs(state, implied[1] @ fitted.rate_constants())
    terms = monomials(2).bind(BINDING.species).evaluate(state)
    np.testing.assert_allclose(model.theta.values @ terms, rhs, rtol=1e-10)


def test_moments_bring_the_matrix_of_eq_14():
    truth = cn.ReactionNetwork("0 -> A ; b \n A -> 0 ; d", b=8, d=0.5)
    data = cn.sample(truth, {"A": 0}, range(9), runs=20_000, keep=2000, seed=1)
    candidate = truth + "A -> 2 A ; k"
    model = ODENet(network=candidate, progress=False).fit(data, variables="moments")
    direct = cn.fit_rates(candidate, data, select="bic")
    assert model.rate_fit.kept == direct.kept == ("0 -> A", "A -> 0")
    pd.testing.assert_frame_equal(model.rates, direct.rates, rtol=1e-4)


def test_known_terms_keep_their_value_and_free_the_others():
    times = np.linspace(0, 2, 6)
    network = cn.ReactionNetwork("A -> B ; k \n B -> 0 ; h", k=0.5, h=0.3)
    runs, errors = measured(network, [{"A": 4}], times, 0.03, seed=3)
    known = {"A": {"A": -0.5}, "B": {"A": 0.5}}
    model = ODENet(monomials(1), known=known, progress=False).fit(runs, standard_errors=errors)
    table = model.coefficients.set_index(["equation", "term"])
    assert table.loc[("A", "A"), "value"] == -0.5
    assert table.loc[("B", "A"), "value"] == 0.5
    assert not table.loc[("A", "A"), "standard error"] > 0
    free = ODENet(monomials(1), selection=None, progress=False).fit(runs, standard_errors=errors)
    loose = free.coefficients.set_index(["equation", "term"]).loc[("B", "B"), "standard error"]
    assert table.loc[("B", "B"), "standard error"] < 0.5 * loose
    assert abs(table.loc[("B", "B"), "value"] + 0.3) < 4 * table.loc[("B", "B"), "standard error"]


def test_forbidden_terms_stay_out():
    times = np.linspace(0, 2, 11)
    network = cn.ReactionNetwork("A -> B ; k \n B -> 0 ; h", k=0.5, h=0.3)
    runs, errors = measured(network, [{"A": 4}, {"B": 2}], times, 0.01, seed=3)
    model = ODENet(
        monomials(2), forbidden={"A": ["B", "A^2"], "B": "A B"}, selection=None, progress=False
    ).fit(runs, standard_errors=errors)
    used = support(model)
    assert len(used) == 7
    assert not used & {("A", "B"), ("A", "A^2"), ("B", "A B")}


def test_nonnegative_rates_are_the_default_of_a_network_and_can_be_lifted():
    times = np.linspace(0, 4, 9)
    network = cn.ReactionNetwork("A -> B ; k", k=0.5)
    runs, errors = measured(network, [{"A": 4, "B": 1}], times, 0.02, seed=5)
    candidate = network + "B -> A ; h"
    options = {"network": candidate, "selection": None, "progress": False}
    bounded = ODENet(**options).fit(runs, standard_errors=errors).rates["value"]
    free = ODENet(nonnegative=False, **options).fit(runs, standard_errors=errors).rates["value"]
    assert bounded["h"] == max(free["h"], 0.0) or bounded["h"] == pytest.approx(free["h"], rel=1e-6)
    assert bounded["k"] == pytest.approx(0.5, rel=0.1)


# --- the tie itself ----------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"mass_action": True}])
def test_every_direction_keeps_every_law(options):
    library = monomials(2, constant=True).bind(["E", "S", "ES", "P"])
    tied = Chemistry(conserved=LAWS, known={"S": {"S": -1.0}}, **options).tie(library)
    laws = read_laws(LAWS, library.names)
    for vector in [*tied.matrix.T, tied.offset]:
        theta = np.zeros((4, len(library)))
        for (row, term), value in zip(tied.pairs, vector, strict=True):
            theta[row, term] = value
        np.testing.assert_allclose(laws @ theta, 0.0, atol=1e-12)
    assert tied.offset.any()
    assert np.all(tied.matrix[[p == (1, library.labels.index("S")) for p in tied.pairs]] == 0)


def test_mass_action_lets_a_term_consume_only_what_is_in_it():
    library = monomials(2).bind(["A", "B"])
    tied = Chemistry(mass_action=True).tie(library)
    bounded = {
        name for name, column in zip(tied.names, tied.nonnegative.T, strict=True) if column.any()
    }
    assert bounded == {"A: B", "A: B^2", "B: A", "B: A^2"}


def test_what_vanishes_with_a_species_is_found_for_every_kind_of_term():
    library = (hill("A", K=2) + hill("A", K=2, repressing=True) + own("B/(1 + A)", "A/B")).bind(
        ["A", "B"]
    )
    assert vanishing(library).astype(int).tolist() == [[1, 0], [0, 0], [0, 1], [1, 0]]


def test_elementary_changes_are_all_of_fewest_species():
    assert elementary_vectors(np.zeros((0, 2), dtype=int)) == [[1, 0], [0, 1]]
    assert elementary_vectors(np.array([[1, 2]])) == [[2, -1]]


def test_elementary_reactions_keep_their_laws_and_hold_the_mechanism():
    network = elementary_reactions(["E", "S", "ES", "P"], LAWS)
    laws = read_laws(LAWS, network.species)
    assert not (laws @ network.stoichiometry).any()
    assert {r.equation for r in BINDING.reactions} <= {r.equation for r in network.reactions}
    # no two columns of Eq. 14 are parallel
    _, weights = cn.mass_action(network).polynomial_system()
    unit = weights / np.linalg.norm(weights, axis=0)
    assert np.triu(unit.T @ unit > 1 - 1e-9, 1).sum() == 0


def test_units_of_coefficients(enzyme):
    runs, errors = enzyme
    units = {"E": "uM", "S": "uM", "ES": "uM", "P": "uM", "time": "s"}
    model = ODENet(monomials(2), mass_action=True, units=units, progress=False)
    table = model.fit(runs, standard_errors=errors).coefficients.set_index(["equation", "term"])
    assert table.loc[("E", "ES"), "unit"] == "s^-1"
    assert table.loc[("ES", "E S"), "unit"] == "uM^-1 s^-1"


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"known": {"A": ["A"]}}, "it must map equations to terms with values"),
        ({"known": {"A": {"A": np.nan}}}, "give a finite number"),
        ({"known": {"A": {"B^2": 1}}}, r"names the term 'B\^2'.*there are"),
        ({"known": {"X": {"A": 1}}}, "names the equation 'X'"),
        ({"known": {"A": {"A": 1}}, "forbidden": {"A": "A"}}, "is known and forbidden"),
        ({"forbidden": ["A"]}, "it must map equations to lists of terms"),
        ({"conserved": "A + X"}, "names 'X'"),
        ({"conserved": "A ++"}, "cannot be read"),
        ({"conserved": ["A + B", "2 A + 2 B"]}, "follows from the others"),
        ({"conserved": 3}, "write the sums that stay"),
        (
            {"conserved": "A + B", "known": {"A": {"A": -1}, "B": {"A": 2}}},
            "break the conservation",
        ),
        ({"conserved": ["A", "B"]}, "no term is left"),
        ({"allowed": {"A": [], "B": []}}, "no term is left"),
        ({"network": "A -> B"}, "give a ReactionNetwork"),
        ({"network": cn.ReactionNetwork("A -> B ; k"), "conserved": "A + B"}, "exclude each other"),
        ({"network": cn.ReactionNetwork("A -> B ; k"), "nonnegative": {"A": "B"}}, "all or none"),
        ({"network": cn.ReactionNetwork("A -> C ; k")}, "'B', which is no species of the network"),
        (
            {"network": cn.ReactionNetwork("A -> B ; k \n B -> C ; h")},
            "'C', which the data have not",
        ),
        ({"network": cn.ReactionNetwork("2 A -> B ; k")}, r"have the term .*higher degree"),
        ({"network": cn.ReactionNetwork("A -> B ; 2")}, "no rate constant has a name"),
        ({"network": cn.ReactionNetwork("A -> B ; law: A/(1 + A)")}, "rate law"),
    ],
)
def test_knowledge_that_cannot_be_used(options, message):
    times = np.linspace(0, 2, 11)
    data = (times, np.stack([np.exp(-times), 1 - np.exp(-times)], axis=1))
    model = ODENet(monomials(1), progress=False, **options)
    with pytest.raises(ODENetError, match=message):
        model.fit(data, variables=["A", "B"])


def test_options_are_checked_without_data_too():
    with pytest.raises(ChemistryError, match="no term is left"):
        Chemistry(allowed={"A": []}).tie(monomials(1).bind(["A"]))


def test_adam_knows_no_ties():
    with pytest.raises(ODENetError, match="conserved needs optimizer='lm'"):
        ODENet(monomials(1), optimizer="adam", conserved="A + B").fit(([0, 1], [[1, 0], [0, 1]]))


def test_rates_need_a_network():
    times = np.linspace(0, 2, 6)
    model = ODENet(monomials(1), progress=False).fit((times, np.exp(-times)), variables=["A"])
    with pytest.raises(ODENetError, match="fit with network="):
        model.rates  # noqa: B018


def test_no_terms_at_all():
    with pytest.raises(ODENetError, match="no candidate terms"):
        ODENet().fit(([0, 1], [1, 2]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"molecules": 4}, "at most 1, 2 or 3"),
        ({"conserved": ["A", "B"]}, "give fewer laws"),
        ({"species": [f"X{i}" for i in range(8)]}, "more than 500: give more laws"),
    ],
)
def test_elementary_reactions_that_cannot_be(options, message):
    with pytest.raises(NetworkError, match=message):
        elementary_reactions(**{"species": ["A", "B"]} | options)
