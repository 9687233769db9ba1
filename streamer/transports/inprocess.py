"""Frames and receipts for code in the same process: an embedding program, the Gymnasium environment, a test.

Knows frames and messages; never session, engine or model.
"""

from __future__ import annotations

import threading
from collections import deque

from ..errors import WorldloomError
from ..frames import Frame
from ..server_messages import Receipt


class Collector:
    """A sink that keeps frames and receipts until they are taken; fed on the engine's thread, read on any other.

    Holds `depth` frames and as many receipts as `receipts`; when full the oldest is dropped and counted.
    """

    def __init__(self, *, depth: int = 256, receipts: int = 1024) -> None:
        self.dropped_frames = 0
        self.dropped_receipts = 0
        self.error: WorldloomError | None = None  # why the session ended, if nobody asked it to
        self._depth, self._most_receipts = depth, receipts
        self._news = threading.Condition()
        self._frames: deque[Frame] = deque()
        self._receipts: deque[Receipt] = deque()

    def frame(self, frame: Frame) -> None:
        """Take in a frame."""
        with self._news:
            if len(self._frames) == self._depth:
                self._frames.popleft()
                self.dropped_frames += 1
            self._frames.append(frame)
            self._news.notify_all()

    def receipt(self, receipt: Receipt) -> None:
        """Take in a receipt."""
        with self._news:
            if len(self._receipts) == self._most_receipts:
                self._receipts.popleft()
                self.dropped_receipts += 1
            self._receipts.append(receipt)
            self._news.notify_all()

    def fault(self, error: WorldloomError) -> None:
        """Take in the end of the session."""
        with self._news:
            self.error = error
            self._news.notify_all()

    def take(self, count: int = 1, *, timeout_s: float = 60.0) -> list[Frame]:
        """The next `count` frames.

        Raises:
            WorldloomError: the session ended by a fault before they came.
            TimeoutError: they did not come in time.
        """
        with self._news:
            if not self._news.wait_for(lambda: len(self._frames) >= count or self.error is not None, timeout_s):
                raise TimeoutError(f"expected {count} frames within {timeout_s:g} s, got {len(self._frames)}")
            if len(self._frames) < count:
                assert self.error is not None
                raise self.error
            return [self._frames.popleft() for _ in range(count)]

    def answer(self, seq: int, *, timeout_s: float = 60.0) -> Receipt:
        """The receipt of one control; receipts before it are forgotten.

        Raises:
            WorldloomError: the session ended by a fault before it came.
            TimeoutError: it did not come in time.
        """
        with self._news:
            while True:
                while self._receipts:
                    receipt = self._receipts.popleft()
                    if receipt.seq == seq:
                        return receipt
                if self.error is not None:
                    raise self.error
                if not self._news.wait(timeout_s):
                    raise TimeoutError(f"expected the receipt of control {seq} within {timeout_s:g} s")

    def take_receipts(self) -> list[Receipt]:
        """Receipts since the last call."""
        with self._news:
            receipts = list(self._receipts)
            self._receipts.clear()
            return receipts
