"""A world on a server, from Python: controls out, receipts and pictures in.

    async with connect("ws://127.0.0.1:8000/v1/session", world="doom") as world:
        receipt = await world.press("KeyW")
        async for picture in world.pictures():
            show(picture.pixels)

A connection that is lost is sought again, and the same world goes on at the same frame: pictures come again, what is
held is held again, what the server had not seen is said again. What it had seen is answered then; where an answer was
lost with the line, the control fails with `ConnectionLost`. So does what is said to a realtime world while there is no
line, for nothing is done late; a lockstep world waits.

Knows how a session begins and ends; what it is in between is in `session.py`. No model, no torch, no clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from worldloom.streamer.client_messages import Hello
from worldloom.streamer.fields import Mode, Video
from worldloom.streamer.protocol import PROTOCOL
from worldloom.streamer.wire import Format

from .images import upload
from .leasing import leases
from .line import Line, endpoint
from .session import RemoteWorld


@asynccontextmanager
async def connect(
    url: str,
    *,
    world: str | None = None,
    seed: int | None = None,
    video: Video = "websocket",
    mode: Mode = "realtime",
    format: Format = "jpeg",
    deterministic: bool = False,
    prompt: str | None = None,
    image: bytes | Path | None = None,
    buffer: int | None = None,
    token: str | None = None,
    resume: str | None = None,
    watch: str | None = None,
    patience: float = 30.0,
) -> AsyncIterator[RemoteWorld]:
    """Open a world and close it on the way out.

    Args:
        url: of the server's session endpoint, like "ws://127.0.0.1:8000/v1/session"; "ws://127.0.0.1:8000" will do.
            One that ends in "/v1/sessions" asks for a place first, at a server or a gateway, and again where the
            session is whenever a connection is lost.
        world: its name; the server's first one when absent.
        seed: of its random numbers; the server draws one when absent.
        video: how pictures travel: "websocket", "webrtc" (needs the `server` extra), or "none".
        mode: "realtime" is paced by the server's clock; in "lockstep" a chunk is made for each `step`.
        format: of pictures over the WebSocket; "raw" is exact.
        deterministic: pictures do not depend, to the bit, on who else is served; it may cost the server a step.
        prompt: a text to start from, where the world takes one.
        image: a PNG, JPEG or WebP file to start from, or its bytes, where the world takes one.
        buffer: pictures that may wait to be read, the oldest dropped first; one chunk when absent, or in lockstep less.
        token: signed by the server (`worldloom token`), where it serves strangers.
        resume: `RemoteWorld.resume_token` of an earlier connection: go on with that session.
        watch: `RemoteWorld.watch_token` of somebody's session: see it, without control.
        patience: seconds to seek a lost connection; 0: not at all.

    Raises:
        ValueError: an address that is none, a buffer without room, or what a place cannot be asked for with.
        WorldloomError: what the server answered, for example `Busy` or `UnknownWorld`.
        ConnectionError: there is no server, or it went away.
    """
    if buffer is not None and buffer < 1:
        raise ValueError(f"expected a buffer of at least 1 picture, got {buffer}")
    if leases(url) and (image is not None or resume is not None or watch is not None):
        raise ValueError("expected no image, resume or watch where a place is asked for; `reset` takes a picture later")
    hello = Hello(
        protocol=PROTOCOL,
        world=world,
        seed=seed,
        prompt=prompt,
        image=None if image is None else await upload(endpoint(url), image, token),
        video=video,
        mode=mode,
        format=format,
        deterministic=deterministic,
        token=token,
        resume=resume,
        watch=watch,
    )
    failure: Exception | None = None
    line = Line(url, hello, patience)
    remote = RemoteWorld(line, await line.open(), buffer)
    try:
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(remote._read()), tasks.create_task(remote._write())]
            try:
                if video == "webrtc":
                    await remote._start_webrtc()
                yield remote
            except Exception as error:  # leaves as itself and not inside a group
                failure = error
            finally:
                await remote._leave()
                for task in background:
                    task.cancel()
    finally:
        await remote._let_go()  # of what came back meanwhile
    if failure is not None:
        raise failure
