"""An engine under its own clock admits by what it measured; then a server does."""

from __future__ import annotations

import pytest

from worldloom.models.free_memory import available_memory
from worldloom.streamer.bench_engine import Stopwatch
from worldloom.streamer.capacity import RECENT, SESSION_BYTES, Entry
from worldloom.streamer.client_messages import Step
from worldloom.streamer.errors import Busy
from worldloom.streamer.origin import Origin
from worldloom.streamer.transports.inprocess import Collector

from .conftest import Serve
from .costly import Costly, Room
from .desk import MS, PERIOD
from .test_snapshot import saved


def test_as_many_enter_as_fit_and_then_none() -> None:
    room = Room(Costly(base=10 * MS, each=10 * MS))  # 85 % of 50 ms: three
    room.measure()
    assert room.engine.capacity().places.count == 3
    sessions = [room.open(seed, "realtime")[0] for seed in range(3)]
    assert room.engine.load == pytest.approx(0.8)
    with pytest.raises(Busy, match="3 of 3, limited by step time"):
        room.engine.submit(Collector(), Origin(4))
    room.engine.close(sessions[0])
    room.engine.turn()
    room.open(5, "realtime")


@pytest.mark.slow
@pytest.mark.parametrize(("base", "each"), [(10, 10), (2, 3), (30, 1), (0, 20), (45, 0.5)])
def test_the_prediction_holds_to_the_breaking_point(base: float, each: float) -> None:
    room = Room(Costly(base=round(base * MS), each=round(each * MS)), max_batch=64)
    room.measure()
    predicted = room.engine.capacity().places.count
    assert all(keeps_the_rate(base, each, count) for count in range(1, predicted + 1))
    breaking = next(count for count in range(predicted, 65) if not keeps_the_rate(base, each, count))
    within = 50 * room.engine.config.share
    assert predicted == max(
        1, int((within - base) / each)
    )  # all that the share allows, and admission's margin is known
    assert breaking * each + base > 50 * 0.97


def keeps_the_rate(base: float, each: float, count: int) -> bool:
    """Whether so many sessions, let in past admission, are all shown as many frames as the world has."""
    world = Costly(base=round(base * MS), each=round(each * MS))
    room = Room(world)
    watches = [Stopwatch() for _ in range(count)]
    for seed, watch in enumerate(watches):
        room.engine.submit(watch, Origin(seed), entry="recovered")
    begun = world.now
    while world.now < begun + 80 * PERIOD:
        due = room.engine.turn()
        assert due is not None
        world.now = max(world.now, due)
    return min(watch.frames for watch in watches) >= 78 and room.engine.stats().level == 0


def test_a_budget_counts_what_a_session_holds() -> None:
    room = Room(Costly(base=0, each=MS), most_bytes=3 * SESSION_BYTES)
    room.measure()
    capacity = room.engine.capacity()
    assert capacity.session_bytes is not None
    assert SESSION_BYTES < capacity.session_bytes < 1.01 * SESSION_BYTES
    assert capacity.budget_bytes == 3 * SESSION_BYTES
    assert (capacity.places.limit, capacity.places.count) == ("memory", 2)
    for seed in range(2):
        room.open(seed, "realtime")
    with pytest.raises(Busy, match="2 of 2, limited by free memory"):
        room.engine.submit(Collector(), Origin(3))


def test_who_was_here_before_is_not_asked_for_step_time() -> None:
    before, after = Room(Costly(base=0, each=10 * MS)), Room(Costly(base=0, each=40 * MS))
    snapshots = [saved(before, before.open(seed, "realtime")[0], end=True) for seed in range(2)]
    after.measure()
    assert after.engine.capacity().places.count == 1
    entries: tuple[Entry, ...] = ("recovered", "returning")
    for snapshot, entry in zip(snapshots, entries, strict=True):
        after.engine.submit(Collector(), snapshot, entry=entry)
    after.turn()
    assert after.engine.stats().sessions == 2
    with pytest.raises(Busy, match="limited by step time"):
        after.engine.submit(Collector(), Origin(3))


def test_who_gave_a_place_up_needs_another_and_whose_engine_died_does_not() -> None:
    room = Room(Costly(base=0, each=MS), max_sessions=1)
    session, _ = room.open(1, "realtime")
    snapshot = saved(room, session, end=True)
    room.open(2, "realtime")
    with pytest.raises(Busy, match="limited by max_sessions"):
        room.engine.submit(Collector(), snapshot, entry="returning")
    room.engine.submit(Collector(), snapshot, entry="recovered")
    room.engine.turn()
    assert room.engine.stats().sessions == 2


def test_whoever_waits_for_a_session_counts() -> None:
    room = Room(Costly(base=0, each=20 * MS))
    room.measure()
    room.engine.submit(Collector(), Origin(1))
    room.engine.submit(Collector(), Origin(2))
    with pytest.raises(Busy):
        room.engine.submit(Collector(), Origin(3))


def test_a_machine_that_slows_down_takes_fewer_and_keeps_those_it_has() -> None:
    world = Costly(base=0, each=10 * MS)
    room = Room(world)
    room.measure()
    assert room.engine.capacity().places.count == 4
    room.open(1, "realtime")
    world.each = 20 * MS
    for _ in range(RECENT):
        world.now = room.engine.turn() or 0
    assert room.engine.capacity().places.count == 2
    assert len(room.engine.capacity().table()["step_ms"]) >= 2


def test_other_engines_are_counted() -> None:
    room = Room(Costly(base=0, each=10 * MS))
    room.measure()
    room.engine.others = lambda: 0.5
    assert room.engine.capacity().places.count == 1


def test_lockstep_goes_into_the_gaps_or_along_with_the_beat() -> None:
    world = Costly(base=0, each=20 * MS)
    room = Room(world)
    room.measure()
    _, watched = room.open(1, "realtime")
    began = world.now  # the realtime step is over; the next is due 30 ms from now
    robot, made = room.open(2, "lockstep")
    robot.post(Step(seq=1))
    assert room.engine.turn() == began + 30 * MS, "20 ms fit"
    assert len(made.take(1)) == 1
    robot.post(Step(seq=2))
    world.batches.clear()
    assert room.engine.turn() == began + 30 * MS, "10 ms are left: it waits for the beat"
    assert world.batches == []
    world.now = began + 30 * MS
    room.engine.turn()
    assert world.batches == [2]
    assert len(made.take(1)) == len(watched.take(1)) == 1
    assert room.engine.stats().stalls == 0


def test_memory_is_known_here() -> None:
    found = available_memory()
    assert found is not None
    assert 2**20 < found < 2**50


# The server -----------------------------------------------------------------------------------------------------------


async def test_a_server_measures_admits_and_tells(serve: Serve) -> None:
    async with serve(warm_up=True, max_sessions=2) as server, server.client() as one, server.client() as two:
        await one.hello(video="websocket")
        table = (await server.get("/v1/capacity")).json()["worlds"]["toy"]
        assert table["by_limit"]["setting"] == table["places"] == 2
        assert table["limit"] == "setting"
        assert (table["sessions"], table["realtime"], table["level"]) == (1, 1, 0)
        assert {"1", "2"} <= table["step_ms"].keys()
        assert table["memory"]["state_bytes"] > 0
        assert table["memory"]["free_bytes"] > 2**20
        text = (await server.get("/metrics")).text
        assert 'worldloom_places{limit="setting",world="toy"} 2.0' in text
        assert 'worldloom_places{limit="compute",world="toy"}' in text
        assert 'worldloom_overload_level{world="toy"} 0.0' in text
        stats = await one.expect("stats")
        assert (stats["reduced"], stats["level"]) == ("", 0)
        await two.hello()
        async with server.client() as three:
            await three.send("hello", protocol=1)
            error = await three.expect("error")
            assert (error["code"], error["retry_after"]) == ("busy", 5.0)
            assert "max_sessions" in error["message"]


async def test_who_must_come_back_is_told_when(serve: Serve) -> None:
    async with serve(max_sessions=1) as server, server.client() as one:
        await one.hello()
        server.state.rooms.line(None).left(90.0)
        async with server.client() as two:
            await two.send("hello", protocol=1)
            assert (await two.expect("error"))["retry_after"] == 90.0
