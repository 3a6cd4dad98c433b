"""Chemical reaction networks: species, stoichiometry and rate constants (Eqs. 3 and 5)."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import cached_property
from numbers import Integral

import numpy as np

from .binding import bind, column, order_species, positive, rate_of
from .conservation import law_text, left_null_space
from .expressions import ExpressionError, closest, listing
from .laws import TIME, VOLUME
from .reactions import NetworkError, Reaction, canonical, read_reactions

_LARGEST_COUNT = 2**53


class ReactionNetwork:
    r"""Reactions among species, with rate constants: where every other tool starts.

    The propensity of reaction j in state n is Eq. 5,
    :math:`\Phi_j = k_j V \prod_l V^{-\nu_{lj}} \binom{n_l}{\nu_{lj}}`: combinations of
    molecules, so that ``2 A -> B ; k`` has propensity k n(n-1)/(2V) and the macroscopic rate
    k c²/2. Many packages write k n(n-1)/V instead: halve their constant there.

    A rate that begins with ``law:`` is the propensity itself (events per time): a formula over
    the counts n of the species (not concentrations: write ``A/V`` for one), parameters, the
    time ``t`` and the volume ``V``, with the functions of `chemnb.networks.laws.RateLaw`. It counts as
    zero while a reactant is missing.

    Parameters
    ----------
    reactions : str or sequence of (str or Reaction)
        One reaction a line, ``reactants -> products ; rate``; ``<->`` takes two rates,
        ``; forward, backward``; ``0`` or ``∅`` is nothing; ``#`` starts a comment. A rate is a
        rate constant, or ``law: formula``.
    parameters, **rates : mapping or keywords, name -> number or None
        Values of the names in the rates. ``None`` leaves a name free (symbolic work, fitting);
        if no value is given at all, every name is free.
    volume : float
        Volume V of the vessel (in the unit in which bimolecular constants are given).
    species : sequence of str, optional
        Order of the species; default is the order of first appearance.

    Attributes
    ----------
    species : tuple of str
    reactions : tuple of Reaction
    parameters : dict of str -> float or None
    stoichiometry : ndarray of int, species x reactions
        U = ν' - ν of Eq. 3.
    reactants, products : ndarray of int, species x reactions
        ν and ν' of Eq. 3.

    Raises
    ------
    NetworkError
        If the text cannot be read, a name is unknown or used twice, a rate is negative or not
        finite, a coefficient is not a whole number, or there is no reaction.

    Examples
    --------
    >>> skin = ReactionNetwork('''
    ...     A -> 2 A    ; r1*lam
    ...     A -> A + B  ; (1 - r1 - r2)*lam
    ...     A -> 2 B    ; r2*lam
    ...     B -> 0      ; Gamma
    ... ''', r1=0.0836, r2=0.0764, lam=1.1, Gamma=0.31)
    >>> skin
    ReactionNetwork(2 species, 4 reactions: A, B)
    >>> skin.stoichiometry
    array([[ 1,  0, -1,  0],
           [ 0,  1,  2, -1]])
    >>> skin.propensities({"A": 10, "B": 0}).round(4)
    array([0.9196, 9.24  , 0.8404, 0.    ])

    A gene that its own product represses, with a Hill function as rate law:

    >>> gene = ReactionNetwork('''
    ...     0 -> P ; law: beta*K**2/(K**2 + P**2)
    ...     P -> 0 ; gamma
    ... ''', beta=20, K=10, gamma=1)
    >>> gene.propensities({"P": 10})
    array([10., 10.])
    """

    def __init__(
        self,
        reactions: str | Sequence[str | Reaction],
        parameters: Mapping[str, float | None] | None = None,
        *,
        volume: float = 1.0,
        species: Sequence[str] | None = None,
        **rates: float | None,
    ) -> None:
        lines = read_reactions(reactions)
        if not lines:
            raise NetworkError("no reaction given; write for example 'A -> B ; k'")
        self.reactions = tuple(reaction for _, reaction in lines)
        self.species = order_species(self.reactions, species)
        self.volume = positive(volume, "volume")
        given = dict(parameters or {})
        if twice := sorted(set(given) & set(rates)):
            raise NetworkError(
                f"{listing(twice)} is given in parameters and as a keyword; give it once"
            )
        self.parameters = bind(lines, self.species, given | rates)
        self._check_rates(lines)

    @classmethod
    def from_arrays(
        cls,
        reactants,
        products,
        rate_constants: Sequence[float | str],
        species: Sequence[str] | None = None,
        *,
        volume: float = 1.0,
        **parameters: float | None,
    ) -> ReactionNetwork:
        """Build a network from the coefficient matrices ν and ν' of Eq. 3.

        Parameters
        ----------
        reactants, products : array_like of int, species x reactions
        rate_constants : sequence of number or str, one a reaction
        species : sequence of str, optional
            Names; default ``S1, S2, ...``.

        Examples
        --------
        >>> net = ReactionNetwork.from_arrays([[2], [0]], [[0], [1]], [0.5], ["A", "B"])
        >>> print(net)
        2 A -> B ; 0.5
        """
        before, after = np.atleast_2d(reactants), np.atleast_2d(products)
        rate_constants = list(rate_constants)
        if before.shape != after.shape or before.shape[1] != len(rate_constants):
            raise NetworkError(
                f"reactants {before.shape}, products {after.shape} and {len(rate_constants)} rate "
                "constants disagree; both matrices are species x reactions"
            )
        names = order_species((), species or [f"S{i + 1}" for i in range(len(before))])
        if len(names) != len(before):
            raise NetworkError(f"{len(names)} species names for {len(before)} rows")
        reactions = [
            Reaction(
                column(before, names, j),
                column(after, names, j),
                rate_of(rate, f"reaction {j + 1}"),
            )
            for j, rate in enumerate(rate_constants)
        ]
        return cls(reactions, parameters, volume=volume, species=names)

    # --- numbers -------------------------------------------------------------------------

    @cached_property
    def reactants(self) -> np.ndarray:
        """Reactant coefficients ν (species x reactions)."""
        return self._matrix("reactants")

    @cached_property
    def products(self) -> np.ndarray:
        """Product coefficients ν' (species x reactions)."""
        return self._matrix("products")

    @cached_property
    def stoichiometry(self) -> np.ndarray:
        """Stoichiometric matrix U = ν' - ν (species x reactions)."""
        return self.products - self.reactants

    @property
    def free_parameters(self) -> tuple[str, ...]:
        """Names in the rates that have no value yet."""
        return tuple(name for name, value in self.parameters.items() if value is None)

    def rate_constants(self) -> np.ndarray:
        """Return k_j of every reaction (1/time, with volume to the power of order - 1).

        It is 1 for a reaction with a rate law: the factor before its law.

        Raises
        ------
        NetworkError
            If a name has no value.
        """
        if self.free_parameters:
            raise NetworkError(
                f"{listing(self.free_parameters)} has no value; "
                f"give it with network.with_parameters({self.free_parameters[0]}=...)"
            )
        return np.array(
            [r.rate.evaluate(self.parameters) if r.is_mass_action else 1.0 for r in self.reactions]
        )

    @property
    def is_mass_action(self) -> bool:
        """Whether every reaction has a rate constant, none a rate law."""
        return all(reaction.is_mass_action for reaction in self.reactions)

    @property
    def is_time_dependent(self) -> bool:
        """Whether a rate law depends on the time ``t``."""
        return any(not r.is_mass_action and TIME in r.rate.names for r in self.reactions)

    def propensities(
        self, state, rate_constants: Sequence[float] | None = None, *, time: float | None = None
    ) -> np.ndarray:
        """Return Φ_j(n), the probability per time of each reaction (Eq. 5).

        Parameters
        ----------
        state : mapping of species -> count, or array_like of shape (..., species)
        rate_constants : sequence of float, optional
            One k a reaction instead of the network's own (a factor before a rate law).
        time : float, optional
            Needed if a rate law depends on ``t``.

        Returns
        -------
        ndarray of shape (..., reactions)
            Zero where a reactant is missing.

        Raises
        ------
        NetworkError
            If a rate law is negative or no number in one of the states.
        """
        n = self.counts(state).astype(float)
        k = self.rate_constants() if rate_constants is None else np.asarray(rate_constants, float)
        if k.shape != (len(self.reactions),):
            raise NetworkError(
                f"rate_constants of shape {k.shape} for {len(self.reactions)} reactions; "
                "give one number a reaction"
            )
        result = np.empty((*n.shape[:-1], len(self.reactions)))
        for j, reaction in enumerate(self.reactions):
            if not reaction.is_mass_action:
                result[..., j] = k[j] * self._law_values(j, n, time)
                continue
            value = np.full(n.shape[:-1], k[j] * self.volume)
            for name, order in reaction.reactants:
                counts = n[..., self.species.index(name)]
                for i in range(order):
                    # C(n, v) as a falling factorial: exactly zero below the order
                    value = value * np.maximum(counts - i, 0) / ((i + 1) * self.volume)
            result[..., j] = value
        return result

    def counts(self, state) -> np.ndarray:
        """Return a state as an integer array in the order of ``species``.

        Species that a mapping leaves out are zero.

        Raises
        ------
        NetworkError
            If a species is unknown, or a count is negative or not a whole number.
        """
        if isinstance(state, Mapping):
            if unknown := [name for name in state if name not in self.species]:
                raise NetworkError(
                    f"{listing(unknown)} is not a species of this network; "
                    f"its species are {listing(self.species)}{closest(unknown[0], self.species)}"
                )
            state = [state.get(name, 0) for name in self.species]
        n = np.asarray(state)
        if n.ndim == 0 or n.shape[-1] != len(self.species):
            raise NetworkError(
                f"a state of shape {n.shape} for {len(self.species)} species; "
                f"give one count for each of {listing(self.species)}"
            )
        if n.dtype.kind not in "iuf" or not np.all(n == np.floor(n)) or np.any(n < 0):
            raise NetworkError(f"counts must be whole numbers, zero or more; got {state}")
        if np.any(n > _LARGEST_COUNT):
            raise NetworkError(
                f"counts must be at most 2^53, where floats stop being exact; got {state}"
            )
        return n.astype(np.int64)

    def conservation_laws(self):
        """Return what no reaction changes: integer combinations of counts (left null space).

        Returns
        -------
        pandas.DataFrame, laws x species
            Nonnegative laws where there are enough of them; each row is labelled as text.

        Examples
        --------
        >>> ReactionNetwork("S + E <-> C ; a, b \\n C -> E + P ; c").conservation_laws()
                   S  E  C  P
        E + C      0  1  1  0
        S + C + P  1  0  1  1
        """
        import pandas as pd

        laws = left_null_space(self.stoichiometry)
        labels = [law_text(law, self.species) for law in laws]
        return pd.DataFrame(
            np.array(laws, dtype=int).reshape(-1, len(self.species)),
            index=labels,
            columns=list(self.species),
        )

    # --- new networks from old -------------------------------------------------------------

    def with_parameters(
        self, parameters: Mapping[str, float | None] | None = None, **rates: float | None
    ) -> ReactionNetwork:
        """Return the network with other values; names not given keep theirs."""
        changes = dict(parameters or {}) | rates
        return self._replace(parameters=self.parameters | changes)

    def with_volume(self, volume: float) -> ReactionNetwork:
        """Return the network in another volume V."""
        return self._replace(volume=volume)

    def with_reactions(
        self, reactions: str | Sequence[str | Reaction], **rates: float | None
    ) -> ReactionNetwork:
        """Return the network with reactions added; new names without a value are free.

        ``network + "A -> 0 ; k1"`` is the short form.
        """
        added = [reaction for _, reaction in read_reactions(reactions)]
        if not added:
            raise NetworkError("no reaction to add; write for example network + 'A -> 0 ; k1'")
        species = {*self.species, *(name for r in added for name in r.species)}
        names = [n for r in added for n in r.parameter_names(species)]
        new = {n: None for n in names if n not in self.parameters}
        parameters = self.parameters | new | rates
        return self._replace(reactions=[*self.reactions, *added], parameters=parameters)

    def without_reactions(self, *reactions: str | int | Reaction) -> ReactionNetwork:
        """Return the network without some reactions, named by text or index.

        Names and species that no other reaction uses go too.

        Examples
        --------
        >>> print(ReactionNetwork("A -> B ; k \\n B -> A ; h").without_reactions("B -> A"))
        A -> B ; k
        """
        drop = {self._index(reaction) for reaction in reactions}
        kept = [r for j, r in enumerate(self.reactions) if j not in drop]
        if not kept:
            raise NetworkError("that removes every reaction; a network needs at least one")
        used = {name for r in kept for name in r.rate.names}
        laws = {name for r in kept if not r.is_mass_action for name in r.rate.names}
        species = {name for r in kept for name in r.species} | laws
        return self._replace(
            reactions=kept,
            parameters={k: v for k, v in self.parameters.items() if k in used},
            species=[s for s in self.species if s in species],
        )

    def __add__(self, reactions: str | Reaction) -> ReactionNetwork:
        return self.with_reactions([reactions] if isinstance(reactions, Reaction) else reactions)

    def __sub__(self, reaction: str | int | Reaction) -> ReactionNetwork:
        return self.without_reactions(reaction)

    # --- display ---------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReactionNetwork) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __str__(self) -> str:
        return "\n".join(str(reaction) for reaction in self.reactions)

    def __repr__(self) -> str:
        shown = ", ".join(self.species[:8]) + (", ..." if len(self.species) > 8 else "")
        counts = f"{len(self.species)} species, {len(self.reactions)} reactions"
        volume = f", volume {self.volume:g}" if self.volume != 1 else ""
        return f"ReactionNetwork({counts}: {shown}{volume})"

    def to_latex(self) -> str:
        """Return the reactions as one aligned LaTeX block."""
        rows = [r.to_latex().replace(r" \xrightarrow", r" &\xrightarrow") for r in self.reactions]
        return r"\begin{aligned}" + r" \\ ".join(rows) + r"\end{aligned}"

    def table(self):
        """Return the reactions as a pandas table: equation, rate constant or law, value.

        The value is nan where a parameter is free, and for a rate law.
        """
        import pandas as pd

        free = set(self.free_parameters)
        values = [
            r.rate.evaluate(self.parameters)
            if r.is_mass_action and not free & set(r.rate.names)
            else np.nan
            for r in self.reactions
        ]
        return pd.DataFrame(
            {
                "reaction": [r.equation for r in self.reactions],
                "rate constant": [str(r.rate) for r in self.reactions],
                "value": values,
            },
            index=range(1, len(self.reactions) + 1),
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{j}</td><td style='text-align:left'>${r.to_latex()}$</td>"
            f"<td>{f'{value:.6g}' if value == value else 'free' if r.is_mass_action else 'law'}"
            "</td></tr>"
            for j, (r, value) in enumerate(
                zip(self.reactions, self.table()["value"], strict=True), start=1
            )
        )
        head = "<tr><th></th><th style='text-align:left'>reaction</th><th>rate constant</th></tr>"
        return f"<table>{head}{rows}</table><p>{html.escape(repr(self))}</p>"

    # --- inside ----------------------------------------------------------------------------

    def _key(self):
        return self.reactions, self.species, tuple(sorted(self.parameters.items())), self.volume

    def _replace(self, **changes) -> ReactionNetwork:
        fields = {
            "reactions": self.reactions,
            "parameters": self.parameters,
            "volume": self.volume,
            "species": None if "reactions" in changes else self.species,
        } | changes
        if fields["species"] is None:
            named = [s for r in fields["reactions"] for s in r.species]
            fields["species"] = list(dict.fromkeys([*self.species, *named]))
        return ReactionNetwork(
            fields["reactions"],
            fields["parameters"],
            volume=fields["volume"],
            species=fields["species"],
        )

    def _matrix(self, side: str) -> np.ndarray:
        matrix = np.zeros((len(self.species), len(self.reactions)), dtype=np.int64)
        for j, reaction in enumerate(self.reactions):
            for name, count in getattr(reaction, side):
                matrix[self.species.index(name), j] = count
        return matrix

    def _index(self, reaction: str | int | Reaction) -> int:
        if isinstance(reaction, Integral):
            if not 0 <= reaction < len(self.reactions):
                raise NetworkError(
                    f"no reaction {reaction}; they run from 0 to {len(self.reactions) - 1}"
                )
            return int(reaction)
        wanted = canonical(str(reaction).split(";")[0])
        for j, own in enumerate(self.reactions):
            if canonical(own.equation) == wanted:
                return j
        known = [own.equation for own in self.reactions]
        raise NetworkError(
            f"no reaction '{reaction}' in this network{closest(str(reaction), known)}; "
            f"it has {listing(known)}"
        )

    def _law_values(self, j: int, n: np.ndarray, time: float | None) -> np.ndarray:
        reaction = self.reactions[j]
        if TIME in reaction.rate.names and time is None:
            raise NetworkError(
                f"the rate law of '{reaction}' depends on the time t; give it, time=0.0"
            )
        own = reaction.parameter_names(self.species)
        if free := [name for name in own if self.parameters[name] is None]:
            raise NetworkError(
                f"{listing(free)} has no value; give it with network.with_parameters({free[0]}=...)"
            )
        names = self.parameters | {TIME: time, VOLUME: self.volume}
        names |= {name: n[..., i] for i, name in enumerate(self.species)}
        value = np.broadcast_to(reaction.rate.values(names), n.shape[:-1])
        value = np.where(np.all(n >= self.reactants[:, j], axis=-1), value, 0.0)
        if not np.all(good := np.isfinite(value) & (value >= 0)):
            place = tuple(np.argwhere(~good)[0])
            state = dict(zip(self.species, n[place].astype(int).tolist(), strict=True))
            raise NetworkError(
                f"the rate law of '{reaction}' gives {value[place]:.6g} in the state {state}; "
                "a propensity is a finite number, zero or more"
            )
        return value

    def _check_rates(self, lines: list[tuple[str, Reaction]]) -> None:
        for where, reaction in lines:
            if not reaction.is_mass_action or any(
                self.parameters[name] is None for name in reaction.rate.names
            ):
                continue
            try:
                value = reaction.rate.evaluate(self.parameters)
            except ExpressionError as error:
                raise NetworkError(f"{where}: {error}") from None
            if value < 0:
                raise NetworkError(
                    f"{where}: the rate constant '{reaction.rate}' is {value:.6g}; "
                    "a rate constant is zero or more"
                )
