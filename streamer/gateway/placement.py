"""Which worker a session goes to. Numbers in, an order out; knows no worker.

The benchmark `benchmarks/simulate_fleet.py` runs these very functions over a simulated fleet.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Policy: TypeAlias = Literal["spread", "pack", "random"]
"""`spread`: the emptiest first, so that nobody shares a device needlessly. `pack`: the fullest first, so that others
can be given back. `random`: any."""


@dataclass(frozen=True)
class Room:
    """What a worker has left."""

    name: str
    places: int
    taken: int

    @property
    def free(self) -> int:
        """Places that nobody has."""
        return self.places - self.taken


def ranked(rooms: Iterable[Room], policy: Policy, rng: random.Random) -> list[str]:
    """Names of those that have a place, the best one first. Equals are drawn, so that two gateways do not collide."""
    free = [room for room in rooms if room.free > 0]
    rng.shuffle(free)
    if policy == "spread":
        free.sort(key=lambda room: room.taken / room.places)
    elif policy == "pack":
        free.sort(key=lambda room: room.free)
    return [room.name for room in free]


def workers_wanted(taken: int, refused: int, places_each: float, spare: float) -> int:
    """How many workers would suit: for those who are in, for those who were refused lately, and some to spare.

    Args:
        taken: places in use.
        refused: sessions that found no place lately.
        places_each: of one worker.
        spare: share of the places that should be free.
    """
    wanted = (taken + refused) / (1.0 - spare)
    return max(1, -int(-wanted // max(1.0, places_each)))
