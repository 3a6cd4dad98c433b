"""Checks for exercises: what is wrong with an answer, said in words."""

from __future__ import annotations

import numpy as np


class CheckError(AssertionError):
    """Raised when an answer is not what it should be; an AssertionError, as from any test."""


def compare(found, expected, what: str, hint: str = "", *, rtol: float = 1e-6, atol: float = 1e-9):
    """Compare an answer with what is right, and say in words how it differs.

    Parameters
    ----------
    found, expected : numbers or arrays of numbers
    what : str
        What was asked for, as the student wrote it: ``"propensity((3,), (2,), 1.0)"``.
    hint : str
        What to look at; told only if the answer is wrong.
    rtol, atol : float
        As in ``numpy.allclose``.

    Raises
    ------
    CheckError

    Examples
    --------
    >>> compare([0.1, 0.2], [0.1, 0.2], "rates")
    >>> compare([0.1, 0.3], [0.1, 0.2], "rates", "the pair meets in n(n-1)/2 ways")
    Traceback (most recent call last):
    chemnb.checks.CheckError: rates, at [1]: it is 0.3, it should be 0.2; the pair meets in n(n-1)/2 ways
    """
    end = f"; {hint}" if hint else ""
    if found is None:
        raise CheckError(f"{what} is None; is there a value, or a 'return' in the function?")
    try:
        values = np.asarray(found, dtype=complex if np.iscomplexobj(found) else float)
    except (TypeError, ValueError):
        kind = type(found).__name__
        raise CheckError(f"{what} is a {kind}; it should hold numbers only{end}") from None
    right = np.asarray(expected, dtype=float)
    if values.shape != right.shape:
        raise CheckError(f"{what} has {_shape(values)}, it should have {_shape(right)}{end}")
    wrong = ~np.isclose(values, right, rtol=rtol, atol=atol, equal_nan=True)
    if wrong.any():
        first = tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(wrong)))
        place = f", at [{', '.join(map(str, first))}]" if right.ndim else ""
        value, wanted = np.atleast_1d(values)[first], np.atleast_1d(right)[first]
        raise CheckError(f"{what}{place}: it is {value:.6g}, it should be {wanted:.6g}{end}")


def _shape(values: np.ndarray) -> str:
    """Return a shape in words."""
    if values.ndim == 0:
        return "a single number"
    return (
        "the shape " + " x ".join(map(str, values.shape))
        if values.ndim > 1
        else (f"{values.size} numbers")
    )
