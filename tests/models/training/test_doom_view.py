from __future__ import annotations

import numpy as np
import pytest

from worldloom.models.training.doom_view import View, nearest_view
from worldloom.models.training.recipe import load_recipe

MODES = [(256, 320), (512, 640), (160, 256), (320, 512), (640, 1024), (240, 320), (480, 640), (200, 320), (288, 512)]


@pytest.mark.parametrize(
    ("wanted", "drawn", "fov"),
    [
        ((128, 160), (256, 320), 90.0),  # the shipped maze: half of the engine's picture
        ((160, 256), (320, 512), 100.4),
        ((120, 160), (240, 320), 90.0),
        ((144, 256), (288, 512), 106.3),
        ((128, 128), (256, 320), 77.3),  # a square is cut out of the widest picture that loses least
    ],
)
def test_the_picture_that_loses_least_at_about_twice_the_size(
    wanted: tuple[int, int], drawn: tuple[int, int], fov: float
) -> None:
    view = nearest_view(*wanted, MODES)
    assert view.drawn == drawn
    assert view.fov == pytest.approx(fov, abs=0.1)


def test_the_recipe_of_the_maps_knows_how_wide_its_pictures_are() -> None:
    recipe = load_recipe("doom-maps")
    view = nearest_view(recipe.spec.height, recipe.spec.width, MODES)
    assert recipe.dynamics.fov == pytest.approx(view.fov, abs=0.1)


def test_pictures_are_averaged_over_areas() -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (256, 320, 3), dtype=np.uint8)
    big = drawn.astype(np.uint16)
    mean = (big[::2, ::2] + big[1::2, ::2] + big[::2, 1::2] + big[1::2, 1::2] + 2) // 4
    np.testing.assert_array_equal(View((256, 320), (128, 160)).shrink(drawn), mean)


def test_the_middle_is_cut_out() -> None:
    drawn = np.zeros((256, 320, 3), np.uint8)
    drawn[:, 32:288] = 200
    assert (View((256, 320), (128, 128)).shrink(drawn) == 200).all()


def test_pictures_that_are_too_large_are_refused() -> None:
    with pytest.raises(ValueError, match="got 2000x3000"):
        nearest_view(2000, 3000, MODES)
