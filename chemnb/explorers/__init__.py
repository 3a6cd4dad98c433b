"""Figures under sliders: one or two for every numbered notebook, each a function that can be called.

`ALL` lists them in the order of the notebooks.
"""

from .clones import clones
from .controls import ExplorerError
from .enzyme import enzyme
from .experiments import experiments
from .ladder import ladder
from .landscape import landscape
from .noise import noise
from .round_trip import round_trip
from .separation import separation
from .sparsity import sparsity
from .volume import volume
from .wells import wells
from .workers import workers

ALL = (
    round_trip,
    landscape,
    volume,
    clones,
    wells,
    experiments,
    sparsity,
    ladder,
    separation,
    enzyme,
    workers,
    noise,
)

__all__ = ["ALL", "ExplorerError", *(explorer.name for explorer in ALL)]
