"""What is on the way to a viewer, and how long for: what was sent, against the highest number that reports name.

Knows numbers, sizes and the time that it is told; no header, no socket. aiortc knows a round trip too, but only from
reports on its latest sender report, which come 0.5 to 1.5 s apart: where a queue is longer than that it hears nothing
more, and keeps what it heard before. Every report names the highest number that has arrived, so every report tells.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

REMEMBERED = 4096  # packets that may be on the way; what is beyond them is taken as arrived
LATELY_S = 0.4  # seconds over which arrivals are counted
LATEST_S = 2.0  # and at most, where reports are rare
SHORTEST_S = 30.0  # seconds, at least, for which a short round trip stands: a line may become a longer one
HALF, WHOLE = 0x8000, 0x10000  # of the 16 bits of a number


@dataclass(frozen=True)
class Report:
    """What a viewer says, one to six times a second."""

    lost: float  # fraction of packets since the report before, 0 to 1
    packets: int  # that arrived or were lost since then
    rtt_ms: float  # the shortest of late from sending a packet to hearing of it; 0: none yet
    waited_ms: float  # since the oldest packet was sent that has not arrived; 0: all have
    under_way: int  # bytes that were sent and have not arrived
    delivered: float | None  # bits a second that arrived lately; None: not known yet


class Flight:
    """The packets of one stream. Whoever sends tells `sent`; reports go through `heard`."""

    def __init__(self) -> None:
        self._under_way: deque[tuple[int, int, float]] = deque(maxlen=REMEMBERED)  # number, bytes, seconds
        self._arrived = 0.0  # bytes so far
        self._heard: deque[tuple[float, float]] = deque()  # seconds, bytes that had arrived by then
        self._shortest = [float("inf"), float("inf")]  # seconds: of this span of time, of the one before
        self._span_began = 0.0  # seconds

    def sent(self, number: int, size: int, now: float) -> None:
        """A packet leaves, for the first time."""
        self._under_way.append((number % WHOLE, size, now))

    def heard(self, highest: int, lost: float, now: float) -> Report:
        """A report came: the highest number that has arrived, and the fraction lost."""
        packets, sent = 0, now
        while self._under_way and (highest - self._under_way[0][0]) % WHOLE < HALF:
            _, size, sent = self._under_way.popleft()
            self._arrived += size * (1.0 - lost)
            packets += 1
        if packets:
            self._took(now - sent, now)
        return Report(
            lost,
            packets,
            rtt_ms=1000.0 * shortest if (shortest := min(self._shortest)) < float("inf") else 0.0,
            waited_ms=1000.0 * (now - self._under_way[0][2]) if self._under_way else 0.0,
            under_way=sum(size for _, size, _ in self._under_way),
            delivered=self._delivered(now),
        )

    def _took(self, seconds: float, now: float) -> None:
        """The latest packet to arrive left so many seconds before we heard of it."""
        if now - self._span_began > SHORTEST_S:
            self._span_began = now
            self._shortest = [float("inf"), self._shortest[0]]
        self._shortest[0] = min(self._shortest[0], seconds)

    def _delivered(self, now: float) -> float | None:
        self._heard.append((now, self._arrived))
        while len(self._heard) > 2 and (self._heard[1][0] <= now - LATELY_S or self._heard[0][0] < now - LATEST_S):
            self._heard.popleft()
        since, before = self._heard[0]
        if not LATELY_S / 2 <= now - since <= LATEST_S:
            return None
        return 8.0 * (self._arrived - before) / (now - since)
