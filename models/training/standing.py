"""Standing: what the engine shows from the very places where dreams stand.

A dream that goes on for long ends somewhere else than an engine that is told the same, and rooms differ. So a drift
between their pictures says where they went as much as how they look. From the same places it says how they look alone.
Knows an engine that puts a body anywhere, and the poses of a world; nothing of dreams.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from ..camera_view import CameraWay
from ..state import DiTState
from .collect import simulator_of
from .doom_simulator import DoomSimulator
from .metrics import Pictures
from .recipe import Recipe
from .survey import engine_place


@dataclass(frozen=True)
class Shown:
    """From n places."""

    pictures: Pictures  # (n, H, W, 3); black where it shows nothing
    known: NDArray[np.bool_]  # (n,) False where nobody can stand in the engine, or its episode ends


def poses_of(states: Sequence[DiTState]) -> NDArray[np.float64] | None:
    """(B, 3) where the cameras of streams are, see poses.py; None where a world does not know."""
    ways = [state.view.way for state in states if state.view and isinstance(state.view.way, CameraWay)]
    return np.stack([way.pose.cpu().numpy() for way in ways]) if len(ways) == len(states) else None


def shown_from(recipe: Recipe, poses: NDArray[np.float64]) -> Shown | None:
    """What the engine of a recipe shows from poses (n, 3); None where it puts nobody anywhere.

    Raises:
        ImportError: the engine is not installed.
    """
    if recipe.data.simulator != "doom" or recipe.data.maps or not recipe.motion:
        return None
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # an engine has a process of its own
        return pool.submit(_shown_from, recipe, poses).result()


def _shown_from(recipe: Recipe, poses: NDArray[np.float64]) -> Shown:
    assert recipe.motion is not None
    engine = simulator_of(recipe, "standing")
    assert isinstance(engine, DoomSimulator)
    shape = (len(poses), recipe.spec.height, recipe.spec.width, 3)
    shown = Shown(np.zeros(shape, np.uint8), np.zeros(len(poses), np.bool_))
    seed = recipe.data.seed
    engine.reset(seed)
    for k, pose in enumerate(poses):
        if engine.put(*engine_place(pose, recipe.motion.unit)):
            shown.pictures[k], shown.known[k] = engine.observe()[0], True
        else:
            engine.reset(seed)
    return shown
