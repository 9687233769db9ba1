"""Pixels to cells of n by n and back, as torch's pixel_unshuffle and pixel_shuffle, but for CPUs in runs.

Pictures are planes here, which is what most that is done to every pixel wants, and features lie side by side in a cell,
which is what convolutions want. Between the two n numbers at a time stay neighbours: they are moved as one wide number,
five to ten times faster than one by one. Only copies; where gradients are wanted, or on a GPU, torch's own do it. Knows
nothing about networks.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .operators import takes

WIDE = {2: torch.int16, 4: torch.int32, 8: torch.int64, 16: torch.complex128}
"""Formats of so many bytes, of which nothing is wanted but to be copied."""


def to_cells(pictures: Tensor, n: int) -> Tensor:
    """(B, C, H, W) -> (B, C * n * n, H / n, W / n)."""
    if not takes(pictures):
        return F.pixel_unshuffle(pictures, n)
    batch, channels, height, width = pictures.shape
    runs = pictures.contiguous().view(_wide(pictures, n)).view(batch, channels, height // n, n, width // n, -1)
    cells = runs.permute(0, 2, 4, 1, 3, 5).contiguous().view(pictures.dtype)
    return cells.view(batch, height // n, width // n, -1).permute(0, 3, 1, 2)


def to_pixels(cells: Tensor, n: int) -> Tensor:
    """(B, C * n * n, h, w) -> (B, C, h * n, w * n)."""
    if not takes(cells):
        return F.pixel_shuffle(cells, n)
    batch, features, h, w = cells.shape
    beside = cells.permute(0, 2, 3, 1).contiguous()
    runs = beside.view(_wide(cells, n)).view(batch, h, w, features // n**2, n, -1)
    pictures = runs.permute(0, 3, 1, 4, 2, 5).contiguous().view(cells.dtype)
    return pictures.view(batch, -1, h * n, w * n)


def _wide(x: Tensor, n: int) -> torch.dtype:
    """The widest format in which n numbers are a whole."""
    return WIDE[math.gcd(n * x.element_size(), max(WIDE))]


class ToCells(nn.PixelUnshuffle):
    """`to_cells` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C * n * n, H / n, W / n)."""
        return to_cells(x, self.downscale_factor)


class ToPixels(nn.PixelShuffle):
    """`to_pixels` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C * n * n, h, w) -> (B, C, h * n, w * n)."""
        return to_pixels(x, self.upscale_factor)
