"""All rooms of a server: opening one, finding it by a token, keeping orphans for a while, closing everything.

Who drives one comes anew, comes back, or was promised the place (`lease`). Knows rooms and worlds; no sockets.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import suppress

from .broadcasting import broadcast_of
from .capacity import Entry
from .client_messages import Hello
from .config import ServerSettings
from .errors import Busy, Draining, EngineLost, SessionClosed, Unauthorized, UnknownSession, WorldloomError
from .fields import Mode, Role
from .guests import Guest
from .home import EngineHome
from .hosting import HostedWorld, HostedWorlds
from .images import Images
from .metrics import Metrics
from .origin import Origin
from .orphans import Orphans
from .phase import Phase
from .replay_log import ReplayLog
from .room import Room
from .tokens import Tokens
from .waiting import Place, WaitingLine

log = logging.getLogger(__name__)


class Rooms:
    """See the module. Belongs to the event loop."""

    def __init__(
        self, settings: ServerSettings, worlds: HostedWorlds, metrics: Metrics, pool: Executor, images: Images
    ) -> None:
        self._settings = settings
        self._images = images
        self._worlds = worlds
        self._metrics = metrics
        self._pool = pool
        self._rooms: set[Room] = set()
        self.draining = asyncio.Event()  # nobody enters any more
        self._lines: dict[str, WaitingLine] = {}  # by world
        self._tasks: set[asyncio.Task[None]] = set()  # that end by themselves
        self._orphans = Orphans(settings.max_orphans, settings.orphan_bytes, self._expired)

    def __iter__(self) -> Iterator[Room]:
        return iter(list(self._rooms))

    def count(self, *phases: Phase) -> int:
        """Rooms in these phases."""
        return sum(room.phase in phases for room in self._rooms)

    @property
    def live(self) -> int:
        """Rooms that hold a session of an engine."""
        return self.count(Phase.LIVE, Phase.PAUSED)

    def line(self, world: str | None) -> WaitingLine:
        """Who waits for a world. Raises `UnknownWorld`."""
        name = self._worlds.named(world).name
        if name not in self._lines:
            self._lines[name] = WaitingLine(limit=self._settings.max_waiting, places=lambda: self._places(name))
        return self._lines[name]

    async def admit(self, hello: Hello, tokens: Tokens, place: Place | None = None) -> tuple[Room, Role]:
        """The room that a `hello` asks for: a new one, one to go on in, or one to watch.

        A session's own resume and watch tokens are proof enough; a new session needs a driver's token, and a
        spectator's token that names a session opens that one.

        Raises:
            Unauthorized: a token is needed, and this is none.
            UnknownSession: the token opens nothing.
            Busy: there is no place.
            Draining: the server is stopping.
            WorldloomError: the world refused or failed.
        """
        if self.draining.is_set():
            raise Draining("the server is stopping; try again in a moment")
        if hello.resume is not None:
            return await self._resume(hello.resume), "drive"
        if hello.watch is not None:
            return self.watched(hello.watch), "watch"
        claims = tokens.read(hello.token, "watch")
        if claims.session is not None:
            return self.named(claims.session), "watch"
        if tokens.read(hello.token, "drive").world not in (None, hello.world):
            raise Unauthorized(f"expected hello to ask for the world {claims.world!r}, which this token is for")
        return await self._admit_new(hello, place), "drive"

    async def lease(self, hello: Hello, within_s: float) -> Room:
        """A place for somebody who is to come within that time, with the room's resume token. Raises as `admit`."""
        if self.draining.is_set():
            raise Draining("the server is stopping; try again in a moment")
        room = await self._admit_new(hello, None)
        room.hold()
        self._orphans.expect(room, within_s)
        return room

    def expect(self, room: Room) -> None:
        """A fork has its place: its driver is to come soon."""
        self._rooms.add(room)
        self._orphans.expect(room, self._settings.hello_timeout)
        if self._settings.snapshot_every:
            self.spawn(self._keep_snapshot(room))

    def take_in(self, room: Room, seconds: float) -> bool:
        """A session that was elsewhere, as an orphan whose driver is to come; whether it fits beside the others."""
        if room.snapshot is None or not self._orphans.fits(room.snapshot.octets):
            return False
        self._rooms.add(room)
        self._orphans.expect(room, seconds)
        return True

    def give_up(self, room: Room) -> None:
        """End a fork if nobody has come to drive it."""
        if room in self._orphans and room.session is not None:
            self._orphans.expire(room)

    def watched(self, token: str) -> Room:
        """The room that a watch token opens. Raises `UnknownSession`."""
        return self._find(token, "watch")

    def named(self, ident: str) -> Room:
        """The session of that name. Raises `UnknownSession`."""
        for room in self._rooms:
            if not room.closed and room.ident == ident:
                return room
        raise UnknownSession("expected an open session; this one has ended")

    def driven(self, token: str) -> Room | None:
        """The open session that a resume token belongs to, None where there is none."""
        with suppress(UnknownSession):
            return self._find(token, "resume")
        return None

    def room(self, engine: EngineHome, mode: Mode) -> Room:
        """A new one, for a session that is to be opened."""
        broadcast = broadcast_of(engine.spec, mode, self._settings, self._pool)
        log = ReplayLog(engine.spec, self._settings.replay_frames)
        return Room(engine.spec, engine, broadcast, mode=mode, metrics=self._metrics, log=log)

    def enter(self, room: Room, guest: Guest, role: Role) -> None:
        """Somebody comes.

        Raises:
            Busy: as many watch this room as may.
        """
        if role == "watch" and room.watchers >= self._settings.max_watchers:
            raise Busy(f"expected at most {self._settings.max_watchers} spectators of a session; try again later")
        room.enter(guest, role)

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Something that has to be done and that nobody can wait for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def leave(self, room: Room, guest: Guest, keep_s: float) -> None:
        """A guest has gone. If that was the driver, the room is kept for somebody to come back, or closed at once."""
        drove = room.leave(guest)
        if room.closed:
            await self._forget(room)
        if room.closed or not drove:
            return
        async with room.changing:
            if room.closed or room.driven:  # somebody has come while this waited
                return
            kept = keep_s > 0 and await room.orphan()
        if not kept or not self._orphans.keep(room, keep_s):
            await self.close(room)

    async def close(self, room: Room, error: WorldloomError | None = None) -> None:
        """The end of a room."""
        room.close(error)
        await self._forget(room)

    async def drain(self) -> None:
        """The server is about to stop: nobody enters, and everybody is told to leave."""
        self.draining.set()
        await self.close_all(Draining("the server is stopping; try again in a moment"))

    async def close_all(self, error: WorldloomError) -> None:
        """The end of all rooms. Everybody is told at once, however long an engine takes to free what it holds."""
        await asyncio.gather(*(self.close(room, error) for room in self))
        await asyncio.gather(*self._tasks)

    async def keep_snapshots(self) -> None:
        """For ever: now and then a snapshot of every running session, as far as the bytes for them go."""
        while every := self._settings.snapshot_every:
            await asyncio.sleep(every)
            for room in self:
                await self._keep_snapshot(room)

    async def recover(self, world: HostedWorld) -> None:
        """A world has a new engine: whoever was on the one that died goes on. Nobody else enters meanwhile."""
        for room in self:
            if room.spec.name != world.name or room in self._orphans:
                continue
            try:
                await self._go_on(room, world.engine, "recovered")
            except WorldloomError as error:
                await self.close(room, error)
                if isinstance(error, EngineLost):  # perhaps by this very session; the others wait for the next one
                    return

    # Inside -----------------------------------------------------------------------------------------------------------

    async def _go_on(self, room: Room, engine: EngineHome, entry: Entry) -> None:
        """A room without a session has one again, on this engine."""
        async with room.changing:
            if room.closed:
                raise UnknownSession("the session has ended")
            if room.snapshot is not None:
                room.engine = engine
                await room.begin(room.snapshot, entry=entry)

    async def _admit_new(self, hello: Hello, place: Place | None) -> Room:
        line = self.line(hello.world)
        try:
            line.check_turn(place)
            return await self._create(hello)
        except Busy as busy:
            busy.retry_after = line.retry_after_s()
            raise

    async def _keep_snapshot(self, room: Room) -> None:
        await room.back_up(self._settings.snapshot_bytes - sum(r.bytes_kept for r in self._rooms if r is not room))

    async def _create(self, hello: Hello) -> Room:
        world = self._worlds.named(hello.world)
        engine = await world.entrance()
        image = await self._images.picture(hello.image, engine.spec) if hello.image is not None else None
        room = self.room(engine, hello.mode)
        seed = hello.seed if hello.seed is not None else secrets.randbelow(2**31)
        await room.begin(Origin(seed, hello.prompt, image, deterministic=hello.deterministic))
        self._rooms.add(room)
        self._metrics.opened.labels(world.name, hello.video).inc()
        if self._settings.snapshot_every:
            self.spawn(self._keep_snapshot(room))
        return room

    def _places(self, world: str) -> int:
        capacity = self._worlds.named(world).capacity()
        return capacity.places.count if capacity else 1

    async def _resume(self, token: str) -> Room:
        room = self._find(token, "resume")
        timer = self._orphans.hurry(room)  # who is back in time is in time, however long an engine takes to start
        try:
            # Waited for outside of the room's lock: an engine that starts anew lets nobody in before this room is back.
            await self._go_on(room, await self._worlds.named(room.spec.name).entrance(), "returning")
        except BaseException:
            self._orphans.wait_on(room, timer)
            raise
        self._orphans.forget(room)
        return room

    def _find(self, token: str, kind: str) -> Room:
        given = token.encode()
        for room in self._rooms:
            if not room.closed and secrets.compare_digest(getattr(room.keys, kind).encode(), given):
                return room
        raise UnknownSession("expected the token of an open session; this one opens none, or its session has ended")

    def _expired(self, room: Room) -> None:
        """Nobody came."""
        if room.waits:
            self._metrics.leases.labels("expired").inc()
        room.close(SessionClosed("the session has ended: its driver did not come"))
        if room.session is None:
            self._rooms.discard(room)
        else:  # a fork, or a promised place
            self.spawn(self._forget(room))

    async def _forget(self, room: Room) -> None:
        self._orphans.forget(room)
        try:
            await room.freed()
        finally:
            if room in self._rooms:
                self.line(room.spec.name).left(time.monotonic() - room.since)
            self._rooms.discard(room)
