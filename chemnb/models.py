"""The networks that the notebooks study, each with its parameters and where they come from."""

from __future__ import annotations

from .network import ReactionNetwork


def single_progenitor(**rates: float) -> ReactionNetwork:
    """Return the single proliferative compartment model of skin cells (Fig. 2a).

    Dividing cells A renew, divide asymmetrically or differentiate into B; B leaves the basal
    layer. Clayton et al. (2007), doi:10.1038/nature05574; numbers of Fig. 2 (per week). The
    paper starts it from 10 A and 0 B.

    Examples
    --------
    >>> single_progenitor().parameters
    {'r1': 0.0836, 'lam': 1.1, 'r2': 0.0764, 'Gamma': 0.31}
    """
    values = {"r1": 0.0836, "r2": 0.0764, "lam": 1.1, "Gamma": 0.31} | rates
    return ReactionNetwork(
        """
        A -> 2 A    ; r1*lam
        A -> A + B  ; (1 - r1 - r2)*lam
        A -> 2 B    ; r2*lam
        B -> 0      ; Gamma
        """,
        values,
    )


def single_progenitor_candidate() -> ReactionNetwork:
    """Return the six-reaction network of Eq. 12: the same with A -> 0 and A -> B.

    All six rate constants are free: it is what Table I fits.

    Examples
    --------
    >>> single_progenitor_candidate().free_parameters
    ('r1', 'lam', 'r2', 'Gamma', 'k1', 'k2')
    """
    free = {name: None for name in ("r1", "r2", "lam", "Gamma")}
    return single_progenitor(**free) + "A -> 0 ; k1" + "A -> B ; k2"


def dimerisation(k1: float = 2.0, k2: float = 0.3, volume: float = 1.0) -> ReactionNetwork:
    """Return 2 A <-> B: the smallest network whose moment equations do not close.

    Numbers chosen for the notebooks (c_A(0) = 1, t <= 4), in units of time and volume of
    their own.
    """
    return ReactionNetwork("2 A <-> B ; k1, k2", k1=k1, k2=k2, volume=volume)


def lotka_volterra(
    birth: float = 1.0, predation: float = 0.01, death: float = 1.0
) -> ReactionNetwork:
    """Return predators Y that eat prey X (Lotka 1920, doi:10.1073/pnas.6.7.410).

    Gillespie (1977), doi:10.1021/j100540a008, uses it as an example; usual start (100, 100)
    with these numbers.
    """
    return ReactionNetwork(
        """
        X -> 2 X      ; birth
        X + Y -> 2 Y  ; predation
        Y -> 0        ; death
        """,
        birth=birth,
        predation=predation,
        death=death,
    )
