"""What is counted while runs stream by: exact sums of powers, joint histograms, which runs."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from ..equations.moments import moment_indices, moment_label
from ..networks.expressions import closest, listing

LARGEST_ORDER = 8
_KERNEL_FROM, _KERNEL_SPECIES = 2048, 16  # runs; species up to which it beats a matrix product
_LARGEST_HISTOGRAM = 20_000_000
_WRAPPED = re.compile(r"(?:E|M)\[(.*)\]|(Var|Cov)\((.*)\)")

Range = tuple[int, int, int]


class EnsembleError(ValueError):
    """A question that the recorded runs cannot answer; the message says what to record."""


# --- which moments -----------------------------------------------------------------------------


def read_moments(which: int | str | Sequence[str], species: Sequence[str]) -> list[tuple[int, ...]]:
    """Return the exponents of an order (all up to it) or of moments given as text.

    Raises
    ------
    EnsembleError
        If the order is not between 1 and 8, or a text is no moment of these species.

    Examples
    --------
    >>> read_moments(1, "AB"), read_moments(["A^2 B", "Var(B)"], "AB")
    ([(1, 0), (0, 1)], [(2, 1), (0, 2)])
    """
    if isinstance(which, str):
        which = [which]
    if isinstance(which, Sequence):
        return list(dict.fromkeys(_read_moment(text, species) for text in which))
    if isinstance(which, bool) or which not in range(1, LARGEST_ORDER + 1):
        raise EnsembleError(
            f"moments={which!r}; give an order from 1 to {LARGEST_ORDER}, or names as ['A^3']"
        )
    return moment_indices(len(species), int(which))


def needed_powers(
    which: int | str | Sequence[str], species: Sequence[str]
) -> list[tuple[int, ...]]:
    """Return all products of order three and more from which central moments are computed."""
    # means and products of two are kept anyway; of 1000 species there are half a million
    if not isinstance(which, (bool, str, Sequence)) and which in (1, 2):
        return []
    indices = read_moments(which, species)
    below = [product(*(range(power + 1) for power in index)) for index in indices]
    found = {power for powers in below for power in powers if sum(power) > 2}
    return sorted(found, key=lambda power: (sum(power), [-p for p in power]))


def _read_moment(text: str, species: Sequence[str]) -> tuple[int, ...]:
    if not isinstance(text, str):
        raise EnsembleError(f"{text!r} is no moment; write text such as 'A^2 B'")
    inner = text.strip()
    if found := _WRAPPED.fullmatch(inner):
        inner = found[1] or found[3].replace(",", " ")
        inner = f"{inner} {inner}" if found[2] == "Var" else inner
    index = [0] * len(species)
    for factor in inner.split():
        name, _, power = factor.partition("^")
        if name not in species:
            raise EnsembleError(
                f"moment '{text}': '{name}' is not a species{closest(name, species)}; "
                f"the species are {listing(species)}"
            )
        if power and not power.isdecimal():
            raise EnsembleError(f"moment '{text}': '{power}' is no power; write as in 'A^2 B'")
        index[list(species).index(name)] += int(power or 1)
    if not 1 <= sum(index) <= LARGEST_ORDER:
        raise EnsembleError(
            f"moment '{text}' has order {sum(index)}; 1 to {LARGEST_ORDER} are kept"
        )
    return tuple(index)


# --- exact sums --------------------------------------------------------------------------------


def sums_of(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact sums over runs of counts and of products of two, as Python integers.

    Parameters
    ----------
    counts : ndarray of int64 (runs, times, species)

    Returns
    -------
    ndarray (times, species), ndarray (times, species, species)

    Examples
    --------
    >>> sums_of(np.array([[[1, 2]], [[3, 10**9]]]))[1][0]
    array([[10, 3000000002],
           [3000000002, 1000000000000000004]], dtype=object)
    """
    if len(counts) >= _KERNEL_FROM and counts.shape[2] <= _KERNEL_SPECIES and has_kernels():
        sums, products, largest = _summed_by_kernel(counts)
        fits = largest**2 * len(counts) < 2**63
    else:
        largest = max(int(counts.max(initial=0)), -int(counts.min(initial=0)))
        # floats add and multiply whole numbers exactly as long as the result is below 2^53
        fits = largest**2 * len(counts) < 2**53
        if fits:
            exact = counts.transpose(1, 2, 0).astype(float)
            sums, products = exact.sum(axis=2), exact @ exact.transpose(0, 2, 1)
    if not fits:
        exact = counts.transpose(1, 2, 0).astype(object)
        return exact.sum(axis=2), np.array([table @ table.T for table in exact])
    return sums.astype(np.int64).astype(object), products.astype(np.int64).astype(object)


def _summed_by_kernel(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    from .._kernels.tally import add_up

    _, n_times, n_species = counts.shape
    sums = np.zeros((n_times, n_species), np.int64)
    products = np.zeros((n_times, n_species, n_species), np.int64)
    least, largest = add_up(np.ascontiguousarray(counts), sums, products)
    lower = np.tril(np.ones((n_species, n_species), bool), -1)
    products += np.where(lower, products, 0).transpose(0, 2, 1)
    return sums, products, max(int(largest), -int(least))


def has_kernels() -> bool:
    """Return whether Numba and the kernels of the direct method are loaded: small jobs do without."""
    return any(f"chemnb._kernels.{name}" in sys.modules for name in ("direct", "lanes"))


def power_sum(by_time: np.ndarray, index: Sequence[int]) -> np.ndarray:
    """Return the exact sum over runs of a product of counts: Python integers (times,).

    Parameters
    ----------
    by_time : ndarray of int64 (times, species, runs)
    index : sequence of int (species,)
        The exponents.

    Examples
    --------
    >>> power_sum(np.array([[[1, 2, 10**9]]]), [4])
    array([1000000000000000000000000000000000017], dtype=object)
    """
    picks = [i for i, power in enumerate(index) for _ in range(power)]
    runs = by_time.shape[2]
    bound = math.prod(max(1, int(np.abs(by_time[:, i]).max(initial=0))) for i in picks)
    # so many products fit a 64-bit sum, whatever they are
    together = min(runs, (2**63 - 1) // bound)
    if together == 0:
        by_time, together = by_time.astype(object), runs
    values = by_time[:, picks[0]]
    for i in picks[1:]:
        values = values * by_time[:, i]
    partial = np.add.reduceat(values, np.arange(0, runs, together), axis=1)
    return partial.astype(object).sum(axis=1)


def central_moment(index: Sequence[int], runs: int, raw) -> np.ndarray:
    r"""Return the central moment of the runs, divided by their number: ndarray (times,).

    It is expanded in raw sums :math:`S_\beta`, as one fraction of whole numbers, so that nothing
    cancels:

    .. math:: M_\alpha = R^{-|\alpha|} \sum_\beta \binom{\alpha}{\beta}
              (-1)^{|\alpha - \beta|} R^{|\beta| - 1} S_\beta \prod_i S_i^{\alpha_i - \beta_i}

    Parameters
    ----------
    index : sequence of int
        The exponents, of order two or more.
    runs : int
        R.
    raw : function (exponents) -> array of Python integers (times,)
    """
    n = len(index)
    singles = [raw(tuple(int(i == j) for j in range(n))) if index[i] else 0 for i in range(n)]
    total = 0
    for beta in product(*(range(power + 1) for power in index)):
        order = sum(beta)
        term = raw(beta) * runs ** (order - 1) if order else 1
        for i in range(n):
            if index[i] > beta[i]:
                term = term * singles[i] ** (index[i] - beta[i])
        weight = math.prod(math.comb(a, b) for a, b in zip(index, beta, strict=True))
        total = total + (-1) ** (sum(index) - order) * weight * term
    return (total / runs ** sum(index)).astype(float)


# --- histograms --------------------------------------------------------------------------------


def read_histograms(histograms: Mapping, rows: Sequence[int], species: Sequence[str]) -> dict:
    """Return row -> list of joint histograms (tuples of species indices).

    Parameters
    ----------
    histograms : mapping of time -> what to count
        A species, a tuple of species (their joint histogram), or a list of both.
    rows : sequence of int
        Where these times stand among the recorded ones.

    Examples
    --------
    >>> read_histograms({2.0: ["B", ("A", "C")]}, [1], "ABC")
    {1: [(1,), (0, 2)]}
    """
    found: dict[int, list[tuple[int, ...]]] = {}
    for row, (time, wanted) in zip(rows, histograms.items(), strict=True):
        groups = found.setdefault(row, [])
        for group in wanted if isinstance(wanted, list) else [wanted]:
            names = (group,) if isinstance(group, str) else tuple(group)
            if unknown := [name for name in names if name not in species]:
                raise EnsembleError(
                    f"histogram at {time}: {listing(unknown)} is not a species"
                    f"{closest(str(unknown[0]), species)}; the species are {listing(species)}"
                )
            picks = tuple(sorted({list(species).index(name) for name in names}))
            if not picks:
                raise EnsembleError(f"histogram at {time} names no species; write as {{2: 'A'}}")
            if picks not in groups:
                groups.append(picks)
    return found


def count_states(histogram: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return the histogram with states (runs, species) counted in, in place where it fits."""
    largest = states.max(axis=0)
    histogram = room_for(histogram, [int(n) + 1 for n in largest])
    cells = np.ravel_multi_index(tuple(states.T), histogram.shape)
    if 4 * len(cells) < histogram.size:
        np.add.at(histogram.reshape(-1), cells, 1)
        return histogram
    counted = np.bincount(cells, minlength=histogram.size).reshape(histogram.shape)
    histogram += counted
    return histogram


def add_histograms(histogram: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the sum of two histograms of the same species, in place where it fits."""
    histogram = room_for(histogram, other.shape)
    histogram[tuple(slice(size) for size in other.shape)] += other
    return histogram


def room_for(histogram: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return the histogram itself, or a larger copy where a shape needs it.

    Raises
    ------
    EnsembleError
        If it would have more than 20 million cells.
    """
    needed = tuple(map(max, histogram.shape, shape))
    if needed == histogram.shape:
        return histogram
    if math.prod(needed) > _LARGEST_HISTOGRAM:
        raise EnsembleError(
            f"a joint histogram of {' x '.join(map(str, needed))} states is too large; "
            "ask for fewer species, as in sample(..., histograms={2: ['A', ('B', 'C')]})"
        )
    grown = np.zeros(needed, dtype=np.int64)
    grown[tuple(slice(size) for size in histogram.shape)] = histogram
    return grown


# --- which runs --------------------------------------------------------------------------------


def join_ranges(first: Sequence[Range], second: Sequence[Range]) -> tuple[Range, ...]:
    """Return ranges (seed, first run, end) together, in order, neighbours joined.

    Raises
    ------
    EnsembleError
        If a run is in both.

    Examples
    --------
    >>> join_ranges([(1, 0, 5), (2, 0, 9)], [(1, 5, 8)])
    ((1, 0, 8), (2, 0, 9))
    """
    joined: list[Range] = []
    for seed, begin, end in sorted(part for part in (*first, *second) if part[1] < part[2]):
        if joined and joined[-1][0] == seed and begin < joined[-1][2]:
            last = min(end, joined[-1][2]) - 1
            raise EnsembleError(
                f"both ensembles have the runs {begin} to {last} of seed {seed}, which would count "
                "twice; sample with another seed, or further runs with first_run=..."
            )
        if joined and joined[-1][0] == seed and begin == joined[-1][2]:
            joined[-1] = (seed, joined[-1][1], end)
        else:
            joined.append((seed, begin, end))
    return tuple(joined)


def first_of(ranges: Sequence[Range], number: int) -> list[tuple[int, int]]:
    """Return (seed, run) of the first runs of ordered ranges, at most a number of them."""
    found: list[tuple[int, int]] = []
    for seed, begin, end in ranges:
        found += [(seed, run) for run in range(begin, min(end, begin + number - len(found)))]
    return found


def moment_name(index: Sequence[int], species: Sequence[str], kind: str) -> str:
    """Return `moment_label`, after a check of the kind."""
    if kind not in ("central", "raw"):
        raise EnsembleError(f"kind='{kind}' is unknown; use 'central' or 'raw'")
    return moment_label(index, species, kind)
