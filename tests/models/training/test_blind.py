from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from worldloom.models.training.blind import (
    KNOWN,
    Blind,
    Length,
    open_blind,
    record_blind,
    walk_blindly,
)
from worldloom.models.training.clips import Clips
from worldloom.models.training.endurance import Course, blind_course
from worldloom.models.training.recipe import Recipe
from worldloom.models.training.simulators import Row, ToySimulator

LENGTH = Length(streams=3, frames=60, tail=24)


class Ending(ToySimulator):
    """A toy whose episodes end after 20 frames."""

    def reset(self, seed: int) -> None:
        self.frames = 0
        super().reset(seed)

    def act(self, row: Row) -> bool:
        self.frames += 1
        super().act(row)
        return self.frames > 20


def walked(simulator: ToySimulator, folder: Path) -> Course:
    shard, rows, cut = walk_blindly(simulator, LENGTH, 20, 1)
    shard.save(folder / "0000")
    return blind_course(Blind(Clips.open(folder), rows, cut), LENGTH)


def test_what_is_compared_is_where_the_rows_lead(tmp_path: Path) -> None:
    course = walked(ToySimulator(24, 32), tmp_path)
    clips, (streams, compared) = course.clips, course.into.shape
    assert (streams, compared) == (3, len(LENGTH.compared))
    assert (clips.episodes[course.into] == clips.episodes[course.into - 1]).all()
    assert (clips.episodes[course.starts - KNOWN + 1] == clips.episodes[course.starts]).all()
    yaw, told = clips.poses[:, 0].astype(np.float64), course.rows[:, :, 4].astype(np.float64)
    for k, start in enumerate(course.starts):
        for n, index in zip(course.compared, course.into[k], strict=True):
            assert yaw[index] - yaw[start] == pytest.approx(told[k, : n + 1].sum(), abs=1e-3)
            assert yaw[index] - yaw[index - 1] == pytest.approx(told[k, n], abs=1e-4)
    assert len(np.unique(clips.poses[course.starts, 0])) == streams, "they begin elsewhere"


def test_what_is_told_was_done_elsewhere(tmp_path: Path) -> None:
    course = walked(ToySimulator(24, 32), tmp_path)
    before = course.clips.actions[course.starts[:, None] + np.arange(1 - KNOWN, 0)]
    assert (np.diff(course.rows[:, :, 4]) != 0).sum() >= 3 * 60 // 9, "nobody stands still"
    assert not np.array_equal(before, course.rows[:, : KNOWN - 1])


def test_where_an_episode_ended_nothing_moved(tmp_path: Path) -> None:
    length = replace(LENGTH, streams=8, tail=50)
    shard, rows, cut = walk_blindly(Ending(24, 32), length, 20, 1)
    shard.save(tmp_path / "0000")
    course = blind_course(Blind(Clips.open(tmp_path), rows, cut), length)
    assert ((course.into < 0) == cut).all()
    assert 0 < cut.sum() < cut.size
    turned = np.abs(np.diff(shard.poses[:, 0]))
    jumps = turned[course.into[course.into > 0] - 1]
    assert jumps.max() <= 6.0, "no pair spans two episodes"


def test_sets_are_recorded_once_and_as_long_as_asked(
    toy_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_blind(tmp_path, LENGTH) is None
    record_blind(toy_recipe, tmp_path, [LENGTH])
    blind = open_blind(tmp_path, LENGTH)
    assert blind is not None
    assert blind.rows.shape == (3, 60, len(toy_recipe.spec.actions.columns))
    assert len(blind.clips) == 3 * (KNOWN + 2 * len(LENGTH.compared))
    again, _, _ = walk_blindly(
        ToySimulator(toy_recipe.spec.height, toy_recipe.spec.width), LENGTH, toy_recipe.data.episode, 4_000_001
    )
    np.testing.assert_array_equal(again.frames, blind.clips.take(np.arange(len(blind.clips))))
    monkeypatch.setattr("worldloom.models.training.blind._record", None)  # would fail
    record_blind(toy_recipe, tmp_path, [LENGTH])
    own = replace(toy_recipe, data=replace(toy_recipe.data, directions={}))
    record_blind(own, tmp_path, [replace(LENGTH, streams=1)])
    assert open_blind(tmp_path, replace(LENGTH, streams=1)) is None, "no engine, no walk"
