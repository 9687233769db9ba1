"""One recording on the disk: NAME.mp4, NAME.jsonl and what else replays it, in a folder that may hold so much.

What is written is written whole or not at all, so that after a full disk, a full folder or a crash every file ends
complete. Runs on the thread that writes, and blocks; knows no event loop, session or client.

The log has one JSON object a line, each with a `type`:

    recording  the first line: what was recorded, by which versions, from which frame and state
    frame      every frame that was made: its number, its time, the action row that the world was given for it, and
               its denoising steps where overload has taken some away
    movie      the movie begins with this frame, its time 0 is this `pts`; it may be of the chunk before the log
    reset      the world began, or began anew, before this frame, from this seed, prompt and picture (NAME.FRAME.png)
    rewind     it was rewound, or its engine had died: before this frame the world is as it was before frame `to`
    say        before this frame it was told to go on under this text, in this way
    rebuilt    before this frame its memory was made anew: `world.load(world.park(state))`, as for those long paused
    end        the last line: why; absent after a crash
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .errors import RecordingFailed, RecordingFull
from .frames import Frame
from .origin import Origin
from .since import Told, in_order
from .transports.broadcast import Packet
from .transports.movie import Movie

log = logging.getLogger(__name__)

FORMAT = 1  # of the log


@dataclass(frozen=True, eq=False)
class Row:
    """One frame that was made, without its picture."""

    frame: int
    pts: int  # 90 kHz
    applied: int  # seq of the last control that shaped it
    actions: NDArray[Any] | None
    origin: Origin | None  # what the stream began from, just before
    steps: int = 0  # denoising steps; 0: as many as the world takes by itself
    rebuilt: bool = False  # the world's memory was made anew, just before
    told: tuple[Told, ...] = ()  # what the world was told, before that

    @classmethod
    def of(cls, frame: Frame) -> Row:
        """What the log says of a frame."""
        made = (frame.index, frame.pts, frame.applied, frame.actions)
        return cls(*made, frame.origin, frame.steps, frame.rebuilt, frame.told)


@dataclass(frozen=True)
class Rewind:
    """The world went back in time."""

    frame: int  # number of the next frame
    to: int  # number of the frame before which the world was as it is now


@dataclass(frozen=True)
class Start:
    """From where a recording can be replayed."""

    frame: int  # number of the first frame
    origin: Origin  # what the stream started from, or its last reset
    state: bytes | None  # the world's memory before the first frame; None where the world cannot save


class Folder:
    """Where recordings are kept, and how much they may hold together."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self.limit = limit  # bytes
        self.used = 0  # bytes

    def measure(self) -> None:
        """See what is there; the folder is made if it is not."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.used = sum(_size(entry) for entry in self.path.iterdir())

    def add(self, octets: int) -> None:
        """What is there has grown."""
        self.used += octets


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:  # a movie that has just been signed
        return 0


def open_new(path: Path) -> FileIO:
    """A file that was not there, unbuffered."""
    return FileIO(path, "x")


class WholePieces:
    """A file that grows by whole pieces."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._file = open_new(path)

    def append(self, data: bytes) -> None:
        """All of it, or nothing and an `OSError`."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError:
            with suppress(OSError):
                self._file.truncate(self.size)
                self._file.seek(self.size)
            raise
        self.size += len(data)

    def close(self) -> None:
        """No more pieces."""
        self._file.close()


class RecordingFiles:
    """The files of one recording; see the module."""

    def __init__(self, folder: Folder, name: str, limit: int, movie: Movie) -> None:
        """`limit`: bytes that they may take together; the last line of the log comes on top."""
        self.name = name
        self.written = 0  # bytes
        self._folder = folder
        self._limit = limit
        self._movie = movie
        self._first = 0  # number of the first frame of the log
        self._next = 0  # number after the last frame of the log
        self._cut = False  # something is missing: nothing but the last line may follow
        self._open: list[WholePieces] = []

    @property
    def movie(self) -> Path | None:
        """Where the movie is, after `end`; None where there was no picture."""
        return self._pictures.path if self._pictures.size else None

    def begin(self, start: Start, header: Mapping[str, Any]) -> None:
        """The first line, and the state beside it. A caller for whom this fails calls `discard`.

        Raises:
            OSError: the disk refuses.
            RecordingFull: there is no room for it.
        """
        self._log, self._pictures = self._create(".jsonl"), self._create(".mp4")
        state = None
        if start.state is not None:
            state = self._create(".state")
            self._append(state, start.state)
        line = {"type": "recording", "format": FORMAT, **header, "frame": start.frame}
        line |= {"seed": start.origin.seed, "prompt": start.origin.prompt, "state": state and state.path.name}
        self._append(self._log, _lines([line]))
        self._first = self._next = start.frame

    def write(self, rows: Iterable[Row | Rewind], packet: Packet | None) -> None:
        """What was made since the last call, and the next picture.

        Raises:
            OSError: the disk refuses.
            RecordingFull: there is no room for it.
            RecordingFailed: a frame is missing.
        """
        self._write_rows(rows)
        if packet is None:
            return
        if self._movie.begins is None:
            line = {"type": "movie", "frame": packet.frame.index, "pts": packet.frame.pts}
            self._append(self._log, _lines([line]))
        self._append(self._pictures, self._movie.add(packet.data, packet.frame.pts, key=packet.key))

    def end(self, rows: Iterable[Row | Rewind], why: str) -> None:
        """Complete the files and close them. Never raises; what finds no room any more is left out."""
        try:
            last_fragment = self._movie.end()
            if not self._cut:
                self._append(self._pictures, last_fragment)
                self._write_rows(rows)
        except (OSError, RecordingFailed) as error:
            log.warning("recording %s ends without its last second: %s", self.name, error)
        except Exception:
            log.exception("recording %s: its movie cannot be ended", self.name)
        with suppress(OSError):
            last = _lines([{"type": "end", "frame": self._next, "why": why}])
            self._log.append(last)
            self.written += len(last)
        self._close()
        if self._pictures.size == 0:
            self._remove(self._pictures)

    def discard(self) -> None:
        """It never began: leave nothing behind."""
        self._movie.end()
        self._close()
        for file in self._open:
            self._remove(file)

    def _write_rows(self, rows: Iterable[Row | Rewind]) -> None:
        expected = self._next
        lines: list[dict[str, Any]] = []
        for row in rows:
            if row.frame < self._first:
                continue
            if row.frame != expected:
                raise RecordingFailed(f"expected frame {expected}, got {row.frame}: the server is too slow")
            lines += self._told(row)
            expected += isinstance(row, Row)
        self._append(self._log, _lines(lines))
        self._next = expected

    def _told(self, row: Row | Rewind) -> Iterator[dict[str, Any]]:
        """What the log says of it."""
        if isinstance(row, Rewind):
            if row.to < self._first:
                raise RecordingFailed("the world went back to before the recording began")
            yield {"type": "rewind", "frame": row.frame, "to": row.to}
            return
        if (origin := row.origin) is not None:
            line = {"type": "reset", "frame": row.frame, "seed": origin.seed, "prompt": origin.prompt, "image": None}
            if origin.image is not None:
                picture = self._create(f".{row.frame}.png")
                self._append(picture, _png(origin.image))
                line["image"] = picture.path.name
            yield line
        for told in in_order(row.told, rebuilt=row.rebuilt):
            if told is None:
                yield {"type": "rebuilt", "frame": row.frame}
            else:
                yield {"type": "say", "frame": row.frame, "text": told.text, "how": told.how, "chunks": told.chunks}
        action = None if row.actions is None else row.actions.tolist()
        steps = {"steps": row.steps} if row.steps else {}
        yield {"type": "frame", "frame": row.frame, "pts": row.pts, "applied": row.applied, "action": action, **steps}

    def _append(self, file: WholePieces, data: bytes) -> None:
        self._cut = True  # unless all goes well
        if self.written + len(data) > self._limit:
            raise RecordingFull(f"a recording may take {self._limit} bytes, and this one has reached them")
        if self._folder.used + len(data) > self._folder.limit:
            raise RecordingFull(f"recordings may take {self._folder.limit} bytes together; delete some")
        file.append(data)
        self.written += len(data)
        self._folder.used += len(data)
        self._cut = False

    def _create(self, ending: str) -> WholePieces:
        file = WholePieces(self._folder.path / f"{self.name}{ending}")
        self._open.append(file)
        return file

    def _close(self) -> None:
        for file in self._open:
            file.close()

    def _remove(self, file: WholePieces) -> None:
        self._folder.used -= file.size
        with suppress(OSError):
            file.path.unlink()


def _lines(objects: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in objects)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()
