"""A session outlives its connections: resumed, taken over, watched, shown another way."""

from __future__ import annotations

import asyncio

import pytest

from worldloom.streamer.phase import Phase
from worldloom.streamer.wire import unpack_frame

from .conftest import Client, Running, Serve


async def pictured(client: Client, count: int = 1) -> int:
    """Number of the `count`-th next picture."""
    index = -1
    for _ in range(count):
        index = unpack_frame(await client.picture())[0].index
    return index


def phases(server: Running) -> list[Phase]:
    return [room.phase for room in server.state.rooms]


async def lost(server: Running, client: Client) -> None:
    """The line is cut, and the server has noticed."""
    client.socket.transport.abort()
    await server.until(lambda: server.sessions() == 0)


async def test_a_lost_driver_comes_back_to_the_same_frame(serve: Serve) -> None:
    async with serve() as server:
        async with server.client() as client:
            welcome = await client.hello(video="websocket", seed=4)
            await client.send("key", seq=7, code="KeyW", down=True)
            seen = await pictured(client, 3)
            await lost(server, client)
        await server.until(lambda: phases(server) == [Phase.ORPHANED])
        assert server.states() == 0, "nothing is held in the engine"
        async with server.client() as client:
            again = await client.hello(video="websocket", resume=welcome["resume"])
            assert again["session"] == welcome["session"]
            assert (again["seed"], again["last_seq"], again["role"]) == (4, 7, "drive")
            assert again["frame"] >= seen
            assert again["frame"] - await pictured(client) in (0, 1), "one may be made while the welcome is written"
            await client.send("bye")
        await server.freed()
        assert not phases(server)


async def test_receipts_that_nobody_heard_are_told_on_return(serve: Serve) -> None:
    async with serve() as server:
        async with server.client() as client:
            welcome = await client.hello(mode="lockstep")
            await client.send("key", seq=1, code="KeyW", down=True)
            await client.send("ping", t=1)
            await client.expect("pong")
            await lost(server, client)
        await server.until(lambda: phases(server) == [Phase.ORPHANED])
        async with server.client() as client:
            await client.hello(resume=welcome["resume"])
            assert (await client.expect("receipt", seq=1))["status"] == "expired"


@pytest.mark.parametrize("leave", ["bye", "closed"])
async def test_who_leaves_on_purpose_is_not_waited_for(serve: Serve, leave: str) -> None:
    async with serve(leave_timeout=0.2) as server, server.client() as client:
        welcome = await client.hello(video="websocket")
        await pictured(client)
        if leave == "bye":
            await client.send("bye")
        await client.socket.close(1001)
        await server.freed()
        await server.until(lambda: not phases(server))
        async with server.client() as late:
            await late.send("hello", protocol=1, resume=welcome["resume"])
            assert (await late.expect("error"))["code"] == "unknown_session"


async def test_a_second_tab_takes_over_and_the_first_is_told(serve: Serve) -> None:
    async with serve() as server, server.client() as first, server.client() as second:
        welcome = await first.hello(video="websocket")
        await first.send("key", seq=1, code="KeyW", down=True)
        await first.expect("receipt", seq=1)
        again = await second.hello(video="websocket", resume=welcome["resume"])
        assert again["session"] == welcome["session"]
        assert (await first.expect("error"))["code"] == "taken_over"
        assert (await first.closed())[1] == "taken_over"
        await pictured(second, 2)
        assert phases(server) == [Phase.LIVE]
        await second.send("key", seq=2, code="KeyS", down=True)
        assert (await second.expect("receipt", seq=2))["status"] == "applied"


async def test_spectators_see_the_same_frames_and_cannot_drive(serve: Serve) -> None:
    async with serve() as server, server.client() as driver, server.client() as one, server.client() as other:
        welcome = await driver.hello(video="websocket")
        for spectator in (one, other):
            seen = await spectator.hello(video="websocket", watch=welcome["watch"])
            assert (seen["session"], seen["role"], seen.get("resume")) == (welcome["session"], "watch", None)
        shown = [unpack_frame(await client.picture()) for client in (driver, one, other)]
        latest = max(header.index for header, _ in shown)
        same = {}
        for client in (driver, one, other):
            while (picture := unpack_frame(await client.picture()))[0].index < latest + 2:
                pass
            same[picture[0].index] = bytes(picture[1])
        assert len(same) <= 2
        await one.send("key", seq=1, code="KeyW", down=True)
        assert (await one.expect("error", seq=1))["code"] == "forbidden"
        assert (await one.expect("receipt", seq=1))["status"] == "rejected"
        await pictured(one)
        assert server.sessions() == 1


async def test_spectators_are_told_when_the_session_ends(serve: Serve) -> None:
    async with serve() as server, server.client() as driver, server.client() as spectator:
        welcome = await driver.hello(video="websocket")
        await spectator.hello(video="websocket", watch=welcome["watch"])
        await pictured(spectator)
        await driver.send("bye")
        assert (await spectator.expect("error"))["code"] == "session_closed"
        await server.freed()


async def test_spectators_go_on_seeing_when_the_driver_returns(serve: Serve) -> None:
    async with serve() as server, server.client() as spectator:
        async with server.client() as driver:
            welcome = await driver.hello(video="websocket")
            await spectator.hello(video="websocket", format="h264", watch=welcome["watch"])
            await pictured(spectator)
            await lost(server, driver)
        await server.until(lambda: phases(server) == [Phase.ORPHANED])
        async with server.client() as driver:
            again = await driver.hello(resume=welcome["resume"])
            seen = [unpack_frame(await spectator.picture())[0]]
            while seen[-1].index <= again["frame"]:
                seen.append(unpack_frame(await spectator.picture())[0])
            assert any(header.key for header in seen), "the encoder is another one"


async def test_spectators_who_leave_change_nothing(serve: Serve) -> None:
    async with serve() as server, server.client() as driver:
        welcome = await driver.hello(video="websocket")
        for _ in range(3):
            async with server.client() as spectator:
                await spectator.hello(video="websocket", watch=welcome["watch"])
                await pictured(spectator)
                spectator.socket.transport.abort()
        await server.until(lambda: all(room.watchers == 0 for room in server.state.rooms))
        before = await pictured(driver)
        assert await pictured(driver, 3) > before
        assert server.sessions() == 1


async def test_pictures_change_their_way_and_the_world_does_not_notice(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        await client.hello(video="none")
        await client.send("view", video="websocket", format="raw")
        first = unpack_frame(await client.picture())[0]
        assert first.format == "raw"
        await client.send("view", video="websocket", format="h264")
        while (header := unpack_frame(await client.picture())[0]).format != "h264":
            pass
        assert header.key, "a codec begins with a picture that stands alone"
        await client.send("view", video="none")
        await client.send("ping", t=2)
        await client.expect("pong", t=2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.picture(), 0.3)
        await client.send("view", video="websocket")
        assert (unpack_frame(await client.picture())[0]).index > header.index
        assert phases(server) == [Phase.LIVE]


@pytest.mark.parametrize("field", ["resume", "watch"])
async def test_a_token_opens_only_what_it_is_for(serve: Serve, field: str) -> None:
    async with serve() as server, server.client() as driver:
        welcome = await driver.hello()
        wrong = {"resume": welcome["watch"], "watch": welcome["resume"]}[field]
        for token in (wrong, "x" * 32):
            async with server.client() as client:
                await client.send("hello", protocol=1, **{field: token})
                assert (await client.expect("error"))["code"] == "unknown_session"


async def test_phases_are_in_the_metrics(serve: Serve) -> None:
    async with serve() as server:
        async with server.client() as client:
            await client.hello()
            await lost(server, client)
        await server.until(lambda: phases(server) == [Phase.ORPHANED])
        text = (await server.get("/metrics")).text
        assert 'worldloom_sessions_by_phase{phase="orphaned"} 1.0' in text
        assert 'worldloom_sessions_by_phase{phase="live"} 0.0' in text
