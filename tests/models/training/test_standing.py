"""What the engine shows from where dreams stand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from worldloom.models.camera_view import CameraWay
from worldloom.models.training import standing
from worldloom.models.training.collect import record_episodes, simulator_of
from worldloom.models.training.doom_simulator import DoomSimulator
from worldloom.models.training.metrics import psnr
from worldloom.models.training.recipe import Recipe, load_recipe
from worldloom.models.training.standing import Shown, poses_of, shown_from


def camera_at(*pose: float) -> Any:
    still = torch.zeros(2)
    way = CameraWay(still, torch.zeros(4, 2), torch.tensor(pose, dtype=torch.float64), still.double())
    return SimpleNamespace(view=SimpleNamespace(way=way))


def test_poses_are_those_of_the_cameras() -> None:
    np.testing.assert_array_equal(poses_of([camera_at(1, 2, 90), camera_at(3, 4, 0)]), [[1, 2, 90], [3, 4, 0]])


def test_a_world_without_a_camera_has_none() -> None:
    assert poses_of([cast(Any, SimpleNamespace(view=None))]) is None


def test_an_engine_that_puts_nobody_anywhere_shows_nothing(toy_recipe: Recipe) -> None:
    assert shown_from(toy_recipe, np.zeros((1, 3))) is None


def test_a_body_is_put_where_the_pose_says_and_the_episode_begins_anew_where_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe, asked, begun = load_recipe("doom"), [], []

    class Engine(DoomSimulator):
        def __init__(self) -> None: ...

        def reset(self, seed: int) -> None:
            begun.append(seed)

        def put(self, place: np.ndarray, heading: float) -> bool:
            asked.append((*place.tolist(), heading))
            return place[0] > 0.0

        def observe(self) -> Any:
            return np.full((160, 256, 3), len(asked), np.uint8), None

    monkeypatch.setattr(standing, "simulator_of", lambda *_: Engine())
    shown = standing._shown_from(recipe, np.array([[1.0, 2.0, 90.0], [-1.0, 0.0, 0.0], [0.5, 0.0, -90.0]]))
    assert asked == [(64.0, 128.0, 0.0), (-64.0, 0.0, 90.0), (32.0, 0.0, 180.0)]
    assert shown.known.tolist() == [True, False, True]
    assert shown.pictures.max((1, 2, 3)).tolist() == [1, 0, 3]
    assert len(begun) == 2


@pytest.mark.engines
@pytest.mark.slow
def test_recorded_frames_are_found_again_from_their_poses() -> None:
    """To half a map unit: the engine stands on whole ones. No one stands outside of the maze."""
    pytest.importorskip("vizdoom")
    recipe = load_recipe("doom")
    recorded = record_episodes(simulator_of(recipe, "holdout"), 60, 60, seed=3)
    frames = np.arange(0, 60, 6)
    east, north, _, heading = recorded.poses[frames].T
    poses = np.stack([east / 64.0, north / 64.0, 90.0 - heading], 1)
    shown = shown_from(recipe, np.concatenate([poses, [[1e3, 1e3, 0.0]]]))
    assert isinstance(shown, Shown)
    assert shown.known.tolist() == [True] * 10 + [False]
    there = psnr(shown.pictures[:10], recorded.frames[frames])
    elsewhere = psnr(shown.pictures[:10], recorded.frames[frames[::-1]])
    assert np.median(there) > np.median(elsewhere) + 8.0
