"""How many bits a second a viewer's line takes, and how many of them may be spent on what was lost.

Knows receiver reports and estimates; no encoder, no socket; is told the time. The receiver's own bandwidth estimate
(REMB) is bounded by what it receives, so by itself it says nothing: a still picture would starve the first motion
after it (measured in Chromium: 11 to 33 kbit/s told, 190 kbit/s received without loss), and one silence would call for
the next. It says how far to go down once loss or a queue shows that the line is full.
"""

from __future__ import annotations

from dataclasses import dataclass

MUCH_LOSS, LITTLE_LOSS = 0.10, 0.02  # fractions of packets
LATEST = 0.3  # weight of the latest report in the running mean of losses
QUEUE_MS = 100.0  # round trip beyond twice the shortest one by this much: packets queue up
DOWN, UP = 0.6, 1.25  # factors a report
BELOW = 0.9  # of an estimate is aimed at, so that queues empty
FRESH_S = 2.0  # seconds that an estimate counts
SILENCE_S = 0.4  # seconds in which nothing is sent after a queue was noticed, so that it drains
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
        self.loss = 0.0  # running mean of the reports, fraction of packets: of some twenty two are soon lost
        self._floor = floor
        self._ceiling = ceiling
        self._shortest_ms = float("inf")
        self._estimate = (float("-inf"), 0)  # seconds, bits a second: the latest

    def hear(self, report: ReceiverReport, now: float) -> None:
        """Adjust to what the viewer reports."""
        self.loss += LATEST * (report.lost - self.loss)
        queues = self._queues(report.rtt_ms)
        if queues or min(self.loss / MUCH_LOSS, report.lost / LITTLE_LOSS) > 1.0:
            self._lower(now)
            if queues:
                self.silent_until = now + SILENCE_S
        elif report.lost < LITTLE_LOSS:
            self.bitrate = min(self._ceiling, int(UP * self.bitrate))

    def estimate(self, bitrate: int, now: float) -> None:
        """What the viewer believes that its line takes, in bits a second."""
        self._estimate = now, bitrate

    def _lower(self, now: float) -> None:
        at, believed = self._estimate
        wanted = DOWN * self.bitrate
        if now - at < FRESH_S:
            wanted = min(wanted, BELOW * believed)
        self.bitrate = max(self._floor, int(wanted))

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
