"""How many bits a second a viewer's line takes, and how many of them may be spent on what was lost.

Knows receiver reports and estimates; no encoder, no socket; is told the time. The receiver's own bandwidth estimate
(REMB) is bounded by what it receives, so it is believed only while about as much is sent as it names: otherwise a still
picture would starve the first motion after it (measured in Chromium: 11 to 33 kbit/s told, 190 kbit/s received without
loss).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MUCH_LOSS, LITTLE_LOSS = 0.10, 0.02  # fractions of packets
QUEUE_MS = 100.0  # round trip beyond twice the shortest one by this much: packets queue up
DOWN, UP = 0.6, 1.25  # factors a report
BELIEVED = 0.7  # of an estimate must be sent before it says anything about the line
BELOW = 0.9  # of an estimate is aimed at, so that queues empty
SILENCE_S = 0.4  # seconds in which nothing is sent after the line turned out to be full: what waits in it drains
WINDOW_S = 1.0  # seconds over which it is measured what is sent
REPAIR = 0.15  # fraction of the rate that may be spent on sending packets again
REPAIR_BURST = 6000.0  # bytes of them at once


@dataclass(frozen=True)
class ReceiverReport:
    """What a viewer says about once a second."""

    lost: float  # fraction of packets since the report before, 0 to 1
    rtt_ms: float | None  # None: not known yet


class RateControl:
    """Keeps `bitrate` between a floor and a ceiling, where it starts: small pictures are seldom too much."""

    def __init__(self, floor: int, ceiling: int) -> None:
        self.bitrate = ceiling  # bits a second
        self.silent_until = 0.0  # seconds, monotonic: send nothing before
        self._floor = floor
        self._ceiling = ceiling
        self._shortest_ms = float("inf")
        self._sent: deque[tuple[float, int]] = deque()  # (seconds, bytes) of the last second

    def sent(self, size: int, now: float) -> None:
        """So many bytes left."""
        self._sent.append((now, size))

    def hear(self, report: ReceiverReport, now: float) -> None:
        """Adjust to what the viewer reports."""
        if report.lost > MUCH_LOSS or self._queues(report.rtt_ms):
            self._lower(int(DOWN * self.bitrate), now)
        elif report.lost < LITTLE_LOSS:
            self.bitrate = min(self._ceiling, int(UP * self.bitrate))

    def estimate(self, bitrate: int, now: float) -> None:
        """Adjust to what the viewer believes that its line takes, in bits a second."""
        if self._sending(now) > BELIEVED * bitrate and BELOW * bitrate < self.bitrate:
            self._lower(int(BELOW * bitrate), now)

    def _lower(self, bitrate: int, now: float) -> None:
        before, self.bitrate = self.bitrate, max(self._floor, bitrate)
        if self.bitrate < 0.8 * before or self.bitrate == self._floor:
            self.silent_until = max(self.silent_until, now + SILENCE_S)

    def _sending(self, now: float) -> float:
        """Bits a second that left lately."""
        while self._sent and self._sent[0][0] < now - WINDOW_S:
            self._sent.popleft()
        return 8.0 * sum(size for _, size in self._sent) / WINDOW_S

    def _queues(self, rtt_ms: float | None) -> bool:
        if rtt_ms is None:
            return False
        self._shortest_ms = min(self._shortest_ms, rtt_ms)
        return rtt_ms > 2.0 * self._shortest_ms + QUEUE_MS


class RepairBudget:
    """How much may be sent again. Without a limit a full line fills with repairs of what did not fit."""

    def __init__(self, now: float) -> None:
        self.refused = 0  # packets that were not sent again; a key frame will make up for them
        self._bytes = REPAIR_BURST
        self._at = now  # seconds, when `_bytes` was right

    def take(self, size: int, bitrate: int, now: float) -> bool:
        """Whether a packet of `size` bytes may be sent again at `now` (seconds, monotonic)."""
        self._bytes = min(REPAIR_BURST, self._bytes + (now - self._at) * REPAIR * bitrate / 8.0)
        self._at = now
        if self._bytes < size:
            self.refused += 1
            return False
        self._bytes -= size
        return True
