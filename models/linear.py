"""Linear: torch's, which on a CPU in bfloat16 multiplies a stream at a time, so that a batch changes nobody's bytes.

How oneDNN splits the sums of a product depends on how many rows it has. The last bit of a sum may then differ between a
stream alone and the same stream in a batch, and once in some thousand pictures a rounding to bfloat16 shows it. Rows of
one stream are many enough to keep a core busy: measured, it costs a batch of eight between nothing and 8 %
(docs/design.md). The weights are laid out for oneDNN once instead of at every call, as in `convolution.py`: products of
few rows spend a fifth to two fifths of their time with that. Knows nothing about networks.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .operators import LaidOut, agrees, takes

LEAST = 16**3
"""Products of no more multiplications than this torch does without oneDNN, and faster."""


class Linear(LaidOut, nn.Linear):
    """See the module. The first dimension is the batch."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, ..., in) -> (B, ..., out)."""
        if not takes(x) or x.dtype != torch.bfloat16:
            return F.linear(x, self.weight, self.bias)
        if len(x) < 2:
            return self._product(x)
        return torch.cat([self._product(row) for row in x.unsqueeze(1)])

    def _product(self, x: Tensor) -> Tensor:
        small = x.numel() * self.out_features <= LEAST
        if small or not operators_exist():
            return F.linear(x, self.weight, self.bias)
        return self._fused(x)

    def _fused(self, x: Tensor) -> Tensor:
        weights = self.laid_out(torch.ops.mkldnn._reorder_linear_weight)
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weights, self.bias, "none", [], "")
        return y


@cache
def operators_exist() -> bool:
    """Whether this build of torch has the operators, and they do here what they are said to do."""

    def tried() -> tuple[Tensor, Tensor]:
        x, linear = torch.linspace(-1.0, 1.0, 64).view(2, 32).bfloat16(), Linear(32, 16).bfloat16()
        return linear._fused(x), F.linear(x, linear.weight, linear.bias)

    return agrees(tried)
