"""The low-noise expert: what a transformer's weights are besides, once the first denoising step is behind it.

At noise level 1 there is only noise, and what the network says comes from everything but x; at the levels below, x is
what it said the step before, and it can look again. One set of weights that does both does the first less well. So the
second is learned as differences, of low rank where a matrix is large (LoRA, arXiv 2106.09685), for a network of its own
below level 1 (two experts by noise level: eDiff-I, arXiv 2211.01324; Wan 2.2). The first step, and whatever finished
frames leave in the memory, stay what they are to the bit, and both look at the same memory. Knows the names and shapes
of weights; nothing about samplers, streams or training.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .dit import CausalDiT


@dataclass(frozen=True)
class LowNoiseConfig:
    """Shape of a low-noise expert."""

    rank: int  # of the differences of large matrices
    steps: tuple[int, ...]  # numbers of denoising steps, above 1, that it has learned


class LowNoise(nn.Module):
    """Differences for every parameter of a CausalDiT; none, until they are learned."""

    def __init__(self, config: LowNoiseConfig, dit: CausalDiT) -> None:
        super().__init__()
        self.config = config
        self.whole, self.down, self.up = nn.ParameterDict(), nn.ParameterDict(), nn.ParameterDict()
        for name, weight in dit.named_parameters():
            key, (rows, columns) = _key(name), _as_matrix(weight)
            if config.rank * (rows + columns) < rows * columns:
                self.down[key] = nn.Parameter(torch.randn(config.rank, columns) * columns**-0.5)
                self.up[key] = nn.Parameter(torch.zeros(rows, config.rank))
            else:
                self.whole[key] = nn.Parameter(torch.zeros(weight.shape))

    def beside(self, dit: CausalDiT) -> dict[str, Tensor]:
        """What the parameters of that network are below noise level 1, by name."""
        return {name: weight + self._difference(_key(name), weight) for name, weight in dit.named_parameters()}

    @torch.no_grad()
    def merged(self, dit: CausalDiT) -> CausalDiT:
        """That network as it is below noise level 1."""
        expert = deepcopy(dit)
        expert.load_state_dict(self.beside(dit), strict=False)  # buffers stay
        return expert.eval().requires_grad_(False)

    def _difference(self, key: str, weight: Tensor) -> Tensor:
        if key in self.whole:
            return self.whole[key].to(weight)
        return (self.up[key] @ self.down[key]).view(weight.shape).to(weight)


def _key(name: str) -> str:
    """A parameter's name as torch takes it for a part of another module."""
    return name.replace(".", "-")


def _as_matrix(weight: Tensor) -> tuple[int, int]:
    """Rows and columns; of a vector one."""
    return (weight.shape[0], weight[0].numel()) if weight.ndim > 1 else (1, weight.numel())
