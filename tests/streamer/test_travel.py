"""Sessions that go back in time, one engine pass at a time: what they dream then, and what becomes of the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.client_messages import Key, Look, Pause, Reset, Restore, Resume, Rewind, Step, TakeSnapshot
from worldloom.streamer.engine_config import SessionConfig
from worldloom.streamer.errors import Unsupported
from worldloom.streamer.frames import Frame
from worldloom.streamer.past import PastConfig
from worldloom.streamer.protocol import Control
from worldloom.streamer.server_messages import Receipt
from worldloom.streamer.session import Session
from worldloom.streamer.transports.inprocess import Collector

from .desk import PERIOD, Desk, Probe


class Shared(Probe):
    """Counts forks among its states, and says what they hold."""

    each = 100  # bytes of a state

    def fork(self, state: ToyState) -> ToyState:
        self.living += 1
        return super().fork(state)

    def footprint(self, states: Any) -> int:
        return self.each * len(list(states))


class Unshared(Shared):
    footprint = property()  # as if it had none


class Unforkable(Shared):
    def fork(self, state: ToyState) -> ToyState:
        raise RuntimeError("secret detail")


def desk_of(model: Probe | None = None, **past: Any) -> Desk:
    config = PastConfig(**{"seconds": 60.0, **past})
    return Desk(model or Shared(), session=SessionConfig(past=config))


def frames(desk: Desk, sink: Collector, count: int) -> list[Frame]:
    made = []
    for _ in range(count):
        desk.turn(desk.now + PERIOD)
        made += sink.take(1)
    return made


def pixels(made: list[Frame]) -> list[bytes]:
    return [frame.pixels.tobytes() for frame in made]


def walked(desk: Desk) -> tuple[Session, Collector, list[Frame]]:
    """A realtime session after forty frames of walking and turning; frame k is number k."""
    session, sink = desk.open(3, "realtime")
    session.post(Key(seq=1, code="KeyW", down=True))
    session.post(Key(seq=2, code="ArrowRight", down=True))
    return session, sink, sink.take(1) + frames(desk, sink, 39)


def answered(sink: Collector, seq: int) -> Receipt:
    return {receipt.seq: receipt for receipt in sink.take_receipts()}[seq]


def test_the_second_frame_after_a_rewind_is_of_the_past() -> None:
    desk = desk_of()
    session, sink, film = walked(desk)
    session.post(Rewind(seq=9, frame=37))
    again = frames(desk, sink, 3)
    assert pixels(again) == pixels(film[37:40])
    receipt = answered(sink, 9)
    assert (receipt.status, receipt.frame, receipt.to) == ("applied", 40, 37)
    assert [frame.index for frame in again] == [40, 41, 42]
    assert [frame.back_to for frame in again] == [37, None, None]


def test_numbers_and_times_of_frames_only_grow() -> None:
    desk = desk_of()
    session, sink, film = walked(desk)
    session.post(Rewind(seq=9, seconds=1.0))
    all_of_it = film + frames(desk, sink, 5)
    steps = [b.pts - a.pts for a, b in zip(all_of_it, all_of_it[1:], strict=False)]
    assert steps == [4500] * 44
    assert [frame.index for frame in all_of_it] == list(range(45))
    assert desk.engine.stats().stalls == 0


def test_seconds_are_of_the_worlds_own_past() -> None:
    """Two seconds back twice is four seconds back, whatever was shown in between."""
    desk = desk_of()
    session, sink, film = walked(desk)
    session.post(Rewind(seq=3, seconds=0.5))
    first = frames(desk, sink, 1)
    session.post(Rewind(seq=4, seconds=0.55))
    second = frames(desk, sink, 1)
    receipts = {one.seq: one for one in sink.take_receipts()}
    one, two = receipts[3].to, receipts[4].to
    assert one is not None
    assert two is not None
    assert 28 <= one <= 30
    assert one - 12 <= two <= one - 10
    assert pixels(first + second) == pixels([film[one], film[two]])


def test_two_rewinds_in_one_pass_both_count() -> None:
    desk = desk_of()
    session, sink, film = walked(desk)
    session.post(Rewind(seq=3, frame=38))
    session.post(Rewind(seq=4, frame=30))
    made = frames(desk, sink, 1)
    receipts = {one.seq: one for one in sink.take_receipts()}
    assert (receipts[3].status, receipts[4].status) == ("applied", "applied")
    to = receipts[4].to
    assert to is not None
    assert pixels(made) == pixels([film[to]])


def test_what_waited_for_the_abandoned_future_expires_and_what_is_held_is_held() -> None:
    desk = desk_of()
    session, sink, _ = walked(desk)
    sink.take_receipts()
    session.post(Look(seq=5, yaw=3.0))
    session.post(Rewind(seq=6, frame=30))
    session.post(Look(seq=7, yaw=-2.0))
    desk.model.rows.clear()
    frames(desk, sink, 1)
    said = {one.seq: one.status for one in sink.take_receipts()}
    assert said == {5: "expired", 6: "applied", 7: "applied"}
    assert desk.model.rows[0][0, 0].tolist() == [1, 0, 0, 0, 3, 0]  # W, and 5 degrees of the arrow less 2


def test_beyond_the_reach_it_is_refused_and_all_goes_on() -> None:
    desk = desk_of()
    session, sink, _ = walked(desk)
    wishes: list[Rewind | Restore] = [
        Rewind(seq=5, seconds=30.0),
        Rewind(seq=6, frame=400),
        Restore(seq=7, snapshot="s9"),
    ]
    for wish in wishes:
        session.post(wish)
        frames(desk, sink, 1)
        receipt = answered(sink, wish.seq)
        assert receipt.status == "rejected"
        assert receipt.code == ("unknown_snapshot" if isinstance(wish, Restore) else "out_of_reach")
    assert session.index == 43


def test_a_reset_can_be_undone() -> None:
    desk = desk_of()
    session, sink, film = walked(desk)
    session.post(Reset(seq=5, seed=8))
    other = frames(desk, sink, 2)
    assert pixels(other) != pixels(film[38:])
    session.post(Rewind(seq=6, frame=40))
    (back,) = frames(desk, sink, 1)
    assert session.origin.seed == 3
    assert back.back_to == 40
    session.post(Rewind(seq=7, frame=0))
    (first,) = frames(desk, sink, 1)
    assert first.origin == session.origin  # a log would say that the world began anew
    alone = ToyWorld(height=6, width=8)
    assert first.actions is not None
    want = alone.step([alone.start(seed=3)], first.actions[None, None])
    assert np.array_equal(first.pixels, want[0, 0])


def test_a_snapshot_is_restored_any_number_of_times() -> None:
    desk = desk_of()
    session, sink, _ = walked(desk)
    session.post(TakeSnapshot(seq=5))
    want = pixels(frames(desk, sink, 4))
    name = answered(sink, 5).snapshot
    assert name is not None
    for seq in (6, 7):
        session.post(Restore(seq=seq, snapshot=name))
        assert pixels(frames(desk, sink, 4)) == want
        assert answered(sink, seq).to == 40


def test_a_snapshot_taken_right_after_going_back_is_of_where_that_was() -> None:
    """Frame 40 would have been another one: a log that said `to` 40 would replay that."""
    desk = desk_of()
    session, sink, film = walked(desk)
    session.post(Rewind(seq=5, frame=38))
    session.post(TakeSnapshot(seq=6))
    frames(desk, sink, 3)
    session.post(Restore(seq=7, snapshot="s1"))
    (back,) = frames(desk, sink, 1)
    assert back.back_to == 38
    assert pixels([back]) == pixels(film[38:39])


def test_in_lockstep_there_are_snapshots_and_no_restore_points() -> None:
    desk = desk_of()
    session, sink = desk.open(3)

    def step(seq: int) -> NDArray[np.uint8]:
        session.post(Step(seq=seq, actions=((1.0, 0.0, 0.0, 0.0, 3.0, 0.0),)))
        desk.turn()
        return sink.take(1)[0].pixels

    step(1)
    assert desk.engine.stats().points == 0
    with pytest.raises(Unsupported):
        session.post(Rewind(seq=2, seconds=1.0))
    session.post(TakeSnapshot(seq=3))
    want = step(4)
    step(5)
    session.post(Restore(seq=6, snapshot="s1"))
    assert np.array_equal(step(7), want)


def test_a_paused_session_goes_back_and_stays_paused() -> None:
    desk = desk_of()
    session, sink, film = walked(desk)
    session.post(Pause(seq=5))
    session.post(Rewind(seq=6, frame=35))
    assert desk.turn() is None
    assert answered(sink, 6).status == "applied"
    session.post(Resume(seq=7))
    assert pixels(frames(desk, sink, 1)) == pixels(film[35:36])


def test_states_are_counted_and_all_are_freed() -> None:
    desk = desk_of()
    sessions = [walked(desk)[0], desk.open(4, "realtime")[0]]
    wishes: list[Control] = [TakeSnapshot(seq=50), Rewind(seq=51, frame=30), Restore(seq=52, snapshot="s1")]
    for wish in wishes:
        sessions[0].post(wish)
        desk.turn(desk.now + PERIOD)
        stats = desk.engine.stats()
        assert stats.states == 2
        assert stats.states + stats.points == desk.model.living
    assert desk.engine.stats().points > 2
    for session in sessions:
        session.close()
    desk.turn()
    desk.check_empty()
    assert desk.engine.stats().points == 0


def test_a_session_whose_world_fails_frees_its_past() -> None:
    desk = desk_of()
    walked(desk)
    desk.model.guilty.add(3)
    desk.turn(desk.now + PERIOD)
    desk.check_empty()


def test_its_bytes_bound_a_past() -> None:
    desk = desk_of(octets=1000)
    session, _, _ = walked(desk)  # exactly two seconds; its bytes are counted once a second
    assert 0 < len(session.past) <= 10
    for seq in range(100, 120):
        session.post(TakeSnapshot(seq=seq))
        desk.turn()
        assert len(session.past) <= 10


def test_worlds_whose_forks_are_copies_have_no_restore_points() -> None:
    desk = desk_of(Unshared())
    session, sink, _ = walked(desk)
    assert desk.engine.stats().points == 0
    session.post(Rewind(seq=5, seconds=0.2))
    frames(desk, sink, 1)
    assert answered(sink, 5).code == "out_of_reach"


def test_a_world_that_cannot_fork_still_runs(caplog: pytest.LogCaptureFixture) -> None:
    desk = desk_of(Unforkable())
    session, sink, _ = walked(desk)
    session.post(TakeSnapshot(seq=5))
    frames(desk, sink, 1)
    assert answered(sink, 5).code == "model_fault"
    assert len([one for one in caplog.records if "cannot be rewound" in one.message]) == 1


def test_a_wish_that_waits_when_the_session_ends_expires() -> None:
    desk = desk_of()
    session, sink, _ = walked(desk)
    session.post(Rewind(seq=5, seconds=0.2))
    session.close()
    desk.turn()
    assert answered(sink, 5).status == "expired"
