"""Time travel over the wire: rewinding, snapshots, and forks that become sessions of their own."""

from __future__ import annotations

import pytest

from worldloom.streamer.client_messages import Fork
from worldloom.streamer.errors import RateLimited, WorldloomError
from worldloom.streamer.phase import Phase
from worldloom.streamer.server_messages import Receipt
from worldloom.streamer.wire import FrameHeader, unpack_frame

from .conftest import Client, Running, Serve

HOMES = pytest.mark.parametrize("engine", ["thread", pytest.param("process", marks=pytest.mark.slow)])


async def picture(client: Client) -> tuple[FrameHeader, bytes]:
    header, pixels = unpack_frame(await client.picture())
    return header, bytes(pixels)


async def film(client: Client, count: int) -> dict[int, bytes]:
    """Pictures by the number of their frame."""
    made = [await picture(client) for _ in range(count)]
    return {header.index: pixels for header, pixels in made}


async def turning(server: Running, client: Client) -> dict[int, bytes]:
    """A realtime session that has turned for a second."""
    await client.hello(video="websocket", format="raw", seed=4)
    await client.send("key", seq=1, code="ArrowRight", down=True)
    await client.expect("receipt", seq=1)
    return await film(client, 20)


async def stepped(client: Client, seq: int) -> bytes:
    await client.send("step", seq=seq, actions=[[1.0, 0.0, 0.0, 0.0, 3.0, 0.0]])
    return (await picture(client))[1]


@HOMES
async def test_a_rewind_is_seen_within_two_frames(serve: Serve, engine: str) -> None:
    async with serve(engine=engine) as server, server.client() as client:
        seen = await turning(server, client)
        newest = max(seen)
        await client.send("rewind", seq=2, frame=newest - 8)
        receipt = await client.expect("receipt", seq=2)
        assert receipt["status"] == "applied"
        assert newest - 10 <= receipt["to"] <= newest - 8
        assert receipt["frame"] - newest <= 8  # however slow this machine is just now
        made: dict[int, bytes] = {}
        while receipt["frame"] not in made:
            made |= await film(client, 1)
        assert made[receipt["frame"]] == seen[receipt["to"]]


@HOMES
async def test_what_cannot_be_done_is_refused_with_a_code(serve: Serve, engine: str) -> None:
    async with serve(engine=engine) as server, server.client() as client:
        await turning(server, client)
        for seq, code, message in (
            (2, "out_of_reach", {"type": "rewind", "seconds": 3600.0}),
            (3, "unknown_snapshot", {"type": "restore", "snapshot": "s1"}),
            (4, "unknown_snapshot", {"type": "fork", "snapshot": "s1"}),
        ):
            await client.send(**message, seq=seq)
            assert (await client.expect("error", seq=seq))["code"] == code
            assert (await client.expect("receipt", seq=seq))["status"] == "rejected"
        for wrong in ({}, {"seconds": 1.0, "frame": 2}, {"seconds": -1.0}):
            await client.send("rewind", seq=9, **wrong)
            assert (await client.expect("error", seq=9))["code"] == "bad_message"
        assert server.sessions() == 1


@HOMES
async def test_a_fork_goes_its_own_way_beside_its_origin(serve: Serve, engine: str) -> None:
    async with serve(engine=engine) as server, server.client() as client, server.client() as other:
        await client.hello(video="websocket", format="raw", mode="lockstep", seed=4)
        for seq in (1, 2):
            await stepped(client, seq)
        await client.send("fork", seq=3)
        receipt = await client.expect("receipt", seq=3)
        assert (receipt["status"], receipt["frame"]) == ("applied", 2)
        welcome = await other.hello(video="websocket", format="raw", resume=receipt["fork"])
        assert (welcome["frame"], welcome["seed"], welcome["mode"]) == (2, 4, "lockstep")
        assert server.sessions() == 2
        want = await stepped(client, 4)
        assert await stepped(other, 1) == want
        assert await stepped(client, 5) == await stepped(other, 2)
        async with server.client() as watcher:
            await watcher.hello(watch=welcome["watch"])
        await client.send("bye")
        await server.until(lambda: server.sessions() == 1)
        await stepped(other, 3)  # it does not need its origin
        await other.send("bye")
        await server.freed()


@HOMES
async def test_a_fork_of_a_snapshot_waits_for_its_driver(serve: Serve, engine: str) -> None:
    async with serve(engine=engine) as server, server.client() as client, server.client() as other:
        await turning(server, client)
        await client.send("snapshot", seq=2)
        kept = await client.expect("receipt", seq=2)
        then: dict[int, bytes] = {}
        while kept["frame"] not in then:
            then |= await film(client, 1)
        await client.send("fork", seq=3, snapshot=kept["snapshot"])
        token = (await client.expect("receipt", seq=3))["fork"]
        await other.hello(video="websocket", format="raw", resume=token)
        assert sorted(room.phase.value for room in server.state.rooms) == ["live", "paused"]
        await other.send("key", seq=1, code="ArrowRight", down=True)
        await other.send("resume", seq=2)
        assert (await picture(other))[1] == then[kept["frame"]]


async def test_a_fork_asks_for_a_place_like_any_other(serve: Serve) -> None:
    async with serve(max_sessions=1) as server, server.client() as client:
        await client.hello()
        await client.send("fork", seq=1)
        error = await client.expect("error", seq=1)
        assert (error["code"], error["retryable"]) == ("busy", True)
        assert error["retry_after"] > 0
        assert (await client.expect("receipt", seq=1))["status"] == "rejected"
        assert len(list(server.state.rooms)) == server.states() == 1
        await client.send("bye")
        await server.freed()


async def test_a_fork_that_nobody_drives_in_time_ends(serve: Serve) -> None:
    async with serve(hello_timeout=0.3) as server, server.client() as client:
        await client.hello()
        await client.send("fork", seq=1)
        await client.expect("receipt", seq=1, status="applied")
        assert server.states() == 2
        await server.until(lambda: server.states() == 1 and len(list(server.state.rooms)) == 1)
        await client.send("bye")
        await server.freed()


async def test_forks_without_drivers_end_with_the_server_and_give_way_to_orphans(serve: Serve) -> None:
    async with serve(max_orphans=1) as server:
        async with server.client() as client:
            await client.hello(mode="lockstep")
            await client.send("fork", seq=1)
            await client.expect("receipt", seq=1, status="applied")
            client.socket.transport.abort()
        rooms = server.state.rooms
        await server.until(lambda: server.states() == 0 and [room.phase for room in rooms] == [Phase.ORPHANED])


class Asker:
    """Whoever asked for a fork."""

    def __init__(self) -> None:
        self.said: list[Receipt | WorldloomError] = []

    def receipt(self, receipt: Receipt) -> None:
        self.said.append(receipt)

    def refuse(self, error: WorldloomError) -> None:
        self.said.append(error)


async def test_one_fork_at_a_time(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        await client.hello()
        (room,), forks, asker = server.state.rooms, server.state.forks, Asker()
        forks.obey(Fork(seq=1), room, asker)
        with pytest.raises(RateLimited):
            forks.obey(Fork(seq=2), room, asker)
        await server.until(lambda: len(asker.said) == 1)
        forks.obey(Fork(seq=3), room, asker)
        await server.until(lambda: len(asker.said) == 2)
        await server.until(lambda: server.states() == 2)  # the one before has given way: nobody drove it


async def test_spectators_do_not_travel(serve: Serve) -> None:
    async with serve() as server, server.client() as client, server.client() as watcher:
        welcome = await client.hello()
        await watcher.hello(watch=welcome["watch"])
        for seq, said in enumerate(("rewind", "fork", "snapshot"), 1):
            await watcher.send(said, seq=seq, **({"seconds": 1.0} if said == "rewind" else {}))
            assert (await watcher.expect("error", seq=seq))["code"] == "forbidden"


async def test_the_past_is_freed_with_its_session(serve: Serve) -> None:
    async with serve() as server:
        async with server.client() as client:
            await turning(server, client)
            await client.send("snapshot", seq=2)
            await client.expect("receipt", seq=2)
            points = [stats.points for world in server.state.worlds if (stats := world.stats())]
            assert points[0] > 2
            client.socket.transport.abort()  # an orphan goes on without a past
        await server.until(lambda: server.sessions() == 0)
        assert [stats.points for world in server.state.worlds if (stats := world.stats())] == [0]
