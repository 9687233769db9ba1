"""Where on Freedoom's maps episodes begin, and the one place that training never enters.

A map says nothing of where a body may stand; but what can be picked up lies where somebody can walk. The place that
training never enters is a circle around one of these, and holds about a seventh of them. Knows places; no engine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAZE = "my_way_home"
"""ViZDoom's scenario: a maze in which episodes begin at random places by themselves."""

UNSEEN = 0.15
"""Share of a map's places within the circle that training never enters."""

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
        raise ValueError(f"expected a map with at least 4 places to begin at, got {len(places)}; name another map first")
    x, y = places[np.random.default_rng(seed).integers(len(places))]
    distances = np.sort(np.hypot(places[:, 0] - x, places[:, 1] - y))
    inside = max(1, round(UNSEEN * len(places)))
    # Half-way to the first one outside, so that it does not begin on the brink.
    return Circle(float(x), float(y), float(distances[inside - 1] + distances[inside]) / 2.0)
