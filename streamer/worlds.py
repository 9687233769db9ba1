"""Worlds by the batch, as whoever drives them in lockstep sees them: in this process or on a server.

Values and one interface; knows no engine, no socket and no environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .world_info import WorldInfo


@dataclass(frozen=True, eq=False)
class Start:
    """What one stream begins from; a world refuses what it does not take."""

    seed: int  # of the world's random numbers
    prompt: str | None = None
    image: NDArray[np.uint8] | None = None  # (H, W, 3) RGB, a picture at rest
    frames: NDArray[np.uint8] | None = None  # (K, H, W, 3) RGB, recorded; whole chunks
    actions: NDArray[np.float32] | None = None  # (K, A) what led to each of `frames`; rest when absent
    state: bytes | None = None  # from `save`: go on from there; the seed is in it


@dataclass(frozen=True, eq=False)
class Chunk:
    """What one step made."""

    frames: NDArray[np.uint8]  # (n, F, H, W, 3) RGB, an array of its own
    drift: NDArray[np.float64] | None  # (n,) how far each last frame is from what the world should look like
    compute_ms: float  # what the step took


class Worlds(Protocol):
    """B streams of one world; from one thread."""

    info: WorldInfo  # what this world is

    def __len__(self) -> int:
        """Streams, started or not."""

    def start(self, starts: Mapping[int, Start]) -> None:
        """Begin some streams, by their number; what they were is forgotten.

        Raises:
            Unsupported: the world refuses one of them; none has changed then.
        """

    def step(self, rows: NDArray[np.float32], which: Sequence[int] | None = None) -> Chunk:
        """Advance some streams, all of them by default, by one chunk under (n, F, A) action rows, in one batch."""

    def save(self, which: Sequence[int] | None = None) -> tuple[bytes, ...]:
        """Some streams as bytes, from which `start` goes on."""

    def fork(self, copies: int) -> Worlds:
        """Every stream so many times, in a batch of its own: stream b has its copies at b * copies and after."""

    def close(self) -> None:
        """Free what the streams hold. Closing twice is allowed."""
