"""The figures of an engine, as it tells them to anybody who asks.

Values only; knows nothing of how they come about.
"""

from __future__ import annotations

from dataclasses import dataclass

from .capacity import Measured
from .fields import Reduced


@dataclass(frozen=True)
class EngineStats:
    """What an engine did and holds."""

    sessions: int  # open
    states: int  # of the world, held; equals `sessions` between two passes, but for those that are parked
    opened: int  # sessions since the start
    faults: int  # sessions that ended by a fault
    steps: int  # batched calls of the world
    frames: int  # delivered
    stalls: int  # times that lateness moved a schedule
    refused: int  # controls that found a full inbox
    step_ms_p50: float  # of the last steps, milliseconds
    step_ms_p95: float
    level: int = 0  # of overload, for realtime sessions; 0: none
    reduced: Reduced = ""  # what is given up for it
    realtime: int = 0  # sessions that the clock paces
    measured: Measured = Measured()
    parked: int = 0  # sessions whose memory is a few bytes, while they are paused
    points: int = 0  # restore points and snapshots of the sessions
    free_bytes: int | None = None  # memory that nobody uses
