"""The maze's walls: how near everything is from anywhere in it, exactly.

Its floor and ceiling are level, and every wall goes from one to the other. So what a column of pixels shows of walls is
the nearest line that its ray meets, and floor and ceiling come nearer by as much as one looks down or up. Knows lines
on a map and a camera that looks level; no picture.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..body import Body, BodyConfig
from ..motion import MotionConfig, pixel_centres
from .recipe import Recipe

FILE = "maze.npz"
"""Beside the recordings."""

EYE = 41.0
"""Map units from the floor to the eye of who stands."""

PARALLEL = 1e-9
"""Rays and lines whose directions differ by less never meet."""


@dataclass(frozen=True)
class Maze:
    """What the engine says of it, in map units."""

    walls: NDArray[np.float64]  # (n, 4) lines that nobody passes, from x, y to x, y
    floor: NDArray[np.float64]  # () height
    ceiling: NDArray[np.float64]  # () height

    def save(self, data: Path) -> None:
        """Beside recordings."""
        data.mkdir(parents=True, exist_ok=True)
        np.savez(data / FILE, **asdict(self))

    @classmethod
    def open(cls, data: Path) -> Maze | None:
        """What was saved there, if it was."""
        if not (data / FILE).exists():
            return None
        with np.load(data / FILE) as file:
            return cls(file["walls"], file["floor"], file["ceiling"])

    def near(self, config: MotionConfig, pose: Tensor, rise: Tensor) -> NDArray[np.float32]:
        """(H, W) inverse depth of the picture taken at a pose (3,), see poses.py, and so high () above rest."""
        x = pixel_centres(config.width, torch.device("cpu")).double().numpy() * config.across
        y = pixel_centres(config.height, torch.device("cpu")).double().numpy() * config.tall  # down
        below = EYE / config.unit + float(rise)
        above = (float(self.ceiling) - float(self.floor)) / config.unit - below
        level = np.where(y > 0.0, y / below, -y / above)
        return np.maximum(self._walls_near(config, pose, x), level[:, None]).astype(np.float32)

    def _walls_near(self, config: MotionConfig, pose: Tensor, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """(W,) inverse depth of the nearest wall that each ray meets; rays go `x` to the right for one ahead."""
        east, north, heading = (float(number) for number in pose)
        sin, cos = math.sin(math.radians(heading)), math.cos(math.radians(heading))
        rays = np.stack([sin + x * cos, cos - x * sin], 1)[:, None]  # (W, 1, 2)
        begin = self.walls[:, :2] / config.unit - np.array([east, north])
        along = (self.walls[:, 2:] - self.walls[:, :2]) / config.unit
        crossed = _cross(rays, along)
        crossed = np.where(np.abs(crossed) < PARALLEL, PARALLEL, crossed)
        depth, part = _cross(begin, along) / crossed, _cross(begin, rays) / crossed
        met = (depth > 0.0) & (part >= 0.0) & (part <= 1.0)
        return np.asarray((met / np.where(met, depth, 1.0)).max(1))


def body_in(maze: Maze | None, recipe: Recipe) -> Body | None:
    """Who carries the camera through it, where the recipe says how the engine moves a body.

    Raises:
        ValueError: some of the walls are not along the axes.
    """
    r = recipe.motion
    if maze is None or r is None or not r.tics:
        return None
    if ((maze.walls[:, 0] != maze.walls[:, 2]) & (maze.walls[:, 1] != maze.walls[:, 3])).any():
        raise ValueError("expected walls along the axes: leave `tics` out, for this body is a square")
    pushes = [r.thrust.get(name, (0.0, 0.0)) for name in recipe.spec.actions.columns]
    thrust = tuple((right / r.unit, ahead / r.unit) for right, ahead in pushes)
    return Body(BodyConfig(r.body / r.unit, r.tics, r.friction, thrust), torch.from_numpy(maze.walls / r.unit))


def record_maze(recipe: Recipe, data: Path) -> None:
    """Ask the engine for the maze's walls, once; of other recordings nobody knows them.

    Raises:
        ImportError: the engine is not installed.
    """
    if recipe.data.simulator != "doom" or recipe.data.maps or (data / FILE).exists():
        return
    from .doom_game import walls
    from .doom_maps import MAZE

    lines, floor, ceiling = walls(MAZE)
    Maze(np.array(lines), np.array(floor), np.array(ceiling)).save(data)


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
