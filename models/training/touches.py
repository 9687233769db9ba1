"""Touches: what hands do to things, in the engine and without pictures, so that there can be many.

A visitor takes a drawer now and then, and misses it by a centimetre hardly ever: too seldom to learn from where a hand
takes it along and where it does not. Physics alone takes a hundredth of the time of physics and a picture. Knows the
arm's engine and the layout of recordings.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from .clips import Clips, Shard, shard_stems
from .hands import things_of
from .recipe import Recipe

NAME = "touches"
FRAMES, EPISODE = 60_000, 200  # frames of a thing
SEED = 3_000_000  # added to the recipe's, so that no other set has these episodes


def record_touches(recipe: Recipe, data: Path, frames: int = FRAMES) -> None:
    """Record them under `data` if they are missing; pictures of one black pixel stand for those that nobody looks at.

    Raises:
        ImportError: the engine is not installed.
    """
    if not things_of(recipe) or shard_stems(data / NAME):
        return
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:  # what engines leave behind goes with it
        process.submit(_record, recipe, data, frames * len(things_of(recipe))).result()


def _record(recipe: Recipe, data: Path, frames: int) -> None:
    from .arm_simulator import ArmSimulator

    simulator = ArmSimulator(recipe.spec.height, recipe.spec.width, recipe.data.tasks)
    rng = np.random.default_rng(recipe.data.seed + SEED)
    actions, poses, episodes = [], [], []
    for k in range(frames):
        if k % EPISODE == 0:
            simulator.reset(recipe.data.seed + SEED + k // EPISODE)
            policy = simulator.touching(rng)
        poses.append(simulator.pose())
        actions.append(next(policy))
        episodes.append(k // EPISODE)
        simulator.act(actions[-1])
    nothing = np.zeros((frames, 1, 1, 3), np.uint8)
    Shard(nothing, np.stack(actions), np.stack(poses), np.array(episodes, np.int64)).save(data / NAME / "0000")


def open_touches(data: Path) -> Clips | None:
    """What was recorded, if it was."""
    return Clips.open(data / NAME) if shard_stems(data / NAME) else None
