"""Where on Freedoom's maps episodes begin, and the one place that training never enters.

A map says nothing of where a body may stand; but what can be picked up lies where somebody can walk, and in front of a
door there is room. The place that
training never enters is a circle around one of these, and holds about a seventh of them. Knows places; no engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAZE = "my_way_home"
"""ViZDoom's scenario: a maze in which episodes begin at random places by themselves."""

UNSEEN = 0.15
"""Share of a map's places within the circle that training never enters."""

DOOR_WIDTHS = (48.0, 160.0)  # map units: narrower or wider is no door for a body
BEFORE_DOOR = 44.0  # map units from a door at which it can be reached

PICKUP = re.compile(
    r".*Bonus|Stimpack|Medikit|Soulsphere|Megasphere|Clip.*|Shell.*|Rocket(Ammo|Box)|Cell.*|.*Armor|Backpack"
    r"|.*Shotgun|Chaingun|Chainsaw|RocketLauncher|PlasmaRifle|Berserk|Infrared|RadSuit|Allmap|BlurSphere"
)


def wad_of(name: str) -> str:
    """The file of the `vizdoom` package in which a map lies.

    Raises:
        ValueError: no map is called that.
    """
    if name == MAZE:
        return f"{MAZE}.wad"
    if re.fullmatch(r"MAP(0[1-9]|[12]\d|3[0-2])", name):
        return "freedoom2.wad"
    if re.fullmatch(r"E[1-4]M[1-9]", name):
        return "freedoom1.wad"
    raise ValueError(f"no map {name!r}; expected {MAZE}, MAP01 to MAP32 or E1M1 to E4M9")


@dataclass(frozen=True)
class Places:
    """Where on a map episodes may begin."""

    things: NDArray[np.float64]  # (n, 2) x, y of what can be picked up, map units
    doors: NDArray[np.float64]  # (m, 3) x, y and heading (degrees, left +) in front of what looks like a door

    def __bool__(self) -> bool:
        return len(self.things) > 0


@dataclass(frozen=True)
class Circle:
    """A part of a map."""

    x: float  # map units
    y: float  # map units
    radius: float  # map units

    def holds(self, places: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(..., 2) places -> (...) whether they are inside."""
        return np.hypot(places[..., 0] - self.x, places[..., 1] - self.y) <= self.radius


def unseen_circle(places: NDArray[np.float64], seed: int) -> Circle:
    """The circle around one of `places` (n, 2) that holds `UNSEEN` of them, chosen by the seed.

    Raises:
        ValueError: there are too few places to leave some out.
    """
    if len(places) < 4:
        raise ValueError(
            f"expected a map with at least 4 places to begin at, got {len(places)}; name another map first"
        )
    x, y = places[np.random.default_rng(seed).integers(len(places))]
    distances = np.sort(np.hypot(places[:, 0] - x, places[:, 1] - y))
    inside = max(1, round(UNSEEN * len(places)))
    # Half-way to the first one outside, so that it does not begin on the brink.
    return Circle(float(x), float(y), float(distances[inside - 1] + distances[inside]) / 2.0)


def places_of_things(things: Iterable[Any]) -> NDArray[np.float64]:
    """(n, 2) x and y of those of the engine's objects that can be picked up."""
    found = [(thing.position_x, thing.position_y) for thing in things if PICKUP.fullmatch(thing.name)]
    return np.array(found).reshape(-1, 2)


def places_at_doors(sectors: Iterable[Any]) -> NDArray[np.float64]:
    """(n, 3) x, y and heading (degrees) in front of whatever looks like a closed door, on both sides.

    A closed door is a part of the map without height. The engine lists its outline as `lines`; those that let a body
    through are its two faces.
    """
    places = []
    for sector in sectors:
        if sector.ceiling_height > sector.floor_height:
            continue
        for line in sector.lines:
            along = np.array([line.x2 - line.x1, line.y2 - line.y1])
            width = float(np.hypot(*along))
            if line.is_blocking or not DOOR_WIDTHS[0] <= width <= DOOR_WIDTHS[1]:
                continue
            middle = np.array([line.x1 + line.x2, line.y1 + line.y2]) / 2.0
            across = np.array([along[1], -along[0]]) / width
            for side in (across, -across):
                heading = np.degrees(np.arctan2(-side[1], -side[0]))
                places.append([*(middle + BEFORE_DOOR * side), heading])
    return np.array(places).reshape(-1, 3)
