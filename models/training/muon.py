"""Muon: momentum, then the nearest orthogonal matrix as the step (Keller Jordan, 2024). For 2-D weights only."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..precision import native_dtype


class Muon(torch.optim.Optimizer):
    """Optimiser of matrices; everything else belongs to AdamW.

    Args:
        params: 2-D parameters.
        lr: step size for a matrix of equal sides; tall ones take larger steps by the root of the ratio.
        momentum: of the Nesterov kind.
        weight_decay: decoupled.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step on the gradients at hand."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                mean = state.setdefault("mean", torch.zeros_like(p))
                mean.lerp_(p.grad, 1.0 - group["momentum"])
                update = orthogonal(p.grad.lerp(mean, group["momentum"]))
                p.mul_(1.0 - group["lr"] * group["weight_decay"])
                p.add_(update.to(p.dtype), alpha=-group["lr"] * max(1.0, p.shape[0] / p.shape[1]) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest orthogonal matrix: five Newton-Schulz steps, singular values near one.

    bfloat16 is enough, and float32 is quicker where the hardware does not multiply it.
    """
    x = matrix.to(native_dtype(matrix.device))
    tall = x.shape[0] > x.shape[1]
    x = x.T.contiguous() if tall else x  # a product with a transposed view takes half as long again
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x
