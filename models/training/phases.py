"""Phases: what each pixel of a cell is off by on average, how that is unlearned, and how it is taken off biases.

A convolution that makes n by n pixels of every position has a bias for each of them. When training ends some are left
off by a level or more (what a loss looks at in strides it does not see all alike), and lie over every picture as a
grid. How far is measured on recordings, and subtracted. Knows pictures and biases; no network.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

CELLS = 8
"""Cells of a square in which errors that repeat are a mesh, each way."""


def phase_errors(made: Tensor, true: Tensor, n: int) -> Tensor:
    """Mean error of each place in cells of n by n pixels, less that of the whole channel.

    Args:
        made: (B, C, H, W) pictures.
        true: (B, C, H, W) what they should be.
        n: pixels of a cell, each way.

    Returns:
        (C * n * n,) float32, in the order of `to_pixels`.
    """
    batch, channels, height, width = true.shape
    off = (made.float() - true.float()).view(batch, channels, height // n, n, width // n, n).mean((0, 2, 4))
    return (off - off.mean((1, 2), keepdim=True)).flatten()


def mesh_loss(made: Tensor, true: Tensor, n: int) -> Tensor:
    """Root-mean-square of the errors that repeat from cell to cell, in squares of `CELLS` cells, mean over squares.

    Whoever is paid for grain where there is nothing to know paints the same grain into every cell: it is the cheapest.

    Args:
        made: (B, C, H, W) pictures.
        true: (B, C, H, W) what they should be.
        n: pixels of a cell, each way.
    """
    batch, channels, height, width = true.shape
    off = (made - true).view(batch * channels, height // n, n, width // n, n).movedim(3, 2).flatten(3)
    off = (off - off.mean(3, keepdim=True)).movedim(3, 1)
    repeats = F.avg_pool2d(off, (min(CELLS, height // n), min(CELLS, width // n)))
    return (repeats.square().mean(1) + 1e-8).sqrt().mean()


def level(bias: Tensor, errors: Tensor) -> None:
    """Take errors (k,) off the first k numbers of a bias."""
    bias.data[: len(errors)] -= errors.to(bias)
