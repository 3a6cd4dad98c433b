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
    role and large terms are hardly shrunk; zeros are exact (homotopy). ε is given in units of
    the one that leaves no term.
    """
    near = choice.problem.linearised(choice.chosen, choice.estimate)
    scale = np.linalg.norm(near.matrix, axis=0)
    scale[scale == 0] = 1.0
    matrix = near.matrix / scale
    gram, pull = matrix.T @ matrix, matrix.T @ near.target
    free = np.linalg.solve(gram + 1e-8 * np.eye(len(gram)), pull)
    weights = 1 / np.maximum(np.abs(free), 1e-12 * np.abs(free).max(initial=1e-300))
    path = _homotopy(gram / np.outer(weights, weights), pull / weights, _EPSILONS)
    return _EPSILONS.copy(), path / (weights * scale)


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


def _homotopy(gram: np.ndarray, pull: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the minima (share, term) of v·Gv/2 - p·v + ε Σ|v|, ε falling from its largest.

    The minimum is piecewise linear in ε, and each piece is solved exactly, however collinear
    the columns (Osborne, Presnell and Turlach 2000, doi:10.1093/imanum/20.3.389).
    """
    limits = shares * np.abs(pull).max(initial=0.0)
    v, rest, path = np.zeros(len(pull)), pull.copy(), np.zeros((len(shares), len(pull)))
    epsilon, done, active, left = limits[0], 0, [], None
    for _ in range(20 * len(pull)):
        inactive = [i for i in range(len(pull)) if i not in active]
        if left is None:  # a term joins; else one has just left
            active.append(max(inactive, key=lambda i: abs(rest[i])))
            inactive.remove(active[-1])
        signs = np.sign(rest[active])
        slope = np.linalg.lstsq(gram[np.ix_(active, active)], signs, rcond=1e-14)[0]
        fall = gram[:, active] @ slope
        joins = [_reach(epsilon, rest[i], fall[i], i == left) for i in inactive]
        leaves = np.where(slope * v[active] < 0, -v[active] / np.where(slope, slope, 1.0), np.inf)
        step = min([epsilon, *joins, *leaves])
        while done < len(limits) and limits[done] >= epsilon - step:
            path[done, active] = v[active] + (epsilon - limits[done]) * slope
            done += 1
        if done == len(limits):
            break
        v[active] += step * slope
        rest, epsilon, left = pull - gram @ v, epsilon - step, None
        if step == leaves.min():
            left = active.pop(int(leaves.argmin()))
            v[left] = 0.0
    return path


def _reach(epsilon: float, rest: float, fall: float, left: bool) -> float:
    """Return how far ε falls until this term's pull is as large as ε.

    A term that has just left is there now; it comes back with the other sign only.
    """
    ways = [(epsilon - rest, 1 - fall), (epsilon + rest, 1 + fall)]
    if left:
        ways.remove(min(ways))
    return min((max(gap, 0.0) / rate for gap, rate in ways if rate > 0), default=np.inf)
