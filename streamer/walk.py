"""The walk that a session has taken since its world began: what from, and the action row of every frame.

A world makes the same frames from the same beginning under the same rows, so whoever has a walk can see it again: in
lockstep, with these rows. Bounded: one that grows too long is given up, and says so until the world begins anew. Knows
frames; no room and no message.

A world that goes back takes what came after out of its walk. Into what was taken out no walk leads any more.
"""

from __future__ import annotations

import threading
from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .frames import Frame
from .origin import Origin

TURNINGS = 4096  # times that a walk may go back
MOST = 2**20  # bytes of rows: 40 minutes of a world with five columns at 17.5 frames a second


@dataclass(frozen=True, eq=False)
class Taken:
    """A walk so far."""

    origin: Origin
    rows: NDArray[np.float32]  # (N, A)
    reduced: bool  # some of its frames came about as a replay does not make them: in fewer steps, parked, told


class Walk:
    """See the module. `frame` and `rewound` follow one another; `taken` and `forget` are for any thread."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._origin: Origin | None = None  # None: nothing has begun that could be told whole
        self._rows = bytearray()
        self._frames = array("Q")  # number of each row's frame
        self._left: list[tuple[int, int]] = []  # first frame of what was taken out, and the first one after going back
        self._reduced = -1  # number of the first frame that a replay makes otherwise

    def frame(self, frame: Frame) -> None:
        """A frame was made; never blocks for long."""
        with self._lock:
            if frame.origin is not None:
                self._begin(frame.origin)
            if frame.back_to is not None:
                self._turn(frame.back_to, frame.index)
            if self._origin is None or frame.actions is None:
                return
            row = frame.actions.astype("<f4", copy=False).tobytes()
            if len(self._rows) + len(row) > self._most:
                self._begin(None)
                return
            self._rows += row
            self._frames.append(frame.index)
            if (frame.steps or frame.rebuilt or frame.told) and self._reduced < 0:
                self._reduced = frame.index

    def rewound(self, to: int, frame: int) -> None:
        """Before this frame the world goes back to where it was before frame `to`."""
        with self._lock:
            self._turn(to, frame)

    def taken(self) -> Taken | None:
        """The walk so far; None where it grew too long, or nothing has begun."""
        with self._lock:
            if self._origin is None:
                return None
            rows = np.frombuffer(bytes(self._rows), "<f4").reshape(len(self._frames), -1)
            return Taken(self._origin, rows, self._reduced >= 0)

    def forget(self) -> None:
        """Nobody will ask any more."""
        with self._lock:
            self._begin(None)

    def _begin(self, origin: Origin | None) -> None:
        self._origin, self._rows, self._frames, self._reduced = origin, bytearray(), array("Q"), -1
        self._left = []

    def _turn(self, to: int, frame: int) -> None:
        if any(first < to <= after for first, after in self._left) or len(self._left) >= TURNINGS:
            self._begin(None)
            return
        size = len(self._rows) // len(self._frames) if self._frames else 0
        while self._frames and self._frames[-1] >= to:
            self._frames.pop()
        del self._rows[len(self._frames) * size :]
        if not self._frames:
            self._begin(None)  # how it began went with its first frame
            return
        self._left = [*(gap for gap in self._left if gap[0] < to), (to, frame)]
        if self._reduced >= to:
            self._reduced = -1
