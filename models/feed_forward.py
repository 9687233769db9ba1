"""A feed-forward whose GELU is done in the same pass as the product before it.

On CPUs torch's tanh form of GELU takes several times as long as a product in bfloat16 that was multiplied in tiles. The
operator that does both is one of those that torch has for its own compiler (see `convolution.py`): touched here alone,
and where it is missing, or a gradient is wanted, everything is done as torch does it. Knows nothing about networks.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .operators import agrees, takes


class FeedForward(nn.Sequential):
    """Linear, GELU in the tanh form, linear."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__(nn.Linear(width, inner), nn.GELU("tanh"), nn.Linear(inner, width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        first, gelu, last = self
        if not (isinstance(first, nn.Linear) and takes(x) and operator_exists(x.dtype)):
            y: Tensor = last(gelu(first(x)))
            return y
        y = last(fused(x, first))
        return y


def fused(x: Tensor, first: nn.Linear) -> Tensor:
    """(..., n) -> (..., m), through GELU."""
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, first.weight, first.bias, "gelu", [], "tanh")
    return y


@cache
def operator_exists(dtype: torch.dtype) -> bool:
    """Whether torch has the operator, and it does on this CPU, in this format, what it is said to do."""

    def tried() -> tuple[Tensor, Tensor]:
        x, linear = torch.linspace(-1.0, 1.0, 64, dtype=dtype).view(2, 32), nn.Linear(32, 16, dtype=dtype)
        return fused(x, linear), F.gelu(linear(x), approximate="tanh")

    return agrees(tried)
