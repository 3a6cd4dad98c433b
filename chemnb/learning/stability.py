"""Which terms survive: over resamples of the data, and as an L1 penalty grows."""

from __future__ import annotations

import numpy as np

from .selection import Choice, Search
from .trajectories import Linearised

RESAMPLES = 100
MAJORITY = 0.6  # share of resamples that keeps a term, of the 0.6-0.9 usual since
# Meinshausen and Bühlmann (2010), doi:10.1111/j.1467-9868.2010.00740.x
_EPSILONS = np.geomspace(1.0, 1e-4, 41)


def shares(choice: Choice, prices: np.ndarray, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Return for every unknown the share of resamples whose BIC keeps it.

    Bayesian bootstrap (Rubin 1981, doi:10.1214/aos/1176345338): every datum, once whitened,
    gets a random weight of mean one. The trajectories are linearised at the choice.
    """
    problem, rng = choice.problem, np.random.default_rng(seed)
    residuals, at = problem.all_slopes(choice.chosen, choice.estimate)
    kept = np.zeros(len(at))
    for _ in range(resamples):
        root = np.sqrt(rng.exponential(size=residuals.rest.shape))
        weighted = residuals._replace(
            rest=root * residuals.rest,
            slopes=root[:, :, None] * residuals.slopes,
            start_slopes=root[:, :, None] * residuals.start_slopes,
        )
        near = Linearised(weighted, at, choice.estimate.starts)
        found = Search(problem, prices, {}).linear(near).search(frozenset(choice.chosen))
        kept[sorted(found)] += 1
    return kept / resamples


def by_stability(
    choice: Choice, prices: np.ndarray, seed: int, **options
) -> tuple[Choice, np.ndarray]:
    """Keep the terms of a choice that a clear majority of resamples keeps; refit them."""
    share = shares(choice, prices, seed)
    stable = np.flatnonzero(share >= MAJORITY).tolist()
    if stable == choice.chosen:
        return choice, share
    full = np.zeros(len(share))
    full[choice.chosen] = choice.estimate.parameters
    estimate = choice.problem.fit(stable, full[stable], choice.estimate.starts, **options)
    path = [*choice.path, (len(stable), estimate.chi_square)]
    return Choice(stable, estimate, path, choice.problem), share


def l1_path(choice: Choice) -> tuple[np.ndarray, np.ndarray]:
    """Return penalties ε and the unknowns (ε, unknowns) with the least misfit² + ε Σ w|u|.

    The trajectories are linear near the choice. A weight w is one over the size that the
    unpenalised fit gives (Zou 2006, doi:10.1198/016214506000000735), so that units play no
    role and large terms are hardly shrunk; zeros are exact (coordinate descent). ε is given in
    units of the one that leaves no term.
    """
    near = choice.problem.linearised(choice.chosen, choice.estimate)
    scale = np.linalg.norm(near.matrix, axis=0)
    scale[scale == 0] = 1.0
    matrix = near.matrix / scale
    gram, pull = matrix.T @ matrix, matrix.T @ near.target
    free = np.linalg.solve(gram + 1e-8 * np.eye(len(gram)), pull)
    weights = 1 / np.maximum(np.abs(free), 1e-12 * np.abs(free).max(initial=1e-300))
    largest = np.max(np.abs(pull) / weights)
    u, path = np.zeros(len(free)), []
    for epsilon in largest * _EPSILONS:
        u = _descend(gram, pull, epsilon * weights, u)
        path.append(u / scale)
    return _EPSILONS.copy(), np.array(path)


def by_l1(choice: Choice, prices: np.ndarray, on_step, **options) -> Choice:
    """Choose by BIC among the supports that an L1 path goes through, each refitted."""
    search = Search(choice.problem, prices, options)
    best, path = choice, list(choice.path)
    for _ in range(5):
        _, table = l1_path(best)
        near = search.linear(best.problem.linearised(best.chosen, best.estimate))
        supports = dict.fromkeys(frozenset(np.flatnonzero(row).tolist()) for row in table)
        trials = [(*search.fit(support, near), support) for support in supports]
        score, estimate, support = min(trials, key=lambda trial: trial[0])
        path.append((len(support), score))
        found = Choice(sorted(support), estimate, path, choice.problem)
        on_step(found)
        if found.chosen == best.chosen:
            return found
        best = found
    return best


def _descend(gram, pull, limits, u) -> np.ndarray:
    """Return the minimum of u·Gu/2 - p·u + Σ limit|u|, by cyclic coordinate descent."""
    u = u.copy()
    for _ in range(2000):
        change = 0.0
        for i in range(len(u)):
            rest = pull[i] - gram[i] @ u + gram[i, i] * u[i]
            new = np.sign(rest) * max(abs(rest) - limits[i], 0.0) / max(gram[i, i], 1e-300)
            change = max(change, abs(new - u[i]))
            u[i] = new
        if change <= 1e-9 * np.abs(u).max(initial=1e-300):
            break
    return u
