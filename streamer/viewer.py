"""One guest's way out: the pictures of a broadcast by one transport or another, messages to the outbox, figures.

How pictures travel may change at any time; the world does not notice. Knows the transports and the outbox; neither the
socket nor the engine.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from .client_messages import Bye, Candidate, Report
from .config import ServerSettings
from .engine_stats import EngineStats
from .errors import BadOffer, WorldloomError
from .fields import Video
from .metrics import Metrics
from .outbox import Outbox
from .protocol import encode, refusal, told
from .server_messages import FrameInfo, Notice, Percentiles, Receipt, Stats
from .transports.broadcast import Broadcast
from .transports.tally import Departure
from .transports.webrtc import WebRtcVideo
from .transports.websocket import WebSocketVideo
from .wire import Format

PHOTONS = 256  # inputs that the percentiles of `stats` look back on


@dataclass(frozen=True)
class _Told:
    """Counts at the last `stats`."""

    at: float = 0.0  # seconds, monotonic
    frames: int = 0  # that left
    octets: int = 0  # of them
    replaced: int = 0  # frames that were too late or too many for this line
    unsent: int = 0  # messages that found the outbox full


class Viewer:
    """A guest of a room; see the module."""

    def __init__(
        self,
        broadcast: Broadcast,
        *,
        world: str,
        leads: bool,
        settings: ServerSettings,
        metrics: Metrics,
        outbox: Outbox,
        send: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self.error: WorldloomError | None = None  # why this guest must go, if it did not choose to
        self.video: Video = "none"
        self._broadcast = broadcast
        self._world = world
        self._metrics = metrics
        self._outbox = outbox
        self._send = send
        self._leads = leads
        self._webrtc = WebRtcVideo(
            broadcast,
            settings=settings.webrtc,
            departed=self._tell,
            heard=lambda report: metrics.heard("webrtc", report),
            leads=leads,
        )
        self._websocket: WebSocketVideo | None = None
        self._changed = asyncio.Event()
        self._photons: deque[float] = deque(maxlen=PHOTONS)  # milliseconds, the latest
        self._past = _Told()  # of transports that were given up
        self._told = _Told(time.monotonic(), replaced=broadcast.slot.dropped if leads else 0)  # from here on

    # Any thread -------------------------------------------------------------------------------------------------------

    def receipt(self, receipt: Receipt) -> None:
        """A control was answered."""
        if receipt.code is not None:
            self._outbox.put(encode(told(receipt)))
        self._outbox.put(encode(receipt))

    # The event loop ---------------------------------------------------------------------------------------------------

    def warn(self, error: WorldloomError) -> None:
        """Tell the client of something that went wrong and that the session survives."""
        self._metrics.error(error.code)
        self._outbox.put(encode(Notice(code=error.code, message=str(error), seconds=0)))

    def dismiss(self, error: WorldloomError) -> None:
        """The guest must go: say why, then end the connection."""
        self.error = error
        self.refuse(error)
        self._outbox.put(encode(Bye(reason=error.code)))
        self._outbox.close()

    def refuse(self, error: WorldloomError) -> None:
        """Tell the client that something was refused or failed."""
        self._metrics.error(error.code)
        for message in refusal(error):
            self._outbox.put(encode(message))

    def report(self, report: Report) -> None:
        """How long the client says that inputs took."""
        for photon in report.photons:
            self._photons.append(photon.total)
            for part, value in photon:
                self._metrics.photon_seconds.labels(self._world, part).observe(value / 1000.0)

    async def show(self, video: Video, format: Format) -> None:
        """From now on pictures travel this way. Over WebRTC they do once an offer was answered."""
        self.video = video
        if self._websocket is not None:
            self._past = _sum(self._past, self._websocket)
            self._websocket.close()
            self._websocket = None
        if video != "webrtc":
            await self._webrtc.close()
        if video == "websocket":
            self._websocket = WebSocketVideo(self._broadcast, format=format, send=self._send, departed=self._measure)
        self._changed.set()

    async def run(self) -> None:
        """Send pictures whenever they travel over the WebSocket."""
        while True:
            self._changed.clear()
            if self._websocket is not None:
                await self._websocket.run()
            await self._changed.wait()

    async def answer(self, offer: str) -> str:
        """The answer to a WebRTC offer.

        Raises:
            BadOffer: it cannot be answered, or no pictures were asked for.
        """
        if self.video == "none":
            raise BadOffer("expected no offer: hello or view asked for video 'none'")
        return await self._webrtc.answer(offer)

    async def add_candidate(self, message: Candidate) -> None:
        """One more address of the client.

        Raises:
            BadOffer: it cannot be read, or belongs to no offer.
        """
        await self._webrtc.add_candidate(message.candidate, message.sdp_mid, message.sdp_mline_index)

    async def close(self) -> None:
        """Free the subscriptions and the peer connection."""
        if self._websocket is not None:
            self._websocket.close()
        await self._webrtc.close()

    def stats(self, engine: EngineStats, sessions: int, watchers: int, recording: bool) -> Stats:
        """Figures since the call before; also what Prometheus sees."""
        now = time.monotonic()
        total = _sum(self._past, self._webrtc, *([self._websocket] if self._websocket else []))
        if self._leads:  # what nobody was shown is counted once
            total = replace(total, replaced=total.replaced + self._broadcast.slot.dropped)
        past = self._told
        self._told = _Told(now, total.frames, total.octets, total.replaced, self._outbox.dropped)
        span = max(1e-3, now - past.at)
        frames, octets = total.frames - past.frames, total.octets - past.octets
        self._metrics.frames.labels(self._world, self.video).inc(frames)
        self._metrics.octets.labels(self._world, self.video).inc(octets)
        self._metrics.drops.labels(self._world, "replaced").inc(max(0, total.replaced - past.replaced))
        self._metrics.drops.labels(self._world, "outbox").inc(self._outbox.dropped - past.unsent)
        tally = self._websocket.tally if self._websocket is not None else self._webrtc.tally
        return Stats(
            fps=frames / span,
            step_ms=Percentiles(p50=engine.step_ms_p50, p95=engine.step_ms_p95),
            encode_ms=_percentiles(ns / 1e6 for ns in tally.encode_ns),
            photon_ms=_percentiles(self._photons),
            bitrate=int(octets * 8 / span),
            dropped=total.replaced,
            sessions=sessions,
            watchers=watchers,
            recording=recording,
            reduced=engine.reduced,
            level=engine.level,
        )

    def _measure(self, departure: Departure) -> None:
        """A frame left."""
        self._metrics.departed(self.video, departure)

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
            age_ms=departure.age_ns / 1e6,
        )
        self._outbox.put(encode(info), news=True)


def _sum(past: _Told, *videos: WebRtcVideo | WebSocketVideo) -> _Told:
    """Counts of all transports so far."""
    return _Told(
        frames=past.frames + sum(video.tally.frames for video in videos),
        octets=past.octets + sum(video.tally.octets for video in videos),
        replaced=past.replaced + sum(video.dropped for video in videos),
    )


def _percentiles(milliseconds: Iterable[float]) -> Percentiles | None:
    values = list(milliseconds)
    if not values:
        return None
    p50, p95 = np.percentile(values, (50, 95))
    return Percentiles(p50=float(p50), p95=float(p95))
