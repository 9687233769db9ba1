"""The WebSocket of twins: who drives a session sees beside its dream what the engine makes of the same actions.

    GET /v1/twins                          worlds whose engine is installed here
    client: {"resume": …, "seed": …}       its session's token, and what the engine is to begin with
    server: {"begin": {"seed", "image"}}   now `reset` the session with these; no image where the world takes none
    server: (binary: frame messages, numbered as the dream's)
    server: {"end": …}                     why it follows no more, then it closes

The engine lives as long as this connection, or until the session ends or begins anew. Knows sockets and rooms; the
process is the twin's.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress

from fastapi import APIRouter, Request, WebSocket
from pydantic import ValidationError

from .errors import BadMessage, Busy, UnknownSession, Unsupported, WorldloomError
from .fields import Message, Seed, Token
from .handshake import heard
from .peer import Gone, Peer
from .room import Room
from .state import ServerState
from .twin import Twin
from .twin_child import Begin, has_engine
from .wire import NORMAL_CLOSE, close_code

log = logging.getLogger(__name__)

router = APIRouter()


class Wish(Message):
    """The first message."""

    resume: Token
    seed: Seed


@router.get("/v1/twins")
def twins(request: Request) -> dict[str, list[str]]:
    """Worlds whose engine can be seen beside the dream."""
    server: ServerState = request.app.state.server
    return {"worlds": [name for name in server.worlds.names if server.settings.twins and has_engine(name)]}


@router.websocket("/v1/twin")
async def twin(socket: WebSocket) -> None:
    """One twin, from the first message to the end; never raises what a peer caused."""
    server: ServerState = socket.app.state.server
    peer = Peer(socket, send_timeout=server.settings.send_timeout)
    code, why = NORMAL_CLOSE, ""
    with server.counted(peer.address):
        try:
            await peer.accept()
            server.check_counts(peer.address)
            why = await _live(peer, server)
        except Gone:
            pass
        except WorldloomError as error:
            server.metrics.error(error.code)
            code, why = close_code(error.code), str(error)
        except Exception:
            log.exception("a twin failed")
            code, why = 1011, "the server failed"
        with suppress(Gone):
            await peer.send_text(json.dumps({"end": why}))
            await peer.close(code, "")


async def _live(peer: Peer, server: ServerState) -> str:
    """Why it ended."""
    wish = _wish(await heard(peer, server.settings.hello_timeout, server.rooms.draining))
    room = server.rooms.driven(wish.resume)
    if room is None:
        raise UnknownSession("expected the resume token of an open session")
    if room.mode != "realtime" or not has_engine(room.spec.name):
        raise Unsupported(f"expected a realtime session of a world whose engine is here, got {room.spec.name}")
    if (before := room.twin) is not None:
        before.end("another one took its place")
        await before.gone.wait()
    if room.twin is not None or sum(one.twin is not None for one in server.rooms) >= server.settings.twins:
        raise Busy(f"expected at most {server.settings.twins} twins on this server; try again later")
    spec = room.spec
    made = room.twin = Twin(Begin(spec.name, spec.height, spec.width, wish.seed), spec.images)
    try:
        await made.begin()
        image = server.images.hold(made.first) if made.first is not None else None
        await peer.send_text(json.dumps({"begin": {"seed": wish.seed, "image": image}}))
        return await _shown(peer, made, server)
    finally:
        server.metrics.drops.labels(spec.name, "twin").inc(made.undrawn)
        await asyncio.shield(_put_away(room, made))


async def _put_away(room: Room, made: Twin) -> None:
    await made.close()
    room.twin = None
    made.gone.set()


async def _shown(peer: Peer, made: Twin, server: ServerState) -> str:
    """Pictures to the peer until one side has had enough."""

    async def send() -> None:
        while (message := await made.picture()) is not None:
            await peer.send_bytes(message)

    sending, leaving = asyncio.create_task(send()), asyncio.create_task(_until_gone(peer, server))
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        for done in (sending, leaving):
            if done.done():
                done.result()
        return made.over
    finally:
        sending.cancel()
        leaving.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)


async def _until_gone(peer: Peer, server: ServerState) -> None:
    while True:
        await heard(peer, None, server.rooms.draining)


def _wish(data: str | bytes) -> Wish:
    try:
        return Wish.model_validate_json(data)
    except ValidationError as error:
        raise BadMessage(f"expected a resume token and a seed: {error.error_count()} faults") from None
