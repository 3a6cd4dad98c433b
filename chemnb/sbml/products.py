"""Rate laws taken apart into factors and terms, to see which are mass action and which reversible."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from math import factorial, isclose, log10, prod

from ..networks.laws import TIME
from .formulas import binary, name, names_in, number

_LARGEST_POWER, _MOST_TERMS = 20, 64


@dataclass(frozen=True)
class Product:
    """A formula as ``number * powers of names * powers of other parts``."""

    top: float = 1.0
    bottom: float = 1.0
    powers: Mapping[str, int] = field(default_factory=dict)
    others: tuple[tuple[ast.expr, int], ...] = ()

    @property
    def number(self) -> float:
        return self.top / self.bottom

    def times(self, other: Product) -> Product:
        powers = dict(self.powers)
        for key, power in other.powers.items():
            powers[key] = powers.get(key, 0) + power
        return Product(
            self.top * other.top,
            self.bottom * other.bottom,
            {key: power for key, power in powers.items() if power},
            self.others + other.others,
        )

    def tree(self) -> ast.expr:
        """Return the product as a formula."""
        parts = [(name(key), power) for key, power in self.powers.items()] + list(self.others)
        above = [_power(part, power) for part, power in parts if power > 0]
        below = [_power(part, -power) for part, power in parts if power < 0]
        value = self.number
        if value and 0 < abs(value) < 1 and isclose(1 / value, round(1 / value), rel_tol=1e-15):
            below.insert(0, number(abs(round(1 / value))))
            value = 1.0 if value > 0 else -1.0
        if value != 1 or not above:
            above.insert(0, number(value))
        result = _multiplied(above)
        return binary(result, ast.Div, _multiplied(below)) if below else result


def product_of(tree: ast.expr) -> Product:
    """Return a formula as a product; a sum is one part of it.

    Examples
    --------
    >>> found = product_of(ast.parse("V*k*(A/V)*(B/V)/2", mode="eval").body)
    >>> found.number, found.powers
    (0.5, {'k': 1, 'A': 1, 'B': 1, 'V': -1})
    """
    return _collect(tree, 1)


def terms_of(tree: ast.expr, is_one: callable) -> list[Product]:
    """Return a formula as a sum of products, sums multiplied out unless ``is_one`` keeps them.

    Examples
    --------
    >>> law = ast.parse("V*(k*A - h*B)/(1 + A)", mode="eval").body
    >>> [ast.unparse(term.tree()) for term in terms_of(law, lambda part: False)]
    ['k * A * V / (1 + A)', '-1 * h * B * V / (1 + A)']
    """
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, (ast.Add, ast.Sub)) and not is_one(tree):
        right = terms_of(tree.right, is_one)
        if isinstance(tree.op, ast.Sub):
            right = [_negated(term) for term in right]
        return terms_of(tree.left, is_one) + right
    whole = product_of(tree)
    for position, (part, power) in enumerate(whole.others):
        is_sum = isinstance(part, ast.BinOp) and isinstance(part.op, (ast.Add, ast.Sub))
        if power == 1 and is_sum and not is_one(part):
            rest = replace(
                whole, others=whole.others[:position] + whole.others[position + 1 :]
            ).tree()
            found = [
                term
                for inner in terms_of(part, is_one)
                for term in terms_of(binary(inner.tree(), ast.Mult, rest), is_one)
            ]
            return found if len(found) <= _MOST_TERMS else [whole]
    return [whole]


def mass_action(
    tree: ast.expr, reactants: Mapping[str, int], varying: Collection[str], powers_too: bool
) -> tuple[dict[str, int], Product] | None:
    """Return how many molecules of each species react, and the rate constant at volume one.

    Only if the formula is exactly ``constant * n(n-1)...`` for each species; otherwise None.

    Parameters
    ----------
    reactants : mapping of species -> coefficient
    varying : collection of str
        Species and the time: names that are not constant.
    powers_too : bool
        Whether n^2 for two molecules that react is read as n(n-1), which it is not.
    """
    whole = product_of(tree)
    constant = Product(whole.top, whole.bottom)
    missing: dict[str, list[int]] = {}
    for key, power in whole.powers.items():
        if key not in varying:
            constant = constant.times(Product(powers={key: power}))
        elif key == TIME:
            return None
        elif power == 1 or (powers_too and power > 1 and power == reactants.get(key)):
            missing.setdefault(key, []).extend(range(power))
        else:
            return None
    for part, power in whole.others:
        if not names_in(part) & set(varying):
            constant = constant.times(Product(others=((part, power),)))
            continue
        found = _less(part, varying) if power == 1 else None
        if found is None:
            return None
        species, less, scale = found
        missing.setdefault(species, []).append(less)
        constant = constant.times(scale)
    if any(sorted(less) != list(range(len(less))) for less in missing.values()):
        return None
    orders = {species: len(less) for species, less in missing.items()}
    ways = prod(factorial(order) for order in orders.values())
    return orders, constant.times(Product(top=float(ways)))


def factors(tree: ast.expr) -> set[str]:
    """Return the names that make a formula zero where they are zero."""
    whole = product_of(tree)
    return {key for key, power in whole.powers.items() if power > 0}


def never_negative(tree: ast.expr, values: Mapping[str, float | None]) -> bool:
    """Return whether a formula is surely zero or more; names without a value are counts or times.

    Examples
    --------
    >>> law = ast.parse("k*A/(1 + A**2)", mode="eval").body
    >>> never_negative(law, {"k": 2.0}), never_negative(law, {"k": -2.0})
    (True, False)
    """

    def sure(part) -> bool:
        return never_negative(part, values)

    if isinstance(tree, ast.Constant):
        return tree.value >= 0
    if isinstance(tree, ast.Name):
        # a parameter that is free is a rate, as everywhere in a network
        return (values.get(tree.id) or 0.0) >= 0
    if isinstance(tree, ast.BinOp):
        if isinstance(tree.op, ast.Pow):
            even = isinstance(tree.right, ast.Constant) and tree.right.value % 2 == 0
            return even or sure(tree.left)
        if isinstance(tree.op, ast.Sub):
            return False
        return sure(tree.left) and sure(tree.right)
    if not isinstance(tree, ast.Call):
        return False
    function, arguments = tree.func.id, tree.args
    if function in ("exp", "sqrt", "abs"):
        return True
    if function in ("floor", "tanh"):
        return sure(arguments[0])
    if function == "max":
        return any(map(sure, arguments))
    if function == "min":
        return all(map(sure, arguments))
    if function == "piecewise":
        return all(map(sure, [*arguments[:-1:2], arguments[-1]]))
    return False


def split(
    tree: ast.expr, values: Mapping[str, float | None], varying: Collection[str]
) -> tuple[ast.expr | None, ast.expr | None] | None:
    """Return a law as the positive and the negative part of a difference, both surely >= 0.

    A part without terms is None; the result is None if the law is no such difference.

    Examples
    --------
    >>> law = ast.parse("k*A - h*B", mode="eval").body
    >>> [ast.unparse(part) for part in split(law, {"k": 1.0, "h": 2.0}, {"A", "B"})]
    ['k * A', 'h * B']
    """

    def sure(part) -> bool:
        return never_negative(part, values)

    # n - 1 of n(n - 1) is no difference of two rates, unless nothing else does
    for is_one in (lambda part: sure(part) or _less(part, varying) is not None, sure):
        terms = terms_of(tree, is_one)
        sides = (
            [t.tree() for t in terms if t.number > 0],
            [_negated(t).tree() for t in terms if t.number < 0],
        )
        every = sides[0] + sides[1]
        if all(sure(t) or (all(sides) and mass_action(t, {}, varying, False)) for t in every):
            return tuple(_summed(side) if side else None for side in sides)
    return None


def moved(right, left, orders) -> dict[str, int] | None:
    """Return the products if ``orders`` react instead of ``left``, with the same change."""
    after = {s: orders.get(s, 0) + right.get(s, 0) - left.get(s, 0) for s in {**right, **orders}}
    after |= {s: -left[s] for s in left if s not in after}
    if any(count < 0 for count in after.values()):
        return None
    return {species: count for species, count in after.items() if count}


def required(left, right, tree: ast.expr) -> tuple[dict[str, int], dict[str, int]]:
    """Return the sides of a rate law without molecules that it does not need.

    A rate law is zero while a reactant is missing. SBML says that only of laws that are, so a
    species on both sides stays on both only where the law is zero without it.
    """
    zero, orders = factors(tree), {}
    for species, count in left.items():
        needed = max(count - right.get(species, 0), 1 if species in zero else 0)
        if needed:
            orders[species] = needed
    return orders, moved(right, left, orders)


# --- inside ----------------------------------------------------------------------------------


def _collect(tree: ast.expr, power: int) -> Product:
    if isinstance(tree, ast.Constant):  # zero to a negative power stays what it is
        if power == 1:
            return Product(top=float(tree.value))
        if tree.value and abs(power) * abs(log10(tree.value)) < 200:
            value = float(tree.value) ** abs(power)
            return Product(top=value) if power > 0 else Product(bottom=value)
    if isinstance(tree, ast.Name):
        return Product(powers={tree.id: power})
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, (ast.USub, ast.UAdd)):
        inner = _collect(tree.operand, power)
        return _negated(inner) if isinstance(tree.op, ast.USub) and power % 2 else inner
    if isinstance(tree, ast.BinOp):
        if isinstance(tree.op, ast.Mult):
            return _collect(tree.left, power).times(_collect(tree.right, power))
        if isinstance(tree.op, ast.Div) and not _is_zero(tree.right):
            return _collect(tree.left, power).times(_collect(tree.right, -power))
        if isinstance(tree.op, ast.Pow) and (whole := _whole(tree.right)):
            if abs(whole * power) <= _LARGEST_POWER and not _is_zero(tree.left):
                return _collect(tree.left, power * whole)
    return Product(others=((tree, power),))


def _less(tree: ast.expr, varying: Collection[str]) -> tuple[str, int, Product] | None:
    """Return (species, j, scale) if a sum is ``scale*(species - j)``, j = 1, 2, ..."""
    parts = terms_of(tree, lambda part: False)
    if len(parts) != 2:
        return None
    counted = [p for p in parts if any(key in varying for key in p.powers)]
    plain = [p for p in parts if p not in counted]
    if len(counted) != 1 or counted[0].others or plain[0].others:
        return None
    species = [key for key in counted[0].powers if key in varying and key != TIME]
    rest = {key: power for key, power in counted[0].powers.items() if key not in varying}
    if len(species) != 1 or counted[0].powers[species[0]] != 1 or rest != dict(plain[0].powers):
        return None
    if not counted[0].number:
        return None
    less = -plain[0].number / counted[0].number
    if round(less) < 1 or not isclose(less, round(less), rel_tol=1e-12):
        return None
    return species[0], round(less), Product(counted[0].top, counted[0].bottom, rest)


def _negated(product: Product) -> Product:
    return replace(product, top=-product.top)


def _is_zero(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Constant) and tree.value == 0


def _whole(tree: ast.expr) -> int | None:
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        inner = _whole(tree.operand)
        return None if inner is None else -inner
    if isinstance(tree, ast.Constant) and tree.value == int(tree.value):
        return int(tree.value)
    return None


def _power(part: ast.expr, power: int) -> ast.expr:
    return part if power == 1 else binary(part, ast.Pow, number(power))


def _multiplied(parts: list[ast.expr]) -> ast.expr:
    result = parts[0]
    for part in parts[1:]:
        result = binary(result, ast.Mult, part)
    return result


def _summed(parts: list[ast.expr]) -> ast.expr:
    result = parts[0]
    for part in parts[1:]:
        result = binary(result, ast.Add, part)
    return result
