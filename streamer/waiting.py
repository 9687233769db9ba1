"""Who waits for a place when all are taken: first come, first served; each is told how many are ahead and how long.

Knows order and durations, and the time that it is told; no rooms, no sockets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .errors import Busy

REMEMBERED = 32  # latest stays that the estimate is the mean of


class Place:
    """One who waits."""

    def __init__(self, line: WaitingLine) -> None:
        self._line = line

    @property
    def position(self) -> int:
        """1: next."""
        return self._line.position(self)

    @property
    def estimate_s(self) -> float | None:
        """Seconds until a place is probably free; None while nobody has left yet."""
        return self._line.estimate_s(self.position)


class WaitingLine:
    """Those who wait for one world."""

    def __init__(self, *, limit: int, places: Callable[[], int]) -> None:
        self._limit = limit  # who may wait
        self._places = places  # sessions at once, as things are now
        self._waiting: list[Place] = []
        self._stays_s: deque[float] = deque(maxlen=REMEMBERED)

    def __len__(self) -> int:
        return len(self._waiting)

    @contextmanager
    def join(self) -> Iterator[Place]:
        """Wait inside the block.

        Raises:
            Busy: as many wait as may.
        """
        if len(self._waiting) >= self._limit:
            raise Busy("all places are taken and the line is full; try again later")
        place = Place(self)
        self._waiting.append(place)
        try:
            yield place
        finally:
            self._waiting.remove(place)

    def check_turn(self, place: Place | None) -> None:
        """Nobody passes those who wait.

        Raises:
            Busy: others come first.
        """
        if self._waiting and place is not self._waiting[0]:
            raise Busy(f"all places are taken and {len(self._waiting)} wait for one; try again later")

    def left(self, stayed_s: float) -> None:
        """A session ended after so many seconds."""
        self._stays_s.append(stayed_s)

    def position(self, place: Place) -> int:
        """1: next."""
        return self._waiting.index(place) + 1

    def estimate_s(self, position: int) -> float | None:
        """Seconds until that position is served, if stays go on as long as they did."""
        if not self._stays_s:
            return None
        return position * sum(self._stays_s) / len(self._stays_s) / self._places()

    def retry_after_s(self) -> float:
        """Seconds after which somebody who does not wait in line may try again."""
        estimate = self.estimate_s(len(self._waiting) + 1)
        return Busy.retry_after if estimate is None else max(1.0, estimate)
