"""Where a session is in its life. A value; knows nothing."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """Where a session is in its life."""

    LIVE = "live"
    PAUSED = "paused"
    ORPHANED = "orphaned"  # nobody drives; a room keeps what it takes to go on (see room.py)
    CLOSED = "closed"
