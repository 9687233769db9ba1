"""Which recorded frames a world carries as keyframes, and where they were taken.

Poses are those of engines whose pose is (x, y, ..., heading in degrees, left +), as `DoomSimulator`'s on one map. Knows
recordings; nothing about pictures or networks.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..poses import apart
from .clips import Clips
from .recipe import Recipe

CANDIDATES = 30_000  # frames among which keyframes are looked for: enough to be near everywhere


def survey(recipe: Recipe, clips: Clips) -> tuple[NDArray[np.int64], Tensor | None]:
    """Indices (K,) of the keyframes, and their poses (K, 3) where worlds move their pictures.

    There they lie as far apart as can be, to be near to wherever a camera goes; elsewhere evenly spread in time.
    """
    count = recipe.dynamics.keyframes
    if recipe.motion is None:
        return np.linspace(0, len(clips) - 1, count).astype(np.int64), None
    some = np.unique(np.linspace(0, len(clips) - 1, CANDIDATES).astype(np.int64))
    poses = recorded_poses(clips, recipe.motion.unit)[some]
    chosen = apart(poses, count)
    return some[chosen.numpy()], poses[chosen]


def recorded_poses(clips: Clips, unit: float) -> Tensor:
    """(n, 3) float64 where each frame was taken, as in poses.py; `unit` of the engine's lengths are one."""
    poses = clips.poses.astype(np.float64)
    return torch.from_numpy(np.concatenate([poses[:, :2] / unit, 90.0 - poses[:, -1:]], 1))
