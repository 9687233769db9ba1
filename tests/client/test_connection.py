"""The Python client against a real server, on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from worldloom.client.connection import connect
from worldloom.client.env import WorldEnv
from worldloom.client.pictures import Picture
from worldloom.models.toy import ToyWorld
from worldloom.streamer import errors
from worldloom.streamer.config import ServerSettings
from worldloom.streamer.listen import make_server, open_socket
from worldloom.streamer.server import create_app
from worldloom.streamer.server_messages import Limits, Welcome
from worldloom.streamer.world_info import WorldInfo

pytestmark = pytest.mark.timeout(60)


WELCOME = Welcome(
    protocol=1,
    session="s",
    world=WorldInfo.of(ToyWorld().spec),
    limits=Limits(message_bytes=1000, inbox=10),
    seed=0,
    video="websocket",
    mode="realtime",
    format="jpeg",
    resume="a token of the session",
)


@asynccontextmanager
async def serving(make: Callable[[], ToyWorld] = ToyWorld, **options: Any) -> AsyncIterator[str]:
    """A server of one world on a free port; yields its address."""
    settings = ServerSettings(port=0, worlds=("toy",), warm_up=False, engine="thread", **options)
    door = open_socket(settings)
    server = make_server(create_app(settings, load=lambda name: make()), settings)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[door]))
        try:
            yield f"ws://127.0.0.1:{door.getsockname()[1]}"
        finally:
            server.should_exit = True


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with serving() as address:
        yield address


async def first(pictures: AsyncIterator[Picture], count: int) -> list[Picture]:
    taken = []
    async for picture in pictures:
        taken.append(picture)
        if len(taken) == count:
            return taken
    raise AssertionError(f"expected {count} pictures, got {len(taken)}")


async def test_pictures_come_as_they_are_made(url: str) -> None:
    async with connect(url, world="toy", seed=5) as world:
        assert (world.info.name, world.seed, world.mode) == ("toy", 5, "realtime")
        pictures = await first(world.pictures(), 5)
    indices = [picture.index for picture in pictures]
    assert indices == sorted(set(indices))
    assert pictures[0].pixels.shape == (96, 128, 3)
    assert pictures[0].pixels.dtype == np.uint8
    assert pictures[0].pixels.std() > 10


async def test_raw_pictures_are_the_worlds_own(url: str) -> None:
    async with connect(url, seed=5, mode="lockstep", format="raw") as world:
        rows = [[0.0, 0.0, 0.0, 0.0, float(turn), 0.0] for turn in range(5)]
        pictures = [(await world.step([row]))[0] for row in rows]
    toy = ToyWorld()
    state = toy.start(seed=5)
    for row, picture in zip(rows, pictures, strict=True):
        assert (picture.pixels == toy.step([state], np.array([[row]], np.float32))[0, 0]).all()


async def test_a_step_gets_its_whole_chunk_through_a_smaller_buffer() -> None:
    async with serving(lambda: ToyWorld(chunk=4)) as url, connect(url, mode="lockstep", buffer=1) as world:
        sent = world.action([0, 0, 0, 0, 1.0, 0])
        for begin in (0, 4):
            async with asyncio.timeout(5):
                assert [picture.index for picture in await world.step()] == [begin + k for k in range(4)]
        assert (await sent).frame == 0
    async with serving(lambda: ToyWorld(chunk=4)) as url, connect(url, buffer=1) as world:
        await asyncio.sleep(0.5)
        async with aclosing(world.pictures()) as coming:
            assert await anext(coming) is world.newest, "by the clock, one is one"


async def test_every_control_gets_its_receipt(url: str) -> None:
    async with connect(url) as world:
        sent = [
            world.press("KeyW"),
            world.look(yaw=2.0),
            world.axes({"lever": 0.5}),
            world.action([0, 0, 0, 0, 1.0, 0]),
            world.release("KeyW"),
            world.tap("KeyS"),
            world.reset(seed=8),
            world.pause(),
            world.resume(),
        ]
        receipts = [await one for one in sent]
        assert [receipt.seq for receipt in receipts] == [one.seq for one in sent] == [1, 2, 3, 4, 5, 6, 8, 9, 10]
        assert {receipt.status for receipt in receipts} <= {"applied", "superseded", "expired"}
        assert receipts[-1].status == "applied"
        assert world.seed == 8


async def test_a_session_is_recorded_and_told_when_that_ends(tmp_path: Path) -> None:
    async with serving(recordings=tmp_path, recording_duration=0.3) as url, connect(url) as world:
        assert (await world.record()).status == "applied"
        assert (await world.record(False)).status == "applied"
        endings = sorted(path.suffix for path in tmp_path.iterdir())  # noqa: ASYNC240
        assert endings in ([".jsonl", ".mp4", ".state"], [".jsonl", ".state"])
        await world.record(True)
        async with asyncio.timeout(5):
            while world.notice is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert world.notice.code == "recording_full"
        await first(world.pictures(), 1)


async def test_a_receipt_can_be_asked_for_later_in_any_order_and_again(url: str) -> None:
    async with connect(url) as world:
        one, two = world.look(yaw=1.0), world.look(yaw=1.0)
        await asyncio.sleep(0.3)
        assert (await two).status == "applied"
        assert (await one).status == "applied"
        assert await one is await one


async def test_who_gives_up_waiting_can_wait_again(url: str) -> None:
    async with connect(url, mode="lockstep") as world:
        sent = world.look(yaw=1.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await sent
        await world.step()
        assert (await sent).status == "applied"


async def test_a_tap_is_held_for_one_chunk(url: str) -> None:
    async with connect(url, mode="lockstep", format="raw") as world:
        shown = [(await world.step())[0].pixels]
        tapped = world.tap("ArrowRight")
        shown += [(await world.step())[0].pixels for _ in range(3)]
        assert (await tapped).frame == 1
    assert (shown[0] != shown[1]).any()
    assert (shown[1] == shown[2]).all()
    assert (shown[2] == shown[3]).all()


async def test_the_newest_picture_is_there_for_whoever_draws_at_his_own_rate(url: str) -> None:
    async with connect(url) as world:
        before = world.newest
        (picture,) = await first(world.pictures(), 1)
    assert before is None
    assert world.newest is not None
    assert world.newest.index >= picture.index


async def test_holding_a_key_turns_the_picture_and_letting_go_stops_it(url: str) -> None:
    async with connect(url, format="raw") as world:
        async with world.hold("ArrowRight") as pressed:
            assert (await pressed).frame is not None
            turning = await first(world.pictures(), 3)
        await asyncio.sleep(0.3)
        still = await first(world.pictures(), 4)
    assert (turning[-1].pixels != turning[-2].pixels).any()
    assert (still[-1].pixels == still[-2].pixels).all()


async def test_a_slow_reader_misses_the_older_pictures(url: str) -> None:
    async with connect(url) as world:
        await asyncio.sleep(0.6)
        (picture,) = await first(world.pictures(), 1)
        assert picture.index >= 5
        assert world.dropped >= 5


async def test_a_session_without_video_gets_receipts(url: str) -> None:
    async with connect(url, video="none") as world:
        assert (await world.press("KeyW")).status == "applied"


async def test_pictures_come_over_webrtc(url: str) -> None:
    async with connect(url, video="webrtc", seed=5) as world:
        pictures = await first(world.pictures(), 4)
        receipt = await world.press("ArrowRight")
        async with aclosing(world.pictures()) as coming:
            async for picture in coming:
                if picture.applied_seq >= receipt.seq:
                    break
    assert receipt.frame is not None
    assert picture.index >= receipt.frame
    assert pictures[0].pixels.shape == (96, 128, 3)
    toy = ToyWorld()
    want = toy.step([toy.start(seed=5)], np.zeros((1, 1, 6), np.float32))[0, 0]
    assert np.abs(pictures[-1].pixels.astype(int) - want).mean() < 6.0


async def test_the_remote_environment_gives_the_same_bytes_as_the_one_in_process(url: str) -> None:
    def play(env: WorldEnv) -> bytes:
        rng = np.random.default_rng(1)
        pictures = [env.reset(seed=4)[0]]
        for step in range(12):
            if step == 6:
                pictures.append(env.reset(seed=11)[0])
            pictures.append(env.step(rng.uniform(-1, 1, 6).astype(np.float32))[0])
        env.close()
        return b"".join(picture.tobytes() for picture in pictures)

    remote = await asyncio.to_thread(lambda: play(WorldEnv(url, name="toy")))
    assert remote == await asyncio.to_thread(lambda: play(WorldEnv("toy")))


async def test_the_remote_environment_closes_twice_and_frees_its_place() -> None:
    def use(url: str) -> None:
        for _ in range(3):
            env = WorldEnv(url)
            env.reset(seed=1)
            env.close()
            env.close()

    async with serving(max_sessions=1) as url:
        await asyncio.to_thread(use, url)
        with pytest.raises(errors.UnknownWorld):
            await asyncio.to_thread(WorldEnv, url, name="atlantis")
