"""Which recorded frames a world carries in its album, and where they were taken.

Poses are those of engines whose pose is (x, y, ..., heading in degrees, left +), as `DoomSimulator`'s on one map. Knows
recordings; nothing about pictures or networks.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..album import Album
from ..poses import apart
from .clips import Clips
from .recipe import Recipe

Index = NDArray[np.int64]

CANDIDATES = 30_000  # frames among which pictures are looked for: enough to be near everywhere


def survey(recipe: Recipe, clips: Clips) -> tuple[Album, Index]:
    """The album, and the recorded frames (K,) that it holds.

    They were taken as far apart as can be, so that one is near to wherever a camera goes.
    """
    assert recipe.motion is not None, "the recipe has no [motion]"
    some = np.unique(np.linspace(0, len(clips) - 1, CANDIDATES).astype(np.int64))
    poses = recorded_poses(clips, recipe.motion.unit)[some]
    chosen = apart(poses, recipe.motion.album)
    frames = some[chosen.numpy()]
    pictures = (clips.frame(int(k)) for k in frames)
    return Album.of(pictures, poses[chosen], recorded_rises(clips, recipe.motion.unit)[frames]), frames


def recorded_poses(clips: Clips, unit: float) -> Tensor:
    """(n, 3) float64 where each frame was taken, as in poses.py; `unit` of the engine's lengths are one."""
    poses = clips.poses.astype(np.float64)
    return torch.from_numpy(np.concatenate([poses[:, :2] / unit, 90.0 - poses[:, -1:]], 1))


def engine_place(pose: NDArray[np.float64], unit: float) -> tuple[NDArray[np.float64], float]:
    """The engine's x, y (2,) and heading at a pose (3,): the way back from `recorded_poses`."""
    return pose[:2] * unit, 90.0 - float(pose[2])


def recorded_rises(clips: Clips, unit: float) -> Tensor:
    """(n,) float32 how much higher than at the beginning of its episode the camera was, where it had not moved yet."""
    if clips.poses.shape[1] < 4:
        return torch.zeros(len(clips))
    heights = clips.poses[:, 2].astype(np.float64)
    begins = np.flatnonzero(clips.begins)
    first = np.repeat(heights[begins], np.diff(begins, append=len(clips)))
    return torch.from_numpy(((heights - first) / unit).astype(np.float32))
