"""Integrated equations against closed forms, a matrix exponential and published values."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from chemnb.equations.dynamics import DynamicsError, integrate
from chemnb.equations.polynomials import SolverError
from chemnb.equations.symbolic import EquationError, mass_action, moment_equations
from chemnb.networks.network import NetworkError, ReactionNetwork

SKIN = ReactionNetwork(
    """
    A -> 2 A   ; r1*lam
    A -> A + B ; (1 - r1 - r2)*lam
    A -> 2 B   ; r2*lam
    B -> 0     ; Gamma
    """,
    r1=0.0836,
    r2=0.0764,
    lam=1.1,
    Gamma=0.31,
)
DECAY = ReactionNetwork("A -> 0 ; k", k=1.0)
METHODS = [None, "LSODA", "BDF", "Radau", "RK45"]


def dimerisation(volume):
    return ReactionNetwork("2 A <-> B ; k1, k2", k1=2.0, k2=0.3, volume=volume)


def exact_dimerisation(volume, times):
    """Mean and variance of A by a matrix exponential; the state is the number of B."""
    b = np.arange(volume // 2 + 1)
    a = volume - 2 * b
    net = dimerisation(volume)
    forward, backward = net.propensities(np.stack([a, b], axis=-1)).T
    generator = np.diag(forward[:-1], -1) + np.diag(backward[1:], 1)
    generator -= np.diag(generator.sum(axis=0))
    start = np.eye(len(b))[0]
    p = np.array([expm(generator * t) @ start for t in times])
    return p @ a, p @ a**2 - (p @ a) ** 2


# --- closed forms and published values ---------------------------------------------------------


def test_single_progenitor_moments():
    result = integrate(moment_equations(SKIN), {"A": 10}, [0, 1, 5, 10, 20])
    pins = {
        "A": [10, 10.080, 10.404, 10.824, 11.716],
        "B": [0, 9.429, 28.447, 35.635, 40.177],
        "Var(A)": [0, 1.781, 9.339, 19.825, 44.687],
        "Var(B)": [0, 9.886, 52.197, 151.064, 430.693],
        "Cov(A, B)": [0, -0.578, 11.653, 42.338, 124.362],
    }
    assert result.dims == ("time", "moment") and list(result.time) == [0, 1, 5, 10, 20]
    for label, values in pins.items():
        assert result.sel(moment=label).values == pytest.approx(values, abs=6e-4)
    assert "Eq. 13" in result.attrs["equation"]


@pytest.mark.parametrize("method", METHODS)
def test_birth_and_death(method):
    b, d, n0 = 3.0, 0.5, 20
    net = ReactionNetwork("0 -> A ; b \n A -> 0 ; d", b=b, d=d)
    times = np.array([0.0, 0.1, 1.0, 7.0])
    found = integrate(moment_equations(net), {"A": n0}, times, method=method)
    left = np.exp(-d * times)
    mean = n0 * left + b / d * (1 - left)
    variance = n0 * left * (1 - left) + b / d * (1 - left)
    assert np.allclose(found.sel(moment="A"), mean, rtol=1e-6)
    assert np.allclose(found.sel(moment="Var(A)"), variance, rtol=1e-6, atol=1e-8)


def test_birth_and_death_settles_to_a_poisson_distribution():
    net = ReactionNetwork("0 -> A ; b \n A -> 0 ; d", b=3.0, d=1.0, volume=2)
    end = integrate(moment_equations(net, order=4), {}, [60.0]).isel(time=0)
    mean = 6.0
    assert end.values == pytest.approx([mean, mean, mean, mean + 3 * mean**2])


def test_second_order_decay_in_concentrations():
    net = ReactionNetwork("2 A -> 0 ; k", k=0.5, volume=100)
    times = [0.5, 2.0]
    found = integrate(net, [3.0], times)
    assert found.dims == ("time", "species")
    # dc/dt = -2 k c^2/2
    assert np.allclose(found.sel(species="A"), 3 / (1 + 3 * 0.5 * np.array(times)))
    assert np.array_equal(found, integrate(mass_action(net), {"A": 3.0}, times))


@pytest.mark.parametrize("method", [None, "LSODA", "BDF", "Radau"])
def test_stiff_kinetics_of_robertson(method):
    # 2 B -> B + C has the macroscopic rate k b^2/2 here, hence 6e7 for Robertson's 3e7
    net = ReactionNetwork("A -> B ; 0.04 \n 2 B -> B + C ; 6e7 \n B + C -> A + C ; 1e4")
    found = integrate(net, {"A": 1}, [0.4, 40, 4e3, 4e5], method=method)
    expected = [
        [9.8517e-1, 3.3864e-5, 1.4794e-2],
        [7.1583e-1, 9.1855e-6, 2.8416e-1],
        [1.8320e-1, 8.9424e-7, 8.1680e-1],
        [4.9383e-3, 1.9850e-8, 9.9506e-1],
    ]
    assert np.allclose(found, expected, rtol=2e-4)
    assert np.allclose(found.sum("species"), 1)


# --- closures against the exact solution -------------------------------------------------------


@pytest.mark.parametrize(
    ("volume", "order", "closure", "mean_error", "variance_error"),
    [
        (10, 1, "mean-field", 3.5e-2, None),
        (10, 2, "normal", 3.2e-3, 0.075),
        (10, 3, "zero-cumulant", 1.9e-4, 0.0062),
        # one species of the pair alone gives 6.7e-3 and 15.5 % (next test)
        (10, 2, "log-normal", 7.3e-3, 0.169),
        (30, 1, "mean-field", 1.1e-2, None),
        (30, 2, "normal", 2.9e-4, 0.022),
        (30, 3, "zero-cumulant", 4.6e-6, 0.0005),
    ],
)
@pytest.mark.parametrize("kind", ["central", "raw"])
def test_accuracy_of_closures(volume, order, closure, mean_error, variance_error, kind):
    times = np.linspace(0, 4, 41)
    mean, variance = exact_dimerisation(volume, times)
    eqs = moment_equations(dimerisation(volume), order, kind, closure)
    found = integrate(eqs, {"A": volume}, times)
    a = found.sel(moment="A").values
    assert np.abs(a - mean).max() / volume == pytest.approx(mean_error, rel=0.05)
    if variance_error is not None:
        central = kind == "central"
        second = found.sel(moment="Var(A)" if central else "E[A^2]").values
        here = second if central else second - a**2
        error = np.abs(here - variance).max() / variance.max()
        assert error == pytest.approx(variance_error, rel=0.05)


def test_log_normal_closure_against_equations_written_by_hand():
    volume, k1, k2 = 10, 2.0, 0.3
    times = np.linspace(0, 4, 9)

    def by_hand(_, y):
        # log-normal moments, E[A^2 B] = (E[AB]/(A B))^2 (E[A^2]/A^2) A^2 B, written out
        a, b, aa, bb, ab = y
        aaa, aab = (aa / a**2) ** 3 * a**3, (ab / (a * b)) ** 2 * (aa / a**2) * a**2 * b
        pairs, pairs_a, pairs_b = aa - a, aaa - aa, aab - ab  # E[A(A-1)], times A, times B
        f, r = k1 / (2 * volume), k2
        return [
            -2 * f * pairs + 2 * r * b,
            f * pairs - r * b,
            f * (-4 * pairs_a + 4 * pairs) + r * (4 * ab + 4 * b),
            f * (2 * pairs_b + pairs) + r * (-2 * bb + b),
            f * (pairs_a - 2 * pairs_b - 2 * pairs) + r * (-ab + 2 * bb - 2 * b),
        ]

    start = [8.0, 1.0, 64.0, 1.0, 8.0]
    hand = solve_ivp(by_hand, (0, 4), start, t_eval=times, rtol=1e-9, atol=1e-10).y.T
    eqs = moment_equations(dimerisation(volume), 2, "raw", "log-normal")
    assert np.allclose(integrate(eqs, {"A": 8, "B": 1}, times), hand, rtol=1e-6)


@pytest.mark.parametrize("closure", ["mean-field", "normal", "zero-cumulant", "log-normal"])
def test_raw_and_central_solutions_agree(closure):
    net = ReactionNetwork("A + B -> C ; a \n C -> A + B ; b \n 0 -> A ; 3.0 \n A -> 0 ; 0.2",
                          a=1.0, b=0.5, volume=20)  # fmt: skip
    start, times = {"A": 10, "B": 15, "C": 5}, [0.0, 0.3, 2.0]
    central = integrate(moment_equations(net, 2, "central", closure), start, times)
    raw = integrate(moment_equations(net, 2, "raw", closure), start, times)
    a, b = central.sel(moment="A"), central.sel(moment="B")
    assert np.allclose(raw.sel(moment="A"), a, rtol=1e-6)
    assert np.allclose(raw.sel(moment="E[A^2]"), central.sel(moment="Var(A)") + a**2, rtol=1e-6)
    assert np.allclose(raw.sel(moment="E[A B]"), central.sel(moment="Cov(A, B)") + a * b, rtol=1e-6)


# --- starts ------------------------------------------------------------------------------------


def test_starts_can_be_given_in_several_ways():
    eqs = moment_equations(SKIN)
    reference = integrate(eqs, {"A": 10}, [0, 3, 5])
    assert np.array_equal(reference, integrate(eqs, [10, 0], [0, 3, 5]))
    assert np.array_equal(reference, integrate(eqs, [10, 0, 0, 0, 0], [0, 3, 5]))
    # go on from a labelled row, as from an ensemble's moments
    onward = integrate(eqs, reference.sel(time=3), [2.0])
    assert np.allclose(onward.isel(time=0), reference.sel(time=5), rtol=1e-7)
    named = {"A": 10, "Var(A)": 4.0}
    assert integrate(eqs, named, [0]).sel(moment="Var(A)").item() == 4.0


def test_raw_moments_of_a_certain_start():
    eqs = moment_equations(SKIN, order=3, kind="raw")
    start = integrate(eqs, {"A": 2, "B": 3}, [0]).isel(time=0)
    assert start.sel(moment="E[A^2 B]").item() == 12 and start.sel(moment="E[B^3]").item() == 27


def test_a_mean_field_start_need_not_be_whole():
    eqs = moment_equations(dimerisation(10), 1, closure="mean-field")
    assert integrate(eqs, {"A": 2.5}, [0]).values.tolist() == [[2.5, 0]]


def test_other_rate_constants_may_be_given():
    eqs = moment_equations(DECAY.with_parameters(k=None))
    found = integrate(eqs, {"A": 10}, [1.0], rate_constants=[2.0])
    assert found.sel(moment="A").item() == pytest.approx(10 * np.exp(-2))
    # learned constants may be negative, as k2 of Table I
    grown = integrate(DECAY, {"A": 1}, [1.0], rate_constants=[-1.0])
    assert grown.item() == pytest.approx(np.e)


# --- what goes wrong ---------------------------------------------------------------------------

MOMENTS = moment_equations(SKIN)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((SKIN, {"X": 1}, [1]), "'X' is not a species of this system; there are 'A', 'B'"),
        ((SKIN, {"A": -1}, [1]), "A=-1 at the start; a concentration is zero or more"),
        ((SKIN, {"A": np.nan}, [1]), "A=nan at the start"),
        ((SKIN, [1, 2, 3], [1]), "give one concentration for each of 'A', 'B'"),
        ((MOMENTS, {"A": 1, "Var(Q)": 1}, [1]), r"'Var\(Q\)' is not a moment .* did you mean"),
        ((MOMENTS, {"A": 1, "Var(A)": -1}, [1]), r"Var\(A\) = -1 at the start; it is zero or"),
        ((MOMENTS, [1, 2, 3], [1]), "give 2 counts or 5 moments"),
        ((MOMENTS, {"A": 1, "Var(A)": np.inf}, [1]), "not finite"),
        ((MOMENTS, {"A": 1}, []), "at least one"),
        ((MOMENTS, {"A": 1}, [0, np.nan]), "must be finite"),
        ((MOMENTS, {"A": 1}, [[0, 1]]), "must be finite numbers, at least one"),
        ((MOMENTS, {"A": 1}, [-1, 2]), "the first time is -1; the start is at t = 0"),
        ((MOMENTS, {"A": 1}, [0, 2, 1]), "1 comes after 2; sort them"),
        (("A -> B", {"A": 1}, [1]), "cannot integrate str; give a ReactionNetwork"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(DynamicsError, match=message):
        integrate(*arguments)


def test_raw_moments_must_all_be_given():
    eqs = moment_equations(DECAY, kind="raw")
    with pytest.raises(DynamicsError, match="'A' is not given; raw moments do not follow"):
        integrate(eqs, {"E[A^2]": 4.0}, [1])


def test_counts_must_be_whole():
    with pytest.raises(NetworkError, match="counts must be whole numbers"):
        integrate(MOMENTS, {"A": 1.5}, [1])


def test_free_parameters_and_wrong_rates_are_refused():
    with pytest.raises(NetworkError, match="'k' has no value"):
        integrate(DECAY.with_parameters(k=None), {"A": 1}, [1])
    for wrong in ([1.0, 2.0], [np.nan]):
        with pytest.raises(DynamicsError, match="must be 1 finite numbers, one a reaction"):
            integrate(DECAY, {"A": 1}, [1], rate_constants=wrong)


def test_unknown_methods_are_refused():
    with pytest.raises(DynamicsError, match="method='Euler' is unknown; there are 'LSODA'"):
        integrate(DECAY, {"A": 1}, [1], method="Euler")


def test_open_moments_are_refused():
    with pytest.raises(EquationError, match="not closed: .* give a closure"):
        integrate(moment_equations(dimerisation(10)), {"A": 10}, [1])


@pytest.mark.parametrize("method", METHODS)
def test_a_solution_that_blows_up_says_so(method):
    net = ReactionNetwork("2 A -> 3 A ; 2.0")  # dc/dt = c^2, infinite at t = 1
    with pytest.raises(SolverError, match="could not be solved beyond"):
        integrate(net, {"A": 1}, [0.5, 2.0], method=method)


def test_log_normal_closure_and_absent_species():
    eqs = moment_equations(dimerisation(10), closure="log-normal")
    assert integrate(eqs, {"A": 10}, [0.0]).sel(moment="B").item() < 1e-5
    with pytest.raises(DynamicsError, match="log-normal closure divides by 'B'"):
        integrate(eqs, {"A": 10, "Var(A)": 1.0}, [1.0])
