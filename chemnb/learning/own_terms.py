"""Candidate terms of one's own: formulas as text or in SymPy, Hill functions, Python functions."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import product
from numbers import Real

import numpy as np

from ..networks.expressions import NAME, ExpressionError, closest, listing
from ..networks.laws import RateLaw
from .library import Library, LibraryError, check_terms, state_symbols
from .units import Unit, read_unit

_STEP = 1e-30  # of the complex step: there is no subtraction, so that it can be this small


@dataclass(frozen=True)
class Free:
    """A constant of a term that is fitted along, not below zero; `free` makes it."""

    start: float


def free(start: float) -> Free:
    """Return a constant for `own` and `hill` that is fitted along, from this value on.

    Raises
    ------
    LibraryError
        If the start is not a finite number above zero.

    Examples
    --------
    >>> own("S/(K + S)", K=free(2.0)).bind(["S"]).constants
    {'K': 2.0}
    """
    (number,) = _numbers("free", [start])
    if number <= 0:
        raise LibraryError(f"free({start!r}); a constant starts above 0")
    return Free(number)


class Formulas(Library):
    """Terms that are formulas of the variables; `own` and `hill` make it.

    Parameters
    ----------
    formulas : sequence of (label, SymPy expression)
        Symbols are variables and free constants, by name.
    unit : str or None
        Of every term.
    shown : str
        How the library was written.
    constants : mapping of name -> value
        Constants that are fitted along, at their present values.
    """

    def __init__(
        self,
        formulas: Sequence[tuple[str, object]],
        unit: str | None,
        shown: str,
        names: Sequence[str] | None = None,
        constants: Mapping[str, float] | None = None,
        checked: bool = True,
    ) -> None:
        self._formulas, self._unit, self._shown = tuple(formulas), unit, shown
        self.names = None if names is None else tuple(names)
        self._constants, self._slope_terms = dict(constants or {}), {}
        if self.names is not None:
            self._compile()
            if checked:
                check_terms(self)

    @property
    def constants(self) -> dict[str, float]:
        """Values of the constants that are fitted along."""
        return dict(self._constants)

    def with_constants(self, values: Mapping[str, float]) -> Formulas:
        """Return the library with other values of its free constants."""
        other = copy(self)
        other._constants = {name: values.get(name, old) for name, old in self._constants.items()}
        return other

    def slope_terms(self) -> tuple[Formulas, list[tuple[int, str]]]:
        """Return the derivatives of the terms by the free constants, and whose they are."""
        import sympy

        if not self._slope_terms:
            found = {
                (term, name): (f"d({label})/d{name}", sympy.diff(formula, sympy.Symbol(name)))
                for term, (label, formula) in enumerate(self._formulas)
                for name in self._constants
                if formula.has(sympy.Symbol(name))
            }
            self._slope_terms["of"] = list(found)
            self._slope_terms["library"] = Formulas(
                found.values(), None, "slopes", self.names, self._constants, checked=False
            )
        slopes = self._slope_terms["library"].with_constants(self._constants)
        return slopes, self._slope_terms["of"]

    def bind(self, names: Sequence[str]) -> Formulas:
        """Return the same library for these state variables.

        Raises
        ------
        LibraryError
            If a formula has a name that is no variable, or two are the same up to a factor.
        """
        return Formulas(self._formulas, self._unit, self._shown, names, self._constants)

    @property
    def labels(self) -> tuple[str, ...]:
        """The formulas as they were written, with the numbers put in."""
        return tuple(label for label, _ in self._formulas)

    def evaluate(self, y) -> np.ndarray:
        """Return the terms at states y: (..., D) -> (..., terms)."""
        y = self._states(y)
        return _stacked(self._values(*self._inputs(y)), y.shape[:-1])

    def jacobian(self, y) -> np.ndarray:
        """Return the derivatives of the terms by the variables: (..., D) -> (..., terms, D)."""
        y = self._states(y)
        flat = _stacked(self._slopes(*self._inputs(y)), y.shape[:-1])
        return flat.reshape(*y.shape[:-1], len(self._formulas), len(self.names))

    def to_sympy(self, symbols: Mapping[str, object] | None = None) -> list:
        """Return the terms as SymPy expressions; ``symbols`` maps names to SymPy symbols.

        Free constants stand in them as rounded numbers.
        """
        import sympy

        known = {name: sympy.Float(f"{v:.4g}", 4) for name, v in self._constants.items()}
        return self._with(known | dict(symbols or {}))

    def _with(self, symbols: Mapping[str, object]) -> list:
        return [
            formula.xreplace({s: symbols.get(s.name, s) for s in formula.free_symbols})
            for _, formula in self._formulas
        ]

    def _inputs(self, y: np.ndarray) -> list:
        return [*np.moveaxis(y, -1, 0), *self._constants.values()]

    def term_units(self, units: Mapping[str, str]) -> tuple[Unit | None, ...]:
        """Return the unit that was given, or None."""
        return (None if self._unit is None else read_unit(self._unit),) * len(self._formulas)

    def __repr__(self) -> str:
        return self._shown if self.names is None else f"{self._shown} of {', '.join(self.names)}"

    def _compile(self) -> None:
        import sympy

        for label, formula in self._formulas:
            found = sorted(s.name for s in formula.free_symbols)
            for name in found:
                if name not in self.names and name not in self._constants:
                    raise LibraryError(
                        f"'{name}' in the term '{label}' is no variable"
                        f"{closest(name, self.names)}; the variables are {listing(self.names)}, "
                        f"and a constant needs a number: {name}=1.0"
                    )
        # names of variables need not be names of Python
        places = {name: sympy.Dummy(f"y{i}", real=True) for i, name in enumerate(self.names)}
        inner = {name: sympy.Dummy(f"k{i}", real=True) for i, name in enumerate(self._constants)}
        terms, inputs = self._with(inner | places), [*places.values(), *inner.values()]
        slopes = [sympy.diff(term, x) for term in terms for x in places.values()]
        self._values = sympy.lambdify(inputs, terms, "numpy", cse=True)
        self._slopes = sympy.lambdify(inputs, slopes, "numpy", cse=True)


class PythonTerms(Library):
    """One term that is a Python function of some variables; `own` makes it.

    Parameters
    ----------
    function : callable
        Arrays of one shape in, one array of that shape out.
    of : tuple of str
        The variables that it takes, in the order of its arguments.
    label : str
    unit : str or None
    """

    def __init__(
        self,
        function: Callable,
        of: tuple[str, ...],
        label: str,
        unit: str | None,
        names: Sequence[str] | None = None,
    ) -> None:
        self.function, self.of, self._label, self._unit = function, of, label, unit
        self.names = None if names is None else tuple(names)
        if self.names is not None:
            self._places = self._find()
            self._takes_complex = self._check()

    def bind(self, names: Sequence[str]) -> PythonTerms:
        """Return the same library for these state variables.

        Raises
        ------
        LibraryError
            If an argument is no variable, or the function does not return one finite number a
            state.
        """
        return PythonTerms(self.function, self.of, self._label, self._unit, names)

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of the term."""
        return (self._label,)

    def evaluate(self, y) -> np.ndarray:
        """Return the term at states y: (..., D) -> (..., 1)."""
        return self._call(self._states(y)[..., self._places])[..., None]

    def jacobian(self, y) -> np.ndarray:
        """Return the derivatives of the term: (..., D) -> (..., 1, D).

        By a complex step where the function takes complex numbers, else by central differences.
        """
        y = self._states(y)
        result = np.zeros((*y.shape[:-1], 1, len(self.names)))
        for argument, place in enumerate(self._places):
            rule = _complex_step if self._takes_complex else _central_difference
            result[..., 0, place] = rule(self._call, y[..., self._places], argument)
        return result

    def to_sympy(self, symbols: Mapping[str, object] | None = None) -> list:
        """Return the term as an undefined function of its variables."""
        import sympy

        known = state_symbols(self.of) | dict(symbols or {})
        name = self._label.partition("(")[0]
        return [sympy.Function(name)(*(known[variable] for variable in self.of))]

    def term_units(self, units: Mapping[str, str]) -> tuple[Unit | None, ...]:
        """Return the unit that was given, or None."""
        return (None if self._unit is None else read_unit(self._unit),)

    def __repr__(self) -> str:
        shown = f"own({self._label})"
        return shown if self.names is None else f"{shown} of {', '.join(self.names)}"

    def _find(self) -> list[int]:
        for name in self.of:
            if name not in self.names:
                raise LibraryError(
                    f"the argument '{name}' of the function '{self._label}' is no variable"
                    f"{closest(name, self.names)}; name its arguments after the variables "
                    f"{listing(self.names)}, or say of=['{self.names[0]}']"
                )
        return [self.names.index(name) for name in self.of]

    def _call(self, arguments: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            result = np.asarray(self.function(*np.moveaxis(arguments, -1, 0)))
        try:
            return np.broadcast_to(result, arguments.shape[:-1])
        except ValueError:
            raise LibraryError(
                f"the function '{self._label}' makes {result.shape} from arrays of shape "
                f"{arguments.shape[:-1]}; it must return one number a state"
            ) from None

    def _check(self) -> bool:
        """Try the function out, and return whether it takes complex numbers."""
        states = np.random.default_rng(0).uniform(0.5, 2.0, (3, len(self.of)))
        try:
            values = np.asarray(self._call(states), dtype=float)
        except (TypeError, ValueError) as error:
            if isinstance(error, LibraryError):
                raise
            raise LibraryError(
                f"the function '{self._label}' fails on arrays: {error}; write it with NumPy, "
                "array in and array out"
            ) from None
        finite = np.isfinite(values)
        if not finite.any():
            raise LibraryError(f"the function '{self._label}' gives no finite number")
        if not values[finite].any():
            raise LibraryError(f"the term '{self._label}' is zero everywhere; leave it out")
        try:
            exact = [_complex_step(self._call, states, i) for i in range(len(self.of))]
        except (TypeError, ValueError):
            return False
        # abs and comparisons take complex numbers too, but drop the derivative
        rough = [_central_difference(self._call, states, i) for i in range(len(self.of))]
        return bool(np.allclose(exact, rough, rtol=1e-4, atol=1e-6))


def own(
    *terms,
    of: Sequence[str] | None = None,
    label: str | None = None,
    unit: str | None = None,
    **constants,
) -> Library:
    """Return a library of one's own terms.

    Parameters
    ----------
    *terms : str, SymPy expression or callable
        Text is parsed, never evaluated: arithmetic of variables, constants and numbers with
        exp, log, sqrt, abs, sin, cos, tanh, min, max. The arguments of a function are variables,
        by name; it takes arrays and returns an array.
    of : sequence of str, optional
        The variables that a function takes, if its arguments have other names.
    label : str, optional
        Name of a function's term.
    unit : str, optional
        Of the terms, such as ``"mM"``; ``"1"`` for none.
    **constants : number, list of numbers or `free`
        Values of the constants in formulas; a list makes one term a value, ``K=free(1.0)`` is
        fitted along.

    Raises
    ------
    LibraryError
        If a term cannot be read or a constant is no finite number.

    Examples
    --------
    >>> own("A/(K + A)", K=[1, 10]).bind(["A"]).labels
    ('A/(1 + A)', 'A/(10 + A)')
    >>> saturation = own(lambda A, B: A*B/(1 + A), label="f")
    >>> saturation.bind(["A", "B"]).evaluate([1.0, 4.0])
    array([2.])
    """
    if not terms:
        raise LibraryError("own() without a term; write for example own('A/(K + A)', K=2.0)")
    if functions := [term for term in terms if callable(term) and not hasattr(term, "xreplace")]:
        if len(terms) > 1 or constants:
            raise LibraryError(
                f"own() takes one function at a time and no constants for it; got {len(terms)} "
                "terms: add the libraries, own(f) + own(g)"
            )
        return _python(functions[0], of, label, unit)
    loose = {name: value.start for name, value in constants.items() if isinstance(value, Free)}
    grid = {n: _numbers(n, value) for n, value in constants.items() if n not in loose}
    formulas = [pair for term in terms for pair in _formulas(term, grid)]
    written = ", ".join([repr(str(t)) for t in terms] + [f"{k}={v}" for k, v in constants.items()])
    return Formulas(formulas, unit, f"own({written})", constants=loose)


def hill(
    variables: Sequence[str] | str,
    K: float | Sequence[float] | Free,
    n: float | Sequence[float] = 1,
    *,
    repressing: bool = False,
) -> Formulas:
    r"""Return Hill terms :math:`y^n/(K^n + y^n)` for all given variables, K and n.

    Parameters
    ----------
    variables : list of str
    K : number, list of numbers or `free`
        Half-saturation, in the unit of the variable; ``free(1.0)`` is fitted along, one a
        variable.
    n : number or list of numbers
        Hill coefficient.
    repressing : bool
        K^n/(K^n + y^n) instead.

    Raises
    ------
    LibraryError
        If K or n is not above zero.

    Examples
    --------
    >>> hill(["A"], K=[1, 10], n=[1, 2]).bind(["A", "B"]).labels
    ('A/(1 + A)', 'A^2/(1^2 + A^2)', 'A/(10 + A)', 'A^2/(10^2 + A^2)')
    """
    import sympy

    names = [variables] if isinstance(variables, str) else [str(name) for name in variables]
    if not names:
        raise LibraryError("hill() without a variable; write for example hill(['A'], K=2.0)")
    formulas, loose = [], {}
    halves = [K] if isinstance(K, Free) else _numbers("K", K)
    for name, half, power in product(names, halves, _numbers("n", n)):
        if power <= 0 or not (isinstance(half, Free) or half > 0):
            raise LibraryError(f"hill(K={K}, n={n}); both must be above 0")
        if isinstance(half, Free):
            shown, k = f"K({name})", sympy.Symbol(f"K({name})")
            loose[shown] = half.start
        else:
            shown, k = f"{half:g}", _exact(half)
        raised = [x if power == 1 else f"{x}^{power:g}" for x in (name, shown)]
        above = raised[1 if repressing else 0]
        x, exponent = sympy.Symbol(name), _exact(power)
        formula = (k if repressing else x) ** exponent / (k**exponent + x**exponent)
        formulas.append((f"{above}/({raised[1]} + {raised[0]})", formula))
    more = ", repressing=True" if repressing else ""
    return Formulas(formulas, "1", f"hill({names}, K={K}, n={n}{more})", constants=loose)


def _python(function, of, label, unit) -> PythonTerms:
    try:
        arguments = tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        arguments = ()
    of = arguments if of is None else tuple([of] if isinstance(of, str) else of)
    if not of:
        raise LibraryError("own(function) without arguments; say of which variables: of=['A']")
    name = label or getattr(function, "__name__", "f").replace("<lambda>", "f")
    return PythonTerms(function, of, name if "(" in name else f"{name}({', '.join(of)})", unit)


def _formulas(term, grid: Mapping[str, list[float]]):
    """Yield (label, SymPy expression) for every choice of the constants that the term has."""
    import sympy

    if isinstance(term, str):
        try:
            law = RateLaw(term)
        except ExpressionError as error:
            raise LibraryError(f"own('{term}'): {error}") from None
        names, formula = law.names, law.to_sympy()
    elif isinstance(term, sympy.Basic):
        # other kinds of symbols of the same name stand for the same variable
        formula = term.xreplace({s: sympy.Symbol(s.name) for s in term.free_symbols})
        names = [s.name for s in formula.free_symbols]
    else:
        raise LibraryError(
            f"own() got {term!r}; give text, a SymPy expression or a function of arrays"
        )
    used = [name for name in grid if name in names]
    for values in product(*(grid[name] for name in used)):
        numbers = dict(zip(used, values, strict=True))
        exact = {sympy.Symbol(name): _exact(value) for name, value in numbers.items()}
        label = _with_numbers(str(term), {name: f"{v:g}" for name, v in numbers.items()})
        yield label, formula.xreplace(exact)


def _with_numbers(text: str, numbers: Mapping[str, str]) -> str:
    """Return the text with some names replaced.

    Examples
    --------
    >>> _with_numbers("A*K/(1e3 + KA*A)", {"K": "2", "e3": "no"})
    'A*2/(1e3 + KA*A)'
    """
    return re.sub(rf"(?<![\w.]){NAME.pattern}", lambda m: numbers.get(m[0], m[0]), text)


def _numbers(name: str, value) -> list[float]:
    values = value if isinstance(value, (list, tuple, range, np.ndarray)) else [value]
    good = [v for v in values if isinstance(v, (Real, np.number)) and not isinstance(v, bool)]
    if not len(values) or len(good) < len(values) or not np.all(np.isfinite(good)):
        raise LibraryError(f"{name}={value!r}; give a finite number or a list of them")
    return [float(v) for v in values]


def _exact(value: float):
    """Return a whole number as such, so that powers stay simple."""
    import sympy

    return sympy.Integer(int(value)) if value == int(value) else sympy.Float(value)


def _stacked(parts, shape) -> np.ndarray:
    """Return the parts as one array (..., parts); a constant counts everywhere."""
    result = np.empty((*shape, len(parts)))
    for i, part in enumerate(parts):
        result[..., i] = part
    return result


def _complex_step(call, y, argument: int) -> np.ndarray:
    moved = y.astype(complex)
    moved[..., argument] += 1j * _STEP
    return np.imag(call(moved)) / _STEP


def _central_difference(call, y, argument: int) -> np.ndarray:
    step = 6e-6 * np.maximum(np.abs(y[..., argument]), 1e-3)
    above, below = y.copy(), y.copy()
    above[..., argument] += step
    below[..., argument] -= step
    return (call(above) - call(below)) / (2 * step)
