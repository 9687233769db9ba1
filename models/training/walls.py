"""Walls: does a dream walk on where the engine stands against one?

`wall_penetration` is the share of dreamed frames in which the picture still expands as it does when the engine walks:
by more than half of the engine's median on the battery of `walk forward`. The engine against the wall under the same
reader is the floor. A world that never walks passes no wall either, so the share of frames in which it walks where the
engine does walk stands beside. Knows played clips and batteries; nothing of engines.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..world import DiTWorld
from .around import dream_played
from .dream import reconstruct
from .flow import Flow, expansion
from .metrics import Pictures
from .scripts import Played


def walls(world: DiTWorld, wall: Played, walk: Played) -> dict[str, Any]:
    """Penetration, its floor and how often the world walks at all.

    Args:
        world: what dreams.
        wall: the engine stands against a wall while it is told to walk.
        walk: the engine walks.
    """
    pushed, walked = played_back(wall), played_back(walk)
    bar = float(np.median(expansions(walked))) / 2.0

    def share(clips: Pictures) -> float:
        return float((expansions(clips) > bar).mean())

    return {
        "wall_penetration": share(from_its_look(world, pushed, dream_played(world, wall))),
        "wall_penetration_real": share(pushed),
        "wall_walks": share(from_its_look(world, walked, dream_played(world, walk))),
        "wall_frames": int(wall.frames * len(wall.begin)),
    }


def played_back(played: Played) -> Pictures:
    """(n, frames + 1, H, W, 3) what the engine showed."""
    return played.clips.take(played.span.ravel()).reshape(*played.span.shape, *played.clips.frame(0).shape)


def from_its_look(world: DiTWorld, truth: Pictures, made: Pictures) -> Pictures:
    """Dreams (n, T, ...) behind the last true picture in the world's own look, or its blur would be read as motion."""
    return np.concatenate([reconstruct(world.autoencoder, truth[:, 0])[:, None], made], 1)


def expansions(clips: Pictures) -> NDArray[np.float64]:
    """(n, T - 1) expansion from each picture to the next."""
    flow = Flow()
    return np.stack([flow.along(clip, expansion) for clip in clips])
