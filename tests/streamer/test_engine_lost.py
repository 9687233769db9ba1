"""The engine is lost under live sessions: everybody hears of it, and their worlds go on on the next one."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from worldloom.models.spec import Actions, Frames
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.engine_process import EngineProcess
from worldloom.streamer.hosting import HostedWorld, WarmUp
from worldloom.streamer.phase import Phase
from worldloom.streamer.wire import unpack_frame

from .conftest import Client, Running, Serve

SETTINGS: dict[str, Any] = {"engine": "process", "snapshot_every": 0.05}


class Unsavable(ToyWorld):
    """A world that cannot save."""

    def save(self, state: ToyState) -> bytes:
        raise NotImplementedError


def unsavable(_: str) -> Unsavable:
    return Unsavable()


class Mortal(ToyWorld):
    """A world whose step can end the engine's thread, and takes as long as it is told."""

    def __init__(self, each_s: float) -> None:
        super().__init__(height=6, width=8)
        self.each_s, self.fatal = each_s, False

    def step(self, states: Sequence[ToyState], actions: Actions) -> Frames:
        if self.fatal:
            raise SystemExit
        time.sleep(self.each_s * len(states))
        return super().step(states, actions)


class Measured:
    """A warm-up that only measures, so that places are known before anybody is back."""

    def __init__(self, *_: object) -> None:
        pass

    async def __call__(self, world: HostedWorld) -> None:
        await asyncio.wrap_future(world.engine.measure())


def kill(server: Running) -> None:
    (world,) = server.state.worlds
    assert isinstance(world.engine, EngineProcess)
    assert world.engine.pid
    os.kill(world.engine.pid, signal.SIGKILL)


async def picture(client: Client) -> tuple[int, int, bytes]:
    """Number, pts and pixels of the next one."""
    header, pixels = unpack_frame(await client.picture())
    return header.index, header.pts, bytes(pixels)


async def at_rest(server: Running, client: Client, seed: int) -> tuple[int, int, bytes]:
    """Walk a little, stand still, and be kept like that."""
    await client.hello(video="websocket", format="raw", seed=seed)
    begin = await picture(client)
    await client.send("key", seq=1, code="ArrowRight", down=True)
    await client.expect("receipt", seq=1, status="applied")
    await client.send("key", seq=2, code="ArrowRight", down=False)
    frame = (await client.expect("receipt", seq=2, status="applied"))["frame"]
    room = next(room for room in server.state.rooms if room.seed == seed)
    await server.until(lambda: room.kept is not None and room.kept.index > frame)
    seen = begin
    while seen[0] <= frame:
        seen = await picture(client)
    assert seen[2] != begin[2]
    return seen


async def test_killed_under_three_sessions_they_go_on_where_they_were(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, prove = asyncio.Event(), HostedWorld._prove

    async def after_it_was_seen(world: HostedWorld, warm_up: WarmUp | None) -> None:
        await seen.wait()
        await prove(world, warm_up)

    async with serve(**SETTINGS) as server, server.client() as a, server.client() as b, server.client() as c:
        before = [await at_rest(server, client, seed) for client, seed in ((a, 1), (b, 2))]
        await c.hello(video="websocket", seed=3)
        await c.send("pause", seq=1)
        await c.expect("receipt", seq=1, status="applied")
        await server.until(lambda: any(room.kept is not None and room.kept.paused for room in server.state.rooms))
        monkeypatch.setattr(HostedWorld, "_prove", after_it_was_seen)
        kill(server)
        for client in (a, b, c):
            assert (await client.expect("notice"))["code"] == "engine_lost"
        assert (await server.get("/readyz")).status_code == 503
        await a.send("key", seq=9, code="KeyW", down=True)
        assert (await a.expect("error", seq=9))["code"] == "engine_lost"
        seen.set()
        for client, (index, pts, pixels) in zip((a, b), before, strict=True):
            await client.send("ping", t=1.0)
            await client.expect("pong")  # what came before the engine died has been read
            again = await picture(client)
            assert again[0] > index
            assert again[1] > pts
            assert again[2] == pixels
        await c.send("resume", seq=2)
        await c.expect("receipt", seq=2, status="applied")
        await picture(c)
        assert (await server.get("/readyz")).status_code == 200
        assert 'worldloom_engine_restarts{world="toy"} 1.0' in (await server.get("/metrics")).text
        for client in (a, b, c):
            await client.send("bye")
        await server.freed()


async def test_on_a_machine_that_has_become_slow_they_all_go_on_and_nobody_takes_their_places(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worldloom.streamer.server.WarmUp", Measured)
    worlds = [Mortal(0.0), Mortal(0.03)]  # 50 ms a frame: one fits where three were
    coming = iter(worlds)
    settings: dict[str, Any] = {"warm_up": True, "max_sessions": 3, "snapshot_every": 0.05}
    async with serve(load=lambda _: next(coming), **settings) as server, AsyncExitStack() as lines:
        a, b, c, late = [await lines.enter_async_context(server.client()) for _ in range(4)]
        for seed, client in enumerate((a, b, c)):
            await client.hello(video="websocket", seed=seed)
        await server.until(lambda: all(room.kept is not None for room in server.state.rooms))
        worlds[0].fatal = True
        await a.expect("notice", code="engine_lost")
        await late.send("hello", protocol=1, video="none")
        assert (await late.expect("error"))["code"] == "busy"
        for client in (a, b, c):
            await client.send("pause", seq=1)
            assert (await client.expect("receipt", seq=1))["status"] == "applied"
        assert server.sessions() == 3
        capacity = server.state.worlds.named(None).capacity()
        assert capacity is not None
        assert capacity.places.count == 1
        for client in (a, b, c):
            await client.send("bye")
        await server.freed()


@pytest.mark.slow
async def test_an_orphan_comes_back_on_the_next_engine(serve: Serve) -> None:
    async with serve(**SETTINGS) as server:
        async with server.client() as client:
            welcome = await client.hello(video="websocket", seed=4)
            seen = (await picture(client))[0]
            client.socket.transport.abort()
            await server.until(lambda: [room.phase for room in server.state.rooms] == [Phase.ORPHANED])
        kill(server)
        await server.until(lambda: not server.state.worlds.named(None).ready)
        async with server.client() as client:
            again = await client.hello(video="websocket", resume=welcome["resume"])
            assert again["session"] == welcome["session"]
            assert (await picture(client))[0] > seen
            await client.send("bye")
        await server.freed()


@pytest.mark.slow
async def test_a_driver_who_leaves_meanwhile_can_come_back(serve: Serve) -> None:
    async with serve(**SETTINGS) as server:
        async with server.client() as client:
            welcome = await client.hello(video="websocket", seed=5)
            await server.until(lambda: all(room.kept is not None for room in server.state.rooms))
            kill(server)
            await client.expect("notice", code="engine_lost")
            client.socket.transport.abort()
        async with server.client() as client:
            await client.hello(video="websocket", resume=welcome["resume"])
            await picture(client)
            await client.send("bye")
        await server.freed()


@pytest.mark.slow
async def test_who_cannot_be_kept_is_told_and_the_server_goes_on(serve: Serve) -> None:
    async with serve(load=unsavable, **SETTINGS) as server:
        async with server.client() as client:
            await client.hello(video="websocket")
            await picture(client)
            kill(server)
            assert (await client.expect("error"))["code"] == "engine_lost"
            assert (await client.closed())[1] == "engine_lost"
        async with server.client() as client:
            await client.hello(video="websocket")
            await picture(client)
            await client.send("bye")
        await server.freed()


@pytest.mark.slow
async def test_a_server_may_stop_while_its_engine_is_replaced(serve: Serve) -> None:
    async with serve(**SETTINGS) as server:
        async with server.client() as client:
            welcome = await client.hello(video="websocket")
            await server.until(lambda: all(room.kept is not None for room in server.state.rooms))
            kill(server)
            await client.expect("notice", code="engine_lost")
            client.socket.transport.abort()
        async with server.client() as waiting:
            await waiting.send("hello", protocol=1, video="none", resume=welcome["resume"])
            server.server.should_exit = True
            async with asyncio.timeout(5.0):
                await waiting.closed()
    assert not server.state.worlds.named(None).ready
