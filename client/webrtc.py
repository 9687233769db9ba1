"""Pictures over WebRTC, for the Python client: an offer out, an answer in, decoded frames to a callback.

Needs aiortc (the `server` extra). Knows a peer connection and pictures; signalling travels elsewhere. aiortc hands a
frame on when the next one begins to arrive, so pictures are one frame period older here than in a browser.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtptransceiver import RTCRtpTransceiver
from av.video.frame import VideoFrame

from worldloom.streamer.server_messages import FrameInfo, IceServer
from worldloom.streamer.world_info import WorldInfo

from .pictures import Picture, Pixels

UNJOINED = 64  # facts about frames that wait for their picture; older ones are forgotten
FACTS_S = 0.5  # seconds that a picture waits for its facts, which travel over the other connection
TIMESTAMP_MAPPER = "_RTCRtpReceiver__timestamp_mapper"  # aiortc counts from the first timestamp, which it keeps here


class Receiver:
    """One viewer's peer connection."""

    def __init__(
        self, world: WorldInfo, deliver: Callable[[Picture], None], servers: tuple[IceServer, ...] = ()
    ) -> None:
        self.unnamed = 0  # pictures without facts, which nobody got
        self._size = (world.height, world.width)
        self._deliver = deliver
        self._facts: OrderedDict[int, FrameInfo] = OrderedDict()  # by RTP timestamp
        self._told = asyncio.Event()  # facts have arrived
        helpers = [
            RTCIceServer(urls=list(server.urls), username=server.username, credential=server.credential)
            for server in servers
        ]
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=helpers))
        self._video: RTCRtpTransceiver = self._peer.addTransceiver("video", direction="recvonly")
        self._answered = asyncio.Event()  # only then does the transceiver have a track
        self._running: asyncio.Task[None] | None = None

    async def offer(self) -> str:
        """What to send to the server; pictures are delivered from its answer on, until `close`."""
        self._running = asyncio.create_task(self._run())
        await self._peer.setLocalDescription(await self._peer.createOffer())
        return self._peer.localDescription.sdp

    async def answer(self, sdp: str) -> None:
        """What the server sent."""
        await self._peer.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="answer"))
        self._answered.set()

    def facts(self, info: FrameInfo) -> None:
        """What the server says about a frame."""
        if info.rtp_timestamp is None:
            return
        self._facts[info.rtp_timestamp] = info
        if len(self._facts) > UNJOINED:
            self._facts.popitem(last=False)
        self._told.set()

    async def _run(self) -> None:
        await self._answered.wait()
        while True:
            try:
                frame = await self._video.receiver.track.recv()
            except MediaStreamError:
                return
            if not isinstance(frame, VideoFrame) or frame.pts is None:
                continue
            received_ns = time.monotonic_ns()
            origin: int = getattr(self._video.receiver, TIMESTAMP_MAPPER)._origin
            info = await self._info((frame.pts + origin) % 2**32)
            if info is None:
                self.unnamed += 1
                continue
            self._deliver(self._picture(frame, info, received_ns))

    async def close(self) -> None:
        """Stop receiving and free the sockets."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        await self._peer.close()

    async def _info(self, rtp_timestamp: int) -> FrameInfo | None:
        """The facts about a frame; None if they do not come in time."""
        deadline = time.monotonic() + FACTS_S
        while rtp_timestamp not in self._facts:
            self._told.clear()
            try:
                async with asyncio.timeout(deadline - time.monotonic()):  # `wait_for` may swallow that we are cancelled
                    await self._told.wait()
            except TimeoutError:
                return None
        return self._facts.pop(rtp_timestamp)

    def _picture(self, frame: VideoFrame, info: FrameInfo, received_ns: int) -> Picture:
        return Picture(
            index=info.index,
            pts=info.pts,
            pixels=shrink(frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False), *self._size),
            applied_seq=info.applied_seq,
            compute_ms=info.compute_ms,
            age_ms=info.age_ms,
            received_ns=received_ns,
        )


def shrink(pixels: Pixels, height: int, width: int) -> Pixels:
    """A picture that was enlarged for encoding, back at the size of its world: the mean of each square."""
    factor = pixels.shape[0] // height
    if factor <= 1 or pixels.shape[:2] != (height * factor, width * factor):
        return pixels
    squares = pixels.reshape(height, factor, width, factor, 3)
    return (squares.mean((1, 3)) + 0.5).astype(np.uint8)
