"""From frame numbers to times: when a frame is due, and its presentation timestamp.

Integers and fractions only. It is told the time and never reads it, so that a test can live a day in a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

NS = 1_000_000_000
PTS_HZ = 90_000


@dataclass(frozen=True)
class ClockState:
    """All that a clock needs to go on where it was."""

    start_ns: int  # when frame 0 was due
    forgiven_ns: int  # by how much the schedule has moved since


class FrameClock:
    """The schedule of one stream.

    Frame `n` is due `n / fps` after the start, plus everything that was forgiven so far. A stall or a pause is
    forgiven, not repaid: the schedule moves, and `pts` moves with it, so that a receiver sees a gap and neither a
    burst nor jitter. The index never goes back, hence `pts` always grows.
    """

    def __init__(self, fps: Fraction, *, grace_ns: int = 0) -> None:
        if fps <= 0:
            raise ValueError(f"expected a positive frame rate, got {fps}")
        if grace_ns < 0:
            raise ValueError(f"expected a grace of at least 0 ns, got {grace_ns}")
        self.fps = Fraction(fps)
        self.grace_ns = grace_ns  # lateness below this is made up by the next frame instead of moving the schedule
        self.forgiven_ns = 0  # by how much the schedule has moved since the start
        self._start_ns: int | None = None

    def anchor(self, index: int, now_ns: int) -> None:
        """Frame `index` is due now. The first call starts the clock; later ones only ever move the schedule on."""
        if self._start_ns is None:
            self._start_ns = now_ns - self._nominal_ns(index)
        self.forgiven_ns += max(0, now_ns - self.due(index))

    @property
    def state(self) -> ClockState:
        """To go on later, on a clock of the same rate.

        Raises:
            ValueError: the clock was never anchored.
        """
        self.due(0)
        assert self._start_ns is not None
        return ClockState(self._start_ns, self.forgiven_ns)

    def go_on(self, state: ClockState) -> None:
        """Take up the schedule of another clock."""
        self._start_ns, self.forgiven_ns = state.start_ns, state.forgiven_ns

    def settle(self, index: int, now_ns: int) -> int:
        """Work on frame `index` starts now: forgive its lateness if it exceeds the grace. Returns what was forgiven."""
        late_ns = now_ns - self.due(index)
        if late_ns <= self.grace_ns:
            return 0
        self.forgiven_ns += late_ns
        return late_ns

    def shift(self, ns: int) -> None:
        """Frames to come are due by so much later.

        Or earlier: by a quarter of a frame at the most, and by no more than it has moved, for `pts` begins at 0.
        """
        self.forgiven_ns += max(ns, -min(self._nominal_ns(1) // 4, self.forgiven_ns))

    def stretch(self, frames: int, times: Fraction) -> None:
        """The last `frames` frames are shown `times` as long as the rate says; all that follow move by that."""
        self.forgiven_ns += int((times - 1) * self._nominal_ns(frames))

    def due(self, index: int) -> int:
        """When frame `index` is due, in the caller's nanoseconds.

        Raises:
            ValueError: the clock was never anchored.
        """
        if self._start_ns is None:
            raise ValueError("expected an anchored clock; call anchor(index, now_ns) first")
        return self._start_ns + self._nominal_ns(index) + self.forgiven_ns

    def wait(self, index: int, now_ns: int) -> int:
        """Nanoseconds until frame `index` is due; 0 if it is."""
        return max(0, self.due(index) - now_ns)

    def pts(self, index: int) -> int:
        """Presentation time of frame `index` at 90 kHz, counted from frame 0."""
        return int(index * PTS_HZ / self.fps) + self.forgiven_ns * PTS_HZ // NS

    def span_ns(self, frames: int) -> int:
        """How long `frames` frames last."""
        return self._nominal_ns(frames)

    def _nominal_ns(self, index: int) -> int:
        return int(index * NS / self.fps)
