from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from worldloom.models.training.clips import Clips
from worldloom.models.training.recipe import Recipe, load_recipe
from worldloom.models.training.scripts import (
    PAUSE,
    PLACES,
    STEPS,
    open_played,
    play_script,
    record_scripts,
    scripts_of,
)
from worldloom.models.training.simulators import ToySimulator


def test_every_engine_plays_what_it_can(toy_recipe: Recipe) -> None:
    assert set(scripts_of(toy_recipe)) == {"around", "back"}
    assert set(scripts_of(load_recipe("doom"))) == {"around", "back", "wall"}
    assert set(scripts_of(load_recipe("arm"))) == {"attempts"}


def test_a_turn_around_begins_at_rest_and_ends_where_it_began(recordings: Path) -> None:
    played = open_played(recordings, "around", 3)
    assert (len(played.begin), played.frames) == (3, 72)
    assert not played.clips.leading[played.begin].any()
    assert (played.clips.leading[played.span[:, 1:], 4] == 5.0).all()
    yaw = played.clips.poses[played.span][..., 0]
    np.testing.assert_allclose(yaw[:, -1] - yaw[:, 0], 360.0)
    assert np.ptp(yaw[:, 0]) > 1.0  # from different places


def test_there_and_back(recordings: Path) -> None:
    played = open_played(recordings, "back", PLACES)
    depth = played.clips.poses[played.span][..., 1]
    assert played.frames == 2 * (STEPS + PAUSE)
    np.testing.assert_allclose(depth[:, STEPS] - depth[:, 0], 0.8, atol=1e-5)
    np.testing.assert_allclose(depth[:, -1], depth[:, 0], atol=1e-5)


@pytest.mark.slow
def test_what_is_there_is_not_played_again(toy_recipe: Recipe, recordings: Path, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("played again")

    before = sorted(path.stat().st_mtime_ns for path in (recordings / "data").rglob("*.npy"))
    record_scripts(toy_recipe, recordings / "data")
    assert sorted(path.stat().st_mtime_ns for path in (recordings / "data").rglob("*.npy")) == before
    shutil.copytree(recordings / "data" / "back", tmp_path / "back")  # only the other one is played
    record_scripts(replace(toy_recipe, data=replace(toy_recipe.data, processes=1)), tmp_path)
    made, kept = Clips.open(tmp_path / "around"), Clips.open(recordings / "data" / "around")
    np.testing.assert_array_equal(made.frame(99), kept.frame(99))  # seeds alone decide


def test_an_engine_that_always_ends_is_an_error(toy_recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToySimulator, "act", lambda self, row: True)
    with pytest.raises(RuntimeError, match="found 0 of 16"):
        play_script(ToySimulator(64, 64), toy_recipe, "around")


ATTEMPT = """
import numpy as np
from worldloom.models.training.recipe import load_recipe
from worldloom.models.training.scripts import TASK, REST, attempt
from worldloom.models.training.simulators import open_simulator
from worldloom.models.training.success import succeeded
recipe = load_recipe("arm")
simulator = open_simulator("arm", 128, 128)
flags = []
act = simulator._envs[0].step
def step(row):
    answer = act(row)
    flags.append(bool(answer[4]["success"]))
    return answer
simulator._envs[0].step = step
for number, opened in ((0, True), (1, False)):
    simulator.reset(7)
    flags.clear()
    clip = attempt(simulator, recipe, np.random.default_rng(3), number)
    said = succeeded(np.stack([pose for _, _, pose in clip]))
    assert len(clip) == REST + TASK + 1 and said[1:].tolist() == flags[:-1], number
    assert bool(said[-1]) == opened, number
import mujoco
from worldloom.models.training.gripper import AXES, CAMERA, VIEW
model, data = simulator._envs[0].model, simulator._envs[0].data
camera = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, "corner2")
np.testing.assert_allclose(data.cam_xpos[camera], CAMERA)
np.testing.assert_allclose(data.cam_xmat[camera].reshape(3, 3), AXES, atol=1e-6)
assert model.cam_fovy[camera] == VIEW
"""


@pytest.mark.slow
@pytest.mark.engines
def test_the_expert_opens_the_drawer_by_the_simulators_own_word() -> None:
    """In a process of its own: MuJoCo's renderer may exist once in a process only."""
    pytest.importorskip("metaworld")
    done = subprocess.run([sys.executable, "-c", ATTEMPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


WALL = """
import numpy as np
from worldloom.models.training import scripts
from worldloom.models.training.recipe import load_recipe
from worldloom.models.training.simulators import open_simulator
scripts.PLACES = 2
recipe = load_recipe("doom")
simulator = open_simulator("doom", 128, 160)
for name in ("around", "back", "wall"):
    shard = scripts.play_script(simulator, recipe, name)
    poses = shard.poses.reshape(2, -1, 4)
    first, last = poses[:, scripts.REST], poses[:, -1]
    assert np.hypot(*(last - first)[:, :2].T).max() < 2.0, name
    turned = (last - first)[:, 3] % 360.0
    assert np.minimum(turned, 360.0 - turned).max() < 1.0, name
    if name == "wall":
        assert (shard.actions[:, 0] == 1.0).all()
        assert np.ptp(poses[:, scripts.REST:, :2], axis=1).max() < 1.0
"""


@pytest.mark.slow
@pytest.mark.engines
def test_the_maze_returns_to_where_it_was_and_stops_at_walls() -> None:
    pytest.importorskip("vizdoom")
    done = subprocess.run([sys.executable, "-c", WALL], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
