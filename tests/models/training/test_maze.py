"""The maze is asked for once, and kept beside recordings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.models.training.maze import Maze, floorplan_in, record_maze
from worldloom.models.training.recipe import load_recipe

from ..room import plan, room


def test_the_floorplan_is_in_units_of_depth() -> None:
    recipe = load_recipe("doom")
    found = floorplan_in(room(), recipe)
    assert found
    assert torch.equal(found.walls, plan().walls)
    assert (found.below, found.above) == (plan().below, plan().above)
    assert floorplan_in(None, recipe) is None


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
