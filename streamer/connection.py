"""One WebSocket's life: hello, admission, then messages both ways until either side leaves; and everything freed.

Knows the socket, the protocol and whom to ask; how pictures travel is the viewer's business, what a control does the
session's. A message that is wrong gets its error code and the session lives on, except where the code says otherwise.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket

from .admission import admitted, watch_limits
from .auth import TokenBucket
from .client_messages import Bye, Candidate, Fork, Hello, Offer, Ping, Record, Report, View
from .errors import (
    BadMessage,
    EngineLost,
    Forbidden,
    MessageTooLarge,
    RateLimited,
    SessionClosed,
    WorldloomError,
)
from .fields import Role
from .handshake import read_hello, welcome
from .outbox import Outbox
from .peer import Gone, Peer, decode_text
from .protocol import ClientMessage, Control, encode, refusal
from .room import Room
from .server_messages import Answer, Pong, Stats
from .state import ServerState
from .viewer import Viewer
from .wire import NORMAL_CLOSE, close_code

log = logging.getLogger(__name__)

STATS_EVERY = 1.0  # seconds


class Connection:
    """See the module."""

    def __init__(self, socket: WebSocket, server: ServerState) -> None:
        self._peer = Peer(socket, send_timeout=server.settings.send_timeout)
        self._server = server
        self._settings = server.settings
        self._outbox = Outbox(server.settings.outbox, asyncio.get_running_loop())
        self._bucket = TokenBucket(server.settings.message_rate, server.settings.message_burst, time.monotonic())
        self._excess = 0  # messages over the rate, minus those within it
        self._keep_s = 0.0  # seconds that the session may be resumed after this connection

    async def run(self) -> None:
        """From the handshake to the end; never raises what a peer caused."""
        server, peer = self._server, self._peer
        why: WorldloomError | None = None
        try:
            with server.counted(peer.address):
                await peer.accept()
                server.check_counts(peer.address)
                why = await self._serve(await read_hello(peer, self._settings.hello_timeout, server.rooms.draining))
        except Gone:
            pass
        except WorldloomError as error:
            why = error
            server.metrics.error(error.code)
            for message in refusal(error):
                self._outbox.put(encode(message))
        except Exception:
            log.exception("a connection failed")
            why = WorldloomError("the server failed; this session has ended")
            server.metrics.error(why.code)
            self._outbox.put(encode(refusal(why)[0]))
        await self._farewell(why)

    # The parts of a life ----------------------------------------------------------------------------------------------

    async def _serve(self, hello: Hello) -> WorldloomError | None:
        """A place in a room for this hello, until its end; returns why it ended, if nobody asked for that."""
        server, rooms = self._server, self._server.rooms
        room, role = await admitted(hello, server, self._peer)
        viewer = Viewer(
            room.broadcast,
            world=room.spec.name,
            leads=role == "drive",
            settings=self._settings,
            metrics=server.metrics,
            outbox=self._outbox,
            send=self._peer.send_bytes,
        )
        self._keep_s = self._settings.orphan_timeout
        rooms.enter(room, viewer, role)  # before the first wait: a room that nobody entered is never left
        try:
            await self._peer.send_text(encode(welcome(hello, room, role, server)))
            await viewer.show(hello.video, hello.format)
            await self._live(viewer, room, role)
        except Gone as gone:
            self._left(gone)
        finally:
            self._stats(viewer, room)  # what was not told yet is counted
            try:
                await viewer.close()
            finally:
                await rooms.leave(room, viewer, self._keep_s)
        return viewer.error

    async def _live(self, viewer: Viewer, room: Room, role: Role) -> None:
        """All that goes on during a session; the first part that ends, ends it."""
        parts: tuple[Coroutine[Any, Any, None], ...] = (
            self._read(viewer, room, role),
            self._write(),
            self._tell_stats(viewer, room),
            watch_limits(room, role, self._server, self._outbox),
        )
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._until_gone(part)) for part in (*parts, viewer.run())]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()

    async def _until_gone(self, part: Coroutine[Any, Any, None]) -> None:
        """A peer that leaves ends a part of its session, and is no error."""
        try:
            await part
        except Gone as gone:
            self._left(gone)

    def _left(self, gone: Gone) -> None:
        if gone.meant:
            self._keep_s = min(self._keep_s, self._settings.leave_timeout)

    async def _farewell(self, why: WorldloomError | None) -> None:
        """Send what is left, then close."""
        if why is not None:
            self._outbox.put(encode(Bye(reason=why.code)))  # who was dismissed has heard it: the outbox is closed
        self._outbox.close()
        with suppress(Gone):  # the peer was first
            await self._write()
            await self._peer.close(*_closing(why))

    # Reading ----------------------------------------------------------------------------------------------------------

    async def _read(self, viewer: Viewer, room: Room, role: Role) -> None:
        """Hand every message to whom it concerns, until the peer leaves."""
        while True:
            try:
                data = await self._peer.receive()
                in_time = self._in_time()
                message = decode_text(data)
                if not in_time:
                    raise self._too_fast(getattr(message, "seq", None))
                if isinstance(message, Bye):
                    self._keep_s = 0.0
                    return
                await self._handle(message, viewer, room, role)
            except MessageTooLarge as error:
                viewer.error = error
                viewer.refuse(error)
                return
            except WorldloomError as error:
                viewer.refuse(error)
                if self._excess > self._settings.message_burst:
                    viewer.error = self._too_fast()
                    return

    async def _handle(self, message: ClientMessage, viewer: Viewer, room: Room, role: Role) -> None:
        match message:
            case Hello():
                raise BadMessage("expected hello only once; this session is open")
            case Ping():
                self._outbox.put(encode(Pong(t=message.t)), news=True)
            case Report():
                viewer.report(message)
            case View():
                await viewer.show(message.video, message.format)
            case Offer():
                self._outbox.put(encode(Answer(sdp=await viewer.answer(message.sdp))))
            case Candidate():
                await viewer.add_candidate(message)
            case Bye():
                pass
            case _ if role != "drive":
                raise Forbidden("expected no controls from a spectator", seq=message.seq)
            case _:
                await self._obey(message, viewer, room)

    async def _obey(self, message: Control | Fork | Record, viewer: Viewer, room: Room) -> None:
        """What a driver says."""
        event = (
            message if isinstance(message, Fork | Record) else await self._server.images.resolved(message, room.spec)
        )
        if room.session is None and room.snapshot is not None:
            raise EngineLost("the engine starts anew; this control is lost", seq=message.seq)
        if room.session is None:
            raise SessionClosed("the session has ended", seq=message.seq)
        self._server.metrics.controls.labels(room.spec.name).inc()
        room.controlled = time.monotonic()
        room.last_seq = max(room.last_seq, message.seq)
        if isinstance(event, Record):
            self._server.recordings.obey(event, room, viewer)
        elif isinstance(event, Fork):
            self._server.forks.obey(event, room, viewer)
        else:
            room.session.post(event)

    def _in_time(self) -> bool:
        """Whether one more message is allowed now."""
        in_time = self._bucket.take(time.monotonic())
        self._excess = max(0, self._excess - 1) if in_time else self._excess + 1
        return in_time

    def _too_fast(self, seq: int | None = None) -> RateLimited:
        return RateLimited(f"expected at most {self._settings.message_rate:g} messages a second", seq=seq)

    # Writing ----------------------------------------------------------------------------------------------------------

    async def _write(self) -> None:
        """Send what the outbox holds until it is closed, by us or because nobody reads."""
        while (texts := await self._outbox.take()) is not None:
            for text in texts:
                await self._peer.send_text(text)
        if self._outbox.overflowed:
            raise Gone()

    async def _tell_stats(self, viewer: Viewer, room: Room) -> None:
        while True:
            await asyncio.sleep(STATS_EVERY)
            self._outbox.put(encode(self._stats(viewer, room)), news=True)

    def _stats(self, viewer: Viewer, room: Room) -> Stats:
        live, recorded = self._server.rooms.live, room.recording is not None
        return viewer.stats(room.engine_stats(), live, room.watchers, recording=recorded)


def _closing(why: WorldloomError | None) -> tuple[int, str]:
    """WebSocket close code and reason."""
    return (NORMAL_CLOSE, "") if why is None else (close_code(why.code), why.code)
