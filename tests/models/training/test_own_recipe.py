from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from worldloom.models.spec import Axis
from worldloom.models.training.own_recipe import columns_of, derive_recipe, fitting
from worldloom.models.training.recipe import load_recipe
from worldloom.models.training.run import derived

from .films import write_recordings


def test_a_recipe_is_read_off_the_films(tmp_path: Path) -> None:
    write_recordings(tmp_path / "films", [60, 30], height=90, width=160)
    path = derived("mine", tmp_path / "films", tmp_path / "run")
    recipe = load_recipe(path)
    assert (recipe.spec.name, recipe.spec.fps) == ("mine", Fraction(20))
    assert (recipe.spec.height, recipe.spec.width) == (112, 192)
    assert set(recipe.spec.actions.buttons) >= {"forward", "back", "left", "right"}
    assert recipe.spec.actions.keys["KeyW"].column == "forward"
    turn = next(axis for axis in recipe.spec.actions.axes if axis.name == "turn")
    assert 5.0 < turn.high <= 6.0
    assert turn.low == -turn.high
    assert recipe.data.simulator == "own"
    before = Path(path).read_text()
    Path(path).write_text(before + "# improved by hand\n")
    derived("mine", tmp_path / "films", tmp_path / "run")
    assert Path(path).read_text().endswith("# improved by hand\n")


def test_columns_of_ones_and_zeros_are_buttons_and_axes_reach_as_far_as_they_did() -> None:
    rows = np.array([[0, -2.0, 0.0, 0.5], [1, 1.0, 0.0, 3.0]], np.float32)
    spec = columns_of(["grab", "x", "never", "lift"], rows)
    assert spec.buttons == ("grab", "never")
    assert spec.axes == (Axis("x", -2.0, 2.0, "1"), Axis("lift", 0.0, 3.0, "1"))


def test_values_that_are_not_numbers() -> None:
    with pytest.raises(ValueError, match="row 1 of the actions: b: expected a finite number"):
        columns_of(["a", "b"], np.array([[0, 0], [1, np.nan]], np.float32))


@pytest.mark.parametrize(
    ("shape", "size"), [((480, 640), (128, 160)), ((720, 1280), (112, 192)), ((64, 64), (144, 144))]
)
def test_pictures_of_about_the_area_that_two_cores_can_dream(shape: tuple[int, int], size: tuple[int, int]) -> None:
    assert fitting(*shape) == size


@pytest.mark.parametrize("name", ["../mine", "My World", ""])
def test_names_that_no_world_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="small letters"):
        derived(name, tmp_path, tmp_path)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found neither"):
        derive_recipe("mine", tmp_path)
