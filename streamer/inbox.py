"""Controls on their way from any thread to the engine's: bounded, and closed for good at the end.

Knows nothing of what a control means.
"""

from __future__ import annotations

import threading
from collections import deque

from .errors import RateLimited, SessionClosed
from .origin import Restart
from .protocol import Control


class Inbox:
    """A queue with many writers and one reader. When full it refuses the newest and counts it."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.refused = 0  # controls that found it full
        self._lock = threading.Lock()
        self._events: deque[Control | Restart] = deque()
        self._closed = False

    def put(self, event: Control | Restart) -> None:
        """Append a control.

        Raises:
            RateLimited: it is full.
            SessionClosed: it is closed.
        """
        with self._lock:
            if self._closed:
                raise SessionClosed("the session has ended; open a new one", seq=event.seq)
            if len(self._events) >= self.capacity:
                self.refused += 1
                raise RateLimited(f"expected at most {self.capacity} waiting controls; send fewer", seq=event.seq)
            self._events.append(event)

    def take(self) -> Control | Restart | None:
        """The oldest control, if any."""
        with self._lock:
            return self._events.popleft() if self._events else None

    def close(self) -> None:
        """Refuse everything from now on; what is in it can still be taken."""
        with self._lock:
            self._closed = True

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed
