"""What gives way under load and how it comes back: the ladder under simulated loads, then an engine that climbs it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from worldloom.models.spec import Actions, Frames
from worldloom.models.toy import ToyState
from worldloom.streamer.client_messages import Step
from worldloom.streamer.engine import Engine
from worldloom.streamer.engine_config import EngineConfig
from worldloom.streamer.overload import LONGEST, QUIET, SLOWER, WINDOW, Ladder, Rung, rungs_of
from worldloom.streamer.transports.inprocess import Collector

from .conftest import Client, Serve
from .desk import MS, PERIOD, Desk, Probe

Load = Callable[[Rung], float]  # share of a period that a step takes on a rung


def play(ladder: Ladder, load: Load, steps: int, seed: int = 0) -> list[int]:
    """Levels after each step, whose time varies by a tenth."""
    noise = random.Random(seed)
    levels = []
    for _ in range(steps):
        ladder.step(int(load(ladder.rung) * noise.uniform(0.95, 1.05) * PERIOD), PERIOD)
        levels.append(ladder.level)
    return levels


def changes(levels: Sequence[int]) -> int:
    return sum(a != b for a, b in zip(levels, levels[1:], strict=False))


def three_steps(share: float) -> Load:
    """A world of three denoising steps, that spends a quarter of its time on something else."""
    return lambda rung: share * (0.25 + 0.25 * (rung.steps or 3))


def test_steps_give_way_first_and_then_the_rate() -> None:
    assert rungs_of((1, 3)) == (Rung(), Rung(2), Rung(1), *(Rung(1, slow) for slow in SLOWER))
    assert [rung.reduced for rung in rungs_of((1, 2))] == ["", "steps", *["rate"] * len(SLOWER)]
    assert rungs_of((0, 0)) == rungs_of((1, 1)) == (Rung(), *(Rung(0, slow) for slow in SLOWER))
    assert list(SLOWER) == sorted(SLOWER)


@pytest.mark.parametrize(("share", "level"), [(0.9, 0), (1.2, 1), (1.5, 2), (2.2, 3), (3.5, 5), (5.0, 6), (50.0, 7)])
def test_it_climbs_as_far_as_it_must_and_stays(share: float, level: int) -> None:
    ladder = Ladder(rungs_of((1, 3)))
    levels = play(ladder, three_steps(share), 40 * QUIET)[8 * WINDOW :]
    assert levels[: 10 * QUIET] == [level] * 10 * QUIET
    assert levels.count(level) > 0.95 * len(levels), "but for a try every minute"


def test_it_comes_all_the_way_back_when_the_load_has_gone() -> None:
    ladder = Ladder(rungs_of((1, 3)))
    play(ladder, three_steps(7.0), 10 * WINDOW)
    assert ladder.level == 7
    levels = play(ladder, three_steps(0.5), 8 * QUIET)
    assert levels[-1] == 0
    assert levels == sorted(levels, reverse=True), "down without a step back"


def test_single_late_steps_and_short_bursts_change_nothing() -> None:
    ladder = Ladder(rungs_of((1, 2)))
    for n in range(50 * WINDOW):
        assert not ladder.step(3 * PERIOD if n % 3 == 0 else PERIOD // 2, PERIOD)
    for _ in range(WINDOW):
        ladder.step(PERIOD // 2, PERIOD, stalls=0)
    for _ in range(WINDOW // 2 - 1):
        assert not ladder.step(PERIOD // 2, PERIOD, stalls=1)


def test_schedules_that_move_count_as_late() -> None:
    ladder = Ladder(rungs_of((0, 0)))
    for _ in range(WINDOW):
        ladder.step(PERIOD // 2, PERIOD, stalls=1)
    assert ladder.level == 1


@pytest.mark.parametrize("share", [1.0 + 0.05 * n for n in range(30)])
def test_no_constant_load_makes_it_swing(share: float) -> None:
    ladder = Ladder(rungs_of((1, 3)))
    levels = play(ladder, three_steps(share), 100 * QUIET)
    assert changes(levels[8 * WINDOW :]) <= 2 * 100 / LONGEST, "at most one try and its end in so long"
    assert changes(levels[: 8 * WINDOW]) <= 7


def test_a_load_that_comes_and_goes_is_followed_ever_more_slowly() -> None:
    """A load that returns right after each recovery: every time the rung is kept for twice as long."""
    ladder = Ladder(rungs_of((0, 0)))
    waits = []
    for _ in range(6):
        while ladder.level == 0:
            ladder.step(2 * PERIOD, PERIOD)
        count = 0
        while ladder.level:
            ladder.step(PERIOD // 10, PERIOD)
            count += 1
        waits.append(count)
    assert waits == [QUIET * factor for factor in (1, 2, 4, 8, LONGEST, LONGEST)]
    play(ladder, lambda _: 0.1, (LONGEST + 1) * QUIET)
    while ladder.level == 0:
        ladder.step(2 * PERIOD, PERIOD)
    assert len([0 for _ in range(QUIET) if ladder.step(PERIOD // 10, PERIOD)]) == 1, "long peace is trusted again"


def test_a_step_that_is_late_now_and_then_does_not_keep_it_from_coming_back() -> None:
    """As seen on a host with busy neighbours: steps of 0.8 to 0.9 periods, and one in fifteen of two."""
    ladder = Ladder(rungs_of((0, 0)))
    while ladder.level == 0:
        ladder.step(2 * PERIOD, PERIOD)
    noise, levels = random.Random(1), []
    for n in range(4 * QUIET):
        ladder.step(int((2.0 if n % 15 == 0 else noise.uniform(0.8, 0.9)) * PERIOD), PERIOD)
        levels.append(ladder.level)
    assert not any(levels[QUIET + 1 :])


def test_what_a_rung_saves_may_be_learnt_wrongly_and_is_tried_again() -> None:
    ladder = Ladder(rungs_of((1, 2)))
    while ladder.level == 0:
        ladder.step(int(1.2 * PERIOD), PERIOD)
    for _ in range(WINDOW):  # the load ends just now, and what is saved looks like half
        ladder.step(int(0.6 * PERIOD), PERIOD)
    levels = play(ladder, lambda rung: 0.5 if rung.steps else 0.6, (LONGEST + 1) * QUIET)
    assert levels[-1] == 0


# The engine -----------------------------------------------------------------------------------------------------------


class Sampled(Probe):
    """A world of one to three denoising steps, each of which takes `each` of its clock."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = replace(self.spec, steps=(1, 3))
        self.now, self.each = 0, 10 * MS
        self.asked: list[tuple[int, int | None]] = []  # (streams, denoising steps)

    def step(self, states: Sequence[ToyState], actions: Actions, *, steps: int | None = None) -> Frames:
        self.asked.append((len(states), steps))
        self.now += self.each * (steps or 3)
        return super().step(states, actions)


class Slope(Desk):
    """A desk in front of it, on its clock, at which time passes as on the engine's thread."""

    def __init__(self, model: Sampled) -> None:
        self.model: Sampled = model
        self.engine = Engine(model, EngineConfig(), clock_ns=lambda: model.now)

    def go(self, turns: int) -> None:
        for _ in range(turns):
            due = self.engine.turn()
            self.model.now = max(self.model.now, due if due is not None else 0)


def test_an_engine_gives_up_steps_then_rate_and_recovers() -> None:
    slope = Slope(Sampled())
    _, sink = slope.open(1, "realtime")
    slope.go(WINDOW)
    assert slope.model.asked[-1:] == [(1, None)]
    slope.model.each = 20 * MS  # 60 of 50 ms
    slope.go(2 * WINDOW)
    assert slope.model.asked[-1:] == [(1, 2)]
    told = [frame.steps for frame in sink.take(len(slope.model.asked))]
    assert told == [steps or 0 for _, steps in slope.model.asked], "or nobody could dream them again"
    slope.model.asked.clear()
    assert (slope.engine.stats().level, slope.engine.stats().reduced) == (1, "steps")
    slope.model.each = 80 * MS
    slope.go(6 * WINDOW)
    assert (slope.engine.stats().level, slope.engine.stats().reduced) == (5, "rate")
    earlier = sink.take(len(slope.model.asked) - 3)
    assert [frame.steps for frame in earlier] == [steps or 0 for _, steps in slope.model.asked[:-3]]
    slope.go(3)
    pts = [frame.pts for frame in sink.take(3)]
    assert {b - a for a, b in zip(pts, pts[1:], strict=False)} == {9000}, "every frame lasts two periods"
    slope.model.each = 5 * MS
    slope.go(6 * QUIET)
    assert (slope.engine.stats().level, slope.engine.stats().reduced) == (0, "")
    assert slope.model.asked[-1:] == [(1, None)]
    frames = sink.take(5)
    assert [b.index - a.index for a, b in zip(frames, frames[1:], strict=False)] == [1] * 4


def test_the_clock_is_honest_at_half_the_rate() -> None:
    """Presentation times pass as time does, whatever the rate."""
    slope = Slope(Sampled())
    _, sink = slope.open(1, "realtime")
    slope.model.each = 90 * MS  # one step does not fit a period and a half: two
    slope.go(8 * WINDOW)
    stalls = slope.engine.stats().stalls
    sink.take(8 * WINDOW)
    slope.go(20)
    frames = sink.take(20)
    elapsed = frames[-1].sampled_ns - frames[0].sampled_ns
    assert elapsed == 19 * 2 * PERIOD
    assert frames[-1].pts - frames[0].pts == elapsed * 90_000 // 10**9
    assert slope.engine.stats().stalls == stalls, "no schedule has to move any more"


def test_lockstep_gives_up_nothing() -> None:
    slope = Slope(Sampled())
    slope.model.each = 5 * MS
    slope.open(1, "realtime")
    robot, made = slope.open(2, "lockstep")
    slope.model.each = 40 * MS
    slope.go(4 * WINDOW)
    assert slope.engine.stats().level >= 2
    slope.model.asked.clear()
    taken = 0
    for seq in range(1, 6):
        robot.post(Step(seq=seq))
        while not made.take_receipts():
            slope.go(1)
        taken += len(made.take(1))
    assert taken == 5
    assert slope.model.asked.count((1, None)) == 5, "apart from the others, with all denoising steps"
    assert not [batch for batch, _ in slope.model.asked if batch != 1]


def test_steps_made_in_a_hurry_do_not_look_like_room_for_more() -> None:
    slope = Slope(Sampled())
    slope.open(1, "realtime")
    slope.model.each = 20 * MS
    slope.go(6 * WINDOW)
    assert slope.engine.stats().level == 1
    assert slope.engine.capacity().places.count == 1
    assert slope.engine.capacity().load == pytest.approx(1.2)


def test_the_last_realtime_session_takes_the_level_along() -> None:
    slope = Slope(Sampled())
    session, _ = slope.open(1, "realtime")
    slope.model.each = 40 * MS
    slope.go(4 * WINDOW)
    assert slope.engine.stats().level
    slope.engine.close(session)
    slope.go(1)
    assert slope.engine.stats().level == 0
    slope.check_empty()


def test_a_world_without_a_choice_of_steps_is_never_asked() -> None:
    desk = Desk(Probe())
    desk.model.during = lambda: setattr(desk, "now", desk.now + 3 * PERIOD)
    desk.open(1, "realtime")
    for _ in range(10 * WINDOW):
        desk.turn(max(desk.now, desk.turn() or 0))
    assert (desk.engine.stats().level, desk.engine.stats().reduced) == (len(SLOWER), "rate")


def test_the_same_loads_give_the_same_frames_under_the_same_clock() -> None:
    def seen() -> list[tuple[int, int]]:
        slope = Slope(Sampled())
        _, sink = slope.open(1, "realtime")
        for each in (10, 30, 90, 20, 5):
            slope.model.each = each * MS
            slope.go(3 * WINDOW)
        return [(frame.index, frame.pts) for frame in _all(sink)]

    assert seen() == seen()


def _all(sink: Collector) -> list[Any]:
    return sink.take(sum(1 for _ in sink._frames))


async def test_clients_are_told(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(engine="thread") as server, server.client() as viewer, server.client() as robot:
        await viewer.hello(video="websocket")
        await robot.hello(mode="lockstep")
        engine: Any = next(iter(server.state.worlds)).engine
        monkeypatch.setattr(engine._scheduler.pace._ladder, "level", 2)

        async def told(client: Client) -> tuple[str, int]:
            stats = await client.expect("stats")
            return stats["reduced"], stats["level"]

        assert await told(viewer) == ("rate", 2)
        assert await told(robot) == ("", 0)
        table = (await server.get("/v1/capacity")).json()["worlds"]["toy"]
        assert table["level"] == 2
        assert np.isfinite(table["load"])
