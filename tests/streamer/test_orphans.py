"""Sessions without a driver: kept for a while and so many of them, gone on with in time, or given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.errors import WorldloomError
from worldloom.streamer.home import EngineHome, LiveSession
from worldloom.streamer.hosting import HostedWorld
from worldloom.streamer.phase import Phase
from worldloom.streamer.server_messages import Receipt

from .conftest import PATIENCE, Running, Serve
from .test_rooms import lost, phases


class Unsavable(ToyWorld):
    """A world that cannot save."""

    def save(self, state: ToyState) -> bytes:
        raise NotImplementedError


class Nobody:
    """A driver who listens to nothing."""

    def receipt(self, receipt: Receipt) -> None:
        del receipt

    def warn(self, error: WorldloomError) -> None:
        del error

    dismiss = warn


async def orphaned(server: Running, **hello: Any) -> str:
    """Resume token of a session whose driver is lost."""
    async with server.client() as client:
        token: str = (await client.hello(**hello))["resume"]
        await lost(server, client)
    await server.until(lambda: phases(server) == [Phase.ORPHANED])
    return token


def slow_entrance(monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """From now on an engine lets nobody in before the second event; the first says that somebody has asked."""
    asked, ready, entrance = asyncio.Event(), asyncio.Event(), HostedWorld.entrance

    async def slow(world: HostedWorld) -> EngineHome:
        asked.set()
        await ready.wait()
        return await entrance(world)

    monkeypatch.setattr(HostedWorld, "entrance", slow)
    return asked, ready


async def test_an_orphan_is_given_up_after_its_time(serve: Serve) -> None:
    async with serve(orphan_timeout=0.3) as server:
        await orphaned(server)
        await server.until(lambda: not phases(server))


async def test_orphans_are_bounded_and_the_oldest_gives_way(serve: Serve) -> None:
    async with serve(max_orphans=2) as server:
        tokens = []
        for seed in range(3):
            async with server.client() as client:
                tokens.append((await client.hello(seed=seed))["resume"])
                await lost(server, client)
        await server.until(lambda: phases(server) == [Phase.ORPHANED] * 2)
        async with server.client() as client:
            await client.send("hello", protocol=1, resume=tokens[0])
            assert (await client.expect("error"))["code"] == "unknown_session"
        async with server.client() as client:
            assert (await client.hello(resume=tokens[2]))["seed"] == 2


async def test_who_is_back_in_time_is_in_time_however_long_the_engine_takes(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(orphan_timeout=0.5) as server:
        token = await orphaned(server, seed=4)
        asked, ready = slow_entrance(monkeypatch)
        async with server.client() as client:
            await client.send("hello", protocol=1, video="none", resume=token)
            await asyncio.wait_for(asked.wait(), PATIENCE)
            await asyncio.sleep(0.7)
            assert phases(server) == [Phase.ORPHANED]
            ready.set()
            assert (await client.expect("welcome"))["seed"] == 4
            await asyncio.sleep(0.6)
            assert phases(server) == [Phase.LIVE]


async def test_an_orphan_whose_driver_is_at_the_door_does_not_give_way(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(max_orphans=1) as server, server.client() as other:
        token = await orphaned(server, seed=4)
        await other.hello(seed=5)
        asked, ready = slow_entrance(monkeypatch)
        async with server.client() as client:
            await client.send("hello", protocol=1, video="none", resume=token)
            await asyncio.wait_for(asked.wait(), PATIENCE)
            await lost(server, other)
            await server.until(lambda: phases(server) == [Phase.ORPHANED])
            ready.set()
            assert (await client.expect("welcome"))["seed"] == 4


async def test_who_drives_is_not_made_an_orphan_by_who_drove_before(serve: Serve) -> None:
    async with serve() as server, server.client() as first, server.client() as second:
        token = (await first.hello(seed=4))["resume"]
        (room,) = server.state.rooms
        async with room.changing:  # as while an engine takes a while
            first.socket.transport.abort()
            await server.until(lambda: not room.driven)
            room.enter(Nobody(), "drive")
        await asyncio.sleep(0.2)
        assert phases(server) == [Phase.LIVE]
        assert (await second.hello(resume=token))["seed"] == 4


async def test_an_orphan_that_cannot_go_on_is_given_up_after_its_time(serve: Serve) -> None:
    async with serve(orphan_timeout=0.5, max_sessions=1) as server:
        token = await orphaned(server)
        async with server.client() as other:
            await other.hello()
            for _ in range(2):
                async with server.client() as client:
                    await client.send("hello", protocol=1, resume=token)
                    assert (await client.expect("error"))["code"] == "busy"
            await server.until(lambda: phases(server) == [Phase.LIVE])


async def test_a_room_that_closes_while_it_is_resumed_holds_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, ready, opened = asyncio.Event(), asyncio.Event(), EngineHome.open_async

    async def slow(*arguments: Any, **options: Any) -> LiveSession:
        session = await opened(*arguments, **options)
        asked.set()
        await ready.wait()
        return session

    async with serve() as server:
        token = await orphaned(server)
        monkeypatch.setattr(EngineHome, "open_async", slow)
        async with server.client() as client:
            await client.send("hello", protocol=1, video="none", resume=token)
            await asyncio.wait_for(asked.wait(), PATIENCE)
            (room,) = server.state.rooms
            await server.state.rooms.close(room)
            ready.set()
            assert (await client.expect("error"))["code"] == "session_closed"
        await server.freed()


async def test_a_world_that_cannot_save_keeps_no_orphan(serve: Serve) -> None:
    make: Callable[[str], Any] = lambda _: Unsavable()  # noqa: E731
    async with serve(load=make) as server:
        async with server.client() as client:
            await client.hello(video="websocket")
            await lost(server, client)
        await server.until(lambda: not phases(server))
        await server.freed()


async def test_when_no_place_is_free_the_orphan_stays(serve: Serve) -> None:
    async with serve(max_sessions=1) as server:
        token = await orphaned(server)
        async with server.client() as other:
            await other.hello()
            async with server.client() as client:
                await client.send("hello", protocol=1, resume=token)
                assert (await client.expect("error"))["code"] == "busy"
            await other.send("bye")
        await server.until(lambda: server.sessions() == 0)
        async with server.client() as client:
            await client.hello(resume=token)
