"""Touches: recorded once, without pictures, only where something can be moved; half of what counting learns from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from worldloom.models.training.arm_touches import TOUCHES
from worldloom.models.training.recipe import HandRecipe, Recipe, load_recipe
from worldloom.models.training.touches import EPISODE, open_touches, record_touches

TRACK = (0.53, 0.74, 0.09)


@pytest.fixture
def recipe() -> Recipe:
    hand = HandRecipe(minutes=0.0, steps=3, batch=6, lr=1e-3, widths=(8, 8, 8), counting=0.1, track=TRACK)
    return replace(load_recipe("arm"), hand=hand)


@pytest.mark.parametrize("task", TOUCHES)
def test_a_hand_comes_from_above_and_then_goes_its_way(task: str) -> None:
    hand, thing = np.array([0.0, 0.6, 0.2]), np.array([0.05, 0.73, 0.09])
    rows = TOUCHES[task](lambda: thing - hand, np.random.default_rng(0))
    nearest, lowest = np.inf, np.inf
    for _ in range(300):
        row = next(rows)
        assert row.dtype == np.float32
        assert np.abs(row).max() <= 1.0
        hand = hand + 0.01 * row[:3]
        nearest, lowest = min(nearest, float(np.abs(hand - thing).max())), min(lowest, float(hand[2]))
    assert nearest < 0.05


def test_nothing_is_recorded_where_nothing_can_be_moved(recipe: Recipe, tmp_path: Path) -> None:
    assert recipe.hand
    record_touches(replace(recipe, hand=None), tmp_path)
    record_touches(replace(recipe, hand=replace(recipe.hand, track=None)), tmp_path)
    assert open_touches(tmp_path) is None


@pytest.mark.slow
def test_touches_take_the_handle_and_miss_it(recipe: Recipe, tmp_path: Path) -> None:
    pytest.importorskip("metaworld")
    record_touches(recipe, tmp_path, frames=6 * EPISODE)
    touches = open_touches(tmp_path)
    assert touches
    assert len(touches) == 6 * EPISODE
    assert touches.shards[0].frames.shape[1:] == (1, 1, 3)
    slides = np.abs(np.diff(touches.poses[:, 5])) > 0.001
    assert 0.05 < slides.mean() < 0.6
    before = (tmp_path / "touches" / "0000.poses.npy").stat().st_mtime_ns
    record_touches(recipe, tmp_path, frames=EPISODE)
    assert (tmp_path / "touches" / "0000.poses.npy").stat().st_mtime_ns == before, "once"
