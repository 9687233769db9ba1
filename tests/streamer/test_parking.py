"""Paused sessions in few bytes: what is given up and when, what comes back, and what a replay makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from worldloom.models.toy import ToyState
from worldloom.streamer.bundle import read
from worldloom.streamer.client_messages import Pause, Reset, Restore, Resume, Rewind, Step, TakeSnapshot
from worldloom.streamer.engine_config import SessionConfig
from worldloom.streamer.origin import Branch, Origin
from worldloom.streamer.past import PastConfig
from worldloom.streamer.replay_log import ReplayLog
from worldloom.streamer.session import Session
from worldloom.streamer.transports.inprocess import Collector

from .desk import MS, PERIOD, Desk
from .logged import Drive, Logged, check_replay
from .test_snapshot import saved
from .test_travel import Shared, answered, frames, walked

AFTER = 30  # seconds


class Parks(Shared):
    """Makes a memory anew that has turned on a little: so one sees that it was."""

    def __init__(self) -> None:
        super().__init__()
        self.parks = 0

    def park(self, state: ToyState) -> bytes:
        self.parks += 1
        return super().save(replace(state, yaw=round(state.yaw / 7.0) * 7.0))

    def load(self, blob: bytes) -> ToyState:
        self.living += 1
        return super().load(blob)


def desk_of(model: Shared | None = None, seconds: float = 60.0) -> Desk:
    config = SessionConfig(past=PastConfig(seconds=seconds), park_after=AFTER)
    return Desk(model or Parks(), session=config)


def rest(desk: Desk, seconds: float) -> None:
    """As the engine's loop does while nobody says anything."""
    end = desk.now + int(seconds * 1e9)
    for _ in range(500):
        due = desk.turn()
        if due is None or due > end:
            break
        desk.now = max(desk.now, due)
    desk.now = end


def paused(desk: Desk) -> tuple[Session, Collector]:
    session, sink, _ = walked(desk)
    session.post(Pause(seq=50))
    desk.turn()
    return session, sink


def test_a_paused_session_is_parked_after_its_time_with_all_it_can_go_back_to() -> None:
    desk = desk_of()
    session, _ = paused(desk)
    held = desk.model.living
    assert held > 10
    rest(desk, AFTER - 1)
    assert (session.parked, desk.model.living) == (None, held)
    rest(desk, 2)
    assert session.parked is not None
    assert desk.model.living == 0
    stats = desk.engine.stats()
    assert (stats.sessions, stats.states, stats.parked) == (1, 0, 1)
    assert stats.points == held - 1
    desk.engine.close(session)
    desk.turn()
    desk.check_empty()


def test_it_goes_on_nearly_where_it_was_and_says_so() -> None:
    desk, twin = desk_of(), desk_of()
    (session, sink), (stays, seen) = paused(desk), paused(twin)
    rest(desk, AFTER + 1)
    for one in (session, stays):
        one.post(Resume(seq=51))
    (first, second), (true, _) = frames(desk, sink, 2), frames(twin, seen, 2)
    assert (first.index, first.rebuilt, second.rebuilt) == (true.index, True, False)
    assert first.pixels.tobytes() != true.pixels.tobytes()
    assert (session.parked, desk.engine.stats().parked, desk.engine.stats().states) == (None, 0, 1)


def test_a_pass_parks_one_state_and_never_one_that_has_a_step_to_make() -> None:
    desk = desk_of()
    paused(desk)
    _, sink = desk.open(4, "realtime")
    desk.now += AFTER * 1000 * MS
    desk.turn()
    sink.take(1)
    assert desk.model.parks == 0  # type: ignore[attr-defined]
    for parks in (1, 2, 3):
        assert desk.turn() is not None
        assert desk.model.parks == parks  # type: ignore[attr-defined]


@pytest.mark.parametrize("deterministic", [True, False])
def test_who_is_deterministic_keeps_its_memory(deterministic: bool) -> None:
    desk = desk_of()
    session = desk.enter(Collector(), Origin(3, deterministic=deterministic))
    session.post(Pause(seq=1))
    rest(desk, AFTER + 1)
    assert (session.parked is None) == deterministic


def test_where_the_world_cannot_park_or_fails_to_the_memory_stays(caplog: pytest.LogCaptureFixture) -> None:
    class Fails(Parks):
        def park(self, state: ToyState) -> bytes:
            raise RuntimeError("secret detail")

    for model in (Shared(), Fails()):
        desk = desk_of(model)
        session, sink = paused(desk)
        rest(desk, 3 * AFTER)
        assert session.parked is None
        session.post(Resume(seq=51))
        assert not frames(desk, sink, 1)[0].rebuilt
    assert caplog.text.count("failed to park") == 1


def test_single_steps_wake_it_once() -> None:
    desk = desk_of()
    session, sink = paused(desk)
    rest(desk, AFTER + 1)
    for seq in (51, 52):
        session.post(Step(seq=seq))
        desk.turn()
    assert [frame.rebuilt for frame in sink.take(2)] == [True, False]
    rest(desk, 3 * AFTER)
    assert session.parked is None
    session.post(Resume(seq=53))
    desk.turn()
    session.post(Pause(seq=54))
    rest(desk, AFTER + 1)
    assert session.parked is not None


def test_a_parked_session_can_go_back_and_what_it_went_back_to_is_made_anew() -> None:
    desk = desk_of()
    session, sink = paused(desk)
    rest(desk, AFTER + 1)
    session.post(Rewind(seq=60, frame=20))
    session.post(Resume(seq=61))
    (first, *_) = frames(desk, sink, 2)
    assert answered(sink, 60).status == "applied"
    assert first.rebuilt
    assert first.back_to is not None


def test_a_parked_session_can_be_kept_forked_saved_begun_anew_and_ended() -> None:
    desk = desk_of()
    session, sink = paused(desk)
    rest(desk, AFTER + 1)
    past = saved(desk, session, end=False)
    assert past.since.rebuilt
    assert past.state == session.parked
    session.post(TakeSnapshot(seq=60))
    desk.turn()
    assert answered(sink, 60).status == "applied"
    rest(desk, AFTER + 1)
    desk.engine.close(desk.enter(Collector(), Branch(session, None, "realtime")))
    session.post(Reset(seq=61, seed=9))
    session.post(Resume(seq=62))
    (first,) = frames(desk, sink, 1)
    assert (first.rebuilt, first.origin is not None) == (False, True)
    again = desk.enter(Collector(), past)
    for one in (again, session):
        desk.engine.close(one)
    desk.turn()
    desk.check_empty()


def test_a_world_that_cannot_wake_ends_the_session_and_no_other() -> None:
    desk = desk_of()
    session, sink = paused(desk)
    other, seen = desk.open(5, "realtime")
    rest(desk, AFTER + 1)
    session.parked = b"damaged"
    session.post(Resume(seq=51))
    desk.turn(desk.now + PERIOD)
    assert sink.error is not None
    assert session.ended.done()
    assert not other.closing
    assert seen.take(1)


def test_a_replay_parks_where_the_session_was_parked(tmp_path: Path) -> None:
    drive = Drive(desk_of())
    drive.go(20)
    for back in (False, True):
        drive.say(Pause)
        rest(drive.desk, AFTER + 1)
        if back:
            drive.say(Rewind, frame=10)
        drive.say(Resume)
        drive.go(5)
    assert [frame.index for frame in drive.film if frame.rebuilt] == [21, 26]
    drive.bundle.write(tmp_path / "one.wloom")
    check_replay(read(tmp_path / "one.wloom"), Parks(), drive.film)


def test_a_replay_goes_back_to_what_was_kept_right_after_it_woke() -> None:
    drive = Drive(desk_of())
    drive.go(20)
    drive.say(Pause)
    rest(drive.desk, AFTER + 1)
    drive.say(TakeSnapshot)
    drive.desk.turn()
    drive.say(Resume)
    drive.go(5)
    drive.say(Restore, snapshot="s1")
    drive.go(5)
    assert [frame.index for frame in drive.film if frame.rebuilt] == [21, 26]
    assert [frame.back_to for frame in drive.film if frame.back_to is not None] == [21]
    check_replay(drive.bundle, Parks(), drive.film)


@pytest.mark.parametrize("frames_made", [0, 3])
def test_a_fork_of_a_parked_session_is_replayed(frames_made: int) -> None:
    desk = desk_of()
    drive = Drive(desk)
    drive.say(Pause)
    desk.turn()
    for _ in range(frames_made):
        drive.say(Step)
        desk.turn()
    rest(desk, AFTER + 1)
    assert drive.session.parked is not None
    sink = Logged(desk)
    fork = desk.enter(sink, Branch(drive.session, None, drive.session.mode), entry="recovered")
    sink.log.start(saved(desk, fork, end=False))
    fork.post(Resume(seq=9))
    film = frames(desk, sink, 5)
    check_replay(sink.bundle, Parks(), film)


@pytest.mark.parametrize("parked", [True, False])
def test_who_goes_back_and_is_lost_before_the_next_frame_is_still_back_there(parked: bool) -> None:
    """A driver's connection, or an engine, is lost between a rewind and its first frame."""
    drive = Drive(desk_of())
    drive.go(20)
    drive.say(Pause)
    rest(drive.desk, AFTER + 1 if parked else 1)
    drive.say(Rewind, frame=10)
    drive.desk.turn()
    lost = saved(drive.desk, drive.session, end=True)
    drive.session = drive.desk.enter(drive.sink, lost, entry="recovered")
    drive.say(Resume)
    drive.go(5)
    backs = [(frame.index, frame.back_to, frame.rebuilt) for frame in drive.film if frame.back_to is not None]
    assert backs == [(21, 10, parked)]
    check_replay(drive.bundle, Parks(), drive.film)


def test_a_log_forgets_where_it_was_parked_with_its_frames() -> None:
    desk = desk_of()
    _, _, film = walked(desk)
    log = ReplayLog(desk.model.spec, 10)
    for frame in film:
        log.frame(replace(frame, rebuilt=frame.index == 3))
    assert not log._rows.rebuilt
