"""What a movie or a picture says of where it comes from: its manifest, and the mark in its pictures.

A file from a stranger is opened by content, never by name, and read by demuxers of single files only: none that could
fetch another. Knows files; no server, world or terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from numpy.typing import NDArray
from PIL import Image

from .manifest import MOVIE, Manifest, examine
from .signing import ManifestSettings, Unsigned
from .watermark_reader import Reading, WatermarkReader

PICTURES = 600  # of a movie, from its beginning: half a minute
PIXELS = 1 << 24  # of one picture: larger ones are refused
KINDS: dict[bytes, tuple[int, str]] = {  # media types by what is in the file, and where
    b"ftyp": (4, MOVIE),
    b"\x1a\x45\xdf\xa3": (0, "video/webm"),
    b"\x89PNG\r\n\x1a\n": (0, "image/png"),
    b"\xff\xd8\xff": (0, "image/jpeg"),
}
DEMUXERS = {MOVIE: "mp4", "video/webm": "webm"}


class Unreadable(ValueError):
    """Not a movie or picture of a known kind, or one that asks for too much."""


@dataclass(frozen=True)
class Verdict:
    """What a file says, and whether that holds."""

    manifest: Manifest | None
    unexamined: str  # why the manifest could not be looked at; empty if it was
    mark: Reading

    @property
    def generated(self) -> bool:
        """It says that it is generated, and nothing contradicts."""
        if self.manifest is not None and not self.manifest.valid:
            return False
        return self.mark.ident is not None or (self.manifest is not None and self.manifest.generated)

    @property
    def reason(self) -> str:
        """In one line."""
        manifest = self.manifest
        if manifest is not None and not manifest.valid:
            return "the manifest does not validate: the file was changed, or its signature is wrong"
        if manifest is not None and manifest.generated:
            return f"the manifest says that it is generated, signed by {'us' if manifest.ours else 'somebody unknown'}"
        if self.mark.ident is not None:
            return "its pictures bear the mark of generated video"
        return self.unexamined or "neither a manifest nor a mark says where it comes from"

    @property
    def table(self) -> dict[str, Any]:
        """As plain data."""
        mark = {
            "ident": self.mark.ident,
            "chance": self.mark.chance,
            "sigmas": [round(sigma, 1) for sigma in self.mark.sigmas],
            "pictures": self.mark.pictures,
        }
        manifest = self.unexamined or (None if self.manifest is None else asdict(self.manifest))
        return {"generated": self.generated, "reason": self.reason, "manifest": manifest, "watermark": mark}


def verify(path: Path, settings: ManifestSettings) -> Verdict:
    """Look at a file.

    Raises:
        Unreadable: it is none of the known kinds, is damaged, or its pictures are too large.
        OSError: it cannot be read.
    """
    kind, manifest, unexamined = kind_of(path), None, ""
    try:
        manifest = examine(path, kind, settings)
    except Unsigned as error:
        unexamined = str(error)
    reader = WatermarkReader()
    try:
        for picture in islice(_pictures(path, kind), PICTURES):
            reader.add(picture)
    except Unreadable:
        if manifest is None and not reader.pictures:
            raise  # a damaged file is judged by what can be read of it
    return Verdict(manifest, unexamined, reader.reading())


def kind_of(path: Path) -> str:
    """Its media type. Raises as `verify`."""
    with open(path, "rb") as file:
        begins = file.read(16)
    for magic, (at, kind) in KINDS.items():
        if begins[at:].startswith(magic):
            return kind
    raise Unreadable("expected an MP4, WebM, PNG or JPEG file")


def _pictures(path: Path, kind: str) -> Iterator[NDArray[np.uint8]]:
    try:
        yield from _movie(path, DEMUXERS[kind]) if kind in DEMUXERS else _still(path, kind)
    except Unreadable:
        raise
    except (FFmpegError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Unreadable(f"its pictures cannot be read: {error}"[:256]) from error


def _movie(path: Path, demuxer: str) -> Iterator[NDArray[np.uint8]]:
    with open(path, "rb") as file, av.open(file, "r", format=demuxer) as movie:
        assert isinstance(movie, InputContainer)
        if not movie.streams.video:
            raise Unreadable("expected a video stream")
        stream = movie.streams.video[0]
        stream.thread_type = "NONE"
        if stream.width * stream.height > PIXELS:
            raise Unreadable(f"expected pictures of {PIXELS} pixels at most, got {stream.width}x{stream.height}")
        for frame in movie.decode(stream):
            if frame.width * frame.height > PIXELS:
                raise Unreadable(f"expected pictures of {PIXELS} pixels at most, got {frame.width}x{frame.height}")
            yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _still(path: Path, kind: str) -> Iterator[NDArray[np.uint8]]:
    with Image.open(path, formats=[kind.removeprefix("image/").upper()]) as picture:
        if picture.width * picture.height > PIXELS:
            raise Unreadable(f"expected pictures of {PIXELS} pixels at most, got {picture.width}x{picture.height}")
        yield np.asarray(picture.convert("RGB"))
