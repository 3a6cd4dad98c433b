"""PySINDy as its authors use it: recipes, a range of thresholds, and two ways to choose one.

A recipe says how slopes are had (finite differences, the same after smoothing, or the weak form),
whether columns are normalised, and whether many fits to resampled data are joined by their median.
Sequentially thresholded least squares is the optimiser of all. Normalised columns go with a ridge
of 1e-5, as in the authors' benchmark (Kaptanoglu et al. 2023, doi:10.1007/s11071-023-08525-4),
raw ones with the default 0.05.

The threshold is chosen twice: without the answer, by the Bayesian information criterion of the
misfit of the slopes (that benchmark uses Akaike's; it chose worse here), and by an oracle, which
takes the one threshold that finds the true terms most often.
"""

import warnings
from dataclasses import dataclass

import numpy as np

MODELS = 10  # of an ensemble, as in the benchmark of the authors
RAW = np.logspace(-2.2, 0.6, 15)  # coefficients of the systems lie between 0.075 and 28
RELATIVE = np.logspace(-3.4, -0.6, 15)  # of the largest coefficient of normalised columns


@dataclass(frozen=True)
class Recipe:
    """``slopes`` is "differences", "smoothed <window>" or "weak <domains> <parts of the span>"."""

    slopes: str
    normalised: bool = False
    ensemble: bool = False

    def __str__(self):
        words = [self.slopes, "normalised" * self.normalised, "ensemble" * self.ensemble]
        return ", ".join(word for word in words if word)


_SLOPES = ("differences", "smoothed 7", "smoothed 21", "weak 100 40", "weak 400 20")
RECIPES = [Recipe(slopes, flag) for slopes in _SLOPES for flag in (False, True)]
RECIPES += [Recipe(slopes, ensemble=True) for slopes in ("smoothed 11", "weak 100 40")]


def regression(slopes, times, values):
    """Return (columns, slopes, names of the columns) of the terms up to degree two."""
    import pysindy as ps

    warnings.filterwarnings("ignore", module="pysindy")
    library = ps.PolynomialLibrary(degree=2, include_bias=True)
    kind, *numbers = slopes.split()
    if kind == "weak":
        domains, parts = map(int, numbers)
        np.random.seed(0)  # PySINDy draws the domains from NumPy's global generator
        span = times[-1] - times[0]
        half = max(span / parts, 5 * span / len(times))  # it fails where a domain has one point
        library = ps.WeakPDELibrary(library, spatiotemporal_grid=times, K=domains, H_xt=half)
        ps.SINDy(feature_library=library).fit(values, times)
        states = ps.AxesArray(values, {"ax_time": 0, "ax_coord": 1})
        slope = library.convert_u_dot_integral(states)
        return np.asarray(library.transform([states])[0]), slope, library.get_feature_names()
    if kind == "smoothed":
        method = ps.SmoothedFiniteDifference(smoother_kws={"window_length": int(numbers[0])})
    else:
        method = ps.FiniteDifference()
    slope = np.asarray(method(values, times))
    columns = library.fit_transform(np.asarray(getattr(method, "smoothed_x_", values)))
    return np.asarray(columns), slope, library.get_feature_names()


def fits(recipe, columns, slope):
    """Return the coefficients (thresholds, equations, terms) over the range of thresholds."""
    import pysindy as ps

    thresholds, ridge = RAW, 0.05
    if recipe.normalised:
        largest = np.linalg.lstsq(columns / np.linalg.norm(columns, axis=0), slope, rcond=None)[0]
        thresholds, ridge = RELATIVE * np.abs(largest).max(), 1e-5
    found = []
    for threshold in thresholds[:: 1 + recipe.ensemble]:  # an ensemble costs ten fits
        method = ps.STLSQ(threshold, alpha=ridge, normalize_columns=recipe.normalised)
        if recipe.ensemble:
            np.random.seed(0)
            method = ps.EnsembleOptimizer(method, bagging=True, n_models=MODELS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # all terms dropped, at the upper end of the range
            found.append(np.array(method.fit(columns, slope).coef_))
    return np.array(found)


def bic(columns, slope, coefficients):
    """Return the criterion (thresholds,) of fits."""
    rows = len(slope)
    misfit = ((slope - columns @ coefficients.transpose(0, 2, 1)) ** 2).mean(axis=1)
    terms = np.count_nonzero(coefficients, axis=(1, 2))
    return rows * np.log(np.maximum(misfit, 1e-300)).sum(axis=1) + terms * np.log(rows)


def labelled(coefficients, names, variables):
    """Return {(equation, term): value} of the coefficients that are not zero."""
    table = {f"x{i}": name for i, name in enumerate(variables)}
    terms = []
    for name in names:
        factors = [part.split("^") for part in name.split(" ")]
        terms.append(
            " ".join("^".join([table.get(base, base), *power]) for base, *power in factors)
        )
    return {
        (variables[row], terms[column]): float(coefficients[row, column])
        for row, column in np.argwhere(coefficients)
    }


def scan(recipe, system, times, values):
    """Return what every threshold finds, and which of them the criterion chooses."""
    columns, slope, names = regression(recipe.slopes, times, values)
    coefficients = fits(recipe, columns, slope)
    chosen = int(np.argmin(bic(columns, slope, coefficients)))
    return [labelled(table, names, system.names) for table in coefficients], chosen
