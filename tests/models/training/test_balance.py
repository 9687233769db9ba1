from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from worldloom.models.training.balance import balance, kinds, report_balance
from worldloom.models.training.clips import Clips, Shard
from worldloom.models.training.recipe import Recipe, load_recipe


def recorded(folder: Path, actions: list[list[float]], poses: list[list[float]]) -> Clips:
    n = len(actions)
    shard = Shard(
        np.zeros((n, 4, 4, 3), np.uint8),
        np.array(actions, np.float32),
        np.array(poses, np.float32).reshape(n, -1),
        np.zeros(n, np.int64),
    )
    shard.save(folder / "0000")
    return Clips.open(folder)


@pytest.fixture
def maps() -> Recipe:
    recipe = load_recipe("doom-maps")
    return replace(recipe, data=replace(recipe.data, maps=("MAP01", "MAP02")))


def test_moving_blocked_and_idle(maps: Recipe, tmp_path: Path) -> None:
    """The action of a row leads to the next: the first frame counts as idle, and the last row is never seen."""
    walk, turn, rest = [1.0, *[0.0] * 6], [*[0.0] * 5, -5.9, 0.0], [0.0] * 7
    #        x  y  z  heading pitch blocked map unseen
    free, stuck, there = [0.0] * 8, [*[0.0] * 5, 1.0, 0.0, 0.0], [*[0.0] * 6, 1.0, 1.0]
    clips = recorded(tmp_path, [walk, walk, turn, rest, walk], [free, free, stuck, there, there])
    found = balance(maps, clips)
    assert (found["moving"], found["blocked"], found["idle"]) == (0.4, 0.2, 0.4)
    assert found["buttons"] == {"forward": 0.4, "back": 0.0, "left": 0.0, "right": 0.0, "use": 0.0}
    assert found["map"] == {"MAP01": 0.6, "MAP02": 0.4}
    assert found["unseen"] == 0.4
    assert found["axes"]["turn"]["rest"] == 0.8
    assert found["axes"]["turn"]["shares"] == [0.2, *[0.0] * 11]
    assert (found["axes"]["turn"]["edges"][0], found["axes"]["turn"]["edges"][-1]) == (-6.0, 6.0)
    assert kinds(maps, clips).tolist() == [0, 0, 0, 1, 1]


def test_success_is_counted_by_frames_and_by_episodes(tmp_path: Path) -> None:
    recipe = load_recipe("arm-tasks")
    poses = [[0.0] * 8 + [success, 1] for success in (0, 1, 1, 0)]
    found = balance(recipe, recorded(tmp_path, [[0.0] * 4] * 4, poses))
    assert found["success"] == 0.5
    assert found["episodes_with_success"] == 1
    assert found["task"]["button-press-topdown-v3"] == 1.0


def test_an_engine_that_does_not_say_who_is_blocked(tmp_path: Path) -> None:
    found = balance(load_recipe("doom"), recorded(tmp_path, [[1, 0, 0, 0, 0]] * 2, [[0.0] * 4] * 2))
    assert found["blocked"] is None
    assert (found["moving"], found["idle"]) == (0.5, 0.5)


def test_the_report_lies_beside_the_recordings(
    toy_recipe: Recipe, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train", "holdout"):
        Shard.open(recordings / "data" / name / "0000").save(tmp_path / name / "0000")
    report_balance(toy_recipe, tmp_path)
    found = json.loads((tmp_path / "train" / "balance.json").read_text())
    assert found["frames"] == 300
    assert 0.9 < sum(found["buttons"].values()) <= 1.0  # the toy's visitor always holds one of them
    assert found["idle"] < 0.05
    assert sum(found["axes"]["turn"]["shares"]) + found["axes"]["turn"]["rest"] == pytest.approx(1.0, abs=0.01)
    printed = capsys.readouterr().err
    assert "toy-dream: holdout, 240 frames" in printed
    assert "forward" in printed
