"""Look-around consistency: does a world still show the same place when one comes back to it?

From rest a dream turns by 360 degrees, or walks forward and back, as the engine did (scripts.py), and its last
picture is compared with the engine's. Beside it stand the engine against itself, which is the ceiling, and the engine's
pictures of other places, which any picture of such a world resembles a little. Knows played clips; nothing of engines.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..spec import Image
from ..world import DiTWorld
from .dream import context_frames, dream, reconstruct, scenes_at
from .metrics import Pictures, psnr
from .scripts import REST, Played


def come_back(world: DiTWorld, played: Played, name: str) -> dict[str, Any]:
    """PSNR at the return, under four keys that begin with `name`."""
    made = dream_played(world, played)[:, -1]
    first, last = (played.clips.take(played.span[:, k]) for k in (0, -1))
    return {
        f"{name}_psnr": float(psnr(made, last).mean()),
        f"{name}_unrelated_psnr": unrelated(made, last),
        f"{name}_first_psnr": float(psnr(made, reconstruct(world.autoencoder, first)).mean()),
        f"{name}_real_psnr": float(psnr(first, last).mean()),
        f"{name}_frames": played.frames,
    }


def unrelated(made: Pictures, last: Pictures) -> float:
    """Mean PSNR of each picture against what was to be seen at all other places.

    Raises:
        ValueError: there is one place only.
    """

    def others(index: int, picture: Image) -> float:
        return float(psnr(picture, np.delete(last, index, 0)).mean())

    if len(made) < 2:
        raise ValueError("an unrelated picture needs a second place: count at least two")
    return float(np.mean([others(index, picture) for index, picture in enumerate(made)]))


def dream_played(world: DiTWorld, played: Played) -> Pictures:
    """(n, frames, H, W, 3) dreams that play a script from its beginning."""
    known = context_frames(world, REST)  # the very first has no action
    scenes = scenes_at(world, played.clips, played.begin + 1 - known, known)
    return np.stack(list(dream(world, scenes, played.clips.leading[played.span[:, 1:]])), 1)
