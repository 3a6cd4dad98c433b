"""Which coefficients, and which combinations of them, the data determine."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace

import numpy as np

from ..equations.polynomials import SolverError
from .bootstrap import check_fit
from .learned import Learned
from .noise import estimate_noise, positions, reach
from .scaling import positive
from .trajectories import TrajectoryProblem
from .windows import eliminate

_SHOWN = 0.15  # share of the largest exponent below which a coefficient is not named
_NOTHING = 1e-7  # share of the largest singular value that counts as zero
_CHANGE = 0.1  # the joint change of coefficients that is spelt out
_SUGGESTED = 3
_COLLINEAR = 1000.0


@dataclass(frozen=True)
class Identifiability:
    """What the data say about the kept coefficients together.

    Attributes
    ----------
    condition_number : float
        Of the sensitivities of the data to the coefficients, each column of length one.
    singular_values : ndarray
        Of the sensitivities to relative changes, in standard deviations of the noise.
    combinations : DataFrame
        Products of powers of coefficients that the data determine independently of each other,
        the best first: relative standard error, and whether the interval excludes zero and
        twice the value.
    starts : DataFrame
        Starting states whose experiment would help most, with the largest relative standard
        error of a combination that would be left; empty where nothing needs help.
    determined : bool
        Whether every combination is determined.
    text : str
        The same in plain words.
    """

    condition_number: float
    singular_values: np.ndarray
    combinations: object
    starts: object
    determined: bool
    text: str

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "".join(f"<p>{html.escape(line)}</p>" for line in self.text.splitlines())
        return lines + self.combinations.to_html(float_format="{:.3g}".format)


def identifiability(learned: Learned, level: float = 0.95) -> Identifiability:
    """Return which combinations of the kept coefficients the data determine.

    See `ODENet.identifiability`.
    """
    import pandas as pd

    check_fit(learned, "this report")
    problem, chosen, fit = learned.problem, np.array(learned.chosen), learned.fit
    slopes = _sensitivities(learned)
    sizes, still = _sizes(fit.parameters, slopes)
    slopes = slopes * sizes
    names = [problem.unknowns.names[i] for i in chosen]
    lengths = np.linalg.norm(slopes, axis=0)
    condition = _condition(slopes / positive(lengths))
    values, right = _singular(slopes)
    freedom = np.inf if fit.freedom is None else float(np.min(fit.freedom))
    limit = float(reach(level, freedom))
    known = values > max(limit, _NOTHING * values[0])
    errors = np.where(values > _NOTHING * values[0], 1 / positive(values), np.inf)
    combinations = pd.DataFrame(
        {
            "combination": [_product(names, v) for v in right],
            "singular value": values, "relative error": errors, "determined": known,
        },
        index=pd.RangeIndex(1, len(values) + 1, name="direction"),
    )  # fmt: skip
    ask = not known.all() or condition > _COLLINEAR
    starts = _suggestions(learned, sizes, slopes) if ask else _no_starts()
    text = _words(names, values, right, known, errors, condition, starts, still)
    return Identifiability(condition, values, combinations, starts, bool(known.all()), text)


def _sizes(values: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what a relative change of one is, and which coefficients are zero, at a bound.

    These are measured in what moves the data as much as the others do.
    """
    sizes, lengths, still = np.abs(values), np.linalg.norm(slopes, axis=0), values == 0
    if still.any():
        moved = np.median((sizes * lengths)[~still]) if not still.all() else 1.0
        sizes = np.where(still, moved / positive(lengths), sizes)
    return sizes, still


def _sensitivities(learned: Learned, problem: TrajectoryProblem | None = None, starts=None):
    """Return derivatives (rows, P) of the data, in units of their noise."""
    own, fit = learned.problem, learned.fit
    noise = estimate_noise(own, learned.chosen, fit)
    problem = own if problem is None else problem
    residuals = problem.solve(
        learned.chosen, fit.parameters, fit.starts if starts is None else starts
    )  # fmt: skip
    if own.absolute:
        sizes = np.ones(residuals.rest.shape)
    elif problem is own:
        sizes = noise.sizes / np.sqrt(noise.share)
    else:
        sizes = np.zeros(residuals.rest.size)
        theirs = positions(problem, residuals.rest.shape)
        for mine, rows in zip(noise.variables, theirs, strict=True):
            sizes[rows] = noise.sizes.ravel()[mine].max(initial=0.0) / np.sqrt(noise.share)
        sizes = sizes.reshape(residuals.rest.shape)
    sizes = np.maximum(sizes, 1e-12)[:, :, None]
    scaled = residuals._replace(
        slopes=residuals.slopes / sizes, start_slopes=residuals.start_slopes / sizes
    )
    _, slopes, _ = eliminate(scaled)
    return slopes


def _singular(slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all singular values, zeros too, and the directions, largest entry positive."""
    triangle = np.linalg.qr(slopes, mode="r")
    square = np.zeros((slopes.shape[1], slopes.shape[1]))
    square[: len(triangle)] = triangle
    _, values, right = np.linalg.svd(square)
    sign = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])
    return values, right * sign[:, None]


def _condition(slopes: np.ndarray) -> float:
    values, _ = _singular(slopes)
    return float(values[0] / max(values[-1], 1e-16 * values[0]))


def _product(names, exponents) -> str:
    """Return a direction in the space of relative changes as a product of powers.

    Examples
    --------
    >>> _product(["k1", "k2", "k3"], np.array([0.7, -0.7, 0.01]))
    'k1 / k2'
    >>> _product(["A: A", "A: A^2"], np.array([0.4, 0.8]))
    '[A: A]^0.5 [A: A^2]'
    """
    powers = exponents / np.abs(exponents).max()
    over = [_power(n, p) for n, p in zip(names, powers, strict=True) if p > _SHOWN]
    under = [_power(n, -p) for n, p in zip(names, powers, strict=True) if p < -_SHOWN]
    if not under:
        return " ".join(over)
    below = " ".join(under)
    return f"{' '.join(over)} / {below if len(under) == 1 else f'({below})'}"


def _power(name: str, exponent: float) -> str:
    name = f"[{name}]" if ":" in name else name
    return name if round(exponent, 2) == 1 else f"{name}^{exponent:.2g}"


def _move(names, direction) -> str:
    """Return a joint change of coefficients in words."""
    shares = direction / np.abs(direction).max()
    up = [f"{_power(n, 1)} by {100 * _CHANGE * s:.2g} %"
          for n, s in zip(names, shares, strict=True) if s > _SHOWN]  # fmt: skip
    down = [f"{_power(n, 1)} by {-100 * _CHANGE * s:.2g} %"
            for n, s in zip(names, shares, strict=True) if s < -_SHOWN]  # fmt: skip
    parts = [f"raising {_joined(up)}"] * bool(up) + [f"lowering {_joined(down)}"] * bool(down)
    text = " and ".join(parts) + (" together" if len(up + down) > 1 else "")
    return text[0].upper() + text[1:]


def _joined(parts: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def _words(names, values, right, known, errors, condition, starts, still) -> str:
    lines = []
    if known.all():
        what = f"all {len(names)} coefficients" if len(names) > 1 else "the coefficient"
        least = f"the least certain combination, {_product(names, right[-1])},"
        lines.append(
            f"These data determine {what}; {least if len(names) > 1 else 'it is known'} to "
            f"{100 * errors[-1]:.2g} % (standard error)."
        )
    else:
        lines.append(
            f"These data determine {int(known.sum())} of {len(names)} combinations of the "
            "coefficients."
        )
    for value, direction, good in zip(values, right, known, strict=True):
        if not good:
            effect = _CHANGE * value / np.abs(direction).max()
            size = "nothing" if effect < 1e-4 else f"{effect:.2g} standard deviations of the noise"
            lines.append(
                f"Not determined: {_product(names, direction)}. {_move(names, direction)} "
                f"changes the data, all taken together, by {size}."
            )
    zero = [_power(name, 1) for name, at in zip(names, still, strict=True) if at]
    if zero:
        lines.append(
            f"Zero, at its bound: {_joined(zero)}; its changes are measured in what moves the data "
            "as much as those of the others."
        )
    if condition > _COLLINEAR:
        lines.append(
            f"The sensitivities are nearly collinear (condition number {condition:.2g}): in these "
            "data the terms do nearly the same."
        )
    if len(starts):
        best = starts.iloc[0]
        where = ", ".join(f"{name} = {best[name]:.3g}" for name in starts.columns[:-1])
        left = f"to {100 * best['relative error']:.2g} %"
        lines.append(
            f"Of the starting states tried, {where} helps most: one such experiment with the "
            f"times of the first lowers the largest relative standard error {left}."
        )
    elif not known.all():
        lines.append(
            "None of the starting states tried would help much: measure more variables, tie "
            "coefficients, or learn fewer terms."
        )
    return "\n".join(lines)


def _no_starts():
    import pandas as pd

    return pd.DataFrame({"relative error": []})


def _suggestions(learned: Learned, sizes, slopes):
    """Return the best starting states for one more experiment, by the largest error left.

    E-optimal design at the fitted coefficients: the smallest singular value of old and new
    sensitivities together is to be as large as possible.
    """
    import pandas as pd

    problem, names = learned.problem, list(learned.library.names)
    first = problem.experiments[0]
    if first.dimension == "moment" or (first.covariance is not None and first.covariance.ndim > 1):
        return _no_starts()  # moments have no free starts; full covariances belong to theirs
    rows = []
    for state in _candidates(problem, learned.starts[0]):
        trial = replace(
            first, initial=state * problem.scaling.scale, free=np.zeros(len(state), dtype=bool)
        )
        other = problem.resampled([trial], [0])
        other = TrajectoryProblem(other.scaling, other.unknowns)
        try:
            more = sizes * _sensitivities(learned, other, state[None])
        except SolverError:
            continue
        values, _ = _singular(np.vstack([slopes, more]))
        if values[-1] > _NOTHING * values[0]:
            rows.append([*(state * problem.scaling.scale), 1 / values[-1]])
    before, _ = _singular(slopes)
    table = pd.DataFrame(rows, columns=[*names, "relative error"])
    better = table[table["relative error"] < 0.7 / max(before[-1], 1e-300)]
    return better.sort_values("relative error", kind="stable").head(_SUGGESTED).reset_index(
        drop=True
    )  # fmt: skip


def _candidates(problem: TrajectoryProblem, start: np.ndarray) -> list[np.ndarray]:
    """Return scaled states: every variable alone, and the first start with one or all changed."""
    found, one = [], np.eye(len(start))
    hidden = problem.scaling.hidden
    for v in np.flatnonzero(~hidden):
        found.append(np.where(hidden, start, one[v]))
        for value in (0.0, 0.1, 0.3, 1.0, 2.0):
            found.append(np.where(one[v] > 0, value, start))
    found += [np.where(hidden, start, factor * start) for factor in (0.1, 0.3, 2.0)]
    distinct = {tuple(np.round(state, 9)): state for state in found if state.any()}
    return [s for s in distinct.values() if not np.allclose(s, start, rtol=1e-3, atol=1e-6)]
