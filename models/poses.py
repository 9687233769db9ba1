"""Poses: where a camera is, how it gets from one to another, and how little two of them have in common.

A pose is (east, north, heading): units of depth, units of depth, degrees from north to the east; float64, for a stream
adds up its steps for hours. Knows nothing about pictures, networks or streams.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .motion import Motion

REACH = 0.35
"""Units of depth between two places that count as much as ..."""

BEARING = 0.4
"""... radians between two headings: about as far as a picture can be moved without tearing."""

STEPS_AHEAD = 3.0
"""Who goes on as he went will be there after so many steps; a picture from there has the more to show."""


def signature(poses: Tensor) -> Tensor:
    """(n, 3) poses -> (n, 4) float32 whose distances say how little two pictures have in common."""
    heading = torch.deg2rad(poses[:, 2])
    where = torch.cat([poses[:, :2] / REACH, torch.stack([heading.cos(), heading.sin()], 1) / BEARING], 1)
    return where.float()


def advanced(poses: Tensor, motion: Motion) -> Tensor:
    """(B, 3) poses after a motion."""
    heading = torch.deg2rad(poses[:, 2])
    sin, cos = heading.sin(), heading.cos()
    right, ahead = motion.step[:, 0].double(), motion.step[:, 2].double()
    east, north = right * cos + ahead * sin, ahead * cos - right * sin
    return poses + torch.stack([east, north, motion.turn.double()], 1)


def further(before: Tensor, after: Tensor) -> Tensor:
    """(B, 3) where a camera will be that goes on as it went from one pose to the other."""
    gone = after - before
    gone = torch.cat([gone[:, :2], wrapped(gone[:, 2:])], 1)
    return after + STEPS_AHEAD * gone


def aside(poses: Tensor, degrees: float, behind: float) -> Tensor:
    """Poses (B, 3), so far behind and then turned to the right."""
    heading = torch.deg2rad(poses[:, 2])
    back = behind * torch.stack([heading.sin(), heading.cos()], 1)
    return torch.cat([poses[:, :2] - back, poses[:, 2:] + degrees], 1)


def motion_between(start: Tensor, end: Tensor, near: Tensor) -> Motion:
    """How a picture taken at poses (B, 3) `start` moves to poses `end`, where depth is as `near` says."""
    heading = torch.deg2rad(start[:, 2])
    sin, cos = heading.sin(), heading.cos()
    east, north = (end - start)[:, :2].unbind(1)
    right, ahead = east * cos - north * sin, east * sin + north * cos
    turn = wrapped(end[:, 2] - start[:, 2])
    step = torch.stack([right, torch.zeros_like(right), ahead], 1)
    return Motion(turn.float(), step.float(), near)


def kept_near(poses: Tensor, ground: Tensor, reach: float) -> Tensor:
    """Poses (B, 3), brought back to within `reach` of the nearest of the places (K, 2) where others have stood."""
    apart = ground - poses[:, None, :2]
    distance = apart.norm(dim=-1)
    least, nearest = distance.min(1)
    way = apart[torch.arange(len(poses)), nearest]
    back = way * ((least - reach).clamp(min=0.0) / least.clamp(min=1e-6))[:, None]
    return torch.cat([poses[:, :2] + back, poses[:, 2:]], 1)


def wrapped(degrees: Tensor) -> Tensor:
    """The same angles from -180 to 180."""
    return (degrees + 180.0).remainder(360.0) - 180.0


def apart(poses: Tensor, count: int) -> Tensor:
    """(count,) indices of poses (n, 3) that lie as far from each other as can be: each the farthest from those before.

    Farthest-point sampling (Gonzalez, 1985); all of them where there are no more than `count`.
    """
    points = signature(poses)
    chosen = [0]
    distance = torch.full((len(points),), torch.inf)
    while len(chosen) < min(count, len(points)):
        distance = torch.minimum(distance, (points - points[chosen[-1]]).square().sum(1))
        chosen.append(int(distance.argmax()))
    return torch.tensor(chosen)
