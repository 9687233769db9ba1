"""An engine under its own clock measures what fits and admits by it; then a server does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from worldloom.models.free_memory import available_memory
from worldloom.models.spec import Actions, Frames
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.bench_engine import Stopwatch
from worldloom.streamer.capacity import (
    RECENT,
    SESSION_BYTES,
    Entry,
    Places,
)
from worldloom.streamer.client_messages import Step
from worldloom.streamer.engine import Engine
from worldloom.streamer.engine_config import EngineConfig
from worldloom.streamer.errors import Busy, ModelFault
from worldloom.streamer.origin import Origin
from worldloom.streamer.probe import LONGEST_NS, TIMED, probe
from worldloom.streamer.transports.inprocess import Collector

from .conftest import Serve
from .desk import MS, PERIOD, Desk, Probe
from .test_snapshot import saved

# Measuring ------------------------------------------------------------------------------------------------------------


class Costly(Probe):
    """A world whose steps take `base + each * batch` of a clock that it moves."""

    def __init__(self, base: int = 10 * MS, each: int = 10 * MS) -> None:
        super().__init__()
        self.now, self.base, self.each = 0, base, each
        self.worst = 10**9  # streams at which it fails

    def step(self, states: Sequence[ToyState], actions: Actions) -> Frames:
        if len(states) >= self.worst:
            raise MemoryError("no room")
        self.now += self.base + self.each * len(states)
        return super().step(states, actions)


class Room(Desk):
    """A desk in front of a costly world, on its clock."""

    def __init__(self, model: Costly, **config: Any) -> None:
        self.model = model
        self.engine = Engine(model, EngineConfig(**config), clock_ns=lambda: model.now, free_bytes=lambda: 2**34)

    def turn(self, at: int | None = None) -> int | None:
        return self.engine.turn()

    def measure(self) -> None:
        answer = self.engine.measure()
        self.engine.turn()
        answer.result(0)


def test_batches_are_measured_as_long_as_more_would_fit() -> None:
    world = Costly(base=20 * MS, each=2 * MS)
    found = probe(world, most=64, within_ns=40 * MS, clock_ns=lambda: world.now)
    assert {batch: set(ns) for batch, ns in found.times_ns.items()} == {
        batch: {(20 + 2 * batch) * MS} for batch in (1, 2, 4, 8)
    }
    assert world.batches == [batch for batch in (1, 2, 4, 8) for _ in range(1 + TIMED)]
    assert found.state_bytes == len(world.save(ToyState(seed=0, frame=24)))
    assert (world.living, found.failed) == (0, None)


@pytest.mark.parametrize(("most", "within_ms", "sizes"), [(1, 1000, [1]), (3, 1000, [1, 2, 3]), (64, 15, [1])])
def test_no_more_than_may_be_or_could_be_used(most: int, within_ms: int, sizes: list[int]) -> None:
    world = Costly()
    found = probe(world, most=most, within_ns=within_ms * MS, clock_ns=lambda: world.now)
    assert list(found.times_ns) == sizes
    assert world.living == 0


def test_a_slow_world_is_not_probed_for_minutes(caplog: pytest.LogCaptureFixture) -> None:
    world = Costly(base=0, each=200 * MS)
    found = probe(world, most=64, within_ns=10**12, clock_ns=lambda: world.now)
    assert list(found.times_ns) == [1, 2, 4]
    assert world.now < 2 * LONGEST_NS
    assert "up to 4 streams only" in caplog.text


def test_a_world_that_fails_on_many_streams_is_given_fewer(caplog: pytest.LogCaptureFixture) -> None:
    room = Room(Costly(each=0))
    room.model.worst = 4  # type: ignore[attr-defined]
    room.measure()
    assert "failed on 4 streams" in caplog.text
    assert room.engine.capacity().places == Places(
        setting=2, compute=64, memory=2**34 * 8 // 10 // (SESSION_BYTES + 76)
    )


def test_a_world_that_fails_on_one_stream_fails_the_measurement_and_leaves_nothing() -> None:
    room = Room(Costly())
    room.model.worst = 1  # type: ignore[attr-defined]
    with pytest.raises(ModelFault):
        room.measure()
    room.check_empty()


def test_a_measurement_that_nobody_makes_is_answered_when_the_engine_stops() -> None:
    desk = Desk()
    answer = desk.engine.measure()
    desk.engine.stop()
    assert answer.exception(0) is not None
    assert desk.engine.measure().exception(0) is not None


# Admission ------------------------------------------------------------------------------------------------------------


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


def test_places_leave_pictures_alone() -> None:
    """A probe changes nobody's dream: states are its own, and the seeds too."""
    world = ToyWorld(height=6, width=8)
    state, twin = world.start(seed=1), world.start(seed=1)
    rows = np.zeros((1, 1, 6), np.float32)
    first = world.step([state], rows)
    probe(world, most=2, within_ns=1e9, clock_ns=lambda: PERIOD)
    assert np.array_equal(first, world.step([twin], rows))
