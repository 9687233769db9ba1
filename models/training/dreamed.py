"""Held-out clips dreamed once under their own actions, for all measures that look at such dreams.

Knows where the clips begin and which recorded frames lie beside them; measures nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..spec import Actions
from ..world import DiTWorld
from .clips import Clips
from .dream import context_frames, dream, scenes_at, spread
from .metrics import Pictures

LENGTH = 64
"""Frames of a dreamed clip."""


@dataclass(frozen=True)
class Dreamed:
    """N clips of T dreamed frames after `known` recorded ones."""

    clips: Clips
    starts: NDArray[np.int64]  # (N,) first recorded frame that the dream knew
    known: int  # recorded frames that it knew
    made: Pictures  # (N, T, H, W, 3)

    @property
    def span(self) -> NDArray[np.int64]:
        """(N, T) the recorded frame beside each dreamed one."""
        return self.starts[:, None] + self.known + np.arange(self.made.shape[1])

    @property
    def rows(self) -> Actions:
        """(N, T, A) the action that led to each frame."""
        return self.clips.leading[self.span]

    def truth(self, n: int) -> Pictures:
        """(N, H, W, 3) the recorded frames beside the n-th dreamed ones, from 1; 0: the last that the dream knew."""
        return self.clips.take(self.starts + self.known + n - 1)

    def real(self) -> Iterator[Pictures]:
        """Clip by clip (T, H, W, 3), the recorded frames beside the dreamed ones."""
        return map(self.clips.take, self.span)

    def between(self) -> Iterator[Pictures]:
        """Clip by clip (T, H, W, 3), recordings that begin half way from one start to the next, for comparison."""
        length = self.known + self.made.shape[1]
        middles = (self.starts[:-1] + self.starts[1:]) // 2
        middles = middles[np.isin(middles, self.clips.windows(length))]
        return map(self.clips.take, middles[:, None] + self.known + np.arange(self.made.shape[1]))


def dream_clips(world: DiTWorld, clips: Clips, count: int, length: int, batch: int) -> Dreamed:
    """`count` clips, evenly spread.

    Raises:
        ValueError: no episode is long enough.
    """
    known = context_frames(world)
    starts = spread(clips.windows(known + length), count)
    made = [dream_from(world, clips, part, known, length) for part in batches(starts, batch)]
    return Dreamed(clips, starts, known, np.concatenate(made))


def dream_from(world: DiTWorld, clips: Clips, starts: NDArray[np.int64], known: int, length: int) -> Pictures:
    """(B, T, H, W, 3) dreams after `known` frames from each start, under the recorded actions."""
    rows = clips.leading[starts[:, None] + known + np.arange(length)]
    return np.stack(list(dream(world, scenes_at(world, clips, starts, known), rows)), 1)


def batches(values: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Equal parts, none larger than `size`."""
    return np.array_split(values, -(-len(values) // size))
