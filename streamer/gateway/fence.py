"""How long a worker may go on without its gateway: beyond that its sessions may have been given to another.

A worker counts from a report that it knows the gateway to have heard, and a gateway from when it heard it, which is
later. So a worker that the gateway cannot reach has ended before its sessions begin elsewhere, whatever their clocks
say and however long a message was under way. Knows numbers; what ends the process is a thread, without a loop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LOOK_S = 0.2  # seconds between two looks at the time
KEPT = 8  # reports whose times are remembered


class Fence:
    """See the module; for one worker. `asked` is for the event loop, `over` for any thread."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._asked: dict[int, float] = {}  # seconds, by the number of the report
        self._until = float("inf")  # nobody knows of this worker yet

    def asked(self, number: int, acknowledged: int) -> None:
        """A report is given, and the gateway says which one it has heard."""
        heard = self._asked.get(acknowledged)
        if heard is not None:
            self._until = heard + self._seconds
        self._asked = {n: at for n, at in self._asked.items() if n >= acknowledged} | {number: self._clock()}
        while len(self._asked) > KEPT:
            del self._asked[min(self._asked)]

    @property
    def over(self) -> bool:
        """Whether this worker's sessions are its own no more."""
        return self._clock() > self._until

    def watch(self, end: Callable[[], None]) -> None:
        """From now on `end` the process when it is over; on a thread."""

        def look() -> None:
            while not self.over:
                time.sleep(LOOK_S)
            end()

        threading.Thread(target=look, name="worldloom-fence", daemon=True).start()
