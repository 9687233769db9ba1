"""Waiting for a place, sessions that last as long as they may, and a server that stops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from worldloom.models.spec import Actions, Frames
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.errors import Busy
from worldloom.streamer.waiting import WaitingLine

from .conftest import PATIENCE, Serve

STUCK_S = 1.5  # seconds of a step that takes too long


def test_first_come_first_served() -> None:
    line = WaitingLine(limit=2, places=lambda: 2)
    with line.join() as first, line.join() as second:
        assert (first.position, second.position, len(line)) == (1, 2, 2)
        line.check_turn(first)
        for passing in (second, None):
            with pytest.raises(Busy):
                line.check_turn(passing)
        with pytest.raises(Busy), line.join():
            pass
        assert second.estimate_s is None
        line.left(60.0)
        line.left(20.0)
        assert [line.estimate_s(place.position) for place in (first, second)] == [20.0, 40.0]
    line.check_turn(None)
    assert len(line) == 0


async def test_whoever_waits_gets_the_next_place(serve: Serve) -> None:
    async with (
        serve(max_sessions=1) as server,
        server.client() as one,
        server.client() as two,
        server.client() as three,
    ):
        await one.hello(seed=1)
        await two.send("hello", protocol=1, video="none", seed=2, wait=True)
        assert (await two.expect("waiting"))["position"] == 1
        await three.send("hello", protocol=1, video="none", seed=3, wait=True)
        assert (await three.expect("waiting"))["position"] == 2
        async with server.client() as passing:
            await passing.send("hello", protocol=1)
            assert (await passing.expect("error"))["code"] == "busy"
        await one.send("bye")
        assert (await two.expect("welcome"))["seed"] == 2
        waiting = await three.expect("waiting", position=1)
        assert waiting["estimate_s"] > 0
        await two.send("bye")
        assert (await three.expect("welcome"))["seed"] == 3


@pytest.mark.parametrize("how", ["bye", "closed", "cut"])
async def test_whoever_gives_up_leaves_the_line(serve: Serve, how: str) -> None:
    async with serve(max_sessions=1) as server, server.client() as one:
        await one.hello()
        async with server.client() as two:
            await two.send("hello", protocol=1, wait=True)
            await two.expect("waiting")
            assert len(server.state.rooms.line(None)) == 1
            assert 'worldloom_waiting{world="toy"} 1.0' in (await server.get("/metrics")).text
            if how == "bye":
                await two.send("bye")
            elif how == "closed":
                await two.socket.close()
            else:
                two.socket.transport.abort()
            await server.until(lambda: len(server.state.rooms.line(None)) == 0)
        await server.until(lambda: server.state.connections == 1)


async def test_a_full_line_is_busy(serve: Serve) -> None:
    async with serve(max_sessions=1, max_waiting=0) as server, server.client() as one, server.client() as two:
        await one.hello()
        await two.send("hello", protocol=1, wait=True)
        assert (await two.expect("error"))["code"] == "busy"


@pytest.mark.parametrize("limit", ["idle_timeout", "max_duration"])
async def test_a_session_ends_in_time_and_says_so_before(serve: Serve, limit: str) -> None:
    settings: dict[str, Any] = {limit: 0.6}
    async with serve(**settings) as server, server.client() as client:
        await client.hello()
        assert (await client.expect("notice"))["code"] == "time_limit"
        await asyncio.sleep(0.3)
        await client.send("key", seq=1, code="KeyW", down=True)  # who is there is not idle
        began = asyncio.get_running_loop().time()
        assert (await client.expect("error"))["code"] == "time_limit"
        lasted = asyncio.get_running_loop().time() - began
        assert (lasted > 0.4) == (limit == "idle_timeout")
        await server.freed()
        assert not list(server.state.rooms), "nothing to come back to"


async def test_a_server_that_stops_says_goodbye(serve: Serve) -> None:
    async with serve() as server, server.client() as driver, server.client() as spectator:
        welcome = await driver.hello()
        await spectator.hello(watch=welcome["watch"])
        server.server.should_exit = True
        for client in (driver, spectator):
            assert (await client.expect("error")) | {"message": ""} == {
                "type": "error",
                "code": "draining",
                "message": "",
                "retryable": True,
            }
            assert (await client.expect("bye"))["reason"] == "draining"
            assert await client.closed() == (1012, "draining")


class Stuck(ToyWorld):
    """Its step lasts."""

    def step(self, states: Sequence[ToyState], actions: Actions) -> Frames:
        time.sleep(STUCK_S)
        return super().step(states, actions)


async def test_everybody_is_told_at_once_though_the_engine_is_busy(serve: Serve) -> None:
    async with serve(load=lambda _: Stuck()) as server, server.client() as one, server.client() as two:
        for client in (one, two):
            await client.hello(mode="lockstep")
        await one.send("step", seq=1)
        await asyncio.sleep(0.1)
        server.server.should_exit = True
        async with asyncio.timeout(STUCK_S / 2):
            for client in (one, two):
                await client.expect("error", code="draining")
                await client.expect("bye", reason="draining")


async def test_a_goodbye_that_fails_does_not_keep_the_server(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> None:
        raise RuntimeError("a fault of ours")

    async with serve() as server, server.client() as client:
        await client.hello()
        monkeypatch.setattr(server.server, "_drain", fail)
        server.server.should_exit = True
        assert (await client.closed())[0] == 1012
    assert not server.state.worlds.named(None).ready


async def test_who_has_said_nothing_yet_is_told_too(serve: Serve) -> None:
    async with serve() as server, server.client() as silent:
        await asyncio.sleep(0.1)
        server.server.should_exit = True
        async with asyncio.timeout(PATIENCE):
            await silent.expect("error", code="draining")
            await silent.expect("bye", reason="draining")
            assert (await silent.closed())[0] == 1012


async def test_nobody_enters_while_it_stops(serve: Serve) -> None:
    async with serve() as server:
        server.state.rooms.draining.set()
        assert (await server.get("/readyz")).status_code == 503
        async with server.client() as client:
            await client.send("hello", protocol=1, wait=True)
            assert (await client.expect("error"))["code"] == "draining"
