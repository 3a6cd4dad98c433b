"""From the elements of an SBML model to reactions, each with its propensity in counts."""

from __future__ import annotations

import ast
import keyword

from ..networks.expressions import Expression, ExpressionError
from ..networks.laws import FUNCTIONS, RESERVED, TIME, VOLUME, RateLaw
from ..networks.network import NetworkError, ReactionNetwork
from ..networks.reactions import Reaction
from .elements import Elements, listed
from .formulas import (
    CLOCK,
    SBMLError,
    binary,
    name,
    names_in,
    number,
    replace_names,
    text_of,
)  # fmt: skip
from .products import (
    Product,
    factors,
    mass_action,
    moved,
    never_negative,
    product_of,
    required,
    split,
)

_LARGEST_ROUNDING = 0.01  # of a count; a larger change is an error
_NO_NAMES = {*RESERVED, *FUNCTIONS, "piecewise"}


class NotAtThisVolume(Exception):
    """A rate constant depends on the volume, so that the network must not have one of its own."""


def convert(elements: Elements, factor: float, note: str, round_counts: bool, combinatorial: bool):
    """Return network, counts at the start, reaction ids, rules and notes of a model.

    Where all that reacts is in one compartment, its size is the network's volume V, counted so
    that n/V is a concentration; if that does not fit, sizes are parameters and V is one.
    ``factor`` is the molecules in one unit of the reactions' extent.
    """
    if (vessel := _vessel(elements, factor)) is not None:
        try:
            return _Conversion(elements, factor, vessel, combinatorial).result(note, round_counts)
        except NotAtThisVolume:
            pass
    return _Conversion(elements, factor, None, combinatorial).result(note, round_counts)


def _vessel(elements: Elements, factor: float) -> str | None:
    reacting = _reacting(elements)
    found = {elements.species[s].getCompartment() for s in reacting}
    if len(found) != 1 or any(elements.conversion(s) != 1 for s in reacting):
        return None
    vessel = found.pop()
    size = None
    if elements.compartments[vessel].getSpatialDimensionsAsDouble() != 0:
        size = elements.value(vessel)
    return vessel if size is not None and 0 < size * factor != 1 else None


def _reacting(elements: Elements) -> list[str]:
    """Return the species that reactions change, or would if the change were not zero."""
    named = {
        reference.getSpecies()
        for reaction in elements.reactions.values()
        for side in ("Reactant", "Product")
        for reference in listed(reaction, side)
    }
    return [
        own
        for own, species in elements.species.items()
        if own in named and not species.getBoundaryCondition() and not species.getConstant()
    ]


class _Conversion:
    def __init__(self, elements, factor, vessel, combinatorial) -> None:
        self.elements, self.factor, self.vessel = elements, factor, vessel
        self.combinatorial = combinatorial
        self.moving = _reacting(elements)
        self.notes: list[str] = []
        self.values: dict[str, float | None] = {}  # parameters of the network
        self.taken: dict[str, str] = {}
        self.rule_trees: dict[str, ast.expr] = {}
        self.open_rules: set[str] = set()
        self.reactions: list[Reaction] = []
        self.ids: list[str] = []
        self.lines: set[tuple] = set()
        ids = [*elements.species, *elements.parameters, *elements.compartments]
        self.names = {own: self.new_name(own) for own in ids}
        self.species = [self.names[own] for own in self.moving]
        self.varying = {*self.species, TIME}

    def result(self, note: str, round_counts: bool):
        self.notes.append(note)
        self.describe_volume()
        for own in self.elements.rules:
            self.rule_trees[own] = self.symbol(own, f"the assignment rule of '{own}'")
        for reaction in self.elements.reactions.values():
            self.add(reaction)
        if not self.reactions:
            raise SBMLError("the model has no reaction that changes a species")
        used = {n for r in self.reactions for n in r.parameter_names(self.species)}
        parameters = {n: value for n, value in self.values.items() if n in used}
        volume = 1.0 if self.vessel is None else self.size(self.vessel) * self.factor
        try:
            network = ReactionNetwork(
                self.reactions, parameters, volume=volume, species=self.species
            )
        except NetworkError as error:
            raise SBMLError(f"the model cannot be a reaction network: {error}") from None
        initial = {self.names[own]: self.count(own, round_counts) for own in self.moving}
        rules = {own: self.rule(own, network) for own in self.rule_trees}
        self.describe_rest()
        return network, initial, tuple(self.ids), rules, tuple(dict.fromkeys(self.notes))

    # --- names and symbols ----------------------------------------------------------------

    def new_name(self, own: str) -> str:
        """Return a name that rate laws can have, and note it where it is not the id."""
        fit = own
        while (
            fit in self.taken
            or fit in _NO_NAMES
            or keyword.iskeyword(fit)
            or fit.lower() in ("nan", "inf", "infinity")
        ):
            fit += "_"
        self.taken[fit] = own
        if fit != own:
            self.notes.append(f"'{own}' is called '{fit}', because '{own}' means something else.")
        return fit

    def parameter(self, own: str, value: float | None) -> ast.expr:
        self.values[own] = value
        return name(own)

    def symbol(self, own: str, where: str) -> ast.expr:
        """Return what an id of the model is in the network: over counts, V and parameters."""
        elements = self.elements
        if own == CLOCK:
            return name(TIME)
        if own in elements.rules:
            if own not in self.rule_trees:
                if own in self.open_rules:
                    raise SBMLError(f"the assignment rule of '{own}' depends on itself")
                self.open_rules.add(own)
                self.rule_trees[own] = self.tree(elements.rules[own], where)
            return self.rule_trees[own]
        if own in self.moving:
            count = name(self.names[own])
            compartment = elements.species[own].getCompartment()
            a_unit = number(self.factor / elements.conversion(own))
            if not elements.is_concentration(own):
                return self.over(count, a_unit)
            if compartment == self.vessel:
                return binary(count, ast.Div, name(VOLUME))
            return self.over(self.over(count, self.compartment(compartment, where)), a_unit)
        if own in elements.compartments:
            if own == self.vessel:
                return self.over(name(VOLUME), number(self.factor))
            return self.compartment(own, where)
        if own in elements.parameters or own in elements.species:
            return self.parameter(self.names[own], elements.value(own, where))
        if own in elements.reactions:
            return self.tree(elements.rate(own), where)
        return number(elements.needed(own, where))

    def compartment(self, own: str, where: str) -> ast.expr:
        size = self.elements.size(own, where)
        return number(1) if size == 1 else self.parameter(self.names[own], size)

    def size(self, own: str) -> float:
        return self.elements.size(own, "the network's volume")

    def over(self, tree: ast.expr, divisor: ast.expr) -> ast.expr:
        if isinstance(divisor, ast.Constant) and divisor.value == 1:
            return tree
        return binary(tree, ast.Div, divisor)

    def tree(self, tree: ast.expr, where: str, local: dict | None = None) -> ast.expr:
        local = local or {}
        return replace_names(
            tree, lambda own: local[own] if own in local else self.symbol(own, where)
        )

    # --- reactions --------------------------------------------------------------------------

    def add(self, reaction) -> None:
        own = reaction.getId()
        where = f"the kinetic law of reaction '{own}'"
        left, right = (self.side(reaction, side) for side in ("Reactant", "Product"))
        if all(left.get(s, 0) == right.get(s, 0) for s in {*left, *right}):
            self.notes.append(f"Reaction '{own}' changes no species that can change: left out.")
            return
        tree = self.law(reaction, where)
        if self.as_mass_action(tree, left, right) or never_negative(tree, self.values):
            self.put(own, left, right, tree)
            return
        if not reaction.getReversible():
            self.notes.append(
                f"The law of '{own}' may become negative; a simulation stops with an error if so."
            )
            self.put(own, left, right, tree)
            return
        ways = split(tree, self.values, self.varying)
        if ways is None:
            raise SBMLError(
                f"{where} is that of a reversible reaction, but no difference of two rates that "
                f"are surely zero or more: {text_of(tree)}; write it as forward minus backward, or "
                "set reversible to false if it is never negative"
            )
        if all(ways):
            self.notes.append(
                f"Reversible reaction '{own}' is two reactions, with the positive and the negative "
                "terms of its law: events of both directions happen, not only their difference."
            )
        if ways[0]:
            self.put(f"{own} (forward)", left, right, ways[0])
        if ways[1]:
            self.put(f"{own} (backward)", right, left, ways[1])

    def side(self, reaction, side: str) -> dict[str, int]:
        """Return the species of one side that can change, with whole coefficients."""
        found: dict[str, int] = {}
        for reference in listed(reaction, side):
            own = reference.getSpecies()
            where = f"the stoichiometry of '{own}' in reaction '{reaction.getId()}'"
            if reference.getLevel() == 2 and reference.isSetStoichiometryMath():
                tree = self.elements.reader.read(reference.getStoichiometryMath().getMath(), where)
                value = self.fixed(tree, where)
            elif reference.getId() in self.elements.rules:
                value = self.fixed(self.elements.rules[reference.getId()], where)
            elif reference.getId():
                value = self.elements.needed(reference.getId(), where)
            else:
                value = reference.getStoichiometry()
            if not value == int(value if value == value else 0) or value < 0:
                raise SBMLError(f"{where} is {value:g}; molecules react in whole numbers")
            if own in self.moving and value:
                found[self.names[own]] = found.get(self.names[own], 0) + int(value)
        return found

    def fixed(self, tree: ast.expr, where: str) -> float:
        """Return the number that a formula of constants gives."""
        if moving := sorted(names_in(self.tree(tree, where)) & self.varying):
            raise SBMLError(f"{where} changes with {', '.join(moving)}; it must be constant")
        return self.elements.evaluate(tree, where)

    def law(self, reaction, where: str) -> ast.expr:
        """Return the propensity: the kinetic law, an extent per time, in molecules."""
        law = reaction.getKineticLaw()
        kind = "Parameter" if law.getLevel() == 2 else "LocalParameter"
        local = {}
        tree = self.elements.reader.read(law.getMath(), where)
        used = names_in(tree)
        for parameter in listed(law, kind):
            own = parameter.getId()
            if own in used:
                fit = self.new_name(f"{reaction.getId()}_{own}")
                value = parameter.getValue() if parameter.isSetValue() else None
                local[own] = self.parameter(fit, value)
        tree = self.tree(tree, where, local)
        return tree if self.factor == 1 else binary(number(self.factor), ast.Mult, tree)

    def as_mass_action(self, tree, left, right):
        """Return reactants, products and rate constant if the law is exactly mass action."""
        found = mass_action(tree, left, self.varying, self.combinatorial)
        if found is None:
            return None
        orders, constant = found
        after = moved(right, left, orders)
        if after is None:
            return None
        if self.vessel is not None:
            constant = constant.times(Product(powers={VOLUME: sum(orders.values()) - 1}))
            if constant.powers.get(VOLUME) or any(
                VOLUME in names_in(p) for p, _ in constant.others
            ):
                raise NotAtThisVolume
        others = []
        for part, power in constant.others:
            if any(isinstance(n, ast.Call) for n in ast.walk(part)):
                # a rate constant is arithmetic: what is more becomes its number
                try:
                    value = RateLaw(text_of(part)).evaluate(self.values)
                except ExpressionError:
                    return None
                self.notes.append(f"In a rate constant, {text_of(part)} is its number, {value:g}.")
                part = number(value)
            others.append((part, power))
        constant = Product(constant.top, constant.bottom, constant.powers, tuple(others))
        text = text_of(constant.tree())
        return None if len(text) > Expression.longest else (orders, after, text)

    def put(self, own: str, left, right, tree: ast.expr) -> None:
        """Add one reaction: mass action where the law is exactly that, else a rate law."""
        kinetic = self.as_mass_action(tree, left, right)
        try:
            if kinetic:
                left, right, text = kinetic
                rate = self.rate_constant(text, own)
            else:
                self.describe_law(own, left, right, tree)
                left, right = required(left, right, tree)
                rate = RateLaw(text_of(product_of(tree).tree()))
            made = Reaction(tuple(left.items()), tuple(right.items()), rate)
            while _line(made) in self.lines:  # a network takes a line once
                rate = type(rate)(f"1*({rate.text})")
                made = Reaction(made.reactants, made.products, rate)
        except ExpressionError as error:
            raise SBMLError(f"the kinetic law of reaction '{own}': {error}") from None
        self.lines.add(_line(made))
        self.reactions.append(made)
        self.ids.append(own)

    def rate_constant(self, text: str, own: str) -> Expression:
        rate = Expression(text)
        free = any(self.values[n] is None for n in rate.names)
        value = 0.0 if free else rate.evaluate(self.values)
        if value < 0:
            raise SBMLError(f"the rate constant of reaction '{own}' is {value:g}, below zero")
        return rate

    # --- the rest -------------------------------------------------------------------------------

    def count(self, own: str, round_counts: bool) -> int:
        exact = self.elements.amount(own) * self.factor / self.elements.conversion(own)
        if not 0 <= exact < 2**53:
            raise SBMLError(f"species '{own}' starts with {exact:g} molecules, which cannot be")
        whole = round(exact)
        change = abs(exact - whole)
        if change > _LARGEST_ROUNDING * exact and change > 1e-9 and not round_counts:
            raise SBMLError(
                f"species '{own}' starts with {exact:.9g} molecules, not a whole number; say how "
                "many molecules a unit of substance is with molecules_per_unit, or round with "
                "round_counts=True"
            )
        if change > 1e-9 * max(exact, 1):
            self.notes.append(
                f"The start of '{own}', {exact:.9g} molecules, is rounded to {whole}."
            )
        return whole

    def rule(self, own: str, network: ReactionNetwork) -> RateLaw:
        """Return an assigned quantity over counts, with names that the network knows."""
        known = {*network.species, *network.parameters, TIME, VOLUME}

        def new(other: str) -> ast.expr:
            if other in known or self.values.get(other) is None:
                return name(other)
            return number(self.values[other])

        try:
            return RateLaw(text_of(replace_names(self.rule_trees[own], new)))
        except ExpressionError as error:
            raise SBMLError(f"the assignment rule of '{own}': {error}") from None

    def describe_volume(self) -> None:
        if self.vessel is not None:
            size = self.size(self.vessel)
            molecules = "" if self.factor == 1 else " times the molecules in a unit of substance"
            self.notes.append(
                f"The volume V is the size {size:g} of compartment '{self.vessel}'{molecules}, so "
                "that n/V is a concentration of the model."
            )
        self.notes.append(
            "A kinetic law is an amount of substance per time, as SBML says; it is not multiplied "
            "by the size of a compartment."
        )

    def describe_law(self, own: str, left, right, tree: ast.expr) -> None:
        if mass_action(tree, left, self.varying, True):
            powers = " ".join(f"{s}^{count}" for s, count in left.items() if count > 1)
            self.notes.append(
                f"The law of '{own}' is kept with {powers}: mass action of molecules would have "
                "n(n-1)..., which is another rate; combinatorial=True reads it so."
            )
        for species in left:
            lost = left[species] - right.get(species, 0)
            if lost > 1 or (lost == 1 and species not in factors(tree)):
                self.notes.append(
                    f"The law of '{own}' counts as zero while fewer than {lost} of {species} are "
                    "there."
                )

    def describe_rest(self) -> None:
        elements = self.elements
        for own in elements.rules:
            self.notes.append(
                f"'{own}', defined by an assignment rule, is written out in the laws."
            )
        for own in elements.species:
            if own not in self.moving and own not in elements.rules:
                kind = "a concentration" if elements.is_concentration(own) else "an amount"
                self.notes.append(
                    f"Species '{own}' is changed by no reaction: a parameter, {kind}, if it is used."
                )
        if elements.model.getNumConstraints():
            self.notes.append("Constraints of the model are not watched.")
        if elements.model.getLevel() == 3 and elements.model.getTimeUnits():
            self.notes.append(f"The unit of time is '{elements.model.getTimeUnits()}'.")


def _line(reaction: Reaction):
    return frozenset(reaction.reactants), frozenset(reaction.products), str(reaction.rate)
