"""Numbers from equations: mass-action and moment equations integrated (Eqs. 8, 13 and 15)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..networks.expressions import closest, listing
from ..networks.network import ReactionNetwork
from .polynomials import PolynomialSystem, SolverError
from .rate_equations import solve_rate_equations
from .symbolic import Equations, MomentEquations, mass_action

_METHODS = ("LSODA", "BDF", "Radau", "RK45", "DOP853", "RK23")
_IMPLICIT = ("BDF", "Radau")
_TRACE = 1e-6  # molecules that stand for none where a closure divides by a mean


class DynamicsError(ValueError):
    """A start, times or rate constants with which nothing can be integrated."""


def integrate(
    system: ReactionNetwork | Equations,
    initial,
    times,
    *,
    rate_constants: Sequence[float] | None = None,
    method: str | None = None,
    rtol: float = 1e-8,
    atol: float = 1e-10,
):
    """Solve the equations of a network from a start at t = 0.

    The default method switches between a stiff and a non-stiff one by itself.

    Parameters
    ----------
    system : ReactionNetwork or equations
        A network stands for its mass-action equations (Eq. 8); where it has rate laws, for its
        rate equations in its own volume (`chemnb.equations.rate_equations`). Otherwise the result of
        `chemnb.moment_equations` or `chemnb.mass_action`.
    initial : mapping or array_like
        Of a network: concentrations, species -> c (left out: zero) or one a species.
        Of moment equations: counts, species -> n or one a species, for a start in that very
        state; or moments, label -> value (central moments left out are zero), one a moment, or
        a labelled array such as ``ensemble.moments().sel(time=5)``.
    times : sequence of float
        Zero or more, increasing.
    rate_constants : sequence of float, optional
        One k a reaction instead of the network's own. Learned ones may be negative.
    method : {"LSODA", "BDF", "Radau", "RK45", "DOP853", "RK23"}, optional
        A method of SciPy; the default is LSODA.
    rtol, atol : float
        Relative and absolute tolerance of each step.

    Returns
    -------
    xarray.DataArray
        Dimensions (time, species), concentrations; or (time, moment), in molecules.

    Raises
    ------
    DynamicsError
        If the start, the times, the rate constants or the method cannot be used.
    NetworkError
        If a rate constant has no value, or a count is unknown or not a whole number.
    EquationError
        If moments are left open.
    SolverError
        If the solution blows up.

    Examples
    --------
    >>> decay = ReactionNetwork("A -> 0 ; k", k=1.0)
    >>> integrate(decay, {"A": 2.0}, [0, 1]).sel(species="A").values.round(6)
    array([2.      , 0.735759])

    The variance of ten molecules that decay, 10 exp(-t) (1 - exp(-t)):

    >>> from chemnb.equations.symbolic import moment_equations
    >>> moments = integrate(moment_equations(decay), {"A": 10}, [1.0])
    >>> round(moments.sel(moment="Var(A)").item(), 4)
    2.3254
    """
    import xarray as xr

    if isinstance(system, ReactionNetwork) and not system.is_mass_action:
        return _integrate_laws(system, initial, times, rate_constants, method, rtol, atol)
    equations = mass_action(system) if isinstance(system, ReactionNetwork) else system
    if not isinstance(equations, Equations):
        raise DynamicsError(
            f"cannot integrate {type(system).__name__}; give a ReactionNetwork, "
            "moment_equations(network) or mass_action(network)"
        )
    times = check_times(times)
    polynomials, weights = equations.polynomial_system()
    theta = weights @ _check_rates(equations.network, rate_constants)
    of_moments = isinstance(equations, MomentEquations)
    start = (
        _moments(equations, initial, polynomials)
        if of_moments
        else _concentrations(equations.network, initial)
    )
    if method in (None, "LSODA"):  # solve_ivp's LSODA steps on for ever where a solution blows up
        values = polynomials.solve(theta, start, times, rtol=rtol, atol=atol)
    else:
        values = _solve_with(polynomials, theta, start, times, method, rtol, atol)
    dim = "moment" if of_moments else "species"
    return xr.DataArray(
        values,
        dims=("time", dim),
        coords={"time": times, dim: list(equations.labels)},
        name="moments" if of_moments else "concentration",
        attrs=_description(equations),
    )


def _integrate_laws(network, initial, times, rate_constants, method, rtol, atol):
    import xarray as xr

    times, method = check_times(times), method or "LSODA"
    _check_method(method)
    values = solve_rate_equations(
        network, _concentrations(network, initial), times, _check_rates(network, rate_constants),
        method=method, rtol=rtol, atol=atol,
    )  # fmt: skip
    return xr.DataArray(
        values,
        dims=("time", "species"),
        coords={"time": times, "species": list(network.species)},
        name="concentration",
        attrs={"units": "molecules per volume", "equation": "rate laws at the network's volume"},
    )


def _check_method(method: str) -> None:
    if method not in _METHODS:
        raise DynamicsError(f"method={method!r} is unknown; there are {listing(_METHODS)}")


def _description(equations: Equations) -> dict[str, str | float]:
    if not isinstance(equations, MomentEquations):
        return {"units": "molecules per volume", "equation": "mass action (Eq. 8)"}
    return {
        "units": "molecules, to the power of the moment",
        "equation": f"{equations.kind} moments of order {equations.order} (Eq. 13)",
        "closure": equations.closure or "none needed",
        "volume": equations.network.volume,
    }


def check_times(times) -> np.ndarray:
    """Return the times of a solution as an array, or refuse them with a `DynamicsError`."""
    values = np.atleast_1d(np.asarray(times, dtype=float))
    if values.ndim != 1 or not len(values) or not np.all(np.isfinite(values)):
        raise DynamicsError(f"times={times!r} must be finite numbers, at least one")
    if values[0] < 0:
        raise DynamicsError(
            f"the first time is {values[0]:g}; the start is at t = 0, so give zero or more"
        )
    if late := np.flatnonzero(np.diff(values) <= 0).tolist():
        a, b = values[late[0]], values[late[0] + 1]
        raise DynamicsError(f"times must increase, but {b:g} comes after {a:g}; sort them")
    return values


def _check_rates(network: ReactionNetwork, rate_constants) -> np.ndarray:
    if rate_constants is None:
        return network.rate_constants()
    k = np.asarray(rate_constants, dtype=float)
    if k.shape != (len(network.reactions),) or not np.all(np.isfinite(k)):
        raise DynamicsError(
            f"rate_constants must be {len(network.reactions)} finite numbers, "
            f"one a reaction; got {rate_constants!r}"
        )
    return k


def _concentrations(network: ReactionNetwork, initial) -> np.ndarray:
    names = network.species
    initial = _as_mapping(initial)
    if isinstance(initial, Mapping):
        _check_names(initial, names, "species")
        initial = [initial.get(name, 0.0) for name in names]
    c = np.asarray(initial, dtype=float)
    if c.shape != (len(names),):
        raise DynamicsError(
            f"a start of shape {c.shape} for {len(names)} species; "
            f"give one concentration for each of {listing(names)}"
        )
    if wrong := [f"{n}={x:g}" for n, x in zip(names, c, strict=True) if not 0 <= x < np.inf]:
        raise DynamicsError(f"{', '.join(wrong)} at the start; a concentration is zero or more")
    return c


def _moments(equations: MomentEquations, initial, polynomials: PolynomialSystem) -> np.ndarray:
    """Return the moments at the start, from counts or from moments."""
    labels, species = equations.labels, equations.network.species
    initial = _as_mapping(initial)
    if isinstance(initial, Mapping):
        _check_names(initial, labels, "moment")
        from_counts = all(name in species for name in initial) and equations.order > 1
    else:
        initial = np.asarray(initial, dtype=float)
        if initial.shape not in {(len(species),), (len(labels),)}:
            raise DynamicsError(
                f"a start of shape {initial.shape}; give {len(species)} counts or "
                f"{len(labels)} moments, or name them: {{'{species[0]}': 10}}"
            )
        from_counts = len(initial) < len(labels)
    if from_counts:
        return _moments_of_state(equations, equations.network.counts(initial), polynomials)
    if isinstance(initial, Mapping):
        missing = [label for label in labels if label not in initial]
        if missing and equations.kind == "raw" and equations.order > 1:
            raise DynamicsError(
                f"{listing(missing[:4])} is not given; raw moments do not follow from each other: "
                "give all, or only counts of species for a start in that very state"
            )
        initial = np.array([initial.get(label, 0.0) for label in labels], dtype=float)
    _check_moments(equations, initial)
    if equations.order == 1:
        return initial
    if absent := _divided_by(polynomials) & set(np.flatnonzero(initial == 0).tolist()):
        raise DynamicsError(
            f"the {equations.closure} closure divides by {listing(labels[i] for i in absent)}, "
            "which is zero at the start; start above zero or use closure='normal'"
        )
    return initial


def _moments_of_state(
    equations: MomentEquations, counts: np.ndarray, polynomials: PolynomialSystem
) -> np.ndarray:
    n = counts.astype(float)
    # a log-normal closure has 0/0 there; a trace of the species gives the limit
    n[[i for i in _divided_by(polynomials) if i < len(n) and n[i] == 0]] = _TRACE
    indices = np.array(equations.indices)
    if equations.kind == "raw":
        return np.prod(n**indices, axis=1)
    start = np.zeros(len(indices))
    start[: len(n)] = n
    return start


def _divided_by(polynomials: PolynomialSystem) -> set[int]:
    return {i for _, factors in polynomials.terms for i, power in factors.items() if power < 0}


def _check_moments(equations: MomentEquations, moments: np.ndarray) -> None:
    if not np.all(np.isfinite(moments)):
        raise DynamicsError(f"the start has moments that are not finite: {moments.tolist()}")
    for index, label, value in zip(equations.indices, equations.labels, moments, strict=True):
        even = all(power % 2 == 0 for power in index)
        if value < 0 and (equations.kind == "raw" or sum(index) == 1 or even):
            raise DynamicsError(f"{label} = {value:g} at the start; it is zero or more")


def _as_mapping(initial):
    """Return a labelled array (xarray, pandas) as a mapping; anything else as it is."""
    if hasattr(initial, "to_series"):
        initial = initial.to_series()
    return initial.to_dict() if hasattr(initial, "to_dict") else initial


def _check_names(initial: Mapping, known: Sequence[str], what: str) -> None:
    if unknown := [name for name in initial if name not in known]:
        shown = listing(known[:12]) + (", ..." if len(known) > 12 else "")
        raise DynamicsError(
            f"{listing(unknown)} is not a {what} of this system"
            f"{closest(str(unknown[0]), known)}; there are {shown}"
        )


def _solve_with(
    polynomials: PolynomialSystem, theta, start, times, method: str, rtol: float, atol: float
) -> np.ndarray:
    from scipy.integrate import solve_ivp

    _check_method(method)
    if times[-1] == 0:
        return start[None, :]
    implicit = {"jac": lambda _, y: polynomials.jacobian(y, theta)}
    with np.errstate(all="ignore"):
        solution = solve_ivp(
            lambda _, y: polynomials.rhs(y, theta),
            (0.0, times[-1]),
            start,
            method=method,
            t_eval=times,
            rtol=rtol,
            atol=atol,
            **(implicit if method in _IMPLICIT else {}),
        )
    if not solution.success or not np.all(np.isfinite(solution.y)):
        reached = max(solution.t, default=0.0)
        raise SolverError(
            f"the equations could not be solved beyond t = {reached:g} of {times[-1]:g} "
            f"with {method}: {solution.message}"
        )
    return solution.y.T
