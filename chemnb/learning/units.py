"""Units as text: read, multiplied and written, so that coefficients carry theirs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..networks.expressions import closest, listing

Unit = dict[str, int]
"""Base unit -> power; empty for a plain number."""


class UnitError(ValueError):
    """A unit that cannot be read; the message says how to write it."""


_PART = re.compile(r"([^\W\d]\w*|%)(?:\^([+-]?\d+))?")


def read_unit(text: str) -> Unit:
    """Return a unit from text such as ``mM``, ``1/s``, ``mol/L`` or ``mM^-1 s^-1``.

    Raises
    ------
    UnitError
        If the text is no product of named units.

    Examples
    --------
    >>> read_unit("mol/L")
    {'mol': 1, 'L': -1}
    >>> unit_text(read_unit("1/(uM s)"))
    'uM^-1 s^-1'
    """
    above, *below = [part.strip().strip("()") for part in str(text).split("/")]
    result: Unit = {}
    for side, sign in [(above, 1), *((part, -1) for part in below)]:
        for part in side.replace("**", "^").replace("*", " ").split():
            if part == "1":
                continue
            match = _PART.fullmatch(part)
            if match is None:
                raise UnitError(
                    f"the unit '{text}' cannot be read; write a product of names and powers, "
                    "such as 'mM', '1/s' or 'mM^-1 s^-1'"
                )
            name, power = match[1], sign * int(match[2] or 1)
            result[name] = result.get(name, 0) + power
    return {name: power for name, power in result.items() if power}


def unit_text(unit: Unit | None) -> str:
    """Return a unit as text; empty where it is not known.

    Examples
    --------
    >>> unit_text({"mM": 1, "s": -1}), unit_text({}), unit_text(None)
    ('mM s^-1', '1', '')
    """
    if unit is None:
        return ""
    ordered = sorted(unit.items(), key=lambda item: item[1] < 0)
    return " ".join(n if power == 1 else f"{n}^{power}" for n, power in ordered) or "1"


def coefficient_units(library, units: Mapping[str, str], table=None) -> list[str]:
    """Return the unit of the coefficient of each (equation, term) of a table, as text.

    Parameters
    ----------
    library : Library
        Bound to its variables.
    units : mapping of variable -> unit
        ``"time"`` is the unit of time. What is not known gives an empty text.
    table : DataFrame with columns equation and term, optional
        Without it the units are only checked.

    Raises
    ------
    UnitError
        If a unit cannot be read, or a name is no variable.

    Examples
    --------
    >>> import pandas as pd
    >>> from chemnb.learning.monomials import monomials
    >>> table = pd.DataFrame({"equation": ["A", "A"], "term": ["A", "A^2"]})
    >>> coefficient_units(monomials(2).bind(["A"]), {"A": "mM", "time": "s"}, table)
    ['s^-1', 'mM^-1 s^-1']
    """
    for name, unit in units.items():
        if name != "time" and name not in library.names:
            raise UnitError(
                f"units names '{name}'{closest(name, library.names)}; there are "
                f"{listing(library.names)} and 'time'"
            )
        read_unit(unit)
    if table is None:
        return []
    terms = dict(zip(library.labels, library.term_units(units), strict=True))
    return [
        unit_text(product_unit([(units.get(row), 1), (units.get("time"), -1), (terms[term], -1)]))
        for row, term in zip(table["equation"], table["term"], strict=True)
    ]


def product_unit(parts: Iterable[tuple[str | Unit | None, int]]) -> Unit | None:
    """Return the unit of a product of powers; None if one that counts is not known.

    Examples
    --------
    >>> unit_text(product_unit([("mM", 2), ("s", -1), (None, 0)]))
    'mM^2 s^-1'
    """
    result: Unit = {}
    for unit, power in parts:
        if not power:
            continue
        if unit is None:
            return None
        for name, own in (read_unit(unit) if isinstance(unit, str) else unit).items():
            result[name] = result.get(name, 0) + own * int(power)
    return {name: power for name, power in result.items() if power}
