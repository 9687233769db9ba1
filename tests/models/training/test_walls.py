from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest

from worldloom.models.spec import ActionSpec, WorldSpec
from worldloom.models.training.clips import Clips, Shard
from worldloom.models.training.scripts import PUSH, REST, Played, open_played
from worldloom.models.training.walls import walls
from worldloom.models.world import DiTWorld

from .oracle import Oracle

SPEC = WorldSpec("maze", 64, 96, Fraction(20), 1, ActionSpec(("forward",)))
LENGTH = REST + PUSH + 1


def clip(seed: int, growth: float) -> Shard:
    """Soft noise that grows by a factor a frame, forward held throughout."""
    noise = np.random.default_rng(seed).uniform(0, 255, (192, 192, 3)).astype(np.float32)
    soft = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), np.empty(0), 0, 255, cv2.NORM_MINMAX)
    shots = []
    for t in range(LENGTH):
        scale = growth ** (t - LENGTH)
        move = np.array([[scale, 0, 48 - 96 * scale], [0, scale, 32 - 96 * scale]], np.float32)
        shots.append(cv2.warpAffine(soft, move, (96, 64)))
    ones = np.ones((LENGTH, 1), np.float32)
    frames = np.stack(shots).astype(np.uint8)
    frames[:, 0, 0] = np.arange(LENGTH)[:, None]  # no two frames are equal: the oracle knows places by them
    return Shard(frames, ones, ones, np.zeros(LENGTH, np.int64))


@pytest.fixture
def sets(tmp_path: Path) -> dict[str, Played]:
    """Three clips each in which an engine walks, and in which it stands."""
    for name, growth in (("walk", 1.03), ("stand", 1.0)):
        for k in range(3):
            clip(k, growth).save(tmp_path / "data" / name / f"{k:04d}")
    return {name: open_played(tmp_path, name, 3) for name in ("walk", "stand")}


class Told(Oracle):
    """Shows the frames of another set beside each place: what the dream does, whatever the engine did."""

    def __init__(self, wall: Clips, walk: Clips, shown: Clips) -> None:
        super().__init__(SPEC, wall)
        self._known |= Oracle(SPEC, walk)._known
        self.clips, self.strict = shown, False

    def begin(self, scene: object, seed: int) -> object:  # type: ignore[override]
        from worldloom.models.autoencoder import to_pictures

        from .oracle import Place

        return Place(self._known[to_pictures(scene.latents).numpy().tobytes()])  # type: ignore[attr-defined]


def world_that_shows(sets: dict[str, Played], shown: str) -> DiTWorld:
    return cast(DiTWorld, Told(sets["stand"].clips, sets["walk"].clips, sets[shown].clips))


@pytest.mark.slow
def test_a_dream_that_walks_on_and_one_that_stands(sets: dict[str, Played]) -> None:
    through = walls(world_that_shows(sets, "walk"), sets["stand"], sets["walk"])
    assert through["wall_penetration"] > 0.8
    assert through["wall_walks"] > 0.8
    assert through["wall_penetration_real"] == 0.0
    assert through["wall_frames"] == 3 * PUSH
    never = walls(world_that_shows(sets, "stand"), sets["stand"], sets["walk"])
    assert never["wall_penetration"] < 0.1
    assert never["wall_walks"] < 0.1
