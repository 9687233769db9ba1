"""A twin: the engine beside the dream under the same rows; and nothing of it stays, however it ends."""

from __future__ import annotations

import asyncio
import io
import json
import multiprocessing
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from worldloom.models.spec import Image
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.models.training.simulators import ToySimulator
from worldloom.streamer import twin as twin_module
from worldloom.streamer.frames import Frame
from worldloom.streamer.origin import Origin
from worldloom.streamer.twin import Twin
from worldloom.streamer.twin_child import Begin, has_engine
from worldloom.streamer.wire import unpack_frame

from .conftest import PATIENCE, Client, Running, Serve

PIXELS = np.zeros((96, 128, 3), np.uint8)
BEGIN = Begin("toy", 96, 128, 3)


class Painted(ToyWorld):
    """A toy that begins from pictures, and shows stripes all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = replace(self.spec, images=True)
        self.begun: list[Image | None] = []

    def start(self, *, seed: int, prompt: str | None = None, image: Image | None = None) -> ToyState:
        self.begun.append(image)
        return super().start(seed=seed)


@asynccontextmanager
async def twin_of(server: Running, resume: str, seed: int = 3) -> AsyncIterator[ClientConnection]:
    url = server.url.replace("http", "ws") + "/v1/twin"
    async with connect(url, compression=None, proxy=None, close_timeout=2) as socket:
        await socket.send(json.dumps({"resume": resume, "seed": seed}))
        yield socket


async def told(socket: ClientConnection) -> dict[str, Any]:
    """The next text."""
    async with asyncio.timeout(PATIENCE):
        while isinstance(message := await socket.recv(), bytes):
            pass
    answer: dict[str, Any] = json.loads(message)
    return answer


async def drawn(socket: ClientConnection, count: int) -> dict[int, NDArray[np.uint8]]:
    """Some pictures of the engine, by number."""
    pictures: dict[int, NDArray[np.uint8]] = {}
    async with asyncio.timeout(PATIENCE):
        while len(pictures) < count:
            message = await socket.recv()
            if isinstance(message, bytes):
                header, payload = unpack_frame(message)
                pictures[header.index] = np.asarray(Pillow.open(io.BytesIO(payload)).convert("RGB"))
    return pictures


async def gone(server: Running) -> None:
    """Every engine has ended, and every room knows."""
    await server.until(lambda: not multiprocessing.active_children(), within=5.0)
    await server.until(lambda: all(room.twin is None for room in server.state.rooms), within=5.0)


async def begin(client: Client, socket: ClientConnection) -> dict[str, Any]:
    """The session begins as its twin did; returns the receipt."""
    began = (await told(socket))["begin"]
    await client.send("reset", seq=1, seed=began["seed"], **({"image": began["image"]} if began["image"] else {}))
    return await client.expect("receipt", seq=1, status="applied")


async def test_the_engine_is_under_the_same_rows(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        assert (await server.get("/v1/twins")).json() == {"worlds": ["toy"]}
        welcome = await client.hello()
        async with twin_of(server, welcome["resume"]) as socket:
            receipt = await begin(client, socket)
            await client.send("key", seq=2, code="ArrowRight", down=True)
            await client.send("key", seq=3, code="KeyW", down=True)
            pictures = await drawn(socket, 12)
            (room,) = server.state.rooms
            taken = room.walk.taken()
            assert taken is not None
            alone = ToySimulator(96, 128)
            alone.reset(3)
            for index, row in enumerate(taken.rows, receipt["frame"]):
                alone.act(row)
                if index in pictures:
                    assert np.abs(alone.observe()[0].astype(int) - pictures[index]).mean() < 2  # JPEG
            assert min(pictures) >= receipt["frame"]
            assert np.abs(pictures[max(pictures)].astype(int) - pictures[min(pictures)]).mean() > 2, "it moved"
        await gone(server)
        await client.send("ping", t=1)
        await client.expect("pong")


async def test_the_dream_begins_with_the_engines_picture(serve: Serve) -> None:
    world = Painted()
    async with serve(load=lambda _: world) as server, server.client() as client:
        welcome = await client.hello()
        async with twin_of(server, welcome["resume"]) as socket:
            await begin(client, socket)
            await drawn(socket, 2)
        alone = ToySimulator(96, 128)
        alone.reset(3)
        begun = world.begun[-1]
        assert begun is not None
        assert np.array_equal(begun, alone.observe()[0])


async def test_it_ends_when_the_world_begins_anew_and_with_the_session(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        welcome = await client.hello()
        async with twin_of(server, welcome["resume"]) as socket:
            await begin(client, socket)
            await client.send("reset", seq=2, seed=99)
            assert (await told(socket))["end"] == "the world began anew"
        await gone(server)
        async with twin_of(server, welcome["resume"]) as socket:
            await told(socket)
            await client.send("bye")
            assert (await told(socket))["end"] == "the session has ended"
        await gone(server)
        await server.freed()


async def test_a_later_one_takes_the_place(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        welcome = await client.hello()
        async with twin_of(server, welcome["resume"]) as first:
            await begin(client, first)
            async with twin_of(server, welcome["resume"], seed=4) as second:
                assert (await told(first))["end"] == "another one took its place"
                assert (await told(second))["begin"]["seed"] == 4
                assert len(multiprocessing.active_children()) == 1
        await gone(server)


async def test_it_ends_with_its_process(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        welcome = await client.hello()
        async with twin_of(server, welcome["resume"]) as socket:
            await begin(client, socket)
            await drawn(socket, 1)
            (child,) = multiprocessing.active_children()
            child.kill()
            assert (await told(socket))["end"] == "the engine has died"
        await gone(server)


async def test_a_server_that_stops_ends_it(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        welcome = await client.hello()
        socket_of = twin_of(server, welcome["resume"])
        socket = await socket_of.__aenter__()
        await begin(client, socket)
    assert "stopping" in (await told(socket))["end"]
    await socket_of.__aexit__(None, None, None)
    assert multiprocessing.active_children() == []


async def test_who_may_not_is_refused(serve: Serve) -> None:
    async with serve() as server, server.client() as client, server.client() as robot, server.client() as third:
        welcome, other = await client.hello(), await third.hello()
        stepped = await robot.hello(mode="lockstep")
        async with twin_of(server, welcome["resume"]) as first:
            assert "begin" in await told(first)
            for token, why in (
                (welcome["watch"], "resume token"),
                (stepped["resume"], "realtime"),
                (other["resume"], "at most"),
                ("short", "expected a resume token"),
            ):
                async with twin_of(server, token) as socket:
                    assert why in (await told(socket))["end"]
                    with pytest.raises(ConnectionClosed):
                        await socket.recv()
        await gone(server)


async def test_without_permission_there_are_none(serve: Serve) -> None:
    async with serve(twins=0) as server, server.client() as client:
        assert (await server.get("/v1/twins")).json() == {"worlds": []}
        welcome = await client.hello()
        async with twin_of(server, welcome["resume"]) as socket:
            assert "at most 0" in (await told(socket))["end"]


def frame(index: int, origin: Origin | None = None) -> Frame:
    return Frame(index, 0, PIXELS, 0, 0, 0, 0, actions=np.zeros(6, np.float32), origin=origin)


async def test_an_engine_that_lags_leaves_pictures_out_and_no_row() -> None:
    twin = Twin(BEGIN, images=False)
    try:
        twin.frame(frame(4, Origin(3)))
        for index in range(5, 4 + twin_module.ROWS):
            twin.frame(frame(index))  # all of them wait before the engine begins
        assert twin.over == ""
        await twin.begin()
        message = await twin.picture()
        assert message is not None
        assert unpack_frame(message)[0].index == 3 + twin_module.ROWS
        assert twin.undrawn == twin_module.ROWS - 1
    finally:
        await twin.close()


async def test_an_engine_that_is_too_slow_is_let_go() -> None:
    twin = Twin(BEGIN, images=False)
    try:
        twin.frame(frame(0, Origin(3)))
        for index in range(1, 1 + twin_module.ROWS):
            twin.frame(frame(index))
        assert twin.over == "the engine is slower than the dream"
        assert await twin.picture() is None
    finally:
        await twin.close()


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.parametrize("world", ["arm", "doom"])
async def test_a_real_engine_follows(world: str) -> None:
    if not has_engine(world):
        pytest.skip(f"the engine of {world} is not installed")
    size = {"arm": (128, 128, 4), "doom": (160, 256, 5)}[world]
    twin = Twin(Begin(world, size[0], size[1], 3), images=True)
    try:
        await twin.begin()
        (child,) = multiprocessing.active_children()
        assert twin.first is not None
        assert twin.first.std() > 10
        row = np.zeros(size[2], np.float32)
        row[0] = 1.0
        for index in range(12):
            origin = Origin(3, image=twin.first) if index == 0 else None
            twin.frame(replace(frame(index, origin), actions=row))
        async with asyncio.timeout(20):
            while (message := await twin.picture()) is not None:
                header, payload = unpack_frame(message)
                if header.index == 11:
                    break
        moved = np.asarray(Pillow.open(io.BytesIO(payload)).convert("RGB")).astype(int) - twin.first
        assert np.abs(moved).mean() > 2
    finally:
        await twin.close()
    assert multiprocessing.active_children() == []
    async with asyncio.timeout(PATIENCE):  # nothing that the engine itself had started is left either
        while group_lives(child.pid or 0):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def group_lives(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_engines_are_known_by_their_packages() -> None:
    assert has_engine("toy")
    assert not has_engine("elsewhere")
    assert has_engine("doom") == (find_spec("vizdoom") is not None)
