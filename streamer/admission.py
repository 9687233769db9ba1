"""Coming in and having to go: a room for a `hello`, perhaps after a wait in line; and sessions that last long enough.

Knows rooms and the messages about waiting and leaving; nothing of what happens in between.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from .client_messages import Bye, Hello
from .errors import Busy, TimeLimit, WorldloomError
from .fields import Role
from .outbox import Outbox
from .peer import Gone, Peer, decode_text
from .protocol import encode
from .room import Room
from .server_messages import Notice, Waiting
from .state import ServerState

WAIT_EVERY = 0.5  # seconds between two looks for a free place
LIMITS_EVERY = 1.0  # seconds between two looks at a session's limits
NOTICE_S = 60.0  # seconds ahead that the end of a session is announced


async def admitted(hello: Hello, server: ServerState, peer: Peer) -> tuple[Room, Role]:
    """A room for this hello, perhaps after a wait.

    Raises:
        Gone: the peer gave up.
        WorldloomError: as `Rooms.admit`.
    """
    rooms, tokens = server.rooms, server.tokens
    try:
        return await rooms.admit(hello, tokens)
    except Busy:
        if not hello.wait:
            raise
    leaving = asyncio.create_task(_until_left(peer))
    try:
        with rooms.line(hello.world).join() as place:
            while not leaving.done():
                await peer.send_text(encode(Waiting(position=place.position, estimate_s=place.estimate_s)))
                await asyncio.wait([leaving], timeout=WAIT_EVERY)
                with suppress(Busy):
                    return await rooms.admit(hello, tokens, place)
        raise Gone()
    finally:
        leaving.cancel()


async def watch_limits(room: Room, role: Role, server: ServerState, outbox: Outbox) -> None:
    """End a session that lasts, or waits for a control, as long as it may; announced a minute ahead."""
    idle, longest = server.settings.idle_timeout, server.settings.max_duration
    told = False
    while True:
        now = time.monotonic()
        left = min(
            room.controlled + idle - now if idle else float("inf"),
            room.since + longest - now if longest else float("inf"),
        )
        if left <= 0.0 and role == "drive":
            await server.rooms.close(room, TimeLimit("this session has lasted as long as it may"))
        if left <= NOTICE_S and not told:
            message = "this session ends soon: it has lasted, or waited for you, as long as it may"
            outbox.put(encode(Notice(code=TimeLimit.code, message=message, seconds=int(max(0.0, left)))))
        told = left <= NOTICE_S
        await asyncio.sleep(min(LIMITS_EVERY, max(0.01, left)))


async def _until_left(peer: Peer) -> None:
    """Hear somebody who waits for a place, until they give up."""
    with suppress(Gone, WorldloomError):
        while not isinstance(decode_text(await peer.receive()), Bye):
            pass
