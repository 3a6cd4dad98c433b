"""chemnb: machine learning and multiscale modelling of chemical reactions, in both directions."""

from . import explorers, models, paper, plots
from .equations.dynamics import DynamicsError, integrate
from .equations.linear_noise import linear_noise, linear_noise_correlations, stationary_linear_noise
from .equations.moments import moment_labels
from .equations.polynomials import SolverError
from .equations.symbolic import (
    EquationError,
    MassActionEquations,
    MomentEquations,
    mass_action,
    master_equation,
    moment_equations,
    propensities,
)
from .learning.estimation import EstimationError
from .learning.library import LibraryError
from .learning.likelihood import HistogramFit, fit_histograms
from .learning.monomials import monomials
from .learning.noise import UncertaintyError
from .learning.odenet import ODENet, ODENetError
from .learning.own_terms import free, hill, own
from .learning.rate_map import RatesError, rate_map
from .learning.rates import RateFit, fit_rates
from .learning.rational import RationalError
from .learning.rational_terms import rational
from .learning.timeseries import DataError
from .networks.elementary import elementary_reactions
from .networks.expressions import Expression, ExpressionError
from .networks.laws import Condition, RateLaw
from .networks.network import ReactionNetwork
from .networks.reactions import NetworkError, Reaction
from .networks.slow_coordinates import slow_coordinates
from .projection.fsp import finite_state_projection
from .projection.state_distribution import FSPError, StateDistribution
from .projection.stationary import StationaryDistribution, stationary_distribution
from .reduction.averaged_network import AveragedNetwork
from .reduction.exchange import ExchangeError, coefficient_sensitivity, exchange_terms
from .reduction.fast_subsystem import SlowScaleError
from .reduction.learned_reduction import LearnedReduction
from .reduction.manifold import ReductionError
from .reduction.reduced import ReducedModel
from .reduction.reduction_fit import ReductionFitError, learn_reduction
from .reduction.slow_scale import SlowScaleEnsemble, sample_slow
from .reduction.symbolic import reduce
from .reduction.timescales import TimeScaleError, TimeScales, derivative_correlations, time_scales
from .sampling.approximate import LangevinEnsemble, sample_langevin, sample_tau_leap
from .sampling.distances import sampling_floor, total_variation
from .sampling.ensemble import Ensemble, EnsembleError
from .sampling.ensemble_io import load_ensemble
from .sampling.gillespie import first_passage, record_events, sample
from .sampling.simulator import SimulationError
from .sbml.files import SBMLError, SBMLModel, read_antimony, read_sbml, write_sbml

__all__ = [
    "AveragedNetwork",
    "Condition",
    "DataError",
    "DynamicsError",
    "Ensemble",
    "EnsembleError",
    "EquationError",
    "EstimationError",
    "ExchangeError",
    "Expression",
    "ExpressionError",
    "FSPError",
    "HistogramFit",
    "LangevinEnsemble",
    "LearnedReduction",
    "LibraryError",
    "MassActionEquations",
    "MomentEquations",
    "NetworkError",
    "ODENet",
    "ODENetError",
    "RateFit",
    "RateLaw",
    "RatesError",
    "RationalError",
    "Reaction",
    "ReactionNetwork",
    "ReducedModel",
    "ReductionError",
    "ReductionFitError",
    "SBMLError",
    "SBMLModel",
    "SimulationError",
    "SlowScaleEnsemble",
    "SlowScaleError",
    "SolverError",
    "StateDistribution",
    "StationaryDistribution",
    "TimeScaleError",
    "TimeScales",
    "UncertaintyError",
    "coefficient_sensitivity",
    "derivative_correlations",
    "elementary_reactions",
    "exchange_terms",
    "explorers",
    "finite_state_projection",
    "first_passage",
    "fit_histograms",
    "fit_rates",
    "free",
    "hill",
    "integrate",
    "learn_reduction",
    "linear_noise",
    "linear_noise_correlations",
    "load_ensemble",
    "mass_action",
    "master_equation",
    "models",
    "moment_equations",
    "moment_labels",
    "monomials",
    "own",
    "paper",
    "plots",
    "propensities",
    "rate_map",
    "rational",
    "read_antimony",
    "read_sbml",
    "record_events",
    "reduce",
    "sample",
    "sample_langevin",
    "sample_slow",
    "sample_tau_leap",
    "sampling_floor",
    "slow_coordinates",
    "stationary_distribution",
    "stationary_linear_noise",
    "time_scales",
    "total_variation",
    "write_sbml",
]

__version__ = "0.1.0"
