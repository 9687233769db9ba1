"""Sessions that are paused for long give up their memory: each state becomes a few bytes, and is made anew on return.

What a world makes anew is nearly what it was (`ParkableWorld`), so the first frame behind it says `rebuilt`, and a
replay does the same. Sessions that are deterministic keep what they have. One state a pass, for others are waiting.
Belongs to the engine's thread; knows the world's interface and sessions, no scheduler.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

from worldloom.models.spec import ParkableWorld, WorldModel

from .session import Session

log = logging.getLogger(__name__)


class Parking:
    """See the module."""

    def __init__(self, model: WorldModel[Any], after_s: float) -> None:
        """`after_s`: seconds that a session is paused before; 0: never."""
        self._world = cast("ParkableWorld[Any]", model) if after_s and hasattr(model, "park") else None
        self._after_ns = int(after_s * 1e9)

    def due(self, sessions: Iterable[Session]) -> int | None:
        """When something is to be parked, in the engine's nanoseconds."""
        waiting = (self._since(session) for session in sessions)
        first = min((since for since in waiting if since is not None), default=None)
        return None if first is None else first + self._after_ns

    def turn(self, sessions: Iterable[Session], now_ns: int) -> None:
        """Park one state, if any is due: what a session can go back to first, then what it is."""
        for session in sessions:
            since = self._since(session)
            if since is not None and since + self._after_ns <= now_ns:
                try:
                    self._park(session)
                except Exception:
                    log.exception("the world failed to park session %s: it keeps its memory", session.ident)
                    session.keeps = True
                return

    def wake(self, session: Session) -> None:
        """It is about to be stepped, or to be copied. Raises whatever the world raises."""
        if session.parked is not None and self._world is not None:
            session.woken(self._world.load(session.parked))

    def _since(self, session: Session) -> int | None:
        """Since when it is paused, where anything of it can be parked."""
        if self._world is None or session.keeps or session.origin.deterministic or session.parked is not None:
            return None
        return session.paused_ns

    def _park(self, session: Session) -> None:
        assert self._world is not None
        point = next((point for point in session.past if not isinstance(point.state, bytes)), None)
        if point is not None:
            session.past.swap(point, replace(point, state=self._world.park(point.state)))
            self._world.release(point.state)
            return
        state = session.state
        session.park(self._world.park(state))
        self._world.release(state)
