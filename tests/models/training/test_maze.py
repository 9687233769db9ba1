"""How near everything is in a maze, exactly."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.models.training.maze import EYE, Maze, record_maze
from worldloom.models.training.recipe import load_recipe

from ..room import WALKER, room

HERE = torch.tensor([0.0, 0.0, 0.0], dtype=torch.float64)


def test_a_wall_ahead_is_as_near_as_it_is() -> None:
    near = room().near(WALKER, HERE, torch.tensor(0.0))
    assert near.shape == (32, 48)
    middle = near[15:17]
    np.testing.assert_allclose(middle[:, :24], 0.5, atol=1e-6)  # two units ahead, whatever the angle
    turned = room().near(WALKER, HERE + torch.tensor([0.0, 0.0, 90.0]), torch.tensor(0.0))
    np.testing.assert_allclose(turned[16, 24:], 0.5, atol=1e-6)
    diagonal = room().near(WALKER, HERE + torch.tensor([0.0, 0.0, -45.0]), torch.tensor(0.0))
    assert diagonal[16, 24] == pytest.approx(1.0 / (2.0 * math.sqrt(2.0)), rel=0.03)


def test_a_pillar_hides_the_wall() -> None:
    pose = torch.tensor([0.75, 0.0, 0.0], dtype=torch.float64)
    near = room().near(WALKER, pose, torch.tensor(0.0))
    assert near[16, 24] == pytest.approx(1.0 / 0.875)
    assert near[16, 4] == pytest.approx(0.5)


def test_who_stands_higher_is_farther_from_the_floor() -> None:
    low, high = (room().near(WALKER, HERE, torch.tensor(rise))[:, 0] for rise in (0.0, 0.1))
    tall = WALKER.height / WALKER.width  # of 90 degrees across
    lowest = tall * (1.0 - 1.0 / WALKER.height)
    assert low[-1] == pytest.approx(lowest / (EYE / 64.0))
    assert high[-1] == pytest.approx(lowest / (EYE / 64.0 + 0.1))
    assert high[0] > low[0], "and nearer to the ceiling"


def test_it_is_kept_beside_recordings(tmp_path: Path) -> None:
    assert Maze.open(tmp_path) is None
    room().save(tmp_path)
    again = Maze.open(tmp_path)
    assert again
    np.testing.assert_array_equal(again.walls, room().walls)


def test_only_the_maze_is_asked_for(tmp_path: Path) -> None:
    record_maze(load_recipe("arm"), tmp_path)
    record_maze(load_recipe("doom-maps"), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_engine_says_where_walls_are(tmp_path: Path) -> None:
    pytest.importorskip("vizdoom")
    recipe = load_recipe("doom")
    record_maze(recipe, tmp_path)
    found = Maze.open(tmp_path)
    assert found
    assert len(found.walls) > 50
    assert float(found.ceiling - found.floor) == 128.0
    before = (tmp_path / "maze.npz").stat().st_mtime_ns
    record_maze(replace(recipe, digest="x"), tmp_path)
    assert (tmp_path / "maze.npz").stat().st_mtime_ns == before, "once"
