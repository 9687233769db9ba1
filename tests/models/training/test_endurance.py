from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from worldloom.models.training.blind import Length
from worldloom.models.training.clips import Clips
from worldloom.models.training.endurance import (
    Course,
    Tail,
    dream_long,
    flow_drift,
    flow_share,
    frozen,
    long_dreams,
    longer_dreams,
    recorded_course,
)
from worldloom.models.training.recipe import Recipe
from worldloom.models.world import DiTWorld

from .oracle import Oracle


@pytest.fixture
def holdout(recordings: Path) -> Clips:
    return Clips.open(recordings / "data" / "holdout")


def oracle(recipe: Recipe, clips: Clips, stride: int) -> DiTWorld:
    return cast(DiTWorld, Oracle(recipe.spec, clips, stride=stride, strict=stride == 1))


@pytest.fixture
def course(holdout: Clips) -> Course:
    return recorded_course(holdout, Length(2, 90, 80), 4)


def test_a_long_replay_hardly_drifts(toy_recipe: Recipe, holdout: Clips) -> None:
    course = recorded_course(holdout, Length(6, 120, 120), 4)
    measured = long_dreams(oracle(toy_recipe, holdout, 1), course, toy_recipe)
    assert all(value < 0.1 for value in measured["drift"].values())
    assert measured["drift_autoencoder"] == {"luma": 0.0, "saturation": 0.0, "sharpness": 0.0}
    assert measured["drift_beyond_autoencoder"] == measured["drift"]
    assert measured["drift_flow"] == pytest.approx(0.0)
    assert measured["drift_flow_share"] == measured["drift_flow_share_autoencoder"] == pytest.approx(1.0)


def test_a_frozen_dream_fails_by_flow_alone(toy_recipe: Recipe, holdout: Clips, course: Course) -> None:
    moving = longer_dreams(oracle(toy_recipe, holdout, 1), course, toy_recipe)
    froze = longer_dreams(oracle(toy_recipe, holdout, 0), course, toy_recipe)
    assert moving["drift_10000_flow_share"] == pytest.approx(1.0)
    assert froze["drift_10000_flow_share"] < 0.1
    assert set(moving["drift_10000"]) == {"luma", "saturation", "sharpness", "flow"}
    assert (moving["drift_10000"]["flow"], moving["drift_10000_frozen"]) == (pytest.approx(0.0), 0.0)
    assert (froze["drift_10000"]["flow"], froze["drift_10000_frozen"]) == (pytest.approx(1.0, abs=0.02), 1.0)


def test_the_tail_is_every_eighth_of_the_last_frames(toy_recipe: Recipe, holdout: Clips) -> None:
    tail = dream_long(oracle(toy_recipe, holdout, 1), recorded_course(holdout, Length(2, 50, 24), 4))
    assert (tail.appearance.shape, tail.flow.shape) == ((6, 3), (2, 3))
    whole = dream_long(oracle(toy_recipe, holdout, 1), recorded_course(holdout, Length(2, 24, 24), 4))
    assert whole.flow[0, 0] == 0.0  # no frame before the first: nothing to say of the dream
    assert np.isnan(whole.flow_real[:, 0]).all()


def test_flow_is_compared_stream_by_stream() -> None:
    real = np.full((2, 4), 2.0)
    one_froze_one_doubled = Tail(np.zeros((8, 3)), np.array([[0.0] * 4, [4.0] * 4]), real)
    assert flow_drift(one_froze_one_doubled) == pytest.approx(1.0)  # though the mean over both is right
    assert flow_share(one_froze_one_doubled) == pytest.approx(1.0)
    gap = replace(one_froze_one_doubled, flow_real=np.array([[2.0, np.nan, 2.0, 2.0], [2.0] * 4]))
    assert flow_drift(gap) == pytest.approx(1.0)
    assert flow_share(replace(gap, flow=np.ones((2, 4)))) == pytest.approx(0.5)
    nothing = replace(gap, flow_real=np.full((2, 4), np.nan))
    assert (flow_drift(nothing), flow_share(nothing)) == (None, None)


def test_standing_still_counts_where_the_engine_moves() -> None:
    tail = Tail(np.zeros((4, 3)), np.array([[0.0, 0.0, 3.0, 0.1]]), np.array([[0.0, 4.0, 4.0, 0.0]]))
    assert frozen(tail) == 0.5
