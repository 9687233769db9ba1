"""One pass of the engine at a time, under a clock of the test: batching, pacing, faults."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.client_messages import Key, Pause, Reset, Resume, Step
from worldloom.streamer.errors import ModelFault, SessionClosed, Unsupported
from worldloom.streamer.origin import Origin
from worldloom.streamer.transports.inprocess import Collector

from .desk import MS, PERIOD, Desk, Probe


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


class Unsteady(Probe):
    """A world whose streams are rounded otherwise in a batch."""

    @property
    def steady(self) -> bool:
        return False


@pytest.mark.parametrize(("steady", "batches"), [(False, [2, 1, 1]), (True, [4])])
def test_who_must_not_depend_on_others_is_stepped_alone_where_that_matters(steady: bool, batches: list[int]) -> None:
    desk = Desk(Probe() if steady else Unsteady())
    sinks = [Collector() for _ in range(4)]
    answers = [
        desk.engine.submit(sink, Origin(seed, deterministic=seed in (1, 3)), "realtime")
        for seed, sink in enumerate(sinks)
    ]
    desk.turn()
    assert desk.model.batches == batches
    assert [len(sink.take(1)) for sink in sinks] == [1, 1, 1, 1]
    for answer in answers:
        answer.result(0).close()
    desk.turn()
    desk.check_empty()


def test_one_that_is_stepped_alone_fails_alone() -> None:
    desk = Desk(Unsteady())
    desk.model.guilty = {1}
    sinks = [Collector(), Collector()]
    for seed, sink in enumerate(sinks):
        desk.engine.submit(sink, Origin(seed, deterministic=True), "realtime")
    desk.turn()
    assert len(sinks[0].take(1)) == 1
    assert sinks[0].error is None
    assert sinks[1].error is not None
