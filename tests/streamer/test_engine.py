"""The engine's door, under a clock of the test: closing, resetting, admission; then a few runs on its real thread."""

from __future__ import annotations

import asyncio
import logging
import threading

import numpy as np
import pytest

from worldloom.models.toy import ToyWorld
from worldloom.streamer.client_messages import Key, Pause, Reset, Resume, Step
from worldloom.streamer.engine import Engine
from worldloom.streamer.errors import Busy, ModelFault, SessionClosed, WorldloomError
from worldloom.streamer.origin import Origin
from worldloom.streamer.transports.inprocess import Collector

from .desk import MS, PERIOD, Desk, Probe

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


def test_work_is_done_on_the_engines_thread_and_its_error_comes_back() -> None:
    with Engine(ToyWorld()) as engine:
        assert engine.work(lambda model: (model.spec.name, threading.current_thread().name)).result(5) == (
            "toy",
            "worldloom-engine",
        )
        with pytest.raises(ZeroDivisionError):
            engine.work(lambda _: 1 / 0).result(5)
        assert engine.work(lambda _: "alive").result(5) == "alive"
    with pytest.raises(SessionClosed):
        engine.work(lambda _: None)


def test_work_that_still_waits_at_the_end_is_told() -> None:
    engine = Engine(ToyWorld())
    waiting = engine.work(lambda _: "never")
    engine.stop()
    with pytest.raises(SessionClosed):
        waiting.result(1)
