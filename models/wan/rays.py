"""Cameras' rays: where a token's pixels look from and where to (Plücker's origin and direction; LingBot-World).

A pose is a camera, (3, 4): its axes (right, down, forward) as columns, then its place, all seen from another camera.
Knows geometry; nothing about networks or actions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

CELL = 8  # pixels of a latent cell, each way
NUMBERS = 6 * CELL * CELL  # of a latent cell: origin and direction of each pixel


def rays_of(poses: Tensor, height: int, width: int, fov: float, patch: int = 2) -> Tensor:
    """Rays of the pixels of every token.

    Args:
        poses: (F, 3, 4) float32.
        height: pixels.
        width: pixels.
        fov: degrees across the picture; pixels are square.
        patch: latent cells of a token, each way.

    Returns:
        (F, tokens, 6 * 64 * patch * patch): of each token origin, then direction (three numbers each); of each
        number the places inside a cell, row by row; of each of these the cells of the token.
    """
    focal = width / 2.0 / math.tan(math.radians(fov / 2.0))
    down, across = ((torch.arange(n, device=poses.device) + 0.5 - n / 2.0) / focal for n in (height, width))
    ahead = torch.ones(height, width, device=poses.device)
    look = torch.stack([across.expand(height, -1), down[:, None].expand(-1, width), ahead], -1)
    look = look / look.norm(dim=-1, keepdim=True)
    ways = torch.einsum("fij,yxj->fiyx", poses[..., :3], look)
    rays = torch.cat([poses[..., 3, None, None].expand_as(ways), ways], 1)  # (F, 6, height, width)
    rows, columns = height // (CELL * patch), width // (CELL * patch)
    cells = rays.view(len(poses), 6, rows, patch, CELL, columns, patch, CELL)
    tokens = cells.permute(
        0, 2, 5, 1, 4, 7, 3, 6
    )  # frame, row, column, number, place down and across, cell down and across
    return tokens.flatten(3).flatten(1, 2)


def yawed(degrees: Tensor) -> Tensor:
    """(...) -> (..., 3, 3): turned right."""
    cos, sin, zero, one = _parts(degrees)
    return torch.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], -1).view(*degrees.shape, 3, 3)


def pitched(degrees: Tensor) -> Tensor:
    """(...) -> (..., 3, 3): turned up."""
    cos, sin, zero, one = _parts(degrees)
    return torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], -1).view(*degrees.shape, 3, 3)


def rolled(degrees: Tensor) -> Tensor:
    """(...) -> (..., 3, 3): turned clockwise about the line of sight."""
    cos, sin, zero, one = _parts(degrees)
    return torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], -1).view(*degrees.shape, 3, 3)


def _parts(degrees: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    angle = torch.deg2rad(degrees.double())
    return angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
