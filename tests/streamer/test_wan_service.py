"""A tiny random world of the Wan family through the whole service: a server process, its driver, a viewer.

The driver changes the prompt in mid-stream; the same walk without that, and a replay of both, say what it did.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from tests.models.wan.folders import PROMPTS, folder
from tests.plain_http import plain_http
from tests.serving import ServerMaker, ServerProcess, servers
from worldloom.client.connection import connect
from worldloom.client.pictures import Picture
from worldloom.client.session import RemoteWorld
from worldloom.streamer.__main__ import app
from worldloom.streamer.errors import UnknownPrompt
from worldloom.streamer.fields import Mode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CHUNK = 8
Film = list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("worlds") / "walk")


@pytest.fixture(scope="module")
def server(walk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with servers(lambda: tmp_path_factory.mktemp("log")) as start:
        yield ready(start, walk)


def ready(start: ServerMaker, world: Path) -> ServerProcess:
    server = start("--world", str(world), OMP_NUM_THREADS="1")
    server.wait_until_ready()
    return server


@asynccontextmanager
async def driving(server: ServerProcess, mode: Mode = "lockstep") -> AsyncIterator[RemoteWorld]:
    async with connect(server.url, mode=mode, format="raw", seed=4, prompt=PROMPTS[0], buffer=64) as world:
        yield world


def watching(server: ServerProcess, world: RemoteWorld) -> AbstractAsyncContextManager[RemoteWorld]:
    return connect(server.url, watch=world.watch_token, format="raw", buffer=64)


async def steps(world: RemoteWorld, count: int) -> list[Picture]:
    return [picture for _ in range(count) for picture in await world.step()]


async def bundled(server: ServerProcess, world: RemoteWorld, path: Path) -> Path:
    async with plain_http() as http:
        bearer = {"authorization": f"Bearer {world.resume_token}"}
        answer = await http.get(f"{server.url}/v1/replay", headers=bearer, timeout=30)
    assert answer.status_code == 200, answer.text
    await asyncio.to_thread(path.write_bytes, answer.content)
    return path


async def seen_until(viewer: RemoteWorld, last: int) -> list[Picture]:
    seen: list[Picture] = []
    async for picture in viewer.pictures():
        seen.append(picture)
        if picture.index >= last:
            break
    return seen


async def test_a_prompt_changes_in_mid_stream(server: ServerProcess, walk: Path, tmp_path: Path) -> None:
    async with driving(server) as plain:
        assert plain.info.switches == ("recache", "blend", "flush")
        untold = [picture.pixels for picture in await steps(plain, 8)]
    async with (
        driving(server) as world,
        connect(server.url, watch=world.watch_token, format="raw", buffer=64) as viewer,
    ):
        made = await steps(world, 3)
        told = await world.say(PROMPTS[1])
        made += await steps(world, 2)
        blended = await world.say(PROMPTS[0], "blend", chunks=2)
        made += await steps(world, 2)
        flushed = await world.say(PROMPTS[1], "flush")
        made += await steps(world, 1)
        with pytest.raises(UnknownPrompt):
            await world.say("nothing that was encoded")
        seen = await seen_until(viewer, made[-1].index)
        path = await bundled(server, world, tmp_path / "walk.wloom")
    film = [picture.pixels for picture in made]
    assert [(one.status, one.frame) for one in (told, blended, flushed)] == [
        ("applied", 3 * CHUNK),
        ("applied", 5 * CHUNK),
        ("applied", 7 * CHUNK),
    ]
    same = [np.array_equal(a, b) for a, b in zip(film, untold, strict=True)]
    assert all(same[: 3 * CHUNK])
    assert not any(same[3 * CHUNK :])
    assert len(seen) > CHUNK
    shown = {picture.index: picture.pixels for picture in made}
    assert all(np.array_equal(picture.pixels, shown[picture.index]) for picture in seen)
    replays(path, walk, len(film))


async def test_a_stream_that_is_paced_by_the_clock_goes_on(server: ServerProcess, walk: Path, tmp_path: Path) -> None:
    async with driving(server, "realtime") as world:
        pictures = world.pictures()
        before = [await anext(pictures) for _ in range(CHUNK)]
        receipt = await world.say(PROMPTS[1], "flush")
        assert receipt.frame is not None
        after = [await anext(pictures) for _ in range(4 * CHUNK)]
        path = await bundled(server, world, tmp_path / "walk.wloom")
    assert before[-1].index < receipt.frame <= after[-1].index
    assert receipt.frame % CHUNK == 0
    replays(path, walk, after[-1].index)


def replays(path: Path, world: Path, frames: int) -> None:
    """To the byte."""
    said = CliRunner().invoke(app, ["replay", str(path), "--world", str(world), "--json"])
    assert said.exit_code == 0, said.output
    report = json.loads(said.stdout)
    assert report["equal"] == report["frames"] >= frames - CHUNK
