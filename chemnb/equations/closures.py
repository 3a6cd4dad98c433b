"""Moment closures: moments above an order, written as polynomials of the moments below it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import product
from math import comb, prod

from ..networks.expressions import closest, listing

# A moment is named by its index, the exponents of the species: (2, 1) is of n_A^2 n_B.
# A polynomial of moments is {monomial: coefficient}, a monomial ((index, power), ...), sorted.
Index = tuple[int, ...]
Monomial = tuple[tuple[Index, int], ...]
Polynomial = dict[Monomial, Fraction]

LOWEST_ORDER = {"mean-field": 1, "zero-cumulant": 1, "normal": 2, "log-normal": 2}


class EquationError(ValueError):
    """Equations that cannot be made or used; the message names the fault and the fix."""


class Closure:
    r"""Writes every moment above an order in terms of the moments up to it.

    - ``mean-field``: central moments above the order vanish (at order 1, fluctuations are
      neglected altogether: ⟨n_A n_B⟩ = ⟨n_A⟩⟨n_B⟩);
    - ``zero-cumulant``: cumulants above the order vanish;
    - ``normal``: central moments above the order are those of the normal distribution with the
      same means and covariances (cumulants above order two vanish);
    - ``log-normal``: raw moments above the order are those of the log-normal distribution with
      the same means and covariances, a product of powers (some negative) of moments; meant for
      order 2, beyond it the solutions can blow up.

    At order 2, ``normal`` and ``zero-cumulant`` are the same. A closure means the same for raw
    and for central moments: the solutions agree after conversion. The means keep the
    conservation laws of the network under each of them, the higher moments need not.

    Parameters
    ----------
    name : str
        One of `LOWEST_ORDER`.
    n_species, order : int
    kind : {"central", "raw"}
        Which moments the polynomials are written in.

    Examples
    --------
    The third raw moment of a normal variable is 3 ⟨n⟩⟨n²⟩ - 2 ⟨n⟩³:

    >>> normal = Closure("normal", 1, 2, "raw")
    >>> {monomial: int(c) for monomial, c in normal((3,)).items()}
    {(((1,), 3),): -2, (((1,), 1), ((2,), 1)): 3}
    """

    def __init__(self, name: str, n_species: int, order: int, kind: str) -> None:
        self.name, self.n_species, self.order, self.kind = name, n_species, order, kind
        # the kind of moment in which the closure is stated
        self._native = "raw" if name == "log-normal" else "central"
        self._cut = 2 if name == "normal" else order
        # caches live and die with the closure
        for method in ("moment", "_from_cumulants", "_cumulant"):
            setattr(self, method, cache(getattr(self, method)))

    def __call__(self, index: Index) -> Polynomial:
        """Return the moment of this index, of the closure's own kind."""
        return self.moment(index, self.kind)

    def moment(self, index: Index, kind: str) -> Polynomial:
        """Return a raw or a central moment in terms of the variables."""
        total = sum(index)
        if total > self.order and kind == self._native:
            return self._closed(index)
        if total == 0:
            return {(): Fraction(1)}
        if total == 1:
            return {} if kind == "central" else {((index, 1),): Fraction(1)}
        if total <= self.order and kind == self.kind:
            return {((index, 1),): Fraction(1)}
        return self._from_other_kind(index, kind)

    def _closed(self, index: Index) -> Polynomial:
        if self.name == "mean-field":
            return {}
        if self.name == "log-normal":
            return self._log_normal(index)
        return self._from_cumulants(index)

    def _from_other_kind(self, index: Index, kind: str) -> Polynomial:
        # n = mean + deviation: E[n^k] = sum_r C(k, r) mean^(k-r) M_r, and back with -mean
        sign, other = (-1, "raw") if kind == "central" else (1, "central")
        result: Polynomial = {}
        for part in below(index):
            rest = subtract(index, part)
            factor = Fraction(sign ** sum(rest) * choose(index, part))
            add(result, self.moment(part, other), factor, powers_of_means(rest))
        return result

    def _from_cumulants(self, index: Index) -> Polynomial:
        """Return a central moment if all cumulants above the cut vanish."""
        if sum(index) <= self._cut:
            return self.moment(index, "central")
        result: Polynomial = {}
        for cumulant, moment, ways in self._splits(index):
            for monomial, c in multiply(self._cumulant(cumulant), moment).items():
                add(result, {monomial: c}, ways)
        return result

    def _cumulant(self, index: Index) -> Polynomial:
        if sum(index) == 1 or sum(index) > self._cut:
            return {}  # cumulants of the deviation from the mean
        result = dict(self.moment(index, "central"))
        for cumulant, moment, ways in self._splits(index):
            if cumulant != index:
                add(result, multiply(self._cumulant(cumulant), moment), -ways)
        return result

    def _splits(self, index: Index) -> Iterator[tuple[Index, Polynomial, Fraction]]:
        # M_k = sum_r C(k-e, r) K_(r+e) M_(k-e-r), e the first species of k
        first = next(i for i, power in enumerate(index) if power)
        unit = unit_index(first, self.n_species)
        rest = subtract(index, unit)
        for part in below(rest):
            cumulant = tuple(a + b for a, b in zip(part, unit, strict=True))
            if sum(cumulant) > 1:
                moment = self._from_cumulants(subtract(rest, part))
                yield cumulant, moment, Fraction(choose(rest, part))

    def _log_normal(self, index: Index) -> Polynomial:
        # E[n^m] = prod_i E[n_i]^(m_i (2 - |m|)) prod_(i<=j) E[n_i n_j]^(pairs of i and j in m)
        total, n = sum(index), self.n_species
        result = {powers_of_means(tuple(m * (2 - total) for m in index)): Fraction(1)}
        for i in range(n):
            for j in range(i, n):
                pairs = comb(index[i], 2) if i == j else index[i] * index[j]
                if pairs:
                    both = tuple((a == i) + (a == j) for a in range(n))
                    second = self.moment(both, "raw")
                    for _ in range(pairs):
                        result = multiply(result, second)
        return result


def check_closure(closure: str, order: int) -> None:
    """Raise an `EquationError` if there is no such closure, or not at this order."""
    if closure not in LOWEST_ORDER:
        raise EquationError(
            f"closure={closure!r} is unknown{closest(str(closure), LOWEST_ORDER)}; "
            f"there are {listing(LOWEST_ORDER)}"
        )
    if order < LOWEST_ORDER[closure]:
        raise EquationError(
            f"closure='{closure}' uses variances and needs order=2 or more; "
            f"at order {order} use 'mean-field'"
        )


def add(
    target: Polynomial, polynomial: Polynomial, factor: Fraction, monomial: Monomial = ()
) -> None:
    """Add factor * monomial * polynomial to ``target``, in place."""
    for other, coefficient in polynomial.items():
        key = times(other, monomial)
        value = target.get(key, 0) + factor * coefficient
        if value:
            target[key] = value
        else:
            target.pop(key, None)


def multiply(a: Polynomial, b: Polynomial) -> Polynomial:
    """Return the product of two polynomials."""
    result: Polynomial = {}
    for monomial, coefficient in a.items():
        add(result, b, coefficient, monomial)
    return result


def times(a: Monomial, b: Monomial) -> Monomial:
    """Return the product of two monomials."""
    if not a or not b:
        return a or b
    powers = dict(a)
    for index, power in b:
        powers[index] = powers.get(index, 0) + power
    return tuple(sorted((index, power) for index, power in powers.items() if power))


def powers_of_means(exponents: Index) -> Monomial:
    """Return the monomial of means with these exponents."""
    n = len(exponents)
    return tuple(sorted((unit_index(i, n), p) for i, p in enumerate(exponents) if p))


def unit_index(i: int, n_species: int) -> Index:
    """Return the index of the mean of species i."""
    return tuple(int(k == i) for k in range(n_species))


def below(index: Index) -> Iterator[Index]:
    """Yield every index that is nowhere larger."""
    return product(*(range(power + 1) for power in index))


def subtract(a: Index, b: Index) -> Index:
    """Return a - b."""
    return tuple(x - y for x, y in zip(a, b, strict=True))


def choose(a: Index, b: Index) -> int:
    """Return the product of the binomial coefficients."""
    return prod(comb(x, y) for x, y in zip(a, b, strict=True) if y)
