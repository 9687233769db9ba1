"""A picture as a client gets it, the place where pictures wait, and JPEG to pixels by whatever decoder is installed.

Knows bytes and numpy; no socket, no session. The decoders (Pillow, else PyAV) are imported at the first JPEG.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from worldloom.streamer.wire import FrameHeader, unpack_frame

Pixels: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) RGB."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One frame of a world, as it arrived."""

    index: int  # frame number of the session; never reused, also not after a reset
    pts: int  # 90 kHz
    pixels: Pixels  # (H, W, 3) RGB, an array of its own
    applied_seq: int  # last control that shaped it, 0 for none
    compute_ms: float  # what the world took for the chunk
    age_ms: float  # from sampling the controls to sending
    received_ns: int  # `time.monotonic_ns` when it was here


class PictureQueue:
    """Pictures between the connection and one reader: when full the oldest is dropped and counted."""

    def __init__(self, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"expected a depth of at least 1, got {depth}")
        self.dropped = 0  # pictures replaced before anyone read them
        self._depth = depth
        self._waiting: deque[Picture] = deque()
        self._changed = asyncio.Event()
        self._closed = False

    def put(self, picture: Picture) -> None:
        """Offer a picture."""
        if len(self._waiting) == self._depth:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(picture)
        self._changed.set()

    def close(self) -> None:
        """No more pictures: the reader gets what is left, then None."""
        self._closed = True
        self._changed.set()

    def look_again(self) -> None:
        """What the reader waits for may have become impossible."""
        self._changed.set()

    async def get(self, hopeless: Callable[[], bool] = lambda: False) -> Picture | None:
        """The next picture; None after the end, or when there is none and `hopeless` says that none will come."""
        while not self._waiting:
            if self._closed or hopeless():
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft()


def unpack_picture(data: bytes) -> Picture:
    """The picture of one binary message. Raises `BadMessage`, and as `decode_pixels`."""
    header, payload = unpack_frame(data)
    return Picture(
        index=header.index,
        pts=header.pts,
        pixels=decode_pixels(header, payload),
        applied_seq=header.applied_seq,
        compute_ms=header.compute_us / 1000,
        age_ms=header.age_us / 1000,
        received_ns=time.monotonic_ns(),
    )


def decode_pixels(header: FrameHeader, payload: memoryview) -> Pixels:
    """(H, W, 3) RGB of one binary frame message.

    Raises:
        ImportError: the picture is a JPEG and neither Pillow nor PyAV is installed.
    """
    if header.format == "raw":
        return np.frombuffer(payload, np.uint8).reshape(header.height, header.width, 3).copy()
    return _jpeg_decoder()(bytes(payload))


@cache
def _jpeg_decoder() -> Callable[[bytes], Pixels]:
    try:
        from PIL import Image

        return lambda data: np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    except ImportError:
        pass
    try:
        import av
    except ImportError:
        raise ImportError('JPEG frames need Pillow or PyAV; install one, or connect with format="raw"') from None

    def decode(data: bytes) -> Pixels:
        codec = av.CodecContext.create("mjpeg", "r")
        (frame,) = codec.decode(av.Packet(data))
        return frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)

    return decode
