"""Sessions beside sessions: a driver's `fork`, answered once the new one has its place. Knows rooms and messages."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from .asking import Asker, answer
from .client_messages import Fork
from .errors import Busy, ModelFault, RateLimited, SessionClosed
from .origin import Branch
from .room import Room
from .rooms import Rooms
from .server_messages import Receipt


class Forks:
    """See the module. Belongs to the event loop."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._forking: set[Room] = set()  # rooms whose driver waits for the answer
        self._latest: WeakKeyDictionary[Room, Room] = WeakKeyDictionary()  # a room's latest fork, driven or not

    def obey(self, message: Fork, room: Room, asker: Asker) -> None:
        """What a driver asks for; the answer follows.

        Raises:
            RateLimited: the answer to the one before is still to come.
        """
        if room in self._forking:
            raise RateLimited("expected to be asked for another fork only after the answer", seq=message.seq)
        self._forking.add(room)
        self._rooms.spawn(self._obey(message, room, asker))

    async def _obey(self, message: Fork, room: Room, asker: Asker) -> None:
        try:
            failure = ModelFault("the server failed to fork", seq=message.seq)
            await answer(asker, room.ident, self._done(message, room), failure)
        finally:
            self._forking.discard(room)

    async def _done(self, message: Fork, room: Room) -> Receipt:
        twin = await self._fork(room, message.snapshot)
        return Receipt(seq=message.seq, status="applied", frame=twin.next_frame, fork=twin.keys.resume)

    async def _fork(self, room: Room, snapshot: str | None) -> Room:
        """A session beside another one, which goes on from where that is, or was.

        Raises:
            Busy: there is no place.
            WorldloomError: the session has ended, it has no such snapshot, or the world failed.
        """
        rooms = self._rooms
        if rooms.draining.is_set() or room.session is None:
            raise SessionClosed("the session has ended")
        before = self._latest.pop(room, None)
        if before is not None:  # one at a time may hold a place for nobody
            rooms.give_up(before)
        line, twin = rooms.line(room.spec.name), rooms.room(room.engine, room.mode)
        try:
            line.check_turn(None)
            await twin.begin(Branch(room.session, snapshot, room.mode))
        except Busy as busy:
            busy.retry_after = line.retry_after_s()
            raise
        rooms.expect(twin)
        self._latest[room] = twin
        return twin
