"""Rooms without a driver, each with the moment at which it ends: kept for one to come back, or to come at all.

Those that are kept are bounded in number and bytes, and the oldest gives way; those that are expected hold a place of
the engine instead, which bounds them. Knows rooms and timers; no engine, no token.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from .room import Room

log = logging.getLogger(__name__)


class Orphans:
    """See the module. Belongs to the event loop."""

    def __init__(self, most: int, octets: int, ended: Callable[[Room], None]) -> None:
        """At most so many, of so many bytes together; `ended` is told of one that nobody came for."""
        self._most = most
        self._octets = octets
        self._ended = ended
        self._timers: dict[Room, asyncio.TimerHandle] = {}  # the oldest first

    def __contains__(self, room: Room) -> bool:
        return room in self._timers

    def expect(self, room: Room, seconds: float) -> None:
        """Its driver is to come within that time; nothing gives way."""
        self._timers[room] = asyncio.get_running_loop().call_later(seconds, self.expire, room)

    def keep(self, room: Room, seconds: float) -> bool:
        """Keep one whose driver was lost; whether there is room for it, which older ones make.

        What it can go back to is kept only where nobody gives way for it.
        """
        if room.snapshot and not self.fits(room.snapshot.octets):
            room.snapshot = replace(room.snapshot, past=None)
        size = room.snapshot.octets if room.snapshot else 0
        if size > self._octets:
            return False
        while not self.fits(size):
            oldest = next((other for other, timer in self._timers.items() if not timer.cancelled()), None)
            if oldest is None:  # the drivers of all of them are at the door
                return False
            log.info("session %s gives way to a newer orphan", oldest.ident)
            self.expire(oldest)
        self.expect(room, seconds)
        return True

    def fits(self, size: int) -> bool:
        """Whether one more of so many bytes can be kept without another giving way."""
        kept = sum(room.snapshot.octets for room in self._timers if room.snapshot)
        return len(self._timers) < self._most and kept + size <= self._octets

    def hurry(self, room: Room) -> asyncio.TimerHandle | None:
        """Its driver is at the door: it does not end meanwhile. Returns when it would have, for `wait_on`."""
        timer = self._timers.get(room)
        if timer is not None:
            timer.cancel()
        return timer

    def wait_on(self, room: Room, timer: asyncio.TimerHandle | None) -> None:
        """The driver did not get in: as before `hurry`."""
        if timer is not None and self._timers.get(room) is timer:
            self._timers[room] = asyncio.get_running_loop().call_at(timer.when(), self.expire, room)

    def expire(self, room: Room) -> None:
        """Nobody came."""
        self._timers.pop(room).cancel()
        self._ended(room)

    def forget(self, room: Room) -> None:
        """An orphan no more, if it was one."""
        timer = self._timers.pop(room, None)
        if timer is not None:
            timer.cancel()
