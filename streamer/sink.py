"""Where what a session makes goes: its sink, and what the sink gets after one step.

Knows frames and receipts; neither session nor engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .errors import WorldloomError
from .frames import Frame
from .server_messages import Receipt


@dataclass(frozen=True)
class Delivery:
    """What goes to the session's sink after one step: receipts first."""

    receipts: tuple[Receipt, ...]
    frames: tuple[Frame, ...]


class SessionSink(Protocol):
    """Where a session's frames and receipts go. Called on the engine's thread: must not block."""

    def frame(self, frame: Frame) -> None:
        """The next frame."""

    def receipt(self, receipt: Receipt) -> None:
        """What became of one control; comes before the frame that it names."""

    def fault(self, error: WorldloomError) -> None:
        """The session has ended without being asked to. Nothing follows."""
