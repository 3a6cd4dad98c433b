"""The networks that the notebooks study, each with its parameters and where they come from."""

from __future__ import annotations

from .networks.network import ReactionNetwork


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


def schloegl(feed: float = 4.0, volume: float = 10.0) -> ReactionNetwork:
    """Return Schloegl's autocatalytic reaction, which has two states to rest in.

    Schloegl (1972), doi:10.1007/BF01379769; numbers chosen so that Eq. 8 rests at
    concentrations 1/2 and 4 and is parted at 2.

    Examples
    --------
    >>> schloegl().species
    ('A',)
    """
    return ReactionNetwork(
        """
        2 A <-> 3 A ; 13, 6
        0 <-> A     ; feed, 11
        """,
        feed=feed,
        volume=volume,
    )


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


def gene_feedback(**rates: float) -> ReactionNetwork:
    """Return the gene that its own protein represses (Fig. 4a, Eq. 15).

    The gene G binds one or two proteins P; G and GP make mRNA M, M makes P. Rate constants of
    the paper, in units of their own; ``k_m1`` is its k_-1. It starts from G = GP = GP2 = 0.01,
    P = 0, M = 5 and runs to t = 1000. G, GP and GP2 are fast.

    Examples
    --------
    >>> gene_feedback().conservation_laws()
                  P  M  G  GP  GP2
    G + GP + GP2  0  0  1   1    1
    """
    values = {
        "k0": 0.05, "k_s": 0.01, "k_dm": 0.01, "k1": 3.0, "k_m1": 2.4, "k2": 9.0, "k_m2": 6.0
    } | rates  # fmt: skip
    return ReactionNetwork(
        """
        G -> G + M     ; k0
        GP -> GP + M   ; k0
        M -> M + P     ; k_s
        M -> 0         ; k_dm
        G + P <-> GP   ; k1, k_m1
        GP + P <-> GP2 ; k2, k_m2
        """,
        values,
        species=["P", "M", "G", "GP", "GP2"],
    )


def michaelis_menten(**rates: float) -> ReactionNetwork:
    """Return an enzyme E that turns a substrate S into a product P by way of a complex C.

    Michaelis and Menten (1913), translated in doi:10.1021/bi201284u; steady state of Briggs and
    Haldane (1925), doi:10.1042/bj0190338; for enzyme that is not scarce Borghans, de Boer and
    Segel (1996), doi:10.1007/BF02458281. Numbers chosen here, K_M = (k_m1 + k2)/k1 = 0.2.
    Usual start S = 1, E = 0.01, to t = 2000: E and C are fast. With E = 1, to t = 60, much of
    the substrate is bound, and only S + C is slow.
    """
    values = {"k1": 10.0, "k_m1": 1.9, "k2": 0.1} | rates
    return ReactionNetwork(
        """
        S + E <-> C ; k1, k_m1
        C -> E + P  ; k2
        """,
        values,
    )


def competitive_inhibition(**rates: float) -> ReactionNetwork:
    """Return an enzyme whose substrate S and inhibitor I compete for the same site.

    Cheng and Prusoff (1973), doi:10.1016/0006-2952(73)90196-2. Numbers chosen here:
    K_M = (k_m1 + k2)/k1 = 0.4, K_I = k_m3/k3 = 0.5. Usual start S = 1, I = 0.5, E = 0.01,
    to t = 30. E and the complexes ES and EI are fast.
    """
    values = {"k1": 50.0, "k_m1": 10.0, "k2": 10.0, "k3": 20.0, "k_m3": 10.0} | rates
    return ReactionNetwork(
        """
        S + E <-> ES ; k1, k_m1
        ES -> E + P  ; k2
        I + E <-> EI ; k3, k_m3
        """,
        values,
    )


def cooperative_binding(**rates: float) -> ReactionNetwork:
    """Return an enzyme with two binding sites, the second one stronger than the first.

    Keener and Sneyd, Mathematical Physiology, chapter 1, doi:10.1007/978-0-387-75847-3.
    Numbers chosen here: K_1 = (k_m1 + k2)/k1 = 2, K_2 = (k_m3 + k4)/k3 = 0.1. Usual start S = 1,
    E = 0.01, to t = 60. E and the complexes C1 and C2 are fast.
    """
    values = {"k1": 10.0, "k_m1": 15.0, "k2": 5.0, "k3": 200.0, "k_m3": 10.0, "k4": 10.0} | rates
    return ReactionNetwork(
        """
        S + E <-> C1  ; k1, k_m1
        C1 -> E + P   ; k2
        S + C1 <-> C2 ; k3, k_m3
        C2 -> C1 + P  ; k4
        """,
        values,
    )


def goldbeter_koshland(**rates: float) -> ReactionNetwork:
    """Return a protein W that one enzyme modifies, to Ws, and another one restores.

    Goldbeter and Koshland (1981), doi:10.1073/pnas.78.11.6840: the switch is sharp where both
    enzymes are saturated. Numbers chosen here: both K = (d + k)/a = 0.1. Usual start W = 1,
    E1 = 0.0105, E2 = 0.01, to t = 500. The enzymes E1, E2 and complexes C1, C2 are fast.
    """
    values = {"a1": 100.0, "d1": 5.0, "k1": 5.0, "a2": 100.0, "d2": 5.0, "k2": 5.0} | rates
    return ReactionNetwork(
        """
        W + E1 <-> C1  ; a1, d1
        C1 -> Ws + E1  ; k1
        Ws + E2 <-> C2 ; a2, d2
        C2 -> W + E2   ; k2
        """,
        values,
        species=["W", "Ws", "E1", "C1", "E2", "C2"],
    )


def dimer_toggle(**rates: float) -> ReactionNetwork:
    """Return two genes, each of which the dimer of the other's protein represses.

    The toggle switch of Gardner, Cantor and Collins (2000), doi:10.1038/35002131, with
    dimerisation and binding to the promoters written out as by Bennett et al. (2007),
    doi:10.1529/biophysj.106.095638. GA makes the protein A unless it holds a dimer B2 (GAr), and
    the other way round. Numbers chosen here: monomers live for a time of 1 and reach 4,
    K = k_m1/k1 = 50, dimers bind a promoter with k_m2/k2 = 0.02. ``2*k1`` makes the rate of
    dimerisation k1 c². Usual start A = 3, B = 1, GA = GB = 0.01, to t = 10. Dimers and promoters
    are fast.
    """
    values = {"alpha": 400.0, "delta": 1.0, "k1": 20.0, "k_m1": 1000.0, "k2": 5000.0, "k_m2": 100.0}
    return ReactionNetwork(
        """
        GA -> GA + A   ; alpha
        GB -> GB + B   ; alpha
        A -> 0         ; delta
        B -> 0         ; delta
        2 A <-> A2     ; 2*k1, k_m1
        2 B <-> B2     ; 2*k1, k_m1
        GA + B2 <-> GAr ; k2, k_m2
        GB + A2 <-> GBr ; k2, k_m2
        """,
        values | rates,
        species=["A", "B", "A2", "B2", "GA", "GAr", "GB", "GBr"],
    )


def lindemann_hinshelwood(**rates: float) -> ReactionNetwork:
    """Return a molecule A that falls apart once a collision has excited it, to As.

    Lindemann (1922), doi:10.1039/TF9221700598: of first order at high pressure, of second at low.
    Numbers chosen here. ``2*k1`` makes the rate of excitation k1 c². Usual start A = 1, to
    t = 200. As is fast.
    """
    values = {"k1": 0.01, "k_m1": 10.0, "k2": 5.0} | rates
    return ReactionNetwork(
        """
        2 A -> A + As ; 2*k1
        A + As -> 2 A ; k_m1
        As -> P       ; k2
        """,
        values,
    )


def robertson(**rates: float) -> ReactionNetwork:
    """Return the autocatalytic reaction of Robertson (1966), the classic among stiff problems.

    Hairer and Wanner, Solving Ordinary Differential Equations II, section IV.1,
    doi:10.1007/978-3-642-05221-7. ``2*k2`` makes the second rate k2 c². Usual start A = 1, to
    t = 40 or longer. B is fast.
    """
    values = {"k1": 0.04, "k2": 3e7, "k3": 1e4} | rates
    return ReactionNetwork(
        """
        A -> B         ; k1
        2 B -> B + C   ; 2*k2
        B + C -> A + C ; k3
        """,
        values,
    )


def oregonator(**rates: float) -> ReactionNetwork:
    """Return the Oregonator, a relaxation oscillator behind the Belousov-Zhabotinsky reaction.

    X is bromous acid, Y bromide, Z the oxidised catalyst. Field and Noyes (1974),
    doi:10.1063/1.1681288, with their rate constants and f = 1; concentrations in micromoles per
    litre, times in seconds, the supply A = B = 0.06 mol/l within k1, k3. ``2*k4`` makes
    the loss of X 2 k4 c². Usual start X = 5e-5, Y = 0.6, Z = 0.07, to t = 150: three periods.
    On a part of each period no species is fast.
    """
    values = {"k1": 0.0804, "k2": 1600.0, "k3": 480.0, "k4": 40.0, "k5": 1.0} | rates
    return ReactionNetwork(
        """
        Y -> X       ; k1
        X + Y -> 0   ; k2
        X -> 2 X + Z ; k3
        2 X -> 0     ; 2*k4
        Z -> Y       ; k5
        """,
        values,
        species=["X", "Y", "Z"],
    )
