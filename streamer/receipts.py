"""What becomes of every control of one session: one receipt each, in order, taken when there is somebody to tell.

A control that was sampled waits until the frame that it shaped is made. Knows how controls are settled; no phase, clock
or frame.
"""

from __future__ import annotations

from typing import Any

from .controls import ControlState
from .fields import Status
from .server_messages import Receipt


class Receipts:
    """See the module. Bounded by what waits in the inbox and the controls."""

    def __init__(self, controls: ControlState) -> None:
        self.applied = 0  # seq of the last control that shaped a frame
        self._controls = controls
        self._shaping: list[int] = []  # seqs sampled for the chunk that is being made
        self._ready: list[Receipt] = []

    def answer(self, seq: int, status: Status, frame: int | None = None, **more: Any) -> None:
        """This is what became of a control; `more`: what else its receipt says."""
        self._ready.append(Receipt(seq=seq, status=status, frame=frame, **more))

    def drain(self) -> None:
        """Answer what the controls know the end of."""
        for outcome in self._controls.drain():
            self.answer(outcome.seq, outcome.status)

    def settle(self, status: Status) -> None:
        """Whatever the controls still hold for later ends like this."""
        self._controls.settle(status)
        self.drain()

    def sampled(self) -> None:
        """The controls were sampled: what was applied waits for its frame, all else is answered."""
        for outcome in self._controls.drain():
            if outcome.status == "applied":
                self._shaping.append(outcome.seq)
                self.applied = self._controls.last_applied
            else:
                self.answer(outcome.seq, outcome.status)

    def shapes(self, seq: int) -> None:
        """This one shapes the chunk that is being made, too."""
        self._shaping.append(seq)
        self.applied = seq

    def shaped(self, frame: int) -> None:
        """The chunk is made, and `frame` is its first frame."""
        for seq in self._shaping:
            self.answer(seq, "applied", frame)
        self._shaping.clear()

    def unshaped(self) -> None:
        """The chunk will never be made."""
        for seq in self._shaping:
            self.answer(seq, "expired")
        self._shaping.clear()

    def take(self) -> tuple[Receipt, ...]:
        """Receipts since the last call."""
        taken, self._ready = tuple(self._ready), []
        return taken
