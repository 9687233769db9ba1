"""Walks: how the camera really moved from frame to frame of recordings, from the engine's poses.

For engines whose pose is (x, y, ..., heading in degrees, left +), as `DoomSimulator`'s. Knows recordings and
directions; nothing about pictures or networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..autoencoder import to_signed
from ..motion import MotionConfig, turned
from .clips import Clips
from .recipe import Recipe, normal_actions
from .survey import Index, recorded_poses, recorded_rises


def motion_config(recipe: Recipe) -> MotionConfig:
    """The shape that a recipe asks for, and its camera.

    Raises:
        ValueError: the recipe has no camera that moves.
    """
    spec, r = recipe.spec, recipe.dynamics
    if not recipe.motion or not r.azimuth:
        raise ValueError(f"the recipe {spec.name!r} has no [motion], or no azimuth that turns its camera")
    turn = spec.actions.columns.index(r.azimuth)
    degrees = float(max(abs(spec.actions.low[turn]), abs(spec.actions.high[turn])))
    return MotionConfig(
        height=spec.height,
        width=spec.width,
        actions=len(spec.actions.columns),
        history=r.history,
        turn=turn,
        degrees=degrees,
        fov=r.fov,
        unit=recipe.motion.unit,
        gait=recipe.motion.gait,
        bob=recipe.motion.bob,
        body=recipe.motion.body / recipe.motion.unit,
        widths=recipe.motion.widths,
    )


@dataclass
class Walks:
    """The recorded frames of a set, and the motion that led to each."""

    clips: Clips
    config: MotionConfig
    actions: NDArray[np.float32]  # (n, A) leading, normalised
    steps: Tensor  # (n, 2) right and forward, as seen from the frame before; zeros where an episode begins
    momenta: Tensor  # (n, 2) the same as seen from the frame itself
    turns: Tensor  # (n,) degrees to the right from the frame before
    poses: Tensor  # (n, 3) float64, see poses.py
    rises: Tensor  # (n,) how much higher than at rest the eye was, in units of depth
    clocks: Index  # (n,) frames since the episode began
    moving: Index  # frames whose camera took a step, of at least one of the engine's lengths
    followers: Index  # frames that have a frame before them

    @classmethod
    def of(cls, recipe: Recipe, folder: Path, name: str) -> Walks:
        """The set `name` of a run's folder."""
        config, clips = motion_config(recipe), Clips.open(folder / "data" / name)
        steps, momenta, clocks = walked(clips, config)
        actions = normal_actions(recipe, clips.leading)
        turns = torch.from_numpy(actions[:, config.turn] * np.float32(config.degrees))
        moving = np.flatnonzero(steps.norm(dim=1).numpy() * config.unit > 1.0)
        poses, rises = recorded_poses(clips, config.unit), recorded_rises(clips, config.unit)
        followers = np.flatnonzero(clocks > 0)
        return cls(clips, config, actions, steps, momenta, turns, poses, rises, clocks, moving, followers)

    def told(self, at: Index) -> Tensor:
        """(n, history, A) the latest actions at frames (n,), zeros before the episode began."""
        lag = np.arange(self.config.history)
        index = at[:, None] - lag
        known = lag <= self.clocks[at][:, None]
        return torch.from_numpy(self.actions[index] * known[..., None])

    def clock(self, at: Index) -> Tensor:
        """(n,) float64 `MotionNet`'s frame numbers."""
        return torch.from_numpy(self.clocks[at].astype(np.float64))

    def pictures(self, at: Index) -> Tensor:
        """(n, 3, H, W) recorded frames in [-1, 1]."""
        return to_signed(torch.from_numpy(self.clips.take(at)))


def inertia(walks: Walks) -> Tensor:
    """`MotionNet.inertia` as recorded: of those bodies that nothing held up, whichever these were.

    Half of them lean on walls. So outliers are left out, and ever more is one: a Geman-McClure estimator whose scale
    falls (graduated non-convexity, Blake and Zisserman, 1987).
    """
    at = walks.moving[walks.clocks[walks.moving] > 0]
    half = 0.5 * walks.turns[at].float()
    known = torch.cat([turned(walks.momenta[at - 1], half), torch.from_numpy(walks.actions[at])], 1).double()
    went = turned(walks.steps[at], half).double()
    weight = torch.ones(len(at), 1, dtype=torch.float64)
    measured = torch.zeros(known.shape[1], 2, dtype=torch.float64)
    for scale in np.geomspace(0.05, 0.0005, 60):  # units of depth: most of a step, to what poses are exact to
        weighed = (weight.square() * known).T
        measured = torch.linalg.pinv(weighed @ known, hermitian=True) @ (weighed @ went)  # of what no frame shows, 0
        weight = 1.0 / (1.0 + (known @ measured - went).square().sum(1, keepdim=True) / scale**2)
    return measured.T.float()


def walked(clips: Clips, config: MotionConfig) -> tuple[Tensor, Tensor, Index]:
    """Steps (n, 2), momenta (n, 2) and clocks (n,) of recorded frames, as in `Walks`."""
    begins = clips.begins
    clocks = np.arange(len(clips)) - np.maximum.accumulate(np.where(begins, np.arange(len(clips)), 0))
    poses = clips.poses.astype(np.float64)
    gone = np.diff(poses[:, :2], axis=0, prepend=poses[:1, :2]) * ~begins[:, None] / config.unit
    heading = np.radians(np.concatenate([poses[:1, -1], poses[:-1, -1]]))
    sin, cos = np.sin(heading), np.cos(heading)
    steps = np.stack([gone[:, 0] * sin - gone[:, 1] * cos, gone[:, 0] * cos + gone[:, 1] * sin], 1)
    forth = torch.from_numpy(steps.astype(np.float32))
    return forth, turned(forth, torch.from_numpy(clips.leading[:, config.turn])), clocks
