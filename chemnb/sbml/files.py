"""Models in SBML and Antimony as reaction networks in molecule counts.

Of the SBML Test Suite 3.4.0, all levels and versions, 245 of 391 stochastic and 3874 of 9617
semantic files are read, and give what the suite expects; the others have parts that are no reaction
network (events, rate and algebraic rules, no reaction at all, the package distrib, ...) and are
refused by name; none gives another result (``python -m tests.studies.sbml_suite FOLDER``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from ..networks.laws import RateLaw
from ..networks.network import ReactionNetwork
from .conversion import convert
from .elements import Elements, open_document
from .formulas import SBMLError
from .units import molecules_per_unit as units_of
from .writing import write_sbml

__all__ = ["SBMLError", "SBMLModel", "read_antimony", "read_sbml", "write_sbml"]


@dataclass(frozen=True)
class SBMLModel:
    """A model that was read: ``network, initial = read_sbml(...)`` unpacks it.

    Attributes
    ----------
    network : ReactionNetwork
    initial : dict of species -> int
        Molecules at the start.
    reactions : tuple of str
        The id in the model of each reaction of the network; with ``(forward)`` or
        ``(backward)`` where a reversible reaction was split.
    rules : dict of name -> RateLaw
        Quantities that assignment rules define, over the counts.
    notes : tuple of str
        What was converted, chosen or left out, and why. Read them.
    """

    network: ReactionNetwork
    initial: dict[str, int]
    reactions: tuple[str, ...]
    rules: dict[str, RateLaw]
    notes: tuple[str, ...]

    @property
    def parameters(self) -> dict[str, float | None]:
        """Values of the network's parameters; None where the model gives none."""
        return self.network.parameters

    def __iter__(self) -> Iterator:
        return iter((self.network, self.initial))

    def __repr__(self) -> str:
        return f"SBMLModel({self.network!r}, {len(self.notes)} notes)"


def read_sbml(
    source: str | os.PathLike,
    *,
    molecules_per_unit: float | None = None,
    round_counts: bool = False,
    combinatorial: bool = False,
) -> SBMLModel:
    r"""Read a model in SBML as a reaction network in molecule counts.

    Levels 2 and 3 are read, level 1 by way of level 2, and models of models (the package comp)
    are made one.

    The kinetic law of SBML is an amount of substance per time, whether or not it is written with
    the size of the compartment. The propensity is that law times the molecules in a unit of
    substance, with each species as its count: n/V where the species stands for a concentration.
    A law that is exactly a constant times n(n-1)... becomes mass action (Eq. 5), any other is
    kept as a rate law: the deterministic :math:`k n^2` stays what it is. Where species have a
    conversion factor, a count is an amount divided by it, times the molecules in a unit of extent.

    Parameters
    ----------
    source : str or path
        A file, or the text of a model (it begins with ``<``).
    molecules_per_unit : float, optional
        Molecules in one unit of substance (of extent, where they differ); default is what the
        model declares (item or mole), and 1 if it declares nothing. ``6.02214076e23`` if amounts
        are moles.
    round_counts : bool
        Round counts at the start that are not whole even if one changes by more than 1 %.
    combinatorial : bool
        Read :math:`n^\nu` for ν equal molecules that react as n(n-1)...(n-ν+1), for laws that
        were written for rate equations. It changes the law.

    Returns
    -------
    SBMLModel

    Raises
    ------
    SBMLError
        If the model is not valid, or has a part that is not supported: events, rate and algebraic
        rules, delays, fast reactions, stoichiometry that changes or is not whole, compartments
        whose size changes, reversible laws that are no difference of two rates. The message names
        the element.

    Examples
    --------
    >>> model = read_sbml('''<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core"
    ...   level="3" version="1"><model substanceUnits="item" extentUnits="item">
    ...   <listOfCompartments><compartment id="c" size="50" constant="true"/></listOfCompartments>
    ...   <listOfSpecies><species id="A" compartment="c" initialConcentration="2"
    ...     hasOnlySubstanceUnits="false" boundaryCondition="false" constant="false"/>
    ...   </listOfSpecies><listOfParameters><parameter id="k" value="0.1" constant="true"/>
    ...   </listOfParameters><listOfReactions><reaction id="R" reversible="false" fast="false">
    ...   <listOfReactants><speciesReference species="A" stoichiometry="1" constant="true"/>
    ...   </listOfReactants><kineticLaw><math xmlns="http://www.w3.org/1998/Math/MathML"><apply>
    ...   <times/><ci>c</ci><ci>k</ci><ci>A</ci></apply></math></kineticLaw></reaction>
    ...   </listOfReactions></model></sbml>''')
    >>> print(model.network, model.initial, model.network.volume)
    A -> 0 ; k {'A': 100} 50.0
    """
    elements = Elements(open_document(source))
    if molecules_per_unit is None:
        factor, note = units_of(elements.model)
    else:
        factor = float(molecules_per_unit)
        if not 0 < factor < float("inf"):
            raise SBMLError(f"molecules_per_unit={molecules_per_unit!r} must be above zero")
        note = f"One unit of substance is {factor:.9g} molecules, as given by molecules_per_unit."
    return SBMLModel(*convert(elements, factor, note, round_counts, combinatorial))


def read_antimony(text: str, **options) -> SBMLModel:
    """Read a model in Antimony text; needs the package ``antimony``.

    Parameters
    ----------
    text : str
        One model, or several of which the last is read.
    **options
        Those of `read_sbml`.

    Raises
    ------
    SBMLError
        If the text is no Antimony, the package is missing, or `read_sbml` raises it.

    Examples
    --------
    >>> model = read_antimony("A -> B; k*A; k = 0.5; A = 10")  # doctest: +SKIP
    >>> print(model.network, model.initial)  # doctest: +SKIP
    A -> B ; k {'A': 10, 'B': 0}
    """
    try:
        import antimony
    except ImportError:
        raise SBMLError(
            "Antimony text needs the package antimony, which is not installed: pip install antimony"
        ) from None
    antimony.clearPreviousLoads()
    if antimony.loadAntimonyString(text) < 0:
        raise SBMLError(f"the text is no Antimony: {antimony.getLastError().strip()}")
    return read_sbml(antimony.getSBMLString(antimony.getMainModuleName()), **options)
