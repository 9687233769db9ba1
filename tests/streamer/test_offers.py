"""What an offer and a candidate of a viewer may get wrong, and that the server outlives it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from worldloom.streamer.errors import BadOffer
from worldloom.streamer.transports.webrtc import reachable

from .shown import Viewer, show


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


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
