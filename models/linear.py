"""Linear: torch's, which on a CPU in bfloat16 multiplies a stream at a time, so that a batch changes nobody's bytes.

How oneDNN splits the sums of a product depends on how many rows it has. The last bit of a sum may then differ between a
stream alone and the same stream in a batch, and once in some thousand pictures a rounding to bfloat16 shows it. Rows of
one stream are many enough to keep a core busy: measured, it costs a batch of eight between nothing and 8 %
(docs/design.md). Knows nothing about networks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Linear(nn.Linear):
    """See the module. The first dimension is the batch."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, ..., in) -> (B, ..., out)."""
        if len(x) < 2 or torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype != torch.bfloat16:
            return F.linear(x, self.weight, self.bias)
        return torch.cat([F.linear(row, self.weight, self.bias) for row in x.unsqueeze(1)])
