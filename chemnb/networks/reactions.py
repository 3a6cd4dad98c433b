"""Reactions and the text they are written in: ``A + 2 B -> C ; k`` (Eq. 3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .expressions import NAME, Expression, ExpressionError, symbol_latex
from .laws import LAW, RESERVED, RateLaw

_ARROW = re.compile(r"<->|<=>|⇌|->|→")
_TERM = re.compile(rf"\s*(?P<count>\d+(?:\.\d*)?(?:/\d+)?)?\s*\*?\s*(?P<name>{NAME.pattern})\s*")
_NOTHING = {"0", "∅"}
# 20! is the last factorial that fits into 64 bits
_MOST_REACTANTS, _MOST_PRODUCTS = 20, 10**6


class NetworkError(ValueError):
    """A reaction network that cannot be; the message names the place, the fault and the fix."""


@dataclass(frozen=True)
class Reaction:
    """One reaction of Eq. 3: reactants, products and a rate constant, or a rate law.

    Parameters
    ----------
    reactants, products : tuple of (species, coefficient)
        Stoichiometric coefficients ν and ν' (positive integers), in the order of writing.
    rate : Expression or RateLaw
        An `Expression` is the rate constant k of Eq. 5: a number, a name or arithmetic of names.
        A `RateLaw` is the propensity itself, over counts, parameters, ``t`` and ``V``.

    Examples
    --------
    >>> Reaction((("A", 2),), (("B", 1),), Expression("k"))
    Reaction('2 A -> B ; k')
    >>> Reaction((), (("P", 1),), RateLaw("beta/(1 + R)"))
    Reaction('0 -> P ; law: beta/(1 + R)')
    """

    reactants: tuple[tuple[str, int], ...]
    products: tuple[tuple[str, int], ...]
    rate: Expression

    @property
    def equation(self) -> str:
        """The reaction without its rate, as text that the parser reads back."""
        return f"{_side_text(self.reactants)} -> {_side_text(self.products)}"

    @property
    def species(self) -> tuple[str, ...]:
        """Species of both sides, in the order of writing."""
        return tuple(dict.fromkeys(name for name, _ in self.reactants + self.products))

    @property
    def is_mass_action(self) -> bool:
        """Whether the rate is a constant, so that the propensity is that of Eq. 5."""
        return not isinstance(self.rate, RateLaw)

    def parameter_names(self, species: Iterable[str]) -> tuple[str, ...]:
        """Return the names in the rate that stand for parameters, in the order of writing."""
        if self.is_mass_action:
            return self.rate.names
        return tuple(n for n in self.rate.names if n not in species and n not in RESERVED)

    def __str__(self) -> str:
        return f"{self.equation} ; {self.rate}"

    def __repr__(self) -> str:
        return f"Reaction('{self}')"

    def to_latex(self) -> str:
        """Return the reaction as LaTeX, the rate constant above the arrow."""
        import sympy

        rate = self.rate.to_sympy()
        names = {s: symbol_latex(s.name) for s in rate.free_symbols}
        left, right = (_side_latex(side) for side in (self.reactants, self.products))
        return rf"{left} \xrightarrow{{{sympy.latex(rate, symbol_names=names)}}} {right}"


def read_reactions(reactions: str | Sequence[str | Reaction]) -> list[tuple[str, Reaction]]:
    """Return (place, reaction) pairs, the place worded for error messages."""
    if not isinstance(reactions, (str, Iterable)):
        raise NetworkError(f"{reactions!r} is no list of reactions; write 'A -> B ; k'")
    entries = reactions.splitlines() if isinstance(reactions, str) else reactions
    found: list[tuple[str, Reaction]] = []
    for number, entry in enumerate(entries, start=1):
        if isinstance(entry, Reaction):
            found.append((f"reaction {number} '{entry}'", entry))
            _check_sides(entry.reactants, entry.products, found[-1][0])
            continue
        if not isinstance(entry, str):
            raise NetworkError(f"reaction {number} is {entry!r}; give text or a Reaction")
        line = entry.split("#")[0].strip()
        if line:
            where = f"line {number} '{line}'"
            found += [(where, reaction) for reaction in _read_line(line, where)]
    seen: dict[str, str] = {}
    for where, reaction in found:
        key = f"{canonical(reaction.equation)};{reaction.rate}"
        if key in seen:
            raise NetworkError(
                f"{where} repeats {seen[key]}; write it once, or give it another rate"
            )
        seen[key] = where
    return found


def _read_line(line: str, where: str) -> list[Reaction]:
    equation, separator, rate_text = line.partition(";")
    arrows = _ARROW.findall(equation)
    if len(arrows) != 1:
        fault = "has no arrow" if not arrows else "has more than one arrow"
        raise NetworkError(f"{where} {fault}; write one reaction a line, 'A + B -> C ; k'")
    if not separator or not rate_text.strip():
        raise NetworkError(f"{where} has no rate; put it after a semicolon, 'A -> B ; k'")
    left_text, right_text = _ARROW.split(equation)
    left, right = _read_side(left_text, where), _read_side(right_text, where)
    _check_sides(left, right, where)
    rates = [read_rate(part, where) for part in _split_at_commas(rate_text)]
    wanted = 1 if arrows[0] in ("->", "→") else 2
    if len(rates) != wanted:
        form = "'A -> B ; k'" if wanted == 1 else "'A <-> B ; forward, backward'"
        raise NetworkError(f"{where} has {len(rates)} rate(s) but needs {wanted}: {form}")
    forward = Reaction(left, right, rates[0])
    if wanted == 1:
        return [forward]
    _check_sides(right, left, where)
    return [forward, Reaction(right, left, rates[1])]


def _check_sides(left, right, where: str) -> None:
    if sorted(left) == sorted(right):
        raise NetworkError(f"{where} changes nothing; its two sides are the same")
    for side, limit, verb in ((left, _MOST_REACTANTS, "react"), (right, _MOST_PRODUCTS, "form")):
        if len(dict(side)) < len(side):
            raise NetworkError(f"{where} names a species twice on one side; add the coefficients")
        for name, count in side:
            if count > limit:
                raise NetworkError(
                    f"{where}: {count} molecules of '{name}' {verb} at once; at most {limit} can"
                )


def _read_side(text: str, where: str) -> tuple[tuple[str, int], ...]:
    if text.strip() in _NOTHING:
        return ()
    side: dict[str, int] = {}
    for part in text.split("+"):
        match = _TERM.fullmatch(part)
        if match is None:
            shown = part.strip() or "an empty term"
            raise NetworkError(
                f"{where}: '{shown}' is not a species with a coefficient; "
                "write 'A' or '2 A', and '0' for nothing"
            )
        count = match["count"] or "1"
        if not count.isdigit() or int(count) == 0:
            raise NetworkError(
                f"{where}: the coefficient {count} of '{match['name']}' is not a whole number "
                "of 1 or more; molecules react in whole numbers"
            )
        side[match["name"]] = side.get(match["name"], 0) + int(count)
    return tuple(side.items())


def read_rate(text: str, where: str) -> Expression:
    """Return a rate constant, or a rate law where the text begins with ``law:``."""
    text = text.strip()
    try:
        return RateLaw(text.removeprefix(LAW)) if text.startswith(LAW) else Expression(text)
    except ExpressionError as error:
        hint = f"; a rate law begins with '{LAW}'" if "is a function call" in str(error) else ""
        raise NetworkError(f"{where}: {error}{hint}") from None


def _split_at_commas(text: str) -> list[str]:
    """Return the parts between the commas that stand outside parentheses."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def canonical(equation: str) -> str:
    left, _, right = re.sub(r"<->|<=>|⇌|→", "->", equation).partition("->")
    sides = [sorted(_read_side(side, f"'{equation.strip()}'")) for side in (left, right)]
    return " -> ".join(_side_text(side) for side in sides)


def _side_text(side: Iterable[tuple[str, int]]) -> str:
    return " + ".join(name if count == 1 else f"{count} {name}" for name, count in side) or "0"


def _side_latex(side: Iterable[tuple[str, int]]) -> str:
    return " + ".join(_term_latex(*term) for term in side) or r"\emptyset"


def _term_latex(name: str, count: int) -> str:
    typeset = name if len(name) == 1 else r"\mathrm{" + name.replace("_", r"\_") + "}"
    return typeset if count == 1 else rf"{count}\,{typeset}"
