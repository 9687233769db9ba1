"""What stands in a camera's way, and steps that respect it: nobody walks through what he sees.

What is seen at the height of the eye is taken as solid: points around the camera, from a picture's inverse depth. The
body is a disc. A step that would bring it nearer to a point than its radius is pushed back along the line between them,
so who walks into a wall at an angle slides along it. What is behind the camera is not known and stops nobody.
Knows depth and steps; nothing about pictures, networks or streams.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

COLUMN = 4
"""Pixels across that one point stands for."""

BAND = 8
"""The points come from this part of the picture's height, in its middle: one over so much."""

FAR = 1e3
"""Depth where nothing is known."""

PARTS = 4
"""A step is made in so many parts, or a long one would come out behind a wall."""

PUSHES = 2
"""Times that a part is pushed back, each time from the point that it violates most: corners need two."""


def obstacles(near: Tensor, fov: float) -> Tensor:
    """(B, W / 4, 2) points right and forward of a camera, from inverse depth (B, 1, H, W) at the height of the eye."""
    height, width = near.shape[-2:]
    band = near[:, 0, height // 2 - height // (2 * BAND) : height // 2 + height // (2 * BAND)].mean(1)
    depth = F.avg_pool1d(band, COLUMN).clamp(min=1.0 / FAR).reciprocal()
    count = width // COLUMN
    across = (torch.arange(count, device=near.device) + 0.5) / count * 2.0 - 1.0
    return torch.stack([across * math.tan(math.radians(fov / 2.0)) * depth, depth], -1)


def kept_out(step: Tensor, solid: Tensor, body: float) -> Tensor:
    """(B, 3) steps right, down and forward, as far as a body can go.

    Args:
        step: (B, 3) where it wants to go.
        solid: (B, n, 2) points right and forward of where it stands.
        body: its radius, in the same lengths. Who is nearer than that already may stay, and leave.
    """
    wanted, distance = step[:, ::2], solid.norm(dim=-1)
    free = distance.amin(1, keepdim=True) >= body + wanted.norm(dim=1, keepdim=True)  # nothing in reach: most steps
    if free.all():
        return step
    clearance = distance.clamp(max=body)  # (B, n) how near it may come
    went = torch.zeros_like(wanted)
    for _ in range(PARTS):
        went = went + wanted / PARTS
        for _ in range(PUSHES):
            went = went + _push(went, solid, clearance)
    # No push carries anybody further than his own step.
    went = went * (wanted.norm(dim=1, keepdim=True) / went.norm(dim=1, keepdim=True).clamp(min=1e-6)).clamp(max=1.0)
    return torch.where(free, step, torch.stack([went[:, 0], step[:, 1], went[:, 1]], 1))


def _push(place: Tensor, solid: Tensor, clearance: Tensor) -> Tensor:
    """(B, 2) from a place (B, 2) away from the point that it is too near to by most; zeros where there is none."""
    away = place[:, None] - solid
    distance = away.norm(dim=-1)
    short, worst = (clearance - distance).max(1)
    at = worst[:, None]
    line = away.gather(1, at[..., None].expand(-1, 1, 2))[:, 0] / distance.gather(1, at).clamp(min=1e-6)
    return short.clamp(min=0.0)[:, None] * line
