"""Model reduction in symbols: quasi-steady states and their relatives (Eqs. 9, 10, 17 and 18)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..equations.symbolic import mass_action
from ..networks.conservation import law_text
from ..networks.expressions import closest, listing
from ..networks.network import ReactionNetwork
from ..networks.slow_coordinates import (
    Direction,
    fast_directions,
    inner_laws,
    slow_coordinates,
    totals,
)
from .manifold import Implicit, ReductionError
from .reduced import ReducedModel
from .reduction_input import check_fast, symbols
from .timescales import TimeScales, time_scales

_METHODS = ("quasi-steady state", "partial equilibrium")
_COORDINATES = ("total", "species")
_LEAST = 3.0  # the fast species must relax this many times faster than the rest moves
_CHECKED = 50  # states of the run at which that is checked


def reduce(
    network: ReactionNetwork,
    fast: Sequence[str] | TimeScales | None = None,
    coordinate: str = "total",
    method: str = "quasi-steady state",
    order: int = 0,
    *,
    initial=None,
    times=None,
) -> ReducedModel:
    r"""Eliminate the fast species of a mass-action network.

    Parameters
    ----------
    network : ReactionNetwork
        Rate constants may be free, if neither a start nor a numerical solution is asked for.
    fast : sequence of str or TimeScales, optional
        The species to eliminate. By default those that `chemnb.time_scales` finds on the run
        from ``initial`` over ``times``.
    coordinate : {"total", "species"}
        ``"total"``: the slow coordinates are what the fast reactions conserve, such as
        P + GP + 2 GP2 (total QSSA); right also where much is bound in fast species.
        ``"species"``: they are the slow species themselves, as in Eq. 18 (standard QSSA).
    method : {"quasi-steady state", "partial equilibrium"}
        ``"quasi-steady state"``: the rates of the fast species are zero (Eq. 10).
        ``"partial equilibrium"``: each fast reaction runs as often forward as backward.
    order : {0, 1}
        1 adds the first-order correction: the manifold moves with the flow (see
        `chemnb.reduction.slow_flow.SlowFlow.corrected`).
    initial : mapping or array_like, optional
        A start, as for `chemnb.integrate`. With it, the species given as fast are checked.
    times : sequence of float, optional
        The run on which time scales are found and checked.

    Returns
    -------
    ReducedModel
        Its ``assumptions`` say what was taken for granted, which root was chosen, and by how
        much the fast species are faster.

    Raises
    ------
    ReductionError
        If no species is fast or all are, one is unknown, the fast species are not determined by
        the slow ones, or they are not fast on the given run.

    Examples
    --------
    >>> from chemnb import models
    >>> eq18 = reduce(models.gene_feedback(), ["G", "GP", "GP2"], "species")
    >>> eq18.equations["P"], eq18.manifold["GP2"]
    (k_s*M, k1*k2*G_T*P**2/(k1*k2*P**2 + k1*k_m2*P + k_m1*k_m2))
    >>> total = reduce(models.gene_feedback(), ["G", "GP", "GP2"])
    >>> list(total.coordinates.index)
    ['P + GP + 2 GP2', 'M']
    """
    _check_choice("coordinate", coordinate, _COORDINATES)
    _check_choice("method", method, _METHODS)
    if order not in (0, 1):
        raise ReductionError(f"order={order!r}; give 0, or 1 for the first-order correction")
    scales, fast = _scales(network, fast, initial, times)
    check_fast(network, fast)
    shares = None if scales is None else scales.reaction_shares.to_numpy()
    ways = fast_directions(network, fast, shares)
    rows, remark = _coordinates(network, fast, coordinate, shares, ways)
    manifold, said = _manifold(network, fast, method, ways)
    if order:
        manifold, correction = _corrected(network, manifold)
        said.append(correction)
    model = ReducedModel(network, manifold, rows, assumptions=[*said, *remark])
    model.assumptions.append(_speed(model, initial, times))
    return model


def _scales(network, fast, initial, times) -> tuple[TimeScales | None, tuple[str, ...]]:
    """Return the time scales of the run, if there is one, and the fast species."""
    if isinstance(fast, TimeScales):
        if not fast.fast:
            raise ReductionError(f"no fast species: {fast.notes[0]}")
        return fast, fast.fast
    run = initial is not None and times is not None
    if fast is not None:
        check_fast(network, fast)
        fast = tuple(name for name in network.species if name in fast)
        free = len(fast) - len(inner_laws(network, fast))
        freedom = np.linalg.matrix_rank(network.stoichiometry)
        fits = run and 1 <= free < freedom
        return time_scales(network, initial, times, modes=free) if fits else None, fast
    if not run:
        raise ReductionError(
            "which species are fast? Name them, fast=['C'], or give initial=... and times=... "
            "so that the time scales of that run say it"
        )
    scales = time_scales(network, initial, times)
    if not scales.fast:
        raise ReductionError(
            "no fast species: there is no gap between the time scales of this run; "
            "name the species, fast=[...], to reduce nevertheless"
        )
    return scales, scales.fast


def _coordinates(network, fast, coordinate: str, shares, ways: Sequence[Direction]):
    """Return L, or the name of one, and what is to be said about it."""
    if coordinate == "species":
        return "species", []
    table = slow_coordinates(network, fast, shares)
    names = [network.reactions[j].equation for way in ways for j in way.senses]
    if (table.to_numpy() < 0).any() or (shares is None and not all(w.reversible for w in ways)):
        return "species", [
            "No totals of slow and fast species together were found that the fast reactions "
            f"{listing(names)} keep, so the slow species count alone."
        ]
    return table, [f"Fast reactions, which keep the slow coordinates: {listing(names)}."]


def _manifold(network, fast, method: str, ways: Sequence[Direction]):
    """Return g, by formulas where possible, and sentences on how it was found."""
    from .steady_state import FastEquations, NoClosedForm

    said = [f"Quasi-steady state: the rates of {listing(fast)} are zero."]
    if method == "partial equilibrium":
        _check_equilibria(network, ways)
        names = [network.reactions[min(way.senses)].equation for way in ways]
        said = [f"Partial equilibrium of {listing(names)}: as often forward as backward."]
    known = symbols(network, totals(network, fast))
    equations = FastEquations(network, fast, known, ways if method == _METHODS[1] else None)
    for name, law in equations.laws.items():
        text = law_text(list(law.values()), list(law))
        said.append(f"Conserved among fast species: {name} = {text}, from the start.")
    if len(equations.balances) + len(equations.laws) < len(fast):
        raise ReductionError(_undetermined(network, fast))
    try:
        roots = equations.solutions()
    except NoClosedForm as why:
        if str(why) == "undetermined":
            raise ReductionError(_undetermined(network, fast)) from None
        said.append("No closed form: the fast equations are solved numerically at every step.")
        return _numerical(network, fast, equations), said
    if not roots:
        raise ReductionError(
            f"the rates of {listing(fast)} cannot all be zero while the other species are there; "
            "choose fewer fast species"
        )
    physical = equations.physical(roots)
    if len(physical) != 1:
        said.append(
            f"Of {len(roots)} roots {len(physical)} are never negative: the one that is reached "
            "from the start is followed numerically."
        )
        return _numerical(network, fast, equations), said
    if len(roots) > 1:
        said.append(f"Of {len(roots)} roots the only one that is stable and never negative.")
    return physical[0], said


def _numerical(network, fast, equations) -> Implicit:
    weights = [[law.get(name, 0) for name in fast] for law in equations.laws.values()]
    return Implicit(network, fast, np.array(equations.relaxation, dtype=float), weights)


def _corrected(network, manifold):
    from .steady_state import first_order

    if isinstance(manifold, Implicit):
        raise ReductionError(
            "order=1 needs a slow manifold in closed form, and this one is numerical; "
            "use order=0: predicted_error(...) then applies the correction in numbers"
        )
    known = symbols(network, totals(network, list(manifold)))
    step = first_order(network, manifold, known, mass_action(network).equations)
    said = "First-order correction: the slow manifold moves with the flow."
    return {name: g + step[name] for name, g in manifold.items()}, said


def _speed(model: ReducedModel, initial, times) -> str:
    """Check that the fast species are fast, and say by how much."""
    if initial is None or model.network.free_parameters:
        return "Not checked that the fast species are fast: that takes initial and times."
    times = np.atleast_1d(np.asarray([0.0] if times is None else times, dtype=float))
    seen = np.unique(np.linspace(0, len(times) - 1, min(len(times), _CHECKED)).astype(int))
    ratio = model.speed_ratios(initial, times[seen]).values
    if np.median(ratio) < _LEAST:
        raise ReductionError(
            f"{listing(model.fast)} are not fast on this run: they relax only "
            f"{np.median(ratio):.2g} times as fast as the rest moves, and {_LEAST:g} is the least; "
            "see time_scales(network, initial, times)"
        )
    middle, least = (float(f"{value:.2g}") for value in (np.median(ratio), ratio.min()))
    where = f"on half the run, at least {least:g}" if len(ratio) > 1 else "at the start"
    return f"The fast species relax {middle:g} times as fast as the rest ({where})."


def _check_equilibria(network, ways: Sequence[Direction]) -> None:
    for way in ways:
        if not way.reversible:
            name = network.reactions[min(way.senses)].equation
            raise ReductionError(
                f"the fast reaction '{name}' has no reverse, so it has no equilibrium; "
                "use method='quasi-steady state'"
            )


def _check_choice(name: str, value, known: Sequence[str]) -> None:
    if value not in known:
        raise ReductionError(
            f"{name}={value!r} is unknown{closest(str(value), known)}; there are {listing(known)}"
        )


def _undetermined(network, fast) -> str:
    return (
        f"the fast species {listing(fast)} are not determined by the slow ones: their Jacobian is "
        "singular; leave out one of them"
    )
