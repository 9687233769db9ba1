"""A session's twin: the engine that its world learned from, under the same action rows, frame by frame.

    begin -> the engine's first picture -> the session begins anew from it -> every row since -> the engine's pictures

The engine runs in a process of its own and never holds the dream up. A row cannot be left out, or the two would part:
where the engine lags, pictures are left undrawn and counted, and where too many rows wait, the twin ends. Knows frames
and the child; no room and no socket.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import queue
import threading
from contextlib import suppress
from multiprocessing.connection import wait

import numpy as np
from numpy.typing import NDArray

from worldloom.models.spec import Image

from .errors import Unsupported
from .frames import Frame
from .origin import Origin
from .twin_child import Begin, end_group, main
from .wire import FrameHeader, pack_frame

log = logging.getLogger(__name__)

ROWS = 64  # frames that the engine may lag behind
BEGIN_S = 30.0  # seconds that an engine may take to begin: Meta-World is a large import
REAPED_S = 2.0  # seconds until a child that was killed has ended

Row = tuple[int, NDArray[np.float32]]
"""A frame's number and its row (A,)."""


class Twin:
    """See the module. `frame` is for the engine's thread; `end` for any; all else belongs to the event loop."""

    def __init__(self, begin: Begin, images: bool) -> None:
        """`images`: the world takes a picture, so the session begins with the engine's first one."""
        self.undrawn = 0  # pictures that the engine had no time for, or the viewer
        self.first: Image | None = None  # what the session is to begin with
        self.over = ""  # why it has ended
        self.gone = asyncio.Event()  # its place is free again
        self._begin = begin
        self._images = images
        self._loop = asyncio.get_running_loop()
        self._rows: queue.Queue[Row | None] = queue.Queue(ROWS)
        self._follows = False  # the session has begun from the engine's picture
        self._newest: bytes | None = None  # the message that nobody has taken yet
        self._news = asyncio.Event()
        self._thread: threading.Thread | None = None
        context = multiprocessing.get_context("spawn")  # not forked: threads may hold locks
        self._pipe, self._theirs = context.Pipe()
        self._process = context.Process(target=main, args=(self._theirs,), name="worldloom-twin", daemon=True)

    async def begin(self) -> None:
        """Start the engine; `first` is there then, where the world takes pictures.

        Raises:
            Unsupported: it cannot begin; the message says why.
        """
        picture = await asyncio.to_thread(self._open)
        self.first = picture if self._images else None
        self._thread = threading.Thread(target=self._work, name="worldloom-twin", daemon=True)
        self._thread.start()

    def frame(self, frame: Frame) -> None:
        """A frame of the dream was made; never blocks."""
        if self._follows and frame.back_to is not None:
            self.end("the world went back")
        if frame.origin is not None:
            if self._follows or (self._thread is not None and not self._is_ours(frame.origin)):
                self.end("the world began anew")
            self._follows = self._is_ours(frame.origin)
        if not self._follows or self.over or frame.actions is None:
            return
        try:
            self._rows.put_nowait((frame.index, frame.actions))
        except queue.Full:
            self.end("the engine is slower than the dream")

    def end(self, why: str) -> None:
        """It follows no more."""
        self.over = self.over or why
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._news.set)

    async def picture(self) -> bytes | None:
        """The engine's newest picture as a frame message; None once it is over."""
        while self._newest is None and not self.over:
            self._news.clear()
            await self._news.wait()
        newest, self._newest = self._newest, None
        return None if self.over else newest

    async def close(self) -> None:
        """End the process; returns when it is gone."""
        self.end("closed")
        await asyncio.to_thread(self._reap)

    # On other threads -------------------------------------------------------------------------------------------------

    def _open(self) -> Image:
        self._process.start()
        self._theirs.close()
        try:
            self._pipe.send(self._begin)
            answer = self._pipe.recv() if self._pipe.poll(BEGIN_S) else f"it took more than {BEGIN_S:g} s"
        except (EOFError, OSError):
            answer = "its process died"
        if isinstance(answer, str):
            raise Unsupported(f"the engine of {self._begin.world} cannot begin: {answer}"[:256])
        picture: Image = answer
        return picture

    def _work(self) -> None:
        """Rows to the child and pictures back, until there are no more."""
        try:
            while not self.over and (rows := self._waiting()):
                self._pipe.send(np.stack([row for _, row in rows]))
                jpeg = self._pipe.recv()
                if jpeg is None:
                    return self.end("the engine's episode has ended")
                self._loop.call_soon_threadsafe(self._show, rows[-1][0], jpeg, len(rows) - 1)
        except (EOFError, OSError):
            self.end("the engine has died")
        except RuntimeError:  # the loop is closed: nobody looks
            self.end("closed")

    def _waiting(self) -> list[Row]:
        """All rows that wait, at least one; none at the end."""
        rows: list[Row] = []
        row = self._rows.get()
        while row is not None:
            rows.append(row)
            if self._rows.empty():
                return rows
            row = self._rows.get()
        return []

    def _reap(self) -> None:
        pid = self._process.pid
        if pid is not None:  # there is nothing in it that would be lost
            end_group(pid)
            self._process.kill()
            if not wait([self._process.sentinel], REAPED_S):  # not by its exit code: another thread may be reading it
                log.error("the engine of %s cannot be ended: process %d", self._begin.world, pid)
            self._process.join(REAPED_S)  # its pipes close a little before it is gone
        while self._thread is not None and self._thread.is_alive():  # it waits for rows: its pipe has ended
            with suppress(queue.Empty):
                self._rows.get_nowait()
            self._rows.put_nowait(None)
            self._thread.join(0.05)
        self._pipe.close()
        self._theirs.close()

    # Inside -----------------------------------------------------------------------------------------------------------

    def _is_ours(self, origin: Origin) -> bool:
        """Whether a stream began as this twin did."""
        if self.first is None or origin.image is None:
            return self.first is origin.image and origin.seed == self._begin.seed
        return np.array_equal(self.first, origin.image)

    def _show(self, index: int, jpeg: bytes, undrawn: int) -> None:
        self.undrawn += undrawn + (self._newest is not None)
        begin = self._begin
        header = FrameHeader(index, 0, 0, begin.width, begin.height, "jpeg")
        self._newest = pack_frame(header, jpeg)
        self._news.set()
