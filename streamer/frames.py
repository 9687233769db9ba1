"""A finished frame, and the slot through which it passes from the engine's thread to an event loop.

Knows no codec, transport or model.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import SessionClosed
from .origin import Origin
from .since import Told


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture and how it came about. Times are `time.monotonic_ns`."""

    index: int  # frame number of the session; never reused, also not after a reset
    pts: int  # 90 kHz
    pixels: NDArray[np.uint8]  # (H, W, 3) RGB; nobody writes to it
    applied: int  # seq of the last control that shaped it, 0 for none
    step_ns: int  # what the world took for the chunk
    sampled_ns: int  # when the controls of the chunk were sampled
    made_ns: int  # when the chunk was ready
    show_ns: int = 0  # not to be shown before; later frames of a chunk wait for their turn
    actions: NDArray[np.float32] | None = None  # (A,) the row that the world was given for it; nobody writes to it
    steps: int = 0  # denoising steps, where overload has taken some away; 0: as many as the world takes by itself
    origin: Origin | None = None  # with the first frame of a stream: what it started from
    back_to: int | None = None  # with the first frame after going back: the world was as before this one
    told: tuple[Told, ...] = ()  # with the first frame after the world was told so: texts that it goes on under
    rebuilt: bool = False  # with the first frame after the world's memory was made anew (parking.py)


class FrameSlot:
    """The newest frames for one reader: `put` from any thread, `get` on an event loop.

    Holds `depth` frames; when full the oldest is dropped and counted. A viewer needs the depth 1, or one chunk where
    a chunk has several frames. A lockstep reader must lose none: give it as many as steps it may ask for ahead.
    """

    def __init__(self, depth: int = 1, *, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        if depth < 1:
            raise ValueError(f"expected a depth of at least 1, got {depth}")
        self.depth = depth
        self.dropped = 0  # frames replaced before anyone read them
        self._clock_ns = clock_ns
        self._lock = threading.Lock()
        self._frames: deque[Frame] = deque()
        self._closed = False
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None

    def put(self, frame: Frame) -> None:
        """Offer a frame; never blocks. After `close` it is counted as dropped."""
        with self._lock:
            if self._closed:
                self.dropped += 1
                return
            if len(self._frames) == self.depth:
                self._frames.popleft()
                self.dropped += 1
            self._frames.append(frame)
            self._wake()

    def close(self) -> None:
        """No more frames: the reader gets what is left, then `SessionClosed`."""
        with self._lock:
            self._closed = True
            self._wake()

    async def get(self) -> Frame:
        """The next frame, not before its time. One reader at a time.

        Raises:
            SessionClosed: `close` was called and every frame was read.
        """
        while True:
            with self._lock:
                early_ns = self._frames[0].show_ns - self._clock_ns() if self._frames else 0
                if self._frames and early_ns <= 0:
                    return self._frames.popleft()
                if self._closed and not self._frames:
                    raise SessionClosed("the session has ended; there are no more frames")
                loop = asyncio.get_running_loop()
                arrival: asyncio.Future[None] = loop.create_future()
                self._waiter = (loop, arrival)
            # While a frame waits for its time it stays in the slot, so that a cancelled reader loses nothing.
            await asyncio.wait([arrival], timeout=early_ns / 1e9 if early_ns > 0 else None)

    def _wake(self) -> None:
        """Tell the reader; called with the lock held."""
        if self._waiter is None:
            return
        loop, arrival = self._waiter
        self._waiter = None
        try:
            loop.call_soon_threadsafe(_finish, arrival)
        except RuntimeError:  # the reader's loop is closed: nobody is waiting any more
            self._closed = True


def _finish(arrival: asyncio.Future[None]) -> None:
    if not arrival.done():
        arrival.set_result(None)
