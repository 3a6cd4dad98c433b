"""How propensities change with named rate parameters: dΦ/dθ."""

from __future__ import annotations

import numpy as np

from ..networks.expressions import closest, listing
from ..networks.laws import VOLUME
from ..networks.network import ReactionNetwork
from ..networks.reactions import NetworkError

_STEP = 1e-3  # relative; the error of the rule below is of fourth order in it


class PropensitySlopes:
    """Derivatives of propensities by parameters.

    Those of rate constants are exact (SymPy); rate laws are differentiated numerically, to about
    ten digits where they are smooth in the parameter.

    Parameters
    ----------
    network : ReactionNetwork
        With a value for every parameter.
    names : sequence of str
        P parameters.

    Attributes
    ----------
    constants : ndarray (P, M)
        dk/dθ of the reactions with a rate constant, 0 for those with a law.

    Raises
    ------
    NetworkError
        If a name is no parameter, or is given twice.

    Examples
    --------
    >>> net = ReactionNetwork("A -> 0 ; a*b \\n 0 -> A ; law: c/(1 + A)", a=2, b=3, c=1)
    >>> PropensitySlopes(net, ["a", "c"]).at(np.array([[5], [9]])).round(9)
    array([[[15.        ,  0.        ],
            [27.        ,  0.        ]],
    <BLANKLINE>
           [[ 0.        ,  0.16666667],
            [ 0.        ,  0.1       ]]])
    """

    def __init__(self, network: ReactionNetwork, names) -> None:
        self.network, self.names = network, tuple(names)
        known = tuple(network.parameters)
        if unknown := [name for name in self.names if name not in known]:
            raise NetworkError(
                f"{listing(unknown)} is not a parameter of this network; "
                f"its parameters are {listing(known) or 'none'}{closest(str(unknown[0]), known)}"
            )
        if len(set(self.names)) < len(self.names):
            raise NetworkError(f"{listing(self.names)}: name each parameter once")
        self.constants = np.array(
            [[self._constant(r, name) for r in network.reactions] for name in self.names]
        ).reshape(len(self.names), len(network.reactions))

    @property
    def active(self) -> np.ndarray:
        """Which reactions have a rate constant that depends on a parameter: bool (M,)."""
        return (self.constants != 0).any(axis=0)

    def at(self, states: np.ndarray) -> np.ndarray:
        """Return dΦ/dθ for states (n, N): ndarray (P, n, M)."""
        unit = np.ones(len(self.network.reactions))
        result = self.constants[:, None, :] * self.network.propensities(states, unit)
        for j, reaction in enumerate(self.network.reactions):
            if not reaction.is_mass_action:
                for p, name in enumerate(self.names):
                    if name in reaction.rate.names:
                        result[p, :, j] = self._law(j, name, states)
        return result

    def _constant(self, reaction, name: str) -> float:
        if not reaction.is_mass_action or name not in reaction.rate.names:
            return 0.0
        import sympy

        # a symbol, not its name, which SymPy may read as a function (gamma)
        slope = reaction.rate.to_sympy().diff(sympy.Symbol(name))
        return float(slope.subs({s: self.network.parameters[s.name] for s in slope.free_symbols}))

    def _law(self, j: int, name: str, states: np.ndarray) -> np.ndarray:
        network, rate = self.network, self.network.reactions[j].rate
        names = network.parameters | {VOLUME: network.volume}
        names |= {s: states[:, i].astype(float) for i, s in enumerate(network.species)}
        centre = network.parameters[name]
        h = _STEP * (abs(centre) or 1.0)

        def law(shift):
            return np.broadcast_to(rate.values(names | {name: centre + shift * h}), len(states))

        with np.errstate(invalid="ignore"):
            slope = (8 * (law(1) - law(-1)) - (law(2) - law(-2))) / (12 * h)
        slope = np.where(np.all(states >= network.reactants[:, j], axis=1), slope, 0.0)
        if not np.all(good := np.isfinite(slope)):
            state = dict(zip(network.species, states[np.argmin(good)].tolist(), strict=True))
            raise NetworkError(
                f"the rate law of '{network.reactions[j]}' has no derivative by {name!r} "
                f"in the state {state}"
            )
        return slope
