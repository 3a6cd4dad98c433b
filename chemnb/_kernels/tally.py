"""Sums of counts and of their products over runs, in one pass."""

import numpy as np

from .compiled import compiled


@compiled()
def add_up(counts, sums, products):
    """Add the counts of all runs and the products of any two to sums; return (least, largest).

    The sums are wrong if the largest product times the runs does not fit 64 bits: check it after.

    Parameters
    ----------
    counts : int64 (runs, times, species)
    sums : int64 (times, species)
    products : int64 (times, species, species)
        Added to in the lower triangle, k <= i.
    """
    runs, n_times, n_species = counts.shape
    least = largest = np.int64(0)
    for run in range(runs):
        for t in range(n_times):
            for i in range(n_species):
                x = counts[run, t, i]
                least, largest = min(least, x), max(largest, x)
                sums[t, i] += x
                for k in range(i + 1):
                    products[t, i, k] += x * counts[run, t, k]
    return least, largest
