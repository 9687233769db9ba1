"""A world sampled in more steps than it is live: the same weights, for pictures that nobody waits for.

Knows DiTWorld and its noise levels; nothing of what is made with it.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TypeVar

from .sampler import sigmas
from .world import DiTWorld

Model = TypeVar("Model")


def named_steps(what: str) -> tuple[str, int | None]:
    """`doom@2` is `doom` in two denoising steps: the name, and the steps behind its `@`, where there are any.

    Raises:
        ValueError: what follows is no number of steps.
    """
    name, at, steps = what.partition("@")
    if at and not (steps.isdecimal() and int(steps)):
        raise ValueError(f"expected denoising steps as a number from 1 after '@', got {what!r}")
    return name, int(steps) if at else None


def steps_of(world: object) -> int | None:
    """Denoising steps that a world takes; None where it has none."""
    return len(world.config.sigmas) - 1 if isinstance(world, DiTWorld) else None


def in_steps(world: Model, steps: int | None) -> Model:
    """The same world in so many denoising steps; as it is for None, or where it has none.

    Its states are those of the other: both may step them.
    """
    if steps is None or not isinstance(world, DiTWorld):
        return world
    finer = copy(world)
    finer.config = replace(world.config, sigmas=sigmas(steps))
    finer.spec = replace(world.spec, steps=(0, 0))
    return finer
