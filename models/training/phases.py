"""Phases: what each pixel of a cell is off by on average, and how that is taken off the bias that it comes from.

A convolution that makes n by n pixels of every position has a bias for each of them. When training ends some are left
off by a level or more (what a loss looks at in strides it does not see all alike), and lie over every picture as a
grid. How far is measured on recordings, and subtracted. Knows pictures and biases; no network.
"""

from __future__ import annotations

from torch import Tensor


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


def level(bias: Tensor, errors: Tensor) -> None:
    """Take errors (k,) off the first k numbers of a bias."""
    bias.data[: len(errors)] -= errors.to(bias)
