"""The maze as the engine knows it, kept beside recordings: its walls, and how high it is.

What a world needs of it: its floorplan, and the body that walks in it. Knows lines on a map; no picture.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..body import Body, BodyConfig
from ..floorplan import Floorplan
from .recipe import Recipe

FILE = "maze.npz"
"""Beside the recordings."""

EYE = 41.0
"""Map units from the floor to the eye of who stands."""


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


def floorplan_in(maze: Maze | None, recipe: Recipe) -> Floorplan | None:
    """The place that the camera sees, if anybody knows it."""
    if maze is None or recipe.motion is None:
        return None
    unit = recipe.motion.unit
    height = float(maze.ceiling) - float(maze.floor)
    return Floorplan(torch.from_numpy(maze.walls / unit), EYE / unit, (height - EYE) / unit)


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
