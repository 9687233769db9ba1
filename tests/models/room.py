"""A room with a pillar, and how it looks: every point of its walls, floor and ceiling has a colour of its own."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldloom.models.album import Album
from worldloom.models.body import Body, BodyConfig
from worldloom.models.floorplan import Floorplan
from worldloom.models.motion import MotionConfig, pixel_centres
from worldloom.models.training.maze import EYE, Maze

WALKER = MotionConfig(
    32, 48, 3, 2, turn=1, degrees=6.0, fov=90.0, unit=64.0, gait=10.0, bob=(2.0, 0.125, 162.0), widths=(8, 8, 8)
)
"""The tiny world's."""


def room() -> Maze:
    """Four units wide each way about the origin, two high, and the pillar a quarter of a unit wide."""
    walls = [*_square(0.0, 0.0, 128.0), *_square(48.0, 64.0, 8.0)]
    return Maze(np.array(walls), np.array(0.0), np.array(128.0))


def plan() -> Floorplan:
    """The same in units of depth."""
    return Floorplan(torch.from_numpy(room().walls / 64.0), EYE / 64.0, (128.0 - EYE) / 64.0)


def walker() -> Body:
    """Goes as the engine's player does; the columns of the tiny world push it ahead and turn it."""
    return Body(BodyConfig(0.25, 2, 0.90625, ((0.0, 0.78125 / 64.0), (0.0, 0.0), (0.0, 0.0))), plan().walls)


def _square(x: float, y: float, half: float) -> list[tuple[float, float, float, float]]:
    corners = [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]
    return [(*corners[k], *corners[(k + 1) % 4]) for k in range(4)]


def drawn(pose: Tensor, rise: float = 0.0, camera: MotionConfig = WALKER) -> NDArray[np.uint8]:
    """(H, W, 3) what is seen from a pose (3,), with the eye so much higher than at rest."""
    east, north, heading = (float(number) for number in pose)
    sin, cos = math.sin(math.radians(heading)), math.cos(math.radians(heading))
    x = pixel_centres(camera.width, torch.device("cpu")).double().numpy() * camera.across
    y = pixel_centres(camera.height, torch.device("cpu")).double().numpy() * camera.tall
    depth = 1.0 / plan().near(camera, pose[None], torch.tensor([rise]))[0, 0].double().numpy()
    places = (east + (sin + x * cos) * depth, north + (cos - x * sin) * depth, rise - y[:, None] * depth)
    colours = [127.0 + 100.0 * np.sin(2.0 * place + number) for number, place in enumerate(places)]
    return np.stack(colours, -1).round().astype(np.uint8)


def room_album(count: int = 60) -> Album:
    """Taken everywhere but at the walls and at the pillar, by somebody who walks."""
    rng = np.random.default_rng(0)
    poses = np.stack([*rng.uniform(-1.5, 1.5, (2, 4 * count)), rng.uniform(-180.0, 180.0, 4 * count)], 1)
    poses = poses[np.hypot(poses[:, 0] - 0.75, poses[:, 1] - 1.0) > 0.4][:count]
    rises = torch.from_numpy(rng.uniform(-0.1, 0.1, count).astype(np.float32))
    taken = torch.from_numpy(poses)
    pictures = (drawn(pose, float(rise)) for pose, rise in zip(taken, rises, strict=True))
    return Album.of(pictures, taken, rises)
