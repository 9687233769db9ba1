"""DetailNet: what was seen before of the next picture need not be dreamed again.

An autoencoder keeps a few numbers of every cell, and a small network paints what it is not sure of as the mean of all
that it may be. Most of the next picture was there in the last one, grain and all, and most of the rest in a picture of
the album: both, moved to where they are now (motion.py, album.py), are sharper than what is dreamed, but wrong wherever
their motion is. This network is given the three, says for every pixel how far each can be trusted, and mends the sum:
temporal accumulation, as renderers do it with known motion (Xiao et al., "Neural Supersampling for Real-time
Rendering", SIGGRAPH 2020).

Pictures are (B, 3, H, W) in [-1, 1]. Knows nothing about latents, actions or streams.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .convolution import Conv2d
from .patches import Mixer
from .pixels import to_pixels

FOLD = 4
"""Pixels that one position of the features spans, each way."""

SEEN = (0.0, 3.0, 1.5)
"""Logits of the shares of the dreamed, the moved and the recalled picture before anything was learned."""

NEVER = -1e4
"""Added to the logit of a picture where it shows nothing: of its share nothing is left."""

MOST = 4.0
"""Doubt beyond this makes no difference."""


@dataclass(frozen=True)
class DetailConfig:
    """Shape of a DetailNet."""

    width: int = 48  # features of a position
    depth: int = 2  # mixers


class DetailNet(nn.Module):
    """Three pictures of the same moment, one dreamed and two moved, into one."""

    def __init__(self, config: DetailConfig) -> None:
        super().__init__()
        self.config = config
        self.enter = Conv2d(12, config.width, FOLD + 2, stride=FOLD, padding=1)
        self.body = nn.Sequential(*(Mixer(config.width) for _ in range(config.depth)))
        self.leave = Conv2d(config.width, 6 * FOLD**2, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def forward(
        self, dreamed: Tensor, moved: Tensor, seen: Tensor, recalled: Tensor, known: Tensor, doubt: Tensor
    ) -> Tensor:
        """(B, 3, H, W) float32 picture, about [-1, 1].

        Args:
            dreamed: (B, 3, H, W) decoded from latents.
            moved: (B, 3, H, W) the last picture, moved.
            seen: (B, 1, H, W) True where `moved` was in sight.
            recalled: (B, 3, H, W) a picture of the album, moved.
            known: (B, 1, H, W) True where `recalled` was in sight.
            doubt: (B, 1, H, W) how far `recalled` was moved for being elsewhere, over the depth: there depth counts.
        """
        # Planes: what is done to every pixel is several times slower on channels that lie beside each other.
        dream, moved, recalled = (picture.contiguous().float() for picture in (dreamed, moved, recalled))
        apart = moved - dream, recalled - dream
        in_sight, doubt = torch.cat([seen, known], 1).float(), doubt.clamp(max=MOST)
        dtype = self.enter.weight.dtype
        parts = [part.to(dtype) for part in (dream, *apart, in_sight, doubt)]
        x = torch.cat(parts, 1).contiguous(memory_format=torch.channels_last)
        y = to_pixels(self.leave(F.silu(self.body(self.enter(x)))), FOLD).float()
        logits = y[:, 3:] + torch.tensor(SEEN, device=y.device)[:, None, None]
        logits[:, 2:] -= doubt
        logits[:, 1:].add_(1.0 - in_sight, alpha=NEVER)
        shares = logits.softmax(1)
        of_moved = torch.addcmul(dream + y[:, :3], shares[:, 1:2], apart[0])
        return torch.addcmul(of_moved, shares[:, 2:], apart[1])
