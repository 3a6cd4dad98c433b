"""Reaction networks written as SBML."""

from __future__ import annotations

import ast
import os
import re
from math import factorial, prod

from ..networks.expressions import listing
from ..networks.laws import TIME, VOLUME
from ..networks.network import ReactionNetwork
from ..networks.reactions import Reaction
from .elements import load_libsbml
from .formulas import CLOCK, SBMLError, binary, call, name, number, write_math
from .products import factors

_SBML_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def write_sbml(
    network: ReactionNetwork, initial, path: str | os.PathLike | None = None
) -> str | None:
    """Write a network and its counts at the start as SBML level 3 version 1.

    Species are amounts in items (molecules) in one compartment, whose size is the volume V; the
    kinetic laws are the propensities, so that n(n-1)/2 stands for two equal molecules. Where a
    rate law is not zero without a reactant, the condition is written into the law.

    Parameters
    ----------
    network : ReactionNetwork
        Free parameters are written without a value.
    initial : mapping of species -> count, or sequence
    path : str or path, optional
        Where to write; without it, the text is returned.

    Raises
    ------
    SBMLError
        If a name is none that SBML allows, or libSBML is not installed.
    NetworkError
        If the counts are wrong.

    Examples
    --------
    >>> from chemnb.sbml.files import read_sbml
    >>> pairs = ReactionNetwork("2 A <-> B ; k, h", k=3, h=1, volume=10)
    >>> text = write_sbml(pairs, {"A": 20})
    >>> model = read_sbml(text)
    >>> print(model.network, model.initial, model.network == pairs)
    2 A -> B ; k
    B -> 2 A ; h {'A': 20, 'B': 0} True
    """
    libsbml = load_libsbml()
    counts = network.counts(initial)
    names = [*network.species, *network.parameters]
    if wrong := [n for n in names if not _SBML_ID.fullmatch(n)]:
        raise SBMLError(
            f"{listing(wrong)} is no name in SBML; use letters a to z, digits and underscores"
        )
    if both := [n for n in network.species if n in network.parameters]:
        raise SBMLError(f"{listing(both)} is a species and a parameter; SBML needs two names")
    if VOLUME in network.parameters:
        raise SBMLError(f"'{VOLUME}' is a parameter here and the volume in SBML's laws; rename it")
    document = libsbml.SBMLDocument(3, 1)
    model = document.createModel()
    _set(model, SubstanceUnits="item", ExtentUnits="item")
    vessel = _free("vessel", names)
    _set(
        model.createCompartment(),
        Id=vessel, Size=network.volume, SpatialDimensions=3, Constant=True,
    )  # fmt: skip
    for own, count in zip(network.species, counts, strict=True):
        _set(
            model.createSpecies(),
            Id=own, Compartment=vessel, InitialAmount=float(count), SubstanceUnits="item",
            HasOnlySubstanceUnits=True, BoundaryCondition=False, Constant=False,
        )  # fmt: skip
    for own, value in network.parameters.items():
        parameter = model.createParameter()
        _set(parameter, Id=own, Constant=True)
        if value is not None:
            _set(parameter, Value=value)
    for position, reaction in enumerate(network.reactions, start=1):
        own = _free(f"R{position}", [*names, vessel])
        _write_reaction(model.createReaction(), own, reaction, network, vessel)
    text = libsbml.writeSBMLToString(document)
    if path is None:
        return text
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return None


def propensity_tree(reaction: Reaction) -> ast.expr:
    """Return the propensity of a reaction over counts, parameters, the time and the volume.

    Examples
    --------
    >>> ast.unparse(propensity_tree(ReactionNetwork("2 A + B -> C ; k").reactions[0]))
    'k * A * (A - 1) * B / (2 * V ** 2)'
    """
    if not reaction.is_mass_action:
        law = reaction.rate.tree
        zero = factors(law)
        wanted = [
            ast.Compare(name(species), [ast.GtE()], [number(count)])
            for species, count in reaction.reactants
            if count > 1 or species not in zero
        ]
        if not wanted:
            return law
        condition = wanted[0] if len(wanted) == 1 else ast.BoolOp(ast.And(), wanted)
        return call("piecewise", law, condition, number(0))
    tree, order = reaction.rate.tree, 0
    for species, count in reaction.reactants:
        order += count
        for less in range(count):
            part = binary(name(species), ast.Sub, number(less)) if less else name(species)
            tree = binary(tree, ast.Mult, part)
    if order == 0:
        return binary(tree, ast.Mult, name(VOLUME))
    below = []
    if (ways := prod(factorial(count) for _, count in reaction.reactants)) > 1:
        below.append(number(ways))
    if order > 1:
        volume = name(VOLUME)
        below.append(volume if order == 2 else binary(volume, ast.Pow, number(order - 1)))
    if not below:
        return tree
    return binary(
        tree, ast.Div, below[0] if len(below) == 1 else binary(below[0], ast.Mult, below[1])
    )


# --- inside ----------------------------------------------------------------------------------


def _write_reaction(made, own: str, reaction: Reaction, network, vessel: str) -> None:
    _set(made, Id=own, Reversible=False, Fast=False)
    for side, create in ((reaction.reactants, made.createReactant),
                         (reaction.products, made.createProduct)):  # fmt: skip
        for species, count in side:
            _set(create(), Species=species, Stoichiometry=float(count), Constant=True)
    tree = propensity_tree(reaction)
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for species in network.species:
        if species in named and species not in dict(reaction.reactants):
            _set(made.createModifier(), Species=species)
    # in a rate constant, t and V are parameters like any other
    special = {VOLUME: vessel} if reaction.is_mass_action else {VOLUME: vessel, TIME: CLOCK}
    made.createKineticLaw().setMath(write_math(tree, lambda n: special.get(n, n)))


def _set(element, **attributes) -> None:
    libsbml = load_libsbml()
    for attribute, value in attributes.items():
        if getattr(element, f"set{attribute}")(value) != libsbml.LIBSBML_OPERATION_SUCCESS:
            raise SBMLError(f"libSBML does not take {attribute} = {value!r}")


def _free(wanted: str, taken: list[str]) -> str:
    while wanted in taken:
        wanted += "_"
    return wanted
