"""Parts of time series, each read and checked, with a message that says what is wrong."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..networks.expressions import closest, listing


class DataError(ValueError):
    """Data from which nothing can be learned; the message says what, where and the fix."""


def numbers(array, what: str, where: str) -> np.ndarray:
    if getattr(getattr(array, "dtype", None), "kind", "") in ("m", "M"):
        raise DataError(f"{where}: the {what} are dates; convert them to numbers in one unit")
    try:
        return np.asarray(array, dtype=float)
    except (TypeError, ValueError):
        raise DataError(f"{where}: the {what} are not a regular table of numbers") from None


def check_times(times: np.ndarray, where: str) -> None:
    """Raise `DataError` unless the times are finite, increasing and zero or more."""
    if times.ndim != 1 or len(times) == 0:
        raise DataError(f"{where}: times of shape {times.shape}; give a plain list of times")
    if not np.all(np.isfinite(times)):
        raise DataError(f"{where}: a time is not a finite number; leave that row out")
    if times[0] < 0:
        raise DataError(f"{where}: the time {times[0]:g} is below 0; every experiment starts at 0")
    wrong = np.flatnonzero(np.diff(times) <= 0)
    if len(wrong):
        i = int(wrong[0])
        fault = "is repeated" if times[i + 1] == times[i] else f"comes after {times[i]:g}"
        raise DataError(
            f"{where}: the time {times[i + 1]:g} {fault}; times must increase: sort the rows, "
            "average repeats, and give every experiment as an entry of its own in a list"
        )


def check_finite(values, names, times, where, missing) -> None:
    wrong = np.argwhere(~np.isfinite(values) if not missing else np.isinf(values))
    if len(wrong):
        row, column = wrong[0]
        raise DataError(
            f"{where}: {len(wrong)} value(s) are not finite numbers, the first is "
            f"{values[row, column]} for '{names[column]}' at t = {times[row]:g}; "
            "leave that time out, or say missing=True if NaN stands for what was not measured"
        )
    empty = np.flatnonzero(np.isnan(values).all(axis=0))
    if len(empty):
        raise DataError(
            f"{where}: no value of '{names[empty[0]]}' was measured; leave it out of the data "
            f"and, if it takes part, say hidden=['{names[empty[0]]}']"
        )


def read_initial(initial, names: list[str], where: str, optional=()) -> np.ndarray:
    """Return a state (D,) from a mapping of name -> value or a sequence of values.

    The values of ``optional`` names may be left out; they are then NaN.
    """
    if isinstance(initial, Mapping):
        for name in initial:
            if name not in names:
                raise DataError(
                    f"{where}: initial names '{name}'{closest(name, names)}; "
                    f"the variables are {listing(names)}"
                )
        missing = [name for name in names if name not in initial and name not in optional]
        if missing:
            raise DataError(f"{where}: initial gives no value for {listing(missing)}")
        start = numbers([initial.get(name, np.nan) for name in names], "initial values", where)
        given = [name in initial for name in names]
    else:
        start = numbers(initial, "initial values", where)
        if optional and start.shape == (len(names) - len(optional),):
            start = np.concatenate([start, np.full(len(optional), np.nan)])
        given = [name not in optional for name in names]
    if start.shape != (len(names),) or not np.all(np.isfinite(start[given])):
        raise DataError(
            f"{where}: initial must be {len(names)} finite number(s), one for each of "
            f"{listing(names)}"
        )
    return start


def read_covariance(covariance, errors, shape, where, gaps=None) -> np.ndarray | None:
    size = shape[0] * shape[1]
    if errors is not None and covariance is not None:
        raise DataError(f"{where}: give standard_errors or covariance, not both")
    if errors is not None:
        table = numbers(errors, "standard errors", where)
        table = np.broadcast_to(table, shape) if table.shape in ((), shape[1:]) else table
        if gaps is not None and table.shape == shape:
            table = np.where(gaps, np.nan, table)
        fine = table.shape == shape and (np.isfinite(table) | (False if gaps is None else gaps))
        if not np.all(fine) or np.any(table < 0):
            raise DataError(
                f"{where}: standard_errors must be finite, not negative, and of the shape of "
                f"the values, {shape}; they have shape {table.shape}"
            )
        return table.ravel() ** 2
    if covariance is None:
        return None
    table = numbers(covariance, "covariances", where)
    if table.size != size**2:
        raise DataError(
            f"{where}: a covariance of shape {table.shape}; it must be {shape + shape} "
            f"or {(size, size)}, time by time"
        )
    table = table.reshape(size, size)
    spread = np.abs(table).max()
    if not np.isfinite(spread) or np.abs(table - table.T).max() > 1e-8 * spread:
        raise DataError(f"{where}: the covariance is not finite and symmetric")
    if np.linalg.eigvalsh(table)[0] < -1e-6 * spread:
        raise DataError(
            f"{where}: the covariance has a negative eigenvalue, so it is none; check its order: "
            "all variables of the first time, then those of the second, and so on"
        )
    return table
