"""A world sampled in more steps than it is live: the same weights, for pictures that nobody waits for.

Knows DiTWorld and its noise levels; nothing of what is made with it.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Any

from .sampler import sigmas
from .spec import WorldModel
from .world import DiTWorld


def in_steps(world: WorldModel[Any], steps: int) -> WorldModel[Any]:
    """The same world in so many denoising steps; as it is where it has none.

    Its states are those of the other: both may step them.
    """
    if not isinstance(world, DiTWorld):
        return world
    finer = copy(world)
    finer.config = replace(world.config, sigmas=sigmas(steps))
    finer.spec = replace(world.spec, steps=(0, 0))
    return finer
