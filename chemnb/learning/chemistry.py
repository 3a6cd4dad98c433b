"""What the chemistry knows about the coefficients: known terms, signs, conservation, reactions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Real

import numpy as np

from ..equations.symbolic import EquationError, mass_action
from ..networks.conservation import elementary_vectors, law_text, read_laws
from ..networks.expressions import closest, listing
from ..networks.network import ReactionNetwork
from .library import Library
from .monomials import Monomials, monomials
from .rate_map import RateMap, rate_map, sought_rates
from .unknowns import Pair, Unknowns


class ChemistryError(ValueError):
    """Knowledge that cannot be used or contradicts itself; the message says what and the fix."""


@dataclass(frozen=True)
class Chemistry:
    r"""What is known before the fit; `tie` makes it θ = V u + θ0 with nonnegative directions.

    Attributes
    ----------
    allowed, forbidden : mapping of equation -> list of terms, optional
        Terms that may, or may not, stand in an equation.
    known : mapping of equation -> {term: value}, optional
        Coefficients that are not fitted.
    nonnegative : True, mapping of equation -> list of terms, or None
        Coefficients that may not be below zero; with a network False lets rates be negative.
    conserved : str, list of str, or ReactionNetwork, optional
        Conservation laws L, such as ``["E + ES"]``: L θ = 0 exactly. An unknown is then a
        change that keeps all laws, at the rate of one term.
    network : ReactionNetwork, optional
        Candidate reactions: the unknowns are rate constants (Eq. 14), not below zero.
    mass_action : bool
        What a term consumes stands in it: a coefficient is below zero only before a term that
        vanishes with its species.
    """

    allowed: Mapping[str, Sequence[str]] | None = None
    forbidden: Mapping[str, Sequence[str]] | None = None
    known: Mapping[str, Mapping[str, float]] | None = None
    nonnegative: bool | Mapping[str, Sequence[str]] | None = None
    conserved: object = None
    network: ReactionNetwork | None = None
    mass_action: bool = False

    def check(self) -> None:
        """Raise `ChemistryError` where two options exclude each other."""
        if self.network is None:
            return
        if not isinstance(self.network, ReactionNetwork):
            raise ChemistryError(f"network={self.network!r}; give a ReactionNetwork of candidates")
        for option in ("allowed", "forbidden", "known", "conserved", "mass_action"):
            if getattr(self, option):
                raise ChemistryError(
                    f"{option}= and network= exclude each other: the reactions say which terms "
                    "there are; change the reactions instead"
                )
        if self.nonnegative not in (None, True, False):
            raise ChemistryError(
                f"nonnegative={self.nonnegative!r} with network=; rates are bounded all or none: "
                "True or False"
            )

    def library(self, names: Sequence[str]) -> Monomials:
        """Return the monomials of the network's equations, bound to the names of the data."""
        return network_library(self.rate_map(names), names)

    def tie(self, library: Library, dead: Collection[int] = ()) -> Unknowns:
        """Return how the coefficients hang on what is fitted, in the user's units.

        Parameters
        ----------
        library : Library
            Bound to the variables.
        dead : collection of int
            Terms that are zero in all data: nothing can be learned of them.

        Raises
        ------
        ChemistryError
            If an option names an unknown equation or term, options contradict each other, or
            nothing is left to learn.

        Examples
        --------
        Two coefficients that a conservation law makes one:

        >>> library = monomials(1).bind(["A", "B"])
        >>> tied = Chemistry(conserved="A + B", forbidden={"A": "B"}).tie(library)
        >>> tied.names, tied.pairs, tied.matrix.tolist()
        (('A - B by A',), ((0, 0), (1, 0)), [[1.0], [-1.0]])
        """
        self.check()
        if self.network is not None:
            return self._network(library, dead)
        fixed = self._fixed(library)
        if self.conserved is None:
            tied = self._free(library, fixed, dead)
        else:
            tied = self._conserving(library, fixed, dead)
        if not len(tied):
            raise ChemistryError(
                "no term is left to learn; allow at least one that is not always 0"
            )
        return tied

    # --- reactions ---------------------------------------------------------------------------

    def rate_map(self, names: Sequence[str]) -> RateMap:
        """Return Eq. 14 for the variables of the data: concentrations, or moments of counts.

        Raises
        ------
        ChemistryError
            If the network has no such equations, or other species than the data.
        """
        network, species = self.network, self.network.species
        try:
            if any(name not in species and "(" in name for name in names):
                rates, what = rate_map(network, order=2), "moment"
            else:
                rates, what = sought_rates(mass_action(network)), "species"
        except EquationError as error:
            raise ChemistryError(f"network=: {error}") from None
        labels = rates.equations.labels
        for name in names:
            if name not in labels:
                raise ChemistryError(
                    f"the data have '{name}', which is no {what} of the network"
                    f"{closest(name, labels)}; there are {listing(labels)}"
                )
        if what == "species" and (missing := [name for name in species if name not in names]):
            raise ChemistryError(
                f"the network has {listing(missing)}, which the data have not; measure it, name "
                "it in hidden=, or leave its reactions out"
            )
        return rates

    def _network(self, library: Library, dead: Collection[int]) -> Unknowns:
        rates = self.rate_map(library.names)
        pairs, matrix, offset = network_coefficients(rates, library)
        live = np.array([term not in dead for _, term in pairs], dtype=bool)
        # a reaction that never runs in these data cannot be learned from them
        runs = np.flatnonzero((matrix[live] != 0).any(axis=0))
        if not len(runs):
            raise ChemistryError("no reaction of the network runs in these data")
        bounds = rates.reactions[:, runs] * (self.nonnegative is not False)
        names = [rates.unknowns[i] for i in runs]
        return Unknowns(
            tuple(pairs), matrix[:, runs], offset, bounds[bounds.any(axis=1)], tuple(names)
        )

    # --- terms -------------------------------------------------------------------------------

    def _fixed(self, library: Library) -> dict[Pair, float]:
        """Return the coefficients that are not fitted: known values, and zeros."""
        fixed = {pair: 0.0 for pair in read_pairs(self.forbidden, library, "forbidden")}
        if self.allowed is not None:
            allowed = read_pairs(self.allowed, library, "allowed")
            for row, name in enumerate(library.names):
                if name in self.allowed:
                    everything = {(row, term) for term in range(len(library))}
                    fixed |= dict.fromkeys(everything - allowed, 0.0)
        for pair in read_pairs(self.known, library, "known"):
            row, term = library.names[pair[0]], library.labels[pair[1]]
            value = self.known[row][term]
            if not isinstance(value, (Real, np.number)) or not np.isfinite(value):
                raise ChemistryError(f"known['{row}']['{term}'] is {value!r}; give a finite number")
            if pair in fixed and value != 0:
                raise ChemistryError(f"'{term}' in the equation of '{row}' is known and forbidden")
            fixed[pair] = float(value)
        return fixed

    def _bounded(self, library: Library) -> set[Pair]:
        """Return the pairs whose coefficient may not be below zero."""
        everything = {(r, t) for r in range(len(library.names)) for t in range(len(library))}
        if self.nonnegative is True:
            return everything
        bounded = read_pairs(self.nonnegative or None, library, "nonnegative")
        if self.mass_action:
            inside = vanishing(library)
            bounded |= {(row, term) for row, term in everything if not inside[term, row]}
        return bounded

    def _free(self, library, fixed, dead) -> Unknowns:
        """One unknown a coefficient."""
        bounded = self._bounded(library)
        pairs = [
            (row, term)
            for row in range(len(library.names))
            for term in range(len(library))
            if fixed.get((row, term), 1.0) and ((row, term) in fixed or term not in dead)
        ]
        learned = [i for i, pair in enumerate(pairs) if pair not in fixed]
        columns = np.eye(len(pairs))[:, learned]
        rows = [i for i in learned if pairs[i] in bounded]
        names = [_name(library, pairs[i]) for i in learned]
        offset = np.array([fixed.get(pair, 0.0) for pair in pairs])
        return Unknowns(tuple(pairs), columns, offset, columns[rows], tuple(names))

    def _conserving(self, library, fixed, dead) -> Unknowns:
        """One unknown a term and a change of fewest species that keeps the laws."""
        laws, inside = read_laws(self.conserved, library.names), vanishing(library)
        columns, offsets, names, signed = [], {}, [], []
        for term, label in enumerate(library.labels):
            held = {
                row: fixed[row, term] for row in range(len(library.names)) if (row, term) in fixed
            }
            offsets[term] = self._balanced(laws, held, library, label)
            if term in dead:
                continue
            for change in _changes(laws, tuple(sorted(held))):
                ways = [np.array(change), -np.array(change)]
                if self.mass_action:
                    ways = [way for way in ways if inside[term][way < 0].all()]
                for way in ways[:1]:
                    columns.append((term, way))
                    names.append(f"{law_text(way.tolist(), library.names)} by {label}")
                    signed.append(self.mass_action and len(ways) == 1)
        pairs = sorted(
            {(int(row), term) for term, way in columns for row in np.flatnonzero(way)}
            | {(int(row), term) for term, way in offsets.items() for row in np.flatnonzero(way)}
        )
        place = {pair: i for i, pair in enumerate(pairs)}
        matrix = np.zeros((len(pairs), len(columns)))
        for j, (term, way) in enumerate(columns):
            for row in np.flatnonzero(way):
                matrix[place[int(row), term], j] = way[row]
        offset = np.array([offsets[term][row] for row, term in pairs])
        bounded = self._bounded(library) if self.nonnegative else set()
        rows = matrix[[place[pair] for pair in pairs if pair in bounded]]
        bounds = np.vstack([np.eye(len(columns))[signed], rows[rows.any(axis=1)]])
        return Unknowns(tuple(pairs), matrix, offset, bounds, tuple(names))

    def _balanced(self, laws, held: Mapping[int, float], library, label) -> np.ndarray:
        """Return coefficients of one term that keep the laws, with the known ones among them."""
        from scipy.linalg import qr

        result = np.zeros(len(library.names))
        result[list(held)] = list(held.values())
        missing = -laws @ result
        if not missing.any():
            return result
        others = [row for row in range(len(library.names)) if row not in held]
        part = laws[:, others].astype(float)
        if others:
            # of all ways to balance it, one with few species
            picks = qr(part, mode="r", pivoting=True)[1][: np.linalg.matrix_rank(part)]
            chosen = [others[pick] for pick in picks]
            result[chosen] = np.linalg.lstsq(laws[:, chosen].astype(float), missing, rcond=None)[0]
        left = laws @ result
        if np.abs(left).max() > 1e-9 * np.abs(missing).max():
            law = law_text(laws[int(np.argmax(np.abs(left)))].tolist(), library.names)
            raise ChemistryError(
                f"the known and forbidden coefficients of '{label}' break the conservation of "
                f"'{law}': allow another species of it to balance them"
            )
        return result


OPTIONS = tuple(field.name for field in fields(Chemistry))


def network_library(rates: RateMap, names: Sequence[str]) -> Monomials:
    """Return the monomials that the equations of a network need, bound to ``names``."""
    powers = [sum(factors.values()) for _, factors in rates.system.terms]
    return monomials(max(1, *powers), constant=0 in powers).bind(names)


def network_coefficients(
    rates: RateMap, library: Library
) -> tuple[list[Pair], np.ndarray, np.ndarray]:
    """Return pairs, V and θ0 of a network's equations in terms of a library.

    Raises
    ------
    ChemistryError
        If a term of the equations is not in the library.

    Examples
    --------
    >>> exchange = ReactionNetwork("A <-> B ; k1, k2")
    >>> pairs, matrix, _ = network_coefficients(
    ...     sought_rates(mass_action(exchange)), monomials(1).bind(["A", "B"]))
    >>> pairs, matrix.astype(int).tolist()
    ([(0, 0), (0, 1), (1, 0), (1, 1)], [[-1, 0], [0, 1], [1, 0], [0, -1]])
    """
    labels = list(rates.equations.labels)
    place = [library.names.index(label) if label in library.names else None for label in labels]
    known = {
        tuple(term): number
        for number, term in enumerate(library.terms if isinstance(library, Monomials) else ())
    }
    rows: dict[Pair, int] = {}
    for t, (row, factors) in enumerate(rates.system.terms):
        if place[row] is None:
            continue  # the data have no such moment: its equation is not needed
        powers = [0] * len(library.names)
        for variable, power in factors.items():
            if place[variable] is None:
                raise ChemistryError(
                    f"the equation of '{labels[row]}' needs '{labels[variable]}', which the data "
                    "have not"
                )
            powers[place[variable]] = power
        if tuple(powers) not in known:
            term = rates.labels[t][1]
            raise ChemistryError(
                f"the network's equations have the term '{term}', which {library!r} has not; "
                "leave the library out, or use monomials of a higher degree"
            )
        rows[place[row], known[tuple(powers)]] = t
    pairs = sorted(rows)
    picks = [rows[pair] for pair in pairs]
    return pairs, rates.matrix[picks], rates.offset[picks]


def vanishing(library: Library) -> np.ndarray:
    """Return whether each term is zero wherever a variable is: bool (terms, D).

    Examples
    --------
    >>> vanishing(monomials(2).bind(["A", "B"])).astype(int).tolist()
    [[1, 0], [0, 1], [1, 0], [1, 1], [0, 1]]
    """
    states = np.random.default_rng(0).uniform(0.5, 2.0, (5, len(library.names)))
    result = np.zeros((len(library), len(library.names)), dtype=bool)
    for column in range(len(library.names)):
        absent = states.copy()
        absent[:, column] = 0.0
        with np.errstate(all="ignore"):
            result[:, column] = (library.evaluate(absent) == 0).all(axis=0)
    return result


def read_pairs(choice, library: Library, option: str) -> set[Pair]:
    """Return the pairs (equation, term) that a mapping of equation -> terms names.

    Raises
    ------
    ChemistryError
        If it is no such mapping, or an equation or term is unknown.
    """
    if choice is None:
        return set()
    if not isinstance(choice, Mapping):
        raise ChemistryError(
            f"{option}={choice!r}; it must map equations to lists of terms: {{'A': ['B']}}"
        )
    if option == "known" and not all(isinstance(terms, Mapping) for terms in choice.values()):
        raise ChemistryError(
            f"known={choice!r}; it must map equations to terms with values: {{'A': {{'A': -0.5}}}}"
        )
    result = set()
    for name, terms in choice.items():
        if name not in library.names:
            raise ChemistryError(
                f"{option} names the equation '{name}'{closest(name, library.names)}; "
                f"there are {listing(library.names)}"
            )
        for term in [terms] if isinstance(terms, str) else terms:
            if term not in library.labels:
                raise ChemistryError(
                    f"{option}['{name}'] names the term '{term}'"
                    f"{closest(term, library.labels)}; there are {listing(library.labels)}"
                )
            result.add((library.names.index(name), library.labels.index(term)))
    return result


def _changes(laws: np.ndarray, held: tuple[int, ...]) -> list[list[int]]:
    """Return the elementary changes of the species whose coefficients are not held."""
    others = [row for row in range(laws.shape[1]) if row not in held]
    if not others:
        return []
    result = []
    for vector in elementary_vectors(laws[:, others]):
        change = [0] * laws.shape[1]
        for row, value in zip(others, vector, strict=True):
            change[row] = value
        result.append(change)
    return result


def _name(library: Library, pair: Pair) -> str:
    return f"{library.names[pair[0]]}: {library.labels[pair[1]]}"
