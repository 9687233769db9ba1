"""How many bits a second a viewer's line takes, when it must be left alone, and what may be spent on what was lost.

Knows reports and estimates; no encoder, no socket; is told the time. Reports come from once to six times a second, so
whatever grows or is averaged here goes by time and packets, never by report. The receiver's own bandwidth estimate
(REMB) is bounded by what it receives, so by itself it says nothing: a still picture would starve the first motion
after it (measured in Chromium: 11 to 33 kbit/s told, 190 kbit/s received without loss), and one silence would call for
the next. It says how far to go down once loss or a queue shows that the line is full.
"""

from __future__ import annotations

from .flight import Report

MUCH_LOSS, LITTLE_LOSS = 0.10, 0.02  # fractions of packets
LOSS_S = 1.0  # seconds over which losses are counted
LATEST = 0.3  # weight of the latest such count in the running mean of losses
QUEUE_MS = 100.0  # a packet waits longer than twice the shortest round trip by this much: packets queue up
BELOW = 0.85  # of what arrives, while there is a queue, is aimed at, so that it empties
TRUST = 0.7  # an estimate may lower that by this factor
DEEP = 2.0  # a wait of so many times what makes a queue is no hiccup of a busy machine
HICCUP, DOWN = 0.85, 0.6  # a shallow queue, and losses, lower the rate by these factors at most
FRESH_S = 2.0  # seconds that an estimate counts
UP = 1.4  # factor a second
NEAR, CAREFUL = 1.1, 1.08  # up to so many times the rate at which the line was full, it grows by this factor a second
PATIENCE_S = 1.0  # seconds between reports that are made up for by growth, at most
LATE, LATE_S = 2.0, 0.3  # a report later than usual by this factor and so many seconds: there was an outage
USUAL = 0.2  # weight of the latest gap between reports in the running mean of gaps
SILENCE_S = (0.1, 1.0)  # seconds in which nothing is sent, so that a queue drains: at least, and at most
BURST_S = 0.15  # seconds for which a picture may occupy a line that is known to be narrow, before one is left out
REPAIR = 0.15  # fraction of the rate that may be spent on sending packets again
REPAIR_BURST = 6000.0  # bytes of them at once


class RateControl:
    """Keeps `bitrate` between a floor and a ceiling, where it starts: small pictures are seldom too much."""

    def __init__(self, floor: int, ceiling: int) -> None:
        self.bitrate = ceiling  # bits a second
        self.silent_until = 0.0  # seconds, monotonic: send nothing before
        self.loss = 0.0  # running mean, fraction of packets: of some twenty two are soon lost
        self._floor = floor
        self._ceiling = ceiling
        self._full_at = float("inf")  # bits a second that the line took when it was full
        self._estimate = (float("-inf"), 0)  # seconds, bits a second: the latest
        self._heard_at: float | None = None  # seconds: of the latest report
        self._gap = 1.0  # seconds: running mean of the gaps between reports
        self._counted = (0.0, 0.0, 0)  # seconds when counting began, packets lost since, packets
        self._owed = (0.0, 0.0)  # seconds, bytes that a line of `bitrate` had not taken by then

    def hear(self, report: Report, now: float) -> None:
        """Adjust to what the viewer reports."""
        lost = self._count(report, now)
        # Where nothing arrived, or no report came for long, the line was dead rather than full: silence mends nothing.
        alive = not self._late(now) and report.packets > 0
        depth = report.waited_ms / (2.0 * report.rtt_ms + QUEUE_MS) if alive else 0.0
        if depth > 1.0:
            self._lower(report, 0.0 if depth > DEEP else HICCUP, now)
            self._drain(report, now)
        elif lost is not None and min(self.loss / MUCH_LOSS, lost / LITTLE_LOSS) > 1.0:
            self._lower(report, DOWN, now)
        elif report.lost < LITTLE_LOSS and report.waited_ms < report.rtt_ms + QUEUE_MS / 2.0:
            self._climb(now)
        self._heard_at = now

    def estimate(self, bitrate: int, now: float) -> None:
        """What the viewer believes that its line takes, in bits a second."""
        self._estimate = now, bitrate

    def sent(self, size: int, now: float) -> None:
        """So many bytes left. A line that is known to be narrow is left alone until it has taken a large picture."""
        at, owed = self._owed
        owed = max(0.0, owed - (now - at) * self.bitrate / 8.0) + size
        self._owed = now, owed
        if self.bitrate < self._ceiling:
            self.silent_until = max(self.silent_until, now + 8.0 * owed / self.bitrate - BURST_S)

    def _count(self, report: Report, now: float) -> float | None:
        """Fraction of packets lost in a span of time that ends now; None: it goes on."""
        began, lost, packets = self._counted
        lost, packets = lost + report.lost * report.packets, packets + report.packets
        self._counted = began, lost, packets
        if now - began < LOSS_S or not packets:
            return None
        self._counted = now, 0.0, 0
        self.loss += LATEST * (lost / packets - self.loss)
        return lost / packets

    def _late(self, now: float) -> bool:
        """Whether the report that comes now was long in coming."""
        usual, gap = self._gap, 0.0 if self._heard_at is None else now - self._heard_at
        self._gap += USUAL * (gap - usual)
        return gap > LATE * usual + LATE_S

    def _lower(self, report: Report, least: float, now: float) -> None:
        """To what arrives, or to what the viewer believes in, but not below `least` times the rate."""
        wanted = DOWN * self.bitrate if report.delivered is None else BELOW * report.delivered
        wanted = max(wanted, least * self.bitrate)
        self._full_at = wanted / BELOW
        at, believed = self._estimate
        if now - at < FRESH_S:
            wanted = min(wanted, max(believed, TRUST * wanted, least * self.bitrate))
        self.bitrate = max(self._floor, min(self.bitrate, int(wanted)))

    def _drain(self, report: Report, now: float) -> None:
        takes = max(self._floor, report.delivered or self.bitrate)
        shortest, longest = SILENCE_S
        seconds = 8.0 * report.under_way / takes - report.rtt_ms / 1000.0
        self.silent_until = now + max(shortest, min(longest, seconds))

    def _climb(self, now: float) -> None:
        if self._heard_at is None or now < self.silent_until:
            return
        factor = CAREFUL if self.bitrate < NEAR * self._full_at < float("inf") else UP
        seconds = min(PATIENCE_S, now - self._heard_at)
        self.bitrate = min(self._ceiling, int(self.bitrate * factor**seconds))


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
