"""A world that makes a chunk when it is asked to, from code that is not asynchronous: in this process or on a server.

Both drive the very same session; only the way to it differs. `embedded` is the one place where the client reaches the
engine and the worlds, and it imports them when it is called, so that importing the client loads neither.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from worldloom.streamer.world_info import WorldInfo

from .connection import RemoteWorld, connect

if TYPE_CHECKING:
    from worldloom.models.spec import WorldModel

CHUNK_S = 300.0  # seconds that a chunk may take: a first step may compile kernels

_T = TypeVar("_T")


class Lockstep(Protocol):
    """One stream of a world; from one thread."""

    info: WorldInfo  # what this world is

    def restart(self, seed: int) -> None:
        """Begin anew from a seed."""

    def step(self, rows: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(F, A) actions -> the (F, H, W, 3) pictures of one chunk, in an array of their own."""

    def close(self) -> None:
        """Free what the stream holds. Closing twice is allowed."""


def embedded(world: str | WorldModel[Any]) -> Lockstep:
    """A world in this process, on an engine of its own."""
    from worldloom.streamer.embed import EmbeddedWorld

    return EmbeddedWorld(world)


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
