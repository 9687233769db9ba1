"""Binary frames: exact where raw, close where JPEG, newest first where the line is slow."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from worldloom.models.toy import ToyWorld
from worldloom.streamer.frames import Frame
from worldloom.streamer.transports.broadcast import Broadcast
from worldloom.streamer.transports.encoder import EncoderSettings
from worldloom.streamer.transports.websocket import WebSocketVideo
from worldloom.streamer.wire import Format, unpack_frame


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def frames(count: int) -> list[Frame]:
    world = ToyWorld()
    state = world.start(seed=1)
    actions = np.zeros((1, 1, 6), np.float32)
    actions[0, 0, 4] = 3.0
    now = time.monotonic_ns()
    return [
        Frame(index, index * 4500, world.step([state], actions)[0, 0], 7, 2_000_000, now, now) for index in range(count)
    ]


def broadcast(pool: ThreadPoolExecutor, depth: int = 1) -> Broadcast:
    world = ToyWorld()
    return Broadcast(
        height=world.spec.height,
        width=world.spec.width,
        fps=world.spec.fps,
        depth=depth,
        encoder=EncoderSettings(),
        jpeg_quality=90,
        pool=pool,
    )


async def sent(pool: ThreadPoolExecutor, format: Format, made: list[Frame]) -> tuple[list[bytes], WebSocketVideo]:
    show = broadcast(pool, len(made))
    messages: list[bytes] = []

    async def send(message: bytes) -> None:
        messages.append(message)

    video = WebSocketVideo(show, format=format, send=send)
    for frame in made:
        show.slot.put(frame)
    show.close()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(show.run())
        tasks.create_task(video.run())
    return messages, video


async def test_raw_is_exact(pool: ThreadPoolExecutor) -> None:
    made = frames(3)
    messages, video = await sent(pool, "raw", made)
    for frame, message in zip(made, messages, strict=True):
        header, payload = unpack_frame(message)
        assert (header.index, header.pts, header.applied_seq, header.format) == (frame.index, frame.pts, 7, "raw")
        assert header.compute_us == 2000
        assert header.age_us > 0
        assert np.array_equal(np.frombuffer(payload, np.uint8).reshape(frame.pixels.shape), frame.pixels)
    assert video.tally.frames == 3
    assert video.tally.octets == sum(map(len, messages))


async def test_jpeg_is_close_and_small(pool: ThreadPoolExecutor) -> None:
    made = frames(2)
    messages, _ = await sent(pool, "jpeg", made)
    for frame, message in zip(made, messages, strict=True):
        header, payload = unpack_frame(message)
        shown = np.asarray(Image.open(io.BytesIO(payload)))
        assert header.format == "jpeg"
        assert 10 * np.log10(255**2 / np.mean((shown.astype(float) - frame.pixels) ** 2)) > 34
        assert len(message) < frame.pixels.nbytes / 4


async def test_slow_line_gets_the_newest_frame(pool: ThreadPoolExecutor) -> None:
    show = broadcast(pool)
    indices: list[int] = []
    taken = asyncio.Event()
    go_on = asyncio.Event()

    async def send(message: bytes) -> None:
        indices.append(unpack_frame(message)[0].index)
        taken.set()
        await go_on.wait()

    video = WebSocketVideo(show, format="jpeg", send=send)
    first, *rest = frames(10)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(show.run())
        tasks.create_task(video.run())
        show.slot.put(first)
        await taken.wait()
        for frame in rest:
            show.slot.put(frame)
            await asyncio.sleep(0.02)
        show.close()
        go_on.set()
    assert indices == [0, 9]
    assert show.slot.dropped + video.dropped == 8
