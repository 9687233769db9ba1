"""Whether packets leave twice: a line that loses some and is not full gets a copy of each, a moment later.

Knows losses and the time that it is told; no packet, no socket. A lost packet must be missed, asked for and sent again,
which takes a round trip, and a picture more where it was the last one of its picture. A copy that is already on its way
costs bits instead. Whether a line has room for copies shows only when they are sent: where they fill it, or make losses
worse, they rest, longer each time.
"""

from __future__ import annotations

AFTER_S = 0.012  # seconds between a packet and its copy: what loses one often loses those right behind it
WORSE, MORE = 2.0, 0.05  # losses grew by this factor and so much more, fraction of packets: copies do harm
REST_S, LONGEST_S = 5.0, 300.0  # seconds without copies after that: at first, doubled each time, and at most
PROVEN_S = 60.0  # seconds with copies after which the next rest is as short as the first


class CopySwitch:
    """Decides for one viewer."""

    def __init__(self) -> None:
        self.on = False
        self._since = (0.0, 0.0)  # when copies began: seconds, and losses as a fraction of packets
        self._rest_s = REST_S
        self._rests_until = float("-inf")  # seconds

    def hear(self, loss: float, now: float, *, lossy: bool, full: bool) -> None:
        """Follow the line.

        Args:
            loss: running mean of the fraction of packets lost, copies not counted.
            now: seconds, monotonic.
            lossy: so much is lost that something is to be done about it.
            full: the line takes less than pictures could use.
        """
        if self.on:
            began, before = self._since
            if now - began >= PROVEN_S:
                self._rest_s = REST_S
            if full or loss > WORSE * before + MORE:
                self._rests_until = now + self._rest_s
                self._rest_s = min(LONGEST_S, 2.0 * self._rest_s)
        wanted = lossy and not full and now >= self._rests_until
        if wanted and not self.on:
            self._since = now, loss
        self.on = wanted
