"""Candidate terms inside torch: products directly, all others through their own derivatives."""

from __future__ import annotations

from functools import cache

from .library import Library


def terms_on_torch(library: Library, y):
    """Return the terms at torch states, with gradients.

    Products of variables are multiplied in torch, on whatever device the states are. Other
    terms are evaluated by NumPy on the CPU, and their `Library.jacobian` gives the gradient.

    Parameters
    ----------
    library : Library
        Bound to its variables.
    y : Tensor (n, D)

    Returns
    -------
    Tensor (n, terms)
    """
    import torch

    if library.is_polynomial:
        table = torch.as_tensor(library.factor_table(), device=y.device)
        padded = torch.cat([y, torch.ones_like(y[:, :1])], dim=1)
        result = padded[:, table[:, 0]]
        for column in range(1, table.shape[1]):
            result = result * padded[:, table[:, column]]
        return result
    return _function().apply(y, library)


@cache
def _function():
    """Return the terms as a function of torch; made on first use, because torch loads slowly."""
    import torch

    class Terms(torch.autograd.Function):
        @staticmethod
        def forward(ctx, y, library):
            states = y.detach().cpu().numpy()
            slopes = torch.tensor(library.jacobian(states), dtype=y.dtype, device=y.device)
            ctx.save_for_backward(slopes)
            return torch.tensor(library.evaluate(states), dtype=y.dtype, device=y.device)

        @staticmethod
        def backward(ctx, gradient):
            (slopes,) = ctx.saved_tensors
            return torch.einsum("nt,ntd->nd", gradient, slopes), None

    return Terms
