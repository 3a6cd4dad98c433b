"""chemnb: machine learning and multiscale modelling of chemical reactions, in both directions."""

from . import models, paper, plots
from .approximate import LangevinEnsemble, sample_langevin, sample_tau_leap
from .averaged_network import AveragedNetwork
from .distances import sampling_floor, total_variation
from .dynamics import DynamicsError, integrate
from .ensemble import Ensemble, EnsembleError
from .ensemble_io import load_ensemble
from .equations import (
    EquationError,
    MassActionEquations,
    MomentEquations,
    mass_action,
    master_equation,
    moment_equations,
    propensities,
)
from .estimation import EstimationError
from .exchange import ExchangeError, coefficient_sensitivity, exchange_terms
from .expressions import Expression, ExpressionError
from .fast_subsystem import SlowScaleError
from .fsp import finite_state_projection
from .gillespie import first_passage, record_events, sample
from .laws import Condition, RateLaw
from .learned_reduction import LearnedReduction
from .library import LibraryError, monomials
from .likelihood import HistogramFit, fit_histograms
from .linear_noise import linear_noise, linear_noise_correlations, stationary_linear_noise
from .manifold import ReductionError
from .moments import moment_labels
from .network import ReactionNetwork
from .odenet import ODENet, ODENetError
from .polynomials import SolverError
from .rate_map import RatesError, rate_map
from .rates import RateFit, fit_rates
from .rational import RationalError
from .reactions import NetworkError, Reaction
from .reduced import ReducedModel
from .reduction import reduce
from .reduction_fit import ReductionFitError, learn_reduction
from .sbml import SBMLError, SBMLModel, read_antimony, read_sbml, write_sbml
from .simulator import SimulationError
from .slow_coordinates import slow_coordinates
from .slow_scale import SlowScaleEnsemble, sample_slow
from .state_distribution import FSPError, StateDistribution
from .stationary import StationaryDistribution, stationary_distribution
from .timescales import TimeScaleError, TimeScales, derivative_correlations, time_scales
from .timeseries import DataError

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
    "coefficient_sensitivity",
    "derivative_correlations",
    "exchange_terms",
    "finite_state_projection",
    "first_passage",
    "fit_histograms",
    "fit_rates",
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
    "paper",
    "plots",
    "propensities",
    "rate_map",
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
