"""chemnb: machine learning and multiscale modelling of chemical reactions, in both directions."""

from . import models, paper, plots
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
from .expressions import Expression, ExpressionError
from .fsp import finite_state_projection
from .gillespie import first_passage, record_events, sample
from .laws import Condition, RateLaw
from .library import LibraryError, monomials
from .likelihood import HistogramFit, fit_histograms
from .moments import moment_labels
from .network import ReactionNetwork
from .odenet import ODENet, ODENetError
from .polynomials import SolverError
from .rate_map import RatesError, rate_map
from .rates import RateFit, fit_rates
from .reactions import NetworkError, Reaction
from .sbml import SBMLError, SBMLModel, read_antimony, read_sbml, write_sbml
from .simulator import SimulationError
from .state_distribution import FSPError, StateDistribution
from .stationary import StationaryDistribution, stationary_distribution
from .timeseries import DataError

__all__ = [
    "Condition",
    "DataError",
    "DynamicsError",
    "Ensemble",
    "EnsembleError",
    "EquationError",
    "EstimationError",
    "Expression",
    "ExpressionError",
    "FSPError",
    "HistogramFit",
    "LibraryError",
    "MassActionEquations",
    "MomentEquations",
    "NetworkError",
    "ODENet",
    "ODENetError",
    "RateFit",
    "RateLaw",
    "RatesError",
    "Reaction",
    "ReactionNetwork",
    "SBMLError",
    "SBMLModel",
    "SimulationError",
    "SolverError",
    "StateDistribution",
    "StationaryDistribution",
    "finite_state_projection",
    "first_passage",
    "fit_histograms",
    "fit_rates",
    "integrate",
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
    "sample",
    "sampling_floor",
    "stationary_distribution",
    "total_variation",
    "write_sbml",
]

__version__ = "0.1.0"
