"""Hands: where a robot's hand really was in recordings, from the engine's poses.

For engines whose pose begins with the hand in metres and how far it is open, as `ArmSimulator`'s. Knows recordings and
the arm's camera; nothing about pictures or networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..autoencoder import to_signed
from ..reach import Arm, ReachConfig
from ..warp import WarpConfig
from .clips import Clips
from .gripper import AXES, CAMERA, VIEW
from .recipe import Recipe, normal_actions
from .survey import Index

LOW, HIGH = (-0.5, 0.4, 0.05), (0.5, 1.0, 0.5)
"""Metres: corners of the box that Meta-World keeps its target in."""

HISTORY = 2
"""Action rows that tell where the hand goes."""

PLATE = 300
"""Frames that are looked at to know what stands behind an arm."""

SAME = 25.0
"""Levels of 255 within which a pixel shows the same."""

MOVES = 0.004
"""Metres a frame from which a hand counts as moving."""

HANDLE = slice(4, 6)
"""Columns of a pose: a drawer's handle, across and along the way that it slides."""

SLIDES = 0.001
"""Metres a frame from which it counts as sliding."""


def hand_configs(recipe: Recipe) -> dict[str, object]:
    """The shapes of the networks that a recipe with [hand] asks for, by stage."""
    return {"reach": reach_config(recipe), "warp": warp_config(recipe)}


def reach_config(recipe: Recipe) -> ReachConfig:
    """Meta-World's box, and the recipe's drawer."""
    assert recipe.hand is not None, "the recipe has no [hand]"
    return ReachConfig(LOW, HIGH, recipe.hand.track)


def warp_config(recipe: Recipe) -> WarpConfig:
    """The shape that a recipe asks for, and `ArmSimulator`'s camera."""
    assert recipe.hand is not None, "the recipe has no [hand]"
    right, down, behind = AXES.T.tolist()  # recorded pictures are turned over: what MuJoCo calls up is down
    axes = (tuple(right), tuple(down), tuple(-side for side in behind))
    x, y, z = CAMERA.tolist()
    r, size = recipe.hand, (recipe.spec.height, recipe.spec.width)
    return WarpConfig(*size, (x, y, z), axes, VIEW, LOW, HIGH, r.widths, r.track)


@dataclass
class Hands:
    """The recorded frames of a set, and where the hand was in each."""

    clips: Clips
    actions: NDArray[np.float32]  # (n, A) leading, normalised
    hands: Tensor  # (n, 4) metres, and how far the hand is open
    targets: Tensor  # (n, 3) metres: where it was meant to be, counted from the actions
    handles: Tensor  # (n, 2) metres: of what slides, see `Arm`
    clocks: Index  # (n,) frames since the episode began
    followers: Index  # frames that have a frame before them
    sliding: Index  # frames to which the handle has gone

    @classmethod
    def of(cls, recipe: Recipe, folder: Path, name: str) -> Hands:
        """The set `name` of a run's folder."""
        return cls.in_clips(recipe, Clips.open(folder / "data" / name))

    @classmethod
    def in_clips(cls, recipe: Recipe, clips: Clips) -> Hands:
        """Those in recordings."""
        begins = np.diff(clips.episodes, prepend=-1) != 0
        clocks = np.arange(len(clips)) - np.maximum.accumulate(np.where(begins, np.arange(len(clips)), 0))
        actions = normal_actions(recipe, clips.leading)
        hands = torch.from_numpy(clips.poses[:, :4].astype(np.float32))
        targets = torch.from_numpy(meant(actions, clocks, clips.poses))
        handles = torch.zeros(len(clips), 2)
        if recipe.hand and recipe.hand.track:
            # A first pose still has the handle where it stood before it was put where the episode has it.
            late = np.minimum(np.arange(len(clips)) + (clocks == 0), len(clips) - 1)
            handles = torch.from_numpy(clips.poses[late][:, HANDLE].astype(np.float32))
        followers = np.flatnonzero(clocks > 0)
        return cls(clips, actions, hands, targets, handles, clocks, followers, sliding(clips, recipe))

    def told(self, at: Index) -> Tensor:
        """(n, HISTORY, A) the latest actions at frames (n,), zeros before the episode began."""
        lag = np.arange(HISTORY)
        known = lag <= self.clocks[at][:, None]
        return torch.from_numpy(self.actions[np.maximum(at[:, None] - lag, 0)] * known[..., None])

    def arm(self, at: Index) -> Arm:
        """The hand on its way, at frames (n,)."""
        before = np.where(self.clocks[at] > 0, at - 1, at)
        return Arm(self.hands[at], self.hands[before], self.targets[at], self.handles[at])

    def pictures(self, at: Index) -> Tensor:
        """(n, 3, H, W) recorded frames in [-1, 1]."""
        return to_signed(torch.from_numpy(self.clips.take(at)))


def sliding(clips: Clips, recipe: Recipe) -> Index:
    """Frames to which a handle has gone; none where nothing slides."""
    if not (recipe.hand and recipe.hand.track):
        return np.zeros(0, np.int64)
    gone = np.abs(np.diff(clips.poses[:, HANDLE.stop - 1], prepend=0.0)) > SLIDES
    return np.flatnonzero(gone & (np.diff(clips.episodes, prepend=-1) == 0))


def some_before(
    sliding: Index, starts: Index, allowed: Index, share: float, frames: tuple[int, int], rng: np.random.Generator
) -> Index:
    """Starts (n,), a share of them moved to soon before something slides, which is seldom and matters.

    Args:
        sliding: frames to which something has gone; where there are none, nothing is moved.
        starts: drawn from anywhere; written to.
        allowed: where a start may be moved.
        share: of the starts.
        frames: before it slides: at least so many, and fewer than so many.
        rng: draws.
    """
    if len(sliding):
        before = rng.choice(sliding, len(starts)) - rng.integers(*frames, len(starts))
        some = (rng.random(len(starts)) < share) & np.isin(before, allowed)
        starts[some] = before[some]
    return starts


def clean_plate(clips: Clips) -> Tensor:
    """(H, W, 3) uint8 what a camera that stands still sees most of the time: medians, without what is far from them."""
    some = clips.take(np.linspace(0, len(clips) - 1, min(PLATE, len(clips))).astype(np.int64))
    plate = np.median(some, axis=0)
    for _ in range(2):
        near = np.abs(some - plate).max(-1, keepdims=True) < SAME
        plate = (some * near).sum(0) / np.maximum(near.sum(0), 1)
    return torch.from_numpy(plate.round().astype(np.uint8))


def meant(actions: NDArray[np.float32], clocks: Index, poses: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 3) the target of each frame: it starts at the hand, and goes as the actions say, inside its box."""
    targets = np.zeros((len(actions), 3), np.float32)
    for k, action in enumerate(actions[:, :3].clip(-1.0, 1.0)):
        targets[k] = poses[k, :3] if not clocks[k] else np.clip(targets[k - 1] + 0.01 * action, LOW, HIGH)
    return targets
