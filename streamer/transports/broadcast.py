"""One session's pictures, compressed once for everybody who watches: a slot of frames in, packets for each viewer out.

A viewer subscribes to one kind of picture (H.264, VP8, JPEG, raw) and takes packets at its own pace. Each kind that
somebody subscribes to is encoded once a frame, on the pool. A viewer that lags loses packets and never slows the
others: pictures that stand alone are replaced by the newest, and pictures that build on each other are left out until
the next key frame, which is asked for at once. Pictures that lose something anyway may be marked first, once for all
kinds; raw ones are what the world made, to the byte.

Knows frames and encoders; no peers, no sockets, no sessions.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import SessionClosed
from ..frames import Frame, FrameSlot
from ..jpeg import jpeg
from .coders import Codec
from .encoder import Encoded, EncoderSettings, VideoEncoder

Still = Literal["jpeg", "raw"]
Kind: TypeAlias = Codec | Still
Mark: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]  # (H, W, 3) RGB in, another one out

WAITING = 4  # packets of a codec that may wait for one viewer; beyond them its line is given up until a key frame


@dataclass(frozen=True, eq=False)
class Packet:
    """One picture as it travels."""

    frame: Frame
    kind: Kind
    data: bytes
    key: bool  # decodable on its own
    encode_ns: int  # time that marking and compressing it took
    coder: str  # what compressed it
    asked: bool = True  # of a key frame: somebody asked for it, or it is the first


class _Marked:
    """A frame's picture as it is compressed: marked by whichever thread of the pool needs it first."""

    def __init__(self, frame: Frame, mark: Mark | None) -> None:
        self._frame = frame
        self._mark = mark
        self._lock = threading.Lock()
        self._pixels: NDArray[np.uint8] | None = None

    def pixels(self) -> NDArray[np.uint8]:
        if self._mark is None:
            return self._frame.pixels
        with self._lock:
            if self._pixels is None:
                self._pixels = self._mark(self._frame.pixels)
            return self._pixels


class Subscription:
    """One viewer's packets. Offered and taken on the event loop."""

    def __init__(self, kind: Kind, depth: int, *, leads: bool, want_key: Callable[[], None]) -> None:
        self.kind: Kind = kind
        self.leads = leads  # its line decides the bit rate; the others take what it gets
        self.bitrate: int | None = None  # bits/s that its line takes; None: not known
        self.silent_until = 0.0  # seconds, monotonic: its line is to drain
        self.dropped = 0  # pictures that its line was too slow for
        self._depth = depth
        self._want_key = want_key
        self._builds = kind in get_args(Codec)  # on packets before
        self._awaits_key = self._builds
        self._began = False  # it was given a packet
        self._packets: deque[Packet] = deque()
        self._closed = False
        self._arrived = asyncio.Event()
        if self._builds:
            want_key()

    def put(self, packet: Packet) -> None:
        """Offer a packet; never blocks."""
        if self._closed or (self._awaits_key and not packet.key):
            self.dropped += self._began and not self._closed
            return
        self._began, self._awaits_key = True, False
        if len(self._packets) >= self._depth and not self._make_room(packet):
            return
        self._packets.append(packet)
        self._arrived.set()

    def pass_over(self) -> None:
        """A picture is not even encoded: the line is to drain."""
        self.dropped += self._began and not self._closed

    def want_key(self) -> None:
        """The viewer cannot go on without a picture that stands alone."""
        if self._builds:
            self._awaits_key = True
            self._want_key()

    async def get(self) -> Packet:
        """The next packet. One reader.

        Raises:
            SessionClosed: there will be no more.
        """
        while not self._packets:
            if self._closed:
                raise SessionClosed("the session has ended; there are no more pictures")
            self._arrived.clear()
            await self._arrived.wait()
        return self._packets.popleft()

    def close(self) -> None:
        """No more packets; what waits can still be taken."""
        self._closed = True
        self._arrived.set()

    def _make_room(self, packet: Packet) -> bool:
        """Drop what is old; whether the packet is of use now."""
        if not self._builds:
            self._packets.popleft()
            self.dropped += 1
            return True
        self.dropped += len(self._packets) + (not packet.key)
        self._packets.clear()
        if not packet.key:
            self.want_key()
        return packet.key


class Broadcast:
    """See the module."""

    def __init__(
        self,
        *,
        height: int,
        width: int,
        fps: Fraction,
        depth: int,
        encoder: EncoderSettings,
        jpeg_quality: int,
        pool: Executor,
        mark: Mark | None = None,
    ) -> None:
        """`depth`: frames that may wait before the oldest is dropped; one chunk, or all where none may be lost.

        `mark`: what is done on the pool to every picture that is not sent raw.
        """
        self.slot = FrameSlot(depth)
        self.on_key_frame: Callable[[bool], None] = lambda asked: None  # for each of a codec; called on the event loop
        self._size = (height, width, fps)
        self._depth = depth
        self._settings = encoder
        self._jpeg_quality = jpeg_quality  # Pillow's scale
        self._pool = pool
        self._mark = mark
        self._encoders: dict[Codec, VideoEncoder] = {}
        self._subscriptions: set[Subscription] = set()
        self._closed = False

    def subscribe(self, kind: Kind, *, leads: bool = False, waiting: int = WAITING) -> Subscription:
        """Packets of one kind from now on, until `unsubscribe`. A codec's first one is a key frame.

        `waiting`: packets of a codec that may wait for this viewer.
        """
        if kind == "jpeg" or kind == "raw":
            subscription = Subscription(kind, self._depth, leads=leads, want_key=lambda: None)
        else:
            codec = kind

            def want_key() -> None:
                self.encoder(codec).want_key_frame()

            subscription = Subscription(kind, waiting, leads=leads, want_key=want_key)
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """No more packets for this viewer. An encoder that nobody watches is given back."""
        subscription.close()
        self._subscriptions.discard(subscription)
        for codec in list(self._encoders):
            if not any(one.kind == codec for one in self._subscriptions):
                del self._encoders[codec]

    def encoder(self, codec: Codec) -> VideoEncoder:
        """The encoder of a codec, opened when first asked for."""
        if codec not in self._encoders:
            height, width, fps = self._size
            self._encoders[codec] = VideoEncoder(codec, height=height, width=width, fps=fps, settings=self._settings)
        return self._encoders[codec]

    async def run(self) -> None:
        """Encode and hand out frames until the slot is closed. Cancelled before, it may run again: viewers stay."""
        interrupted = False
        for subscription in self._subscriptions:
            subscription.want_key()  # the picture that was encoded when the last run stopped has reached nobody
        try:
            while True:
                await self._hand_out(await self.slot.get())
        except SessionClosed:
            pass
        except asyncio.CancelledError:
            interrupted = not self._closed
            raise
        finally:
            if interrupted:
                self._encoders.clear()  # the pool may still be at work with them
            else:
                self.end()

    def close(self) -> None:
        """The end: `run` returns after what waits was handed out."""
        self._closed = True
        self.slot.close()

    def end(self) -> None:
        """The end where nobody runs it any more: nothing that waits is handed out."""
        self.close()
        for subscription in list(self._subscriptions):
            self.unsubscribe(subscription)

    async def _hand_out(self, frame: Frame) -> None:
        self._set_rates()
        loop = asyncio.get_running_loop()
        kinds = self._wanted(time.monotonic())
        for one in self._subscriptions:
            if one.kind not in kinds:
                one.pass_over()
        # Encoders are looked up here: while the pool works, somebody may come or go.
        jobs = [(kind, self._encoders.get(kind)) for kind in get_args(Codec) if kind in kinds]
        jobs += [(kind, None) for kind in get_args(Still) if kind in kinds]
        marked = _Marked(frame, self._mark)
        work = (loop.run_in_executor(self._pool, self._packet, frame, marked, *job) for job in jobs)
        packets = await asyncio.gather(*work)
        for packet in packets:
            if packet.key and packet.kind in self._encoders:
                self.on_key_frame(packet.asked)
            for subscription in list(self._subscriptions):
                if subscription.kind == packet.kind:
                    subscription.put(packet)

    def _wanted(self, now: float) -> set[Kind]:
        """Kinds to encode. While a line drains, pictures are left out before they are encoded: none is missed later."""

        def silent(kind: Kind) -> bool:
            watching = [one for one in self._subscriptions if one.kind == kind]
            deciding = [one for one in watching if one.leads] or watching
            return all(one.silent_until > now for one in deciding)

        return {kind for kind in {one.kind for one in self._subscriptions} if not silent(kind)}

    def _set_rates(self) -> None:
        """Each encoder aims at what the line of whoever leads takes; without a leader, at the narrowest line."""
        for codec, encoder in self._encoders.items():
            rates = [(not one.leads, one.bitrate) for one in self._subscriptions if one.kind == codec and one.bitrate]
            if rates:
                encoder.want_bitrate(min(rates)[1])

    def _packet(self, frame: Frame, marked: _Marked, kind: Kind, encoder: VideoEncoder | None) -> Packet:
        """For the pool."""
        start = time.perf_counter_ns()
        pixels = frame.pixels if kind == "raw" else marked.pixels()
        encoded = encoder.encode(pixels, frame.pts) if encoder is not None else self._still(pixels, kind)
        spent = time.perf_counter_ns() - start
        return Packet(frame, kind, encoded.data, encoded.key, spent, encoded.coder, encoded.asked)

    def _still(self, pixels: NDArray[np.uint8], kind: Kind) -> Encoded:
        start = time.perf_counter_ns()
        data = pixels.tobytes() if kind == "raw" else jpeg(pixels, self._jpeg_quality)
        return Encoded(data, True, time.perf_counter_ns() - start, kind)
