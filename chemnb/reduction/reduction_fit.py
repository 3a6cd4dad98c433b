"""Learn a slow manifold from data: fast species as rational functions of slow ones (Eq. 16)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real

import numpy as np

from ..learning.estimation import EstimationError
from ..learning.learned import Report
from ..learning.rational import RationalFamily
from ..learning.rational_data import ManifoldData, read_manifold
from ..learning.rational_selection import Plan, Regression, settled_since
from ..networks.expressions import closest, listing
from ..networks.network import ReactionNetwork
from ..networks.slow_coordinates import inner_laws
from ..progress import progress_bar
from . import reduction_advice as advice
from .learned_reduction import LearnedReduction

_CONSTANT = 1e-3  # relative deviation up to which a sum of noise-free species counts as conserved


class ReductionFitError(ValueError):
    """A reduction that cannot be learned as asked; the message says what, where and the fix."""


def learn_reduction(
    data,
    *,
    fast: Sequence[str],
    of: Sequence[str],
    method: str = "regression",
    degree: int | str = "auto",
    total: float | str | None = "auto",
    network: ReactionNetwork | None = None,
    noise=None,
    start: float | None = None,
    threshold: float | None = 0.05,
    nonnegative: bool | None = None,
    tolerance: float = 0.005,
    level: float = 0.95,
    segment: int | None = None,
    penalty: float = 1e-3,
    iterations: int = 500,
    learning_rate: float = 0.05,
    seed: int = 0,
    progress: bool = True,
) -> LearnedReduction:
    r"""Learn fast species as rational functions of slow ones with a common denominator (Eq. 16).

    ``method="regression"`` is generalised least squares for the curve itself. Noise in the slow
    species is smoothed first, and what smoothing leaves of it counts in the weights. A
    conservation law among the fast species ties the denominator to the numerators. The lowest
    degree that fits is taken, since a higher one adds factors that numerator and denominator
    share. Then the least term is dropped, the rest fitted again, and so on, until every term
    makes up ``threshold`` of its species somewhere and three standard errors.

    ``method="odenet"`` is the paper's way: from a random start, Adam on the L1 loss with a penalty
    :math:`\varepsilon\sum|\theta|` (Eq. 2), here on scaled coefficients and polished by L-BFGS,
    then the same dropping. The samples are thinned to lie evenly along the path of the slow
    species, or a run that hardly moves any more would drown the rest. It gives no intervals.

    Three numbers were chosen with the answers for the gene network and six textbook networks
    known: ``threshold``, because an exact slow manifold has true terms beyond Eq. 17 of up to 3 %
    on the paper's trajectory, its O(ε); ``tolerance``; and the factor 1.15 that a higher degree
    has to gain.

    Parameters
    ----------
    data : DataArray (time, species), DataFrame, (times, values), Ensemble, or a list of these
        One or several runs, as `chemnb.integrate` gives them; other species may be there too. The
        row at t = 0 is left out, since a run is prepared there and has not relaxed yet.
    fast, of : sequence of str
        The fast species, and the slow ones that they depend on.
    method : {"regression", "odenet"}
    degree : int or "auto"
        Of numerators and denominator; "auto" tries up to three.
    total : float, "auto" or None
        The conserved sum of the fast species. "auto" takes the network's law, where there is a
        network, or looks whether their plain sum is constant in the data. None uses no law.
    network : ReactionNetwork, optional
        For its conservation laws, and for ``segment``.
    noise : float or mapping of species -> float, optional
        Standard deviation of the errors of the data, the same at all times: a number is a share
        of each species' largest value, a mapping is in the units of the data. By default it is
        estimated.
    start : float, optional
        Samples before this time are left out (the initial layer).
    threshold : float or None
        Share of its species (of the total, where there is one) that a term must make up
        somewhere in the data. None keeps all terms of the chosen degree.
    nonnegative : bool, optional
        Regression: whether no coefficient may be negative, which holds for every quasi-steady
        state that is linear in the fast species (King and Altman 1956, doi:10.1021/j150544a010).
        Default: True if terms are dropped. The ODENet knows no bounds.
    tolerance : float
        Misfit, as a share, that is put down to the approximation when the degree is chosen.
    level : float
        Of the intervals, which are conditional on the chosen terms.
    segment : int, optional
        ODENet: length of the segments, in samples, over which the slow equations of the network
        (Eq. 16) are solved. Default: the curve is trained on the data themselves, which costs a
        fraction.
    penalty, iterations, learning_rate, seed
        Of the ODENet: ε of Eq. 2, Adam's limit and step, the random start.
    progress : bool
        Show a progress bar when it takes long.

    Raises
    ------
    DataError
        If the data are incomplete, unordered or too few, or a species is not in them.
    RationalError
        If no species is named, or one as both fast and slow.
    ReductionFitError
        If an option is out of range, a slow species is constant, or the fast ones have several
        conservation laws.

    Examples
    --------
    >>> from chemnb.equations.dynamics import integrate
    >>> enzyme = ReactionNetwork("E + S <-> C ; 10, 5 \n C -> E + P ; 5")
    >>> runs = [integrate(enzyme, {"E": 0.001, "S": s}, range(1, 60)) for s in (0.5, 4)]
    >>> learned = learn_reduction(runs, fast=["E", "C"], of=["S"])
    >>> learned
    LearnedReduction(E, C of S, degree 1: 4 of 6 terms kept, converged)
    >>> learned.predict([1.0]).values.round(6)  # K_M = 1
    array([[0.0005, 0.0005]])
    """
    fast, of = ([names] if isinstance(names, str) else list(names) for names in (fast, of))
    RationalFamily(fast, of, 1)  # says what is wrong with the names
    _check_options(
        method=method, threshold=threshold, tolerance=tolerance, level=level, penalty=penalty,
        iterations=iterations, learning_rate=learning_rate, segment=segment, degree=degree,
    )  # fmt: skip
    if network is not None:
        _check_species(network, [*fast, *of])
    samples = read_manifold(data, fast, of, noise, start)
    _check_samples(samples)
    law = _conservation(samples, total, network)
    threshold = threshold or 0.0
    if nonnegative is None:
        nonnegative = method == "regression" and threshold > 0
    weights, total, error = law or (None, None, 0.0)
    plan = Plan(
        None if degree == "auto" else int(degree), weights, total, nonnegative, threshold,
        tolerance,
    )  # fmt: skip
    try:
        if method == "regression":
            with progress_bar(None, "reduction", "fit", progress) as bar:
                found = plan.regress(samples, lambda terms: bar.update())
                settled = settled_since(plan, found)
            return _learned(found, level, threshold, settled, error)
        problem, _, ladder = plan.choose(samples)
    except EstimationError as failure:
        raise ReductionFitError(str(failure)) from None
    from .reduction_odenet import by_odenet

    return by_odenet(
        problem, ladder, data=data, network=network, noise=noise, start=start, level=level,
        threshold=threshold, segment=segment, penalty=penalty, iterations=iterations,
        learning_rate=learning_rate, seed=seed, progress=progress,
    )  # fmt: skip


def _learned(found: Regression, level, threshold, settled, error) -> LearnedReduction:
    problem, fit = found.problem, found.fit
    names = problem.family.names.ravel()[problem.tie.cells]
    noise, lack = problem.data.noise / problem.scale, problem.lack(fit)
    verdict = "converged" if fit.converged else f"not converged after {fit.iterations} iterations"
    report = Report(
        fit.converged, fit.iterations, fit.misfit**2 * problem.data.fast.size,
        f"{verdict}; {_percent(noise)} noise in the fast species, {_percent(lack)} misfit beyond it",
        found.condition,
        path=tuple((str(names[column]), share) for column, share, _ in found.path),
    )  # fmt: skip
    return LearnedReduction(
        problem.family, problem.family.normalise(fit.coefficients), _covariance(found, error),
        "regression", level, problem.tie.total, report,
        advice.warnings(found, threshold, settled), tuple(found.ladder),
    )  # fmt: skip


def _covariance(found: Regression, error: float) -> np.ndarray:
    """Return the covariance of the normalised coefficients; ``error`` is that of the total."""
    problem, fit = found.problem, found.fit
    values = fit.coefficients.ravel()
    reference = problem.family.reference(fit.coefficients)
    # a ratio to the reference: its error counts in all others
    ratio = np.eye(len(values))
    ratio[:, reference] -= values / values[reference]
    ratio /= values[reference]
    through = ratio @ problem.tie.matrix[:, fit.columns]
    covariance = through @ problem.covariance(fit) @ through.T
    if problem.tie.total is not None:
        # the total was measured with the same noise; all α are in proportion to it
        numerators = problem.family.normalise(fit.coefficients)
        numerators[0] = 0.0
        covariance += np.outer(numerators, numerators) * (error / problem.tie.total) ** 2
    return covariance


def _conservation(samples: ManifoldData, total, network):
    """Return (weights, total, its standard error) of a law among the fast species, or None."""
    if total is None:
        return None
    known = None if network is None else _law(samples, network)
    weights = np.ones(len(samples.fast_names)) if known is None else known
    sums = samples.fast @ weights
    noise = float(np.sqrt(np.sum((weights * samples.noise) ** 2)))
    if total == "auto":
        constant = _is_constant(samples, sums, noise)
        if known is not None and not constant:
            found = sorted({f"{sums[run].mean():.3g}" for run in samples.runs})
            raise ReductionFitError(
                f"{listing(samples.fast_names)} hold a conservation law, but it gives "
                f"{', '.join(found[:5])} in these data, and the curve is in proportion to it; "
                "divide the fast species of each run by it, or give total=None"
            )
        if not constant or (known is None and (network is not None or len(weights) == 1)):
            return None
        return weights, float(sums.mean()), noise / np.sqrt(len(sums))
    if not isinstance(total, Real) or isinstance(total, bool) or not 0 < total < np.inf:
        raise ReductionFitError(
            f"total={total!r}; give the conserved sum of the fast species, 'auto' or None"
        )
    if abs(sums.mean() - total) > max(5 * noise / np.sqrt(len(sums)), 0.05 * total):
        raise ReductionFitError(
            f"total={total:g}, but {listing(samples.fast_names)} add up to {sums.mean():.4g} in "
            "the data; give total='auto' or None"
        )
    return weights, float(total), 0.0


def _law(samples: ManifoldData, network) -> np.ndarray | None:
    """Return the weights of the network's law among the fast species, None if there is none."""
    names = list(samples.fast_names)
    laws = inner_laws(network, names)[names].to_numpy(float)
    if len(laws) > 1:
        raise ReductionFitError(
            f"{listing(names)} hold {len(laws)} conservation laws; groups that are conserved "
            "apart have denominators of their own: learn them one by one, or give total=None"
        )
    return laws[0] if len(laws) else None


def _is_constant(samples: ManifoldData, sums: np.ndarray, noise: float) -> bool:
    """Whether a sum is the same wherever the slow species are, as far as noise lets one see."""
    mean = sums.mean()
    if mean <= 0 or sums.std() > max(2 * noise, _CONSTANT * mean):
        return False
    ordered = sums[np.lexsort(samples.slow.T)]
    parts = np.array_split(ordered, max(1, min(10, len(sums) // 3)))
    limits = [max(4 * noise / np.sqrt(len(part)), _CONSTANT * mean) for part in parts]
    return all(abs(p.mean() - mean) <= limit for p, limit in zip(parts, limits, strict=True))


def _check_samples(samples: ManifoldData) -> None:
    for d, name in enumerate(samples.slow_names):
        column = samples.slow[:, d]
        if np.ptp(column) <= max(samples.slow_noise[d], 1e-9 * np.abs(column).max()):
            noisy = " but for its noise" if samples.slow_noise[d] > 0 else ""
            raise ReductionFitError(
                f"the slow species '{name}' is constant{noisy} ({column.mean():.4g}): nothing can "
                "be learned as a function of it; give runs in which it moves"
            )
    if empty := [n for n, v in zip(samples.fast_names, samples.largest, strict=True) if v == 0]:
        raise ReductionFitError(
            f"the fast species {listing(empty)} is zero in all samples; leave it out"
        )


def _check_species(network: ReactionNetwork, names: Sequence[str]) -> None:
    for name in names:
        if name not in network.species:
            raise ReductionFitError(
                f"'{name}' is not a species of the network{closest(name, network.species)}; "
                f"it has {listing(network.species)}"
            )


_OPTIONS: Mapping = {
    "threshold": (lambda v: v is None or _real(v) and 0 <= v < 1, "from 0 to below 1, or None"),
    "tolerance": (lambda v: _real(v) and 0 <= v < 1, "a share of 0 or more, below 1"),
    "level": (lambda v: _real(v) and 0 < v < 1, "between 0 and 1"),
    "penalty": (lambda v: _real(v) and v >= 0, "zero or more"),
    "iterations": (lambda v: _whole(v) and v >= 1, "a whole number of 1 or more"),
    "learning_rate": (lambda v: _real(v) and v > 0, "above zero"),
    "segment": (lambda v: v is None or _whole(v) and v >= 1, "a number of samples, or None"),
    "degree": (lambda v: v == "auto" or _whole(v) and v >= 1, "'auto' or a whole number above 0"),
    "method": (lambda v: v in ("regression", "odenet"), "'regression' or 'odenet'"),
}


def _check_options(**options) -> None:
    for name, value in options.items():
        fits, wanted = _OPTIONS[name]
        if not fits(value):
            raise ReductionFitError(f"{name}={value!r}; it must be {wanted}")


def _percent(share) -> str:
    most = 100 * float(np.max(share))
    return f"{most:.2g} %" if most >= 1e-4 else "no"


def _real(value) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and np.isfinite(value)


def _whole(value) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
