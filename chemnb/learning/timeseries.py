"""Time series from which equations are learned: read, checked, one form for all sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..networks.expressions import closest, listing
from .series_checks import (
    DataError,
    check_finite,
    check_times,
    numbers,
    read_covariance,
    read_initial,
)


@dataclass(frozen=True)
class Experiment:
    """One time series and its start.

    Attributes
    ----------
    names : tuple of str
        The D variables.
    times : ndarray (T,)
        Increasing; after the start where that is exact, from the start on where it is not.
    values : ndarray (T, D)
        NaN where nothing was measured.
    initial : ndarray (D,)
        The state at the origin: exact, or where ``free`` a first guess.
    covariance : ndarray (T*D, T*D), (T*D,) or None
        Of the errors of the values, time by time; a vector holds variances.
    runs : int or None
        How many stochastic runs the values are means of.
    dimension : str
        What the variables are, as a name of an axis.
    free : ndarray of bool (D,) or None
        Which entries of the start are to be estimated; None: none.
    origin : float
        Time of the start.
    """

    names: tuple[str, ...]
    times: np.ndarray
    values: np.ndarray
    initial: np.ndarray
    covariance: np.ndarray | None = None
    runs: int | None = None
    dimension: str = "variable"
    free: np.ndarray | None = None
    origin: float = 0.0


def read_experiments(
    data, variables=None, standard_errors=None, covariance=None, initial=None,
    *, estimate: bool = False, missing: bool = False, hidden: Sequence[str] = (),
) -> list[Experiment]:  # fmt: skip
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
    initial : mapping, array_like (variable,), "exact" or "estimated", optional
        The exact state at t = 0; a list with one entry an experiment. "exact": it is the row
        at t = 0. "estimated": the start is to be found with the coefficients, and the first
        row is a measurement like the others.
    estimate : bool
        What holds where ``initial`` is not given: False, "exact"; True, "estimated" except for
        an Ensemble and for values whose standard error at the first time is zero.
    missing : bool
        Whether NaN stands for a value that was not measured; else it is an error.
    hidden : sequence of str
        Variables that were never measured, after the others. Their start is estimated unless
        ``initial`` gives it.

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
    if initial is None:
        initial = "auto" if estimate else "exact"
    if isinstance(initial, str):
        if initial not in ("auto", "exact", "estimated"):
            raise DataError(
                f"initial={initial!r} is unknown; use 'exact', 'estimated', or give the values"
            )
        initial = [initial] * len(items) if several else initial
    extras = [
        _one_each(name, value, len(items), several)
        for name, value in (
            ("standard_errors", standard_errors), ("covariance", covariance), ("initial", initial)
        )
    ]  # fmt: skip
    experiments = []
    for number, (item, *rest) in enumerate(zip(items, *extras, strict=True), start=1):
        where = f"experiment {number}" if several else "the data"
        experiments.append(_read(item, variables, *rest, where, missing, _names(hidden)))
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


def _read(item, variables, errors, covariance, initial, where, missing, hidden) -> Experiment:
    names, times, values, covariance, start, runs, axis = _unpack(
        item, variables, covariance, where
    )
    check_times(times, where)
    if values.shape != (len(times), len(names)):
        raise DataError(
            f"{where}: values of shape {values.shape} for {len(times)} times and the variables "
            f"{listing(names)}; the shape must be {(len(times), len(names))}"
        )
    check_finite(values, names, times, where, missing)
    covariance = read_covariance(covariance, errors, values.shape, where, np.isnan(values))
    if hidden:
        names, values, covariance, start = _hide(names, values, covariance, start, hidden, where)
    start, free = _start(initial, start, times, values, covariance, names, len(hidden), where)
    later = times > (0 if not free.any() else -1)
    if np.sum(times[later] > (times[0] if free.any() else 0)) == 0:
        raise DataError(
            f"{where}: one point at t = {times[0]:g} shows no change; give at least one later time"
        )
    if covariance is not None:
        rows = np.repeat(later, len(names))
        covariance = covariance[rows] if covariance.ndim == 1 else covariance[np.ix_(rows, rows)]
        if not np.nan_to_num(covariance).any():
            raise DataError(f"{where}: every error is zero; give errors above 0, or none at all")
    origin = float(times[0]) if free.any() else 0.0
    return Experiment(
        tuple(names), times[later], values[later], start, covariance, runs, axis, free, origin
    )


def _start(initial, known, times, values, covariance, names, hidden, where):
    """Return the start and which of its entries are to be estimated."""
    measured = len(names) - hidden
    first = np.where(np.isnan(values[0]), _first_finite(values), values[0])
    if not isinstance(initial, str):
        start = read_initial(initial, names, where, optional=names[measured:])
        return np.where(np.isnan(start), first, start), np.isnan(start)
    if initial == "auto" and known is not None:
        initial = "exact"
    if initial != "exact":
        free = np.ones(len(names), dtype=bool)
        if initial == "auto" and covariance is not None and times[0] == 0:
            variances = covariance if covariance.ndim == 1 else np.diag(covariance)
            # without an error: a start that was set, not measured
            free = ~(variances[: len(names)] == 0)
        return first, free
    free = np.arange(len(names)) >= measured
    if known is None:
        if times[0] != 0:
            raise DataError(
                f"{where}: the first time is {times[0]:g} and the state at t = 0 is not known; "
                "give it with initial=..., or shift the times so that the first is 0"
            )
        known = values[0]
    gaps = np.isnan(known) & ~free
    return np.where(np.isnan(known), first, known), free | gaps


def _first_finite(values: np.ndarray) -> np.ndarray:
    """Return the first measured value of every variable; 0 where there is none."""
    seen = np.isfinite(values)
    first = values[seen.argmax(axis=0), np.arange(values.shape[1])]
    return np.where(seen.any(axis=0), first, 0.0)


def _hide(names, values, covariance, start, hidden, where):
    """Append variables that were never measured."""
    for name in hidden:
        if name in names:
            raise DataError(
                f"{where}: '{name}' is hidden, but the data have it; leave it out of one of them"
            )
    count, (rows, columns) = len(hidden), values.shape
    wide = np.full((rows, columns + count), np.nan)
    wide[:, :columns] = values
    if covariance is not None:
        kept = np.repeat(np.arange(rows) * (columns + count), columns)
        kept += np.tile(np.arange(columns), rows)
        size = wide.size
        if covariance.ndim == 1:
            grown = np.full(size, np.nan)
            grown[kept] = covariance
        else:
            grown = np.zeros((size, size))
            grown[np.ix_(kept, kept)] = covariance
        covariance = grown
    if start is not None:
        start = np.concatenate([start, np.full(count, np.nan)])
    return [*names, *hidden], wide, covariance, start


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
    times, values = numbers(times, "times", where), numbers(values, "values", where)
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
        covariance = read_covariance(covariance, None, size, where)
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
        table = item.path_covariance(chosen).transpose("time", "moment", "time_2", "moment_2")
        covariance = _unbiased(table.values, item.paths.sizes["run"], where)
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
