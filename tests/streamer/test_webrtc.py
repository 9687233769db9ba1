"""Pictures to an aiortc viewer over the loop-back, both codecs, and what both sides tell each other about them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from aiortc import RTCRtpSender, rtp

from worldloom.streamer.transports import aiortc_patches
from worldloom.streamer.transports.coders import Codec

from .shown import WIDTH, Viewer, show


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


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


def test_codec_capabilities_are_what_we_count_on() -> None:
    mimes = {codec.mimeType.lower() for codec in RTCRtpSender.getCapabilities("video").codecs}
    assert {"video/h264", "video/vp8", "video/rtx"} <= mimes
