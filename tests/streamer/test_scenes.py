"""Photographs of how seeds begin: taken during the warm-up, freed afterwards, and shown."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pillow

from worldloom.models.spec import Actions, Frames
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer import scenes
from worldloom.streamer.wire import unpack_frame

from .conftest import Running, Serve


class Slow(ToyWorld):
    """Takes its time for every step."""

    def step(self, states: Sequence[ToyState], actions: Actions) -> Frames:
        time.sleep(0.02)
        return super().step(states, actions)


async def ready(server: Running) -> None:
    async with asyncio.timeout(20):
        while (await server.get("/readyz")).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_scene_is_what_its_seed_begins_with(serve: Serve) -> None:
    async with serve(warm_up=True) as server:
        await ready(server)
        assert server.states() == 0, "every photograph was a session, and they are freed"
        told = (await server.get("/v1/worlds/toy/scenes")).json()["scenes"]
        assert [scene["seed"] for scene in told] == list(range(scenes.SCENES))
        assert told[5]["name"] == "seed 5", "the toy's have no names"
        answer = await server.get(told[5]["picture"])
        assert answer.headers["content-type"] == "image/jpeg"
        seen = np.asarray(Pillow.open(io.BytesIO(answer.content)), np.float32)
        async with server.client() as client:
            await client.hello(video="websocket", format="raw", seed=5)
            header, payload = unpack_frame(await client.picture())
        first = np.frombuffer(payload, np.uint8).reshape(header.height, header.width, 3).astype(np.float32)
        other = np.asarray(Pillow.open(io.BytesIO((await server.get(told[4]["picture"])).content)), np.float32)
        assert abs(seen - first).mean() < 4 < abs(other - first).mean()


async def test_scenes_that_have_names_are_called_so(serve: Serve) -> None:
    world = ToyWorld()
    world.spec = replace(world.spec, scenes=("hall", "cellar"))
    async with serve(warm_up=True, load=lambda _: world) as server:
        await ready(server)
        told = (await server.get("/v1/worlds/toy/scenes")).json()["scenes"]
        assert [scene["name"] for scene in told][:3] == ["hall", "cellar", "hall"]
        (info,) = (await server.get("/v1/worlds")).json()["worlds"]
        assert info["scenes"] == ["hall", "cellar"]


async def test_a_slow_world_shows_fewer(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "WITHIN", 0.08)
    async with serve(warm_up=True, load=lambda _: Slow()) as server:
        await ready(server)
        told = (await server.get("/v1/worlds/toy/scenes")).json()["scenes"]
        assert 1 <= len(told) < scenes.SCENES
        assert (await server.get(f"/v1/worlds/toy/scenes/{len(told)}")).status_code == 404


async def test_without_a_warm_up_there_are_none(serve: Serve) -> None:
    async with serve() as server:
        assert (await server.get("/v1/worlds/toy/scenes")).json() == {"scenes": []}
        for path in ("/v1/worlds/toy/scenes/0", "/v1/worlds/nowhere/scenes", "/v1/worlds/nowhere/scenes/0"):
            assert (await server.get(path)).status_code == 404
