"""Pictures to one viewer as binary WebSocket messages: a fixed header and a JPEG, or raw RGB where exact pixels count.

Knows frames and bytes; never sessions, engines, models or the socket itself, which is one function that sends. While a
message leaves, newer frames replace each other in the slot, so a slow line sees fewer frames and never older ones.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from ..errors import SessionClosed
from ..frames import Frame, FrameSlot
from ..wire import Format, FrameHeader, pack_frame
from .tally import Departure, Tally


class WebSocketSettings(BaseModel):
    """How pictures travel over the WebSocket."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    jpeg_quality: int = Field(default=90, ge=30, le=95)  # Pillow's scale; 90 keeps a 128x128 picture near 8 kB


class WebSocketVideo:
    """One viewer's pictures."""

    def __init__(
        self,
        slot: FrameSlot,
        *,
        format: Format,
        settings: WebSocketSettings,
        pool: Executor,
        send: Callable[[bytes], Awaitable[None]],
        departed: Callable[[Departure], None] = lambda _: None,
    ) -> None:
        self.tally = Tally()
        self._slot = slot
        self._format: Format = format
        self._settings = settings
        self._pool = pool
        self._send = send
        self._departed = departed

    async def run(self) -> None:
        """Send frames until the slot is closed."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                frame = await self._slot.get()
            except SessionClosed:
                return
            message, encode_ns = await loop.run_in_executor(self._pool, self.message, frame)
            await self._send(message)
            self.tally.add(len(message), encode_ns)
            self._departed(Departure(frame, encode_ns, time.monotonic_ns()))

    def message(self, frame: Frame) -> tuple[bytes, int]:
        """Header and picture, and the nanoseconds that compressing took. For the pool."""
        start = time.perf_counter_ns()
        payload = frame.pixels.tobytes() if self._format == "raw" else self._jpeg(frame)
        height, width, _ = frame.pixels.shape
        header = FrameHeader(
            index=frame.index,
            pts=frame.pts,
            applied_seq=frame.applied,
            width=width,
            height=height,
            format=self._format,
            compute_us=frame.step_ns // 1000,
            age_us=max(0, time.monotonic_ns() - frame.sampled_ns) // 1000,
        )
        return pack_frame(header, payload), time.perf_counter_ns() - start

    def _jpeg(self, frame: Frame) -> bytes:
        out = io.BytesIO()
        Image.fromarray(frame.pixels).save(out, "JPEG", quality=self._settings.jpeg_quality, subsampling="4:4:4")
        return out.getvalue()
