from __future__ import annotations

from pathlib import Path

import pytest

from worldloom.models.training.directions import FLOWS, group_of
from worldloom.models.training.fit_autoencoder import autoencoder_config
from worldloom.models.training.fit_dynamics import dit_config
from worldloom.models.training.recipe import RECIPES, load_recipe

NAMES = sorted(path.stem for path in RECIPES.glob("*.toml"))


def test_the_recipes_of_the_shipped_worlds_are_there() -> None:
    assert {"arm", "doom", "toy"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_loads_and_fits_together(name: str) -> None:
    recipe = load_recipe(name)
    assert len(recipe.digest) == 64
    assert recipe.notices
    assert recipe.dynamics.sigmas[0] == 1.0
    assert recipe.dynamics.sigmas[-1] == 0.0
    assert dit_config(recipe).channels == autoencoder_config(recipe).channels
    assert (dit_config(recipe).rows, dit_config(recipe).columns) == autoencoder_config(recipe).cells
    columns = set(recipe.spec.actions.columns)
    assert recipe.dynamics.azimuth in columns | {""}
    low, high = (dict(zip(recipe.spec.actions.columns, v, strict=True)) for v in recipe_range(name))
    for held in recipe.data.directions.values():
        assert all(low[column] <= value <= high[column] for column, value in held.items())


def recipe_range(name: str) -> tuple[list[float], list[float]]:
    actions = load_recipe(name).spec.actions
    return actions.low.tolist(), actions.high.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_directions_come_in_opposite_pairs(name: str) -> None:
    """A world that ignores its actions must not score above one half."""
    directions = list(load_recipe(name).data.directions)
    groups = [group_of(direction) for direction in directions]
    assert all(groups.count(group) == 2 for group in groups)
    assert all(d in FLOWS for d in directions) or set(directions) <= {f"{a}{s}" for a in "xyz" for s in "+-"}


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("frames = 400", "frames = 400\nspeed = 3", "speed"),
        ("window = 4\n", "", "window"),
        ("bogus = 1", "", ""),
    ],
)
def test_unknown_and_missing_keys_are_refused(tmp_path: Path, old: str, new: str, word: str) -> None:
    text = (RECIPES / "toy.toml").read_text()
    path = tmp_path / "changed.toml"
    path.write_text(text.replace(old, new))
    if not word:  # nothing was changed: the copy itself is sound
        assert load_recipe(str(path)).spec == load_recipe("toy").spec
        return
    with pytest.raises(ValueError, match=word) as refused:
        load_recipe(str(path))
    assert "changed.toml" in str(refused.value)


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError, match="arm, arm-tasks, doom, doom-maps, own, toy"):
        load_recipe("nowhere")
