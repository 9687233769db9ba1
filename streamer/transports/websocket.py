"""Pictures to one viewer as binary WebSocket messages: a fixed header, then a JPEG, H.264, or raw RGB.

Knows packets and bytes; never sessions, engines, models or the socket itself, which is one function that sends. While
a message leaves, the subscription drops what the line is too slow for, so a viewer sees fewer frames and never older
ones.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from pydantic import BaseModel, ConfigDict, Field

from ..errors import SessionClosed
from ..wire import Format, FrameHeader, pack_frame
from .broadcast import Broadcast, Packet, Subscription
from .tally import Departure, Tally


class WebSocketSettings(BaseModel):
    """How pictures travel over the WebSocket."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    jpeg_quality: int = Field(default=90, ge=30, le=95)  # Pillow's scale; 90 keeps a 128x128 picture near 8 kB


class WebSocketVideo:
    """One viewer's pictures."""

    def __init__(
        self,
        broadcast: Broadcast,
        *,
        format: Format,
        send: Callable[[bytes], Awaitable[None]],
        departed: Callable[[Departure], None] = lambda _: None,
    ) -> None:
        self.tally = Tally()
        self._broadcast = broadcast
        self._subscription: Subscription = broadcast.subscribe(format)
        self._send = send
        self._departed = departed

    @property
    def dropped(self) -> int:
        """Pictures that this viewer's line was too slow for."""
        return self._subscription.dropped

    async def run(self) -> None:
        """Send pictures until the broadcast ends or `close`."""
        try:
            while True:
                packet = await self._subscription.get()
                text = message(packet)
                await self._send(text)
                self.tally.add(len(text), packet.encode_ns, key=packet.key)
                self._departed(Departure(packet.frame, packet.encode_ns, packet.coder, time.monotonic_ns()))
        except SessionClosed:
            pass
        finally:
            self.close()

    def want_key(self) -> None:
        """The viewer needs a picture that stands alone."""
        self._subscription.want_key()

    def close(self) -> None:
        """No more pictures. Closing twice is allowed."""
        self._broadcast.unsubscribe(self._subscription)


def message(packet: Packet) -> bytes:
    """Header and picture."""
    frame = packet.frame
    height, width, _ = frame.pixels.shape
    header = FrameHeader(
        index=frame.index,
        pts=frame.pts,
        applied_seq=frame.applied,
        width=width,
        height=height,
        format=packet.kind,
        compute_us=frame.step_ns // 1000,
        age_us=max(0, time.monotonic_ns() - frame.sampled_ns) // 1000,
        key=packet.key,
    )
    return pack_frame(header, packet.data)
