"""What a network is given: names and numbers, each checked and explained where it is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .expressions import NAME, Expression, closest, listing
from .laws import LAW, RESERVED
from .reactions import NetworkError, Reaction, read_rate


def order_species(reactions: Iterable[Reaction], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Return the species in the order of first appearance, or in the order that is wanted."""
    found = tuple(dict.fromkeys(name for reaction in reactions for name in reaction.species))
    if wanted is None:
        return found
    wanted = tuple(wanted)
    if twice := sorted({name for name in wanted if wanted.count(name) > 1}):
        raise NetworkError(f"species {listing(twice)} is listed twice; name each species once")
    if wrong := [name for name in wanted if not NAME.fullmatch(str(name))]:
        raise NetworkError(
            f"species {listing(wrong)} is not a name; use letters, digits and underscores"
        )
    if missing := [name for name in found if name not in wanted]:
        raise NetworkError(
            f"species {listing(missing)} is in the reactions but not in species={list(wanted)}"
        )
    return wanted


def bind(lines, species, given: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return every name of the rates with its value or None, in the order of appearance."""
    names = list(
        dict.fromkeys(n for _, reaction in lines for n in reaction.parameter_names(species))
    )
    for where, reaction in lines:
        _check_names(where, reaction, species, given, names)
    if unused := [name for name in given if name not in names]:
        raise NetworkError(
            f"{listing(unused)} is in no rate{closest(unused[0], names)}; "
            f"the rates use {listing(names) or 'numbers only'}"
        )
    for where, reaction in lines:
        wanted = reaction.parameter_names(species)
        if given and (unknown := [n for n in wanted if n not in given]):
            raise NetworkError(
                f"{where}: the rate constant {listing(unknown)} is unknown"
                f"{closest(unknown[0], given)}; give it a value, {unknown[0]}=0.1, "
                f"or leave it free, {unknown[0]}=None"
            )
    return {name: number(given.get(name), name) for name in names}


def _check_names(where: str, reaction: Reaction, species, given, names) -> None:
    if reaction.is_mass_action:
        if clash := [name for name in reaction.rate.names if name in species]:
            raise NetworkError(
                f"{where}: {listing(clash)} is a species and a rate constant; rename one of them, "
                f"or write the propensity itself, '; {LAW} {reaction.rate}'"
            )
        return
    for name, meaning in RESERVED.items():
        if name in reaction.rate.names and (name in species or name in given or name in names):
            what = "a species" if name in species else "a parameter"
            raise NetworkError(
                f"{where}: '{name}' is {meaning} in a rate law and {what} here; rename it"
            )


def number(value: float | None, name: str) -> float | None:
    """Return a number, or None for a free one; what is no finite number is an error."""
    if value is None:
        return None
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise NetworkError(f"{name}={value!r} is not a number") from None
    if not math.isfinite(result):
        raise NetworkError(f"{name}={value!r} is not finite; give a number of 0 or more")
    return result


def positive(value: float, name: str) -> float:
    """Return a number above zero."""
    checked = number(value, name)
    if checked is None or checked <= 0:
        raise NetworkError(f"{name}={value!r} must be a number above zero")
    return checked


def rate_of(rate: float | str, where: str) -> Expression:
    """Return a rate that was given as a number or as text."""
    if not isinstance(rate, str):
        value = number(rate, f"{where}: rate constant")
        if value is None:
            raise NetworkError(f"{where} has no rate constant; give a number, or a name to fit")
        rate = repr(value)
    return read_rate(rate, where)


def column(matrix: np.ndarray, names: Sequence[str], j: int) -> tuple[tuple[str, int], ...]:
    """Return column j of a coefficient matrix as (species, coefficient) pairs."""
    values = matrix[:, j]
    whole = values.dtype.kind in "iuf" and np.all(values == np.floor(values))
    if not whole or np.any(values < 0):
        raise NetworkError(
            f"reaction {j + 1} has coefficients {values.tolist()}; "
            "they must be whole numbers, zero or more"
        )
    return tuple((name, int(v)) for name, v in zip(names, values, strict=True) if v)
