"""Time series from which equations are learned: read, checked, one form for all sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..networks.expressions import closest, listing


class DataError(ValueError):
    """Data from which nothing can be learned; the message says what, where and the fix."""


@dataclass(frozen=True)
class Experiment:
    """One time series with a known start.

    Attributes
    ----------
    names : tuple of str
        The D variables.
    times : ndarray (T,)
        After the start: increasing and above zero.
    values : ndarray (T, D)
    initial : ndarray (D,)
        The state at t = 0, taken as exact.
    covariance : ndarray (T*D, T*D), (T*D,) or None
        Of the errors of the values, time by time; a vector holds variances.
    runs : int or None
        How many stochastic runs the values are means of.
    dimension : str
        What the variables are, as a name of an axis.
    """

    names: tuple[str, ...]
    times: np.ndarray
    values: np.ndarray
    initial: np.ndarray
    covariance: np.ndarray | None = None
    runs: int | None = None
    dimension: str = "variable"


def read_experiments(
    data, variables=None, standard_errors=None, covariance=None, initial=None
) -> list[Experiment]:
    """Return one `Experiment` for every time series in the data.

    Parameters
    ----------
    data : DataArray (time, variable), DataFrame (index time), Ensemble, (times, values), or a
        list of these
    variables : sequence of str or "moments", optional
        Which variables to use; for bare arrays, their names. For an Ensemble the default is
        the means, and "moments" takes variances and covariances as well.
    standard_errors : array_like (time, variable), optional
        Of independent errors; a list with one entry an experiment.
    covariance : array_like (time, variable, time, variable) or two-dimensional, optional
        Of the errors; a list with one entry an experiment. A value whose error is zero carries
        no weight: it is taken for one that cannot vary, such as a conserved sum.
    initial : mapping or array_like (variable,), optional
        The exact state at t = 0; a list with one entry an experiment. By default it is the
        row at t = 0.

    Raises
    ------
    DataError
        If values are missing, times are not increasing, or experiments do not match.
    """
    several = isinstance(data, list) or (
        isinstance(data, tuple) and not (len(data) == 2 and _is_plain(data[0]))
    )
    items = list(data) if several else [data]
    if not items:
        raise DataError("no data: the list of experiments is empty; give at least one time series")
    extras = [
        _one_each(name, value, len(items), several)
        for name, value in (
            ("standard_errors", standard_errors), ("covariance", covariance), ("initial", initial)
        )
    ]  # fmt: skip
    experiments = []
    for number, (item, *rest) in enumerate(zip(items, *extras, strict=True), start=1):
        where = f"experiment {number}" if several else "the data"
        experiments.append(_read(item, variables, *rest, where))
    _check_alike(experiments)
    return experiments


def _is_plain(times) -> bool:
    """Whether this is a bare sequence of numbers, the first half of (times, values)."""
    plain = isinstance(times, (Sequence, range, np.ndarray))
    return plain and not isinstance(times, str) and np.ndim(times) == 1


def _one_each(name, value, count, several):
    if value is None:
        return [None] * count
    if not several:
        return [value[0] if isinstance(value, list) and _nested(value) else value]
    if not isinstance(value, (list, tuple)) or len(value) != count:
        raise DataError(f"{name} must be a list with one entry for each of the {count} experiments")
    return list(value)


def _nested(value: list) -> bool:
    return len(value) == 1 and (isinstance(value[0], Mapping) or np.ndim(value[0]) > 0)


def _read(item, variables, errors, covariance, initial, where) -> Experiment:
    names, times, values, covariance, start, runs, axis = _unpack(
        item, variables, covariance, where
    )
    check_times(times, where)
    if values.shape != (len(times), len(names)):
        raise DataError(
            f"{where}: values of shape {values.shape} for {len(times)} times and the variables "
            f"{listing(names)}; the shape must be {(len(times), len(names))}"
        )
    _check_finite(values, names, times, where)
    if initial is not None:
        start = read_initial(initial, names, where)
    elif times[0] == 0:
        start = values[0]
    elif start is None:
        raise DataError(
            f"{where}: the first time is {times[0]:g} and the state at t = 0 is not known; "
            "give it with initial=..., or shift the times so that the first is 0"
        )
    later = times > 0
    if not later.any():
        raise DataError(
            f"{where}: one point at t = 0 shows no change; give at least one later time"
        )
    covariance = _read_covariance(covariance, errors, values.shape, where)
    if covariance is not None:
        rows = np.repeat(later, len(names))
        covariance = covariance[rows] if covariance.ndim == 1 else covariance[np.ix_(rows, rows)]
        if not covariance.any():
            raise DataError(f"{where}: every error is zero; give errors above 0, or none at all")
    return Experiment(tuple(names), times[later], values[later], start, covariance, runs, axis)


def _unpack(item, variables, covariance, where):
    """Return names, times, values, covariance, start, runs (both may be None), axis."""
    axis = "variable"
    if hasattr(item, "moments") and hasattr(item, "path_covariance"):
        return _unpack_ensemble(item, variables, covariance, where)
    if hasattr(item, "dims") and hasattr(item, "coords"):
        others = [dim for dim in item.dims if dim != "time"]
        if "time" not in item.dims or len(others) != 1:
            raise DataError(
                f"{where}: a DataArray over {tuple(item.dims)}; "
                "it needs the dimension 'time' and one for the variables"
            )
        table = item.transpose("time", others[0])
        if "time" not in item.coords:
            raise DataError(f"{where}: the dimension 'time' has no values; give it coordinates")
        labels = item.coords[others[0]].values if others[0] in item.coords else None
        axis = others[0]
        times, values = table.coords["time"].values, table.values
    elif hasattr(item, "columns") and hasattr(item, "index"):
        labels, times, values = list(item.columns), item.index.values, item.values
    elif isinstance(item, (tuple, list)) and len(item) == 2:
        (times, values), labels = item, None
    else:
        raise DataError(
            f"{where}: a {type(item).__name__} is no time series; give a DataArray with the "
            "dimension 'time', an Ensemble, a DataFrame, or (times, values)"
        )
    times, values = _numbers(times, "times", where), _numbers(values, "values", where)
    if values.ndim == 1:
        values = values[:, None]
    if labels is None:
        if variables is None:
            variables = [f"y{i + 1}" for i in range(values.shape[-1])]
        return _names(variables), times, values, covariance, None, None, axis
    names = [str(label) for label in labels]
    if variables is None or (isinstance(variables, str) and variables == "moments"):
        return names, times, values, covariance, None, None, axis
    picks = _positions(_names(variables), names, where)
    if covariance is not None and len(picks) < len(names):
        size = values.shape
        covariance = _read_covariance(covariance, None, size, where)
        covariance = covariance.reshape(*size, *size)[:, picks][:, :, :, picks]
    return _names(variables), times, values[:, picks], covariance, None, None, axis


def _unpack_ensemble(item, variables, covariance, where):
    moments = item.moments()
    names = [str(label) for label in moments["moment"].values]
    species = [str(label) for label in item.mean()["species"].values]
    variables = species if variables is None else variables
    chosen = names if isinstance(variables, str) and variables == "moments" else _names(variables)
    axis = "species" if set(chosen) <= set(species) else "moment"
    picks = _positions(chosen, names, where)
    if covariance is None:
        table = item.path_covariance().transpose("time", "moment", "time_2", "moment_2").values
        covariance = _unbiased(table[:, picks][:, :, :, picks], item.paths.sizes["run"], where)
    # moments of order two start at zero: every run starts from the same counts
    start = np.array([float(item.initial.get(name, 0.0)) for name in chosen])
    values = moments.transpose("time", "moment").values[:, picks]
    times = np.asarray(item.times, dtype=float)
    return chosen, times, values, covariance, start, getattr(item, "runs", None), axis


def _unbiased(table: np.ndarray, runs: int, where: str) -> np.ndarray:
    """Return a covariance estimated from some runs, scaled so that its inverse has no bias.

    The inverse of an estimated covariance is too large on average (Hartlap et al. 2007,
    doi:10.1051/0004-6361:20066170), and chi-square with it.
    """
    data = int((np.einsum("ijij->ij", table) > 0).sum())
    if runs <= data + 2:
        raise DataError(
            f"{where}: {runs} whole runs are too few for the covariance of {data} data; sample "
            f"with keep={3 * data} or more, record fewer times, or give means and standard_errors"
        )
    return table * ((runs - 1) / (runs - data - 2))


def _names(variables) -> list[str]:
    return [variables] if isinstance(variables, str) else [str(name) for name in variables]


def _positions(chosen: list[str], names: list[str], where: str) -> list[int]:
    for name in chosen:
        if name not in names:
            raise DataError(
                f"{where} has no variable '{name}'{closest(name, names)}; it has {listing(names)}"
            )
    return [names.index(name) for name in chosen]


def _numbers(array, what: str, where: str) -> np.ndarray:
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


def _check_finite(values, names, times, where) -> None:
    missing = np.argwhere(~np.isfinite(values))
    if len(missing):
        row, column = missing[0]
        raise DataError(
            f"{where}: {len(missing)} value(s) are not finite numbers, the first is "
            f"{values[row, column]} for '{names[column]}' at t = {times[row]:g}; "
            "leave that time out or fill the gap"
        )


def read_initial(initial, names: list[str], where: str) -> np.ndarray:
    """Return a state (D,) from a mapping of name -> value or a sequence of values."""
    if isinstance(initial, Mapping):
        for name in initial:
            if name not in names:
                raise DataError(
                    f"{where}: initial names '{name}'{closest(name, names)}; "
                    f"the variables are {listing(names)}"
                )
        missing = [name for name in names if name not in initial]
        if missing:
            raise DataError(f"{where}: initial gives no value for {listing(missing)}")
        initial = [initial[name] for name in names]
    start = _numbers(initial, "initial values", where)
    if start.shape != (len(names),) or not np.all(np.isfinite(start)):
        raise DataError(
            f"{where}: initial must be {len(names)} finite number(s), one for each of "
            f"{listing(names)}"
        )
    return start


def _read_covariance(covariance, errors, shape, where) -> np.ndarray | None:
    size = shape[0] * shape[1]
    if errors is not None and covariance is not None:
        raise DataError(f"{where}: give standard_errors or covariance, not both")
    if errors is not None:
        table = _numbers(errors, "standard errors", where)
        table = np.broadcast_to(table, shape) if table.shape in ((), shape[1:]) else table
        if table.shape != shape or not np.all(np.isfinite(table)) or np.any(table < 0):
            raise DataError(
                f"{where}: standard_errors must be finite, not negative, and of the shape of "
                f"the values, {shape}; they have shape {table.shape}"
            )
        return table.ravel() ** 2
    if covariance is None:
        return None
    table = _numbers(covariance, "covariances", where)
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


def _check_alike(experiments: list[Experiment]) -> None:
    first = experiments[0]
    for number, other in enumerate(experiments[1:], start=2):
        if other.names != first.names:
            raise DataError(
                f"experiment {number} has the variables {listing(other.names)} and experiment 1 "
                f"{listing(first.names)}; all need the same variables in the same order: "
                "choose them with variables=[...]"
            )
        if (other.covariance is None) != (first.covariance is None):
            raise DataError(
                f"experiment {number} and experiment 1 differ: one has a covariance and the other "
                "none; give standard errors for all or for none"
            )
