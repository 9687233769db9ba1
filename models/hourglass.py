"""Hourglass: features of a picture at 1/4, 1/8 and 1/16 of its size and back, told some numbers on the way.

What the coarsest features find out reaches the finest ones, beside a straight path on each level (U-Net, arXiv
1505.04597). The finest have learned maps of where they are. Knows nothing about what goes in and what comes out.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .convolution import Conv2d
from .linear import Linear
from .patches import Mixer

CELL = 4
"""Pixels of a picture that one position of the finest features spans, each way."""

TOLD = 64
"""Features of what it is told."""


class Hourglass(nn.Module):
    """A network from cells and numbers to cells."""

    def __init__(
        self,
        size: tuple[int, int],
        widths: tuple[int, int, int],
        *,
        numbers: int,
        entering: int,
        leaving: int,
        told_at_once: bool = False,
    ) -> None:
        """Args:
        size: of the picture, (height, width) in pixels, multiples of 16.
        widths: features at 1/4, 1/8 and 1/16 of the picture.
        numbers: that it is told.
        entering: numbers of a cell on its way in.
        leaving: numbers of a cell on its way out.
        told_at_once: the finest features are told as well, and not the coarsest alone.
        """
        super().__init__()
        (height, width), (a, b, c) = size, widths
        self.told = nn.Sequential(Linear(numbers, TOLD), nn.SiLU(), Linear(TOLD, TOLD), nn.SiLU())
        self.enter = Conv2d(entering, a, 3, padding=1)
        self.place = nn.Parameter(torch.zeros(a, height // CELL, width // CELL))
        self.inform_fine = Linear(TOLD, a) if told_at_once else None
        self.fine = Mixer(a)
        self.shrink = Conv2d(a, b, 2, stride=2)
        self.middle = Mixer(b)
        self.inform = Linear(TOLD, c)
        self.shrink_again = Conv2d(b, c, 2, stride=2)
        self.coarse = nn.Sequential(Mixer(c), Mixer(c))
        self.grow = Conv2d(c, 4 * b, 1)
        self.middle_out = Mixer(b)
        self.grow_again = Conv2d(b, 4 * a, 1)
        self.fine_out = Mixer(a)
        self.leave = Conv2d(a, leaving, 3, padding=1)
        for layer in (self.leave, self.inform, self.inform_fine):
            if layer is not None:
                nn.init.zeros_(layer.weight)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def down_and_up(self, cells: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """What leaves (B, leaving, h, w), and the coarsest features (B, c, h / 4, w / 4).

        Args:
            cells: (B, entering, h, w).
            told: (B, TOLD), of `self.told`.
        """
        x = self.enter(cells) + self.place
        if self.inform_fine is not None:
            x = x + self.inform_fine(told)[:, :, None, None]
        fine = self.fine(x)
        middle = self.middle(self.shrink(fine))
        coarse = self.coarse(self.shrink_again(middle) + self.inform(told)[:, :, None, None])
        middle = self.middle_out(middle + F.pixel_shuffle(self.grow(coarse), 2))
        fine = self.fine_out(fine + F.pixel_shuffle(self.grow_again(middle), 2))
        return self.leave(F.silu(fine)), coarse
