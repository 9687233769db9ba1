from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from worldloom.models.training.clips import Clips
from worldloom.models.training.collect import (
    CONTEXT,
    HELD,
    STARTS,
    collect,
    moved,
    record_battery,
    record_episodes,
)
from worldloom.models.training.recipe import Recipe
from worldloom.models.training.simulators import Simulator, open_simulator


@pytest.fixture
def engine() -> Simulator:
    return open_simulator("toy", 64, 64)


def test_episodes_are_cut_and_the_same_seed_gives_the_same_frames(engine: Simulator) -> None:
    shard = record_episodes(engine, 70, 30, seed=5)
    assert np.bincount(shard.episodes).tolist() == [30, 30, 10]
    again = record_episodes(open_simulator("toy", 64, 64), 70, 30, seed=5)
    np.testing.assert_array_equal(shard.frames, again.frames)
    np.testing.assert_array_equal(shard.actions, again.actions)
    other = record_episodes(engine, 70, 30, seed=6)
    assert (shard.frames != other.frames).any()


def test_the_action_of_a_row_leads_to_the_next_frame(engine: Simulator) -> None:
    """Column 0 of the toy's pose is its yaw in degrees, column 4 of its actions is the turn of one frame."""
    shard = record_episodes(engine, 40, 40, seed=1)
    np.testing.assert_allclose(np.diff(shard.poses[:, 0]), shard.actions[:-1, 4], atol=1e-4)


def test_a_battery_holds_one_action(toy_recipe: Recipe, engine: Simulator) -> None:
    shard = record_battery(engine, toy_recipe, "turn left", seed=3)
    length = CONTEXT + HELD + 1
    assert np.bincount(shard.episodes).tolist() == [length] * STARTS
    rows = shard.actions.reshape(STARTS, length, -1)
    held = toy_recipe.spec.actions.neutral(1)[0]
    held[4] = -5.0
    assert (rows[:, CONTEXT:] == held).all()
    assert (rows[:, :CONTEXT] != held).any()
    yaw = shard.poses[:, 0].reshape(STARTS, length)
    np.testing.assert_allclose(yaw[:, -1] - yaw[:, CONTEXT], -5.0 * HELD, atol=1e-3)


def test_a_place_from_which_the_engine_cannot_move_is_not_kept() -> None:
    here, there = np.zeros(3, np.float32), np.array([0.05, 0.0, 0.0], np.float32)
    assert moved(here, there, "arm", "x+")
    assert not moved(here, there, "arm", "x-")
    assert not moved(here, there, "arm", "y+")
    assert not moved(here, here, "doom", "walk forward")
    assert moved(here, np.array([50.0, 50.0, 0.0], np.float32), "doom", "walk forward")
    assert moved(here, here, "doom", "turn left")


@pytest.mark.slow
def test_collect_records_what_is_missing_and_nothing_else(toy_recipe: Recipe, recordings: Path, tmp_path: Path) -> None:
    """In a real worker process; the sets that are there already stay as they are."""
    data = tmp_path / "data"
    shutil.copytree(recordings / "data", data)
    shutil.rmtree(data / "holdout")
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*.npy")}
    collect(toy_recipe, data)
    assert len(Clips.open(data / "holdout")) == toy_recipe.data.holdout
    after = {path: path.stat().st_mtime_ns for path in data.rglob("*.npy")}
    assert {path: after[path] for path in before} == before
    collect(toy_recipe, data)  # complete: no process is started
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*.npy")} == after


def test_an_engine_that_never_moves_says_so(
    toy_recipe: Recipe, engine: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is held, so the arm's y, column 1 of a pose, never grows."""
    monkeypatch.setattr("worldloom.models.training.collect.STARTS", 1)
    still = replace(toy_recipe, data=replace(toy_recipe.data, simulator="arm", directions={"y+": {}}))
    with pytest.raises(RuntimeError, match="found 0 of 1 places"):
        record_battery(engine, still, "y+", seed=0)


def test_an_unknown_simulator_lists_the_known() -> None:
    with pytest.raises(ValueError, match="toy, arm, doom"):
        open_simulator("chess", 64, 64)
