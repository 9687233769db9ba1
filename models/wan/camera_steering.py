"""Keys and looks as the way of a camera, for networks that hear rays (LingBot-World).

Of each latent frame the network is told the pose as seen from that of the latent frame before, which is what the
actions of its own four pictures made of it; of a stream's first one, that nothing has moved. Places are in units of the
fastest move: its authors divide a whole film's by its fastest, which a stream that goes on cannot know. Turning right
goes round the world's upright, so how far the camera looks up is carried along. Knows actions and poses; no network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..kv_cache import CacheConfig, KVCache
from ..spec import Key
from .config import PICTURES, CameraShape
from .controls import Controls
from .rays import pitched, rays_of, yawed
from .steering import turning

MOVES = {"forward": "KeyW", "back": "KeyS", "left": "KeyA", "right": "KeyD"}
STEEPEST = 85.0  # degrees that the camera looks up or down at most


class CameraSteering:
    """See `Steering`."""

    caches: tuple[CacheConfig, ...] = ()

    def __init__(self, shape: CameraShape, height: int, width: int, patch: int) -> None:
        self.shape, self._size, self._patch = shape, (height, width), patch
        self.actions = turning(tuple(MOVES), {code: Key(name) for name, code in MOVES.items()}, shape.most)

    def rest(self) -> Tensor:
        """See `Steering`: degrees that the camera looks up."""
        return torch.zeros(1, dtype=torch.float64)

    def hear(self, carried: Tensor, rows: Tensor, first: bool) -> tuple[Tensor, Tensor]:
        """See `Steering`: (F, 3, 4) poses."""
        poses, pitch = [], carried
        for k, part in enumerate(torch.split(rows.double(), PICTURES)):
            if first and k == 0:
                poses.append(torch.eye(4, dtype=torch.float64)[:3])
            else:
                pose, pitch = _moved(part, pitch)
                poses.append(pose)
        return torch.stack(poses).float(), pitch

    def controls(self, told: Tensor, caches: Sequence[Sequence[KVCache]]) -> Controls:
        """See `Steering`."""
        del caches
        rays = rays_of(told.flatten(0, 1), *self._size, self.shape.fov, self._patch)
        return Controls(rays=torch.unflatten(rays, 0, told.shape[:2]))

    def past(self, told: Tensor, caches: Sequence[KVCache], numbers: list[int]) -> Controls:
        """See `Steering`."""
        del numbers
        return self.controls(told, [caches])


def _moved(rows: Tensor, pitch: Tensor) -> tuple[Tensor, Tensor]:
    """The pose after some pictures as seen from before them, and how far it looks up: rows (n, A), pitch (1,)."""
    forward, back, left, right, yaws, pitches = rows.unbind(1)
    steps = torch.stack([right - left, torch.zeros_like(left), forward - back], 1)  # along the ground
    steps = steps / steps.norm(dim=1, keepdim=True).clamp(min=1.0) / len(rows)
    turns = yaws.cumsum(0)
    place = torch.einsum("nij,nj->i", yawed(turns), steps)
    now = (pitch + pitches.sum()).clamp(-STEEPEST, STEEPEST)
    back_again = pitched(pitch[0]).T
    turned = back_again @ yawed(turns[-1]) @ pitched(now[0])
    return torch.cat([turned, (back_again @ place)[:, None]], 1), now
