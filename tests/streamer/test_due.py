"""Who is stepped when, and with whom; with real sessions and no engine."""

from __future__ import annotations

from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.client_messages import Pause, Step
from worldloom.streamer.due import Dues, batch_of, beat_of, dues_of
from worldloom.streamer.fields import Mode
from worldloom.streamer.origin import Origin
from worldloom.streamer.session import Session

MS = 1_000_000
SPAN = 50 * MS


def session(at_ms: int, mode: Mode = "realtime") -> Session:
    """Due from then on."""
    made = Session(ToyWorld().spec, ToyState(0), Origin(0), ident=str(at_ms), now_ns=at_ms * MS, mode=mode)
    if mode == "lockstep":
        made.post(Step(seq=1))
        made.read(at_ms * MS)
    return made


def dues(*sessions: Session, now_ms: int, step_ms: float = 0.0) -> Dues:
    return dues_of(sessions, now_ms * MS, span_ns=SPAN, step_ns=lambda batch: step_ms * MS * batch)


def batch(due: Dues, now_ms: int, *, most: int = 8, apart: bool = False) -> list[Session]:
    return list(batch_of(due, now_ms * MS, gather_ns=12 * MS, most=most, apart=apart))


def test_the_longest_due_go_first_and_those_due_soon_join() -> None:
    late, now, soon, later = (session(at) for at in (95, 100, 112, 113))
    due = dues(later, soon, now, late, now_ms=100)
    assert [one for _, one in due] == [late, now, soon, later]
    assert batch(due, 100) == [late, now, soon]
    assert batch(due, 100, most=2) == [late, now]
    assert batch(due, 94) == []


def test_lockstep_goes_at_once_where_its_step_is_over_in_time() -> None:
    watched, robot = session(150), session(100, "lockstep")
    assert batch(dues(watched, robot, now_ms=100, step_ms=50), 100) == [robot]
    held = dues(watched, robot, now_ms=100, step_ms=51)
    assert batch(held, 100) == []
    assert held[0][0] == 150 * MS
    assert set(batch(dues(watched, robot, now_ms=150, step_ms=51), 150)) == {watched, robot}


def test_two_lockstep_sessions_need_room_for_both() -> None:
    watched, one, other = session(150), session(100, "lockstep"), session(100, "lockstep")
    assert batch(dues(watched, one, other, now_ms=100, step_ms=26), 100) == []


def test_lockstep_waits_no_longer_than_a_chunk_lasts() -> None:
    watched, robot = session(400), session(100, "lockstep")  # the rate is divided: the next frame is far
    assert dues(watched, robot, now_ms=100, step_ms=1000)[0] == (150 * MS, robot)
    assert batch(dues(watched, robot, now_ms=150, step_ms=1000), 150) == [robot]


def test_lockstep_alone_never_waits() -> None:
    robot = session(100, "lockstep")
    assert batch(dues(robot, now_ms=100, step_ms=1000), 100) == [robot]


def test_apart_the_longest_due_decides_which_kind_goes() -> None:
    watched, other, robot = session(100), session(105), session(99, "lockstep")
    due = dues(watched, other, robot, now_ms=105)
    assert batch(due, 105) == [robot, watched, other]
    assert batch(due, 105, apart=True) == [robot]
    assert batch(due[1:], 105, apart=True) == [watched, other]


def test_who_is_closing_or_paused_is_not_due() -> None:
    closing, paused = session(100), session(100)
    closing.close()
    paused.post(Pause(seq=1))
    paused.read(0)
    assert dues(closing, paused, now_ms=100) == []
    assert beat_of([closing, paused], 70 * MS) == 70 * MS


def test_the_beat_is_that_of_realtime_sessions() -> None:
    assert beat_of([session(80, "lockstep"), session(150), session(120)], 100 * MS) == 120 * MS
    assert beat_of([session(90)], 100 * MS) == 100 * MS, "late already: with it, now"
    assert beat_of([], 100 * MS) == 100 * MS
