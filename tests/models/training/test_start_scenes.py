"""Start scenes: every task has some, none shows nothing, and who walks begins at rest."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from worldloom.models.training.clips import Clips, Shard
from worldloom.models.training.start_scenes import SCENES, moments, start_scenes, thumbnails, unlike
from worldloom.models.world import DiTWorld

FRAMES = 4  # of an episode


def episodes(folder: Path, count: int) -> Clips:
    """Brightness tells the episode, and every other one is flat."""
    frames = np.zeros((FRAMES * count, 4, 4, 3), np.uint8)
    for k in range(count):
        frames[FRAMES * k : FRAMES * (k + 1), :, :2] = 100 + k if k % 2 else 0
    numbers = np.repeat(np.arange(count), FRAMES)
    actions = np.zeros((FRAMES * count, 1), np.float32)
    Shard(frames, actions, numbers[:, None].astype(np.float32), numbers).save(folder / "0")
    return Clips.open(folder)


def walks(folder: Path, count: int) -> Clips:
    """Episodes of 20 frames: who walks, rests from the ninth to the fourteenth."""
    going = np.tile((np.arange(20) < 8) | (np.arange(20) >= 14), count)
    poses, numbers = np.cumsum(going)[:, None].astype(np.float32), np.repeat(np.arange(count), 20)
    frames = np.zeros((20 * count, 4, 4, 3), np.uint8)
    Shard(frames, going[:, None].astype(np.float32), poses, numbers).save(folder / "0")
    return Clips.open(folder)


def test_start_scenes_take_turns_between_tasks_and_show_something(tmp_path: Path) -> None:
    clips = episodes(tmp_path, 60)
    kind = (np.arange(60) % 10 // 4).repeat(4)  # episodes 0-3 of ten are of task 0, 4-7 of task 1, 8 and 9 of task 2
    world: Any = SimpleNamespace(
        config=SimpleNamespace(window=3), outlook=None, encode=lambda frames: torch.from_numpy(frames.copy())
    )
    scenes = start_scenes(cast(DiTWorld, world), clips, kind, ("open", "press", "carry"))
    brightness = [int(scene.latents[0, 0, 0, 0]) for scene in scenes]
    assert len(scenes) == len(set(brightness)) == SCENES
    assert all(value >= 100 for value in brightness)  # none of the flat ones
    shown = [(value - 100) % 10 // 4 for value in brightness]
    assert shown == [0, 1, 2] * (SCENES // 3)
    assert [scene.name for scene in scenes][:5] == ["open 1", "press 1", "carry 1", "open 2", "press 2"]


def test_who_walks_begins_at_rest(tmp_path: Path) -> None:
    clips = walks(tmp_path, 15)
    # A frame before which nobody pressed anything and nobody moved: the first of them is the one after the last step.
    assert moments(clips, 4, rest=True).tolist() == [20 * k + 9 for k in range(15)]
    assert moments(clips, 4, rest=False).tolist() == [20 * k for k in range(15)]


@pytest.mark.parametrize(("count", "frames"), [(5, 4), (15, 7)])
def test_where_hardly_anybody_rests_episodes_are_entered(tmp_path: Path, count: int, frames: int) -> None:
    assert moments(walks(tmp_path, count), frames, rest=True).tolist() == [20 * k for k in range(count)]


def test_those_that_are_taken_are_unlike_each_other(tmp_path: Path) -> None:
    clips = episodes(tmp_path, 40)
    taken = unlike(clips, np.arange(40) * FRAMES, FRAMES, 3) // FRAMES
    assert taken[0] == 39, "first what has the most edges"
    assert taken[1] == 1, "then the most unlike"
    assert 15 <= taken[2] <= 25, "then what is between"
    assert len(unlike(clips, np.array([0, 4]), FRAMES, 3)) == 2, "no more than there are"


def test_thumbnails_are_mean_colours() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (1, 32, 48, 3), np.uint8)
    small = thumbnails(picture).reshape(16, 16, 3)
    np.testing.assert_allclose(small[3, 5], picture[0, 6:8, 15:18].mean((0, 1)))
