"""The world's memories that sessions hold: begun, counted, released. Belongs to the engine's thread; knows no clock."""

from __future__ import annotations

import logging
from typing import Any

from worldloom.models.spec import WorldModel

from .beginning import begin
from .origin import Branch, Origin, Snapshot, Start
from .parking import Parking
from .session import Session
from .travel import Travel

log = logging.getLogger(__name__)


class States:
    """See the module."""

    def __init__(self, model: WorldModel[Any], travel: Travel, parking: Parking) -> None:
        self.count = 0  # of sessions that have one, parked or not
        self._model = model
        self._travel = travel
        self._parking = parking

    def start(self, origin: Origin) -> Any:
        """A new one. Raises whatever the world raises."""
        state = begin(self._model, origin)
        self.count += 1
        return state

    def begun(self, start: Start) -> tuple[Origin | Snapshot, Any]:
        """What a session goes on from, and its state.

        Raises:
            SessionClosed, UnknownSnapshot: there is nothing to branch off.
            Exception: whatever the world raises.
        """
        if isinstance(start, Origin):
            return start, self.start(start)
        if isinstance(start, Branch):
            if isinstance(start.of, Session):
                self._parking.wake(start.of)
            begun = self._travel.branch(start)
        else:
            begun = start, self._model.load(start.state)
        self.count += 1
        return begun

    def release(self, state: Any) -> None:
        """A session has it no more; None where it was parked."""
        self.count -= 1
        try:
            if state is not None:
                self._model.release(state)
        except Exception:
            log.exception("the world failed to release a state")
