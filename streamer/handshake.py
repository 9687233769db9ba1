"""The first message each way: `hello`, with what the client wants, and `welcome`, with what it gets.

Knows the two messages and where their facts are; not who may come in (see admission.py), nor what follows.
"""

from __future__ import annotations

import asyncio
import time

from .client_messages import Hello
from .engine_config import SessionConfig
from .errors import BadMessage, Draining, HelloExpected, VersionMismatch
from .fields import Role
from .peer import Peer, decode_text
from .protocol import MAX_MESSAGE_BYTES, PROTOCOL
from .room import Room
from .server_messages import Limits, Welcome
from .state import ServerState
from .transports.ice import for_viewer
from .world_info import WorldInfo


async def read_hello(peer: Peer, timeout_s: float, draining: asyncio.Event) -> Hello:
    """What the client wants.

    Raises:
        Draining: the server stops, and waits for nobody.
        Gone: it left.
        HelloExpected: it said something else, or nothing in time.
        VersionMismatch: it speaks another version.
    """
    try:
        message = decode_text(await heard(peer, timeout_s, draining))
    except BadMessage as error:
        raise HelloExpected(f"expected hello as the first message; {error}") from None
    if not isinstance(message, Hello):
        raise HelloExpected(f"expected hello as the first message, got {message.type}")
    if message.protocol != PROTOCOL:
        raise VersionMismatch(f"expected protocol {PROTOCOL}, got {message.protocol}")
    return message


async def heard(peer: Peer, timeout_s: float | None, draining: asyncio.Event) -> str | bytes:
    """The next message, within a time if one is given; nobody is waited for when the server stops.

    Raises:
        Draining: the server stops.
        Gone: it left.
        HelloExpected: it said nothing in time.
    """
    hears, stops = asyncio.create_task(peer.receive()), asyncio.create_task(draining.wait())
    try:
        await asyncio.wait((hears, stops), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if hears.done():
            return hears.result()
        if stops.done():
            raise Draining("the server is stopping; try again in a moment")
        raise HelloExpected(f"expected hello within {timeout_s:g} s")
    finally:
        hears.cancel()
        stops.cancel()


def welcome(hello: Hello, room: Room, role: Role, server: ServerState) -> Welcome:
    """What the client gets."""
    settings = server.settings
    records = settings.recordings is not None
    rewind = int(settings.rewind_seconds) if room.mode == "realtime" else 0
    limits = Limits(message_bytes=MAX_MESSAGE_BYTES, inbox=SessionConfig().inbox, recording=records, rewind=rewind)
    return Welcome(
        protocol=PROTOCOL,
        session=room.ident,
        world=WorldInfo.of(room.spec),
        worlds=server.worlds.names,
        limits=limits,
        seed=room.seed,
        video=hello.video,
        mode=room.mode,
        format=hello.format,
        role=role,
        resume=room.keys.resume if role == "drive" else None,
        watch=room.keys.watch,
        ice_servers=for_viewer(settings.webrtc.ice, room.ident, time.time()),
        relay_only=settings.webrtc.ice.relay_only,
        frame=room.next_frame,
        last_seq=room.last_seq,
    )
