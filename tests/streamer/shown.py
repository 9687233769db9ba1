"""A video of grey pictures over WebRTC, and an aiortc viewer of it over the loop-back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from av import VideoFrame

from worldloom.streamer.frames import Frame
from worldloom.streamer.transports.broadcast import Broadcast
from worldloom.streamer.transports.coders import Codec
from worldloom.streamer.transports.tally import Departure, LineReport
from worldloom.streamer.transports.webrtc import WebRtcSettings, WebRtcVideo

HEIGHT, WIDTH, FPS = 96, 128, Fraction(30)


class Show:
    """A slot that is fed with grey pictures of rising brightness, the video that reads it, and what departed."""

    def __init__(self, pool: ThreadPoolExecutor, settings: WebRtcSettings) -> None:
        self.broadcast = Broadcast(
            height=HEIGHT, width=WIDTH, fps=FPS, depth=1, encoder=settings.encoder, jpeg_quality=90, pool=pool
        )
        self.slot = self.broadcast.slot
        self.departed: list[Departure] = []
        self.made = 0
        self.heard: list[LineReport] = []
        self.video = WebRtcVideo(
            self.broadcast, settings=settings, departed=self.departed.append, heard=self.heard.append
        )

    async def feed(self) -> None:
        while True:
            now = time.monotonic_ns()
            pixels = np.full((HEIGHT, WIDTH, 3), 40 + 3 * (self.made % 60), np.uint8)
            pts = int(self.made * 90_000 / FPS)
            self.slot.put(Frame(self.made, pts, pixels, applied=0, step_ns=0, sampled_ns=now, made_ns=now))
            self.made += 1
            await asyncio.sleep(float(1 / FPS))


@asynccontextmanager
async def show(pool: ThreadPoolExecutor, *codecs: Codec, copies: bool = True) -> AsyncIterator[Show]:
    shown = Show(pool, WebRtcSettings(codecs=codecs or ("h264", "vp8"), copies=copies))
    async with asyncio.TaskGroup() as tasks:
        feed = tasks.create_task(shown.feed())
        tasks.create_task(shown.broadcast.run())
        try:
            yield shown
        finally:
            feed.cancel()
            shown.slot.close()
            await shown.video.close()


class Viewer:
    """A headless receiver that remembers every RTP timestamp that it was sent.

    `deaf_to`: of so many packets one is lost on the way; 0: none.
    """

    def __init__(self, deaf_to: int = 0) -> None:
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.transceiver = self.peer.addTransceiver("video", direction="recvonly")
        self.stamps: list[int] = []
        self.kinds: list[int] = []  # payload type of each packet
        receiver: Any = self.transceiver.receiver
        handle = receiver._handle_rtp_packet

        async def remember(packet: Any, *args: Any, **options: Any) -> None:
            self.stamps.append(packet.timestamp)
            self.kinds.append(packet.payload_type)
            if deaf_to and packet.sequence_number % deaf_to == 0:
                return
            await handle(packet, *args, **options)

        receiver._handle_rtp_packet = remember

    async def __aenter__(self) -> Viewer:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.peer.close()

    async def watch(self, video: WebRtcVideo) -> None:
        await self.peer.setLocalDescription(await self.peer.createOffer())
        answer = await video.answer(self.peer.localDescription.sdp)
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))

    async def frame(self) -> VideoFrame:
        async with asyncio.timeout(8):
            frame = await self.transceiver.receiver.track.recv()
        assert isinstance(frame, VideoFrame)
        return frame

    async def ask_for_key_frame(self) -> None:
        receiver: Any = self.transceiver.receiver
        await receiver._send_rtcp_pli(self.stamps and receiver._track and _ssrc(receiver))


def _ssrc(receiver: Any) -> int:
    ssrc: int = next(iter(receiver._RTCRtpReceiver__remote_streams))
    return ssrc
