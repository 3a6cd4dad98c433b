"""An SBML document opened and checked: what it may not contain, and the values at the start."""

from __future__ import annotations

import ast
import os
from pathlib import Path

from ..networks.expressions import ExpressionError
from ..networks.laws import RateLaw
from .formulas import (
    CLOCK,
    MathReader,
    SBMLError,
    name,
    names_in,
    number,
    replace_names,
    text_of,
)  # fmt: skip


def load_libsbml():
    """Return libSBML, or say how to install it."""
    try:
        import libsbml
    except ImportError:
        raise SBMLError(
            "SBML needs libSBML, which is not installed: pip install python-libsbml"
        ) from None
    return libsbml


def open_document(source: str | os.PathLike):
    """Return a libSBML document from a path, or from text that begins with ``<``."""
    libsbml = load_libsbml()
    if isinstance(source, str) and source.lstrip().startswith("<"):
        document = libsbml.readSBMLFromString(source.lstrip())
    elif Path(source).is_file():
        document = libsbml.readSBMLFromFile(os.fspath(source))
    else:
        raise SBMLError(f"no file '{source}'; give a path, or the text of a model")
    _raise_errors(document, "is no readable SBML")
    if document.getModel() is None:
        raise SBMLError("the document has no model")
    if document.getLevel() == 1 and not document.setLevelAndVersion(2, 4, False):
        raise SBMLError("the model is SBML level 1 and has no like in level 2")
    if document.getLevel() == 3 and document.getPlugin("comp"):
        _flatten(document)
    _refuse(document, document.getModel())
    for unwanted in (libsbml.LIBSBML_CAT_UNITS_CONSISTENCY, libsbml.LIBSBML_CAT_MODELING_PRACTICE):
        document.setConsistencyChecks(unwanted, False)
    document.checkConsistency()
    _raise_errors(document, "breaks the rules of SBML")
    return document


def _raise_errors(document, fault: str) -> None:
    libsbml = load_libsbml()
    errors = [document.getError(i) for i in range(document.getNumErrors())]
    errors = [e for e in errors if e.getSeverity() >= libsbml.LIBSBML_SEV_ERROR]
    if errors:
        said = " ".join(errors[0].getMessage().split())
        raise SBMLError(f"the model {fault}, line {errors[0].getLine()}: {said}")


def _flatten(document) -> None:
    """Make one model of a model of models, where libSBML can."""
    options = load_libsbml().ConversionProperties()
    options.addOption("flatten comp", True)
    options.addOption("performValidation", False)
    before = document.getNumErrors()
    if document.convert(options):
        errors = [document.getError(i) for i in range(before, document.getNumErrors())]
        said = " ".join(errors[-1].getMessage().split()) if errors else "libSBML gives no reason"
        raise SBMLError(f"the submodels of the package 'comp' do not make one model: {said}")


def listed(model, what: str) -> list:
    """Return the elements of one kind: ``listed(model, "Species")``."""
    plural = what if what == "Species" else f"{what}s"
    get = getattr(model, f"get{what}")
    return [get(i) for i in range(getattr(model, f"getNum{plural}")())]


def _refuse(document, model) -> None:
    """Raise an error that names the first element that has no place in a reaction network."""
    if document.getLevel() == 3:
        _refuse_packages(document)
    for position, event in enumerate(listed(model, "Event"), start=1):
        raise SBMLError(
            f"event '{event.getId() or f'number {position}'}': events are not supported; remove "
            "it, or run the model in parts"
        )
    compartments = {c.getId() for c in listed(model, "Compartment")}
    for position, rule in enumerate(listed(model, "Rule"), start=1):
        if rule.isAlgebraic():
            raise SBMLError(f"algebraic rule number {position}: algebraic rules are not supported")
        variable = rule.getVariable()
        if rule.isRate():
            raise SBMLError(
                f"rate rule of '{variable}': rate rules are not supported; write its change as "
                "reactions"
            )
        if variable in compartments:
            raise SBMLError(f"rule of compartment '{variable}': a size that changes is unsupported")
    for species in listed(model, "Species"):
        if model.getLevel() == 2 and species.isSetSpatialSizeUnits():
            raise SBMLError(f"species '{species.getId()}' has spatialSizeUnits of its own")
    for reaction in listed(model, "Reaction"):
        where = f"reaction '{reaction.getId()}'"
        if reaction.isSetFast() and reaction.getFast():
            raise SBMLError(f"{where} is fast, at equilibrium at once: that is not supported")
        law = reaction.getKineticLaw()
        if law is None:
            raise SBMLError(f"{where} has no kinetic law; its rate is unknown")
        if model.getLevel() == 2 and law.isSetTimeUnits() and law.getTimeUnits() != "time":
            raise SBMLError(f"the kinetic law of {where} has a unit of time of its own")


def _refuse_packages(document) -> None:
    known = [document.getPlugin(i) for i in range(document.getNumPlugins())]
    packages = {plugin.getPackageName(): plugin.getURI() for plugin in known}
    packages |= {
        document.getUnknownPackagePrefix(i): document.getUnknownPackageURI(i)
        for i in range(document.getNumUnknownPackages())
    }
    for package, uri in packages.items():
        # libSBML's own package for the formulas of level 3 version 2, which are read
        if document.getPackageRequired(uri) and package != "l3v2extendedmath":
            raise SBMLError(f"the model needs the SBML package '{package}', which is not read")


class Elements:
    """The elements of a model by id, their rules, and their values at the start.

    Attributes
    ----------
    rules, assignments : dict of id -> tree
        Assignment rules and initial assignments.
    species, compartments, parameters : dict of id -> libSBML element
    coefficients : dict of id -> SpeciesReference
        Those that formulas can refer to.
    """

    def __init__(self, document) -> None:
        self.document, self.model = (
            document,
            document.getModel(),
        )  # the model dies with the document
        model = self.model
        functions = {f.getId(): f for f in listed(model, "FunctionDefinition")}
        self.reader = MathReader(functions)
        self.compartments = {c.getId(): c for c in listed(model, "Compartment")}
        self.species = {s.getId(): s for s in listed(model, "Species")}
        self.parameters = {p.getId(): p for p in listed(model, "Parameter")}
        self.reactions = {r.getId(): r for r in listed(model, "Reaction")}
        self.coefficients = {
            reference.getId(): reference
            for reaction in self.reactions.values()
            for side in ("Reactant", "Product")
            for reference in listed(reaction, side)
            if reference.getId()
        }
        self.rules = {
            rule.getVariable(): self.reader.read(
                rule.getMath(), f"the assignment rule of '{rule.getVariable()}'"
            )
            for rule in listed(model, "Rule")
        }
        self.assignments = {
            first.getSymbol(): self.reader.read(
                first.getMath(), f"the initial assignment of '{first.getSymbol()}'"
            )
            for first in listed(model, "InitialAssignment")
        }
        self._values: dict[str, float | None] = {}
        self._open: list[str] = []

    def value(self, own: str, where: str = "the model") -> float | None:
        """Return what an id stands for in formulas at time 0; None if nothing gives a value."""
        if own == CLOCK:
            return 0.0
        if own in self._open:
            raise SBMLError(f"the value of '{own}' depends on itself")
        if own not in self._values:
            self._open.append(own)
            self._values[own] = self._value(own, where)
            self._open.pop()
        return self._values[own]

    def needed(self, own: str, where: str) -> float:
        """Return a value that must be there."""
        found = self.value(own, where)
        if found is None:
            raise SBMLError(f"{self.called(own)} has no value, which {where} needs")
        return found

    def called(self, own: str) -> str:
        """Return an id with its kind, for messages."""
        for kind in ("compartment", "parameter"):
            if own in getattr(self, f"{kind}s"):
                return f"{kind} '{own}'"
        return f"species '{own}'" if own in self.species else f"'{own}'"

    def evaluate(self, tree: ast.expr, where: str) -> float:
        """Return the number that a formula gives at time 0."""
        numbers = replace_names(tree, lambda other: number(self.needed(other, where)))
        try:
            return RateLaw(text_of(numbers)).evaluate({})
        except ExpressionError as error:
            raise SBMLError(f"{where}: {error}") from None

    def is_concentration(self, own: str) -> bool:
        """Whether a species stands for its concentration in formulas."""
        species = self.species[own]
        compartment = self.compartments[species.getCompartment()]
        return (
            not species.getHasOnlySubstanceUnits()
            and compartment.getSpatialDimensionsAsDouble() != 0
        )

    def conversion(self, own: str) -> float:
        """Return the units of substance of a species in one unit of extent, 1 unless declared."""
        if self.model.getLevel() < 3:
            return 1.0
        for element in (self.species[own], self.model):
            if element.isSetConversionFactor():
                where = f"the conversion factor of species '{own}'"
                factor = self.needed(element.getConversionFactor(), where)
                if not 0 < factor < float("inf"):
                    raise SBMLError(f"{where} is {factor:g}; it must be above 0")
                return factor
        return 1.0

    def amount(self, own: str) -> float:
        """Return the amount of a species at the start, in units of substance."""
        where = f"the start of species '{own}'"
        value = self.needed(own, where)
        if self.is_concentration(own):
            value *= self.size(self.species[own].getCompartment(), where)
        return value

    def size(self, compartment: str, where: str) -> float:
        """Return the size of a compartment."""
        size = self.needed(compartment, where)
        if size <= 0:
            raise SBMLError(
                f"compartment '{compartment}' has the size {size:g}; it must be above 0"
            )
        return size

    def _value(self, own: str, where: str) -> float | None:
        if own in self.rules:
            return self.evaluate(self.rules[own], f"the assignment rule of '{own}'")
        if own in self.assignments:
            return self.evaluate(self.assignments[own], f"the initial assignment of '{own}'")
        if own in self.compartments:
            compartment = self.compartments[own]
            return compartment.getSize() if compartment.isSetSize() else None
        if own in self.parameters:
            parameter = self.parameters[own]
            return parameter.getValue() if parameter.isSetValue() else None
        if own in self.species:
            return self._species_value(own)
        if own in self.coefficients:
            return self.coefficients[own].getStoichiometry()
        if own in self.reactions:
            return self.evaluate(self.rate(own), f"the kinetic law of reaction '{own}'")
        raise SBMLError(f"{where} uses the unknown name '{own}'")

    def rate(self, own: str) -> ast.expr:
        """Return the kinetic law of a reaction, its local parameters as numbers."""
        where = f"the kinetic law of reaction '{own}'"
        law = self.reactions[own].getKineticLaw()
        tree = self.reader.read(law.getMath(), where)
        kind = "Parameter" if law.getLevel() == 2 else "LocalParameter"
        local = {p.getId(): p for p in listed(law, kind)}
        if missing := [n for n in names_in(tree) if n in local and not local[n].isSetValue()]:
            raise SBMLError(f"the local parameter '{missing[0]}' of {where} has no value")
        return replace_names(tree, lambda n: number(local[n].getValue()) if n in local else name(n))

    def _species_value(self, own: str) -> float | None:
        species = self.species[own]
        as_concentration = self.is_concentration(own)
        if species.isSetInitialAmount():
            value = species.getInitialAmount()
            convert = -1 if as_concentration else 0
        elif species.isSetInitialConcentration():
            value = species.getInitialConcentration()
            convert = 0 if as_concentration else 1
        else:
            return None
        if not convert:
            return value
        return value * self.size(species.getCompartment(), f"species '{own}'") ** convert
