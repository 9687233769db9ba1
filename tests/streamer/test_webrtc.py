"""Pictures to an aiortc viewer over the loop-back, both codecs, and what an offer may get wrong."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription, rtp
from av import VideoFrame

from worldloom.streamer.errors import BadOffer
from worldloom.streamer.frames import Frame
from worldloom.streamer.transports import aiortc_patches
from worldloom.streamer.transports.broadcast import Broadcast
from worldloom.streamer.transports.coders import Codec
from worldloom.streamer.transports.tally import Departure, LineReport
from worldloom.streamer.transports.webrtc import WebRtcSettings, WebRtcVideo, reachable

HEIGHT, WIDTH, FPS = 96, 128, Fraction(30)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


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


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_viewer_sees_the_pictures(pool: ThreadPoolExecutor, codec: Codec) -> None:
    async with show(pool, codec) as shown, Viewer() as viewer:
        await viewer.watch(shown.video)
        assert shown.video.codec == codec
        frames = [await viewer.frame() for _ in range(15)]
        levels = [float(frame.to_ndarray(format="gray").mean()) for frame in frames]
        steps = np.diff([frame.pts for frame in frames if frame.pts is not None])
        assert sum(rise < 2.0 for rise in np.diff(levels)) <= 1, f"brighter each time, but for one wrap: {levels}"
        assert set(steps % 3000) == {0}, "timestamps are those of the frames at 90 kHz"
        assert frames[0].width == 2 * WIDTH, "a small picture is doubled before encoding"
        assert shown.video.state == "connected"
    assert shown.video.state == "new"


async def test_a_viewer_who_loses_packets_is_told_to_hold_pictures_back(pool: ThreadPoolExecutor) -> None:
    async with show(pool, "h264", copies=False) as shown, Viewer(deaf_to=5) as viewer:
        await viewer.watch(shown.video)
        async with asyncio.timeout(10):
            while not any(report.held_ms for report in shown.heard):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert any(report.lost > 0.05 for report in shown.heard)
        assert shown.video._peer is not None
        (sender,) = shown.video._peer.getSenders()
        least, most = getattr(sender, aiortc_patches.HEADER_EXTENSIONS_MAP).playout_delay
        assert 0 < least <= most


def half_are_copies(kinds: list[int]) -> bool:
    """Of the latest twenty packets, or nearly."""
    latest = kinds[-20:]
    return len(latest) == 20 and latest.count(kinds[0]) <= 12


async def test_a_viewer_who_loses_packets_gets_each_twice(pool: ThreadPoolExecutor) -> None:
    async with show(pool, "h264") as shown, Viewer(deaf_to=20) as viewer:
        await viewer.watch(shown.video)
        async with asyncio.timeout(15):
            while not half_are_copies(viewer.kinds):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert {report.held_ms for report in shown.heard} == {0}, "copies come too soon to wait for them"
        before = len(viewer.kinds)
        await shown.video.close()
        await asyncio.sleep(0.1)
        left = [task for task in asyncio.all_tasks() if "_send_copies" in repr(task)]
        assert left == []
        assert len(viewer.kinds) <= before + 2


async def test_without_numbers_of_their_own_there_are_no_copies(pool: ThreadPoolExecutor) -> None:
    async with show(pool, "h264") as shown, Viewer(deaf_to=20) as viewer:
        known = RTCRtpSender.getCapabilities("video").codecs
        viewer.transceiver.setCodecPreferences([codec for codec in known if codec.mimeType == "video/H264"])
        await viewer.watch(shown.video)
        assert "rtx" not in viewer.peer.remoteDescription.sdp
        async with asyncio.timeout(15):
            while not any(report.held_ms for report in shown.heard):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        video: Any = shown.video
        (sender,) = video._peer.getSenders()
        assert not sender.track._line.twice


async def test_a_viewer_who_loses_nothing_is_not(pool: ThreadPoolExecutor) -> None:
    async with show(pool, "h264") as shown, Viewer() as viewer:
        await viewer.watch(shown.video)
        async with asyncio.timeout(10):
            while len(shown.heard) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert {(report.lost, report.held_ms) for report in shown.heard} == {(0.0, 0)}


async def test_departures_name_the_rtp_timestamps_that_the_viewer_got(pool: ThreadPoolExecutor) -> None:
    async with show(pool) as shown, Viewer() as viewer:
        await viewer.watch(shown.video)
        for _ in range(8):
            await viewer.frame()
        told = {departure.rtp_timestamp: departure.frame.pts for departure in shown.departed}
        assert len(told) >= 8
        assert {stamp for stamp in viewer.stamps if stamp != viewer.stamps[-1]} <= set(told)
        assert len({((stamp or 0) - pts) % 2**32 for stamp, pts in told.items()}) == 1, (
            "one origin for the whole stream"
        )
        indices = [departure.frame.index for departure in shown.departed]
        assert indices == sorted(set(indices))
        assert shown.video.tally.frames >= 8
        assert shown.video.tally.octets > 0


async def test_key_frame_on_request_only(pool: ThreadPoolExecutor) -> None:
    async with show(pool) as shown, Viewer() as viewer:
        await viewer.watch(shown.video)
        for _ in range(15):
            await viewer.frame()
        assert shown.video.tally.key_frames == 1, "only the first picture"
        await viewer.ask_for_key_frame()
        for _ in range(8):
            await viewer.frame()
        assert shown.video.tally.key_frames == 2


async def test_every_packet_asks_for_no_playout_delay(pool: ThreadPoolExecutor) -> None:
    async with show(pool) as shown, Viewer() as viewer:
        await viewer.watch(shown.video)
        await viewer.frame()
        assert aiortc_patches.PLAYOUT_DELAY in viewer.peer.remoteDescription.sdp
        video: Any = shown.video
        extensions = getattr(video._peer.getSenders()[0], aiortc_patches.HEADER_EXTENSIONS_MAP)
        _, value = extensions.set(rtp.HeaderExtensions(mid="0"))
        assert bytes([aiortc_patches.PLAYOUT_DELAY_ID << 4 | 2, 0, 0, 0]) in value


async def test_second_offer_takes_over(pool: ThreadPoolExecutor) -> None:
    async with show(pool) as shown, Viewer() as first, Viewer() as second:
        await first.watch(shown.video)
        await first.frame()
        await second.watch(shown.video)
        await second.frame()


@pytest.mark.parametrize(
    "offer",
    [
        "hello",
        "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n",
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n",
        "v=0\r\n" + 5 * "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n",
        "\x00\r\nm=\r\n",
    ],
)
async def test_bad_offers_are_refused(pool: ThreadPoolExecutor, offer: str) -> None:
    async with show(pool) as shown, Viewer() as viewer:
        with pytest.raises(BadOffer):
            await shown.video.answer(offer)
        await viewer.watch(shown.video)
        await viewer.frame()


async def test_offer_that_only_sends_is_refused(pool: ThreadPoolExecutor) -> None:
    async with show(pool) as shown, Viewer() as viewer:
        await viewer.peer.setLocalDescription(await viewer.peer.createOffer())
        offer = viewer.peer.localDescription.sdp
        with pytest.raises(BadOffer, match="receives"):
            await shown.video.answer(offer.replace("a=recvonly", "a=sendonly"))
        with pytest.raises(BadOffer):
            await shown.video.answer(offer.replace("VP8", "XX").replace("H264", "YY"))


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0


async def test_an_offer_whose_lines_follow_one_that_is_not_there(pool: ThreadPoolExecutor) -> None:
    """aiortc is left without a transport, and cannot close what it began."""
    files = open_files()
    async with show(pool) as shown, Viewer() as viewer:
        viewer.peer.addTransceiver("audio", direction="recvonly")
        await viewer.peer.setLocalDescription(await viewer.peer.createOffer())
        offer = viewer.peer.localDescription.sdp
        for _ in range(3):
            with pytest.raises(BadOffer):
                await shown.video.answer(offer.replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 7 0 1"))
    assert open_files() <= files


async def test_candidates(pool: ThreadPoolExecutor) -> None:
    async with show(pool) as shown, Viewer() as viewer:
        good = "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host"
        with pytest.raises(BadOffer, match="after an offer"):
            await shown.video.add_candidate(good, "0", 0)
        await viewer.watch(shown.video)
        await shown.video.add_candidate(good, "0", 0)
        await shown.video.add_candidate("", "0", 0)
        await shown.video.add_candidate("candidate:1 1 udp 1 0f3a.local 9 typ host", "0", 0)
        with pytest.raises(BadOffer, match="cannot be read"):
            await shown.video.add_candidate("candidate:nonsense", "0", 0)
        await viewer.frame()


def test_reachable_drops_what_only_mdns_resolves() -> None:
    offer = (
        "v=0\r\nm=video 9 X 96\r\na=candidate:1 1 udp 2 0f3a.local 9 typ host\r\n"
        "a=candidate:2 1 udp 2 10.0.0.1 9 typ host\r\na=end-of-candidates\r\n"
    )
    assert reachable(offer) == "v=0\r\nm=video 9 X 96\r\na=candidate:2 1 udp 2 10.0.0.1 9 typ host\r\n"


def test_codec_capabilities_are_what_we_count_on() -> None:
    mimes = {codec.mimeType.lower() for codec in RTCRtpSender.getCapabilities("video").codecs}
    assert {"video/h264", "video/vp8", "video/rtx"} <= mimes
