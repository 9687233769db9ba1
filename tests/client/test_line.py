"""A connection that is lost and found again; and when it is not sought."""

from __future__ import annotations

import asyncio
import contextlib

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request
from websockets.protocol import State

from tests.streamer.conftest import PATIENCE
from worldloom.client import line, session
from worldloom.client.connection import connect
from worldloom.client.failures import ConnectionLost
from worldloom.client.session import RemoteWorld
from worldloom.models.toy import ToyWorld
from worldloom.streamer import errors
from worldloom.streamer.protocol import encode
from worldloom.streamer.server_messages import Receipt

from .test_connection import WELCOME, first, serving

pytestmark = pytest.mark.timeout(60)


def cut(world: RemoteWorld) -> None:
    """End the connection as a network does: without a word."""
    assert world._line._socket is not None
    world._line._socket.transport.abort()


async def back(world: RemoteWorld) -> None:
    async with asyncio.timeout(8):
        while not world.reconnected:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("video", ["websocket", "webrtc"])
async def test_a_lost_connection_is_found_again_and_the_world_goes_on(video: str) -> None:
    async with serving() as url, connect(url, video=video) as world:  # type: ignore[arg-type]
        before = (await first(world.pictures(), 3))[-1].index
        session = world.session
        cut(world)
        async with asyncio.timeout(8):
            after = (await first(world.pictures(), 3))[-1].index
        assert after > before
        assert (world.session, world.reconnected) == (session, 1)
        assert (await world.press("KeyW")).status == "applied"


async def test_numbers_of_controls_go_on() -> None:
    async with serving() as url, connect(url) as world:
        await world.press("KeyW")
        token = world.resume_token
        async with connect(url, resume=token) as other:
            assert other.session == world.session
            assert other.release("KeyW").seq == 2
        with pytest.raises(errors.TakenOver):
            async for _ in world.pictures():
                pass


async def test_what_the_server_never_saw_is_said_again() -> None:
    async with serving() as url, connect(url) as world:
        await world.press("KeyW")
        cut(world)
        turned = world.look(yaw=3.0)  # before anybody notices
        async with asyncio.timeout(8):
            assert (await turned).status == "applied"
        assert world.reconnected == 1


async def test_nothing_is_done_late_in_a_world_with_a_clock() -> None:
    async with serving() as url, connect(url) as world:
        await first(world.pictures(), 1)
        cut(world)
        while not world._away:  # noqa: ASYNC110
            await asyncio.sleep(0)
        with pytest.raises(ConnectionLost, match="was not sent"):
            await world.look(yaw=90.0)
        await back(world)
        assert (await world.look(yaw=1.0)).status == "applied"


async def test_an_answer_that_was_lost_with_the_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ANSWER_S", 0.2)
    async with serving() as url, connect(url) as world:
        await first(world.pictures(), 1)
        monkeypatch.setattr(world._receipts, "put", lambda receipt: cut(world))  # the receipt is on its way, and lost
        sent = world.look(yaw=1.0)
        await back(world)
        monkeypatch.undo()
        with pytest.raises(ConnectionLost, match="has seen this"):
            async with asyncio.timeout(8):
                await sent
        assert world.ended is None


async def test_a_lockstep_drive_goes_on_where_it_was() -> None:
    rows = [[0.0, 0.0, 0.0, 0.0, float(turn % 5), 0.0] for turn in range(12)]
    made: dict[int, bytes] = {}
    async with serving() as url, connect(url, mode="lockstep", format="raw", seed=5) as world:
        for number, row in enumerate(rows):
            if number in (4, 8):
                cut(world)
            async with asyncio.timeout(8):
                (picture,) = await world.step([row])
            assert picture.index == number
            made[number] = picture.pixels.tobytes()
        assert world.reconnected == 2
    toy = ToyWorld()
    state = toy.start(seed=5)
    for number, row in enumerate(rows):
        assert made[number] == toy.step([state], np.array([[row]], np.float32))[0, 0].tobytes()


async def test_a_step_whose_pictures_are_lost_says_so() -> None:
    async with serving() as url, connect(url, mode="lockstep") as world:
        put = world._receipts.put

        def answered(receipt: Receipt) -> None:
            put(receipt)
            cut(world)

        world._receipts.put = answered  # type: ignore[method-assign]
        world._pictures.put = lambda picture: None  # type: ignore[method-assign]
        with pytest.raises(ConnectionLost, match="pictures were lost"):
            async with asyncio.timeout(8):
                await world.step()
        del world._receipts.put, world._pictures.put
        assert (await world.step())[0].index == 1


async def test_a_server_that_is_gone_for_good_is_told_to_everybody() -> None:
    async with serving() as url:
        opening = connect(url, patience=0.5)
        world = await opening.__aenter__()
        await first(world.pictures(), 1)
        held = world.look(yaw=1.0)
    async with asyncio.timeout(8):
        with pytest.raises(errors.WorldloomError):
            async for _ in world.pictures():
                pass
    with pytest.raises(errors.WorldloomError):
        world.press("KeyW")
    with contextlib.suppress(errors.WorldloomError):
        assert (await held).status in ("applied", "expired")
    await opening.__aexit__(None, None, None)


async def test_a_server_that_was_killed_is_sought_for_as_long_as_asked() -> None:
    async def die(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(encode(WELCOME))
        await socket.recv()
        socket.transport.abort()

    async with serve(die, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", patience=0.3) as world:
            server.close(close_connections=False)
            sent = world.look(yaw=1.0)
            with pytest.raises(ConnectionLost, match="not found again within 0.3 s"):
                async with asyncio.timeout(8):
                    await sent
            with pytest.raises(ConnectionLost, match="not found again"):
                async for _ in world.pictures():
                    pass
            assert isinstance(world.ended, ConnectionLost)


@pytest.mark.parametrize("accepts", [False, True])
async def test_patience_ends_in_the_middle_of_an_attempt(accepts: bool) -> None:
    """A server that comes back and does not answer the handshake, or not the hello."""
    visits, over = 0, asyncio.Event()

    async def welcome_once(socket: ServerConnection) -> None:
        nonlocal visits
        visits += 1
        await socket.recv()
        if visits == 1:
            await socket.send(encode(WELCOME))
            await asyncio.sleep(0.1)
            socket.transport.abort()
        else:
            await socket.wait_closed()

    async def stall(socket: ServerConnection, request: Request) -> None:
        if visits and not accepts:
            await over.wait()

    async with serve(welcome_once, "127.0.0.1", 0, process_request=stall) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", patience=0.5) as world:
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(ConnectionLost, match="not found again within 0.5 s"):
                    async for _ in world.pictures():
                        pass
        over.set()


async def test_a_server_that_says_nothing_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "PING_S", 0.1)
    monkeypatch.setattr(line, "SILENCE_S", 0.3)
    monkeypatch.setattr(line, "CLOSE_S", 0.2)

    async def fall_silent(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(encode(WELCOME))
        socket.transport.pause_reading()  # pings arrive and are not answered
        await socket.wait_closed()

    async with serve(fall_silent, "127.0.0.1", 0, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", patience=0) as world:
            with pytest.raises(ConnectionLost):
                async with asyncio.timeout(PATIENCE):
                    await world.look(yaw=1.0)
        for socket in server.connections:
            socket.transport.abort()


async def test_a_connection_that_is_found_while_leaving_is_closed() -> None:
    async with serving() as url:
        async with connect(url) as world:
            cut(world)
            close = world._line.close

            async def close_slowly() -> None:
                await close()
                await back(world)

            world._line.close = close_slowly  # type: ignore[method-assign]
        assert world.reconnected == 1
        assert world._line._socket is not None
        assert world._line._socket.state is State.CLOSED


async def test_without_patience_a_lost_connection_is_the_end() -> None:
    async with serving() as url, connect(url, patience=0) as world:
        await first(world.pictures(), 1)
        cut(world)
        with pytest.raises(errors.SessionClosed):
            async for _ in world.pictures():
                pass


async def test_a_session_that_has_ended_meanwhile_is_not_found() -> None:
    async with serving(orphan_timeout=0.0) as url, connect(url) as world:
        await first(world.pictures(), 1)
        cut(world)
        with pytest.raises(errors.UnknownSession):
            async for _ in world.pictures():
                pass


async def test_a_spectator_sees_and_is_refused_control() -> None:
    async with serving() as url, connect(url) as world, connect(url, watch=world.watch_token) as spectator:
        assert spectator.session == world.session
        await first(spectator.pictures(), 2)
        with pytest.raises(errors.Forbidden):
            await spectator.press("KeyW")
        cut(spectator)
        await first(spectator.pictures(), 2)
        assert spectator.reconnected == 1
