"""Going back in time from a program: awaited, and on a thread."""

from __future__ import annotations

import pytest

from worldloom.client.blocking import connect_sync
from worldloom.client.connection import connect
from worldloom.streamer.errors import OutOfReach, UnknownSnapshot

from .test_blocking import url
from .test_connection import first, serving

__all__ = ["url"]

pytestmark = pytest.mark.timeout(60)


async def test_a_world_goes_back_and_beside() -> None:
    async with serving() as at, connect(at, format="raw", seed=4) as world:
        await world.press("ArrowRight")
        await first(world.pictures(), 10)
        kept = await world.snapshot()
        assert kept.snapshot
        receipt = await world.rewind(0.2)
        assert receipt.to is not None
        assert receipt.frame is not None
        assert receipt.to <= receipt.frame - 4
        assert (await world.restore(kept.snapshot)).to == kept.frame
        assert (await world.rewind(frame=kept.frame)).status == "applied"
        with pytest.raises(OutOfReach):
            await world.rewind(3600.0)
        with pytest.raises(UnknownSnapshot):
            await world.restore("nothing")
        fork = (await world.fork(kept.snapshot)).fork
        async with connect(at, format="raw", resume=fork) as other:
            assert other.session != world.session
            await other.resume()
            assert await first(other.pictures(), 2)
        await world.look(yaw=1.0)


def test_the_same_on_a_thread(url: str) -> None:
    with connect_sync(url, mode="lockstep", format="raw", seed=4) as world:
        world.step()
        name = world.snapshot().result(10).snapshot
        assert name
        row = [[0.0, 0.0, 0.0, 0.0, 3.0, 0.0]]
        want = world.step(row)[0].pixels
        world.restore(name).result(10)
        assert (world.step(row)[0].pixels == want).all()
        with connect_sync(url, format="raw", resume=world.fork(name).result(10).fork) as other:
            assert (other.step(row)[0].pixels == want).all()
        with pytest.raises(Exception, match="expected no rewind"):
            world.rewind(1.0).result(10)
