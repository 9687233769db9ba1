"""A world that makes a chunk when it is asked to, from code that is not asynchronous: in this process or on a server.

Both drive the very same session; only the way to it differs. `InProcess` is the one place where the client reaches the
engine and the worlds, and it does so when it is made, so that importing the client loads neither.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from worldloom.streamer.errors import ModelFault, SessionClosed, WorldloomError
from worldloom.streamer.protocol import Reset, Step, WorldInfo

from .connection import RemoteWorld, connect

if TYPE_CHECKING:
    from worldloom.models.spec import WorldModel
    from worldloom.streamer.frames import Frame
    from worldloom.streamer.protocol import Receipt
    from worldloom.streamer.session import Session

CHUNK_S = 300.0  # seconds that a chunk may take: a first step may compile kernels

_T = TypeVar("_T")


class Lockstep(Protocol):
    """One stream of a world; from one thread."""

    @property
    def info(self) -> WorldInfo:
        """What this world is."""

    def restart(self, seed: int) -> None:
        """Begin anew from a seed."""

    def step(self, rows: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(F, A) actions -> the (F, H, W, 3) pictures of one chunk, in an array of their own."""

    def close(self) -> None:
        """Free what the stream holds. Closing twice is allowed."""


class InProcess:
    """A world in this process, on an engine of its own."""

    def __init__(self, world: str | WorldModel[Any]) -> None:
        from worldloom.models.catalog import open_world
        from worldloom.streamer.engine import Engine, EngineConfig

        model = open_world(world) if isinstance(world, str) else world
        self.info = WorldInfo.of(model.spec)
        self._engine = Engine(model, EngineConfig(max_sessions=1))
        self._sink = _QueueSink()
        self._session: Session | None = None
        self._seq = 0
        self._closed = False
        self._engine.start()

    def restart(self, seed: int) -> None:
        """Begin anew from a seed."""
        if self._session is None:
            self._session = self._engine.open(self._sink, seed=seed, mode="lockstep")
        else:
            self._session.post(Reset(seq=self._next(), seed=seed))

    def step(self, rows: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(F, A) actions -> (F, H, W, 3) pictures."""
        if self._session is None:
            raise SessionClosed("expected a restart before the first step")
        self._session.post(Step(seq=self._next(), actions=tuple(tuple(row) for row in rows.tolist())))
        return np.stack([self._sink.take().pixels for _ in range(self.info.chunk)])

    def close(self) -> None:
        """Free the state and stop the engine."""
        if not self._closed:
            self._closed = True
            self._engine.stop()

    def _next(self) -> int:
        self._seq += 1
        return self._seq


class _QueueSink:
    """Frames from the engine's thread to the caller's. At most one chunk waits: the caller asks for one at a time."""

    def __init__(self) -> None:
        self._arrived: queue.SimpleQueue[Frame | WorldloomError] = queue.SimpleQueue()

    def frame(self, frame: Frame) -> None:
        self._arrived.put(frame)

    def receipt(self, receipt: Receipt) -> None:
        if receipt.status == "rejected":
            self._arrived.put(ModelFault("the world refused to start anew", seq=receipt.seq))

    def fault(self, error: WorldloomError) -> None:
        self._arrived.put(error)

    def take(self) -> Frame:
        """The next frame. Raises the fault that ended the session."""
        try:
            arrived = self._arrived.get(timeout=CHUNK_S)
        except queue.Empty:
            raise ModelFault(f"expected a frame within {CHUNK_S:g} s, got none") from None
        if isinstance(arrived, WorldloomError):
            raise arrived
        return arrived


class Remote:
    """A world on a server. A thread of its own keeps the connection alive while the caller thinks."""

    def __init__(self, url: str, world: str | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="worldloom-remote", daemon=True)
        self._thread.start()
        self._open = AsyncExitStack()
        self._resets: list[int] = []  # whose receipt is still to be read
        self._closed = False
        try:
            self._world = self._call(self._connect(url, world))
        except BaseException:
            self.close()
            raise
        self.info = self._world.info

    def restart(self, seed: int) -> None:
        """Begin anew from a seed."""
        self._resets.append(self._call(self._world.reset(seed)))

    def step(self, rows: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(F, A) actions -> (F, H, W, 3) pictures."""
        return self._call(self._step(rows))

    def close(self) -> None:
        """Close the connection; the server frees the state."""
        if self._closed:
            return
        self._closed = True
        try:
            self._call(self._open.aclose())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=10)
            self._loop.close()

    async def _connect(self, url: str, world: str | None) -> RemoteWorld:
        return await self._open.enter_async_context(connect(url, world=world, mode="lockstep", format="raw"))

    async def _step(self, rows: NDArray[np.float32]) -> NDArray[np.uint8]:
        pictures = await self._world.step(rows.tolist())
        while self._resets:
            await self._world.receipt(self._resets.pop())
        return np.stack([picture.pixels for picture in pictures])

    def _call(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CHUNK_S)
