"""Encoded once for all: who gets which packets, what a slow viewer loses, and who decides the bit rate."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from worldloom.streamer.errors import SessionClosed
from worldloom.streamer.frames import Frame
from worldloom.streamer.transports.broadcast import WAITING, Broadcast, Kind, Mark, Packet, Subscription
from worldloom.streamer.transports.encoder import EncoderSettings

HEIGHT, WIDTH = 64, 96


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def frame(index: int) -> Frame:
    now = time.monotonic_ns()
    pixels = np.full((HEIGHT, WIDTH, 3), 20 + 10 * (index % 20), np.uint8)
    return Frame(index, index * 3000, pixels, applied=0, step_ns=0, sampled_ns=now, made_ns=now)


def packet(index: int, kind: Kind = "h264", *, key: bool = False) -> Packet:
    return Packet(frame(index), kind, b"x", key, 1, "x264")


@asynccontextmanager
async def broadcasting(pool: ThreadPoolExecutor, depth: int = 1, mark: Mark | None = None) -> AsyncIterator[Broadcast]:
    show = Broadcast(
        height=HEIGHT,
        width=WIDTH,
        fps=Fraction(30),
        depth=depth,
        encoder=EncoderSettings(),
        jpeg_quality=90,
        pool=pool,
        mark=mark,
    )
    async with asyncio.timeout(8), asyncio.TaskGroup() as tasks:
        tasks.create_task(show.run())
        try:
            yield show
        finally:
            show.close()


def subscription(kind: Kind, depth: int) -> tuple[Subscription, list[int]]:
    asked: list[int] = []
    return Subscription(kind, depth, leads=False, want_key=lambda: asked.append(1)), asked


async def test_every_viewer_of_a_kind_gets_the_same_bytes(pool: ThreadPoolExecutor) -> None:
    async with broadcasting(pool) as show:
        viewers = [show.subscribe("h264") for _ in range(3)]
        stills = [show.subscribe("jpeg"), show.subscribe("raw")]
        for index in range(3):
            show.slot.put(frame(index))
            packets = [await viewer.get() for viewer in viewers]
            assert len({id(one.data) for one in packets}) == 1, "encoded once"
            assert packets[0].key == (index == 0)
            jpeg, raw = [await still.get() for still in stills]
            assert jpeg.data[:2] == b"\xff\xd8"
            assert raw.data == frame(index).pixels.tobytes()


async def test_a_latecomer_begins_with_a_key_frame_that_all_get(pool: ThreadPoolExecutor) -> None:
    async with broadcasting(pool) as show:
        first = show.subscribe("h264")
        show.slot.put(frame(0))
        assert (await first.get()).key
        await asyncio.sleep(0.3)  # key frames come no more often than every quarter of a second
        second = show.subscribe("h264")
        show.slot.put(frame(1))
        begun = await second.get()
        assert begun.key
        assert (await first.get()).key
        show.slot.put(frame(2))
        following = await second.get()
        assert not following.key
        decoder = av.CodecContext.create("h264", "r")
        assert isinstance(decoder, av.VideoCodecContext)
        assert sum(len(decoder.decode(av.Packet(one.data))) for one in (begun, following)) >= 1


async def test_key_frames_are_told_with_whether_somebody_asked(pool: ThreadPoolExecutor) -> None:
    async with broadcasting(pool) as show:
        told: list[bool] = []
        show.on_key_frame = told.append
        viewer, still = show.subscribe("vp8"), show.subscribe("jpeg")
        for index, bitrate in enumerate((None, None, show.encoder("vp8").ceiling // 2)):
            viewer.bitrate = bitrate
            show.slot.put(frame(index))
            await viewer.get()
            await still.get()
        assert told == [True, False], "the first, and VP8's at another bit rate; a JPEG is none"


async def test_an_encoder_lives_as_long_as_somebody_watches(pool: ThreadPoolExecutor) -> None:
    async with broadcasting(pool) as show:
        one, other = show.subscribe("vp8"), show.subscribe("vp8")
        encoder = show.encoder("vp8")
        show.unsubscribe(one)
        assert show.encoder("vp8") is encoder
        show.unsubscribe(other)
        assert show.encoder("vp8") is not encoder
        with pytest.raises(SessionClosed):
            await one.get()


async def test_the_end_reaches_every_viewer(pool: ThreadPoolExecutor) -> None:
    async with broadcasting(pool) as show:
        viewer = show.subscribe("jpeg")
        show.slot.put(frame(0))
        show.close()
        assert (await viewer.get()).frame.index == 0
        with pytest.raises(SessionClosed):
            await viewer.get()


async def test_a_run_that_was_cancelled_can_be_taken_up_by_the_next(pool: ThreadPoolExecutor) -> None:
    show = Broadcast(
        height=HEIGHT, width=WIDTH, fps=Fraction(30), depth=1, encoder=EncoderSettings(), jpeg_quality=90, pool=pool
    )
    viewer = show.subscribe("h264")
    for index in (0, 1):
        running = asyncio.create_task(show.run())
        show.slot.put(frame(index))
        begun = await asyncio.wait_for(viewer.get(), 8)
        assert (begun.frame.index, begun.key) == (index, True), "it begins with a picture that stands alone"
        running.cancel()
        await asyncio.wait([running])
        assert not show._encoders, "nothing is held meanwhile"
    show.end()
    with pytest.raises(SessionClosed):
        await viewer.get()


async def test_nobody_watches_and_nothing_is_encoded(pool: ThreadPoolExecutor) -> None:
    async with broadcasting(pool) as show:
        show.slot.put(frame(0))
        while show.slot._frames:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        assert not show._encoders


async def test_a_slow_viewer_of_stills_gets_the_newest() -> None:
    slow, _ = subscription("jpeg", 1)
    for index in range(5):
        slow.put(packet(index, "jpeg", key=True))
    assert (await slow.get()).frame.index == 4
    assert slow.dropped == 4


async def test_a_slow_viewer_of_a_codec_waits_for_a_key_frame() -> None:
    slow, asked = subscription("h264", WAITING)
    slow.put(packet(0, key=True))
    for index in range(1, WAITING + 3):
        slow.put(packet(index))
    assert len(asked) == 2, "at the start, and when its line was given up"
    slow.put(packet(90, key=True))
    slow.put(packet(91))
    assert [(await slow.get()).frame.index for _ in range(2)] == [90, 91]
    assert slow.dropped == WAITING + 3


async def test_what_comes_before_the_first_key_frame_is_no_loss() -> None:
    fresh, _ = subscription("vp8", WAITING)
    fresh.put(packet(0, "vp8"))
    fresh.put(packet(1, "vp8", key=True))
    assert (await fresh.get()).frame.index == 1
    assert fresh.dropped == 0


async def test_pictures_that_are_left_out_while_a_line_drains_are_counted(pool: ThreadPoolExecutor) -> None:
    async with broadcasting(pool, depth=4) as show:
        driver, other = show.subscribe("h264", leads=True), show.subscribe("jpeg")
        show.slot.put(frame(0))
        assert (await driver.get()).frame.index == 0
        driver.silent_until = time.monotonic() + 60
        for index in (1, 2, 3):
            show.slot.put(frame(index))
            await other.get()
        assert (driver.dropped, other.dropped) == (3, 0)
        driver.silent_until = 0.0
        show.slot.put(frame(4))
        assert (await driver.get()).frame.index == 4
        assert driver.dropped == 3


async def test_the_line_of_the_driver_decides_the_rate(pool: ThreadPoolExecutor) -> None:
    async with broadcasting(pool) as show:
        driver, spectator = show.subscribe("h264", leads=True), show.subscribe("h264")
        encoder = show.encoder("h264")
        driver.bitrate, spectator.bitrate = 400_000, 210_000
        show.slot.put(frame(0))
        await driver.get()
        assert encoder.bitrate == 400_000
        show.unsubscribe(driver)
        show.slot.put(frame(1))
        await spectator.get()
        await spectator.get()
        assert encoder.bitrate == 210_000


async def test_a_picture_is_marked_once_for_all_kinds_and_never_raw(pool: ThreadPoolExecutor) -> None:
    marked: list[int] = []

    def mark(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        assert threading.current_thread() is not threading.main_thread()
        marked.append(int(pixels[0, 0, 0]))
        return 255 - pixels

    async with broadcasting(pool, mark=mark) as show:
        raw = show.subscribe("raw")
        show.slot.put(frame(0))
        assert (await raw.get()).data == frame(0).pixels.tobytes()
        assert not marked, "nobody needs it"
        others = [show.subscribe(kind) for kind in ("h264", "vp8", "jpeg")]
        show.slot.put(frame(1))
        assert (await raw.get()).data == frame(1).pixels.tobytes()
        *_, still = [await other.get() for other in others]
        assert len(marked) == 1
        assert abs(float(np.asarray(Image.open(io.BytesIO(still.data))).mean()) - (255 - 30)) < 3
