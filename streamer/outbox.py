"""Messages on their way to one reader: offered from any thread, taken on an event loop, bounded.

Knows texts; no socket, no session. When full, news (frame facts, statistics) are dropped and counted; what must arrive
(receipts, answers, errors) takes the place of the oldest news, and only when nothing but musts wait does it fail, which
means that the reader has stopped reading.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class _Entry:
    text: str
    news: bool  # may be dropped


class Outbox:
    """A bounded queue of texts. One reader."""

    def __init__(self, capacity: int, loop: asyncio.AbstractEventLoop) -> None:
        self.dropped = 0  # news that found no place
        self.overflowed = False  # a must found no place: the reader is lost
        self._capacity = capacity
        self._loop = loop
        self._lock = threading.Lock()
        self._entries: deque[_Entry] = deque()
        self._closed = False
        self._arrived = asyncio.Event()
        self._waking = False  # a wake-up is on its way to the loop

    def put(self, text: str, *, news: bool = False) -> None:
        """Offer a message; never blocks. After `close` it is ignored."""
        with self._lock:
            if self._closed:
                return
            if len(self._entries) >= self._capacity and not self._make_room(news):
                return
            self._entries.append(_Entry(text, news))
            self._wake()

    def close(self) -> None:
        """No more messages: the reader gets what is left, then None."""
        with self._lock:
            self._closed = True
            self._wake()

    async def take(self) -> list[str] | None:
        """What waits, oldest first, at least one; None after the end. Wakes up early when a must found no place."""
        while True:
            with self._lock:
                self._waking = False
                self._arrived.clear()
                if self._entries:
                    texts = [entry.text for entry in self._entries]
                    self._entries.clear()
                    return texts
                if self._closed:
                    return None
            await self._arrived.wait()

    def _make_room(self, news: bool) -> bool:
        """Whether one more fits now; called with the lock held."""
        if news:
            self.dropped += 1
            return False
        for index, entry in enumerate(self._entries):
            if entry.news:
                del self._entries[index]
                self.dropped += 1
                return True
        self.overflowed = self._closed = True
        self._wake()
        return False

    def _wake(self) -> None:
        if self._waking:
            return
        self._waking = True
        try:
            self._loop.call_soon_threadsafe(self._arrived.set)
        except RuntimeError:  # the loop is closed: nobody reads any more
            self._closed = True
