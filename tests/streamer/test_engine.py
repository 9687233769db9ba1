"""The engine under a clock of its own: batching, faults, closing; then a few runs on its real thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from worldloom.models.spec import Actions, Frames, Image
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.client_messages import Key, Pause, Reset, Resume, Step
from worldloom.streamer.engine import Engine
from worldloom.streamer.engine_config import EngineConfig
from worldloom.streamer.errors import Busy, ModelFault, SessionClosed, Unsupported, WorldloomError
from worldloom.streamer.fields import Mode
from worldloom.streamer.origin import Origin
from worldloom.streamer.session import Session
from worldloom.streamer.transports.inprocess import Collector

MS = 1_000_000
PERIOD = 50 * MS


class Probe(ToyWorld):
    """A toy world that counts its states, notes its batches and misbehaves on request."""

    def __init__(self, *, chunk: int = 1) -> None:
        super().__init__(height=6, width=8, chunk=chunk)
        self.living = 0
        self.batches: list[int] = []
        self.rows: list[np.ndarray[Any, Any]] = []
        self.guilty: set[int] = set()  # seeds whose steps raise
        self.during: Callable[[], None] = lambda: None

    def start(self, *, seed: int, prompt: str | None = None, image: Image | None = None) -> ToyState:
        if seed == 666:
            raise RuntimeError("secret detail")
        if seed == 667:
            raise ValueError("this seed is refused")
        state = super().start(seed=seed, prompt=prompt, image=image)
        self.living += 1
        return state

    def step(self, states: Sequence[ToyState], actions: Actions) -> Frames:
        self.batches.append(len(states))
        self.rows.append(actions)
        self.during()
        if any(state.seed in self.guilty for state in states):
            raise RuntimeError("secret detail")
        return super().step(states, actions)

    def release(self, state: ToyState) -> None:
        assert not state.released
        self.living -= 1
        super().release(state)


class Desk:
    """An engine without a thread, driven by `turn` at times that the test chooses."""

    def __init__(self, model: Probe | None = None, **config: Any) -> None:
        self.model = model or Probe()
        self.now = 0
        self.engine = Engine(self.model, EngineConfig(**config), clock_ns=lambda: self.now)

    def open(self, seed: int = 1, mode: Mode = "lockstep") -> tuple[Session, Collector]:
        sink = Collector()
        answer = self.engine.submit(sink, Origin(seed), mode)
        self.engine.turn()
        session = answer.result(0)
        assert isinstance(session, Session)
        return session, sink

    def turn(self, at: int | None = None) -> int | None:
        self.now = self.now if at is None else at
        return self.engine.turn()

    def check_empty(self) -> None:
        stats = self.engine.stats()
        assert (stats.sessions, stats.states, self.model.living) == (0, 0, 0)


def first_picture(seed: int) -> np.ndarray[Any, Any]:
    """What the world alone shows first when nothing is pressed."""
    world = ToyWorld(height=6, width=8)
    picture: np.ndarray[Any, Any] = world.step([world.start(seed=seed)], np.zeros((1, 1, 6), np.float32))[0, 0]
    return picture


def test_two_sessions_are_stepped_in_one_call() -> None:
    desk = Desk()
    (one, sink_one), (two, sink_two) = desk.open(1), desk.open(2)
    one.post(Step(seq=1))
    two.post(Step(seq=1))
    desk.turn()
    assert desk.model.batches == [2]
    first, second = sink_one.take()[0], sink_two.take()[0]
    assert not np.array_equal(first.pixels, second.pixels)
    alone = ToyWorld(height=6, width=8)
    np.testing.assert_array_equal(
        first.pixels, alone.step([alone.start(seed=1)], np.zeros((1, 1, 6), np.float32))[0, 0]
    )


def test_a_batch_has_a_limit_and_the_longest_due_go_first() -> None:
    desk = Desk(max_batch=2)
    sessions = [desk.open(seed) for seed in (1, 2, 3)]
    for session, _ in sessions:
        session.post(Step(seq=1))
    assert desk.turn() == 0  # the third is due at once
    assert [len(sink.take_receipts()) for _, sink in sessions] == [1, 1, 0]
    desk.turn()
    assert desk.model.batches == [2, 1]


def test_realtime_sessions_share_a_beat() -> None:
    desk = Desk()
    desk.open(1, "realtime")
    sinks = []
    for at in (10 * MS, 30 * MS):
        desk.now = at
        sinks.append(desk.open(2, "realtime")[1])
    desk.model.batches.clear()
    assert desk.turn(PERIOD) == 2 * PERIOD
    assert desk.turn(2 * PERIOD) == 3 * PERIOD
    assert desk.model.batches == [3, 3]
    assert [[frame.pts for frame in sink.take(2)] for sink in sinks] == [[0, 4500]] * 2


def test_a_session_that_goes_on_finds_the_beat_of_the_others() -> None:
    desk = Desk()
    (paused, _), _ = desk.open(1, "realtime"), desk.open(2, "realtime")
    paused.post(Pause(seq=1))
    desk.turn(PERIOD)
    paused.post(Resume(seq=2))
    desk.model.batches.clear()
    assert desk.turn(PERIOD + 30 * MS) == 2 * PERIOD
    desk.turn(2 * PERIOD)
    assert desk.model.batches == [2]


def test_realtime_pacing_sleeps_until_due_and_forgets_a_stall() -> None:
    desk = Desk()
    _, sink = desk.open(mode="realtime")
    assert desk.turn() == PERIOD
    assert desk.turn(20 * MS) == PERIOD  # too early: nothing is made
    assert desk.turn(PERIOD) == 2 * PERIOD
    assert desk.turn(5000 * MS) == 5000 * MS + PERIOD  # one frame, not a hundred
    assert desk.turn(5000 * MS) == 5000 * MS + PERIOD
    assert [frame.pts for frame in sink.take(3)] == [0, 4500, 450_000]
    assert desk.engine.stats().stalls == 1
    assert desk.engine.stats().frames == 3


def test_a_step_slower_than_its_period_never_bursts() -> None:
    desk = Desk()
    desk.model.during = lambda: setattr(desk, "now", desk.now + 2 * PERIOD)
    _, sink = desk.open(mode="realtime")
    for _ in range(5):
        desk.turn()
    frames = sink.take(6)
    gaps = [later.sampled_ns - sooner.sampled_ns for sooner, later in zip(frames, frames[1:], strict=False)]
    assert gaps == [2 * PERIOD] * 5
    assert all(frame.step_ns == 2 * PERIOD for frame in frames)
    assert [b.pts - a.pts for a, b in zip(frames, frames[1:], strict=False)] == [9000] * 5


def test_controls_are_sampled_right_before_the_step() -> None:
    desk = Desk()
    session, sink = desk.open(mode="realtime")
    session.post(Key(seq=1, code="KeyW", down=True))
    desk.turn(10 * MS)
    assert sink.take_receipts() == []  # read, but no frame yet
    session.post(Key(seq=2, code="KeyD", down=True))
    desk.turn(PERIOD)
    assert [(receipt.seq, receipt.status, receipt.frame) for receipt in sink.take_receipts()] == [
        (1, "applied", 1),
        (2, "applied", 1),
    ]
    assert desk.model.rows[-1][0, 0].tolist() == [1, 0, 0, 1, 0, 0]


def test_lockstep_makes_no_step_without_a_request_and_exactly_as_many_as_asked() -> None:
    desk = Desk(Probe(chunk=3))
    session, sink = desk.open()
    for at in range(5):
        assert desk.turn(at * 1000 * MS) is None
    assert desk.model.batches == []
    for seq in range(1, 5):
        session.post(Step(seq=seq))
    for _ in range(10):
        desk.turn()
    assert desk.model.batches == [1] * 4
    assert [frame.index for frame in sink.take(12)] == list(range(12))
    with pytest.raises(TimeoutError):
        sink.take(1, timeout_s=0)


# Faults ---------------------------------------------------------------------------------------------------------------


def test_the_fault_of_one_session_leaves_the_others_alive_and_frees_its_state() -> None:
    desk = Desk()
    pairs = [desk.open(seed) for seed in (1, 2, 3)]
    desk.model.guilty = {2}
    for session, _ in pairs:
        session.post(Step(seq=1))
    desk.turn()
    (_, good), (guilty, bad), (_, other) = pairs
    assert isinstance(bad.error, ModelFault)
    assert "secret" not in str(bad.error)
    assert [receipt.status for receipt in bad.take_receipts()] == ["expired"]
    assert guilty.ended.done()
    assert good.error is None
    assert other.error is None
    assert len(good.take(1)) == len(other.take(1)) == 1
    assert desk.model.living == desk.engine.stats().states == 2
    assert desk.engine.stats().faults == 1
    pairs[0][0].post(Step(seq=2))
    desk.turn()
    assert good.take(1)[0].index == 1
    with pytest.raises(SessionClosed):
        guilty.post(Step(seq=2))


def test_a_fault_of_a_session_alone_ends_it_and_the_engine_goes_on() -> None:
    desk = Desk()
    session, sink = desk.open(2)
    desk.model.guilty = {2}
    session.post(Step(seq=1))
    desk.turn()
    assert isinstance(sink.error, ModelFault)
    desk.check_empty()
    fresh, fresh_sink = desk.open(1)
    fresh.post(Step(seq=1))
    desk.turn()
    assert fresh_sink.take(1)[0].index == 0


def test_a_world_that_returns_the_wrong_shape_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    session, sink = desk.open()
    monkeypatch.setattr(desk.model, "step", lambda states, actions: np.zeros((1, 1, 2, 2, 3), np.uint8))
    session.post(Step(seq=1))
    desk.turn()
    assert isinstance(sink.error, ModelFault)
    assert "(1, 1, 6, 8, 3)" in str(sink.error)
    desk.check_empty()


def test_a_world_that_does_not_start_is_told_without_details() -> None:
    desk = Desk()
    with pytest.raises(ModelFault) as caught:
        desk.open(666)
    assert "secret" not in str(caught.value)
    with pytest.raises(Unsupported, match="refused"):
        desk.open(667)
    desk.check_empty()
    desk.open(1)


def test_a_reset_that_fails_ends_the_session_and_one_that_is_refused_does_not() -> None:
    desk = Desk()
    session, sink = desk.open()
    session.post(Reset(seq=1, seed=667))
    desk.turn()
    assert [(receipt.seq, receipt.status) for receipt in sink.take_receipts()] == [(1, "rejected")]
    session.post(Reset(seq=2, seed=666))
    desk.turn()
    assert isinstance(sink.error, ModelFault)
    assert [(receipt.seq, receipt.status) for receipt in sink.take_receipts()] == [(2, "expired")]
    desk.check_empty()


def test_a_sink_that_raises_loses_its_session_only(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()
    (bad, bad_sink), (good, good_sink) = desk.open(1), desk.open(2)

    def explode(_: object) -> None:
        raise OSError("gone")

    monkeypatch.setattr(bad_sink, "frame", explode)
    bad.post(Step(seq=1))
    good.post(Step(seq=1))
    with caplog.at_level(logging.CRITICAL):
        desk.turn()
        desk.turn()
    assert len(good_sink.take(1)) == 1
    assert bad.ended.done()
    assert desk.model.living == 1


def test_a_world_that_cannot_release_does_not_stop_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    session, _ = desk.open()

    def explode(_: ToyState) -> None:
        raise RuntimeError("double free")

    monkeypatch.setattr(desk.model, "release", explode)
    gone = desk.engine.close(session)
    desk.turn()
    assert gone.done()
    assert desk.engine.stats().sessions == desk.engine.stats().states == 0


# Closing, resetting, admission ----------------------------------------------------------------------------------------


def test_a_close_during_a_step_discards_the_frame_and_frees_the_state() -> None:
    desk = Desk()
    session, sink = desk.open()
    session.post(Step(seq=1))
    desk.model.during = session.close
    desk.turn()
    desk.turn()
    assert session.ended.done()
    assert [receipt.status for receipt in sink.take_receipts()] == ["expired"]
    assert sink.error is None
    with pytest.raises(TimeoutError):
        sink.take(1, timeout_s=0)
    desk.check_empty()


def test_closing_answers_waiting_controls_and_can_be_repeated() -> None:
    desk = Desk()
    session, sink = desk.open(mode="realtime")
    session.post(Key(seq=1, code="KeyW", down=True))
    desk.engine.close(session)
    gone = desk.engine.close(session)
    desk.turn()
    assert gone.done()
    assert desk.engine.close(session).done()
    assert [(receipt.seq, receipt.status) for receipt in sink.take_receipts()] == [(1, "expired")]
    desk.check_empty()


def test_a_reset_releases_the_old_state_and_keeps_the_index_growing() -> None:
    desk = Desk()
    session, sink = desk.open(1, "realtime")
    session.post(Reset(seq=1, seed=9))
    desk.turn(PERIOD)
    before, after = sink.take(2)
    assert (before.index, after.index) == (0, 1)
    assert after.pts > before.pts
    assert desk.model.living == desk.engine.stats().states == 1
    assert session.state.seed == 9
    assert [(receipt.status, receipt.frame) for receipt in sink.take_receipts()] == [("applied", 1)]
    fresh = ToyWorld(height=6, width=8)
    np.testing.assert_array_equal(
        after.pixels, fresh.step([fresh.start(seed=9)], np.zeros((1, 1, 6), np.float32))[0, 0]
    )


def test_a_paused_session_makes_nothing_while_others_run() -> None:
    desk = Desk()
    (paused, paused_sink), (_, running_sink) = desk.open(1, "realtime"), desk.open(2, "realtime")
    paused.post(Pause(seq=1))
    for n in range(1, 4):
        desk.turn(n * PERIOD)
    paused.post(Resume(seq=2))
    desk.turn(4 * PERIOD)
    assert [frame.index for frame in running_sink.take(4)] == [0, 1, 2, 3]  # its first came with the other's second
    assert [frame.pts for frame in paused_sink.take(2)] == [0, 4 * 4500]


def test_a_full_engine_is_busy_until_somebody_leaves() -> None:
    desk = Desk(max_sessions=2)
    session, _ = desk.open(1)
    desk.engine.submit(Collector(), Origin(2))
    with pytest.raises(Busy) as caught:
        desk.engine.submit(Collector(), Origin(3))
    assert caught.value.retryable
    desk.engine.close(session)
    desk.turn()
    desk.open(3)


def test_a_failed_start_gives_its_place_back() -> None:
    desk = Desk(max_sessions=1)
    for _ in range(3):
        with pytest.raises(ModelFault):
            desk.open(666)
    desk.open(1)


def test_a_request_that_was_cancelled_is_not_started() -> None:
    desk = Desk(max_sessions=1)
    answer = desk.engine.submit(Collector(), Origin(1))
    assert answer.cancel()
    desk.turn()
    desk.check_empty()
    desk.open(1)


def test_stopping_without_a_thread_ends_everything() -> None:
    desk = Desk()
    _, sink = desk.open()
    answer = desk.engine.submit(Collector(), Origin(2))
    desk.engine.stop()
    assert isinstance(sink.error, SessionClosed)
    assert isinstance(answer.exception(0), SessionClosed)
    with pytest.raises(SessionClosed):
        desk.engine.submit(Collector(), Origin(3))
    with pytest.raises(RuntimeError):
        desk.engine.start()
    desk.check_empty()


def test_a_hundred_sessions_leave_nothing() -> None:
    desk = Desk()
    for seed in range(100):
        session, sink = desk.open(seed, "realtime" if seed % 2 else "lockstep")
        session.post(Key(seq=1, code="KeyW", down=True))
        desk.turn(desk.now + PERIOD)
        desk.engine.close(session)
        desk.turn()
        assert sink.error is None
    desk.check_empty()
    assert desk.engine.stats().opened == 100


def test_stats_tell_percentiles_of_the_steps() -> None:
    desk = Desk()
    session, _ = desk.open()
    assert desk.engine.stats().step_ms_p50 == 0
    costs = iter([10 * MS] * 19 + [30 * MS])
    desk.model.during = lambda: setattr(desk, "now", desk.now + next(costs))
    for seq in range(1, 21):
        session.post(Step(seq=seq))
        desk.turn()
    stats = desk.engine.stats()
    assert stats.steps == stats.frames == 20
    assert stats.step_ms_p50 == 10
    assert 10 < stats.step_ms_p95 <= 30


# On its own thread ----------------------------------------------------------------------------------------------------


def test_lockstep_on_the_thread_gives_what_the_world_gives() -> None:
    model = Probe()
    sink = Collector()
    row = (1.0, 0.0, 0.0, 0.0, 3.0, 0.5)
    with Engine(model) as engine:
        running = engine.alive
        session = engine.open(sink, Origin(4), "lockstep")
        for seq in range(1, 21):
            session.post(Step(seq=seq, actions=(row,)))
            frame = sink.take(1, timeout_s=30)[0]
            assert (frame.index, frame.applied) == (seq - 1, seq)
        engine.close(session).result(30)
        assert engine.stats().states == 0
    assert running
    assert not engine.alive
    alone = ToyWorld(height=6, width=8)
    state = alone.start(seed=4)
    for _ in range(20):
        expected = alone.step([state], np.array([[row]], np.float32))[0, 0]
    np.testing.assert_array_equal(frame.pixels, expected)


def test_realtime_on_the_thread_wakes_for_a_pause_and_ends_with_the_engine() -> None:
    model = Probe()
    sink = Collector()
    with Engine(model) as engine:
        session = engine.open(sink, Origin(4))
        frames = sink.take(3, timeout_s=30)
        session.post(Pause(seq=1))
        session.post(Resume(seq=2))
        frames += sink.take(2, timeout_s=30)
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert isinstance(sink.error, SessionClosed)
    assert session.ended.done()
    assert model.living == 0


async def test_opening_on_an_event_loop() -> None:
    sink = Collector()
    with Engine(Probe()) as engine:
        session = await asyncio.wait_for(engine.open_async(sink, Origin(1)), 30)
        await asyncio.wait_for(asyncio.wrap_future(engine.close(session)), 30)
        with pytest.raises(ModelFault):
            await asyncio.wait_for(engine.open_async(sink, Origin(666)), 30)
        assert engine.stats().sessions == 0


async def test_a_caller_that_is_cancelled_while_opening_leaves_no_session() -> None:
    desk = Desk()
    waiting = asyncio.ensure_future(desk.engine.open_async(Collector(), Origin(1)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    desk.turn()
    desk.check_empty()

    # and when the session is opened before the cancellation reaches its caller
    waiting = asyncio.ensure_future(desk.engine.open_async(Collector(), Origin(1)))
    await asyncio.sleep(0)
    desk.turn()
    assert desk.model.living == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    desk.turn()
    desk.check_empty()


def test_an_engine_that_was_not_started_says_so() -> None:
    with pytest.raises(RuntimeError, match="start"):
        Engine(Probe()).open(Collector(), Origin(1))


def test_a_thread_that_dies_leaves_nobody_waiting(caplog: pytest.LogCaptureFixture) -> None:
    model, sink = Probe(), Collector()

    class Abort(BaseException):
        pass

    def abort() -> None:
        raise Abort

    engine = Engine(model)
    engine.start()
    session = engine.open(sink, Origin(1), "lockstep")
    model.during = abort
    with caplog.at_level(logging.CRITICAL):
        session.post(Step(seq=1))
        with pytest.raises(WorldloomError):
            sink.take(1, timeout_s=30)
        engine.stop()
    assert "died" in caplog.text
    assert not engine.alive
    assert model.living == 0
    with pytest.raises(SessionClosed):
        engine.submit(sink, Origin(2))
