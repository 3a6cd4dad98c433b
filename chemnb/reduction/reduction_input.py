"""What a reduced model is made of, checked: fast species, formulas, slow coordinates, times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..equations.symbolic import mass_action
from ..networks.expressions import closest, listing
from ..networks.network import ReactionNetwork
from ..networks.slow_coordinates import coordinate_table, slow_coordinates
from .manifold import ReductionError


def check_fast(network: ReactionNetwork, fast: Sequence[str]) -> None:
    """Refuse a set of fast species that cannot be one.

    Raises
    ------
    ReductionError
        If it is empty, holds every species, or one that is unknown or named twice.
    """
    if isinstance(fast, str):
        raise ReductionError(f"fast='{fast}' is a text; give a list of species, ['{fast}']")
    if not len(fast):
        raise ReductionError(
            "no fast species; name some, fast=['C'], or see what chemnb.time_scales finds"
        )
    _check_species(network, fast)
    if len(set(fast)) < len(fast):
        raise ReductionError(f"a fast species is named twice: {listing(fast)}")
    if len(fast) == len(network.species):
        raise ReductionError("all species are fast, so nothing is left to move; leave some slow")


def symbols(network: ReactionNetwork, totals) -> dict:
    """Return the SymPy symbol of every species and of the named conserved totals, by name."""
    from ..equations.typeset import TypesetSymbol, species_latex

    named = {}
    for name in totals:
        species, _, _ = name.rpartition("_T")
        named[name] = TypesetSymbol(name, rf"c_{{{species_latex(species)},T}}")
    return dict(mass_action(network).symbols) | named


def read_manifold(network: ReactionNetwork, manifold: Mapping, known: Mapping) -> dict:
    """Return formulas of the fast species, in the network's own symbols.

    Parameters
    ----------
    manifold : mapping of fast species -> SymPy expression
        Symbols are recognised by their names.
    known : mapping of str -> SymPy symbol
        Of every species and conserved total, see `symbols`.
    """
    import sympy

    allowed = {name: symbol for name, symbol in known.items() if name not in manifold}
    result = {}
    for name, expression in manifold.items():
        expression = sympy.sympify(expression)
        if expression.has(sympy.nan, sympy.oo, sympy.zoo):
            raise ReductionError(f"the formula of '{name}' is not finite: {expression}")
        found = {s.name: s for s in expression.free_symbols}
        names = [*allowed, *network.parameters]
        if unknown := sorted(n for n in found if n not in names):
            raise ReductionError(
                f"the formula of '{name}' has {listing(unknown)} in it"
                f"{closest(unknown[0], names)}; it may depend on {listing(allowed)} and the rate "
                "constants"
            )
        own = {symbol: allowed[n] for n, symbol in found.items() if n in allowed}
        result[name] = expression.xreplace(own)
    return result


def read_coordinates(network: ReactionNetwork, fast: Sequence[str], coordinates):
    """Return L as a table (coordinates x species), one row a slow species.

    Parameters
    ----------
    coordinates : {"total", "species"}, DataFrame, or sequence of mapping of species -> weight
    """
    slow = [name for name in network.species if name not in fast]
    if isinstance(coordinates, str):
        if coordinates not in ("total", "species"):
            raise ReductionError(
                f"coordinates='{coordinates}' is unknown; give 'total', 'species', or a mapping of "
                "species to weights for each slow species"
            )
        if coordinates == "total":
            table = slow_coordinates(network, fast)
        else:
            rows = [[int(name == own) for name in network.species] for own in slow]
            table = coordinate_table(network, rows)
    else:
        if hasattr(coordinates, "iterrows"):
            coordinates = [row.to_dict() for _, row in coordinates.iterrows()]
        for row in coordinates:
            _check_species(network, row)
        rows = [[int(row.get(name, 0)) for name in network.species] for row in coordinates]
        table = coordinate_table(network, rows)
    own = table[slow].to_numpy()
    if len(own) != len(slow):
        raise ReductionError(
            f"{len(own)} coordinates for the slow species {listing(slow)}; give one for each"
        )
    if np.linalg.matrix_rank(own) < len(own):
        raise ReductionError(
            f"the coordinates {listing(table.index)} do not tell the slow species {listing(slow)} "
            "apart; choose other fast species or coordinates='species'"
        )
    return table


def read_times(times) -> np.ndarray:
    """Return times as an array (T,)."""
    values = np.atleast_1d(np.asarray(times, dtype=float))
    good = values.ndim == 1 and len(values) and np.all(np.isfinite(values)) and values[0] >= 0
    if not good or np.any(np.diff(values) <= 0):
        raise ReductionError(f"times={times!r} must be finite, zero or more, and increase")
    return values


def _check_species(network: ReactionNetwork, names) -> None:
    if unknown := [name for name in names if name not in network.species]:
        raise ReductionError(
            f"{listing(unknown)} is not a species of this network"
            f"{closest(str(unknown[0]), network.species)}; there are {listing(network.species)}"
        )
