"""Cells to tokens and back, where a token spans several cells each way.

Few tokens, each with more to say, cost a network less than many. What lies between the cells of one token is left to a
few convolutions on either side, which meet across the network (U-Net, arXiv 1505.04597; hourglass diffusion
transformers, arXiv 2401.11605). Knows nothing about attention, noise or time.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .convolution import Conv2d


class Mixer(nn.Module):
    """Two convolutions beside a straight path."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv2d(channels, channels, 3, padding=1)
        self.conv2 = Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        y: Tensor = self.conv2(self.conv1(F.silu(x), silu=True), beside=x)
        return y


class Patches(nn.Module):
    """Both ways."""

    def __init__(self, entering: int, leaving: int, stem: int, width: int, patch: int) -> None:
        """Args:
        entering: numbers of a cell on its way in.
        leaving: numbers of a cell on its way out.
        stem: features of a cell in between.
        width: of a token.
        patch: cells that a token spans, each way.
        """
        super().__init__()
        self.patch = patch
        self.enter = Conv2d(entering, stem, 3, padding=1)
        self.inward = Mixer(stem)
        self.fold = Conv2d(stem, width, patch, stride=patch)
        self.unfold = Conv2d(width, stem * patch**2, 1)
        self.outward = nn.Sequential(Mixer(stem), Mixer(stem))
        self.leave = Conv2d(stem, leaving, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def tokens(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """(B, entering, h, w) -> tokens (B, width, h / patch, w / patch); features (B, stem, h, w) for the way back."""
        features = self.inward(self.enter(cells))
        return self.fold(features), features

    def cells(self, tokens: Tensor, features: Tensor) -> Tensor:
        """What `tokens` gave, worked upon -> (B, leaving, h, w)."""
        x = self.outward(features + F.pixel_shuffle(self.unfold(tokens), self.patch))
        y: Tensor = self.leave(F.silu(x))
        return y
