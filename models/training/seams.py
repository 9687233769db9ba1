"""Seam flicker: does the picture jump where the machinery does?

A dream comes in chunks, and its memory is a ring that goes round. A viewer should see neither. The measure is the mean
change between neighbouring frames at such a seam over the mean change elsewhere; 1 is no seam. Knows numbers only.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .dreamed import Dreamed
from .metrics import Pictures, change


def seams(frames: int, known: int, chunk: int, window: int) -> NDArray[np.bool_]:
    """(frames - 1,) whether a seam lies between a dreamed frame and the next.

    Args:
        frames: dreamed frames.
        known: frames in the memory when the dream begins.
        chunk: frames of a step. With one, every frame is a chunk of its own, and only the ring is left:
            a seam is where the memory begins to overwrite its first place again.
        window: frames that the memory holds.
    """
    after = np.arange(1, frames)
    return after % chunk == 0 if chunk > 1 else (known + after) % window == 0


def seam_flicker(dreamed: Dreamed, chunk: int, window: int) -> dict[str, float]:
    """The ratio for dreams and, as its floor, for the recorded frames beside them."""
    at = seams(dreamed.made.shape[1], dreamed.known, chunk, window)

    def ratio(clips: Iterable[Pictures]) -> float:
        changes = np.stack([change(clip[1:], clip[:-1]) for clip in clips])
        return float(changes[:, at].mean() / max(changes[:, ~at].mean(), 1e-9))

    return {"seam_flicker": ratio(dreamed.made), "seam_flicker_real": ratio(dreamed.real())}
