"""Conv2d: torch's, whose weights are laid out for this CPU once instead of at every call.

oneDNN wants the weights of a convolution in an order of its own, and torch brings them into it each time: for pictures
of a few cells that is a seventh of the work. Here they are brought there once, and what follows a convolution in a
residual block, SiLU or a sum, is done in the same pass. That takes operators which torch has for its own compiler and
promises to nobody: they are touched here alone, and where they are missing or a gradient is wanted, everything is done
as torch does it. Knows nothing about networks.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .operators import LaidOut, agrees, takes


class Conv2d(LaidOut, nn.Conv2d):
    """A convolution padded with zeros; `silu` and `beside` are what follows it."""

    def forward(self, x: Tensor, *, silu: bool = False, beside: Tensor | None = None) -> Tensor:
        """(B, C, h, w) -> (B, C', h', w'), through SiLU if wanted, or added to `beside` (B, C', h', w')."""
        if not (takes(x) and operators_exist(x.dtype)):
            y = super().forward(x)
            return beside + y if beside is not None else F.silu(y) if silu else y
        return self._fused(x, silu, beside)

    def _fused(self, x: Tensor, silu: bool, beside: Tensor | None) -> Tensor:
        where = (self.padding, self.stride, self.dilation, self.groups)
        weights = self.laid_out(lambda w: torch.ops.mkldnn._reorder_convolution_weight(w, *where, [1, *x.shape[1:]]))
        if beside is not None:
            y: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
                x, beside, weights, self.bias, *where, "add", 1.0, None, [], None
            )
            return y
        y = torch.ops.mkldnn._convolution_pointwise(x, weights, self.bias, *where, "swish" if silu else "none", [], "")
        return y


@cache
def operators_exist(dtype: torch.dtype) -> bool:
    """Whether torch has the operators, and they do on this CPU, in this format, what they are said to do."""

    def tried() -> tuple[Tensor, Tensor]:
        x, convolution = torch.ones(1, 16, 2, 2, dtype=dtype), Conv2d(16, 16, 3, padding=1, dtype=dtype)
        return convolution._fused(x, True, None), F.silu(nn.Conv2d.forward(convolution, x))

    return agrees(tried)
