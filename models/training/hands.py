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
from ..thing import Thing
from ..warp import WarpConfig
from .clips import Clips
from .gripper import AXES, CAMERA, VIEW
from .recipe import Recipe, normal_actions
from .simulators import KIND, THING
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

MOVED = 0.001
"""Metres a frame from which that counts as moved."""

THINGS = {
    "button-press-topdown-v3": Thing((-0.5, 0.4, 0.21), (0.5, 1.0, 0.49), (2,)),
    "drawer-open-v3": Thing((-0.5, 0.53, 0.09), (0.5, 0.74, 0.09), (1,)),
    "pick-place-v3": Thing((-0.7, 0.2, 0.0), (0.55, 1.0, 0.5), (0, 1, 2), loose=True),
}
"""What can be moved in each of Meta-World's tasks that a hand can be counted in."""


def hand_configs(recipe: Recipe) -> dict[str, object]:
    """The shapes of the networks that a recipe with [hand] asks for, by stage."""
    return {"reach": reach_config(recipe), "warp": warp_config(recipe)}


def reach_config(recipe: Recipe) -> ReachConfig:
    """Meta-World's box, and what can be moved in the recipe's tasks; several take a larger network."""
    things = things_of(recipe)
    return ReachConfig(LOW, HIGH, things, width=128 if len(things) > 1 else 96)


def things_of(recipe: Recipe) -> tuple[Thing, ...]:
    """What can be moved in each of the recipe's tasks, in their order: of its drawer, where it has only a track.

    Raises:
        ValueError: nobody knows what can be moved in one of them.
    """
    if recipe.hand is None:
        return ()
    unknown = [task for task in recipe.data.tasks if task not in THINGS]
    if unknown:
        raise ValueError(
            f"a [hand] is counted in the tasks {', '.join(THINGS)}; got {', '.join(unknown)}: leave [hand] or these out"
        )
    if recipe.data.tasks:
        return tuple(THINGS[task] for task in recipe.data.tasks)
    if recipe.hand.track is None:
        return ()
    near, far, height = recipe.hand.track
    return (Thing((LOW[0], near, height), (HIGH[0], far, height), (1,)),)


def warp_config(recipe: Recipe) -> WarpConfig:
    """The shape that a recipe asks for, and `ArmSimulator`'s camera."""
    assert recipe.hand is not None, "the recipe has no [hand]"
    right, down, behind = AXES.T.tolist()  # recorded pictures are turned over: what MuJoCo calls up is down
    axes = (tuple(right), tuple(down), tuple(-side for side in behind))
    x, y, z = CAMERA.tolist()
    r, size = recipe.hand, (recipe.spec.height, recipe.spec.width)
    return WarpConfig(*size, (x, y, z), axes, VIEW, LOW, HIGH, r.widths, things_of(recipe))


@dataclass
class Hands:
    """The recorded frames of a set, and where the hand was in each."""

    clips: Clips
    actions: NDArray[np.float32]  # (n, A) leading, normalised
    hands: Tensor  # (n, 4) metres, and how far the hand is open
    targets: Tensor  # (n, 3) metres: where it was meant to be, counted from the actions
    things: Tensor  # (n, 3) metres: of what can be moved, see `Arm`
    kinds: Tensor  # (n,) int64: which of the recipe's things it is
    clocks: Index  # (n,) frames since the episode began
    followers: Index  # frames that have a frame before them
    moving: Index  # frames to which the thing has gone

    @classmethod
    def of(cls, recipe: Recipe, folder: Path, name: str) -> Hands:
        """The set `name` of a run's folder."""
        return cls.in_clips(recipe, Clips.open(folder / "data" / name))

    @classmethod
    def in_clips(cls, recipe: Recipe, clips: Clips) -> Hands:
        """Those in recordings."""
        begins = clips.begins
        clocks = np.arange(len(clips)) - np.maximum.accumulate(np.where(begins, np.arange(len(clips)), 0))
        actions = normal_actions(recipe, clips.leading)
        hands = torch.from_numpy(clips.poses[:, :4].astype(np.float32))
        targets = torch.from_numpy(meant(actions, clocks, clips.poses))
        things, kinds = torch.zeros(len(clips), 3), np.zeros(len(clips), np.int64)
        if things_of(recipe):
            # A first pose still has a handle where it stood before it was put where the episode has it.
            late = np.minimum(np.arange(len(clips)) + (clocks == 0), len(clips) - 1)
            things = torch.from_numpy(clips.poses[late][:, THING].astype(np.float32))
        if recipe.data.tasks:
            kinds = clips.poses[:, KIND].astype(np.int64)
        followers = np.flatnonzero(clocks > 0)
        moves = moving(clips, recipe)
        return cls(clips, actions, hands, targets, things, torch.from_numpy(kinds), clocks, followers, moves)

    def told(self, at: Index) -> Tensor:
        """(n, HISTORY, A) the latest actions at frames (n,), zeros before the episode began."""
        lag = np.arange(HISTORY)
        known = lag <= self.clocks[at][:, None]
        return torch.from_numpy(self.actions[np.maximum(at[:, None] - lag, 0)] * known[..., None])

    def arm(self, at: Index) -> Arm:
        """The hand on its way, at frames (n,)."""
        before = np.where(self.clocks[at] > 0, at - 1, at)
        things = self.things[at], self.things[before]
        return Arm(self.hands[at], self.hands[before], self.targets[at], *things, self.kinds[at])

    def pictures(self, at: Index) -> Tensor:
        """(n, 3, H, W) recorded frames in [-1, 1]."""
        return to_signed(torch.from_numpy(self.clips.take(at)))


def moving(clips: Clips, recipe: Recipe) -> Index:
    """Frames to which a thing has gone; none where nothing can."""
    if not things_of(recipe):
        return np.zeros(0, np.int64)
    gone = np.abs(np.diff(clips.poses[:, THING], axis=0, prepend=0.0)).max(1) > MOVED
    follows = ~clips.begins
    settled = np.roll(follows, 1)  # from a first pose to the second a handle is put where its episode has it
    return np.flatnonzero(gone & follows & settled)


def some_before(
    moving: Index, starts: Index, allowed: Index, share: float, frames: tuple[int, int], rng: np.random.Generator
) -> Index:
    """Starts (n,), a share of them moved to soon before a thing goes, which is seldom and matters.

    Args:
        moving: frames to which one has gone; where there are none, nothing is moved.
        starts: drawn from anywhere; written to.
        allowed: where a start may be moved.
        share: of the starts.
        frames: before it goes: at least so many, and fewer than so many.
        rng: draws.
    """
    if len(moving):
        before = rng.choice(moving, len(starts)) - rng.integers(*frames, len(starts))
        some = (rng.random(len(starts)) < share) & np.isin(before, allowed)
        starts[some] = before[some]
    return starts


def clean_plates(recipe: Recipe, clips: Clips) -> Tensor:
    """(kinds, H, W, 3) uint8 what the camera sees most of the time, before each of the recipe's things."""
    if not recipe.data.tasks:
        return clean_plate(clips, np.arange(len(clips)))[None]
    kinds = clips.poses[:, KIND]
    return torch.stack([clean_plate(clips, np.flatnonzero(kinds == k)) for k in range(len(recipe.data.tasks))])


def clean_plate(clips: Clips, among: Index) -> Tensor:
    """(H, W, 3) uint8 what a camera that stands still sees in these frames: medians, without what is far from them."""
    some = clips.take(among[np.linspace(0, len(among) - 1, min(PLATE, len(among))).astype(np.int64)])
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
