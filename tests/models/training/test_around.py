from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from worldloom.models.training.around import come_back, dream_played, unrelated
from worldloom.models.training.metrics import psnr
from worldloom.models.training.recipe import Recipe
from worldloom.models.training.scripts import Played, open_played
from worldloom.models.world import DiTWorld

from .oracle import Oracle


@pytest.fixture
def played(recordings: Path) -> Played:
    return open_played(recordings, "around", 4)


def test_a_replay_is_back_where_the_engine_is(toy_recipe: Recipe, played: Played) -> None:
    world = cast(DiTWorld, Oracle(toy_recipe.spec, played.clips))
    np.testing.assert_array_equal(dream_played(world, played)[:, -1], played.clips.take(played.span[:, -1]))
    measured = come_back(world, played, "look_around")
    assert measured["look_around_psnr"] == 100.0
    assert measured["look_around_first_psnr"] == measured["look_around_real_psnr"] > 60.0
    assert measured["look_around_unrelated_psnr"] < 30.0
    assert measured["look_around_frames"] == 72


def test_a_world_that_turns_the_other_way_is_lost_half_way(toy_recipe: Recipe, played: Played) -> None:
    """Played backwards from rest it never leaves the rest of another clip: it is nowhere near the engine."""
    world = cast(DiTWorld, Oracle(toy_recipe.spec, played.clips, stride=-1, strict=False))
    assert come_back(world, played, "look_around")["look_around_psnr"] < 40.0


def test_unrelated_pictures_are_all_others() -> None:
    last = np.stack([np.full((4, 4, 3), level, np.uint8) for level in (0, 100, 200)])
    wanted = np.mean([psnr(last[i], last[j]) for i in range(3) for j in range(3) if i != j])
    assert unrelated(last, last) == pytest.approx(wanted)
    with pytest.raises(ValueError, match="second place"):
        unrelated(last[:1], last[:1])
