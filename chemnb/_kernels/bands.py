"""Powers of a sparse matrix that is made of shifted copies: pieces of equal rows, vectorised."""

import numpy as np

from .compiled import allocating, inlined


@inlined()
def _multiply(
    add, x, y, values, pieces, term_start, offsets, place, rows, row_start, columns, entries
):
    """Write matrix @ x into y, or add it."""
    for p in range(len(pieces)):
        first, size = pieces[p, 0], pieces[p, 1] - pieces[p, 0]
        begin, end, at = term_start[p], term_start[p + 1], place[p]
        into = y[first : first + size]
        if not add:
            into[:] = 0.0
        while end - begin >= 4:  # four at a time save reading and writing y
            a, b = x[first + offsets[begin] :][:size], x[first + offsets[begin + 1] :][:size]
            c, d = x[first + offsets[begin + 2] :][:size], x[first + offsets[begin + 3] :][:size]
            v, w = values[at:][:size], values[at + size :][:size]
            f, g = values[at + 2 * size :][:size], values[at + 3 * size :][:size]
            for i in range(size):
                into[i] += (v[i] * a[i] + w[i] * b[i]) + (f[i] * c[i] + g[i] * d[i])
            at += 4 * size
            begin += 4
        while begin < end:
            one, v = x[first + offsets[begin] :][:size], values[at : at + size]
            for i in range(size):
                into[i] += v[i] * one[i]
            begin += 1
            at += size
    for r in range(len(rows)):
        total = y[rows[r]] if add else 0.0
        for e in range(row_start[r], row_start[r + 1]):
            total += entries[e] * x[columns[e]]
        y[rows[r]] = total


def _power_series_in_numpy(
    weights, first, last, values, pieces, term_start, offsets, place, rows, row_start, columns,
    entries, now, work, out,
):  # fmt: skip
    """Do as `power_series`, with the same order of all sums."""
    alike = _alike(pieces, term_start, offsets, place)
    alone = np.repeat(rows, np.diff(row_start))

    def add_product(m, x, y):
        for row, column, at in alike:
            products, into = values[m, at] * x[column], y[row]
            four = len(products) // 4 * 4
            for a, b, c, d in products[:four].reshape(-1, 4, row.size):
                into += (a + b) + (c + d)
            for product in products[four:]:
                into += product
            y[row] = into
        np.add.at(y, alone, entries[m] * x[columns])

    for k in range(first, last):
        for t in np.flatnonzero(weights[:, k]):
            out[t] += weights[t, k] * now
        work[:] = 0.0
        for d in range(len(now)):
            add_product(0, now[d], work[d])
            if d:
                add_product(d, now[0], work[d])
        now, work = work, now


def _alike(pieces, term_start, offsets, place):
    """Return (rows, columns, places of their values) of all pieces with the same number of terms."""
    groups = {}
    for p, (first, last) in enumerate(pieces.tolist()):
        row = np.arange(first, last)
        column = row + offsets[term_start[p] : term_start[p + 1], None]
        at = place[p] + np.arange(column.size).reshape(column.shape)
        groups.setdefault(len(column), []).append((row, column, at))
    return [
        tuple(np.concatenate(parts, axis=-1) for parts in zip(*group, strict=True))
        for group in groups.values()
    ]


@allocating(in_numpy=_power_series_in_numpy)
def power_series(
    weights, first, last, values, pieces, term_start, offsets, place, rows, row_start, columns,
    entries, now, work, out,
):  # fmt: skip
    """Add the terms ``first`` to ``last`` of a series in powers of a matrix.

    Parameters
    ----------
    weights : float64 (times, terms)
    first, last : int
        ``last - first`` even, unless it is the end of the series.
    values ... entries : the tables of `chemnb.projection.uniformisation`
    now : float64 (1 + D, n)
        Power ``first`` applied to the start, and its derivatives; becomes power ``last``.
    work : float64 (1 + D, n)
    out : float64 (times, 1 + D, n)
        Added to.
    """
    for k in range(first, last):
        for t in range(len(weights)):
            weight = weights[t, k]
            if weight != 0.0:
                for d in range(len(now)):
                    into, x = out[t, d], now[d]
                    for i in range(len(x)):
                        into[i] += weight * x[i]
        for d in range(len(now)):
            _multiply(
                False, now[d], work[d], values[0], pieces, term_start, offsets, place, rows,
                row_start, columns, entries[0],
            )  # fmt: skip
            if d:
                _multiply(
                    True, now[0], work[d], values[d], pieces, term_start, offsets, place, rows,
                    row_start, columns, entries[d],
                )  # fmt: skip
        now, work = work, now
