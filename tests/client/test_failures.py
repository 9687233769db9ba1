"""What goes wrong, as the Python client tells it: refusals, faults, nonsense, and nobody there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from worldloom.client.connection import connect
from worldloom.models.toy import ToyWorld
from worldloom.streamer import errors
from worldloom.streamer.fields import Video
from worldloom.streamer.protocol import encode
from worldloom.streamer.server_messages import Answer
from worldloom.streamer.wire import FrameHeader, pack_frame

from .test_connection import WELCOME, first, serving

pytestmark = pytest.mark.timeout(60)


class ShortWorld(ToyWorld):
    """Fails at its tenth frame."""

    def step(self, states: Any, actions: Any) -> Any:
        if any(state.frame >= 10 for state in states):
            raise RuntimeError("out of ideas")
        return super().step(states, actions)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with serving() as address:
        yield address


@pytest.mark.parametrize(
    ("control", "kind"),
    [
        (lambda world: world.press("KeyZ"), errors.UnknownKey),
        (lambda world: world.action([1.0]), errors.BadAction),
        (lambda world: world.axes({"nose": 1.0}), errors.BadAction),
        (lambda world: world.prompt("a beach"), errors.Unsupported),
        (lambda world: world.say("a beach", "blend", chunks=3), errors.Unsupported),
        (lambda world: world.record(), errors.RecordingOff),
    ],
)
async def test_a_refused_control_raises_what_the_server_said(
    url: str, control: Callable[[Any], Any], kind: type[errors.WorldloomError]
) -> None:
    async with connect(url) as world:
        with pytest.raises(kind):
            await control(world)
        assert (await world.look(yaw=1.0)).status == "applied"  # the session lives on


async def test_a_step_without_lockstep_is_refused(url: str) -> None:
    async with connect(url) as world:
        with pytest.raises(errors.Unsupported):
            await world.step()


async def test_refusals_of_the_server_are_raised() -> None:
    async with serving(max_sessions=1) as url, connect(url):
        with pytest.raises(errors.UnknownWorld):
            async with connect(url, world="atlantis"):
                pass
        with pytest.raises(errors.Busy) as busy:
            async with connect(url):
                pass
        assert busy.value.retryable


async def test_a_failing_world_ends_the_pictures_with_its_fault() -> None:
    async with serving(ShortWorld) as url, connect(url) as world:
        with pytest.raises(errors.ModelFault):
            await first(world.pictures(), 100)
        with pytest.raises(errors.WorldloomError):
            world.press("KeyW")
        assert isinstance(world.ended, errors.ModelFault)


async def test_an_error_of_the_caller_leaves_as_itself(url: str) -> None:
    with pytest.raises(ZeroDivisionError):
        async with connect(url):
            raise ZeroDivisionError
    async with asyncio.timeout(5), connect(url) as world:  # and the place is free again
        assert world.session


async def test_nobody_there_is_a_connection_error() -> None:
    with pytest.raises(OSError, match="Connect call failed|Multiple exceptions"):
        async with connect("ws://127.0.0.1:9"):
            pass


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://127.0.0.1"])
async def test_an_address_that_is_none_is_explained(url: str) -> None:
    with pytest.raises(ValueError, match="expected an address like"):
        async with connect(url):
            pass


async def test_a_buffer_without_room_is_refused_before_anything_is_opened() -> None:
    async def count(socket: ServerConnection) -> None:
        visits.append(socket)
        await socket.wait_closed()

    visits: list[ServerConnection] = []
    async with serve(count, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        for buffer in (0, -1):
            with pytest.raises(ValueError, match="at least 1 picture"):
                async with asyncio.timeout(5), connect(f"ws://127.0.0.1:{port}", buffer=buffer):
                    pass
    assert visits == []


JPEG = pack_frame(FrameHeader(0, 0, 0, 128, 96, "jpeg"), b"\xff\xd8\xff damaged")
SMALL = pack_frame(FrameHeader(0, 0, 0, 128, 96, "raw"), bytes(100))
ANSWER = encode(Answer(sdp="v=nonsense"))


@pytest.mark.parametrize(
    ("video", "said"), [("websocket", JPEG), ("websocket", SMALL), ("webrtc", ANSWER)], ids=["jpeg", "raw", "answer"]
)
async def test_what_cannot_be_used_ends_the_session_with_a_word(video: Video, said: str | bytes) -> None:
    async def damage(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(encode(WELCOME))
        await socket.send(said)
        await socket.wait_closed()

    async with serve(damage, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", video=video) as world:
            async with asyncio.timeout(5):
                with pytest.raises(errors.BadMessage):
                    async for _ in world.pictures():
                        pass
            assert isinstance(world.ended, errors.BadMessage)


async def test_a_server_that_talks_nonsense_is_an_error_and_no_hang() -> None:
    async def nonsense(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send("what?")
        await socket.wait_closed()

    async with serve(nonsense, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(errors.BadMessage):
            async with connect(f"ws://127.0.0.1:{port}"):
                pass
