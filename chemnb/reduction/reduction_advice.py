"""What is suspicious about a learned reduction, in plain words."""

from __future__ import annotations

import numpy as np

from ..learning.rational_selection import SIGNIFICANT, Regression, passing
from ..networks.expressions import listing

_ALIKE = 2000.0  # condition number beyond which candidate terms can hardly be told apart
_FOLD = 4.0  # change of a slow species below which its range is called narrow
_SATURATION = 1.5  # change of the denominator below which its form is hardly seen
_LOOSE = 0.1  # relative standard error beyond which a coefficient is called loose
_MISFIT = 0.02  # share beyond which the curve is called wrong


def warnings(found: Regression, threshold: float, settled: float | None) -> tuple[str, ...]:
    """Return all warnings about a fit; ``settled`` is what `settled_since` says."""
    texts = [
        _layer(settled),
        _narrow(found),
        _shared(found),
        _loose(found),
        _near_floor(found, threshold),
        _misfit(found),
    ]
    return tuple(text for text in texts if text)


def _layer(settled: float | None) -> str:
    if settled is None:
        return ""
    return (
        f"until about t = {settled:g} the fast species still relax onto the slow manifold "
        f"(initial layer), which bends the curve; leave these samples out: start={settled:g}"
    )


def _narrow(found: Regression) -> str:
    problem, fit = found.problem, found.fit
    low, high = problem.data.slow.min(axis=0), problem.data.slow.max(axis=0)
    ranges = " and ".join(
        f"{name} from {a:.3g} to {b:.3g}"
        for name, a, b in zip(problem.data.slow_names, low, high, strict=True)
    )
    if found.condition > _ALIKE:
        return (
            f"the range of the slow variable is too narrow: with {ranges} the candidate terms "
            f"look nearly alike (condition number {found.condition:.2g}); add runs from other starts"
        )
    omega = problem.family.denominator(fit.coefficients, problem.data.slow)
    if np.count_nonzero(fit.coefficients[0]) > 1 and omega.max() < _SATURATION * omega.min():
        return (
            f"the range of the slow variable is narrow: with {ranges} the denominator changes by "
            f"{100 * (omega.max() / omega.min() - 1):.2g} % only, so that its form is hardly "
            "seen; add runs from other starts"
        )
    if np.any(high < _FOLD * low):
        return (
            f"the range of the slow variable is narrow: {ranges}, less than {_FOLD:g}-fold, where "
            "a lower degree fits by chance; add runs from other starts"
        )
    return ""


def _loose(found: Regression) -> str:
    problem, fit = found.problem, found.fit
    error = np.sqrt(np.clip(np.diag(problem.covariance(fit)), 0.0, None))
    relative = error / np.maximum(np.abs(fit.numbers), 1e-300)
    worst = int(np.argmax(relative))
    if relative[worst] <= _LOOSE:
        return ""
    names = problem.family.names.ravel()[problem.tie.cells]
    return (
        f"the data fix '{names[fit.columns[worst]]}' only to {100 * relative[worst]:.2g} % "
        "(standard error): give more samples, or runs where its term is large"
    )


def _shared(found: Regression) -> str:
    degree = found.problem.family.degree
    lower = [rung for rung in passing(found.ladder) if rung < degree]
    if not lower:
        return ""
    return (
        f"degree {min(lower)} fits as well as degree {degree}: numerator and denominator may share "
        f"a factor, which the data cannot fix; use degree={min(lower)} or 'auto'"
    )


def _near_floor(found: Regression, threshold: float) -> str:
    if not threshold:
        return ""
    problem, fit, path = found.problem, found.fit, found.path
    names = problem.family.names.ravel()[problem.tie.cells]
    real = [(share, names[column]) for column, share, ratio in path if ratio > SIGNIFICANT]
    largest = max((pair for pair in real if pair[0] < threshold), default=(0.0, ""))
    if largest[0] > threshold / 2:
        return (
            f"the threshold is close to the floor: '{largest[1]}' was dropped at "
            f"{100 * largest[0]:.2g} % although it is significant; terms of that size come from "
            "the O(ε) of the slow manifold or are real, and the threshold "
            f"({100 * threshold:.2g} %) decides; slower driving makes the former shrink"
        )
    shares = problem.contributions(fit)
    least = int(np.argmin(shares))
    if shares[least] < 1.5 * threshold:
        return (
            f"the threshold is close to the floor: '{names[fit.columns[least]]}' was kept at "
            f"{100 * shares[least]:.2g} %, near the threshold of {100 * threshold:.2g} %"
        )
    return ""


def _misfit(found: Regression) -> str:
    problem, lack = found.problem, found.problem.lack(found.fit)
    if lack <= _MISFIT:
        return ""
    return (
        f"the curve misses the data by {100 * lack:.2g} % beyond their noise; the fast species "
        f"may depend on more than {listing(problem.data.slow_names)}, may not be a rational "
        "function of it, or may not have relaxed"
    )
