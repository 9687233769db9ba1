"""A world on a server for programs without an event loop: the client of `connection.py`, on a thread of its own.

    with connect_sync("ws://127.0.0.1:8000", world="doom") as world:
        world.look(yaw=2.0)                         # sent; returns at once
        receipt = world.press("KeyW").result()      # waits until it is decided
        for picture in world.pictures():
            show(picture.pixels)

The same methods as there; what is awaited there is a `concurrent.futures.Future` here. Knows threads; no message.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeAlias, TypeVar

from worldloom.streamer.errors import SessionClosed
from worldloom.streamer.fields import Mode, Switch
from worldloom.streamer.server_messages import Notice, Receipt, Stats
from worldloom.streamer.world_info import WorldInfo

from .connection import connect
from .pictures import Picture
from .receipts import Sent
from .session import RemoteWorld, Rows
from .travel import SyncTravel

P = ParamSpec("P")
T = TypeVar("T")

Answer: TypeAlias = Future[Receipt]
"""`result()` waits for the receipt, and raises why the control was rejected. Nobody has to ask; `cancel` is refused."""


class SyncWorld(SyncTravel):
    """One open session, from any thread. Entered as a context; it opens there and is closed on the way out."""

    def __init__(self, opening: AbstractAsyncContextManager[RemoteWorld]) -> None:
        self._opening = opening
        self._opened: Future[RemoteWorld] = Future()
        self._thread = threading.Thread(target=self._run, name="worldloom", daemon=True)
        self._leave = asyncio.Event()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None  # while the thread takes work
        self._living: asyncio.Task[None] | None = None  # the thread's work
        self._closing = False
        self._asked: set[Future[Any]] = set()  # what somebody may be waiting for

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._opened.result()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session, or its opening; nothing of it is left. Harmless twice, and before it was entered."""
        with self._lock:
            self._closing = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._end)
        if self._thread.ident is not None:  # else it was never started
            self._thread.join()

    # What there is ----------------------------------------------------------------------------------------------------

    @property
    def info(self) -> WorldInfo:
        """Picture, clock and controls of the world."""
        return self._world.info

    @property
    def session(self) -> str:
        """The session's name."""
        return self._world.session

    @property
    def mode(self) -> Mode:
        """Paced by the clock, or by `step`."""
        return self._world.mode

    @property
    def seed(self) -> int:
        """Of the latest beginning."""
        return self._world.seed

    @property
    def resume_token(self) -> str | None:
        """Opens this session again, from anywhere."""
        return self._world.resume_token

    @property
    def watch_token(self) -> str | None:
        """Lets others see it."""
        return self._world.watch_token

    @property
    def newest(self) -> Picture | None:
        """The latest picture, at once: for loops that draw at a rate of their own."""
        return self._world.newest

    @property
    def stats(self) -> Stats | None:
        """The server's latest figures."""
        return self._world.stats

    @property
    def notice(self) -> Notice | None:
        """What ends soon, or has ended, unasked."""
        return self._world.notice

    @property
    def reconnected(self) -> int:
        """Times that a lost connection was found again."""
        return self._world.reconnected

    @property
    def ended(self) -> Exception | None:
        """Why the session has ended; None while it goes on."""
        return self._world.ended

    # Controls ---------------------------------------------------------------------------------------------------------

    def press(self, code: str) -> Answer:
        """A key goes down and stays; `code` as in `info.actions.keys`."""
        return self._say(lambda world: world.press(code))

    def release(self, code: str) -> Answer:
        """A key comes up."""
        return self._say(lambda world: world.release(code))

    def tap(self, code: str) -> Answer:
        """A key goes down and up again: held for one chunk. The answer to the press."""
        return self._say(lambda world: world.tap(code))

    @contextmanager
    def hold(self, code: str) -> Iterator[Answer]:
        """Hold a key inside the block; yields the answer to the press."""
        pressed = self.press(code)
        try:
            yield pressed
        finally:
            self.release(code)

    def look(self, yaw: float = 0.0, pitch: float = 0.0) -> Answer:
        """Turn the view by so many degrees: yaw right +, pitch up +."""
        return self._say(lambda world: world.look(yaw, pitch))

    def axes(self, values: Mapping[str, float]) -> Answer:
        """New values for some axes, by name."""
        return self._say(lambda world: world.axes(values))

    def action(self, values: Sequence[float]) -> Answer:
        """A whole action row, columns as in `info.actions.columns`."""
        return self._say(lambda world: world.action(values))

    def prompt(self, text: str) -> Answer:
        """Begin the world anew from a text."""
        return self._say(lambda world: world.prompt(text))

    def say(self, text: str, how: Switch = "recache", *, chunks: int = 8) -> Answer:
        """Go on from here under another text; see `Controls.say`."""
        return self._say(lambda world: world.say(text, how, chunks=chunks))

    def reset(self, seed: int | None = None, image: str | None = None) -> Answer:
        """Begin the world anew; see `Controls.reset`."""
        return self._say(lambda world: world.reset(seed, image))

    def start_from(self, image: bytes | Path, seed: int | None = None) -> Receipt:
        """Begin the world anew from a picture; waits. Raises as `Controls.start_from`."""
        return self._wait(self._world.start_from(image, seed))

    def pause(self) -> Answer:
        """Stop making frames."""
        return self._say(lambda world: world.pause())

    def resume(self) -> Answer:
        """Go on making frames."""
        return self._say(lambda world: world.resume())

    def record(self, on: bool = True) -> Answer:
        """Record the session on the server, or stop."""
        return self._say(lambda world: world.record(on))

    # Pictures ---------------------------------------------------------------------------------------------------------

    def step(self, actions: Rows | None = None) -> list[Picture]:
        """Lockstep: make one chunk and return its pictures. Raises as `RemoteWorld.step`."""
        return self._wait(self._world.step(actions))

    def pictures(self) -> Iterator[Picture]:
        """Pictures as they come, until the session ends. Raises as `RemoteWorld.pictures`."""
        coming = self._world.pictures()
        while (picture := self._wait(_next(coming))) is not None:
            yield picture

    # Inside -----------------------------------------------------------------------------------------------------------

    @property
    def _world(self) -> RemoteWorld:
        if not self._opened.done():
            raise SessionClosed("the session is not open: `with connect_sync(...) as world:`")
        return self._opened.result()

    def _run(self) -> None:
        """The thread. What is asked of it when it ends is never done, and says so."""
        try:
            asyncio.run(self._live())
        except BaseException as error:
            if not self._opened.done():
                closed = isinstance(error, asyncio.CancelledError)
                self._opened.set_exception(SessionClosed("closed before it was open") if closed else error)
        with self._lock:
            self._loop = None
        for future in list(self._asked):
            future.set_exception(SessionClosed("the session was closed first"))

    async def _live(self) -> None:
        self._living = asyncio.current_task()
        with self._lock:
            if self._closing:  # before there was a loop to tell
                raise asyncio.CancelledError
            self._loop = asyncio.get_running_loop()
        async with self._opening as world:
            self._opened.set_result(world)
            await self._leave.wait()

    def _end(self) -> None:
        """On the thread: `close` was called."""
        if self._opened.done():
            self._leave.set()
        elif self._living is not None:
            self._living.cancel()

    def _say(self, control: Callable[[RemoteWorld], Sent]) -> Answer:
        """Say something on the thread, in the order in which it was asked for."""
        world = self._world

        async def answer() -> Receipt:
            return await control(world)

        return self._ask(answer())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._ask(work).result()

    def _ask(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Have something done on the thread."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # what was said is said: nobody takes it back
        with self._lock:
            if self._loop is None:
                work.close()
                raise self.ended or SessionClosed("the session was closed")
            self._asked.add(future)
            self._loop.call_soon_threadsafe(self._begin, work, future)
        return future

    def _begin(self, work: Coroutine[Any, Any, T], future: Future[T]) -> None:
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda _: self._pass_on(task, future))

    def _pass_on(self, task: asyncio.Future[T], future: Future[T]) -> None:
        if task.cancelled():
            return  # the thread ends, which tells whoever waits
        self._asked.discard(future)
        error = task.exception()
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(task.result())


async def _next(coming: AsyncGenerator[Picture, None]) -> Picture | None:
    return await anext(coming, None)


def _blocking(
    opening: Callable[P, AbstractAsyncContextManager[RemoteWorld]],
) -> Callable[P, SyncWorld]:
    @wraps(opening)
    def call(*args: P.args, **kwargs: P.kwargs) -> SyncWorld:
        return SyncWorld(opening(*args, **kwargs))

    return call


connect_sync = _blocking(connect)
