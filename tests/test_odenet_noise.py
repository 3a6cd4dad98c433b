"""ODENet on real data: noisy starts, chaos, gaps, outliers, hidden and stiff variables."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from chemnb._kernels.shooting import SOLVED, shoot
from chemnb.equations.polynomials import SolverError
from chemnb.learning.curves import CURVES, Curves
from chemnb.learning.monomials import monomials
from chemnb.learning.odenet import ODENet, ODENetError
from chemnb.learning.scaling import Scaling
from chemnb.learning.selection import keep_all, term_prices
from chemnb.learning.shooting import Shooter
from chemnb.learning.timeseries import DataError, read_experiments
from chemnb.learning.trajectories import TrajectoryProblem
from chemnb.learning.unknowns import Unknowns
from chemnb.learning.windows import Residuals, eliminate

TIMES = np.linspace(0, 20, 61)
PREDATORS = {("X", "X"): 1.0, ("X", "X Y"): -0.5, ("Y", "Y"): -0.8, ("Y", "X Y"): 0.3}
LORENZ = {
    ("x", "x"): -10.0, ("x", "y"): 10.0, ("y", "x"): 28.0, ("y", "y"): -1.0, ("y", "x z"): -1.0,
    ("z", "z"): -8 / 3, ("z", "x y"): 1.0,
}  # fmt: skip


def predators(_, y):
    return [y[0] - 0.5 * y[0] * y[1], 0.3 * y[0] * y[1] - 0.8 * y[1]]


def butterfly(_, y):
    return [10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]]


@functools.cache
def exact(slope, start, end, count):
    times = np.linspace(0, end, count)
    return solve_ivp(slope, (0, end), start, t_eval=times, rtol=1e-10, atol=1e-12).y.T


def noisy(level, seed, slope=predators, start=(2, 1), end=20, count=61):
    values = exact(slope, start, end, count)
    return values + level * values.std(0) * np.random.default_rng(seed).standard_normal(
        values.shape
    )


def kept(model):
    table = model.coefficients
    rows = table[table["kept"]].itertuples(index=False)
    return {(row.equation, row.term): row.value for row in rows}


def learned(data, names="XY", constant=True, fit=None, **options):
    model = ODENet(monomials(2, constant=constant), progress=False, **options)
    return model.fit(data, variables=list(names), **(fit or {}))


# --- starts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.01, 0.1])
def test_noise_on_all_points_and_the_first(level):
    model = learned((TIMES, noisy(level, 1)))
    assert kept(model).keys() == PREDATORS.keys()
    table = model.coefficients.query("kept")
    off = table["value"].to_numpy() - [*PREDATORS.values()]
    assert np.all(np.abs(off) < 4 * table["standard error"])
    start = model.initial
    assert start.dims == ("experiment", "variable")
    assert abs(start.values[0] - [2, 1]).max() < 0.3 * level + 4 * level


def test_an_estimated_start_is_better_than_a_wrong_one():
    values = noisy(0.02, 2)
    values[0] += 0.5
    found = kept(learned((TIMES, values)))
    assert found.keys() == PREDATORS.keys()
    wrong = kept(learned((TIMES, values), fit={"initial": "exact"}))
    off = [max(abs(f.get(p, 0) / PREDATORS[p] - 1) for p in PREDATORS) for f in (found, wrong)]
    assert off[0] < 0.1 < off[1]


@pytest.mark.parametrize(
    ("options", "free"),
    [
        ({}, [True, True]),
        ({"initial": "exact"}, [False, False]),
        ({"initial": [2, 1]}, [False, False]),
        ({"standard_errors": 0.1}, [True, True]),
        ({"standard_errors": np.r_[[[0, 0.1]], np.full((60, 2), 0.1)]}, [False, True]),
        ({"standard_errors": 0.1, "initial": "exact"}, [False, False]),
        ({"standard_errors": np.r_[[[0, 0]], np.full((60, 2), 0.1)], "initial": "estimated"},
         [True, True]),
    ],
)  # fmt: skip
def test_which_starts_are_estimated(options, free):
    values = exact(predators, (2, 1), 20, 61)
    e = read_experiments((TIMES, values), estimate=True, **options)[0]
    assert e.free.tolist() == free
    assert (e.times[0] == 0) == any(free)


def test_a_start_later_than_zero_is_estimated_at_the_first_time():
    model = learned((TIMES + 3, noisy(0.01, 0)))
    assert kept(model).keys() == PREDATORS.keys()
    np.testing.assert_allclose(model.initial.values, [[2, 1]], atol=0.1)


def test_intervals_with_estimated_starts_cover_the_truth():
    times = np.linspace(0, 6, 25)
    hits = 0
    for seed in range(100):
        values = 3 * np.exp(-0.5 * times) + 0.05 * np.random.default_rng(seed).standard_normal(25)
        model = ODENet(monomials(1), selection=None, progress=False).fit((times, values))
        row = model.coefficients.iloc[0]
        hits += row["lower"] <= -0.5 <= row["upper"]
    # 95 of 100 expected, standard deviation 2.2
    assert 88 <= hits <= 100


# --- windows -------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.01, 0.1])
def test_chaos(level):
    values = noisy(level, 0, butterfly, (-8, 7, 27), 10, 1001)
    model = learned((np.linspace(0, 10, 1001), values), "xyz")
    found = kept(model)
    assert found.keys() == LORENZ.keys()
    assert np.median([abs(found[p] / LORENZ[p] - 1) for p in LORENZ]) < 0.3 * level
    assert model.report.converged


def problem_of(data, names="XY", unknowns=None, library=None, **options):
    library = (monomials(2) if library is None else library).bind(list(names))
    experiments = read_experiments(data, list(names), estimate=True, **options)
    if unknowns is None:
        labels = library.labels
        unknowns = Unknowns.free([(list(names).index(r), labels.index(t)) for r, t in PREDATORS])
    return TrajectoryProblem(Scaling(library, experiments), unknowns)


def test_the_ladder_ends_whole_and_carries_starts():
    problem = problem_of((TIMES, noisy(0.02, 0)))
    ladder = problem.ladder()
    counts = [len(step.windows) for step in ladder]
    assert counts[0] > 2
    assert counts == [counts[0] // 2**i for i in range(len(counts))]
    assert counts[-1] == 1
    chosen = list(range(4))
    first = ladder[0].fit(chosen, ladder[0].start(chosen))
    carried = ladder[0].carried(first, ladder[1])
    np.testing.assert_array_equal(carried, first.starts[::2])
    assert ladder[0].observations == 122 - 2 * counts[0]


def test_eliminated_starts_give_the_joint_least_squares():
    rng = np.random.default_rng(0)
    rest, slopes = rng.standard_normal((3, 8)), rng.standard_normal((3, 8, 2))
    start_slopes = rng.standard_normal((3, 8, 2))
    left, matrix, steps = eliminate(Residuals(rest, slopes, start_slopes))
    u = np.linalg.lstsq(matrix, left, rcond=None)[0]
    whole = np.zeros((24, 2 + 6))
    whole[:, :2] = slopes.reshape(24, 2)
    for w in range(3):
        whole[8 * w : 8 * w + 8, 2 + 2 * w : 4 + 2 * w] = start_slopes[w]
    joint = np.linalg.lstsq(whole, rest.ravel(), rcond=None)[0]
    np.testing.assert_allclose(np.append(u, steps(u)), joint, rtol=1e-8)


@pytest.mark.parametrize("kind", CURVES)
def test_curves_follow_the_data(kind):
    values = noisy(0.0 if kind != "smooth" else 0.05, 0)
    scaling = problem_of((TIMES, values)).scaling
    curve = Curves(scaling, kind)(0, TIMES) * scaling.scale
    off = np.sqrt(np.mean((curve - exact(predators, (2, 1), 20, 61)) ** 2, axis=0))
    if kind == "smooth":
        assert np.all(off < 0.04 * values.std(axis=0))  # of 0.05 that were put in
    else:
        np.testing.assert_allclose(curve, values, atol=1e-9)


# --- solver --------------------------------------------------------------------------------------


@pytest.mark.parametrize("implicit", [False, True])
def test_sensitivities_are_derivatives(implicit):
    library = monomials(2).bind(["X", "Y"])
    labels = library.labels
    pairs = [(0, labels.index("X")), (0, labels.index("X Y")), (1, labels.index("Y")),
             (1, labels.index("X Y"))]  # fmt: skip
    tie = np.array([[1.0, 0], [-0.5, 0], [0, -1], [0, 0.3]])
    shooter = Shooter(library, pairs, tie, np.array([0, 0, 0.2, 0]))
    shooter.stiff = implicit
    first, times = np.array([0, 3, 5]), np.array([0, 1.0, 2.5, 0.5, 4])
    starts = np.array([[2.0, 1], [1, 3]])

    def solve(u, starts):
        return shooter(np.array(u), starts, first, times)

    values, slopes, start_slopes = solve([1.0, 1.0], starts)
    h = 1e-5
    for j in range(2):
        step = h * np.eye(2)[j]
        ahead, back = solve([1, 1] + step, starts)[0], solve([1, 1] - step, starts)[0]
        np.testing.assert_allclose(slopes[:, :, j], (ahead - back) / (2 * h), atol=2e-4)
        ahead, back = solve([1, 1.0], starts + step)[0], solve([1, 1.0], starts - step)[0]
        np.testing.assert_allclose(start_slopes[:, :, j], (ahead - back) / (2 * h), atol=2e-4)
    known = solve_ivp(predators, (0, 2.5), (2, 1), t_eval=[0, 1, 2.5], rtol=1e-11, atol=1e-12).y.T
    np.testing.assert_allclose(values[:3], known, atol=1e-6)


def test_a_solution_that_runs_away_is_given_up():
    library = monomials(2).bind(["A"])
    shooter = Shooter(library, [(0, 1)], np.eye(1), np.zeros(1))
    with pytest.raises(SolverError, match="leaves the range of the data by far"):
        shooter(np.ones(1), np.ones((1, 1)), np.array([0, 1]), np.array([2.0]))


def test_linear_decay_through_the_kernel():
    tables = (np.array([0]), np.array([[0]]), np.array([-0.5]), np.array([0, 1]), np.array([0]),
              np.array([1.0]))  # fmt: skip
    times = np.array([0.0, 1.0, 4.0])
    for implicit in (False, True):
        path, status, _ = shoot(
            np.array([[2.0]]), np.array([0, 3]), times, tables, 1, True, implicit, 1e-9, 1e-12, 1e3
        )
        assert status == SOLVED
        decay = np.exp(-0.5 * times)
        expected = np.stack([2 * decay, 2 * times * decay, decay], axis=1)
        np.testing.assert_allclose(path[:, 0], expected, atol=1e-7)


ROBERTSON = np.array([0.04, 3e7, 1e4])


def robertson_problem(seed):
    def slope(_, y):
        a, b, c = ROBERTSON * [y[0], y[1] ** 2, y[1] * y[2]]
        return [-a + c, a - b - c, b]

    times = np.geomspace(0.1, 100, 31)
    values = solve_ivp(slope, (0, 100), [1, 0, 0], "Radau", times, rtol=1e-9, atol=1e-14).y.T
    errors = 0.01 * values
    data = values + errors * np.random.default_rng(seed).standard_normal(values.shape)
    library = monomials(2).bind(["A", "B", "C"])
    a, bb, bc = (library.labels.index(term) for term in ("A", "B^2", "B C"))
    pairs = ((0, a), (1, a), (1, bb), (2, bb), (0, bc), (1, bc))
    tie = np.array([[-1.0, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1]])
    experiments = read_experiments(
        (times, data), ["A", "B", "C"], standard_errors=errors, initial=[1, 0, 0], estimate=True
    )
    unknowns = Unknowns(pairs, tie, nonnegative=np.eye(3))
    return TrajectoryProblem(Scaling(library, experiments), unknowns)


@pytest.mark.parametrize("seed", range(3))
def test_stiff_rates_tied_to_coefficients(seed):
    problem = robertson_problem(seed)
    fit = keep_all(problem).estimate
    errors = fit.standard_errors * problem.unit
    off = fit.parameters * problem.unit - ROBERTSON
    assert fit.converged
    assert np.all(np.abs(off) < 0.05 * ROBERTSON)
    assert np.all(np.abs(off) < 4 * errors)
    # rates over nine decades: none is taken for one at its bound
    assert np.all((errors > 1e-3 * ROBERTSON) & (errors < 0.02 * ROBERTSON))


# --- gaps, outliers, hidden variables ------------------------------------------------------------


def test_gaps_are_left_out():
    values = noisy(0.02, 3)
    values[4:8, 0] = values[20] = values[0, 1] = np.nan
    with pytest.raises(DataError, match="or say missing=True if NaN stands for what was not"):
        learned((TIMES, values))
    model = learned((TIMES, values), fit={"missing": True})
    assert kept(model).keys() == PREDATORS.keys()
    errors = np.where(np.isnan(values), np.nan, 0.02 * np.nanstd(values, axis=0))
    weighted = learned((TIMES, values), fit={"missing": True, "standard_errors": errors})
    assert kept(weighted).keys() == PREDATORS.keys()
    assert f"for {122 - 7 - 2 - 4} degrees" in weighted.report.verdict


def test_a_variable_without_any_value():
    values = noisy(0.02, 3)
    values[:, 1] = np.nan
    with pytest.raises(DataError, match=r"no value of 'Y' was measured.*hidden=\['Y'\]"):
        learned((TIMES, values), fit={"missing": True})
    values[:, 1] = np.inf
    with pytest.raises(DataError, match="not finite numbers, the first is inf"):
        learned((TIMES, values), fit={"missing": True})


@pytest.mark.parametrize("loss", ["huber", "absolute"])
def test_outliers(loss):
    values = noisy(0.03, 1)
    values[[5, 30, 44], [0, 1, 0]] += [8, -6, 20]
    assert kept(learned((TIMES, values))).keys() != PREDATORS.keys()
    model = learned((TIMES, values), loss=loss)
    assert kept(model).keys() == PREDATORS.keys()
    table = model.coefficients.query("kept")
    off = table["value"].to_numpy() - [*PREDATORS.values()]
    assert np.all(np.abs(off) < 4 * table["standard error"])


def test_robust_losses_need_independent_errors():
    with pytest.raises(ODENetError, match="loss='huber' needs independent errors"):
        learned((TIMES, noisy(0.1, 0)), loss="huber", fit={"covariance": np.eye(122)})


CHAIN = np.linspace(0, 8, 33)


def chain(seed=0):
    a = 3 * np.exp(-0.7 * CHAIN)
    b = 3 * 0.7 / 0.4 * (np.exp(-0.3 * CHAIN) - np.exp(-0.7 * CHAIN)) + np.exp(-0.3 * CHAIN)
    values = np.column_stack([a, 4 - a - b])
    return values + 0.01 * np.random.default_rng(seed).standard_normal(values.shape)


def test_a_hidden_variable_tied_by_conservation():
    # A -> B -> C with B hidden: its start (1) and both rates follow from A and C
    library = monomials(1).bind(["A", "C", "B"])
    pairs = ((0, 0), (2, 0), (2, 2), (1, 2))
    unknowns = Unknowns(
        pairs, np.array([[-1.0, 0], [1, 0], [0, -1], [0, 1]]), nonnegative=np.eye(2)
    )
    experiments = read_experiments((CHAIN, chain()), ["A", "C"], estimate=True, hidden=["B"])
    problem = TrajectoryProblem(Scaling(library, experiments), unknowns)
    fit = keep_all(problem).estimate
    np.testing.assert_allclose(fit.parameters * problem.unit, [0.7, 0.3], rtol=0.03)
    assert not fit.loose.any()
    assert fit.starts[0, 2] * problem.scaling.scale[2] == pytest.approx(1.0, abs=0.1)


def test_what_a_hidden_variable_leaves_open_is_said():
    allowed = {"A": ["A"], "B": ["A", "B"], "C": ["B"]}
    model = ODENet(monomials(1), hidden=["B"], allowed=allowed, selection=None, progress=False)
    model.fit((CHAIN, chain()), variables=["A", "C"])
    table = model.coefficients.set_index(["equation", "term"])
    # B may be measured in any unit
    assert np.isinf(table.loc[("C", "B"), "standard error"])
    assert np.isinf(table.loc[("B", "A"), "standard error"])
    assert table.loc[("B", "B"), "value"] == pytest.approx(-0.3, abs=0.03)
    assert table.loc[("C", "B"), "value"] * table.loc[("B", "A"), "value"] == pytest.approx(
        0.21, abs=0.02
    )
    assert "do not determine the coefficients of" in model.report.advice


def test_hidden_names_that_cannot_be_used():
    with pytest.raises(DataError, match="'A' is hidden, but the data have it"):
        ODENet(monomials(1), hidden=["A"]).fit((CHAIN, chain()), variables=["A", "C"])
    with pytest.raises(ODENetError, match="hidden needs optimizer='lm'"):
        ODENet(monomials(1), hidden=["B"], optimizer="adam").fit((CHAIN, chain()))


# --- choice of terms -----------------------------------------------------------------------------


def test_stability_over_resamples():
    model = learned((TIMES, noisy(0.05, 4)), selection="stability")
    assert kept(model).keys() == PREDATORS.keys()
    table = model.coefficients
    assert np.all(table.loc[table["kept"], "stability"] >= 0.6)
    assert table["stability"].between(0, 1).all()
    again = learned((TIMES, noisy(0.05, 4)), selection="stability").coefficients
    assert again["stability"].equals(table["stability"])


def test_l1_with_exact_zeros():
    model = learned((TIMES, noisy(0.05, 4)), selection="l1")
    assert kept(model).keys() == PREDATORS.keys()
    path = model.support_path
    assert path.index.name == "epsilon"
    assert path.columns.names == ["equation", "term"]
    assert not path.iloc[0].any()
    some = path.iloc[20]
    assert 0 < (some != 0).sum() < path.shape[1]
    last = path.iloc[-1]
    assert all(last[pair] == pytest.approx(PREDATORS[pair], rel=0.1) for pair in PREDATORS)


def test_prices_prefer_low_degrees():
    names, library = ["X", "Y"], monomials(3, constant=True)
    bound = library.bind(names)
    pairs = [(row, term) for row in range(2) for term in range(len(bound))]
    problem = problem_of((TIMES, noisy(0.02, 0)), unknowns=Unknowns.free(pairs), library=library)
    prices = term_prices(problem)[: len(bound)]
    degrees = np.array(bound.terms).sum(axis=1)
    assert np.all(np.diff(prices) >= 0)
    assert prices[degrees == 0] == prices[degrees == 1][0]
    shares = np.exp(-(term_prices(problem) - np.log(problem.observations)) / 2)
    assert shares.sum() == pytest.approx(1.0)


def test_errors_alike_in_time_keep_no_small_terms():
    rng, values = np.random.default_rng(5), exact(predators, (2, 1), 20, 61)
    walk = np.zeros_like(values)
    for i in range(1, len(walk)):
        walk[i] = 0.9 * walk[i - 1] + 0.02 * rng.standard_normal(2)
    assert kept(learned((TIMES, values + walk))).keys() == PREDATORS.keys()


# --- manners -------------------------------------------------------------------------------------


def test_clone():
    base = pytest.importorskip("sklearn.base")
    model = ODENet(monomials(2), loss="huber", hidden=("B",), allowed={"A": ["A"]})
    twin = base.clone(model)
    assert twin is not model
    assert {k: v for k, v in twin.get_params().items() if k != "library"} == {
        k: v for k, v in model.get_params().items() if k != "library"
    }
    assert repr(twin.library) == repr(model.library)


def test_score():
    model = learned((TIMES, noisy(0.02, 0)))
    other = exact(predators, (1, 3), 20, 61)
    names = ["X", "Y"]
    assert model.score((TIMES, other), variables=names) > 0.999
    assert 0.98 < model.score((TIMES, noisy(0.1, 1)), variables=names) < 0.995
    far = model.score((TIMES, other[::-1].copy()), variables=names)
    assert far < 0.9
    with pytest.raises(DataError, match="the equations are for"):
        model.score((TIMES, other), variables=["A", "B"])
    with pytest.raises(DataError, match="no variable of these data changes"):
        model.score((TIMES, np.ones_like(other)), variables=names)


def test_interrupted(monkeypatch):
    real, calls = TrajectoryProblem.linearised, []

    def interrupted(self, *rest):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *rest)

    monkeypatch.setattr(TrajectoryProblem, "linearised", interrupted)
    model = learned((TIMES, noisy(0.05, 0)))
    assert not model.report.converged
    assert model.report.verdict.startswith("interrupted after ")
    assert "this is the best so far" in model.report.verdict
    assert kept(model)
    monkeypatch.setattr(TrajectoryProblem, "fit", lambda *_, **__: interrupted(None))
    calls[:] = [1]
    with pytest.raises(KeyboardInterrupt):
        learned((TIMES, noisy(0.05, 0)))


def test_a_fitted_problem_can_be_refitted_on_resampled_data():
    fitted = learned((TIMES, noisy(0.05, 0)))._fitted
    same = fitted.refitted([np.ones(122)])
    np.testing.assert_allclose(same.parameters, fitted.scaled, rtol=1e-5)
    weights = np.random.default_rng(0).exponential(size=122)
    other = fitted.refitted([weights])
    move = np.abs(other.parameters - fitted.scaled) / fitted.fit.standard_errors
    assert 0.05 < move.max() < 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "l3"}, "loss='l3' is unknown; use one of"),
        ({"loss": "huber", "optimizer": "adam"}, "loss='huber' needs optimizer='lm'"),
        ({"selection": "l1", "optimizer": "adam"}, "drops terms by threshold"),
        ({"device": "cuda"}, "device='cuda' needs optimizer='adam'"),
    ],
)
def test_options_that_do_not_go_together(options, message):
    with pytest.raises(ODENetError, match=message):
        learned((TIMES, noisy(0.05, 0)), **options)


def test_bad_initial():
    with pytest.raises(DataError, match="initial='guess' is unknown; use 'exact', 'estimated'"):
        learned((TIMES, noisy(0.05, 0)), fit={"initial": "guess"})
    with pytest.raises(ODENetError, match="initial='estimated' needs optimizer='lm'"):
        learned((TIMES, noisy(0.05, 0)), optimizer="adam", fit={"initial": "estimated"})
