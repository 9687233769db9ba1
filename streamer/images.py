"""Start pictures that visitors bring: decoded within bounds, kept for a minute, cut to the size of a world.

A file is decoded by `shrink_image.py`, a process that may be killed; what comes out is small. Knows bytes and pixels;
no HTTP, no session. When as many are kept as may be, the oldest gives way.
"""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps
from pydantic import BaseModel, ConfigDict, Field

from worldloom.models.spec import Image, WorldSpec

from . import shrink_image
from .client_messages import OWN_SCENES, Reset
from .errors import BadImage, Busy, TooManyPixels, UnknownImage, Unsupported
from .metrics import Metrics
from .origin import Restart
from .protocol import Control

MEMORY = 768 * 2**20  # bytes of address space that decoding may take, Python and libraries included


class ImageSettings(BaseModel):
    """What visitors may bring."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_bytes: int = Field(default=8 * 2**20, ge=1024)  # of one file
    max_pixels: int = Field(default=2**24, ge=1)  # that are decoded: a header that promises more is refused
    decode_timeout: float = Field(default=5.0, gt=0)  # seconds of decoding; then it is killed
    upload_timeout: float = Field(default=20.0, gt=0)  # seconds that a file may take to arrive
    at_once: int = Field(default=2, ge=1, le=64)  # uploads at a time; the next one is told "busy"
    keep: float = Field(default=60.0, gt=0)  # seconds that a picture can be started from
    max_kept: int = Field(default=16, ge=1, le=1024)  # pictures; the oldest gives way
    side: int = Field(default=1024, ge=16, le=4096)  # pixels of the longer side, as it is kept


class Images:
    """See the module. Belongs to the event loop."""

    def __init__(self, settings: ImageSettings, metrics: Metrics) -> None:
        self.settings = settings
        self._metrics = metrics
        self._kept: dict[str, Image] = {}  # the oldest first
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._uploads = 0  # under way

    def __len__(self) -> int:
        return len(self._kept)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One upload.

        Raises:
            Busy: as many are under way as may be.
        """
        if self._uploads >= self.settings.at_once:
            raise Busy(f"expected at most {self.settings.at_once} uploads at a time; try again in a moment")
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1

    async def keep(self, data: bytes) -> str:
        """Decode a file and keep the picture; returns its id.

        Raises:
            TooManyPixels: its header promises more than may be decoded.
            BadImage: it cannot be decoded in time, or not at all.
        """
        return self.hold(await asyncio.to_thread(_decode, data, self.settings))

    def hold(self, pixels: Image) -> str:
        """Keep a picture (H, W, 3); returns its id."""
        if len(self._kept) >= self.settings.max_kept:
            self._drop(next(iter(self._kept)))
            self._metrics.images.labels("dropped").inc()
        ident = secrets.token_urlsafe(12)
        self._kept[ident] = pixels
        self._timers[ident] = asyncio.get_running_loop().call_later(self.settings.keep, self._drop, ident)
        self._metrics.images.labels("kept").inc()
        return ident

    async def picture(self, ident: str, spec: WorldSpec, seq: int | None = None) -> Image | None:
        """A kept picture, cropped about its centre and scaled to a world; None for `OWN_SCENES`.

        Raises:
            Unsupported: this world takes no picture.
            UnknownImage: there is none of that id.
        """
        if ident == OWN_SCENES:
            return None
        if not spec.images:
            raise Unsupported("expected no image: this world takes none", seq=seq)
        pixels = self._kept.get(ident)
        if pixels is None:
            kept = f"{self.settings.keep:g} s"
            raise UnknownImage(
                f"expected the id of a picture that was uploaded within {kept}; upload it again", seq=seq
            )
        return await asyncio.to_thread(_fit, pixels, spec.height, spec.width)

    async def resolved(self, control: Control, spec: WorldSpec) -> Control | Restart:
        """A control with the picture that it names in its place. Raises as `picture`."""
        if not isinstance(control, Reset) or control.image is None:
            return control
        return Restart(control.seq, control.seed, await self.picture(control.image, spec, control.seq))

    def close(self) -> None:
        """Forget everything."""
        for ident in list(self._kept):
            self._drop(ident)

    def _drop(self, ident: str) -> None:
        self._kept.pop(ident, None)
        self._timers.pop(ident).cancel()


def _decode(data: bytes, settings: ImageSettings) -> Image:
    """(H, W, 3) pixels of a file, by a process of its own. Raises as `Images.keep`."""
    limits = (settings.max_pixels, settings.side, MEMORY, int(settings.decode_timeout) + 1)
    command = [sys.executable, "-I", str(Path(shrink_image.__file__)), *map(str, limits)]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=settings.decode_timeout)
    except subprocess.TimeoutExpired:
        seconds = f"{settings.decode_timeout:g} s"
        raise BadImage(f"expected a picture that is decoded within {seconds}; send a smaller one") from None
    if done.returncode == shrink_image.TOO_MANY:
        raise TooManyPixels(f"expected at most {settings.max_pixels} pixels; send a smaller picture")
    if done.returncode != 0:
        raise BadImage("expected a whole PNG, JPEG or WebP picture; this file cannot be decoded")
    width, height = shrink_image.SIZE.unpack_from(done.stdout)
    return np.frombuffer(done.stdout, np.uint8, offset=shrink_image.SIZE.size).reshape(height, width, 3)


def _fit(pixels: Image, height: int, width: int) -> Image:
    """The largest part about the centre that has the right shape, at the right size."""
    picture = ImageOps.fit(Pillow.fromarray(pixels), (width, height), Pillow.Resampling.LANCZOS)
    return np.array(picture, np.uint8)
