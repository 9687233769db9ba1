"""A recording while it lasts: frames in from the engine, packets in from the broadcast, both out to the disk.

A recording is a viewer whose line is a disk: it takes the packets that are encoded anyway, and if nobody else watches,
they are encoded for it. What waits for the disk is bounded. Pictures that it is too slow for are dropped and counted,
and the movie goes on at the next key frame; a log with holes would replay nothing, so that ends the recording. Knows
broadcasts and files; no room, no message.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any

from .errors import RecordingFailed, RecordingFull, SessionClosed
from .frames import Frame
from .metrics import Metrics
from .recording_files import RecordingFiles, Rewind, Row
from .transports.broadcast import Broadcast, Packet, Subscription

log = logging.getLogger(__name__)

ROWS = 4096  # frames that may wait for the log; one more ends the recording
PACKETS = 64  # pictures that may wait for the movie; then all are dropped, and the next key frame goes on
FLUSH_EVERY = 1.0  # seconds after which the log is written although no picture came
KEY_EVERY = 10 * 90_000  # ticks after which a key frame is asked for, so that players can seek


class Recording:
    """See the module. `frame` is for the engine's thread; all else belongs to the event loop.

    From the first moment frames wait for it, pictures after `watch`; `begin` says where they go.
    """

    def __init__(self, broadcast: Broadcast, *, world: str, disk: Executor, metrics: Metrics) -> None:
        self._broadcast = broadcast
        self._subscription: Subscription | None = None
        self._world = world
        self._disk = disk  # one thread: what it is given is done in order
        self._metrics = metrics
        self._rows: deque[Row | Rewind] = deque()  # appended by the engine, taken by the loop: both are atomic
        self._lost_rows = False
        self._since = 0  # number of the first frame whose picture belongs to the movie
        self._counted = (0, 0)  # bytes that were written and pictures that were dropped, as the metrics know them
        self._why: RecordingFailed | None = None  # it ends unasked
        self._task: asyncio.Task[None] | None = None

    def frame(self, frame: Frame) -> None:
        """A frame was made; never blocks."""
        if frame.back_to is not None:
            self.rewound(frame.index, frame.back_to)
        if len(self._rows) < ROWS:
            self._rows.append(Row.of(frame))
        else:
            self._lost_rows = True

    def rewound(self, frame: int, to: int) -> None:
        """Before this frame the world goes back to where it was before frame `to`."""
        if to < frame:
            self._rows.append(Rewind(frame, to))

    def watch(self) -> None:
        """Pictures from now on wait for it."""
        self._subscription = self._broadcast.subscribe("h264", waiting=PACKETS)

    def begin(
        self, files: RecordingFiles, *, since: int, longest: float, ended: Callable[[RecordingFailed | None], None]
    ) -> None:
        """Write from now on, for `longest` seconds at most; `ended` is called once the files are complete.

        `since`: number of the first frame whose picture belongs to the movie.
        """
        assert self._subscription is not None
        self._since = since
        self._task = asyncio.create_task(self._run(files, self._subscription, longest, ended))

    def stop(self, why: RecordingFailed | None = None) -> None:
        """The end: what waits is written, then the files are complete; see `ended`."""
        self._why = self._why or why
        if self._subscription is not None:
            self._broadcast.unsubscribe(self._subscription)

    async def ended(self, within: float | None = None) -> None:
        """Wait until the files are complete, so many seconds at most."""
        if self._task is None:
            return
        _, late = await asyncio.wait([self._task], timeout=within)
        if late:
            log.error("a recording was not complete within %g s: the disk is busy or stuck", within)

    async def _run(
        self,
        files: RecordingFiles,
        pictures: Subscription,
        longest: float,
        ended: Callable[[RecordingFailed | None], None],
    ) -> None:
        opened = self._metrics.recordings.labels(self._world)
        too_long = RecordingFull(f"a recording may last {longest:g} s, and this one has")
        timer = asyncio.get_running_loop().call_later(longest, self.stop, too_long)
        opened.inc()
        try:
            await self._follow(files, pictures)
        except SessionClosed:
            pass  # there will be no more pictures
        except RecordingFailed as error:
            self._why = error
        except OSError as error:
            log.error("recording %s: %s", files.name, error)
            self._why = RecordingFailed(f"the disk refuses: {error.strerror}")
        except Exception:
            log.exception("recording %s failed", files.name)
            self._why = RecordingFailed("the server failed to record")
        finally:
            timer.cancel()
            self.stop()
            why = "stopped" if self._why is None else self._why.code
            await self._on_disk(files, files.end, self._taken(), why)
            opened.dec()
            ended(self._why)

    async def _follow(self, files: RecordingFiles, pictures: Subscription) -> None:
        """Write until there is nothing more to write."""
        key_pts = 0
        while True:
            packet = await _next(pictures)
            if self._lost_rows:
                raise RecordingFailed("the disk is slower than the world")
            if packet is not None and packet.frame.index < self._since:
                pictures.want_key()
                packet = None
            elif packet is not None and packet.key:
                key_pts = packet.frame.pts
            elif packet is not None and packet.frame.pts - key_pts >= KEY_EVERY:
                self._broadcast.encoder("h264").want_key_frame()
            await self._on_disk(files, files.write, self._taken(), packet)

    def _taken(self) -> list[Row | Rewind]:
        """Frames that wait for the log."""
        return [self._rows.popleft() for _ in range(len(self._rows))]

    async def _on_disk(self, files: RecordingFiles, work: Callable[..., None], *given: Any) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._disk, work, *given)
        finally:
            octets, dropped = files.written, self._subscription.dropped if self._subscription else 0
            self._metrics.recorded.labels(self._world).inc(octets - self._counted[0])
            self._metrics.drops.labels(self._world, "recording").inc(dropped - self._counted[1])
            self._counted = octets, dropped


async def _next(pictures: Subscription) -> Packet | None:
    """The next picture; None if none comes for a while."""
    with suppress(TimeoutError):
        async with asyncio.timeout(FLUSH_EVERY):
            return await pictures.get()
    return None
