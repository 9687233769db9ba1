from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from worldloom.models.training.clips import Clips
from worldloom.models.training.dreamed import dream_clips
from worldloom.models.training.recipe import Recipe
from worldloom.models.training.seams import seam_flicker, seams
from worldloom.models.world import DiTWorld

from .oracle import Oracle


def test_seams_of_chunks_and_of_the_ring() -> None:
    assert seams(9, known=6, chunk=3, window=6).tolist() == [False, False, True, False, False, True, False, False]
    assert seams(9, known=6, chunk=1, window=4).tolist() == [False, True, False, False, False, True, False, False]


@pytest.mark.parametrize("chunk", [1, 4])
def test_a_replay_has_no_seam_and_a_jump_is_found(toy_recipe: Recipe, recordings: Path, chunk: int) -> None:
    holdout = Clips.open(recordings / "data" / "holdout")
    world = cast(DiTWorld, Oracle(toy_recipe.spec, holdout))
    dreamed = dream_clips(world, holdout, 4, 40, 4)
    smooth = seam_flicker(dreamed, chunk, window=4)
    assert smooth["seam_flicker"] == smooth["seam_flicker_real"] == pytest.approx(1.0, abs=0.5)
    made = dreamed.made.astype(np.int16)
    made[:, (np.arange(40) // 4) % 2 == 1] += 60  # brighter in every other chunk
    torn = seam_flicker(replace(dreamed, made=made.clip(0, 255).astype(np.uint8)), chunk, window=4)
    assert torn["seam_flicker"] > 2.0
    assert torn["seam_flicker_real"] == smooth["seam_flicker_real"]
