"""A connection that is lost and found again; and when it is not sought."""

from __future__ import annotations

import asyncio

import pytest

from worldloom.client.connection import RemoteWorld, connect
from worldloom.streamer import errors

from .test_connection import first, serving

pytestmark = pytest.mark.timeout(60)


def cut(world: RemoteWorld) -> None:
    """End the connection as a network does: without a word."""
    assert world._line._socket is not None
    world._line._socket.transport.abort()


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
        seq = await world.key("KeyW", True)
        assert (await world.receipt(seq)).status == "applied"


async def test_numbers_of_controls_go_on() -> None:
    async with serving() as url, connect(url) as world:
        await world.receipt(await world.key("KeyW", True))
        token = world.resume_token
        async with connect(url, resume=token) as other:
            assert other.session == world.session
            assert await other.key("KeyW", False) == 2
        with pytest.raises(errors.TakenOver):
            async for _ in world.pictures():
                pass


async def test_who_waits_for_an_answer_when_the_line_is_cut_is_told() -> None:
    async with serving() as url, connect(url, mode="lockstep") as world:
        waiting = asyncio.create_task(world.receipt(99))
        await asyncio.sleep(0)
        cut(world)
        with pytest.raises(errors.SessionClosed):
            await waiting
        async with asyncio.timeout(8):
            while not world.reconnected:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert len(await world.step()) == 1


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
            await spectator.receipt(await spectator.key("KeyW", True))
        cut(spectator)
        await first(spectator.pictures(), 2)
        assert spectator.reconnected == 1
