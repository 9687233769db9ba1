"""DetailNet: what the last picture still shows of the next one need not be dreamed again.

An autoencoder keeps a few numbers of every cell, and paints the rest as the mean of all that they may stand for. In a
stream, most of the next picture was there in the last one, grain and all: moved to its new place (motion.py) it is
sharper than what is decoded, but wrong wherever something new came into sight. This network is given both pictures,
says for every pixel how far the moved one holds, and mends what either has wrong: temporal accumulation, as renderers
do it with known motion (Xiao et al., "Neural Supersampling for Real-time Rendering", SIGGRAPH 2020).

Pictures are (B, 3, H, W) in [-1, 1]. Knows nothing about latents, actions or streams.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .patches import Mixer

FOLD = 4
"""Pixels that one position of the features spans, each way."""

TRUST = 2.0
"""Logit of the moved picture's share before anything was learned."""


@dataclass(frozen=True)
class DetailConfig:
    """Shape of a DetailNet."""

    width: int = 48  # features of a position
    depth: int = 2  # mixers


class DetailNet(nn.Module):
    """Two pictures of the same moment, one decoded and one moved, into one."""

    def __init__(self, config: DetailConfig) -> None:
        super().__init__()
        self.config = config
        self.enter = nn.Conv2d(7 * FOLD**2, config.width, 3, padding=1)
        self.body = nn.Sequential(*(Mixer(config.width) for _ in range(config.depth)))
        self.leave = nn.Conv2d(config.width, 4 * FOLD**2, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def forward(self, decoded: Tensor, moved: Tensor, seen: Tensor) -> Tensor:
        """(B, 3, H, W) float32 picture, about [-1, 1].

        Args:
            decoded: (B, 3, H, W) what was dreamed.
            moved: (B, 3, H, W) the last picture, moved.
            seen: (B, 1, H, W) True where `moved` was in sight.
        """
        decoded, moved = decoded.float(), moved.float()
        x = torch.cat([decoded, moved - decoded, seen.float()], 1)
        x = F.pixel_unshuffle(x, FOLD).to(self.enter.weight.dtype, memory_format=torch.channels_last)
        y = F.pixel_shuffle(self.leave(F.silu(self.body(self.enter(x)))), FOLD).float()
        holds = torch.sigmoid(y[:, 3:] + TRUST) * seen
        return decoded + holds * (moved - decoded) + y[:, :3]
