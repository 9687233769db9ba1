"""One session's way out: its frames to a transport, its receipts and figures to the outbox.

The engine's thread offers frames and receipts here and never waits; the event loop sends them. Knows the transports
and the outbox; neither the socket nor the engine.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from worldloom.models.spec import WorldSpec

from .config import ServerSettings
from .errors import BadOffer, WorldloomError
from .frames import Frame, FrameSlot
from .metrics import Metrics
from .outbox import Outbox
from .protocol import Candidate, FrameInfo, Hello, Percentiles, Receipt, Stats, encode, refusal
from .scheduler import EngineStats
from .session import SessionConfig
from .transports.tally import Departure, Tally
from .transports.webrtc import WebRtcVideo
from .transports.websocket import WebSocketVideo


@dataclass(frozen=True)
class _Told:
    """Counts at the last `stats`."""

    at: float = 0.0  # seconds, monotonic
    frames: int = 0  # that left
    octets: int = 0  # of them
    replaced: int = 0  # frames that a newer one replaced
    unsent: int = 0  # messages that found the outbox full


class Viewer:
    """A `SessionSink`, and the video that it feeds."""

    def __init__(
        self,
        hello: Hello,
        spec: WorldSpec,
        *,
        settings: ServerSettings,
        metrics: Metrics,
        pool: Executor,
        outbox: Outbox,
        send: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self.error: WorldloomError | None = None  # why the session ended, if nobody asked for it
        self._video_name = hello.video
        self._world = spec.name
        self._metrics = metrics
        self._outbox = outbox
        # Lockstep loses no frame: as many fit as steps can wait.
        depth = spec.chunk if hello.mode == "realtime" else spec.chunk * SessionConfig().inbox
        self._slot = FrameSlot(depth)
        self._webrtc: WebRtcVideo | None = None
        self._websocket: WebSocketVideo | None = None
        if hello.video == "webrtc":
            self._webrtc = WebRtcVideo(
                self._slot,
                height=spec.height,
                width=spec.width,
                fps=spec.fps,
                settings=settings.webrtc,
                pool=pool,
                departed=self._tell,
            )
        elif hello.video == "websocket":
            self._websocket = WebSocketVideo(
                self._slot,
                format=hello.format,
                settings=settings.websocket,
                pool=pool,
                send=send,
                departed=self._measure,
            )
        self._told = _Told(time.monotonic())

    # Called on the engine's thread ------------------------------------------------------------------------------------

    def frame(self, frame: Frame) -> None:
        """A frame was made."""
        self._metrics.step_seconds.labels(self._world).observe(frame.step_ns / 1e9)
        if self._video_name != "none":
            self._slot.put(frame)

    def receipt(self, receipt: Receipt) -> None:
        """A control was answered."""
        self._outbox.put(encode(receipt))

    def fault(self, error: WorldloomError) -> None:
        """The session has ended by itself: say why, then end the connection."""
        self.error = error
        self.refuse(error)
        self._outbox.close()

    # Called on the event loop -----------------------------------------------------------------------------------------

    def refuse(self, error: WorldloomError) -> None:
        """Tell the client that something was refused or failed."""
        self._metrics.error(error.code)
        for message in refusal(error):
            self._outbox.put(encode(message))

    async def run(self) -> None:
        """Send pictures, where they travel over the WebSocket."""
        if self._websocket is not None:
            await self._websocket.run()

    async def answer(self, offer: str) -> str:
        """The answer to a WebRTC offer.

        Raises:
            BadOffer: it cannot be answered, or this session's pictures travel otherwise.
        """
        if self._webrtc is None:
            raise BadOffer(f"expected no offer: hello asked for video {self._video_name!r}")
        return await self._webrtc.answer(offer)

    async def add_candidate(self, message: Candidate) -> None:
        """One more address of the client.

        Raises:
            BadOffer: it cannot be read, or belongs to no offer.
        """
        if self._webrtc is None:
            raise BadOffer(f"expected no candidate: hello asked for video {self._video_name!r}")
        await self._webrtc.add_candidate(message.candidate, message.sdp_mid, message.sdp_mline_index)

    async def close(self) -> None:
        """Free the peer connection."""
        self._slot.close()
        if self._webrtc is not None:
            await self._webrtc.close()

    def stats(self, engine: EngineStats, sessions: int) -> Stats:
        """Figures since the call before; also what Prometheus sees."""
        now, tally = time.monotonic(), self._tally
        past, self._told = self._told, _Told(now, tally.frames, tally.octets, self._slot.dropped, self._outbox.dropped)
        span = max(1e-3, now - past.at)
        frames, octets = tally.frames - past.frames, tally.octets - past.octets
        self._metrics.frames.labels(self._world, self._video_name).inc(frames)
        self._metrics.octets.labels(self._world, self._video_name).inc(octets)
        self._metrics.drops.labels(self._world, "replaced").inc(self._slot.dropped - past.replaced)
        self._metrics.drops.labels(self._world, "outbox").inc(self._outbox.dropped - past.unsent)
        return Stats(
            fps=frames / span,
            step_ms=Percentiles(p50=engine.step_ms_p50, p95=engine.step_ms_p95),
            encode_ms=_percentiles(tally.encode_ns),
            bitrate=int(octets * 8 / span),
            dropped=self._slot.dropped,
            sessions=sessions,
        )

    @property
    def _tally(self) -> Tally:
        video = self._webrtc or self._websocket
        return video.tally if video is not None else Tally()

    def _measure(self, departure: Departure) -> None:
        """A frame left."""
        self._metrics.encode_seconds.labels(self._video_name).observe(departure.encode_ns / 1e9)
        self._metrics.age_seconds.labels(self._video_name).observe(_age_ns(departure) / 1e9)

    def _tell(self, departure: Departure) -> None:
        """A frame left over WebRTC: its facts follow over the WebSocket."""
        self._measure(departure)
        frame = departure.frame
        info = FrameInfo(
            index=frame.index,
            pts=frame.pts,
            applied_seq=frame.applied,
            rtp_timestamp=departure.rtp_timestamp,
            compute_ms=frame.step_ns / 1e6,
            encode_ms=departure.encode_ns / 1e6,
            age_ms=_age_ns(departure) / 1e6,
        )
        self._outbox.put(encode(info), news=True)


def _age_ns(departure: Departure) -> int:
    """From sampling the controls to sending."""
    return max(0, departure.sent_ns - departure.frame.sampled_ns)


def _percentiles(times_ns: Iterable[int]) -> Percentiles | None:
    times = list(times_ns)
    if not times:
        return None
    p50, p95 = np.percentile(times, (50, 95)) / 1e6
    return Percentiles(p50=float(p50), p95=float(p95))
