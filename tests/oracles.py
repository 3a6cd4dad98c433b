"""Independent solutions of the master equation, which share no code with the package."""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import expm


def generating_function(reactants, products, propensity_constants, start, times, shape):
    """Return p(n, t) of a network whose reactions have at most one reactant molecule.

    G(x, t) = sum_n p(n, t) x^n is a product over the molecules at the start, each with a
    generating function g_i of its own (a branching process):
    dg_i/dt = sum_j k_j (prod_l g_l^products[l, j] - g_i), and a factor
    exp(int sum_j k_j (prod_l g_l^products[l, j] - 1) dt) for the reactions from nothing. On roots
    of unity G is the discrete Fourier transform of p.

    Parameters
    ----------
    reactants, products : array (N, M)
    propensity_constants : (M,)
        k_j; k_j V for a reaction from nothing.
    start : (N,) counts
    times : increasing, T numbers
    shape : (N,) even
        Counts 0..shape-1; what lies beyond is folded back.

    Returns
    -------
    ndarray (T, *shape)
    """
    reactants, products = np.asarray(reactants), np.asarray(products)
    n_species, n_reactions = reactants.shape
    assert np.all(reactants.sum(axis=0) <= 1)
    lengths = [*shape[:-1], shape[-1] // 2 + 1]
    roots = [np.exp(-2j * np.pi * np.arange(m) / s) for m, s in zip(lengths, shape, strict=True)]
    points = np.stack(np.meshgrid(*roots, indexing="ij")).reshape(n_species, -1)

    def slopes(_, flat):
        g = flat.reshape(n_species + 1, -1)
        result = np.zeros_like(g)
        for j in range(n_reactions):
            after = np.ones_like(g[0])
            for i in range(n_species):
                for _ in range(products[i, j]):
                    after = after * g[i]
            source = np.flatnonzero(reactants[:, j])
            row, before = (source[0], g[source[0]]) if source.size else (n_species, 1.0)
            result[row] += propensity_constants[j] * (after - before)
        return result.ravel()

    state = np.vstack([points, np.zeros_like(points[:1])]).ravel()
    now, found = 0.0, []
    for time in times:
        if time > now:
            span = now, time
            solution = solve_ivp(slopes, span, state, method="DOP853", rtol=1e-11, atol=1e-12)
            state, now = solution.y[:, -1], time
        *g, exponent = state.reshape(n_species + 1, -1)
        total = np.exp(exponent)
        for g_i, count in zip(g, start, strict=True):
            total = total * g_i**count
        found.append(np.fft.irfftn(total.reshape(lengths), shape, axes=range(n_species)))
    return np.array(found)


def dense_master_equation(reactants, products, rate_constants, start, times, volume=1.0):
    """Return p(n, t) of a small closed network as a dict {state: (T,) probabilities}.

    Every state is visited one by one, propensities are k V prod C(n, nu)/V^nu written with
    ``math.comb``, and the dense generator goes through ``scipy.linalg.expm``.
    """
    reactants, products = np.asarray(reactants), np.asarray(products)
    index, queue, moves = {tuple(start): 0}, [tuple(start)], []
    while queue:
        state = queue.pop()
        for j, k in enumerate(rate_constants):
            propensity = k * volume
            for n, order in zip(state, reactants[:, j], strict=True):
                propensity *= math.comb(n, int(order)) / volume ** int(order)
            if propensity:
                after = tuple(int(n) for n in state + products[:, j] - reactants[:, j])
                if after not in index:
                    index[after] = len(index)
                    queue.append(after)
                moves.append((index[state], index[after], propensity))
    generator = np.zeros((len(index), len(index)))
    for source, target, propensity in moves:
        generator[target, source] += propensity
        generator[source, source] -= propensity
    values = np.array([expm(generator * t)[:, 0] for t in times])
    return {state: values[:, i] for state, i in index.items()}
