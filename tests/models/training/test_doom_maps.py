from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from worldloom.models.training.doom_maps import places_at_doors, places_of_things, unseen_circle, wad_of


@pytest.mark.parametrize(
    ("name", "wad"),
    [
        ("my_way_home", "my_way_home.wad"),
        ("MAP01", "freedoom2.wad"),
        ("MAP32", "freedoom2.wad"),
        ("E1M8", "freedoom1.wad"),
    ],
)
def test_where_maps_lie(name: str, wad: str) -> None:
    assert wad_of(name) == wad


@pytest.mark.parametrize("name", ["MAP00", "MAP33", "E5M1", "map01", "../etc"])
def test_a_map_that_is_not_there(name: str) -> None:
    with pytest.raises(ValueError, match="MAP01 to MAP32"):
        wad_of(name)


def test_the_unseen_circle_holds_its_share_and_follows_the_seed() -> None:
    places = np.random.default_rng(0).uniform(-1000.0, 1000.0, (80, 2))
    circle = unseen_circle(places, 7)
    assert circle.holds(places).sum() == 12
    assert unseen_circle(places, 7) == circle
    assert any(unseen_circle(places, seed) != circle for seed in range(5))


def test_a_map_with_too_few_places() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        unseen_circle(np.zeros((3, 2)), 1)


def test_places_are_where_something_can_be_picked_up() -> None:
    names = ["HealthBonus", "DoomImp", "Column", "ShellBox", "Shotgun", "ShotgunGuy", "DoomPlayer"]
    things = [SimpleNamespace(name=name, position_x=float(k), position_y=0.0) for k, name in enumerate(names)]
    assert places_of_things(things)[:, 0].tolist() == [0.0, 3.0, 4.0]
    assert places_of_things([]).shape == (0, 2)


def test_places_in_front_of_a_closed_door_face_it_from_both_sides() -> None:
    """A door from (0, 0) to (128, 0), 16 thick: two faces let a body through, two sides do not."""

    def line(x1: float, y1: float, x2: float, y2: float, blocks: bool) -> SimpleNamespace:
        return SimpleNamespace(x1=x1, y1=y1, x2=x2, y2=y2, is_blocking=blocks)

    outline = [
        line(0, 0, 128, 0, False),
        line(0, 16, 128, 16, False),
        line(0, 0, 0, 16, True),
        line(128, 0, 128, 16, True),
    ]
    door = SimpleNamespace(floor_height=0.0, ceiling_height=0.0, lines=outline)
    room = SimpleNamespace(floor_height=0.0, ceiling_height=128.0, lines=outline)
    places = places_at_doors([room, door])
    assert {tuple(place) for place in places[:2]} == {(64.0, -44.0, 90.0), (64.0, 44.0, -90.0)}
    assert places_at_doors([room]).shape == (0, 3)
