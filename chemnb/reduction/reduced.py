"""Reduced models: slow species that move, fast species that follow them (Eqs. 10, 16 and 18)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from ..equations.dynamics import integrate
from ..equations.symbolic import mass_action
from ..networks.expressions import listing
from ..networks.fluxes import Fluxes
from ..networks.network import ReactionNetwork
from ..networks.slow_coordinates import inner_laws, slow_coordinates, totals
from .manifold import ClosedForm, Implicit, ReductionError
from .reduction_input import check_fast, read_coordinates, read_manifold, read_times, symbols
from .slow_flow import SlowFlow, solve

_LONGEST = 120  # operations in a formula that is shown


class ReducedModel:
    r"""A network whose fast species are functions of its slow ones, :math:`c_F = g(c_s)`.

    The slow coordinates :math:`x = L c` are combinations that the fast reactions leave alone.
    On the manifold they are functions of the slow species, :math:`x = X(c_s)`, so that

    .. math:: \frac{dc_s}{dt} = \left(\frac{dX}{dc_s}\right)^{-1} L\, U \varphi(c_s, g(c_s)):

    no equation is solved at any step. `chemnb.reduce` derives the manifold; a learned one
    (Eq. 16) runs through the same object.

    Parameters
    ----------
    network : ReactionNetwork
        The full network. Rate constants may be free as long as nothing is computed.
    manifold : mapping of fast species -> SymPy expression
        g: formulas in symbols named like the slow species, the rate constants and the conserved
        totals (``G_T`` for G + GP + GP2, see `totals`). All other species are slow.
        A `chemnb.reduction.manifold.Implicit` instead is solved numerically.
    coordinates : {"total", "species"}, DataFrame or list of mapping of species -> weight
        L, one row a slow species. ``"total"``: what the fast reactions conserve, with whole
        weights (P + GP + 2 GP2 for Eq. 15), found from the stoichiometry. ``"species"``: the
        slow species themselves; their equations are then those of the full network with g put
        in, which is Eq. 18 for the exact g and Eq. 16 as printed, underlined terms kept, for a
        learned one. A table (coordinates x species), as `chemnb.networks.slow_coordinates` gives it, or a
        list of mappings sets L itself.
    prefactor : bool
        Whether fast species count in the coordinates. False takes x for the slow species, which
        leaves out :math:`dX/dc_s` and, in Eq. 16, the underlined terms.
    assumptions : sequence of str, optional
        Sentences on how g was found; those on coordinates are added.

    Attributes
    ----------
    network : ReactionNetwork
    fast, slow : tuple of str
    manifold : dict of fast species -> SymPy expression, or None where it is numerical
    coordinates : DataFrame, coordinates x species
    totals : dict of name -> dict of species -> int
        The conserved totals that occur in the manifold. Their values come from the start.
    symbols : dict of str -> SymPy symbol
        Of every species and total.
    assumptions : list of str

    Raises
    ------
    ReductionError
        If no species is fast or all are, a name is unknown, or L does not fit.

    Examples
    --------
    >>> import sympy
    >>> enzyme = ReactionNetwork(
    ...     "S + E <-> C ; k1, km1 \n C -> E + P ; k2", k1=10.0, km1=1.9, k2=0.1
    ... )
    >>> S, E_T = sympy.symbols("S E_T")
    >>> C = E_T * S / (0.2 + S)
    >>> model = ReducedModel(enzyme, {"E": E_T - C, "C": C})
    >>> model
    ReducedModel(fast: E, C; slow: S, P; coordinates: S + C, P)
    >>> model.project({"S": 1.0, "E": 1.0}).values.round(4)  # S + C = 1 and E + C = 1 are kept
    array([0.3583, 0.3583, 0.6417, 0.    ])
    >>> model.integrate({"S": 1.0, "E": 1.0}, [0, 10]).sel(species="P").values.round(3)
    array([0.   , 0.507])
    """

    def __init__(
        self,
        network: ReactionNetwork,
        manifold: Mapping | Implicit,
        coordinates="total",
        *,
        prefactor: bool = True,
        assumptions: Sequence[str] = (),
    ) -> None:
        self.network = network
        self.fast = tuple(manifold.fast if isinstance(manifold, Implicit) else manifold)
        check_fast(network, self.fast)
        self.slow = tuple(name for name in network.species if name not in self.fast)
        inner = totals(network, self.fast)
        self.symbols = symbols(network, inner)
        self._places = {
            name: [network.species.index(s) for s in group]
            for name, group in (("fast", self.fast), ("slow", self.slow))
        }
        self.coordinates = read_coordinates(network, self.fast, coordinates)
        self._rows = self.coordinates.to_numpy(float)
        self._counted = self._rows.copy()  # what X counts
        if not prefactor:
            self._counted[:, self._places["fast"]] = 0.0
        self._laws = inner_laws(network, self.fast).to_numpy(float)[:, self._places["fast"]]
        self._implicit = manifold if isinstance(manifold, Implicit) else None
        self.manifold = None if self._implicit else read_manifold(network, manifold, self.symbols)
        used = set() if self._implicit else {
            s.name for e in self.manifold.values() for s in e.free_symbols
        }  # fmt: skip
        self.totals = {n: w for n, w in inner.items() if self._implicit or n in used}
        self._weights = np.array(
            [[w.get(name, 0) for name in network.species] for w in self.totals.values()],
            dtype=float,
        ).reshape(-1, len(network.species))
        self.assumptions = [*assumptions, *self._say_coordinates()]

    # --- formulas --------------------------------------------------------------------------

    @cached_property
    def equations(self) -> dict:
        """Right-hand sides dc_s/dt (SymPy) with the manifold put in, by slow species.

        Raises
        ------
        ReductionError
            If the manifold is numerical.
        """
        import sympy

        if self.manifold is None:
            raise ReductionError(
                "this slow manifold has no closed form; integrate(...) solves it numerically"
            )
        put_in = {self.symbols[name]: g for name, g in self.manifold.items()}
        right = sympy.Matrix([e.xreplace(put_in) for e in self._coordinate_rates()])
        right = right.applyfunc(self._short)
        counted = sympy.Matrix(self._counted.astype(int).tolist())
        g = sympy.Matrix(list(self.manifold.values()))
        slopes = g.jacobian([self.symbols[name] for name in self.slow])
        fast, slow = self._places["fast"], self._places["slow"]
        matrix = counted[:, slow] + counted[:, fast] * slopes
        solved = matrix.LUsolve(right) if matrix != sympy.eye(len(right)) else right
        return {name: self._short(rhs) for name, rhs in zip(self.slow, solved, strict=True)}

    def to_latex(self) -> str:
        """Return the reduced equations and the manifold as one aligned LaTeX block."""
        from ..equations.typeset import aligned, latex

        rows = []
        if self._is_explicit():
            pairs = [(latex(self.symbols[name]), rhs) for name, rhs in self.equations.items()]
        else:
            lefts = [self._sum_latex(row) for row in self._counted]
            pairs = zip(lefts, self._coordinate_rates(), strict=True)
        for left, rate in pairs:
            rows.append((rf"\frac{{d}}{{dt}} {left}", _signed_terms(rate)))
        for name in self.fast:
            shown = r"\text{solved numerically}"
            if self.manifold is not None:
                shown = _shown(self.manifold[name])
            rows.append((latex(self.symbols[name]), [f"+ {shown}"]))
        return aligned(rows)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.to_latex()}$"

    def __repr__(self) -> str:
        shown = ", ".join(self.coordinates.index) if self._counts_fast else "slow species"
        return (
            f"ReducedModel(fast: {', '.join(self.fast)}; slow: {', '.join(self.slow)}; "
            f"coordinates: {shown})"
        )

    # --- numbers ---------------------------------------------------------------------------

    def project(self, initial):
        """Return the point of the manifold with the same slow coordinates and conserved totals.

        Parameters
        ----------
        initial : mapping or array_like
            Concentrations, as for `chemnb.integrate`.

        Returns
        -------
        xarray.DataArray (species)

        Raises
        ------
        ReductionError
            If no point of the manifold has them.
        """
        start, held = self._read_start(initial)
        point = self._flow.state(self._flow.project(start, held), held)
        return self._labelled([0.0], [point]).isel(time=0, drop=True)

    def integrate(self, initial, times, *, rtol: float = 1e-8, atol: float = 1e-12):
        """Project a start onto the manifold and solve the reduced equations.

        Parameters
        ----------
        initial : mapping or array_like
        times : sequence of float
            Zero or more, increasing; the start is at t = 0.

        Returns
        -------
        xarray.DataArray (time, species)
            All species of the network, in its order.
        """
        start, held = self._read_start(initial)
        times = read_times(times)
        flow, slow = self._flow, self._flow.project(start, held)
        path = solve(lambda _, c: flow.rates(c, held), slow, times, rtol, atol)
        return self._labelled(times, [flow.state(c, held) for c in path])

    def predicted_error(self, initial, times):
        """Estimate the error of `integrate` in per cent, without solving the full network.

        The first-order correction of the manifold (`chemnb.reduction.slow_flow.SlowFlow.corrected`) gives
        the distance of the fast species. The slow species are integrated on the corrected manifold
        from the start with the same totals, so that the share that is bound counts. The initial
        layer, in which the true state is on no slow manifold yet, is not included.

        Returns
        -------
        xarray.DataArray (time, species)
            100 (reduced / corrected - 1); NaN where the concentration is zero.
        """
        start, held = self._read_start(initial)
        times = read_times(times)
        rows = self._rows
        if not self._counts_fast:
            rows = slow_coordinates(self.network, self.fast).to_numpy(float)
        corrected = self._labelled(times, self._flow.corrected_path(start, held, rows, times))
        return _deviation(self.integrate(initial, times), corrected)

    def compare(self, initial, times):
        """Return how far the reduced model is from the full network, in per cent.

        Returns
        -------
        xarray.DataArray (time, species)
            100 (reduced / full - 1); NaN where the concentration is zero.
        """
        full = integrate(self.network, initial, times, rtol=1e-10, atol=1e-14)
        return _deviation(self.integrate(initial, times), full)

    def speed_ratios(self, initial, times):
        """Return how many times faster the fast species relax than the slow ones move.

        Taken from the Jacobian where the full network runs, on the nearest point of the manifold
        with the same slow coordinates. Rates below one over the length of the run count as that.

        Returns
        -------
        xarray.DataArray (time)
            Zero where the manifold does not attract, or where it has no such point.
        """
        full = integrate(self.network, initial, times)
        length = np.ptp(full.time.values)
        ratios = []
        for state in np.maximum(full.values, 0.0):
            held = self._weights @ state
            try:
                across, along = self._flow.spectra(self._flow.project(state, held), held)
            except ReductionError:
                ratios.append(0.0)
                continue
            slowest = max(np.abs(along).max(initial=0.0), 1 / length if length else 1e-300)
            ratios.append(max(-across.real.max(), 0.0) / slowest)
        return full.isel(species=0, drop=True).copy(data=ratios).rename("speed ratio")

    # --- inside ----------------------------------------------------------------------------

    @cached_property
    def _flow(self) -> SlowFlow:
        g = self._implicit
        if g is None:
            slow = [self.symbols[name] for name in self.slow]
            held = [self.symbols[name] for name in self.totals]
            g = ClosedForm(slow, held, self.manifold, self.network.parameters)
        return SlowFlow(
            Fluxes(self.network), g, self._places["fast"], self._places["slow"],
            self._rows, self._counted, self._laws,
        )  # fmt: skip

    @property
    def _counts_fast(self) -> bool:
        return bool(self._counted[:, self._places["fast"]].any())

    def _read_start(self, initial) -> tuple[np.ndarray, np.ndarray]:
        """Return a start as an array (species,) and the conserved totals in it."""
        start = integrate(self.network, initial, [0.0]).values[0]
        if self._implicit:
            self._implicit.start(start)
        return start, self._weights @ start

    def _labelled(self, times, states):
        import xarray as xr

        return xr.DataArray(
            np.array(states).reshape(len(times), -1),
            dims=("time", "species"),
            coords={"time": times, "species": list(self.network.species)},
            name="concentration",
            attrs={"units": "molecules per volume", "equation": "reduced model"},
        )

    def _coordinate_rates(self) -> list:
        """Return dx/dt = L U φ(c) of the full network (SymPy)."""
        import sympy

        rates = list(mass_action(self.network).equations.values())
        return [
            sympy.expand(sum(int(w) * r for w, r in zip(row, rates, strict=True)))
            for row in self._rows
        ]

    def _short(self, expression):
        """Return an exact formula simplified, and one with learned numbers as it is."""
        import sympy

        from .steady_state import simplified

        learned = any(g.has(sympy.Float) for g in self.manifold.values())
        return expression if learned else simplified(expression)

    def _is_explicit(self) -> bool:
        """Whether the equations are shown with the manifold put in, as Eq. 18 is."""
        import sympy

        exact = self.manifold and not any(g.has(sympy.Float) for g in self.manifold.values())
        return bool(exact) and not self._counts_fast

    def _sum_latex(self, weights) -> str:
        from ..equations.typeset import latex

        names = zip(weights.astype(int), self.network.species, strict=True)
        terms = [latex(int(w) * self.symbols[name]) for w, name in names if w]
        text = " + ".join(terms).replace("+ -", "-")
        return rf"\left({text}\right)" if len(terms) > 1 else text

    def _say_coordinates(self) -> list[str]:
        rows = listing(self.coordinates.index)
        if self._counts_fast:
            said = [f"Slow coordinates, in which fast species count: {rows}."]
        elif self._rows[:, self._places["fast"]].any():
            said = [
                f"Slow species are taken for {rows}: what is bound in fast ones is not counted."
            ]
        else:
            said = [f"Slow coordinates: the species {listing(self.slow)} alone."]
        laws = self.network.conservation_laws()
        inner = [
            law for law in inner_laws(self.network, self.fast).to_numpy(float) if self._keeps(law)
        ]
        kept = np.vstack([self._counted, *inner])
        rank = np.linalg.matrix_rank(kept)
        lost = [
            name
            for name, law in zip(laws.index, laws.to_numpy(float), strict=True)
            if np.linalg.matrix_rank(np.vstack([kept, law])) > rank
        ]
        return said + [f"The network conserves '{name}', this model does not." for name in lost]

    def _keeps(self, law: np.ndarray) -> bool:
        """Whether a law among fast species holds on the manifold; a learned one may break it."""
        if self._implicit or self.totals:
            return True
        weights = zip(law[self._places["fast"]], self.manifold.values(), strict=True)
        total = sum(weight * g for weight, g in weights)
        values = [
            total.subs({s: point for s in total.free_symbols}).evalf() for point in (0.7, 1.9)
        ]
        return abs(float(values[0] - values[1])) <= 1e-6 * max(abs(float(v)) for v in values)


def _signed_terms(expression) -> list[str]:
    import sympy

    from ..equations.typeset import latex

    terms = sorted(sympy.Add.make_args(expression), key=lambda t: t.could_extract_minus_sign())
    return [
        f"- {latex(-term)}" if term.could_extract_minus_sign() else f"+ {latex(term)}"
        for term in terms
    ]


def _shown(expression) -> str:
    """Return a formula as LaTeX, or how long it is."""
    import sympy

    from ..equations.typeset import latex

    size = int(sympy.count_ops(expression))
    if size <= _LONGEST:
        return latex(expression)
    return rf"\text{{a formula of {size} operations}}"


def _deviation(found, true):
    return (100 * (found / true.where(true != 0) - 1)).rename("deviation").assign_attrs(units="%")
