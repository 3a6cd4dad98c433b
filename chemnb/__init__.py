"""chemnb: machine learning and multiscale modelling of chemical reactions, in both directions."""

from . import models
from .distances import sampling_floor, total_variation
from .ensemble import Ensemble, EnsembleError
from .expressions import Expression, ExpressionError
from .gillespie import SimulationError, sample
from .moments import moment_labels
from .network import ReactionNetwork
from .reactions import NetworkError, Reaction

__all__ = [
    "Ensemble",
    "EnsembleError",
    "Expression",
    "ExpressionError",
    "NetworkError",
    "Reaction",
    "ReactionNetwork",
    "SimulationError",
    "models",
    "moment_labels",
    "sample",
    "sampling_floor",
    "total_variation",
]

__version__ = "0.1.0"
