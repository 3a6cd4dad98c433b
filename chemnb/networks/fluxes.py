"""Macroscopic reaction rates φ(c) and their slopes, as numbers (below Eq. 8)."""

from __future__ import annotations

from math import factorial, prod

import numpy as np

from .network import ReactionNetwork


class Fluxes:
    r"""The rates :math:`\varphi_j(c) = k_j \prod_l c_l^{\nu_{lj}} / \nu_{lj}!` of a network.

    Parameters
    ----------
    network : ReactionNetwork
        All rate constants need values.

    Attributes
    ----------
    stoichiometry : ndarray (species, reactions)
        U, so that dc/dt = U φ(c).

    Raises
    ------
    NetworkError
        If a rate constant has no value.

    Examples
    --------
    >>> pair = Fluxes(ReactionNetwork("2 A <-> B ; k1, k2", k1=2.0, k2=1.0))
    >>> pair.values([3.0, 1.0])
    array([9., 1.])
    >>> pair.jacobian([3.0, 1.0])
    array([[-12.,   2.],
           [  6.,  -1.]])
    """

    def __init__(self, network: ReactionNetwork) -> None:
        orders = network.reactants
        self.stoichiometry = network.stoichiometry.astype(float)
        self._orders = orders.astype(float)
        multiplicity = [prod(map(factorial, column)) for column in orders.T.tolist()]
        self._k = network.rate_constants() / np.array(multiplicity, dtype=float)
        # d/dc_l lowers the order in l by one, and brings it down as a factor
        lowered = self._orders[:, None, :] - np.eye(len(orders))[:, :, None]
        self._lowered = np.maximum(lowered, 0.0)

    def values(self, c) -> np.ndarray:
        """Return φ (..., reactions) at concentrations c (..., species)."""
        c = np.asarray(c, dtype=float)[..., None]
        return self._k * np.prod(c**self._orders, axis=-2)

    def slopes(self, c) -> np.ndarray:
        """Return dφ_j/dc_l (reactions, species) at one state."""
        c = np.asarray(c, dtype=float)
        products = np.prod(c[:, None, None] ** self._lowered, axis=0)
        return (self._k * self._orders * products).T

    def rates(self, c) -> np.ndarray:
        """Return dc/dt = U φ(c) (..., species)."""
        return self.values(c) @ self.stoichiometry.T

    def jacobian(self, c) -> np.ndarray:
        """Return d(dc/dt)/dc (species, species) at one state."""
        return self.stoichiometry @ self.slopes(c)
