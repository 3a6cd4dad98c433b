"""Master equation, moment equations and closures: symbolic equality and brute force."""

import pickle
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from chemnb.equations.closures import Closure
from chemnb.equations.moments import moment_labels
from chemnb.equations.symbolic import (
    EquationError,
    mass_action,
    master_equation,
    moment_equations,
    propensities,
)
from chemnb.networks.network import NetworkError, ReactionNetwork

CANDIDATE = ReactionNetwork(
    """
    A -> 2 A   ; r1*lam
    A -> A + B ; (1 - r1 - r2)*lam
    A -> 2 B   ; r2*lam
    B -> 0     ; Gamma
    A -> 0     ; k1
    A -> B     ; k2
    """
)
DIMER = ReactionNetwork("2 A <-> B ; k1, k2", volume=10)
r1, r2, lam, Gamma, k1, k2, V = sympy.symbols("r1 r2 lam Gamma k1 k2 V")
n_A, n_B, t = sympy.symbols("n_A n_B t")
p = sympy.Function("p")


def same(left, right) -> bool:
    return sympy.expand(left - right) == 0


# --- the paper's formulas ----------------------------------------------------------------------


def test_master_equation_is_eq_12():
    here = master_equation(CANDIDATE)
    eq12 = (
        k1 * ((n_A + 1) * p(n_A + 1, n_B, t) - n_A * p(n_A, n_B, t))
        + k2 * ((n_A + 1) * p(n_A + 1, n_B - 1, t) - n_A * p(n_A, n_B, t))
        + lam
        * (
            r1 * (n_A - 1) * p(n_A - 1, n_B, t)
            + r2 * (n_A + 1) * p(n_A + 1, n_B - 2, t)
            + (1 - r1 - r2) * n_A * p(n_A, n_B - 1, t)
            - n_A * p(n_A, n_B, t)
        )
        + Gamma * ((n_B + 1) * p(n_A, n_B + 1, t) - n_B * p(n_A, n_B, t))
    )
    assert same(here.rhs, eq12)
    assert here.lhs == sympy.Derivative(p(n_A, n_B, t), t)


def test_master_equation_prints_gain_and_loss_per_reaction():
    tex = master_equation(CANDIDATE).to_latex()
    assert r"k_{2} \left[(n_{A}+1) p(n_{A}+1, n_{B}-1) - n_{A} p(n_{A}, n_{B})\right]" in tex
    assert r"\lambda \left(1 - r_{1} - r_{2}\right) \left[n_{A} p(n_{A}, n_{B}-1)" in tex
    assert "lam " not in tex
    dimer = master_equation(DIMER).to_latex()
    assert r"\frac{k_{1}}{2 V} \left[(n_{A}+2) (n_{A}+1) p(n_{A}+2, n_{B}-1)" in dimer
    assert master_equation(CANDIDATE)._repr_latex_().startswith(r"$\displaystyle")
    assert r"\sum_{j=1}^{M}" in master_equation(DIMER).general._repr_latex_()


def test_master_equation_of_many_species_uses_unit_vectors():
    net = ReactionNetwork("A + B -> C ; a \n C -> 2 D + EE ; b")
    tex = master_equation(net).to_latex()
    assert r"p(\mathbf{n}+\mathbf{e}_{A}+\mathbf{e}_{B}-\mathbf{e}_{C})" in tex
    assert r"p(\mathbf{n}+\mathbf{e}_{C}-2\mathbf{e}_{D}-\mathbf{e}_{\mathrm{EE}})" in tex


def test_propensities_are_eq_5():
    net = ReactionNetwork("2 A + B -> 0 ; k1 \n 0 -> A ; k2 \n A -> B ; lam", volume=10)
    found = propensities(net)
    expected = (k1 * n_A * (n_A - 1) * n_B / (2 * V**2), k2 * V, lam * n_A)
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))
    numbers = [0.3, 0.7, 1.1]
    values = dict(zip((k1, k2, lam), numbers, strict=True)) | {V: 10, n_A: 5, n_B: 3}
    assert np.allclose([f.subs(values) for f in map(sympy.N, found)], _phi(net, [5, 3], numbers))
    assert r"\Phi_{1} &= \frac{k_{1}}{2 V^{2}} n_{A} (n_{A}-1) n_{B}" in found.to_latex()


def test_moment_equations_are_eq_13():
    eqs = moment_equations(CANDIDATE)
    A, B, VA, VB, Cov = (eqs.symbols[label] for label in eqs.labels)
    assert list(eqs.labels) == ["A", "B", "Var(A)", "Var(B)", "Cov(A, B)"]
    beta = {
        11: k1 + k2 + (r1 + r2) * lam,
        12: -2 * (k1 + k2) + 2 * (r1 - r2) * lam,
        21: k2 + (1 - r1 + 3 * r2) * lam,
        22: Gamma,
        23: -2 * Gamma,
        24: 2 * ((1 - r1 + r2) * lam + k2),
        31: -(2 * r2 * lam + k2),
        32: (1 - r1 + r2) * lam + k2,
        33: (r1 - r2) * lam - k1 - k2 - Gamma,
    }
    assert eqs.closed and eqs.open_moments == ()
    assert same(eqs.equations["A"], ((r1 - r2) * lam - k1 - k2) * A)
    assert same(eqs.equations["B"], (k2 + (1 - r1 + r2) * lam) * A - Gamma * B)
    assert same(eqs.equations["Var(A)"], beta[11] * A + beta[12] * VA)
    right = beta[21] * A + beta[22] * B + beta[23] * VB + beta[24] * Cov
    assert same(eqs.equations["Var(B)"], right)
    assert same(eqs.equations["Cov(A, B)"], beta[31] * A + beta[32] * VA + beta[33] * Cov)
    places = {
        "Var(A)": {"A": 11, "Var(A)": 12},
        "Var(B)": {"A": 21, "B": 22, "Var(B)": 23, "Cov(A, B)": 24},
        "Cov(A, B)": {"A": 31, "Var(A)": 32, "Cov(A, B)": 33},
    }
    for row, entries in places.items():
        assert set(eqs.coefficients[row]) == set(entries)
        assert all(same(eqs.coefficients[row][name], beta[b]) for name, b in entries.items())


def test_terms_are_linear_in_the_rates():
    terms = {(t.row, *t.exponents.items()): t.weights for t in moment_equations(CANDIDATE).terms()}
    # beta21 = k2 + (1 - r1 + 3 r2) lam, reaction by reaction
    assert terms[3, (0, 1)] == {1: Fraction(1), 2: Fraction(4), 5: Fraction(1)}
    dimer = [t for t in moment_equations(DIMER, order=1).terms() if t.row == 1]
    assert [t.exponents for t in dimer] == [{0: 1}, {1: 1}, {2: 1}, {0: 2}]
    assert dimer[0].weights == {0: Fraction(-1, 2)}


def test_moment_equations_print_as_eq_13():
    tex = moment_equations(CANDIDATE).to_latex()
    assert r"\frac{d\langle n_{A}\rangle}{dt} &= \left(\lambda \left(r_{1} - r_{2}\right)" in tex
    assert r"+ \Gamma \langle n_{B}\rangle - 2 \Gamma V_{B} + 2 \left(k_{2} + \lambda" in tex
    assert r"\frac{d\mathrm{Cov}_{AB}}{dt} &= - \left(k_{2} + 2 \lambda r_{2}\right)" in tex
    assert tex.count("&=") == 5


def test_symbols_are_readable_and_typeset():
    eqs = moment_equations(DIMER, order=3)
    assert str(eqs.symbols["Cov(A, B)"]) == "Cov(A, B)"
    assert sympy.latex(eqs.symbols["A"]) == r"\langle n_{A}\rangle"
    assert sympy.latex(eqs.symbols["Var(A)"] ** 2) == "V_{A}^{2}"
    assert sympy.latex(eqs.symbols["M[A^2 B]"]) == "M_{A^2B}"
    raw = moment_equations(ReactionNetwork("X_1 + B -> 0 ; k"), kind="raw")
    assert sympy.latex(raw.symbols["E[X_1 B]"]) == r"\langle n_{\mathrm{X\_1}} n_{B}\rangle"
    again = pickle.loads(pickle.dumps(eqs))
    assert again.symbols == eqs.symbols and again.to_latex() == eqs.to_latex()


def test_a_name_is_typeset_by_what_it_stands_for():
    decay = ReactionNetwork("A -> 0 ; k")
    concentration, mean = mass_action(decay), moment_equations(decay, 1)
    before = concentration.to_latex()
    assert r"\langle" in mean.to_latex() and concentration.to_latex() == before
    assert r"\langle" not in before and concentration.symbols["A"] != mean.symbols["A"]


def test_every_formula_can_be_drawn():
    from matplotlib.mathtext import MathTextParser

    parse = MathTextParser("path").parse
    net = ReactionNetwork(
        "G -> G + M ; k_m \n 2 P <-> P2 ; eps*a/b, 0.5 \n 0 -> P ; 3 \n M + P2 -> G ; (a + b)*lam",
        volume=2,
    )
    shown = [master_equation(net), propensities(net), mass_action(net), moment_equations(net)]
    shown += [moment_equations(net, closure="log-normal", kind=kind) for kind in ("central", "raw")]
    for formula in shown:
        tex = formula.to_latex().removeprefix(r"\begin{aligned}").removesuffix(r"\end{aligned}")
        for row in tex.split("\\\\\n"):
            # mathtext knows no alignment and no \text
            parse("$" + row.replace("&", "").replace(r"\text", r"\mathrm") + "$")


def test_a_long_system_is_cut_and_long_rows_are_broken():
    names = [f"S{i}" for i in range(10)]
    pairs = zip(names, names[1:] + names[:1], strict=True)
    net = ReactionNetwork([f"{a} + {b} -> 2 {b} ; k_{a}" for a, b in pairs])
    tex = moment_equations(net).to_latex()
    assert r"\text{(25 more)}" in tex and r"\ldots" in tex
    assert r"&\quad" in tex


def test_mass_action_is_eq_8():
    eqs = mass_action(ReactionNetwork("3 A -> B ; k1 \n 0 -> A ; k2", volume=7))
    A, _ = eqs.symbols.values()
    assert same(eqs.equations["A"], -3 * k1 * A**3 / 6 + k2)
    assert same(eqs.equations["B"], k1 * A**3 / 6)
    assert sympy.latex(A) == "c_{A}"
    assert eqs.to_latex().startswith(r"\begin{aligned}\frac{dc_{A}}{dt} &= k_{2} - \frac{k_{1}}{2}")
    assert str(eqs) == "d/dt A = -k1*A**3/2 + k2\nd/dt B = k1*A**3/6"


def test_volume_enters_as_the_order_demands():
    system, weights = moment_equations(DIMER, order=1, closure="mean-field").polynomial_system()
    # d<B>/dt = k1 (A^2 - A)/(2 V) - k2 B
    here = system.rhs(np.array([6.0, 2.0]), weights @ [0.5, 0.1])
    assert here == pytest.approx([-2 * (0.75 - 0.2), 0.75 - 0.2])
    bare = moment_equations(DIMER.with_volume(1), order=1)
    assert "V" not in {s.name for rhs in bare.equations.values() for s in rhs.free_symbols}


def test_weights_that_cancel_are_not_printed():
    eqs = moment_equations(ReactionNetwork("A -> 2 A ; k \n A -> 0 ; k"), order=1)
    assert eqs.equations["A"] == 0
    assert eqs.to_latex().endswith(r"&= 0\end{aligned}")


# --- brute force -------------------------------------------------------------------------------


def _phi(net, state, k):
    return net.propensities(state, rate_constants=k)


def _moments(weights, states, eqs):
    """Moments of a (complex) distribution, in the order of the equations' variables."""
    mean = weights @ states
    origin = 0 if eqs.kind == "raw" else mean
    values = [
        mean[index.index(1)]
        if sum(index) == 1
        else weights @ np.prod((states - origin) ** index, 1)
        for index in eqs._variables
    ]
    return np.array(values)


@pytest.mark.parametrize("kind", ["central", "raw"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_moment_equations_against_the_master_equation(kind, order):
    """d/dt of the moments of an arbitrary p(n), by a complex step along dp/dt of Eq. 4."""
    net = ReactionNetwork(
        "A + B -> C ; a \n 2 C -> A ; b \n 0 -> 2 B ; c \n 2 A + B -> 3 B ; d \n C -> 0 ; e",
        volume=3,
    )
    k = np.array([0.7, 0.4, 1.3, 0.9, 0.2])
    rng = np.random.default_rng(order)
    size = 8
    probability = np.zeros((size,) * 3)
    probability[:4, :4, :4] = rng.random((4, 4, 4))  # nothing leaves the box
    probability /= probability.sum()
    change = np.zeros_like(probability)
    for state in product(range(4), repeat=3):
        for phi, u in zip(_phi(net, state, k), net.stoichiometry.T, strict=True):
            change[state] -= phi * probability[state]
            if phi > 0:
                change[tuple(np.add(state, u))] += phi * probability[state]
    states = np.array(list(product(range(size), repeat=3)))
    eqs = moment_equations(net, order, kind)
    moving = (probability + 1e-30j * change).ravel()
    moments = _moments(moving, states, eqs)
    rates = k * 3.0 ** (1 - net.reactants.sum(axis=0))
    found = np.zeros(len(eqs.labels))
    for term in eqs.terms():
        weight = sum(float(w) * rates[j] for j, w in term.weights.items())
        value = np.prod([moments[i].real ** power for i, power in term.exponents.items()])
        found[term.row] += weight * value
    expected = moments[: len(found)].imag / 1e-30
    assert np.allclose(found, expected, rtol=1e-10, atol=1e-11)


def test_four_particle_reaction_opens_moments_up_to_order_five():
    eqs = moment_equations(ReactionNetwork("4 A -> 0 ; k"), kind="raw")
    assert eqs.open_moments == ("E[A^3]", "E[A^4]", "E[A^5]")
    A, A2, A3, A4, A5 = eqs.symbols.values()
    falling = {1: -6, 2: 11, 3: -6, 4: 1}  # n (n-1) (n-2) (n-3)
    moments = {1: A, 2: A2, 3: A3, 4: A4, 5: A5}
    k = sympy.Symbol("k")
    expected = sum(c * (16 * moments[i] - 8 * moments[i + 1]) for i, c in falling.items()) * k / 24
    assert same(eqs.equations["E[A^2]"], expected)


# --- closures ----------------------------------------------------------------------------------


def _value(polynomial, values):
    return float(
        sum(
            float(c) * np.prod([values[index] ** power for index, power in monomial])
            for monomial, c in polynomial.items()
        )
    )


def _as_kind(raw, means, kind, n):
    """Raw moments (a function of the index) as a dictionary of raw or central moments."""
    from chemnb.equations.closures import below, choose, subtract

    result = {}
    for index in product(range(7), repeat=n):
        if not 0 < sum(index) <= 6:
            continue
        if kind == "raw" or sum(index) == 1:
            result[index] = raw(index)
            continue
        result[index] = sum(
            choose(index, part) * np.prod((-means) ** subtract(index, part)) * raw(part)
            for part in below(index)
        )
    return result


@pytest.mark.parametrize("kind", ["central", "raw"])
@pytest.mark.parametrize("order", [2, 3, 4])
def test_closures_are_exact_for_their_own_distribution(kind, order):
    means, cov = np.array([1.3, 0.8]), np.array([[0.5, 0.2], [0.2, 0.3]])

    def gauss(index):
        nodes, weights = np.polynomial.hermite_e.hermegauss(12)
        factor, result = np.linalg.cholesky(cov), 0.0
        for (x, a), (y, b) in product(zip(nodes, weights, strict=True), repeat=2):
            result += a * b * np.prod((means + factor @ [x, y]) ** index)
        return result / (2 * np.pi)

    def lognormal(index):
        return np.exp(np.dot(index, means) + 0.5 * index @ cov @ index)

    log_means = np.array([lognormal(np.array(e)) for e in ((1, 0), (0, 1))])
    cases = {
        "normal": (gauss, means),
        "zero-cumulant": (gauss, means),
        "log-normal": (lambda index: lognormal(np.array(index)), log_means),
    }
    for name, (raw, mean) in cases.items():
        values = _as_kind(raw, mean, kind, 2)
        closure = Closure(name, 2, order, kind)
        for index, value in values.items():
            if sum(index) > order:
                assert _value(closure(index), values) == pytest.approx(value, rel=1e-7)


@pytest.mark.parametrize("kind", ["central", "raw"])
def test_zero_cumulant_closure_keeps_the_cumulants_below(kind):
    # n = (X, X + Y), X and Y sums of gamma variables: all cumulants are known
    order, shape = 3, 2.0

    def raw_gamma(m):
        return np.prod([shape + i for i in range(m)])

    values = _as_kind(lambda i: raw_gamma(i[0]), np.array([shape]), kind, 1)
    fourth = _value(Closure("zero-cumulant", 1, order, kind)((4,)), values)
    # the gamma distribution's fourth cumulant is 6 * shape, which the closure leaves out
    assert fourth == pytest.approx(values[(4,)] - 6 * shape)
    fifth = _value(Closure("zero-cumulant", 1, order, "central")((5,)), {(2,): 2.0, (3,): 4.0})
    assert fifth == pytest.approx(10 * 2.0 * 4.0)


def test_mean_field_closure_neglects_fluctuations():
    eqs = moment_equations(DIMER, order=1, kind="raw", closure="mean-field")
    A, B = eqs.symbols.values()
    assert same(eqs.equations["B"], k1 * (A**2 - A) / (2 * V) - k2 * B)
    assert Closure("mean-field", 2, 2, "central")((2, 1)) == {}
    assert Closure("mean-field", 1, 2, "central")((4,)) == {}  # the normal one has 3 Var^2
    assert Closure("normal", 1, 2, "central")((4,)) == {(((2,), 2),): 3}


def test_log_normal_closure_is_one_laurent_monomial_of_raw_moments():
    assert Closure("log-normal", 2, 2, "raw")((2, 1)) == {
        (((0, 1), -1), ((1, 0), -2), ((1, 1), 2), ((2, 0), 1)): 1
    }


def test_a_closed_network_needs_no_closure():
    plain, closed = moment_equations(CANDIDATE), moment_equations(CANDIDATE, closure="normal")
    assert plain.equations == closed.equations and closed.closed


# --- laws --------------------------------------------------------------------------------------


@st.composite
def networks(draw):
    names = "ABC"[: draw(st.integers(1, 3))]
    side = st.dictionaries(st.sampled_from(names), st.integers(1, 2), max_size=2)
    lines = []
    for j in range(draw(st.integers(1, 4))):
        left, right = draw(side), draw(side)
        if left != right:
            texts = [
                " + ".join(f"{v} {name}" for name, v in sorted(s.items())) or "0"
                for s in (left, right)
            ]
            lines.append(f"{texts[0]} -> {texts[1]} ; k{j}")
    return ReactionNetwork(lines or ["A -> 2 A ; k"], volume=2)


@settings(max_examples=60, deadline=None)
@given(networks())
def test_conserved_quantities_do_not_move(net):
    laws = net.conservation_laws().to_numpy()
    for eqs in (mass_action(net), moment_equations(net), moment_equations(net, 2, "raw", "normal")):
        n = len(net.species)
        for law in laws:
            total = {}
            for term in eqs.terms():
                if term.row < n:
                    for j, weight in term.weights.items():
                        key = (tuple(sorted(term.exponents.items())), j)
                        total[key] = total.get(key, 0) + int(law[term.row]) * weight
            assert not any(total.values())


@settings(max_examples=30, deadline=None)
@given(networks(), st.sampled_from(["mean-field", "normal", "zero-cumulant", "log-normal"]))
def test_raw_and_central_equations_agree(net, closure):
    """d/dt of the raw moments follows from d/dt of the central ones by the chain rule."""
    central = moment_equations(net, 2, "central", closure)
    raw = moment_equations(net, 2, "raw", closure)
    n = len(net.species)
    means = np.array([2.1, 1.2, 1.7])[:n]
    variances = {label: 0.3 + 0.1 * i for i, label in enumerate(moment_labels(net.species)[n:])}
    y = np.array([*means, *variances.values()], dtype=complex)
    rates = np.linspace(0.5, 1.5, len(net.reactions))
    system, weights = central.polynomial_system()
    dy = system.rhs(y.real, weights @ rates)
    y = y + 1e-30j * dy
    pairs = [np.flatnonzero(np.repeat(range(n), index)) for index in central.indices]
    assert pairs  # every index names its species
    as_raw = []
    for value, index in zip(y, central.indices, strict=True):
        species = [i for i, power in enumerate(index) for _ in range(power)]
        as_raw.append(value if len(species) == 1 else value + y[species[0]] * y[species[1]])
    as_raw = np.array(as_raw)
    system, weights = raw.polynomial_system()
    found = system.rhs(as_raw.real, weights @ rates)
    assert np.allclose(found, as_raw.imag / 1e-30, rtol=1e-9, atol=1e-10)


def test_labels_follow_the_house_order():
    net = ReactionNetwork("A + B -> C ; k")
    for kind in ("central", "raw"):
        eqs = moment_equations(net, 3, kind)
        assert list(eqs.labels) == moment_labels(net.species, 3, kind)


# --- what goes wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: moment_equations(DIMER, order=0), "order=0 is not an order"),
        (lambda: moment_equations(DIMER, order=1.5), "order=1.5 is not an order"),
        (lambda: moment_equations(DIMER, kind="cumulant"), "give 'central' or 'raw'"),
        (lambda: moment_equations(DIMER, closure="nrmal"), "did you mean 'normal'"),
        (lambda: moment_equations(DIMER, order=1, closure="normal"), "needs order=2 or more"),
    ],
)
def test_impossible_requests_are_refused(call, message):
    with pytest.raises(EquationError, match=message):
        call()


def test_open_moments_are_shown_and_refused_in_numbers():
    eqs = moment_equations(DIMER)
    assert not eqs.closed and eqs.open_moments == ("M[A^3]", "M[A^2 B]")
    assert "not closed" in repr(eqs)
    assert r"\text{not closed: needs } M_{A^3},\ M_{A^2B}" in eqs.to_latex()
    with pytest.raises(EquationError, match=r"they need 'M\[A\^3\]'.*'mean-field'.*'log-normal'"):
        eqs.polynomial_system()
    with pytest.raises(EquationError, match="one of 'mean-field', 'zero-cumulant'"):
        moment_equations(DIMER, order=1).polynomial_system()


def test_a_rate_named_like_a_count_is_refused():
    with pytest.raises(NetworkError, match="'n_A' has the name of a count"):
        master_equation(ReactionNetwork("A -> 0 ; n_A"))


def test_ten_species_take_seconds():
    """The derivation is bounded in work, not in seconds: a slow machine must not fail it."""
    names = [f"S{i}" for i in range(10)]
    lines = []
    for i, a in enumerate(names):
        b, c = names[(i + 1) % 10], names[(i + 2) % 10]
        lines += [f"{a} + {b} -> {c} ; a{i}", f"{a} -> {b} ; b{i}"]
        lines += [f"0 -> {a} ; g{i}", f"2 {a} -> {b} ; d{i}"]
    eqs = moment_equations(ReactionNetwork(lines), closure="normal")
    system, weights = eqs.polynomial_system()
    assert len(eqs.labels) == 65 and weights.shape == (len(system.terms), 40)
