"""Floorplan: a level place with walls, and how near everything in it is from anywhere, exactly.

Floor and ceiling are level, and every wall goes from one to the other. So what a column of pixels shows of walls is the
nearest line that its ray meets, and floor and ceiling come nearer by as much as one looks down or up: ray casting, as
in the games of 1992. Knows lines on a map and a camera that looks level; no picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .motion import MotionConfig, pixel_centres

OVERLAP = 1e-5
"""Share of its length by which a line is taken to be longer at both ends: rays do not pass between two that meet."""

NEAREST = 8.0
"""Inverse depth of what is nearest: nobody comes so near to a wall."""


@dataclass(frozen=True)
class Floorplan:
    """Walls, and how high the place is."""

    walls: Tensor  # (n, 4) float64 lines from east, north to east, north, in units of depth
    below: float  # units of depth from the eye of who rests to the floor
    above: float  # and to the ceiling

    def to(self, device: torch.device) -> Floorplan:
        """The same there."""
        return Floorplan(self.walls.to(device), self.below, self.above)

    def near(self, config: MotionConfig, poses: Tensor, rises: Tensor) -> Tensor:
        """(B, 1, H, W) float32 inverse depth of everything in sight.

        Args:
            config: of the camera.
            poses: (B, 3) float64 where it is, see poses.py.
            rises: (B,) how much higher than at rest it is.
        """
        y = pixel_centres(config.height, poses.device) * config.tall  # down
        below, above = self.below + rises[:, None], self.above - rises[:, None]
        level = torch.where(y > 0.0, y / below, -y / above)[:, None, :, None]
        return torch.maximum(self.walls_near(config, poses)[:, None, None], level)

    def walls_near(self, config: MotionConfig, poses: Tensor) -> Tensor:
        """(B, W) float32 inverse depth of the nearest wall behind each column of pixels, 0 where there is none."""
        heading = torch.deg2rad(poses[:, 2]).float()[:, None]
        sin, cos = heading.sin(), heading.cos()
        x = pixel_centres(config.width, poses.device) * config.across
        ray = (sin + x * cos)[:, :, None], (cos - x * sin)[:, :, None]  # (B, W, 1): so far to the east and the north
        begin = (self.walls[:, :2] - poses[:, None, :2]).float().unbind(-1)  # (B, n)
        along = (self.walls[:, 2:] - self.walls[:, :2]).float().unbind(-1)  # (n,)
        crossed = ray[0] * along[1] - ray[1] * along[0]
        part = begin[0][:, None] * ray[1] - begin[1][:, None] * ray[0]
        near = crossed / (begin[0] * along[1] - begin[1] * along[0])[:, None]
        where = part / crossed
        met = (near > 0.0) & (where >= -OVERLAP) & (where <= 1.0 + OVERLAP)
        return torch.where(met, near, 0.0).amax(-1).clamp(max=NEAREST)
