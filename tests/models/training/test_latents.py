"""Clips as the dynamics stage draws them: what they recall is what streaming would, without the answer in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.models.training.latents import Batch, ClipSource
from worldloom.models.training.recipe import load_recipe
from worldloom.models.training.rollouts import POOL, Rollouts

from .test_rollouts import recorded

KEYFRAMES = 30


@pytest.fixture
def source(tmp_path: Path) -> ClipSource:
    recipe = load_recipe("toy")
    return recorded(replace(recipe, dynamics=replace(recipe.dynamics, keyframes=KEYFRAMES)), tmp_path)


def episodes_of(source: ClipSource, recalled: torch.Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """The episode from which each recalled frame (n, C, h, w) was taken."""
    assert source.keyframes
    apart = (source.keyframes.frames.float()[None] - recalled[:, None]).abs().flatten(2).amax(2)
    assert (apart.amin(1) == 0).all()
    return source.clips.episodes[np.linspace(0, len(source.clips) - 1, KEYFRAMES).astype(np.int64)[apart.argmin(1)]]


def test_a_clip_recalls_the_frame_nearest_to_each_last_one_from_other_episodes(source: ClipSource) -> None:
    starts = np.array([2, 45, 90])
    at = starts[:, None] + np.arange(4)
    flags = np.zeros(3, bool)
    batch = source.recalling(source.at(at, begins=flags, still=flags), starts)
    assert batch.recalled.shape == (3, 4, 1, *source.latents.shape[1:])
    assert source.keyframes
    for clip, episode in enumerate(source.clips.episodes[starts]):
        assert (episodes_of(source, batch.recalled[clip, :, 0]) != episode).all()
        last = source.frames(at[clip] - 1)
        others = source.keyframes.frames[source._episode_of_keyframe != int(episode)].float()
        want = others[(others[None] - last[:, None]).square().flatten(2).sum(2).argmin(1)]
        assert torch.equal(batch.recalled[clip, :, 0], want)


def test_rollouts_recall_by_what_was_dreamed(source: ClipSource) -> None:
    pool = Rollouts(source, 4, 10_000, np.random.default_rng(0))
    pool.draw(POOL, 5)
    assert source.keyframes
    dreamed = source.keyframes.frames[:1].float()  # of the first episode
    pool.extend(dreamed.expand(POOL, -1, -1, -1))
    batch: Batch = pool.draw(POOL, 5)
    foreign = source.clips.episodes[pool.end[pool.drawn] - 1] != 0
    just = (batch.context[:, -1] == dreamed).flatten(1).all(1).numpy()
    assert (foreign & just).any()
    assert (batch.recalled[foreign & just, -1, 0] == dreamed).all()


def test_without_keyframes_nothing_is_recalled(tmp_path: Path) -> None:
    batch = recorded(load_recipe("toy"), tmp_path).draw(0, 3, 4)
    assert batch.recalled.shape[:3] == (3, 4, 0)
