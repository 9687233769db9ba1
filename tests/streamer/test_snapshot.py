"""A session that is saved and goes on: the same world at the same frame, on the same engine or on another."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.client_messages import Key, Pause, Step
from worldloom.streamer.engine import Engine
from worldloom.streamer.errors import Busy, ModelFault, SessionClosed, Unsupported
from worldloom.streamer.fields import Mode
from worldloom.streamer.origin import Origin, Snapshot
from worldloom.streamer.phase import Phase
from worldloom.streamer.session import Session
from worldloom.streamer.transports.inprocess import Collector

from .desk import MS, PERIOD, Desk, Probe


class Unsavable(Probe):
    """A world that cannot save."""

    def save(self, state: ToyState) -> bytes:
        raise NotImplementedError


class Counted(Probe):
    """Counts loaded states too."""

    def load(self, blob: bytes) -> ToyState:
        self.living += 1
        return super().load(blob)


def walk(desk: Desk, session: Session, sink: Collector, steps: int, first_seq: int) -> list[NDArray[np.uint8]]:
    for number in range(steps):
        session.post(Step(seq=first_seq + number, actions=((1.0, 0.0, 0.0, 0.0, 3.0, 0.0),)))
        desk.turn()
    return [frame.pixels for frame in sink.take(steps)]


def saved(desk: Desk, session: Session, *, end: bool) -> Snapshot:
    answer = desk.engine.snapshot(session, end=end)
    desk.turn()
    return answer.result(0)


def reopened(desk: Desk, snapshot: Snapshot) -> tuple[Session, Collector]:
    sink = Collector()
    return desk.enter(sink, snapshot), sink


def test_the_same_world_at_the_same_frame() -> None:
    desk = Desk(Counted())
    straight, straight_sink = desk.open(5)
    want = walk(desk, straight, straight_sink, 6, 1)
    session, sink = desk.open(5)
    walk(desk, session, sink, 3, 1)
    snapshot = saved(desk, session, end=True)
    assert session.phase is Phase.CLOSED
    assert session.ended.done()
    again, sink = reopened(desk, snapshot)
    assert (again.ident, again.index, again.mode) == (session.ident, 3, "lockstep")
    for made, wanted in zip(walk(desk, again, sink, 3, 4), want[3:], strict=True):
        np.testing.assert_array_equal(made, wanted)
    for one in (again, straight):
        one.close()
    desk.turn()
    desk.check_empty()


def test_a_snapshot_that_does_not_end_leaves_the_session_as_it_is() -> None:
    desk = Desk(Counted())
    session, sink = desk.open(1)
    walk(desk, session, sink, 2, 1)
    snapshot = saved(desk, session, end=False)
    assert walk(desk, session, sink, 1, 3)
    assert (snapshot.index, session.index) == (2, 3)
    assert desk.engine.stats().states == 1


@pytest.mark.parametrize("paused", [True, False])
def test_time_between_is_forgotten_and_pts_goes_on(paused: bool) -> None:
    desk = Desk(Counted())
    session, sink = desk.open(1, "realtime")
    for number in range(3):
        desk.turn(number * PERIOD)
    before = sink.take(3)[-1]
    if paused:
        session.post(Pause(seq=1))
        desk.turn()
    snapshot = saved(desk, session, end=True)
    desk.now += 60_000 * MS
    again, sink = reopened(desk, snapshot)
    assert again.phase is (Phase.PAUSED if paused else Phase.LIVE)
    assert (again.due() is None) == paused
    if not paused:
        desk.turn()
        after = sink.take(1)[0]
        assert after.index == before.index + 1
        assert (after.pts - before.pts) / 90_000 == pytest.approx(60.05, abs=0.06)


def test_nothing_is_held_after_a_snapshot_and_what_waited_expires() -> None:
    desk = Desk(Counted())
    session, sink = desk.open(1, "realtime")
    session.post(Key(seq=1, code="KeyW", down=True))
    desk.turn(PERIOD)
    session.post(Key(seq=2, code="KeyD", down=True))
    snapshot = saved(desk, session, end=True)
    assert [receipt.status for receipt in sink.take_receipts()] == ["applied", "expired"]
    desk.model.rows.clear()
    reopened(desk, snapshot)
    desk.turn(2 * PERIOD)
    assert not desk.model.rows[-1].any()


def test_letting_go_releases_keys_and_levels_but_not_the_session() -> None:
    desk = Desk()
    session, _ = desk.open(1, "realtime")
    session.post(Key(seq=1, code="KeyW", down=True))
    desk.turn(PERIOD)
    assert desk.model.rows[-1].any()
    session.let_go()
    desk.turn(2 * PERIOD)
    assert not desk.model.rows[-1].any()
    assert session.phase is Phase.LIVE


@pytest.mark.parametrize("end", [True, False])
def test_a_world_that_cannot_save(end: bool) -> None:
    desk = Desk(Unsavable())
    session, _ = desk.open(1)
    answer = desk.engine.snapshot(session, end=end)
    desk.turn()
    assert isinstance(answer.exception(0), ModelFault)
    assert session.ended.done() == end
    assert desk.engine.stats().states == (0 if end else 1)


def test_a_session_that_has_ended_has_no_snapshot() -> None:
    desk = Desk()
    session, _ = desk.open(1)
    session.close()
    desk.turn()
    answer = desk.engine.snapshot(session)
    desk.turn()
    assert isinstance(answer.exception(0), SessionClosed)


def test_a_damaged_snapshot_is_refused_and_leaves_nothing() -> None:
    desk = Desk()
    session, _ = desk.open(1)
    snapshot = saved(desk, session, end=True)
    broken = Snapshot(**{**snapshot.__dict__, "state": b"not a state"})
    answer = desk.engine.submit(Collector(), broken)
    desk.turn()
    assert isinstance(answer.exception(0), Unsupported)
    desk.check_empty()


def test_what_ends_makes_room_in_the_same_turn() -> None:
    desk = Desk(Counted(), max_sessions=1)
    session, _ = desk.open(1)
    with pytest.raises(Busy):
        desk.engine.submit(Collector(), Origin(2))
    saved(desk, session, end=True)
    desk.open(2)


def test_on_a_real_thread() -> None:
    mode: Mode = "lockstep"
    with Engine(ToyWorld(height=6, width=8)) as one, Engine(ToyWorld(height=6, width=8)) as other:
        session = one.open(Collector(), Origin(3), mode)
        snapshot = one.snapshot(session, end=True).result(5)
        sink = Collector()
        again = other.submit(sink, snapshot).result(5)
        again.post(Step(seq=1))
        assert sink.take(1, timeout_s=5)[0].index == 0
    with pytest.raises(SessionClosed):
        one.snapshot(session).result(1)
