"""One viewer's line: what was sent and what the viewer says go in, and what follows for the pictures comes out.

Knows the parts that decide, each by itself; no encoder, no socket; is told the time.
"""

from __future__ import annotations

from .copies import CopySwitch
from .flight import Flight
from .playout import PlayoutDelay, PlayoutSwitch
from .rate import RateControl, RepairBudget


class Line:
    """See the module. Times are seconds, monotonic."""

    def __init__(self, floor: int, ceiling: int, now: float, *, copies: bool = True) -> None:
        """Bits a second between which the rate is kept, the time, and whether packets may leave twice."""
        self._flight = Flight()
        self._rate = RateControl(floor, ceiling)
        self._repairs = RepairBudget(now)
        self._playout = PlayoutSwitch()
        self._copies = CopySwitch() if copies else None
        self._ceiling = ceiling

    @property
    def bitrate(self) -> int:
        """Bits a second that it takes."""
        return self._rate.bitrate

    @property
    def silent_until(self) -> float:
        """No picture is to be sent before."""
        return self._rate.silent_until

    @property
    def playout(self) -> PlayoutDelay:
        """How long the viewer is to hold pictures back. Copies come too soon to wait for them."""
        return PlayoutDelay() if self.twice else self._playout.delay

    @property
    def twice(self) -> bool:
        """Whether each packet is to leave twice."""
        return self._copies is not None and self._copies.on

    def sent(self, number: int, size: int, now: float) -> None:
        """A packet leaves, for the first time."""
        self._flight.sent(number, size, now)
        self._rate.sent(size, now)

    def may_repair(self, size: int, now: float) -> bool:
        """Whether a packet of `size` bytes may be sent again; it is if so."""
        allowed = self._repairs.take(size, self._rate.bitrate, now)
        if allowed:
            self._rate.sent(size, now)
        return allowed

    def estimate(self, bitrate: int, now: float) -> None:
        """What the viewer believes that its line takes, in bits a second."""
        self._rate.estimate(bitrate, now)

    def hear(self, highest: int, lost: float, now: float) -> None:
        """A report: the highest number that has arrived, and the fraction of packets lost since the report before."""
        report = self._flight.heard(highest, lost, now)
        self._rate.hear(report, now)
        self._playout.hear(self._rate.loss, report.rtt_ms, now)
        if self._copies is not None:
            full = self._rate.bitrate < self._ceiling
            self._copies.hear(self._rate.loss, now, lossy=self._playout.lossy, full=full)
