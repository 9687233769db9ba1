"""All recordings of a server: who may begin one, what is told about it, and how it ends.

    record (driver) or POST /v1/sessions/SESSION/recording (administrator)
        -> the world's memory as it is now -> files -> a recording, until it is stopped, the session ends, or a limit

A recording belongs to the session, not to a connection: it goes on while the driver is away and after somebody else
took over. When its files are complete the movie is given its C2PA manifest, on a thread of its own: that reads all of
it twice. Knows rooms, files and settings; no socket.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from .asking import Asker, answer
from .client_messages import Record
from .config import ServerSettings
from .errors import ModelFault, RateLimited, RecordingFailed, RecordingOff, SessionClosed
from .hosting import HostedWorlds
from .manifest import Made, sign, why_not
from .metrics import Metrics
from .provenance import version, weights_of
from .recording import Recording
from .recording_files import Folder, RecordingFiles, Start
from .room import Room
from .server_messages import Receipt
from .signing import Unsigned
from .transports.movie import Movie

log = logging.getLogger(__name__)

_V = TypeVar("_V")


class Recordings:
    """See the module. Belongs to the event loop."""

    def __init__(self, settings: ServerSettings, worlds: HostedWorlds, metrics: Metrics) -> None:
        self._settings = settings
        self._worlds = worlds
        self._metrics = metrics
        self._folder = Folder(settings.recordings, settings.recordings_bytes) if settings.recordings else None
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="worldloom-record")  # so that a slow disk stops nothing
        self._signing = ThreadPoolExecutor(1, thread_name_prefix="worldloom-sign")  # what waits: as many as have ended
        self._signed: dict[Recording, asyncio.Task[None]] = {}  # while it is signed
        self._changing: set[Room] = set()  # rooms in which one is being started or stopped
        self._open: set[Recording] = set()
        self._tasks: set[asyncio.Task[None]] = set()  # at most one a room
        if self._folder is not None and settings.manifest.sign and (trouble := why_not()):
            log.warning("recordings will carry no manifest: %s", trouble)

    def obey(self, message: Record, room: Room, asker: Asker) -> None:
        """What a driver asks for; the answer follows. Who asks again before it is told `rate_limited`."""
        task = asyncio.create_task(self._obey(message, room, asker))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def start(self, room: Room) -> int:
        """Record a session; returns the number of its first recorded frame.

        Raises:
            RecordingOff: this server has no folder for it.
            RecordingFull: the folder is full.
            RecordingFailed: the disk refuses.
            RateLimited: one is being started or stopped already.
            SessionClosed: the session has ended.
        """
        folder = self._folder
        if folder is None:
            raise RecordingOff("this server records nothing: its setting `recordings` names no folder")
        with self._change(room):
            weights = await asyncio.to_thread(weights_of, self._worlds.named(room.spec.name).source)
            if room.closed:
                raise SessionClosed("the session has ended")
            if room.recording is not None:
                return room.next_frame
            room.recording = Recording(room.broadcast, world=room.spec.name, disk=self._disk, metrics=self._metrics)
            try:
                return await self._begin(room, room.recording, folder, weights)
            except BaseException:
                room.recording.stop()
                room.recording = None
                raise

    async def stop(self, room: Room) -> int:
        """Stop recording; the files are complete when this returns the number of the next frame.

        Raises:
            RateLimited: one is being started or stopped already.
        """
        with self._change(room):
            if (recording := room.recording) is not None:
                recording.stop()
                await recording.ended()
                await asyncio.gather(*filter(None, [self._signed.get(recording)]))
        return room.next_frame

    async def close(self) -> None:
        """The server has closed its rooms: wait for the files of their recordings."""
        await asyncio.gather(*self._tasks)
        await asyncio.gather(*(recording.ended() for recording in self._open))
        await asyncio.gather(*self._signed.values())
        self._disk.shutdown(wait=False)
        self._signing.shutdown(wait=False)

    async def _obey(self, message: Record, room: Room, asker: Asker) -> None:
        failure = RecordingFailed("the server failed to record", seq=message.seq)
        await answer(asker, room.ident, self._done(message, room), failure)

    async def _done(self, message: Record, room: Room) -> Receipt:
        frame = await (self.start(room) if message.on else self.stop(room))
        return Receipt(seq=message.seq, status="applied", frame=frame)

    @contextmanager
    def _change(self, room: Room) -> Iterator[None]:
        if room in self._changing:
            raise RateLimited("expected to be asked again only after the answer: a recording is started or stopped now")
        self._changing.add(room)
        try:
            yield
        finally:
            self._changing.discard(room)

    async def _begin(self, room: Room, recording: Recording, folder: Folder, model: dict[str, str] | None) -> int:
        start = await _start(room)
        if room.closed:
            raise SessionClosed("the session has ended")
        recording.watch()
        height, width = room.broadcast.encoder("h264").size
        header = _header(room, model)
        name = f"{_stamp()}-{re.sub('[^A-Za-z0-9_-]', '_', room.spec.name)}-{room.ident}"
        period = int(90_000 / room.spec.fps)

        def create() -> RecordingFiles:
            folder.measure()
            movie = Movie(height=height, width=width, period=period)
            files = RecordingFiles(folder, name, self._settings.recording_bytes, movie)
            try:
                files.begin(start, header)
            except BaseException:
                files.discard()
                raise
            return files

        try:
            files = await self._on_disk(create)
        except OSError as error:
            log.error("session %s cannot be recorded: %s", room.ident, error)
            raise RecordingFailed(f"the server cannot write its recordings: {error.strerror}") from error

        def ended(why: RecordingFailed | None) -> None:
            room.recording = None
            self._open.discard(recording)
            log.info("recording %s has ended: %s", name, why or "stopped")
            if why is not None:
                room.warn(why)
            task = asyncio.create_task(self._sign(files, folder, Made(room.spec.name, model, "recorded")))
            self._signed[recording] = task
            task.add_done_callback(lambda _: self._signed.pop(recording, None))

        self._open.add(recording)
        # The chunk before is what the saved state shows: its pictures may be on their way with the only key frame.
        since = start.frame - room.spec.chunk
        recording.begin(files, since=since, longest=self._settings.recording_duration, ended=ended)
        log.info("recording %s has begun", name)
        return start.frame

    async def _sign(self, files: RecordingFiles, folder: Folder, made: Made) -> None:
        """A movie without a manifest is better than none: what goes wrong is logged."""
        path, settings = files.movie, self._settings.manifest
        if path is None or not settings.sign or why_not():
            return
        try:
            added = await asyncio.get_running_loop().run_in_executor(self._signing, sign, path, made, settings)
            await self._on_disk(lambda: folder.add(added))
            self._metrics.recorded.labels(made.world).inc(added)
        except (Unsigned, OSError) as error:
            log.warning("recording %s carries no manifest: %s", files.name, error)
        except Exception:
            log.exception("recording %s carries no manifest", files.name)

    async def _on_disk(self, work: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)


async def _start(room: Room) -> Start:
    """From where a recording that begins now can be replayed."""
    try:
        past = await room.remember()
        return Start(past.index, past.origin, past.state)
    except ModelFault as error:  # it can be replayed from its last reset only
        log.warning("session %s is recorded without its state: %s", room.ident, error)
        if room.session is None:
            raise SessionClosed("the session has ended") from error
        return Start(room.next_frame, room.session.origin, None)


def _header(room: Room, model: dict[str, str] | None) -> dict[str, Any]:
    """What the first line of the log says, besides where it starts."""
    return {
        "session": room.ident,
        "world": room.spec.name,
        "mode": room.mode,
        "fps": room.spec.fps.as_integer_ratio(),
        "chunk": room.spec.chunk,
        "columns": room.spec.actions.columns,
        "versions": {name: version(name) for name in ("worldloom", "torch", "av")},
        "model": model,
        "started": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"
