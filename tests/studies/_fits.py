"""Fits of `ODENet` to the systems of the studies, and how they compare with the truth."""

import numpy as np

import chemnb as cn
from tests.studies._systems import coefficient_error


class Tally:
    """How often fits are right, how far off their coefficients are, what their intervals hold."""

    def __init__(self):
        self.right, self.errors, self.held = [], [], []

    def add(self, model, truth):
        """Count a fitted ODENet against {(equation, term): value}.

        Intervals are conditional on the chosen terms, so that they count only where those are
        exactly the true ones.
        """
        table = model.coefficients
        kept = table[table["kept"]].set_index(["equation", "term"])
        error = coefficient_error(kept["value"].to_dict(), truth)
        self.right.append(error is not None)
        self.errors.append(np.nan if error is None else error)
        if error is not None:
            true = np.array([truth[pair] for pair in kept.index])
            self.held += ((kept["lower"] <= true) & (true <= kept["upper"])).tolist()
        return self.right[-1]

    def fail(self):
        """Count a fit that could not be made."""
        self.right.append(False)
        self.errors.append(np.nan)

    @property
    def rate(self):
        """Share of fits with exactly the true terms."""
        return float(np.mean(self.right))


def true_coefficients(network):
    """Return {(equation, term): value} of a mass-action network without repeated reactants."""
    truth = {}
    for reaction, rate, change in zip(
        network.reactions, network.rate_constants(), network.stoichiometry.T, strict=True
    ):
        names = [name for name in network.species if name in dict(reaction.reactants)]
        for name, count in zip(network.species, change, strict=True):
            if count:
                pair = (name, " ".join(names))
                truth[pair] = truth.get(pair, 0.0) + count * rate
    return {pair: value for pair, value in truth.items() if value}


def noisy(runs, percent, random):
    """Return runs with noise in % of each variable's standard deviation over all of them."""
    size = percent / 100 * np.concatenate([run.values for run in runs]).std(axis=0)
    return [run + size * random.standard_normal(run.shape) for run in runs]


def integrate_all(network, starts, times):
    """Return the exact solution from every start."""
    equations = cn.mass_action(network)
    return [cn.integrate(equations, start, times, rtol=1e-10, atol=1e-12) for start in starts]
