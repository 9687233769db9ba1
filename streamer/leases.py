"""Places that are promised by HTTP: each is a session of the engine that stands still until its driver comes.

The engine itself gives the place, so it is never promised twice. The token that comes with it is the room's resume
token: whoever brings it is let in like one who comes back. Knows rooms; no HTTP.
"""

from __future__ import annotations

import time

from .client_messages import Hello
from .config import ServerSettings
from .errors import Busy, UnknownSession, WorldloomError
from .lease_messages import Lease, Wanted
from .metrics import Metrics
from .protocol import PROTOCOL
from .room import Room
from .rooms import Rooms
from .transports.ice import for_viewer


class Leases:
    """See the module. Belongs to the event loop."""

    def __init__(self, settings: ServerSettings, rooms: Rooms, metrics: Metrics) -> None:
        self._settings = settings
        self._rooms = rooms
        self._metrics = metrics
        self._held: dict[Room, str] = {}  # rooms that were promised, and to which address; bounded: by the places

    def unused(self, address: str) -> int:
        """Places that are held for somebody at that address."""
        self._held = {room: one for room, one in self._held.items() if room.waits and not room.closed}
        return sum(one == address for one in self._held.values())

    async def make(self, wanted: Wanted, address: str, worker_url: str) -> Lease:
        """Hold a place for somebody at that address, who is told to come to `worker_url`.

        Raises:
            Busy: there is none; when to ask again is in `retry_after`.
            WorldloomError: as `Rooms.admit`.
        """
        settings, hello = self._settings, Hello(protocol=PROTOCOL, video="none", **wanted.model_dump())
        try:
            if self.unused(address) >= settings.max_per_address:
                raise Busy(f"expected at most {settings.max_per_address} unused places of one address")
            room = await self._rooms.lease(hello, settings.lease_timeout)
        except WorldloomError:
            self._metrics.leases.labels("refused").inc()
            raise
        self._metrics.leases.labels("made").inc()
        self._held[room] = address
        return Lease(
            session=room.ident,
            worker_url=worker_url,
            token=room.keys.resume,
            ice_servers=for_viewer(settings.webrtc.ice, room.ident, time.time()),
            expires=int(time.time() + settings.lease_timeout),
        )

    def find(self, session: str, token: str, *, drive: bool) -> Room:
        """The session of that name, for whoever has a token that opens it.

        Raises:
            UnknownSession: there is none, or the token does not open it.
        """
        room = self._rooms.driven(token)
        if room is None and not drive:
            room = self._rooms.watched(token)
        if room is None or room.ident != session:
            raise UnknownSession("expected the name of an open session and its token; it may have ended")
        return room
