"""How many molecules are one unit of substance in an SBML model."""

from __future__ import annotations

from .formulas import AVOGADRO, SBMLError

_COUNTED = {"item": 1.0, "dimensionless": 1.0, "mole": AVOGADRO, "avogadro": AVOGADRO}


def molecules_per_unit(model) -> tuple[float, str]:
    """Return the molecules in one unit of substance, and a note that says where it is from.

    Raises
    ------
    SBMLError
        If a unit of substance is a mass, or two elements declare different ones: SBML
        does not convert between them, and a guess would be wrong.
    """
    found = {where: _factor(model, unit, where) for where, unit in _declared(model)}
    if not found:
        return 1.0, (
            "No unit of substance is declared: amounts are taken as molecules, and concentrations "
            "as molecules per unit of compartment size. Give molecules_per_unit if they are moles."
        )
    values = sorted(set(found.values()))
    if max(values) > min(values) * (1 + 1e-9):
        said = "; ".join(f"{where} declares {value:g}" for where, value in found.items())
        raise SBMLError(
            f"units of substance differ, in molecules: {said}; SBML does not convert between them: "
            "use one unit for all, or say what one is with molecules_per_unit"
        )
    where = next(iter(found))
    if values[0] == 1:
        return 1.0, f"Amounts are molecules, as declared by {where}."
    return values[0], (
        f"One unit of substance is {values[0]:.9g} molecules (Avogadro's number is "
        f"{AVOGADRO:.9g} a mole), as declared by {where}; counts are amounts times that."
    )


def _declared(model) -> list[tuple[str, str]]:
    found = []
    if model.getLevel() == 2 and model.getUnitDefinition("substance"):
        found.append(("the unit definition 'substance'", "substance"))
    if model.getLevel() == 3:
        for what, unit in (
            ("substanceUnits", model.getSubstanceUnits()),
            ("extentUnits", model.getExtentUnits()),
        ):
            if unit and not (what == "substanceUnits" and _all_converted(model)):
                found.append((f"the model's {what}", unit))
    for i in range(model.getNumSpecies()):
        species = model.getSpecies(i)
        if _is_converted(model, species):
            continue
        unit = species.getSubstanceUnits()
        if species.isSetSubstanceUnits() and (model.getLevel() == 3 or unit != "substance"):
            found.append((f"species '{species.getId()}'", unit))
    for i in range(model.getNumReactions() if model.getLevel() == 2 else 0):
        law = model.getReaction(i).getKineticLaw()
        if law is not None and law.isSetSubstanceUnits() and law.getSubstanceUnits() != "substance":
            where = f"the kinetic law of reaction '{model.getReaction(i).getId()}'"
            found.append((where, law.getSubstanceUnits()))
    return found


def _is_converted(model, species) -> bool:
    """Whether a species has a unit of its own, with a factor from that of the reactions."""
    return model.getLevel() == 3 and (
        species.isSetConversionFactor() or model.isSetConversionFactor()
    )


def _all_converted(model) -> bool:
    return model.getNumSpecies() > 0 and all(
        _is_converted(model, model.getSpecies(i)) or model.getSpecies(i).isSetSubstanceUnits()
        for i in range(model.getNumSpecies())
    )


def _factor(model, unit: str, where: str) -> float:
    import libsbml

    definition = model.getUnitDefinition(unit)
    if definition is None:
        if unit in _COUNTED:
            return _COUNTED[unit]
        raise SBMLError(
            f"the unit of substance '{unit}' of {where} is no number of molecules; use item or "
            "mole, or say what it is with molecules_per_unit"
        )
    factor, counted = 1.0, 0
    for i in range(definition.getNumUnits()):
        part = definition.getUnit(i)
        kind = libsbml.UnitKind_toString(part.getKind())
        power = part.getExponentAsDouble()
        if kind not in _COUNTED or (kind != "dimensionless" and power != 1):
            raise SBMLError(
                f"the unit of substance '{unit}' of {where} contains {kind}^{power:g}, which is "
                "no number of molecules; use item or mole, or give molecules_per_unit"
            )
        counted += kind in ("item", "mole")
        factor *= (part.getMultiplier() * 10.0 ** part.getScale() * _COUNTED[kind]) ** power
    if counted > 1:
        raise SBMLError(f"the unit of substance '{unit}' of {where} counts molecules twice")
    return factor
