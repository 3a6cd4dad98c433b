"""Fast equations solved in symbols: steady states of the fast species, and which root is real.

This module imports SymPy; import it inside functions, so that ``import chemnb`` stays quick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import factorial, prod

import numpy as np
import sympy

from ..networks.network import ReactionNetwork
from ..networks.slow_coordinates import Direction, directions, totals

_SAMPLES, _SEED = 40, 1913  # random states at which the roots are compared


class NoClosedForm(Exception):
    """The fast equations have no formula as their solution."""


class FastEquations:
    """The algebraic equations that the fast species obey.

    Parameters
    ----------
    network : ReactionNetwork
    fast : sequence of str
    symbols : mapping of str -> SymPy symbol
        Of every species and conserved total.
    equilibrated : sequence of Direction, optional
        Reactions in partial equilibrium. By default all fast species are in a steady state.

    Attributes
    ----------
    equations : list of SymPy expression
        Each is zero on the slow manifold; the conserved totals come last.
    relaxation : ndarray (fast species, reactions)
        How the reactions that count as fast change the fast species.
    """

    def __init__(
        self,
        network: ReactionNetwork,
        fast: Sequence[str],
        symbols: Mapping,
        equilibrated: Sequence[Direction] | None = None,
    ) -> None:
        self.network, self.fast, self.symbols = network, tuple(fast), symbols
        self.unknowns = [symbols[name] for name in fast]
        self._fluxes = [self._flux(j) for j in range(len(network.reactions))]
        places = [network.species.index(name) for name in fast]
        self.relaxation = network.stoichiometry[places].copy()
        if equilibrated is None:
            self.balances = self._steady_balances()
        else:
            others = set(self._numbers) - {j for d in equilibrated for j in d.senses}
            self.relaxation[:, sorted(others)] = 0
            self.balances = [[d.senses.get(j, 0) for j in self._numbers] for d in equilibrated]
        self.laws = totals(network, fast)
        self.equations = [
            sum(w * flux for w, flux in zip(row, self._fluxes, strict=True))
            for row in self.balances
        ] + [
            sum(w * symbols[s] for s, w in law.items()) - symbols[name]
            for name, law in self.laws.items()
        ]

    def solutions(self) -> list[dict]:
        """Return every solution, as fast species -> SymPy expression.

        Raises
        ------
        NoClosedForm
            If a polynomial of a higher degree than two is left, or nothing is determined.
        """
        found = _eliminate(self.equations, self.unknowns)
        return [{name: simplified(one[self.symbols[name]]) for name in self.fast} for one in found]

    def physical(self, solutions: Sequence[dict]) -> list[dict]:
        """Return the solutions that are never negative, and stable if there are several.

        They are tried at random positive states. Rate constants keep their values, if they have
        any.
        """
        rng = np.random.default_rng(_SEED)
        values = {k: v for k, v in self.network.parameters.items() if v is not None}
        formulas = [e for one in solutions for e in one.values()] + list(self._jacobian)
        names = {s for e in formulas for s in e.free_symbols} - {*self.unknowns}
        samples = [
            {s: values.get(s.name, 10 ** rng.uniform(-1.5, 1.5)) for s in sorted(names, key=str)}
            for _ in range(_SAMPLES)
        ]
        kept = [one for one in solutions if all(_nonnegative(one, x) for x in samples)]
        if len(kept) > 1:
            kept = [one for one in kept if all(self._stable(one, x) for x in samples)]
        return kept

    # --- inside ----------------------------------------------------------------------------

    @property
    def _numbers(self) -> range:
        return range(len(self.network.reactions))

    def _flux(self, j: int):
        """Return φ_j (SymPy), numbers in it as fractions."""
        reaction = self.network.reactions[j]
        powers = (self.symbols[name] ** order for name, order in reaction.reactants)
        multiplicity = prod(factorial(order) for _, order in reaction.reactants)
        return exact(reaction.rate.to_sympy()) * sympy.Mul(*powers) / multiplicity

    def _steady_balances(self) -> list[list]:
        """Return what U_F φ = 0 says, in as few net rates an equation as possible."""
        places = [self.network.species.index(name) for name in self.fast]
        ways = [d for d in directions(self.network) if any(d.change[i] for i in places)]
        changes = sympy.Matrix([[d.change[i] for d in ways] for i in places])
        rows, _ = changes.rref()
        return [
            [
                sum(w * d.senses.get(j, 0) for w, d in zip(row, ways, strict=True))
                for j in self._numbers
            ]
            for row in rows.tolist()
            if any(row)
        ]

    @cached_property
    def _jacobian(self):
        """d(dc_F/dt)/dc_F, a SymPy matrix."""
        rates = sympy.Matrix(self.relaxation.tolist()) * sympy.Matrix(self._fluxes)
        return rates.jacobian(self.unknowns)

    def _stable(self, solution: Mapping, sample: Mapping) -> bool:
        numbers = _floats(sample)
        state = {self.symbols[name]: e.xreplace(numbers) for name, e in solution.items()}
        matrix = self._jacobian.xreplace(numbers).xreplace(state)
        values = np.linalg.eigvals(np.array(matrix.evalf().tolist(), dtype=complex))
        return values.real.max() <= 1e-9 * np.abs(values).max()


def first_order(network: ReactionNetwork, manifold: Mapping, symbols: Mapping, rates: Mapping):
    r"""Return the first-order correction δ of a slow manifold g (SymPy), by fast species.

    :math:`(J_{FF} - Dg\,J_{sF})\,δ = Dg\,f_s` with the conserved totals left alone: one step of
    Newton's method for the manifold that the flow keeps.

    Parameters
    ----------
    manifold : mapping of fast species -> SymPy expression
    rates : mapping of species -> SymPy expression
        dc/dt of the full network.
    """
    fast = list(manifold)
    slow = [name for name in network.species if name not in manifold]
    unknowns, variables = ([symbols[n] for n in group] for group in (fast, slow))
    put_in = dict(zip(unknowns, manifold.values(), strict=True))
    bend = sympy.Matrix(list(manifold.values())).jacobian(variables)
    f_fast, f_slow = (sympy.Matrix([exact(rates[n]) for n in group]) for group in (fast, slow))
    drift = bend * f_slow.xreplace(put_in).applyfunc(_cancelled)
    matrix = (f_fast.jacobian(unknowns) - bend * f_slow.jacobian(unknowns)).xreplace(put_in)
    laws = totals(network, fast)
    weights = sympy.Matrix([[w.get(n, 0) for n in fast] for w in laws.values()])
    # what the laws allow to change, and as many rows
    free = sympy.Matrix.hstack(*weights.nullspace()) if laws else sympy.eye(len(fast))
    rows = list(free.T.rref()[1])
    matrix = (matrix.extract(rows, range(len(fast))) * free).applyfunc(_cancelled)
    drift = drift.extract(rows, [0]).applyfunc(_cancelled)
    step = free * sympy.Matrix([simplified(x) for x in _solve(matrix.tolist(), list(drift))])
    return {name: simplified(value) for name, value in zip(fast, step, strict=True)}


def exact(expression):
    """Return a formula with its decimal numbers as fractions."""
    numbers = expression.atoms(sympy.Float)
    return expression.xreplace({x: sympy.Rational(str(x)) for x in numbers})


def simplified(expression):
    """Return a formula in a short form; a long one as it is, since that could take minutes."""
    short = _cancelled(expression)
    if sympy.count_ops(short) <= 200:
        short = sympy.factor(short)
    return min(expression, short, key=sympy.count_ops)


def _cancelled(expression):
    # common divisors of polynomials become dear with their length and their number of names
    names = len(expression.free_symbols)
    if sympy.count_ops(expression) * 2 ** max(names - 6, 0) > 4000:
        return expression
    if any(not power.exp.is_Integer for power in expression.atoms(sympy.Pow)):
        return sympy.together(expression)
    return sympy.cancel(sympy.together(expression))


def _eliminate(equations: Sequence, unknowns: Sequence) -> list[dict]:
    """Return all solutions of polynomial equations, by elimination of one unknown at a time."""
    equations = [e for e in (_numerator(e) for e in equations) if e != 0]
    if not unknowns:
        return [{}] if not equations else []
    if len(equations) < len(unknowns):
        raise NoClosedForm("undetermined")
    if all(sympy.Poly(e, *unknowns).total_degree() <= 1 for e in equations):
        return _linear(equations, unknowns)
    for equation in equations:
        own = [u for u in unknowns if equation.has(u)]
        if len(own) == 1:
            roots = _roots(sympy.Poly(equation, own[0]))
            return _go_on(equations, unknowns, own[0], roots, equation)
    # linear in an unknown: best one that a number multiplies, as in a law: nothing can vanish
    choices = []
    for equation in equations:
        for unknown in unknowns:
            if sympy.degree(equation, unknown) == 1:
                names = equation.coeff(unknown, 1).free_symbols
                rank = (len(names & {*unknowns}), len(names), len(choices))
                choices.append((rank, equation, unknown))
    if not choices:
        raise NoClosedForm("nonlinear")
    _, equation, unknown = min(choices, key=lambda choice: choice[0])
    roots = [-equation.coeff(unknown, 0) / equation.coeff(unknown, 1)]
    return _go_on(equations, unknowns, unknown, roots, equation)


def _go_on(equations, unknowns, solved, roots, used) -> list[dict]:
    """Put each root in, and solve the other equations for the other unknowns."""
    rest = [u for u in unknowns if u != solved]
    found = []
    for root in roots:
        others = [e.xreplace({solved: root}) for e in equations if e is not used]
        for solution in _eliminate(others, rest):
            found.append(solution | {solved: root.xreplace(solution)})
    return found


def _linear(equations, unknowns) -> list[dict]:
    matrix, right = sympy.linear_eq_to_matrix(equations, *unknowns)
    found = sympy.linsolve((matrix, right), *unknowns)
    if not found:
        return []
    (solution,) = found
    if any(e.has(*unknowns) for e in solution):
        raise NoClosedForm("undetermined")
    return [dict(zip(unknowns, solution, strict=True))]


def _roots(polynomial) -> list:
    """Return the roots of a polynomial of degree one or two, without cancellation where known."""
    if polynomial.degree() == 1:
        a, b = polynomial.all_coeffs()
        return [-b / a]
    if polynomial.degree() > 2:
        raise NoClosedForm("nonlinear")
    a, b, c = polynomial.all_coeffs()
    root = sympy.sqrt(sympy.factor(b**2 - 4 * a * c))
    # 2 c / (-b - root): stays exact where a is small, as (-b + root) / 2 a does not
    return [2 * c / (-b - root), 2 * c / (-b + root)] if c != 0 else [sympy.S(0), -b / a]


def _solve(matrix: list[list], right: list) -> list:
    """Return the solution of linear equations; Cramer's rule leaves least to cancel in small ones."""
    size = len(right)
    if size <= 3:
        whole = _determinant(matrix)
        return [
            _determinant(
                [[*row[:k], r, *row[k + 1 :]] for row, r in zip(matrix, right, strict=True)]
            )
            / whole
            for k in range(size)
        ]
    pivot = min(
        (i for i in range(size) if matrix[i][0] != 0), key=lambda i: sympy.count_ops(matrix[i][0])
    )
    (first, *tail), top = matrix[pivot], right[pivot]
    others, rest = [], []
    for i in range(size):
        if i != pivot:
            factor = _cancelled(matrix[i][0] / first)
            pairs = zip(matrix[i][1:], tail, strict=True)
            others.append([_cancelled(a - factor * b) for a, b in pairs])
            rest.append(_cancelled(right[i] - factor * top))
    found = _solve(others, rest)
    return [(top - sum(a * x for a, x in zip(tail, found, strict=True))) / first, *found]


def _determinant(matrix: list[list]):
    if not matrix:
        return sympy.S(1)
    return sympy.Add(*(
        (-1) ** k * head * _determinant([row[:k] + row[k + 1 :] for row in matrix[1:]])
        for k, head in enumerate(matrix[0])
        if head != 0
    ))  # fmt: skip


def _numerator(equation):
    return sympy.expand(sympy.fraction(sympy.together(equation))[0])


def _nonnegative(solution: Mapping, sample: Mapping) -> bool:
    values = [complex(e.xreplace(_floats(sample)).evalf()) for e in solution.values()]
    size = max(map(abs, values)) or 1.0
    return all(abs(v.imag) <= 1e-9 * size and v.real >= -1e-9 * size for v in values)


def _floats(sample: Mapping) -> dict:
    return {symbol: sympy.Float(value) for symbol, value in sample.items()}
