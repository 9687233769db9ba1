"""Start scenes: which recorded moments a world that ships can begin with, and what they are called.

Where a camera walks, one that rests and sees far: what is near is soonest wrong, and who arrives in the middle of a
stride is carried on. Where it stands before a robot, openings of episodes, for there nothing has been done yet. Knows
recordings and how a world enters them; no engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ..camera_view import CameraOutlook
from ..state import StartScene
from ..world import DiTWorld
from .clips import Clips
from .dream import scenes_at, spread
from .metrics import Pictures, luma

SCENES = 12  # that a world carries
CANDIDATES = 8  # moments that are looked at for each of them
THUMBNAIL = 16  # cells of a picture each way, in which pictures are compared


def start_scenes(
    world: DiTWorld, clips: Clips, kind: NDArray[np.int64], names: Sequence[str]
) -> tuple[StartScene, ...]:
    """`SCENES` of them, as many frames as the window holds, spread over the recordings.

    Each kind (n,) of recording, a map or a task, has as many, in turns: a seed chooses the task with the scene. They
    are called by the names of kinds, and numbered; who knows better names writes them into the world's `.json`.
    """
    frames = world.config.window
    begins = moments(clips, frames, rest=isinstance(world.outlook, CameraOutlook))
    known = np.unique(kind[begins])
    each = -(-SCENES // max(1, len(known)))
    chosen = [
        [
            (f"{names[one]} {number + 1}", at)
            for number, at in enumerate(unlike(clips, begins[kind[begins] == one], frames, each))
        ]
        for one in known
    ]
    turns = [place for turn in zip_longest(*chosen) for place in turn if place is not None]
    scenes = scenes_at(world, clips, np.array([at for _, at in turns]), frames)
    return tuple(replace(scene, name=name) for (name, _), scene in zip(turns, scenes, strict=True))


def moments(clips: Clips, frames: int, *, rest: bool) -> NDArray[np.int64]:
    """Where so many frames begin that a world could begin with: of episodes, or in which nobody moves.

    Where hardly anybody rests, also of episodes.
    """
    windows = clips.windows(frames)
    openings = np.intersect1d(np.flatnonzero(clips.begins), windows)
    if not rest:
        return openings
    gone = np.abs(np.diff(clips.poses, axis=0, prepend=clips.poses[:1])).max(1) > 0.0
    stirs = np.concatenate([[0], np.cumsum(gone | clips.leading.any(1))])
    resting = windows[stirs[windows + frames] == stirs[windows]]
    first = resting[np.diff(resting, prepend=-2) > 1]  # of a rest
    return first if len(first) >= SCENES else openings


def unlike(clips: Clips, begins: NDArray[np.int64], frames: int, count: int) -> NDArray[np.int64]:
    """Of moments, `count` that show much, and each something else than the others.

    Who starts with the nose at a wall sees nothing of the world: what is far has more edges than what is near. Of the
    half with the most, one is taken after the other, always the most unlike those that were taken.
    """
    some = spread(begins, 2 * CANDIDATES * count)
    pictures = clips.take(some + frames - 1)
    edges = np.abs(np.diff(luma(pictures), axis=2)).mean((1, 2))
    half = np.argsort(-edges)[: max(count, len(some) // 2)]
    some, small = some[half], thumbnails(pictures[half])
    taken, apart = [0], np.full(len(some), np.inf)
    while len(taken) < min(count, len(some)):
        apart = np.minimum(apart, np.linalg.norm(small - small[taken[-1]], axis=1))
        taken.append(int(apart.argmax()))
    return some[taken]


def thumbnails(pictures: Pictures) -> NDArray[np.float64]:
    """(n, H, W, 3) -> (n, THUMBNAIL ** 2 * 3) mean colours of cells."""
    cells = F.adaptive_avg_pool2d(torch.from_numpy(pictures).movedim(-1, 1).double(), THUMBNAIL)
    return cells.movedim(1, -1).flatten(1).numpy()
