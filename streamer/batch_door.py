"""The WebSocket of programs that drive streams by the batch: MessagePack, one answer for each request, no clock.

    program: {hello}   server: {welcome}   then   program: {id, verb, ...}   server: {id, ...} or {id, error}

The work is done on a thread of its own, never on the event loop. A program whose connection was lost comes back with
its token and sends its request again: see `batches.py`. Knows the socket and the verbs; no engine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray
from starlette.websockets import WebSocket

from .batch_messages import MOST
from .batches import Batch, Batches
from .codec import pack, unpack
from .errors import BadMessage, HelloExpected, Unauthorized, VersionMismatch, WorldloomError
from .handshake import heard
from .peer import Gone, Peer
from .protocol import PROTOCOL
from .state import ServerState
from .wire import NORMAL_CLOSE, close_code
from .world_info import WorldInfo
from .worlds import Start

log = logging.getLogger(__name__)

T = TypeVar("T", np.uint8, np.float32)

SWEEP_S = 1.0  # seconds between two looks for batches that nobody came back to


class Door:
    """What serves batches: the batches themselves, and the threads that wait for them."""

    def __init__(self, server: ServerState) -> None:
        settings = server.settings
        self.batches = Batches(
            keep_s=settings.orphan_timeout, most_lost=settings.max_orphans, saved_bytes=settings.snapshot_bytes
        )
        self._server = server
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="worldloom-batch")  # each waits for an engine, mostly

    async def serve(self, socket: WebSocket) -> None:
        """One connection, from the handshake to the end; never raises what a peer caused."""
        server, peer = self._server, Peer(socket, send_timeout=self._server.settings.send_timeout)
        code, reason = NORMAL_CLOSE, ""
        with server.counted(peer.address):
            try:
                await peer.accept()
                server.check_counts(peer.address)
                await self._live(peer)
            except Gone:
                pass
            except WorldloomError as error:
                code, reason = await self._refuse(peer, error)
            except Exception:
                log.exception("a connection of a batch failed")
                code, reason = await self._refuse(peer, WorldloomError("the server failed"))
            finally:
                with suppress(Gone):
                    await peer.close(code, reason)

    async def sweep(self) -> None:
        """End what nobody came back to; for as long as the server runs."""
        while True:
            await asyncio.sleep(SWEEP_S)
            for batch in self.batches.expired():
                await self._on_thread(batch.close)

    async def end(self) -> None:
        """End every batch."""
        for batch in self.batches.expired(all=True):
            await self._on_thread(batch.close)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _refuse(self, peer: Peer, error: WorldloomError) -> tuple[int, str]:
        """Say why it ends; returns the code and the reason to close with."""
        self._server.metrics.error(error.code)
        with suppress(Gone):
            await peer.send_bytes(pack(_refusal(0, error)))
        return close_code(error.code), error.code

    async def _live(self, peer: Peer) -> None:
        batch = await self._admit(await self._hear(peer, self._server.settings.hello_timeout))
        self.batches.enter(batch, peer)
        try:
            info = WorldInfo.of(batch.spec).model_dump(mode="json")
            welcome = {"type": "welcome", "protocol": PROTOCOL, "world": info, "size": len(batch)}
            await peer.send_bytes(pack({**welcome, "resume": batch.resume}))
            while True:
                request = await self._hear(peer, None)
                if request.get("verb") == "bye":
                    self.batches.remove(batch)
                    return await self._on_thread(batch.close)
                async with batch.busy:
                    made = await self._on_thread(answer, batch, request)
                await peer.send_bytes(made)
        finally:
            self.batches.lose(batch, peer)

    async def _admit(self, hello: Mapping[str, Any]) -> Batch:
        """The batch of a program: a new one, or the one that it lost."""
        if hello.get("type") != "hello":
            raise HelloExpected("expected hello as the first message")
        if hello.get("protocol") != PROTOCOL:
            raise VersionMismatch(f"expected protocol {PROTOCOL}, got {hello.get('protocol')!r}")
        if (resume := _text(hello, "resume")) is not None:
            return self.batches.find(resume)
        claims = self._server.tokens.read(_text(hello, "token"), "drive")
        world = self._server.worlds.named(_text(hello, "world") or claims.world)
        if claims.world not in (None, world.name) or claims.session is not None:
            raise Unauthorized(f"expected a token for the world {world.name!r}")
        size = hello.get("size", 1)
        if not _whole(size) or not 1 <= size <= MOST:
            raise BadMessage(f"expected a size of 1 to {MOST}, got {size!r}")
        await world.entrance()
        return Batch(lambda: world.engine, size, self.batches.saved)

    async def _hear(self, peer: Peer, timeout_s: float | None) -> dict[str, Any]:
        """The next message. Raises as `handshake.heard`, and `BadMessage`."""
        data = await heard(peer, timeout_s, self._server.rooms.draining)
        message = unpack(data) if isinstance(data, bytes) else None
        if not isinstance(message, dict):
            raise BadMessage("expected a binary message that holds a map")
        return message

    async def _on_thread(self, call: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *arguments)


def answer(batch: Batch, request: Mapping[str, Any]) -> bytes:
    """The answer to a request; the one before, if it is that again. On a worker's thread."""
    number = request.get("id")
    if not _whole(number) or number < 1:
        return pack(_refusal(0, BadMessage(f"expected a positive id, got {number!r}")))
    if number == batch.last[0]:
        return batch.last[1]
    try:
        made = pack({"id": number, **_done(batch, request)})
    except WorldloomError as error:
        made = pack(_refusal(number, error))
    except Exception:
        log.exception("a request of a batch failed")
        made = pack(_refusal(number, WorldloomError("the server failed")))
    batch.last = number, made
    return made


def _done(batch: Batch, request: Mapping[str, Any]) -> dict[str, Any]:
    which = request.get("which")
    if which is None:
        which = list(range(len(batch)))
    if not isinstance(which, list) or not all(_whole(k) and 0 <= k < len(batch) for k in which):
        raise BadMessage(f"expected numbers of streams below {len(batch)}, got {which!r}"[:256])
    if len(set(which)) != len(which):
        raise BadMessage("expected every stream once")
    match request.get("verb"):
        case "start":
            starts = request.get("starts")
            if not isinstance(starts, list) or len(starts) != len(which):
                raise BadMessage("expected as many starts as streams")
            batch.start(dict(zip(which, map(_start, starts), strict=True)))
            return {}
        case "step":
            chunk = batch.step(_array(request, "rows", np.float32, 3), which)
            return {"frames": chunk.frames, "drift": chunk.drift, "compute_ms": chunk.compute_ms}
        case "save":
            return {"states": list(batch.save(which))}
        case verb:
            raise BadMessage(f"expected a verb of start, step, save and bye, got {verb!r}"[:256])


def _start(told: Any) -> Start:
    if not isinstance(told, dict) or not _whole(told.get("seed")) or not 0 <= told["seed"] < 2**63:
        raise BadMessage("expected a start with a seed")
    state = told.get("state")
    if state is not None and not isinstance(state, bytes):
        raise BadMessage("expected a state that was saved here")
    return Start(
        told["seed"],
        prompt=_text(told, "prompt"),
        image=None if told.get("image") is None else _array(told, "image", np.uint8, 3),
        frames=None if told.get("frames") is None else _array(told, "frames", np.uint8, 4),
        actions=None if told.get("actions") is None else _array(told, "actions", np.float32, 2),
        state=state,
    )


def _whole(value: Any) -> TypeGuard[int]:
    """Whether it is a whole number; Python takes true for one."""
    return isinstance(value, int) and not isinstance(value, bool)


def _array(told: Mapping[str, Any], name: str, dtype: type[T], axes: int) -> NDArray[T]:
    value = told.get(name)
    if not isinstance(value, np.ndarray) or value.dtype != dtype or value.ndim != axes:
        raise BadMessage(f"expected {name} as an array of {np.dtype(dtype)} with {axes} axes")
    return value


def _text(told: Mapping[str, Any], name: str) -> str | None:
    value = told.get(name)
    if value is not None and not (isinstance(value, str) and len(value) <= 2048):
        raise BadMessage(f"expected {name} as a text")
    return value


def _refusal(number: int, error: WorldloomError) -> dict[str, Any]:
    told = {"code": error.code, "message": str(error)[:256], "retryable": error.retryable}
    return {"id": number, "error": {**told, "retry_after": error.retry_after}}
