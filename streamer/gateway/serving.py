"""A worker: the ordinary server on its own port, and beside it what the gateway asks of it.

Everything here happens on the server's event loop. Knows the server and the gateway's values; no Ray.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from worldloom.models.catalog import open_world
from worldloom.models.spec import WorldModel

from ..config import ServerSettings
from ..errors import UnknownSession, WorldloomError
from ..hosting import HostedWorld
from ..lease_messages import Lease, Wanted
from ..listen import address, make_server, open_socket
from ..origin import Snapshot
from ..room import Room
from ..server import create_app
from ..state import ServerState
from .fence import Fence
from .moving import pack, taken, unpack
from .report import Held, Parcel, Report

log = logging.getLogger(__name__)


class Serving:
    """See the module."""

    def __init__(
        self,
        settings: ServerSettings,
        incarnation: str,
        fence: Fence,
        *,
        load: Callable[[str], WorldModel[Any]] = open_world,
    ) -> None:
        """Opens the port. `settings.public_url` may hold `{host}` and `{port}`, and says where clients find it.

        Raises:
            OSError: the port is taken.
        """
        self._door = open_socket(settings)
        here = urlsplit(address(self._door))
        public = (settings.public_url or "http://{host}:{port}").format(host=here.hostname, port=here.port)
        settings = settings.model_copy(update={"public_url": public})
        self._app = create_app(settings, load=load)
        self.state: ServerState = self._app.state.server
        self._server = make_server(self._app, settings, self.state.drain)
        self._url = public
        self._incarnation = incarnation
        self._fence = fence
        self._epochs: dict[str, int] = {}  # of sessions that came from elsewhere
        self._stamps: dict[str, tuple[int, Snapshot, float]] = {}  # of each session's latest snapshot; seen when
        self._stamped = 0
        self._looked = time.monotonic()  # seconds, when a report was given last: what is new is no older

    @property
    def _world(self) -> HostedWorld:
        return next(iter(self.state.worlds))

    async def run(self) -> None:
        """Serve until `stop`."""
        with self._door:
            await self._server.serve(sockets=[self._door])

    def stop(self) -> None:
        """End well: everybody is told."""
        self._server.should_exit = True

    def report(self, number: int, acknowledged: int, known: dict[str, int]) -> Report:
        """See `Worker.report`."""
        self._fence.asked(number, acknowledged)
        rooms = [room for room in self.state.rooms if not room.closed and room.ident]
        capacity, world = self._world.capacity(), self._world
        self._forget({room.ident for room in rooms})
        parcels = [self._parcel(room, known.get(room.ident)) for room in rooms]
        self._looked = time.monotonic()
        return Report(
            incarnation=self._incarnation,
            url=self._url,
            ready=world.ready and not self.state.rooms.draining.is_set(),
            places=capacity.places.count if capacity else 0,
            taken=taken(self.state.rooms, world),
            held=tuple(self._held(room) for room in rooms),
            parcels=tuple(parcel for parcel in parcels if parcel is not None),
        )

    async def lease(self, wanted: Wanted, address: str) -> Lease:
        """See `Worker.lease`."""
        return await self.state.leases.make(wanted, address, self._url)

    async def adopt(self, parcel: Parcel) -> None:
        """See `Worker.adopt`."""
        world = self.state.worlds.named(parcel.world)
        room = await unpack(parcel, self.state.rooms, world, self.state.settings.orphan_timeout)
        self._epochs[room.ident] = parcel.epoch
        log.info("session %s goes on here, its world as it was %.1f s ago", room.ident, parcel.age_s)

    async def end(self, session: str, error: WorldloomError | None = None) -> None:
        """See `Worker.end`."""
        try:
            room = self.state.rooms.named(session)
        except UnknownSession:
            return
        await self.state.rooms.close(room, error)

    async def hand_over(self) -> tuple[Parcel, ...]:
        """See `Worker.hand_over`."""
        self.state.rooms.draining.set()
        self._looked = time.monotonic()
        parcels = await asyncio.gather(*(self._given_away(room) for room in self.state.rooms))
        return tuple(parcel for parcel in parcels if parcel is not None)

    # Inside -----------------------------------------------------------------------------------------------------------

    async def _given_away(self, room: Room) -> Parcel | None:
        """A session as it is now; its driver is not told: the line is about to be cut, and found again elsewhere."""
        async with room.changing:
            await room.orphan()
        return self._parcel(room, None)

    def _parcel(self, room: Room, known: int | None) -> Parcel | None:
        """The latest snapshot of a room, if it is another one than is known."""
        snapshot = room.kept or room.snapshot
        if snapshot is None:
            return None
        stamp, before, seen = self._stamps.get(room.ident, (0, None, 0.0))
        if before is not snapshot:
            self._stamped += 1
            stamp, seen = self._stamped, self._looked
            self._stamps[room.ident] = (stamp, snapshot, seen)
        if stamp == known:
            return None
        return pack(room, age_s=time.monotonic() - seen, stamp=stamp, epoch=self._epochs.get(room.ident, 0))

    def _held(self, room: Room) -> Held:
        return Held(room.ident, self._epochs.get(room.ident, 0), room.keys.resume, room.keys.watch)

    def _forget(self, here: set[str]) -> None:
        """What is said of sessions that have ended."""
        self._epochs = {name: epoch for name, epoch in self._epochs.items() if name in here}
        self._stamps = {name: stamp for name, stamp in self._stamps.items() if name in here}
