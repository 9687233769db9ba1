"""Rotary positions in three dimensions: time, row and column of a latent cell (RoFormer, arXiv 2104.09864).

Phases are computed in float64 and reduced to one turn before the cosine, so frame one million is as exact as frame
one. Attention sees differences of positions only. Knows nothing about attention or caches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

Rotary = tuple[Tensor, Tensor]
"""Cosine and signed sine of a whole head, each (..., S, d), float32: see `rotate`."""


@dataclass(frozen=True)
class RopeConfig:
    """How positions become phases."""

    head_dim: int  # numbers in a head; a multiple of 8
    rows: int  # latent cells down
    columns: int  # latent cells across
    base: float = 100.0  # longest wavelength over the shortest
    fov: float = 0.0  # degrees across the picture when columns stand for directions, 0 for a flat picture
    split: tuple[int, int, int] | None = None  # rotated pairs for time, row and column; None: see `pairs`

    @property
    def pairs(self) -> tuple[int, int, int]:
        """Rotated pairs for time, row and column: a quarter for time, the rest in halves, if nothing else is said."""
        if self.split:
            return self.split
        time = self.head_dim // 8
        space = (self.head_dim // 2 - time) // 2
        return self.head_dim // 2 - 2 * space, space, space

    @property
    def degrees_per_cell(self) -> float:
        """Turning by this much moves the picture by one cell."""
        return self.fov / self.columns


def column_positions(config: RopeConfig) -> Tensor:
    """(columns,) float64 positions in cells: places on a flat picture, or directions (azimuths) in a camera's view."""
    if not config.fov:
        return torch.arange(config.columns, dtype=torch.float64)
    across = (torch.arange(config.columns, dtype=torch.float64) + 0.5) / config.columns * 2.0 - 1.0
    azimuth = torch.atan(across * math.tan(math.radians(config.fov / 2.0)))
    return torch.rad2deg(azimuth) / config.degrees_per_cell


def rotary(config: RopeConfig, frames: Tensor, yaw: Tensor) -> Rotary:
    """Phases of all cells of the given frames.

    Args:
        config: positions and wavelengths.
        frames: (..., F) float64 frame indices.
        yaw: (..., F) float64 degrees the camera has turned right; zeros when it stands still.

    Returns:
        cosine and signed sine, each (..., F * rows * columns, head_dim), float32.
    """
    t, y, x = config.pairs
    shape = (*frames.shape, config.rows, config.columns)
    row = torch.arange(config.rows, dtype=torch.float64, device=frames.device)[:, None]
    turned = yaw / config.degrees_per_cell if config.fov else yaw * 0.0
    column = column_positions(config).to(frames.device) + turned[..., None, None]
    angles = [  # an axis at a time, before cells are made of them: cosines in float64 are dear
        (place[..., None] * config.base ** (-torch.arange(n, dtype=torch.float64, device=frames.device) / n)).remainder(
            2.0 * math.pi
        )
        for place, n in ((frames[..., None, None], t), (row, y), (column, x))
    ]
    cos, sin = (
        torch.cat([of(angle).float().expand(*shape, -1) for angle in angles], -1).flatten(-4, -2)
        for of in (torch.cos, torch.sin)
    )
    return torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)


def rotate(x: Tensor, rotary: Rotary) -> Tensor:
    """(..., S, d) turned by phases that broadcast to it; number i is paired with number i + d/2; the dtype stays."""
    cos, sin = rotary
    wide = x.float()
    return torch.addcmul(wide * cos, wide.roll(x.shape[-1] // 2, -1), sin).to(x.dtype)
