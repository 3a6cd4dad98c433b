"""SBML in and out: every construct with its propensities in counts, and what is refused."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chemnb as cn
from chemnb.sbml.files import SBMLError, read_antimony, read_sbml, write_sbml
from chemnb.sbml.formulas import AVOGADRO

libsbml = pytest.importorskip("libsbml")

LEVELS = [(2, 1), (2, 3), (2, 4), (2, 5), (3, 1), (3, 2)]
SIDE = re.compile(r"(\d*)\s*([A-Za-z_]\w*)")


def build(
    reactions, species, parameters=None, *, level=(3, 1), compartments=None, rules=None,
    assignments=None, functions=None, change=None, units="item",
):  # fmt: skip
    """Return the text of a model made with libSBML.

    reactions: id -> (equation, law[, local parameters[, reversible]]); species: id -> attributes.
    """
    document = libsbml.SBMLDocument(*level)
    model = document.createModel()
    three = level[0] == 3
    if units and three:
        model.setSubstanceUnits(units)
        model.setExtentUnits(units)
    elif units:
        definition = model.createUnitDefinition()
        definition.setId("substance")
        unit = definition.createUnit()
        unit.setKind(libsbml.UnitKind_forName(units))
    for own, (arguments, body) in (functions or {}).items():
        function = model.createFunctionDefinition()
        function.setId(own)
        function.setMath(libsbml.parseL3Formula(f"lambda({arguments}, {body})"))
    for own, size in (compartments or {"c": 1}).items():
        compartment = model.createCompartment()
        compartment.setId(own)
        compartment.setConstant(True)
        compartment.setSpatialDimensions(3)
        if size is not None:
            compartment.setSize(size)
    for own, a in species.items():
        made = model.createSpecies()
        made.setId(own)
        made.setCompartment(a.get("compartment", "c"))
        made.setHasOnlySubstanceUnits(a.get("only", False))
        made.setBoundaryCondition(a.get("boundary", False))
        made.setConstant(a.get("constant", False))
        if "amount" in a:
            made.setInitialAmount(a["amount"])
        if "concentration" in a:
            made.setInitialConcentration(a["concentration"])
    for own, value in (parameters or {}).items():
        made = model.createParameter()
        made.setId(own)
        made.setConstant(own not in (rules or {}))
        if value is not None:
            made.setValue(value)
    for own, formula in (assignments or {}).items():
        made = model.createInitialAssignment()
        made.setSymbol(own)
        made.setMath(libsbml.parseL3Formula(formula))
    for own, formula in (rules or {}).items():
        made = model.createAssignmentRule()
        made.setVariable(own)
        made.setMath(libsbml.parseL3Formula(formula))
    for own, (equation, law, *more) in reactions.items():
        add_reaction(model, own, equation, law, *more)
    if change:
        change(model)
    return libsbml.writeSBMLToString(document)


def add_reaction(model, own, equation, law, local=None, reversible=False):
    three = model.getLevel() == 3
    made = model.createReaction()
    made.setId(own)
    made.setReversible(reversible)
    made.setFast(False)
    named = set()
    for text, create in zip(
        equation.split("->"), (made.createReactant, made.createProduct), strict=True
    ):
        for count, species in SIDE.findall(text):
            reference = create()
            reference.setSpecies(species)
            reference.setStoichiometry(float(count or 1))
            if three:
                reference.setConstant(True)
            named.add(species)
    formula = libsbml.parseL3Formula(law)
    assert formula is not None, libsbml.getLastParseL3Error()
    kinetic = made.createKineticLaw()
    kinetic.setMath(formula)
    for name, value in (local or {}).items():
        parameter = kinetic.createLocalParameter() if three else kinetic.createParameter()
        parameter.setId(name)
        parameter.setValue(value)
    for i in range(model.getNumSpecies()):
        species = model.getSpecies(i).getId()
        if re.search(rf"\b{species}\b", law) and species not in named | set(local or {}):
            made.createModifier().setSpecies(species)


def amounts(**species):
    return {own: {"amount": n, "only": True} for own, n in species.items()}


def one(law, equation="A -> B", parameters=None, **more):
    """Return a model of one reaction of A and B, amounts 10 and 4, in a vessel of size 1."""
    return read_sbml(
        build({"R": (equation, law)}, amounts(A=10, B=4), parameters or {"k": 2, "h": 3}, **more)
    )


# --- laws and volumes ----------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_concentrations_become_counts(level):
    """cell*k*[A]*[B] with [A] = n/50: 0.1*100*25/50 = 5 events per time."""
    species = {"A": {"concentration": 2}, "B": {"amount": 25}, "C": {"amount": 0}}
    text = build({"R": ("A + B -> C", "cell*k*A*B")},
                 {s: a | {"compartment": "cell"} for s, a in species.items()},
                 {"k": 0.1}, compartments={"cell": 50}, level=level)  # fmt: skip
    network, initial = read_sbml(text)
    assert initial == {"A": 100, "B": 25, "C": 0}
    assert str(network) == "A + B -> C ; k" and network.volume == 50
    assert network.propensities(initial) == pytest.approx([5.0], rel=1e-14)


@pytest.mark.parametrize("level", LEVELS)
def test_a_law_without_the_volume_is_still_substance_per_time(level):
    """k*[A] means k*A/50 molecules per time: SBML does not multiply by the size."""
    text = build({"R": ("A -> B", "k*A")}, {"A": {"amount": 100}, "B": {"amount": 0}},
                 {"k": 3}, compartments={"c": 50}, level=level)  # fmt: skip
    network, initial = read_sbml(text)
    assert network.propensities(initial) == pytest.approx([6.0], rel=1e-14)
    assert str(network) == "A -> B ; k/c" and network.volume == 1


@pytest.mark.parametrize("level", LEVELS)
def test_substance_only_species_are_amounts_in_laws(level):
    species = {"A": {"concentration": 2, "only": True}, "B": {"amount": 3, "only": True}}
    text = build({"R": ("A + B -> A", "k*A*B")}, species, {"k": 0.1},
                 compartments={"c": 50}, level=level)  # fmt: skip
    network, initial = read_sbml(text)
    assert initial == {"A": 100, "B": 3}
    assert network.propensities(initial) == pytest.approx([30.0])
    assert network.propensities({"A": 1, "B": 0}) == [0.0]


def test_two_compartments_have_their_own_sizes():
    """Transport out*k*(A in 'i', size 4; B in 'o', size 20), law k*[A]*o + law h*[B]*i."""
    species = {"A": {"amount": 8, "compartment": "i"}, "B": {"amount": 40, "compartment": "o"}}
    model = read_sbml(build({"out": ("A -> B", "k*A*o"), "in": ("B -> A", "h*B*i + h*A")}, species,
                            {"k": 2, "h": 3}, compartments={"i": 4, "o": 20}))  # fmt: skip
    # 2*(8/4)*20 = 80; 3*(40/20)*4 + 3*8/4 = 30
    assert model.network.propensities(model.initial) == pytest.approx([80.0, 30.0])
    assert model.network.volume == 1 and model.parameters["o"] == 20


def test_michaelis_menten_in_concentrations():
    """V*Vmax*[S]/(Km + [S]), [S] = 30/10: 10*2*3/(1.5 + 3) = 40/3."""
    model = read_sbml(build({"R": ("S -> P", "c*Vmax*S/(Km + S)")},
                            {"S": {"amount": 30}, "P": {"amount": 0}},
                            {"Vmax": 2, "Km": 1.5}, compartments={"c": 10}))  # fmt: skip
    assert model.network.propensities(model.initial) == pytest.approx([40 / 3])
    assert str(model.network) == "S -> P ; law: Vmax*S/(Km + S/V)"


@pytest.mark.parametrize("units", ["mole", None, "item"])
def test_units_of_substance(units):
    """1e-21 mole are 602 molecules; without a declaration they are a number of molecules."""
    amount = 1e-21 if units == "mole" else 602
    text = build({"R": ("2 A -> B", "k*A^2*c"), "S": ("B -> 2 A", "h*B")},
                 {"A": {"amount": amount}, "B": {"amount": 0}}, {"k": 1e-3, "h": 2},
                 compartments={"c": 1e-15}, units=units)  # fmt: skip
    model = read_sbml(text)
    per_unit = AVOGADRO if units == "mole" else 1
    assert model.initial == {"A": 602, "B": 0}
    concentration = 602 / per_unit / 1e-15
    expected = [per_unit * 1e-3 * concentration**2 * 1e-15, 2 * 5 / 1e-15]
    assert model.network.propensities({"A": 602, "B": 5}) == pytest.approx(expected, rel=1e-12)
    said = " ".join(model.notes)
    assert ("Avogadro" in said) == (units == "mole")
    assert ("No unit of substance" in said) == (units is None)


def test_moles_give_second_order_constants_in_molar_units():
    species = {"A": {"concentration": 1e-6}, "B": {"concentration": 2e-6}, "C": {"amount": 0}}
    text = build({"R": ("A + B -> C", "c*k*A*B")}, species, {"k": 1e6},
                 compartments={"c": 1e-15}, units="mole")  # fmt: skip
    model = read_sbml(text)
    assert model.initial == {"A": 602, "B": 1204, "C": 0}
    assert str(model.network) == "A + B -> C ; k"
    assert model.network.volume == pytest.approx(6.02214076e8)
    expected = 1e6 * 602 * 1204 / 6.02214076e8
    assert model.network.propensities(model.initial) == pytest.approx([expected])


def test_nanomoles_and_a_given_number_of_molecules():
    def nano(model):
        definition = model.createUnitDefinition()
        definition.setId("nanomole")
        unit = definition.createUnit()
        unit.setKind(libsbml.UNIT_KIND_MOLE)
        unit.setScale(-9)
        unit.setMultiplier(1)
        unit.setExponent(1)
        model.setSubstanceUnits("nanomole")
        model.setExtentUnits("nanomole")

    reactions, species = {"R": ("A -> B", "k*A")}, amounts(A=1e-12, B=0)
    text = build(reactions, species, {"k": 1}, change=nano)
    assert read_sbml(text).initial["A"] == 602
    assert read_sbml(text, molecules_per_unit=1e15).initial["A"] == 1000
    with pytest.raises(SBMLError, match="above zero"):
        read_sbml(text, molecules_per_unit=0)


def test_counts_at_the_start_are_whole_or_refused():
    def read(amount, **options):
        return read_sbml(build({"R": ("A -> B", "A")}, amounts(A=amount, B=0)), **options)

    assert read(3.0000000001).initial["A"] == 3
    assert read(100.4).initial["A"] == 100 and "rounded" in " ".join(read(100.4).notes)
    with pytest.raises(SBMLError, match="'A' starts with 0.4 molecules"):
        read(0.4)
    assert read(0.4, round_counts=True).initial["A"] == 0
    with pytest.raises(SBMLError, match="-1 molecules"):
        read(-1)


# --- mass action or not ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("equation", "law", "line"),
    [
        ("A -> B", "k*A", "A -> B ; k"),
        ("-> B", "k", "0 -> B ; k"),
        ("A + B -> A", "A*k*B", "A + B -> A ; k"),
        ("2 A -> B", "k*A*(A - 1)/2", "2 A -> B ; k"),
        ("2 A -> B", "k*A*(A - 1)", "2 A -> B ; 2*k"),
        ("3 A -> B", "k*A*(A - 1)*(A - 2)", "3 A -> B ; 6*k"),
        ("2 A -> B", "k*(2*A - 2)*A", "2 A -> B ; 4*k"),
        ("A -> B", "k*A*B", "A + B -> 2 B ; k"),
        ("A -> B", "k*A/(h + 1)", "A -> B ; k/(h + 1)"),
        ("A -> B", "(k + h)^2*A", "A -> B ; (k + h)**2"),
        ("A -> B", "exp(0)*k*A", "A -> B ; k*1"),
        ("2 A -> B", "k*A^2", "2 A -> B ; law: k*A**2"),
        ("2 A -> B", "k*A", "2 A -> B ; law: k*A"),
        ("A -> B", "k*A^2", "A -> B ; law: k*A**2"),
        ("A -> B", "k", "A -> B ; law: k"),
        ("A -> B", "k*A*(A - h)", "A -> B ; law: k*A*(A - h)"),
        ("A -> B", "k*A*(A - 2)", "A -> B ; law: k*A*(A - 2)"),
        ("A -> B", "k*(A + B)", "A -> B ; law: k*(A + B)"),
        ("A + B -> A", "k*B", "B -> 0 ; k"),
        ("A + B -> A", "k*B/(1 + B)", "B -> 0 ; law: k*B/(1 + B)"),
        ("A + B -> A", "k*A*B/(1 + B)", "A + B -> A ; law: k*A*B/(1 + B)"),
    ],
)
def test_mass_action_only_where_it_is_exactly_that(equation, law, line):
    model = one(law, equation)
    assert str(model.network) == line
    for a in range(4):
        for b in range(4):
            state, values = {"A": a, "B": b}, {"A": a, "B": b, "k": 2, "h": 3}
            expected = eval(law.replace("^", "**"), {"exp": math.exp}, values)
            net = sides(equation)
            possible = all(state[s] >= max(0, net[0].get(s, 0) - net[1].get(s, 0)) for s in state)
            if expected >= 0 or not possible:
                found = model.network.propensities({x: state[x] for x in model.network.species})[0]
                assert found == pytest.approx(expected if possible else 0.0)
            else:
                with pytest.raises(cn.NetworkError, match="gives"):
                    model.network.propensities(state)


def sides(equation):
    return [
        {species: int(count or 1) for count, species in SIDE.findall(side)}
        for side in equation.split("->")
    ]


def test_the_deterministic_square_is_kept_and_said():
    model = one("k*A^2", "2 A -> B")
    assert model.network.propensities({"A": 10})[0] == 200.0
    assert any("kept with A^2" in note for note in model.notes)
    assert not any("kept with" in note for note in one("k*A^2/(h + A^2)", "2 A -> B").notes)
    text = build({"R": ("2 A -> B", "k*A^2")}, amounts(A=10, B=0), {"k": 2})
    changed = read_sbml(text, combinatorial=True)
    assert str(changed.network) == "2 A -> B ; 2*k"
    assert changed.network.propensities({"A": 10})[0] == 180.0


def test_pairs_in_concentrations():
    """c*k*[A]*([A] - 1/c) is k n(n - 1)/c: the constant of combinations is 2k."""
    text = build({"R": ("2 A -> B", "c*k*A*(A - 1/c)")},
                 {"A": {"amount": 7}, "B": {"amount": 0}}, {"k": 3}, compartments={"c": 6})  # fmt: skip
    network, initial = read_sbml(text)
    assert str(network) == "2 A -> B ; 2*k" and network.volume == 6
    assert network.propensities(initial) == pytest.approx([3 * 7 * 6 / 6])


def test_equal_reactions_all_happen():
    model = read_sbml(build({f"R{i}": ("A -> B", "k*A") for i in range(3)}, amounts(A=5, B=0),
                            {"k": 2}))  # fmt: skip
    assert model.network.propensities(model.initial).tolist() == [10.0] * 3
    assert model.reactions == ("R0", "R1", "R2")
    assert repr(model).startswith("SBMLModel(ReactionNetwork(2 species, 3 reactions: A, B), ")


# --- reversible reactions ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "forward", "backward"),
    [
        ("k*A - h*B", 20, 12),
        ("k*(A - B/4)", 20, 2),
        ("-(h*B - k*A)", 20, 12),
        ("(k*A - h*B)/(1 + A + B)", 20 / 15, 12 / 15),
        ("k*A*(A - 1)/2 - h*B", 90, 12),
        ("k + h*A - B", 32, 4),
        ("k*(A - 3)", 20, 6),
        ("k*A*exp(-h) - B*abs(k - h)", 20 * math.exp(-3), 4),
    ],
)
def test_differences_are_split(law, forward, backward):
    model = read_sbml(build({"R": ("A -> B", law, {}, True)}, amounts(A=10, B=4),
                            {"k": 2, "h": 3}))  # fmt: skip
    assert model.reactions == ("R (forward)", "R (backward)")
    assert model.network.propensities(model.initial) == pytest.approx([forward, backward])
    assert model.network.stoichiometry.tolist() == [[-1, 1], [1, -1]]


@pytest.mark.parametrize("law", ["k*A", "k*A/(1 + A)", "piecewise(k, A > 2, 0)", "k*A*(A - 1)",
                                 "max(k - h, 0)"])  # fmt: skip
def test_a_reversible_flag_on_a_forward_law_changes_nothing(law):
    """Level 2 says reversible where nothing is said."""
    level = (3, 2) if "max" in law else (2, 4)
    model = read_sbml(build({"R": ("A -> B", law, {}, True)}, amounts(A=10, B=4),
                            {"k": 2, "h": 3}, level=level))  # fmt: skip
    assert model.reactions == ("R",)


@pytest.mark.parametrize("law", ["k*sin(A)", "k*A - ln(B)", "k*(A - B)*(A + 1 - B)", "-k*A"])
def test_a_reversible_law_that_is_no_difference_is_refused(law):
    text = build({"R7": ("A -> B", law, {}, True)}, amounts(A=10, B=4), {"k": 2})
    if law == "k*(A - B)*(A + 1 - B)":
        model = read_sbml(text)  # multiplied out: A*A + A + B*B against 2*A*B + B
        rates = model.network.propensities({"A": 10, "B": 4})
        assert rates[0] - rates[1] == pytest.approx(2 * 6 * 7)
        return
    with pytest.raises(SBMLError, match="reaction 'R7' is"):
        read_sbml(text)


def test_a_law_of_the_way_back_alone_is_one_reaction():
    model = read_sbml(build({"R": ("A -> B", "-k*B", {}, True)}, amounts(A=1, B=4), {"k": 2}))
    assert model.reactions == ("R (backward)",)
    assert str(model.network) == "B -> A ; k"


def test_a_rate_that_grows_with_time_is_no_reactant():
    """The time is a factor of a law, as a species may be, but no molecule."""
    for law in ("k*A*time", "k*A*(time - 1)"):
        model = one(law)
        assert not model.network.is_mass_action and model.network.species == ("A", "B")
        expected = 2 * 10 * (3.0 if law == "k*A*time" else 2.0)
        assert model.network.propensities(model.initial, time=3.0) == pytest.approx([expected])


def test_the_rate_of_a_reaction_in_formulas():
    text = build({"R": ("A -> B", "q*A", {"q": 3}), "S": ("B -> A", "R/2 + f")},
                 amounts(A=10, B=4), {"f": 0}, rules={"f": "R + B"})  # fmt: skip
    model = read_sbml(text)
    assert model.network.propensities(model.initial) == pytest.approx([30.0, 15 + 30 + 4])


def test_a_negative_constant_is_no_nonnegative_rate():
    text = build({"R": ("A -> B", "k*A + h*B", {}, True)}, amounts(A=1, B=1), {"k": 2, "h": -3})
    with pytest.raises(SBMLError, match="reaction 'R'"):
        read_sbml(text)


def test_an_irreversible_law_that_turns_negative_stops_a_run():
    model = one("k*(A - B)", "A -> B")
    assert any("may become negative" in note for note in model.notes)
    assert model.network.propensities({"A": 5, "B": 1}) == [8.0]
    with pytest.raises(cn.NetworkError, match="gives -2"):
        model.network.propensities({"A": 1, "B": 2})


# --- parameters, rules, functions ---------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_local_parameters_shadow_global_ones(level):
    reactions = {
        "R": ("A -> B", "k*A", {"k": 5}),
        "S": ("A -> B", "k*A", {"k": 7}),
        "T": ("B -> A", "k*B"),
        "U": ("A -> B", "X*A", {"X": 11}),  # hides the species
    }
    model = read_sbml(build(reactions, amounts(A=10, B=4, X=3), {"k": 2}, level=level))
    assert model.network.propensities(model.initial).tolist() == [50.0, 70.0, 8.0, 110.0]
    assert model.parameters == {"R_k": 5.0, "S_k": 7.0, "k": 2.0, "U_X": 11.0}


def test_boundary_and_constant_species_stay_as_they_are():
    species = {
        "X": {"concentration": 0.5, "boundary": True},
        "E": {"amount": 6, "constant": True},
        "A": {"amount": 10},
        "Y": {"amount": 0, "boundary": True, "constant": True},
    }
    reactions = {"in": ("X -> A", "k*X*c"), "out": ("A -> Y", "h*A*E"), "none": ("X -> Y", "k")}
    model = read_sbml(build(reactions, species, {"k": 2, "h": 3}, compartments={"c": 2}))
    assert model.network.species == ("A",)
    # 2*0.5*2 and 3*(10/2)*(6/2)
    assert model.network.propensities(model.initial) == pytest.approx([2.0, 45.0])
    assert any("'none' changes no species" in note for note in model.notes)


def test_products_on_both_sides_and_repeated_references():
    text = build({"R": ("A + A + B -> 3 A + B", "k*A*(A - 1)*B")}, amounts(A=3, B=2), {"k": 1})
    model = read_sbml(text)
    assert str(model.network) == "2 A + B -> 3 A + B ; 2*k"
    assert model.network.propensities(model.initial) == [12.0]


def test_assignment_rules_are_written_out_in_any_order():
    rules = {"rate": "k*total", "total": "A + 2*B", "S": "A/2 + time"}
    species = amounts(A=10, B=4) | {"S": {"boundary": True, "amount": 0}}
    text = build({"R": ("A -> B", "rate"), "Q": ("B -> A", "S*B")}, species,
                 {"k": 2, "rate": 0, "total": 0}, rules=rules)  # fmt: skip
    model = read_sbml(text)
    assert model.network.propensities(model.initial, time=3.0) == pytest.approx([36.0, 32.0])
    assert str(model.rules["total"]) == "law: A + 2*B"
    assert model.rules["rate"].evaluate({"A": 10, "B": 4, "k": 2}) == 36.0


def test_assigned_concentrations_and_totals_in_a_vessel():
    text = build({"R": ("A -> B", "c*k*f")}, {"A": {"amount": 30}, "B": {"amount": 0}},
                 {"k": 2, "f": 0}, rules={"f": "A/(1 + A)"}, compartments={"c": 10})  # fmt: skip
    model = read_sbml(text)
    assert model.network.propensities(model.initial) == pytest.approx([10 * 2 * 3 / 4])


@pytest.mark.parametrize("level", LEVELS[1:])
def test_initial_assignments(level):
    text = build({"R": ("A -> B", "k*A")}, {"A": {"concentration": 1}, "B": {"amount": 0}},
                 {"k": 1, "a": 4}, level=level, compartments={"c": 1},
                 assignments={"c": "2*a", "A": "a/c*3", "k": "A*c + ln(1)"})  # fmt: skip
    model = read_sbml(text)
    assert model.initial["A"] == 12 and model.network.volume in (1.0, 8.0)
    assert model.network.propensities(model.initial) == pytest.approx([12 * 12 / 8])


def test_functions_are_written_out():
    functions = {"hill": ("x, K, n", "power(x, n)/(K^n + x^n)"), "twice": ("y", "2*hill(y, 3, 2)")}
    text = build({"R": ("A -> B", "k*twice(A + 1)")}, amounts(A=5, B=0), {"k": 2},
                 functions=functions)  # fmt: skip
    assert read_sbml(text).network.propensities({"A": 5}) == pytest.approx([2 * 2 * 36 / 45])


def test_a_function_argument_hides_names_outside():
    text = build({"R": ("A -> B", "f(k)*A")}, amounts(A=5, B=0), {"k": 2, "x": 100},
                 functions={"f": ("x", "x + 1")})  # fmt: skip
    assert read_sbml(text).network.propensities({"A": 5}) == [15.0]


def test_names_that_mean_something_else_are_changed():
    text = build({"R": ("t -> V", "is*t*V + None*t_")}, amounts(t=3, V=2),
                 {"is": 2, "None": 1, "t_": 4})  # fmt: skip
    model = read_sbml(text)
    assert model.network.species == ("t_", "V_")
    assert model.parameters == {"is_": 2.0, "None_": 1.0, "t__": 4.0}
    assert model.network.propensities([3, 2]) == pytest.approx([16.0])


def test_free_parameters_stay_free():
    model = one("k*A", parameters={"k": None})
    assert model.network.free_parameters == ("k",)
    with pytest.raises(SBMLError, match="parameter 'k' has no value"):
        one("h*A", parameters={"k": None, "h": 1}, assignments={"h": "2*k"})


def test_the_time_in_a_law():
    model = one("k*A*(1 + time)")
    assert model.network.propensities({"A": 10}, time=4.0) == pytest.approx([100.0])


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("2^A", 1024), ("sqrt(A)", math.sqrt(10)), ("root(3, A)", 10 ** (1 / 3)),
        ("log10(A)", 1), ("log(2, A)", math.log2(10)), ("ln(A)", math.log(10)),
        ("exp(-A)", math.exp(-10)), ("abs(3 - A)", 7), ("floor(A/4)", 2), ("ceil(A/4)", 3),
        ("sin(A)^2", math.sin(10) ** 2), ("cosh(A)", math.cosh(10)), ("sinh(A)", math.sinh(10)),
        ("tanh(A)", math.tanh(10)), ("tan(1)", math.tan(1)), ("sec(1)", 1 / math.cos(1)),
        ("csc(1)", 1 / math.sin(1)), ("cot(1)", 1 / math.tan(1)), ("sech(1)", 1 / math.cosh(1)),
        ("pi*exponentiale", math.pi * math.e), ("-A + 2*10", 10), ("-A^2 + 101", 1),
        ("piecewise(1, A < 5, 2, A >= 10, 3)", 2), ("piecewise(1, A < 5 && A > 1, 7)", 7),
        ("piecewise(1, !(A < 5) || B == 4, 7)", 1), ("piecewise(1, xor(A > 1, B > 1), 5)", 5),
        ("piecewise(1, A != 10, 5)", 5), ("piecewise(1, lt(1, A, 11), 5)", 1),
        ("piecewise(1, true, 5)", 1), ("piecewise(1, false, 5)", 5), ("1e-3 + 3.5", 3.501),
        ("A - B - 1", 5), ("A - (B - 1)", 7), ("A/B/2", 1.25), ("A/(B/2)", 5),
        ("A*B^2/(B - 2)", 80), ("2^-A", 2.0**-10), ("(-2)^B", 16),
        ("factorial(4)", 24), ("A*arctan(1)", 2.5 * math.pi), ("arccos(0.5)", math.pi / 3),
        ("arcsech(0.5)", math.acosh(2)), ("piecewise(1, xor(A > 1, B > 1, A > 2), 5)", 1),
        ("piecewise(1, and() && !or() && !xor(), 5)", 1),
    ],
)  # fmt: skip
def test_every_function(formula, value):
    assert one(formula).network.propensities({"A": 10, "B": 4}) == pytest.approx([value])


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("min(A, B, 7)", 4), ("max(A, B)", 10), ("avogadro*1e-23*A", 60.2214076),
        ("quotient(A, B)", 2), ("rem(A, B)", 2), ("rem(-A, B) + 3", 1), ("2 - quotient(1 - A, B)", 4),
        ("piecewise(1, implies(A > 1, B > 9), 5)", 5), ("piecewise(1, implies(A > 11, B > 9), 5)", 1),
    ],
)  # fmt: skip
def test_functions_of_level_3(formula, value):
    assert one(formula, level=(3, 2)).network.propensities([10, 4]) == pytest.approx([value])


# --- what is refused ------------------------------------------------------------------------------


def event(model):
    made = model.createEvent()
    made.setId("pulse")
    made.setUseValuesFromTriggerTime(True)
    trigger = made.createTrigger()
    trigger.setMath(libsbml.parseL3Formula("time > 1"))
    trigger.setPersistent(True)
    trigger.setInitialValue(False)


def rate_rule(model):
    model.getParameter("h").setConstant(False)
    rule = model.createRateRule()
    rule.setVariable("h")
    rule.setMath(libsbml.parseL3Formula("1"))


def algebraic(model):
    model.getParameter("h").setConstant(False)
    model.createAlgebraicRule().setMath(libsbml.parseL3Formula("h - A"))


def growing(model):
    model.getCompartment("c").setConstant(False)
    rule = model.createAssignmentRule()
    rule.setVariable("c")
    rule.setMath(libsbml.parseL3Formula("1 + time"))


def stoichiometry_rule(model):
    reference = model.getReaction("R").getProduct(0)
    reference.setId("nu")
    reference.setConstant(False)
    rule = model.createAssignmentRule()
    rule.setVariable("nu")
    rule.setMath(libsbml.parseL3Formula("1 + time"))


def conversion_factor(model):
    model.getParameter("k").setValue(0)
    model.getSpecies("A").setConversionFactor("k")


def different_units(model):
    model.getSpecies("B").setSubstanceUnits("mole")


def mass_units(model):
    model.setSubstanceUnits("kilogram")
    model.setExtentUnits("kilogram")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (event, "event 'pulse'"),
        (rate_rule, "rate rule of 'h'"),
        (algebraic, "algebraic rule number 1"),
        (growing, "compartment 'c'"),
        (stoichiometry_rule, "stoichiometry of 'B' in reaction 'R' changes with t"),
        (conversion_factor, "the conversion factor of species 'A' is 0"),
        (different_units, "species 'B' declares 6.02214e"),
        (mass_units, "'kilogram' of the model's substanceUnits"),
        (lambda m: m.getReaction("R").setFast(True), "reaction 'R' is fast"),
        (lambda m: m.getReaction("R").unsetKineticLaw(), "reaction 'R' has no kinetic law"),
        (lambda m: m.getReaction("R").getProduct(0).setStoichiometry(0.5), "of 'B' in reaction 'R' is 0.5"),
        (lambda m: m.getReaction("R").getProduct(0).unsetStoichiometry(), "of 'B' in reaction 'R'"),
        (lambda m: m.getReaction("R").getKineticLaw().setMath(
            libsbml.parseL3Formula("delay(A, 2)")), "reaction 'R' uses 'delay'"),
        (lambda m: m.getReaction("R").getKineticLaw().setMath(
            libsbml.parseL3Formula("factorial(A)")), "reaction 'R' uses 'factorial'"),
        (lambda m: m.getReaction("R").getKineticLaw().setMath(
            libsbml.parseL3Formula("piecewise(1, A > 2)")), "no 'otherwise'"),
        (lambda m: m.getReaction("R").getKineticLaw().setMath(
            libsbml.parseL3Formula("missing*A")), "breaks the rules of SBML.*missing"),
        (lambda m: add_reaction(m, "S", "A -> B", "S*2"), "circular dependencies"),
        (lambda m: m.getReaction("R").getKineticLaw().setMath(
            libsbml.parseL3Formula("arccos(2)*A")), "reaction 'R' has a function .* at 2"),
        (lambda m: m.getParameter("k").setValue(-1), "rate constant of reaction 'R' is -1"),
        (lambda m: m.getSpecies("A").unsetInitialAmount(), "species 'A' has no value"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named(change, said):
    with pytest.raises(SBMLError, match=said):
        one("k*A", change=change)


def test_refusals_of_level_2():
    def formula(model):
        math_ = libsbml.StoichiometryMath(2, 4)
        math_.setMath(libsbml.parseL3Formula("k + A"))
        model.getReaction("R").getProduct(0).setStoichiometryMath(math_)

    with pytest.raises(SBMLError, match="of 'B' in reaction 'R' changes with A"):
        one("k*A", change=formula, level=(2, 4))

    def seconds(model):
        model.getReaction("R").getKineticLaw().setTimeUnits("second")

    with pytest.raises(SBMLError, match="reaction 'R' has a unit of time"):
        one("k*A", change=seconds, level=(2, 1))


@pytest.mark.parametrize("formula", ["1 + 2", "k + 1", "2*k - c"])
def test_a_constant_stoichiometry_formula_is_a_number(formula):
    def assigned(model):
        math_ = libsbml.StoichiometryMath(2, 4)
        math_.setMath(libsbml.parseL3Formula(formula))
        model.getReaction("R").getProduct(0).setStoichiometryMath(math_)

    assert str(one("k*A", change=assigned, level=(2, 4)).network) == "A -> 3 B ; k"


def test_a_stoichiometry_with_a_constant_rule_is_a_number():
    def ruled(model):
        reference = model.getReaction("R").getProduct(0)
        reference.setId("nu")
        reference.setConstant(False)
        rule = model.createAssignmentRule()
        rule.setVariable("nu")
        rule.setMath(libsbml.parseL3Formula("k + 1"))

    model = one("k*A*nu", change=ruled)
    assert str(model.network) == "A -> 3 B ; k*(k + 1)"
    assert model.network.propensities([1, 0]) == [6.0]


def test_an_assigned_stoichiometry():
    def named(model):
        reference = model.getReaction("R").getProduct(0)
        reference.setId("nu")
        first = model.createInitialAssignment()
        first.setSymbol("nu")
        first.setMath(libsbml.parseL3Formula("k + 1"))

    assert str(one("k*A*nu", change=named).network) == "A -> 3 B ; 3*k"


def test_a_missing_size_is_named_where_it_is_needed():
    species = {"A": {"amount": 5}, "B": {"amount": 0}}
    with pytest.raises(SBMLError, match="compartment 'c' has no value"):
        read_sbml(build({"R": ("A -> B", "k*A")}, species, {"k": 1}, compartments={"c": None}))
    text = build({"R": ("A -> B", "k*A")}, amounts(A=5, B=0), {"k": 1}, compartments={"c": None})
    assert read_sbml(text).network.propensities({"A": 5}) == [5.0]


def test_no_model_no_file_no_sbml(tmp_path):
    with pytest.raises(SBMLError, match="no file"):
        read_sbml(tmp_path / "none.xml")
    with pytest.raises(SBMLError, match="no readable SBML"):
        read_sbml("<html/>")
    with pytest.raises(SBMLError, match="must contain a <model>"):
        read_sbml(libsbml.writeSBMLToString(libsbml.SBMLDocument(1, 2)))
    with pytest.raises(SBMLError, match="no reaction"):
        read_sbml(build({}, amounts(A=1)))


def test_a_package_that_a_model_needs_is_named():
    text = build({"R": ("A -> B", "A")}, amounts(A=1, B=0), level=(3, 1)).replace(
        'level="3"',
        'xmlns:distrib="http://www.sbml.org/sbml/level3/version1/distrib/version1" '
        'distrib:required="true" level="3"',
    )
    with pytest.raises(SBMLError, match="package 'distrib'"):
        read_sbml(text)


COMP = 'xmlns:comp="http://www.sbml.org/sbml/level3/version1/comp/version1"'


def model_of_models(inside):
    """Return a model with the submodels ``one`` and ``two`` of a decay, and more text inside."""
    decay = build({"R": ("A -> ", "k*A")}, amounts(A=7), {"k": 2}, level=(3, 1))
    body = decay[decay.index("<model") : decay.index("</sbml>")]
    definition = body.replace("<model ", '<comp:modelDefinition id="decay" ', 1).replace(
        "</model>", "</comp:modelDefinition>"
    )
    return f"""<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" {COMP} level="3"
      version="1" comp:required="true"><comp:listOfModelDefinitions>{definition}
      </comp:listOfModelDefinitions><model substanceUnits="item" extentUnits="item">
      <comp:listOfSubmodels><comp:submodel comp:id="one" comp:modelRef="decay"/>
      <comp:submodel comp:id="two" comp:modelRef="decay"/></comp:listOfSubmodels>{inside}
      </model></sbml>"""


def test_a_model_of_models_is_made_one():
    model = read_sbml(model_of_models(""))
    assert model.network.species == ("one__A", "two__A")
    assert model.network.propensities([3, 5]).tolist() == [6.0, 10.0]
    assert model.initial == {"one__A": 7, "two__A": 7}


def test_a_submodel_that_is_in_no_file_is_named():
    text = model_of_models("").replace('modelRef="decay"', 'modelRef="nowhere"')
    with pytest.raises(SBMLError, match="'nowhere'|package 'comp'"):
        read_sbml(text)


def test_level_1_is_read():
    text = """<sbml xmlns="http://www.sbml.org/sbml/level1" level="1" version="2"><model name="m">
      <listOfCompartments><compartment name="c" volume="5"/></listOfCompartments>
      <listOfSpecies><species name="A" compartment="c" initialAmount="20"/>
      <species name="B" compartment="c" initialAmount="0"/></listOfSpecies>
      <listOfParameters><parameter name="k" value="3"/></listOfParameters>
      <listOfReactions><reaction name="R" reversible="false"><listOfReactants>
      <speciesReference species="A"/></listOfReactants><listOfProducts>
      <speciesReference species="B"/></listOfProducts><kineticLaw formula="c*k*A"/></reaction>
      </listOfReactions></model></sbml>"""
    model = read_sbml(text)
    assert str(model.network) == "A -> B ; k" and model.network.volume == 5
    assert model.network.propensities(model.initial) == [60.0]


# --- units of species and of reactions that differ ------------------------------------------------


def test_a_conversion_factor_makes_counts_of_amounts():
    """Reactions in molecules, A in dozens: a law in amounts is a law in counts, 12 times larger."""

    def dozens(model):
        model.getSpecies("A").setConversionFactor("dozen")
        model.getSpecies("A").setSubstanceUnits("dimensionless")

    text = build({"R": ("2 A -> B", "k*A*(A - 1/12)")}, amounts(A=5, B=1),
                 {"k": 4, "dozen": 1 / 12}, change=dozens)  # fmt: skip
    model = read_sbml(text)
    assert model.initial == {"A": 60, "B": 1}
    assert model.network.is_mass_action
    expected = 4 * 5 * (5 - 1 / 12)
    assert model.network.propensities(model.initial) == pytest.approx([expected])


def test_moles_of_species_and_molecules_of_reactions():
    def factor(model):
        model.setSubstanceUnits("mole")
        model.setExtentUnits("item")
        model.setConversionFactor("per")

    text = build({"R": ("A -> ", "k*A")}, amounts(A=50 / AVOGADRO),
                 {"k": 3 * AVOGADRO, "per": 1 / AVOGADRO}, change=factor)  # fmt: skip
    model = read_sbml(text)
    assert model.initial == {"A": 50}
    assert model.network.propensities(model.initial) == pytest.approx([150.0])


def test_a_law_too_long_for_a_rate_law_names_its_reaction():
    with pytest.raises(SBMLError, match="reaction 'R'.*characters"):
        one(" + ".join(f"k*A^{i % 5 + 1}/(h + {i})" for i in range(300)))


# --- against an independent reading of the formulas ------------------------------------------------


def evaluate(node, values):
    """Return the value of a libSBML formula: written for the test alone."""
    kind = node.getType()
    parts = [evaluate(node.getChild(i), values) for i in range(node.getNumChildren())]
    if kind == libsbml.AST_NAME:
        return values[node.getName()]
    if node.isNumber():
        return node.getValue()
    return {
        libsbml.AST_PLUS: lambda: sum(parts),
        libsbml.AST_TIMES: lambda: math.prod(parts),
        libsbml.AST_MINUS: lambda: parts[0] - parts[1] if len(parts) > 1 else -parts[0],
        libsbml.AST_DIVIDE: lambda: parts[0] / parts[1],
        libsbml.AST_POWER: lambda: parts[0] ** parts[1],
        libsbml.AST_FUNCTION_POWER: lambda: parts[0] ** parts[1],
    }[kind]()


NAMES = ["A", "B", "X", "k", "h", "c", "d", "q"]
FORMULAS = st.recursive(
    st.sampled_from([*NAMES, *NAMES, "2", "3", "0.5"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+*-/"), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        inner.map(lambda a: f"{a}^2"),
        inner.map(lambda a: f"{a}*({a} - 1)"),
    ),
    max_leaves=7,
)
SIDES = st.sampled_from(["A -> B", "2 A -> B", "A + B -> A", "-> A", "B -> 3 A", "X + A -> 2 A",
                         "A + B -> B", "A + D -> D"])  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    law=FORMULAS, rule=FORMULAS.filter(lambda f: "q" not in f), equation=SIDES,
    reversible=st.booleans(), only=st.tuples(st.booleans(), st.booleans()),
    sizes=st.tuples(st.sampled_from([1, 2, 7.5]), st.sampled_from([1, 4])),
    homes=st.tuples(st.sampled_from("cd"), st.sampled_from("cd")), level=st.sampled_from(LEVELS),
    per_unit=st.sampled_from([1.0, 8.0]),
)  # fmt: skip
def test_propensities_are_the_formulas(
    law, rule, equation, reversible, only, sizes, homes, level, per_unit
):
    species = {
        "A": {"amount": 5, "only": only[0], "compartment": homes[0]},
        "B": {"amount": 3, "only": only[1], "compartment": homes[1]},
        "X": {"concentration": 0.25, "boundary": True},
        "D": {"amount": 2},
    }
    text = build({"R": (equation, law, {}, reversible)}, species,
                 {"k": 1.5, "h": 0.75, "q": 0.0}, level=level, rules={"q": rule},
                 compartments={"c": sizes[0], "d": sizes[1]})  # fmt: skip
    try:
        network, initial, = model = read_sbml(text, molecules_per_unit=per_unit)  # fmt: skip
    except SBMLError as error:
        # unsure signs of reversible laws, negative constants and divisions by zero are refused
        assert re.search(
            "reversible|rate constant|cannot|number|finite|value|powers|characters", str(error)
        ), error
        return
    document = libsbml.readSBMLFromString(text)
    kinetic = document.getModel().getReaction(0).getKineticLaw().getMath()
    assigned = document.getModel().getRule(0).getMath()
    size = {"c": sizes[0], "d": sizes[1]}
    left, right = sides(equation)
    for a, b in ((5, 3), (0, 4), (1, 1), (2, 0), (12, 7)):
        # what no reaction names keeps its start
        a, b = (
            n if s in network.species else start
            for s, n, start in (("A", a, 5 * per_unit), ("B", b, 3 * per_unit))
        )
        counts = {"A": a, "B": b, "D": 2}
        values = {"k": 1.5, "h": 0.75, "X": 0.25} | size
        for s, n, alone, home in (("A", a, only[0], homes[0]), ("B", b, only[1], homes[1])):
            values[s] = n / per_unit / (1 if alone else size[home])
        try:
            values["q"] = evaluate(assigned, values) if "q" in law else 0.0
            expected = per_unit * evaluate(kinetic, values)
        except (ZeroDivisionError, OverflowError):
            continue
        possible = all(n <= counts.get(s, n) for s, n in left.items())
        if model.reactions == ("R",):
            lost = {s: n - right.get(s, 0) for s, n in left.items() if s in network.species}
            possible = all(counts[s] >= n for s, n in lost.items())
        elif not possible or not all(n <= counts.get(s, n) for s, n in right.items()):
            continue
        here = {s: counts[s] for s in network.species}
        if possible and expected < -1e-9 and len(model.reactions) == 1:
            with pytest.raises(cn.NetworkError, match="gives"):
                network.propensities(here)
            continue
        try:
            found = network.propensities(here)
        except cn.NetworkError as error:
            # what is nan or just below zero by rounding
            assert "gives" in str(error) and abs(expected) < 1e-9, (error, expected)
            continue
        total = found[0] - found[1] if len(found) > 1 else found[0]
        assert total == pytest.approx(expected if possible else 0.0, rel=1e-9, abs=1e-9)


# --- writing -----------------------------------------------------------------------------------------

WRITTEN = {
    "mass action": (
        "2 A + B <-> C ; k, h \n 0 -> A ; b \n 3 B -> 0 ; k*h/2 \n C -> 2 C ; 1.5",
        {"k": 0.3, "h": 2, "b": 5}, 4.0,
    ),
    "laws": (
        "0 -> A ; law: k*K**2/(K**2 + (B/V)**2)*(1 + sin(t)**2) \n A -> B ; law: k \n"
        "2 A -> B ; law: max(A, h)*min(A, B, 3)/(1 + sqrt(A)) \n"
        "B -> 0 ; law: piecewise(k*B, 0 < B <= 5 and not A == 2, exp(-B)*abs(h - B)) \n"
        "A + B -> A ; law: floor(A/2)*B + tanh(B) + log(1 + A)*cos(0)",
        {"k": 2, "K": 1.5, "h": 3}, 2.5,
    ),
    "free": ("A -> B ; k \n B -> 0 ; law: h*B/(1 + B)", {"k": None, "h": 1.0}, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("case", WRITTEN)
def test_written_and_read_again(case, tmp_path):
    text, parameters, volume = WRITTEN[case]
    network = cn.ReactionNetwork(text, parameters, volume=volume)
    start = dict.fromkeys(network.species, 4)
    path = tmp_path / "model.xml"
    assert write_sbml(network, start, path) is None
    document = libsbml.readSBMLFromFile(str(path))
    document.setConsistencyChecks(libsbml.LIBSBML_CAT_UNITS_CONSISTENCY, False)
    document.checkConsistency()
    assert document.getNumErrors(libsbml.LIBSBML_SEV_ERROR) == 0
    model = read_sbml(path)
    assert model.initial == start and model.network.volume == volume
    assert model.network.species == network.species
    own, again = (n.with_parameters({k: 0.7 for k in n.free_parameters})
                  for n in (network, model.network))  # fmt: skip
    states = np.array([[a, b, 3][: len(start)] for a in range(5) for b in range(5)])
    assert again.propensities(states, time=0.4) == pytest.approx(
        own.propensities(states, time=0.4), rel=1e-13
    )
    assert np.array_equal(again.stoichiometry, network.stoichiometry)
    if case != "laws":
        assert model.network == network


def test_a_written_law_is_zero_where_the_network_says_so():
    """The text says it itself: other tools do not know our rule."""
    network = cn.ReactionNetwork("2 A -> B ; law: k", k=2)
    text = write_sbml(network, [4, 0])
    law = libsbml.readSBMLFromString(text)
    formula = libsbml.formulaToL3String(law.getModel().getReaction(0).getKineticLaw().getMath())
    assert formula == "piecewise(k, A >= 2, 0)"


def test_names_that_sbml_does_not_take():
    with pytest.raises(SBMLError, match="'λ' is no name"):
        write_sbml(cn.ReactionNetwork("A -> 0 ; λ", λ=1), [1])
    with pytest.raises(SBMLError, match="'V' is a parameter"):
        write_sbml(cn.ReactionNetwork("A -> 0 ; V", V=1), [1])
    network = cn.ReactionNetwork("vessel -> R1 ; k", k=1, volume=3)
    again = read_sbml(write_sbml(network, [1, 2]))
    assert again.network == network and again.initial == {"vessel": 1, "R1": 2}


def test_a_read_model_runs():
    text = build({"make": ("-> P", "k*c"), "lose": ("P -> ", "h*P*c")}, {"P": {"concentration": 2}},
                 {"k": 3, "h": 1}, compartments={"c": 10})  # fmt: skip
    network, initial = read_sbml(text)
    runs = cn.sample(network, initial, times=[0, 10], runs=4000, seed=1)
    mean = float(runs.mean().sel(species="P").isel(time=-1))
    assert mean == pytest.approx(30, abs=5 * math.sqrt(30 / 4000))


# --- Antimony ------------------------------------------------------------------------------------------


def test_antimony_text():
    pytest.importorskip("antimony")
    model = read_antimony("""
        compartment c = 10;
        species A in c, B in c;
        R: 2 A -> B; c*k*A^2;
        S: B => ; h*B*c;
        A = 5; B = 1; k = 0.2; h = 1;
    """)
    assert model.initial == {"A": 50, "B": 10}
    assert model.network.propensities(model.initial) == pytest.approx([0.2 * 2500 / 10, 10.0])
    with pytest.raises(SBMLError, match="no Antimony"):
        read_antimony("A -> ; ; ( k")


def test_missing_libraries_are_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "libsbml", None)
    monkeypatch.setitem(__import__("sys").modules, "antimony", None)
    with pytest.raises(SBMLError, match="pip install python-libsbml"):
        read_sbml("<sbml/>")
    with pytest.raises(SBMLError, match="pip install antimony"):
        read_antimony("A -> B; k*A")
