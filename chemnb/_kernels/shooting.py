"""Polynomial differential equations with sensitivities, many short trajectories at once.

Dormand and Prince's pair of order 5(4) (1980, doi:10.1016/0771-050X(80)90013-3), and for stiff
equations a singly diagonally implicit scheme. The step is
chosen by the error of the state; the sensitivities are the exact derivatives of what the steps
compute, so that a least-squares fit sees one smooth function.
"""

import numpy as np

from .compiled import allocating, compiled

SOLVED, BLOWN_UP, TOO_MANY_STEPS = 0, 1, 2
_MOST_PER_INTERVAL = 50  # steps, on average, above which the equations count as stiff
_MOST_AT_ONCE = 1000

_A = np.array([
    [0, 0, 0, 0, 0, 0],
    [1 / 5, 0, 0, 0, 0, 0],
    [3 / 40, 9 / 40, 0, 0, 0, 0],
    [44 / 45, -56 / 15, 32 / 9, 0, 0, 0],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0, 0],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0],
    [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
])  # fmt: skip
_ERROR = np.array([
    71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40
])  # fmt: skip


# Hairer and Wanner (1996), Solving Ordinary Differential Equations II, table IV.6.5: L-stable,
# order 4(3), every stage with the same diagonal
_DIAGONAL = 0.25
_B = np.array([
    [0, 0, 0, 0],
    [1 / 2, 0, 0, 0],
    [17 / 50, -1 / 25, 0, 0],
    [371 / 1360, -137 / 2720, 15 / 544, 0],
    [25 / 24, -49 / 48, 125 / 16, -85 / 12],
])  # fmt: skip
_STIFF_ERROR = np.array([-3 / 16, -27 / 32, 25 / 32, 0, 1 / 4])
_NEWTON = 8


@compiled()
def _field(z, tables, flow, jacobian, k, n):
    """Write every term, d/dt of the state into column 0 of k, and the Jacobian."""
    rows, factors, theta, _, _, _ = tables
    degree = factors.shape[1]
    for i in range(n):
        k[i, 0] = 0.0
        for j in range(n):
            jacobian[i, j] = 0.0
    for t in range(len(rows)):
        row, value = rows[t], 1.0
        for f in range(degree):
            if factors[t, f] < n:
                value *= z[factors[t, f], 0]
        flow[t] = value
        k[row, 0] += theta[t] * value
        for f in range(degree):
            i = factors[t, f]
            if i < n:
                rest = theta[t]
                for g in range(degree):
                    if g != f and factors[t, g] < n:
                        rest *= z[factors[t, g], 0]
                jacobian[row, i] += rest


@compiled()
def _derivatives(z, tables, flow, jacobian, k, n, known):
    """Write d/dt of the derivatives, columns 1 on of z, into k; the field is known."""
    rows, _, _, tie_start, tie_column, tie_value = tables
    width = z.shape[1]
    for i in range(n):
        for q in range(1, width):
            k[i, q] = 0.0
    for i in range(n):
        for j in range(n):
            share = jacobian[i, j]
            if share != 0.0:
                for q in range(1, width):
                    k[i, q] += share * z[j, q]
    if known > 0:
        for t in range(len(rows)):
            for s in range(tie_start[t], tie_start[t + 1]):
                k[rows[t], 1 + tie_column[s]] += flow[t] * tie_value[s]


@compiled()
def _slopes(z, tables, flow, jacobian, k, n, known):
    """Write d/dt of the state and of its derivatives, held in the columns of z, into k.

    ``z[i, 0]`` is the state; ``known`` of the columns after it are its derivatives with
    respect to the unknowns, the rest those with respect to the start.
    """
    _field(z, tables, flow, jacobian, k, n)
    if z.shape[1] > 1:
        _derivatives(z, tables, flow, jacobian, k, n, known)


@compiled()
def _advance(z, z1, stages, a, error_weights, tables, flow, jacobian, n, known, span, step,
             rtol, atol, limit, most):  # fmt: skip
    """Integrate z over a span; return the status, the next step and the steps taken."""
    width, done, count = z.shape[1], 0.0, 0
    while done < span:
        if count >= most:
            return TOO_MANY_STEPS, step, count
        count += 1
        last = step >= (span - done) * 0.999999
        h = span - done if last else step
        for s in range(1, 7):
            for i in range(n):
                for q in range(width):
                    z1[i, q] = z[i, q]
                for r in range(s):
                    share = h * a[s, r]
                    if share != 0.0:
                        for q in range(width):
                            z1[i, q] += share * stages[r, i, q]
            _slopes(z1, tables, flow, jacobian, stages[s], n, known)
        error = 0.0
        for i in range(n):
            wrong = 0.0
            for s in range(7):
                wrong += error_weights[s] * stages[s, i, 0]
            size = max(abs(z[i, 0]), abs(z1[i, 0]))
            wrong = h * wrong / (atol + rtol * size)
            error += wrong * wrong
        error = np.sqrt(error / n)
        if not error <= 1.0:
            factor = 0.2 if not error < 1e10 else max(0.2, 0.9 * error**-0.2)
            step = h * factor
            if step < 1e-13 * span:
                return BLOWN_UP, step, count
            continue
        done = span if last else done + h
        for i in range(n):
            if not abs(z1[i, 0]) < limit:
                return BLOWN_UP, step, count
            for q in range(width):
                z[i, q] = z1[i, q]
                stages[0, i, q] = stages[6, i, q]
        grown = h * min(5.0, 0.9 * max(error, 1e-10) ** -0.2)
        step = max(grown, step) if last else grown
    return SOLVED, step, count


@compiled()
def _factorise(jacobian, matrix, pivots, n, share):
    """Write the LU factors of 1 - share J into ``matrix``."""
    for i in range(n):
        for j in range(n):
            matrix[i, j] = -share * jacobian[i, j]
        matrix[i, i] += 1.0
    for c in range(n):
        best = c
        for i in range(c + 1, n):
            if abs(matrix[i, c]) > abs(matrix[best, c]):
                best = i
        pivots[c] = best
        if best != c:
            for j in range(n):
                matrix[c, j], matrix[best, j] = matrix[best, j], matrix[c, j]
        for i in range(c + 1, n):
            matrix[i, c] /= matrix[c, c]
            for j in range(c + 1, n):
                matrix[i, j] -= matrix[i, c] * matrix[c, j]


@compiled()
def _resolve(matrix, pivots, k, n, begin, end):
    """Solve for the columns begin..end of k, in place."""
    for c in range(n):
        best = pivots[c]
        if best != c:
            for q in range(begin, end):
                k[c, q], k[best, q] = k[best, q], k[c, q]
    for i in range(n):
        for c in range(i):
            share = matrix[i, c]
            if share != 0.0:
                for q in range(begin, end):
                    k[i, q] -= share * k[c, q]
    for i in range(n - 1, -1, -1):
        for c in range(i + 1, n):
            share = matrix[i, c]
            for q in range(begin, end):
                k[i, q] -= share * k[c, q]
        for q in range(begin, end):
            k[i, q] /= matrix[i, i]


@compiled()
def _stage(z1, k, spare, tables, flow, jacobian, matrix, pivots, n, known, share, rtol, atol):
    """Solve one implicit stage from its base z1, which moves to the stage; return success."""
    width = z1.shape[1]
    for i in range(n):
        k[i, 0] = 0.0
    settled = False
    for _ in range(_NEWTON):
        _field(z1, tables, flow, jacobian, spare, n)
        _factorise(jacobian, matrix, pivots, n, share)
        if settled:
            break
        for i in range(n):
            spare[i, 0] -= k[i, 0]
        _resolve(matrix, pivots, spare, n, 0, 1)
        moved = 0.0
        for i in range(n):
            k[i, 0] += spare[i, 0]
            z1[i, 0] += share * spare[i, 0]
            moved = max(moved, abs(share * spare[i, 0]) / (atol + rtol * abs(z1[i, 0])))
        if not moved < 1e12:
            return False
        settled = moved < 1e-3
    if not settled:
        return False
    if width > 1:
        _derivatives(z1, tables, flow, jacobian, k, n, known)
        _resolve(matrix, pivots, k, n, 1, width)
        for i in range(n):
            for q in range(1, width):
                z1[i, q] += share * k[i, q]
    return True


@compiled()
def _advance_stiff(z, z1, stages, b, error_weights, tables, flow, jacobian, matrix, pivots, n,
                   known, span, step, rtol, atol, limit, most):  # fmt: skip
    """Integrate z over a span by the implicit scheme; return status, next step, steps."""
    width, done, count = z.shape[1], 0.0, 0
    while done < span:
        if count >= most:
            return TOO_MANY_STEPS, step, count
        count += 1
        last = step >= (span - done) * 0.999999
        h = span - done if last else step
        fine = True
        for s in range(5):
            for i in range(n):
                for q in range(width):
                    z1[i, q] = z[i, q]
                for r in range(s):
                    share = h * b[s, r]
                    for q in range(width):
                        z1[i, q] += share * stages[r, i, q]
            fine = _stage(
                z1, stages[s], stages[5], tables, flow, jacobian, matrix, pivots, n, known,
                h * _DIAGONAL, rtol, atol,
            )  # fmt: skip
            if not fine:
                break
        error = 1e20
        if fine:
            error = 0.0
            for i in range(n):
                wrong = 0.0
                for s in range(5):
                    wrong += error_weights[s] * stages[s, i, 0]
                stages[5, i, 0] = h * wrong
            # what a stiff part adds to the estimate is damped as it is in the solution
            _resolve(matrix, pivots, stages[5], n, 0, 1)
            for i in range(n):
                size = max(abs(z[i, 0]), abs(z1[i, 0]))
                wrong = stages[5, i, 0] / (atol + rtol * size)
                error += wrong * wrong
            error = np.sqrt(error / n)
        if not error <= 1.0:
            factor = 0.25 if not error < 1e10 else max(0.2, 0.9 * error**-0.25)
            step = h * factor
            if step < 1e-13 * span:
                return BLOWN_UP, step, count
            continue
        done = span if last else done + h
        for i in range(n):
            if not abs(z1[i, 0]) < limit:
                return BLOWN_UP, step, count
            for q in range(width):
                z[i, q] = z1[i, q]
        grown = h * min(5.0, 0.9 * max(error, 1e-10) ** -0.25)
        step = max(grown, step) if last else grown
    return SOLVED, step, count


@allocating()
def shoot(starts, first, times, tables, known, with_starts, implicit, rtol, atol, limit):
    """Solve many trajectories of one polynomial system, with sensitivities.

    Parameters
    ----------
    starts : (W, D)
    first : (W + 1,)
        Where the times of each trajectory begin in ``times``.
    times : (N,)
        Since the start of the trajectory, not decreasing.
    tables : rows (terms,), factors (terms, degree), theta (terms,), and θ's derivatives with
        respect to the unknowns as compressed rows: starts, columns, values.
        A factor of D stands for one.
    known : int
        Number of unknowns.
    with_starts : bool
        Whether derivatives with respect to the start are wanted as well.
    implicit : bool
        Whether to use the scheme for stiff equations.

    Returns
    -------
    path (N, D, 1 + unknowns + (D or 0)), status, place
        Value and derivatives; how the first trajectory that failed ended, and its last point,
        which holds the state where it stopped.
    """
    trajectories, n = starts.shape
    width = 1 + known + (n if with_starts else 0)
    path = np.empty((len(times), n, width))
    status, where = SOLVED, 0
    z, z1 = np.empty((n, width)), np.empty((n, width))
    stages = np.empty((7, n, width))
    flow, jacobian = np.empty(len(tables[0])), np.empty((n, n))
    a, error_weights = _A.copy(), _ERROR.copy()
    b, stiff_weights = _B.copy(), _STIFF_ERROR.copy()
    matrix, pivots = np.empty((n, n)), np.empty(n, dtype=np.int64)
    for w in range(trajectories):
        for i in range(n):
            for q in range(width):
                z[i, q] = 0.0
            z[i, 0] = starts[w, i]
            if with_starts:
                z[i, 1 + known + i] = 1.0
        _slopes(z, tables, flow, jacobian, stages[0], n, known)
        fastest = 0.0
        for i in range(n):
            fastest = max(fastest, abs(stages[0, i, 0]) / (1e-3 + abs(z[i, 0])))
        step = 0.05 / (fastest + 1e-300)
        now, left = 0.0, _MOST_AT_ONCE + _MOST_PER_INTERVAL * (first[w + 1] - first[w])
        for p in range(first[w], first[w + 1]):
            if times[p] > now:
                if implicit:
                    status, step, count = _advance_stiff(
                        z, z1, stages, b, stiff_weights, tables, flow, jacobian, matrix, pivots,
                        n, known, times[p] - now, step, rtol, atol, limit, left,
                    )  # fmt: skip
                else:
                    status, step, count = _advance(
                        z, z1, stages, a, error_weights, tables, flow, jacobian, n, known,
                        times[p] - now, step, rtol, atol, limit, left,
                    )  # fmt: skip
                left -= count
                now = times[p]
            for i in range(n):
                for q in range(width):
                    path[p, i, q] = z[i, q]
            if status != SOLVED:
                where = p
                break
        if status != SOLVED:
            break
    return path, status, where
