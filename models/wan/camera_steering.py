"""Keys, looks and told moves as the way of a camera, for networks that hear rays (LingBot-World).

A camera moves, turns and leans; each picture's share of that is a column, so a program that has poses tells them as
rows (`worldloom.client.pose_path`). Of each latent frame the network is told the pose as seen from that of the latent
frame before, which is what the actions of its own four pictures made of it; of a stream's first one, that nothing has
moved. Places are in units of the fastest move: its authors divide a whole film's by its fastest, which a stream that
goes on cannot know. Turning right goes round the world's upright, so how far the camera looks up and leans is carried
along. Knows actions and poses; no network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..kv_cache import CacheConfig, KVCache
from ..spec import Axis, Key
from .config import PICTURES, CameraShape
from .controls import Controls
from .rays import pitched, rays_of, rolled, yawed
from .steering import turning

MOVES = {"right": ("KeyD", "KeyA"), "up": ("KeyE", "KeyQ"), "forward": ("KeyW", "KeyS")}  # there, and back
STEEPEST = 85.0  # degrees that the camera looks up or down at most


class CameraSteering:
    """See `Steering`."""

    caches: tuple[CacheConfig, ...] = ()

    def __init__(self, shape: CameraShape, height: int, width: int, patch: int) -> None:
        self.shape, self._size, self._patch = shape, (height, width), patch
        keys = {code: Key(name, way) for name, both in MOVES.items() for code, way in zip(both, (1, -1), strict=True)}
        moves = tuple(Axis(name, -1.0, 1.0, "of its way/frame", "level") for name in MOVES)
        self.actions = turning(keys, shape.most, moves=moves, turns=("yaw", "pitch", "roll"))

    def rest(self) -> Tensor:
        """See `Steering`: degrees that the camera looks up, and that it leans clockwise."""
        return torch.zeros(2, dtype=torch.float64)

    def hear(self, carried: Tensor, rows: Tensor, first: bool) -> tuple[Tensor, Tensor]:
        """See `Steering`: (F, 3, 4) poses."""
        poses = []
        for k, part in enumerate(torch.split(rows.double(), PICTURES)):
            if first and k == 0:
                poses.append(torch.eye(4, dtype=torch.float64)[:3])
            else:
                pose, carried = _moved(part, carried)
                poses.append(pose)
        return torch.stack(poses).float(), carried

    def controls(self, told: Tensor, caches: Sequence[Sequence[KVCache]]) -> Controls:
        """See `Steering`."""
        del caches
        rays = rays_of(told.flatten(0, 1), *self._size, self.shape.fov, self._patch)
        return Controls(rays=torch.unflatten(rays, 0, told.shape[:2]))

    def past(self, told: Tensor, caches: Sequence[KVCache], numbers: list[int]) -> Controls:
        """See `Steering`."""
        del numbers
        return self.controls(told, [caches])


def _moved(rows: Tensor, leant: Tensor) -> tuple[Tensor, Tensor]:
    """The pose after some pictures as seen from before them, and how it looks up and leans: rows (n, A), leant (2,)."""
    right, up, forward, yaws, pitches, rolls = rows.unbind(1)
    steps = torch.stack([right, -up, forward], 1)  # along the ground, and straight up
    steps = steps / steps.norm(dim=1, keepdim=True).clamp(min=1.0) / len(rows)
    turns = yaws.cumsum(0)
    place = torch.einsum("nij,nj->i", yawed(turns), steps)
    pitch, roll = (leant[0] + pitches.sum()).clamp(-STEEPEST, STEEPEST), leant[1] + rolls.sum()
    back_again = (pitched(leant[0]) @ rolled(leant[1])).T
    turned = back_again @ yawed(turns[-1]) @ pitched(pitch) @ rolled(roll)
    return torch.cat([turned, (back_again @ place)[:, None]], 1), torch.stack([pitch, roll])
