"""Networks: the text they are read from, stoichiometry, propensities, laws, and every bad input."""

import math
import pickle
from itertools import product

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from chemnb import models
from chemnb.networks.conservation import law_text, left_null_space
from chemnb.networks.expressions import Expression
from chemnb.networks.network import NetworkError, ReactionNetwork
from chemnb.networks.reactions import Reaction

ENZYME = ReactionNetwork("S + E <-> C ; a, b \n C -> E + P ; c", a=1.0, b=0.5, c=2.0)
SKIN = models.single_progenitor()


# --- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("A + 2 B -> C ; k", "A + 2 B -> C ; k"),
        ("A+2B->C;k", "A + 2 B -> C ; k"),
        ("2*A -> B ; k", "2 A -> B ; k"),
        ("A + A -> B ; k", "2 A -> B ; k"),
        ("0 -> A ; 3", "0 -> A ; 3"),
        ("∅ → A ; 3", "0 -> A ; 3"),
        ("A -> ∅ ; 1e-3", "A -> 0 ; 1e-3"),
        ("A2_x -> 3 _b ; k", "A2_x -> 3 _b ; k"),
        ("Ä -> β1 ; µ_max", "Ä -> β1 ; µ_max"),
        ("A <-> B ; k, 2*h", "A -> B ; k\nB -> A ; 2*h"),
        ("A <=> B ; k, h", "A -> B ; k\nB -> A ; h"),
        ("A ⇌ B ; k, h", "A -> B ; k\nB -> A ; h"),
        ("# title\n\nA -> B ; k # first\n   \nB -> A ; h", "A -> B ; k\nB -> A ; h"),
        (["A -> B ; k", "", "B <-> C ; h, g"], "A -> B ; k\nB -> C ; h\nC -> B ; g"),
        ("A -> B ; k \n A -> B ; h", "A -> B ; k\nA -> B ; h"),
        ("20 A -> 1000000 B ; k", "20 A -> 1000000 B ; k"),
    ],
)
def test_reading_and_printing(text, printed):
    net = ReactionNetwork(text)
    assert str(net) == printed
    assert ReactionNetwork(str(net)) == net


def test_matrices_of_eq_3():
    net = ReactionNetwork("A + 2 B -> C ; k \n 0 -> 3 A ; h \n A -> A + C ; g")
    assert net.species == ("A", "B", "C")
    assert net.reactants.tolist() == [[1, 0, 1], [2, 0, 0], [0, 0, 0]]
    assert net.products.tolist() == [[0, 3, 1], [0, 0, 0], [1, 0, 1]]
    assert net.stoichiometry.tolist() == [[-1, 3, 0], [-2, 0, 0], [1, 0, 1]]


def test_the_order_of_species_can_be_chosen():
    net = ReactionNetwork("A -> B ; k", k=1, species=["Z", "B", "A"])
    assert net.species == ("Z", "B", "A") and net.stoichiometry.tolist() == [[0], [1], [-1]]


def test_built_from_arrays():
    net = ReactionNetwork.from_arrays(
        [[1, 0, 0.0], [1, 0, 0], [0, 1, 1]],
        [[0, 1, 0], [0, 1, 1], [1, 0, 0]],
        [1.0, "b", "c*b"],
        ["S", "E", "C"],
        volume=3,
        b=0.5,
        c=4,
    )
    assert str(net) == "S + E -> C ; 1.0\nC -> S + E ; b\nC -> E ; c*b"
    assert net.rate_constants().tolist() == [1.0, 0.5, 2.0] and net.volume == 3
    assert ReactionNetwork.from_arrays([[1], [0]], [[0], [1]], ["k"]).species == ("S1", "S2")


species_names = st.sampled_from(["A", "B", "S1", "x_2", "Long"])
sides = st.dictionaries(species_names, st.integers(1, 4), max_size=3).map(
    lambda d: tuple(d.items())
)
rate_texts = st.sampled_from(["k", "lam*r1", "(1 - r1)*lam", "0.25", "1e-3*k", "2"])


@st.composite
def networks(draw):
    found = {}
    for _ in range(draw(st.integers(1, 5))):
        left, right, rate = draw(sides), draw(sides), draw(rate_texts)
        if sorted(left) != sorted(right):
            reaction = Reaction(left, right, Expression(rate))
            found[frozenset(left), frozenset(right), rate] = reaction
    fallback = Reaction((("A", 1),), (), Expression("k"))
    volume = draw(st.sampled_from([1.0, 0.5, 20.0]))
    return ReactionNetwork(list(found.values()) or [fallback], volume=volume)


@settings(max_examples=100, deadline=None)
@given(networks())
def test_parse_print_round_trip(net):
    again = ReactionNetwork(str(net), volume=net.volume)
    assert again == net and hash(again) == hash(net) and str(again) == str(net)
    assert pickle.loads(pickle.dumps(net)) == net
    arrays = ReactionNetwork.from_arrays(
        net.reactants, net.products, [str(r.rate) for r in net.reactions], net.species,
        volume=net.volume,
    )  # fmt: skip
    assert np.array_equal(arrays.stoichiometry, net.stoichiometry)
    assert [r.rate for r in arrays.reactions] == [r.rate for r in net.reactions]


# --- rate constants ----------------------------------------------------------------------------


def test_rate_constants():
    assert SKIN.rate_constants() == pytest.approx([0.09196, 0.924, 0.08404, 0.31], rel=1e-14)
    assert SKIN.parameters == {"r1": 0.0836, "lam": 1.1, "r2": 0.0764, "Gamma": 0.31}
    assert SKIN.with_parameters(r1=0.1).rate_constants()[0] == pytest.approx(0.11)
    assert SKIN.with_parameters({"r1": 0.1}) == SKIN.with_parameters(r1=0.1) != SKIN


def test_free_names():
    free = ReactionNetwork("A -> B ; k*h \n B -> A ; h")
    assert free.free_parameters == ("k", "h")
    half = free.with_parameters(h=2.0)
    assert half.free_parameters == ("k",)
    with pytest.raises(NetworkError, match=r"'k' has no value; .*with_parameters\(k=\.\.\.\)"):
        half.rate_constants()
    values = half.table()["value"].tolist()
    assert math.isnan(values[0]) and values[1] == 2.0
    assert half.with_parameters(k=3).rate_constants().tolist() == [6.0, 2.0]


# --- propensities (Eq. 5) ----------------------------------------------------------------------


@pytest.mark.parametrize("volume", [1.0, 2.5])
def test_propensities_are_combinations(volume):
    net = ReactionNetwork(
        "0 -> A ; 1.3 \n A -> B ; 0.7 \n 2 A -> B ; 0.5 \n A + B -> 0 ; 0.2 \n"
        "3 A + 2 B -> A ; 1.1 \n B -> A ; 0",
        volume=volume,
    )
    k = net.rate_constants()
    for a, b in product(range(6), repeat=2):
        expected = [
            rate * volume * math.comb(a, na) / volume**na * math.comb(b, nb) / volume**nb
            for rate, (na, nb) in zip(k, net.reactants.T.tolist(), strict=True)
        ]
        assert net.propensities([a, b]) == pytest.approx(expected, rel=1e-13, abs=0)


def test_propensities_of_many_states_and_other_rates():
    states = np.arange(12).reshape(2, 3, 2)
    table = SKIN.propensities(states)
    assert table.shape == (2, 3, 4)
    assert np.array_equal(table[1, 2], SKIN.propensities(states[1, 2]))
    assert SKIN.propensities({"A": 2}, [1, -2, 3, 4]).tolist() == [2, -4, 6, 0]


@settings(max_examples=60, deadline=None)
@given(networks(), st.lists(st.integers(0, 6), min_size=5, max_size=5))
def test_no_reaction_fires_without_its_molecules(net, counts):
    """A possible reaction never drives a count below zero."""
    state = np.array(counts[: len(net.species)])
    rates = np.ones(len(net.reactions))
    for phi, u, need in zip(
        net.propensities(state, rates), net.stoichiometry.T, net.reactants.T, strict=True
    ):
        assert (phi > 0) == bool(np.all(state >= need))
        assert phi == 0 or np.all(state + u >= 0)


# --- conservation laws -------------------------------------------------------------------------


def test_laws_of_known_networks():
    laws = ENZYME.conservation_laws()
    assert laws.index.tolist() == ["E + C", "S + C + P"]
    assert laws.to_numpy().tolist() == [[0, 1, 1, 0], [1, 0, 1, 1]]
    dimer = models.dimerisation().conservation_laws()
    assert dimer.index.tolist() == ["A + 2 B"]
    assert SKIN.conservation_laws().empty and list(SKIN.conservation_laws().columns) == ["A", "B"]
    # no law with nonnegative entries alone: A - B
    pair = ReactionNetwork("A + B -> 0 ; k \n 0 -> A + B ; h").conservation_laws()
    assert abs(pair.to_numpy()).tolist() == [[1, 1]] and pair.to_numpy().sum() == 0
    ring = ReactionNetwork("A -> B ; k \n B -> C ; k \n C -> A ; k").conservation_laws()
    assert ring.index.tolist() == ["A + B + C"]


def test_a_species_that_never_changes_is_a_law():
    net = ReactionNetwork("G -> G + M ; k \n M -> 0 ; d")
    assert net.conservation_laws().index.tolist() == ["G"]


def test_law_text():
    assert law_text([0, 2, -1], "ABC") == "2 B - C"
    assert law_text([-1, 1, 3], "ABC") == "- A + B + 3 C"


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 5).flatmap(
        lambda rows: st.lists(
            st.lists(st.integers(-3, 3), min_size=rows, max_size=rows), min_size=1, max_size=5
        )
    )
)
def test_laws_span_the_left_null_space(columns):
    matrix = np.array(columns).T
    laws = left_null_space(matrix)
    expected = sympy.Matrix(matrix.T.tolist()).nullspace()
    assert len(laws) == len(expected)
    if laws:
        assert not np.any(np.array(laws) @ matrix)
        assert np.linalg.matrix_rank(np.array(laws)) == len(laws)
        assert all(math.gcd(*law) == 1 for law in laws)


def test_laws_of_a_large_network_come_quickly():
    names = [f"S{i}" for i in range(30)]
    lines = [f"{a} <-> {b} ; 1, 2" for a, b in zip(names, names[1:], strict=False)]
    laws = ReactionNetwork(lines).conservation_laws()
    assert laws.to_numpy().tolist() == [[1] * 30]


# --- new networks from old ---------------------------------------------------------------------


def test_adding_and_removing():
    larger = SKIN + "A -> 0 ; k1" + Reaction((("A", 1),), (("B", 1),), Expression("k2"))
    assert str(larger).splitlines()[4:] == ["A -> 0 ; k1", "A -> B ; k2"]
    assert larger.free_parameters == ("k1", "k2") and larger.parameters["lam"] == 1.1
    assert larger - "A -> 0" - "A -> B" == SKIN == larger - 4 - larger.reactions[5]
    assert SKIN.with_reactions("A -> 0 ; k1", k1=0.2).parameters["k1"] == 0.2
    assert SKIN.with_volume(5).volume == 5 and SKIN.volume == 1
    # names and species that nothing uses any more go too
    assert (SKIN - "B -> 0").parameters.keys() == {"r1", "lam", "r2"}
    assert (ReactionNetwork("A -> B ; k \n B -> C ; h") - 1).species == ("A", "B")
    assert (SKIN + "B -> C ; 1").species == ("A", "B", "C")
    assert len(SKIN.without_reactions("A -> A + B", 3).reactions) == 2


def test_removing_reads_the_text_loosely():
    net = ReactionNetwork("A + 2 B -> C ; k \n C -> A ; h")
    assert str(net - "2B+A→C ; k") == "C -> A ; h"


# --- display -----------------------------------------------------------------------------------


def test_display():
    assert repr(SKIN) == "ReactionNetwork(2 species, 4 reactions: A, B)"
    assert repr(ENZYME.with_volume(2.5)).endswith("S, E, C, P, volume 2.5)")
    many = ReactionNetwork([f"X{i} -> 0 ; 1" for i in range(12)])
    assert "X7, ...)" in repr(many) and "X8" not in repr(many)
    table = SKIN.table()
    assert table.loc[2].tolist() == ["A -> A + B", "(1 - r1 - r2)*lam", pytest.approx(0.924)]
    page = (SKIN + "A -> 0 ; k1")._repr_html_()
    assert r"$A \xrightarrow{\lambda r_{1}} 2\,A$" in page and "<td>free</td>" in page
    assert "<td>0.924</td>" in page


def test_latex_of_names_and_nothing():
    reaction = ReactionNetwork("E_1 + 2 X -> 0 ; eps*k_2").reactions[0]
    assert reaction.to_latex().startswith(r"\mathrm{E\_1} + 2\,X \xrightarrow{")
    assert reaction.to_latex().endswith(r"\emptyset") and r"\varepsilon" in reaction.to_latex()
    assert ENZYME.to_latex().count(r"&\xrightarrow") == 3


def test_a_reaction_names_its_species_once():
    reaction = ENZYME.reactions[0]
    assert reaction.species == ("S", "E", "C") and repr(reaction) == "Reaction('S + E -> C ; a')"
    assert ReactionNetwork("A -> 2 A ; k").reactions[0].species == ("A",)


# --- what goes wrong ---------------------------------------------------------------------------

TEXTS = [
    ("", "no reaction given; write for example 'A -> B ; k'"),
    ("# nothing but words", "no reaction given"),
    ([], "no reaction given"),
    (None, "None is no list of reactions; write 'A -> B ; k'"),
    (["A -> B ; k", 5], "reaction 2 is 5; give text or a Reaction"),
    ("A -> B", "line 1 'A -> B' has no rate; put it after a semicolon, 'A -> B ; k'"),
    ("A -> B ; k\n\nB -> A ;", "line 3 'B -> A ;' has no rate"),
    ("A B ; k", "line 1 'A B ; k' has no arrow; write one reaction a line"),
    ("A => B ; k", "has no arrow"),
    ("A -> B -> C ; k", "has more than one arrow; write one reaction a line"),
    ("A <-> B ; k", r"has 1 rate\(s\) but needs 2: 'A <-> B ; forward, backward'"),
    ("A -> B ; k, h", r"has 2 rate\(s\) but needs 1: 'A -> B ; k'"),
    ("A -> A ; k", "line 1 'A -> A ; k' changes nothing; its two sides are the same"),
    ("2 A + B -> B + A + A ; k", "changes nothing"),
    ("0 -> 0 ; k", "changes nothing"),
    # coefficients
    ("1.5 A -> B ; k", "the coefficient 1.5 of 'A' is not a whole number of 1 or more"),
    ("A -> 1/2 B ; k", "line 1 .*: the coefficient 1/2 of 'B' is not a whole number"),
    ("0 A -> B ; k", "the coefficient 0 of 'A' is not a whole number"),
    ("-1 A -> B ; k", "'-1 A' is not a species with a coefficient; write 'A' or '2 A'"),
    ("A + -> B ; k", "'an empty term' is not a species"),
    ("-> B ; k", "'an empty term' is not a species .* '0' for nothing"),
    ("A.b -> B ; k", r"'A\.b' is not a species"),
    ("__import__('os') -> B ; k", "is not a species with a coefficient"),
    ("21 A -> B ; k", "21 molecules of 'A' react at once; at most 20 can"),
    ("A <-> 99 B ; k, h", "99 molecules of 'B' react at once"),
    (f"A -> {10**30} B ; k", "molecules of 'B' form at once; at most 1000000 can"),
    # duplicates
    ("A -> B ; k \n B -> C ; k \n A -> B ; k", "line 3 .* repeats line 1 'A -> B ; k'; write it"),
    ("A + B -> C ; k \n B + A -> C ; k", "line 2 .* repeats line 1"),
    ("A <-> B ; k, h \n B -> A ; h", "line 2 'B -> A ; h' repeats line 1 'A <-> B ; k, h'"),
    ("A -> B ; A", "line 1 'A -> B ; A': 'A' is a species and a rate constant; rename one"),
    # rates
    ("A -> B ; -1", "line 1 'A -> B ; -1': the rate constant '-1' is -1; .* zero or more"),
    ("A -> B ; 2 - 3", "the rate constant '2 - 3' is -1"),
    ("A -> B ; nan", "'nan' in 'nan' is not a finite number"),
    ("A -> B ; inf", "'inf' in 'inf' is not a finite number"),
    ("A -> B ; 1e400", "inf in '1e400' is not a finite number"),
    ("A -> B ; 1e200*1e200", "gives inf, which is not a finite number"),
    ("A -> B ; 1/0", "line 1 .*: '1/0' cannot be computed: .*division by zero"),
    ("A -> B ; 9**9**9**9", "line 1 .*: the exponent .* is too large; use at most 100"),
    ("A -> B ; lambda", "'lambda' is a word of Python, write 'lam'"),
    ("A -> B ; k ; h", "'k ; h' is not arithmetic"),
    ("B -> C ; k\nA -> B ; __import__('os').system('id')", "line 2 .* is a function call; only"),
    ("A -> B ; k.__class__", "line 1 .* uses Attribute; only arithmetic"),
    ("A -> B ; open('x', 'w')", "line 1 .* is a function call; .*; a rate law begins with 'law:'"),
    ("A -> B ; <script>", "line 1 .*: '<script>' is not arithmetic"),
]


@pytest.mark.parametrize(("text", "message"), TEXTS)
def test_unreadable_text_is_explained(text, message):
    with pytest.raises(NetworkError, match=message):
        ReactionNetwork(text)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"k": -0.5, "h": 1}, "line 1 'A -> B ; k': the rate constant 'k' is -0.5"),
        ({"k": 1, "h": 2}, r"line 2 .*: the rate constant '\(1 - h\)\*k' is -1; a rate constant"),
        ({"k": math.nan, "h": 0}, "k=nan is not finite; give a number of 0 or more"),
        ({"k": math.inf, "h": 0}, "k=inf is not finite"),
        ({"k": "fast", "h": 0}, "k='fast' is not a number"),
        ({"k": 1j, "h": 0}, "k=1j is not a number"),
        ({"k": [1.0], "h": 0}, r"k=\[1.0\] is not a number"),
        ({"k": 1}, "line 2 .*: the rate constant 'h' is unknown; give it a value, h=0.1, or .*"),
        ({"k": 1, "h": 0, "kk": 2}, "'kk' is in no rate; did you mean 'k'.*; the rates use 'k',"),
        ({"k": 1, "h": 0, "volume": 0}, "volume=0 must be a number above zero"),
        ({"k": 1, "h": 0, "volume": -1}, "volume=-1 must be a number above zero"),
        ({"k": 1, "h": 0, "volume": None}, "volume=None must be a number above zero"),
        ({"k": 1, "h": 0, "volume": math.nan}, "volume=nan is not finite"),
        ({"k": 1, "h": 0, "species": ["A"]}, "species 'B' is in the reactions but not in species="),
        ({"k": 1, "h": 0, "species": "ABA"}, "species 'A' is listed twice; name each species once"),
        ({"k": 1, "h": 0, "species": ["A", "B", "k"]}, "'k' is a species and a rate constant"),
        ({"k": 1, "h": 0, "species": ["A", "B", "c d"]}, "species 'c d' is not a name; use"),
        ({"parameters": {"k": 1}, "k": 1, "h": 0}, "'k' is given in parameters and as a keyword"),
    ],
)  # fmt: skip
def test_bad_values_are_explained(values, message):
    with pytest.raises(NetworkError, match=message):
        ReactionNetwork("A -> B ; k \n B -> A ; (1 - h)*k", **values)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1], [0]], [[0], [1]], [1, 2]), "and 2 rate constants disagree; both matrices are spec"),
        (([[1], [0]], [[0]], [1]), r"reactants \(2, 1\), products \(1, 1\) and 1 rate"),
        (([[1.5], [0]], [[0], [1]], [1]), r"reaction 1 has coefficients \[1.5, 0.0\]; they must"),
        (([[0, 1], [1, 0]], [[0, -1], [0, 0]], [1, 1]), r"reaction 2 has coefficients \[-1, 0\]"),
        (([[math.nan], [0]], [[0], [1]], [1]), r"reaction 1 has coefficients \[nan"),
        (([["x"], ["y"]], [[0], [1]], [1]), r"reaction 1 has coefficients \['x', 'y'\]"),
        (([[1e30], [0]], [[0], [1]], [1]), "molecules of 'S1' react at once; at most 20"),
        (([[1], [0]], [[1], [0]], [1]), "reaction 1 .* changes nothing"),
        (([[1, 1]], [[0, 0]], [1, 1]), "reaction 2 .* repeats reaction 1 'S1 -> 0 ; 1.0'"),
        (([[1], [0]], [[0], [1]], [math.nan]), "reaction 1: rate constant=nan is not finite"),
        (([[1], [0]], [[0], [1]], [-1]), "reaction 1 .*: the rate constant '-1.0' is -1"),
        (([[1], [0]], [[0], [1]], [None]), "reaction 1 has no rate constant; give a number, or a"),
        (([[1], [0]], [[0], [1]], ["exit()"]), r"reaction 1: 'exit\(\)' .* is a function call"),
        (([[1], [0]], [[0], [1]], [1], ["A"]), "1 species names for 2 rows"),
        (([[1], [0]], [[0], [1]], [1], ["A", "A"]), "species 'A' is listed twice; name each"),
        (([[1], [0]], [[0], [1]], [1], ["A b", "B"]), "species 'A b' is not a name; use letters"),
        ((np.zeros((2, 0)), np.zeros((2, 0)), []), "no reaction given"),
    ],
)  # fmt: skip
def test_bad_arrays_are_explained(arguments, message):
    with pytest.raises(NetworkError, match=message):
        ReactionNetwork.from_arrays(*arguments)


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ((("A", 1), ("A", 1)), (), "reaction 1 .* names a species twice on one side"),
        ((("A", 1.5),), (), "the coefficient 1.5 of 'A' is not a whole number"),
        ((("A", 0),), (), "the coefficient 0 of 'A' is not a whole number"),
        ((("A", -1),), (), "'-1 A' is not a species"),
        ((("A", 1),), (("A", 1),), "changes nothing"),
    ],
)
def test_bad_reaction_objects_are_explained(left, right, message):
    with pytest.raises(NetworkError, match=message):
        ReactionNetwork([Reaction(left, right, Expression("k"))])


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"A": 1, "X": 2}, "'X' is not a species of this network; its species are 'A', 'B'"),
        ({"a": 1}, "'a' is not a species"),
        ({"A": -1}, r"counts must be whole numbers, zero or more; got \[-1, 0\]"),
        ({"A": 1.5}, "counts must be whole numbers"),
        ({"A": "3"}, "counts must be whole numbers"),
        ([math.nan, 0], "counts must be whole numbers"),
        ([math.inf, 0], r"counts must be at most 2\^53"),
        ([2**60, 0], r"counts must be at most 2\^53, where floats stop being exact"),
        ([1], r"a state of shape \(1,\) for 2 species; give one count for each of 'A', 'B'"),
        (7, r"a state of shape \(\)"),
        (None, r"a state of shape \(\)"),
    ],
)
def test_bad_states_are_explained(state, message):
    with pytest.raises(NetworkError, match=message):
        SKIN.counts(state)


def test_counts_may_be_whole_floats_and_left_out():
    assert SKIN.counts({"B": 3.0}).tolist() == [0, 3]
    assert SKIN.counts(np.array([2**53, 0])).dtype == np.int64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: SKIN + "A -> 2 A ; r1*lam", "reaction 5 .* repeats reaction 1"),
        (lambda: SKIN + "", "no reaction to add; write for example network"),
        (lambda: SKIN + 5, "5 is no list of reactions"),
        (lambda: SKIN + SKIN, "is no list of reactions"),
        (lambda: SKIN + "A -> C ; B", "'B' is a species and a rate constant"),
        (lambda: SKIN + "r1 -> A ; 1", "'r1' is a species and a rate constant"),
        (lambda: SKIN - "B -> A", "no reaction 'B -> A' in this network; did you mean .*it has 'A"),
        (lambda: SKIN - 4, "no reaction 4; they run from 0 to 3"),
        (lambda: SKIN - -1, "no reaction -1; they run"),
        (lambda: SKIN.without_reactions(0, 1, 2, 3), "removes every reaction; a network needs at"),
        (lambda: SKIN.with_parameters(r3=1), "'r3' is in no rate; the rates use 'r1', 'lam'"),
        (lambda: SKIN.with_parameters(r1=-1), r"reaction 1 .*: the rate constant 'r1\*lam' is"),
        (lambda: SKIN.with_parameters(r1=1), r"reaction 2 .* is -0.08404"),
        (lambda: SKIN.with_volume(0), "volume=0 must be a number above zero"),
        (lambda: SKIN.propensities([1, 1], [1.0]), r"rate_constants of shape \(1,\) for 4"),
    ],
)  # fmt: skip
def test_bad_changes_are_explained(change, message):
    with pytest.raises(NetworkError, match=message):
        change()
