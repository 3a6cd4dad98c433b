"""Which options of `ODENet` can be used, alone and together."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from .library import Library
from .robust import LOSSES

if TYPE_CHECKING:
    from .odenet import ODENet


class ODENetError(ValueError):
    """An option that cannot be used or a question asked too early; the message says the fix."""


_NUMBERS = {
    "threshold": (lambda x: 0 <= x <= 1, "a number from 0 to 1"),
    "penalty": (lambda x: 0 <= x < np.inf, "a number of 0 or more"),
    "level": (lambda x: 0 < x < 1, "a number above 0 and below 1"),
    "iterations": (lambda x: x >= 1 and x % 1 == 0, "a whole number of 1 or more"),
    "learning_rate": (lambda x: 0 < x < np.inf, "a number above 0"),
    "seed": (lambda x: x >= 0 and x % 1 == 0, "a whole number of 0 or more"),
}


def check_options(model: ODENet) -> None:
    """Raise `ODENetError` unless the options can be used, and together."""
    if model.library is None and model.network is None:
        raise ODENetError("no candidate terms; give a library such as monomials(2), or network=")
    if model.library is not None and not isinstance(model.library, Library):
        raise ODENetError(f"library={model.library!r}; give a library such as monomials(2)")
    for name, known in (
        ("optimizer", ("lm", "adam")),
        ("selection", ("auto", "bic", "stability", "l1", "threshold", None)),
        ("loss", LOSSES),
    ):
        if getattr(model, name) not in known:
            raise ODENetError(f"{name}={getattr(model, name)!r} is unknown; use one of {known}")
    for name, (fits, wanted) in _NUMBERS.items():
        value = getattr(model, name)
        if value is None and name == "iterations":
            continue
        if not isinstance(value, Real) or isinstance(value, bool) or not fits(value):
            raise ODENetError(f"{name}={value!r}; it must be {wanted}")
    if model.optimizer == "adam" and model.selection not in ("auto", "threshold", None):
        raise ODENetError(
            "optimizer='adam' drops terms by threshold; use selection='threshold', or "
            "optimizer='lm'"
        )
    for option in ("nonnegative", "known", "conserved", "network", "mass_action"):
        if model.optimizer == "adam" and getattr(model, option):
            raise ODENetError(f"{option} needs optimizer='lm'; Adam knows no bounds and no ties")
    if model.optimizer == "adam" and model.loss != "squared":
        raise ODENetError(f"loss={model.loss!r} needs optimizer='lm'; the loss of Adam is Eq. 2's")
    if model.optimizer == "adam" and model.hidden:
        raise ODENetError("hidden needs optimizer='lm'; Adam starts from measured values")
    if model.device != "cpu" and model.optimizer != "adam":
        raise ODENetError(
            f"device={model.device!r} needs optimizer='adam'; Levenberg-Marquardt runs on the CPU"
        )
