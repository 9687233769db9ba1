"""Who is in a room: one driver at the most, and spectators.

What nobody heard while no driver was there is kept for the next one. Knows receipts and errors; no session, no picture.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from .errors import TakenOver, WorldloomError
from .fields import Role
from .server_messages import Receipt

UNHEARD = 1024  # receipts that are kept for a driver who is away; the oldest are dropped


class Guest(Protocol):
    """Somebody in a room."""

    def receipt(self, receipt: Receipt) -> None:
        """What became of a control. Called on the engine's thread: must not block."""

    def warn(self, error: WorldloomError) -> None:
        """Something went wrong, and the session survives it. Called on the event loop."""

    def dismiss(self, error: WorldloomError) -> None:
        """There is no place for this guest any more. Called on the event loop."""


class Guests:
    """See the module. Everything but `receipt` belongs to the event loop."""

    def __init__(self) -> None:
        self.watchers: set[Guest] = set()
        self._driver: Guest | None = None
        self._unheard: deque[Receipt] = deque(maxlen=UNHEARD)

    @property
    def driven(self) -> bool:
        """Whether somebody drives."""
        return self._driver is not None

    def receipt(self, receipt: Receipt) -> None:
        """A control was answered. Called on the engine's thread."""
        driver = self._driver
        if driver is not None:
            driver.receipt(receipt)
        else:
            self._unheard.append(receipt)

    def enter(self, guest: Guest, role: Role) -> Guest | None:
        """Somebody comes. Returns the driver whose place was taken, and who was told so."""
        if role == "watch":
            self.watchers.add(guest)
            return None
        before, self._driver = self._driver, guest
        if before is not None:
            before.dismiss(TakenOver("somebody else drives this session now"))
        while self._unheard:
            guest.receipt(self._unheard.popleft())
        return before

    def leave(self, guest: Guest) -> bool:
        """Somebody has gone. Returns whether that was the driver."""
        self.watchers.discard(guest)
        if guest is not self._driver:
            return False
        self._driver = None
        return True

    def warn(self, error: WorldloomError) -> None:
        """Tell everybody."""
        for guest in self._everybody():
            guest.warn(error)

    def dismiss(self, error: WorldloomError) -> None:
        """Nobody may stay."""
        guests = self._everybody()
        self._driver, self.watchers = None, set()
        for guest in guests:
            guest.dismiss(error)

    def _everybody(self) -> list[Guest]:
        return [*self.watchers, *([self._driver] if self._driver is not None else [])]
