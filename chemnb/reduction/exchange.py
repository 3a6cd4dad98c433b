"""The four underlined terms below Eq. 16: what fast reactions do to a slow species."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..equations.polynomials import SolverError
from ..networks.conservation import law_text
from ..networks.expressions import closest, listing
from ..networks.fluxes import Fluxes
from ..networks.network import ReactionNetwork
from ..networks.slow_coordinates import slow_coordinates
from .learned_reduction import LearnedReduction


class ExchangeError(ValueError):
    """A species or run for which there are no such terms; the message says why."""


def exchange_terms(
    run, network: ReactionNetwork, *, fast: Sequence[str], of: str, manifold=None
):  # fmt: skip
    r"""Return by how much each fast reaction changes a slow species along a run.

    In Eq. 16 these are the four underlined terms, :math:`-k_1 c_P c_G + k_{-1} c_{GP} - k_2 c_P
    c_{GP} + k_{-2} c_{GP_2}`. QSSA cancels them. On the true solution their sum is not zero: what
    the fast reactions take from the free protein is what becomes bound, so the sum is
    :math:`-\frac{d}{dt}(c_{GP} + 2 c_{GP_2})`. Each term is many times the sum, so that a small
    error in one coefficient of a manifold leaves a large one in the sum.

    Parameters
    ----------
    run : DataArray (time, species)
        All species of the network, as `chemnb.integrate` gives them.
    network : ReactionNetwork
    fast : sequence of str
    of : str
        The slow species.
    manifold : LearnedReduction or mapping of fast species -> SymPy expression, optional
        Takes the place of the fast species in the terms; by default they are those of the run.

    Returns
    -------
    pandas.DataFrame
        By time: one column a reaction, their ``sum``, minus the rate at which the species becomes
        bound in the run, such as ``-d/dt (GP + 2 GP2)``, and ``slow``, what all other reactions do
        to the species. The first two agree on the run itself if no other reaction changes what
        is bound, as in Eq. 15.

    Raises
    ------
    ExchangeError
        If a species is unknown, ``of`` is fast, or no fast reaction changes it.

    Examples
    --------
    >>> from chemnb.equations.dynamics import integrate
    >>> pair = ReactionNetwork("A + A <-> D ; 20, 10 \n 0 -> A ; 1")
    >>> table = exchange_terms(integrate(pair, {"A": 1.0}, [1.0]), pair, fast=["D"], of="A")
    >>> table.columns.tolist()
    ['2 A -> D', 'D -> 2 A', 'sum', '-d/dt (2 D)', 'slow']
    >>> table.iloc[0].round(2).tolist()
    [-12.77, 12.01, -0.76, -0.76, 1.0]
    """
    import pandas as pd

    fast, row = list(fast), _coordinate(network, fast, of)
    states = _states(run, network)
    true = Fluxes(network).values(states)
    u = network.stoichiometry.astype(float)
    weights = np.array(row, dtype=float)
    place = network.species.index(of)
    chosen = [j for j in range(u.shape[1]) if u[place, j] and abs(weights @ u[:, j]) < 1e-12
              and u[[network.species.index(name) for name in fast], j].any()]  # fmt: skip
    if not chosen:
        raise ExchangeError(
            f"no fast reaction changes '{of}'; these terms are those of a slow species that "
            f"{listing(fast)} bind or release"
        )
    rates = true if manifold is None else _on_manifold(network, states, fast, manifold)
    texts = [reaction.equation for reaction in network.reactions]
    table = {texts[j]: u[place, j] * rates[:, j] for j in chosen}
    table["sum"] = sum(table.values())
    bound = [0 if name == of else w for name, w in zip(network.species, row, strict=True)]
    text = law_text(bound, network.species)
    weights[place] = 0.0
    table[f"-d/dt ({text})"] = -(true @ u.T @ weights) / row[place]
    others = [j for j in range(u.shape[1]) if j not in chosen]
    table["slow"] = rates[:, others] @ u[place, others]
    index = pd.Index(np.asarray(run["time"].values, dtype=float), name="time")
    return pd.DataFrame(table, index=index)


def coefficient_sensitivity(
    reduction: LearnedReduction,
    network: ReactionNetwork,
    initial,
    times,
    *,
    change: float = 0.01,
    coordinate: str = "species",
    underlined: bool = True,
):
    """Return what an error in one coefficient costs in the solution of the reduced model.

    With the underlined terms kept, as Eq. 16 is printed, an error in one coefficient is an error
    in the small difference of large terms. In the conserved total there is no such difference.

    Parameters
    ----------
    reduction : LearnedReduction
    network, initial, times
        As for ``reduction.model(network).integrate(initial, times)``.
    change : float
        Relative change of the coefficient.
    coordinate, underlined
        As for `LearnedReduction.model`.

    Returns
    -------
    pandas.DataFrame
        By coefficient: the largest deviation (%) of each slow species from the solution with all
        coefficients as they are; infinite where the changed model cannot be solved.
    """
    import pandas as pd

    def solve(which):
        model = which.model(network, coordinate, underlined)
        return model.integrate(initial, times).sel(species=list(model.slow))

    base, rows = solve(reduction), {}
    for row, column in np.argwhere(reduction.values != 0):
        values = reduction.values.copy()
        values[row, column] *= 1 + change
        try:
            changed = solve(replace(reduction, values=values))
        except SolverError:
            rows[reduction.family.names[row, column]] = [np.inf] * base.sizes["species"]
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            off = 100 * np.abs(changed.values / base.values - 1)
        rows[reduction.family.names[row, column]] = np.nanmax(off, axis=0)
    return pd.DataFrame.from_dict(rows, orient="index", columns=base["species"].values.tolist())


def _coordinate(network: ReactionNetwork, fast: list[str], of: str) -> list[int]:
    """Return the weights of the slow coordinate in which a slow species stands."""
    for name in [*fast, of]:
        if name not in network.species:
            raise ExchangeError(
                f"'{name}' is not a species of the network{closest(name, network.species)}; "
                f"it has {listing(network.species)}"
            )
    if of in fast:
        raise ExchangeError(f"'{of}' is itself fast; of= is a slow species")
    table = slow_coordinates(network, fast)
    rows = table[table[of] != 0]
    if rows.empty:
        raise ExchangeError(f"no slow coordinate holds '{of}'; check the fast species")
    return rows.iloc[0].tolist()


def _states(run, network: ReactionNetwork) -> np.ndarray:
    if not hasattr(run, "dims") or set(run.dims) != {"time", "species"}:
        raise ExchangeError("run must be a DataArray over time and species, as cn.integrate gives")
    names = run["species"].values.tolist()
    if missing := [name for name in network.species if name not in names]:
        raise ExchangeError(f"the run has no values of {listing(missing)}; it needs all species")
    return run.transpose("time", "species").sel(species=list(network.species)).values


def _on_manifold(network, states, fast, manifold) -> np.ndarray:
    """Return the rates at the run's slow species and the manifold's fast ones."""
    from .reduced import ReducedModel

    formulas = manifold.expressions if isinstance(manifold, LearnedReduction) else manifold
    if not isinstance(formulas, Mapping) or set(formulas) != set(fast):
        raise ExchangeError(f"the manifold must give a formula for each of {listing(fast)}")
    import sympy

    model = ReducedModel(network, formulas)
    symbols = [model.symbols[name] for name in network.species]
    values = sympy.lambdify(symbols, [model.manifold[name] for name in fast], "numpy")
    states = states.copy()
    columns = np.broadcast_arrays(*values(*states.T), states[:, 0])[:-1]
    for name, column in zip(fast, columns, strict=True):
        states[:, network.species.index(name)] = column
    return Fluxes(network).values(states)
