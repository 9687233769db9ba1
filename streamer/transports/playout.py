"""How long a viewer should hold pictures back: not at all on a good line, long enough for repairs on a lossy one.

Knows losses and round trips; no header, no socket; is told the time. A picture that lost a packet is whole only after
it was asked for and sent again. A viewer that shows everything at once stands still for that long and then hurries; one
that holds every picture back by a round trip shows them evenly, that much later. Less than a round trip is too short
for repairs and gains little, more costs latency and gains nothing (measured, docs/design.md).
"""

from __future__ import annotations

from dataclasses import dataclass

LOSSY, CLEAN = 0.01, 0.005  # running mean of losses, fraction of packets: hold above the one, stop below the other
CLEAN_S = 5.0  # seconds that it must stay below before pictures are shown at once again
LEAST_MS, MOST_MS = 20, 100  # bounds of what is held back, a round trip otherwise
ROOM = 2  # the viewer may hold back so many times as long, as its own measurements tell
STEADY_MS = 20.0  # a round trip that changed by less changes nothing: every change shows


@dataclass(frozen=True)
class PlayoutDelay:
    """Milliseconds from the arrival of a picture to its presentation, between which a viewer chooses."""

    least: int = 0
    most: int = 0


class PlayoutSwitch:
    """Decides for one viewer."""

    def __init__(self) -> None:
        self.delay = PlayoutDelay()  # of the pictures from now on
        self._clean_since: float | None = None  # seconds; None: it is not
        self._rtt_ms = 0.0  # that `delay` was made for

    @property
    def lossy(self) -> bool:
        """Whether the line loses so much that something is to be done about it."""
        return self.delay != PlayoutDelay()

    def hear(self, loss: float, rtt_ms: float | None, now: float) -> None:
        """Follow the line.

        Args:
            loss: running mean of the fraction of packets lost.
            rtt_ms: round trip in milliseconds; None: not known yet.
            now: seconds, monotonic.
        """
        if loss > CLEAN:
            self._clean_since = None
        elif self._clean_since is None:
            self._clean_since = now
        if loss > LOSSY:
            self._hold(rtt_ms or 0.0)
        elif self._clean_since is not None and now - self._clean_since >= CLEAN_S:
            self.delay = PlayoutDelay()

    def _hold(self, rtt_ms: float) -> None:
        if self.delay.least and abs(rtt_ms - self._rtt_ms) < STEADY_MS:
            return
        self._rtt_ms = rtt_ms
        least = int(min(MOST_MS, max(LEAST_MS, rtt_ms)))
        self.delay = PlayoutDelay(least, ROOM * least)
