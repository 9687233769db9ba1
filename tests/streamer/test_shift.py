"""A driver moves the schedule of frames, once, so that pictures meet the display's beat."""

from __future__ import annotations

from fractions import Fraction

import pytest

from worldloom.streamer.client_messages import Shift
from worldloom.streamer.clock import FrameClock
from worldloom.streamer.errors import Unsupported

from .desk import MS, PERIOD, Desk


def test_frames_to_come_are_due_later_and_their_times_follow() -> None:
    desk = Desk()
    session, sink = desk.open(mode="realtime")
    desk.turn(PERIOD)
    session.post(Shift(seq=1, ms=4.0))
    assert desk.turn(PERIOD + 10 * MS) == 2 * PERIOD + 4 * MS
    desk.turn(2 * PERIOD + 4 * MS)
    session.post(Shift(seq=2, ms=-3.0))
    assert desk.turn(2 * PERIOD + 10 * MS) == 3 * PERIOD + MS
    desk.turn(3 * PERIOD + MS)
    pts = [frame.pts for frame in sink.take(4)]
    assert [b - a for a, b in zip(pts, pts[1:], strict=False)] == [4500, 4860, 4230]
    assert [(receipt.seq, receipt.status, receipt.frame) for receipt in sink.take_receipts()] == [
        (1, "applied", 2),
        (2, "applied", 3),
    ]
    assert desk.engine.stats().stalls == 0


def test_earlier_by_a_quarter_of_a_frame_and_never_before_the_beginning() -> None:
    clock = FrameClock(Fraction(20))
    clock.anchor(0, 0)
    clock.shift(-5 * MS)
    assert clock.due(1) == PERIOD
    clock.shift(40 * MS)
    clock.shift(-30 * MS)
    assert clock.due(1) == PERIOD + 40 * MS - PERIOD // 4
    assert clock.pts(0) >= 0


def test_who_has_a_schedule_with_others_stays_with_them() -> None:
    desk = Desk()
    session, sink = desk.open(mode="realtime")
    other, _ = desk.open(mode="realtime")
    desk.turn(PERIOD)
    session.post(Shift(seq=1, ms=4.0))
    desk.turn(PERIOD + 10 * MS)
    (receipt,) = sink.take_receipts()
    assert (receipt.status, receipt.code) == ("rejected", "unsupported")
    other.close()
    desk.turn()
    session.post(Shift(seq=2, ms=4.0))
    desk.turn()
    assert [receipt.status for receipt in sink.take_receipts()] == ["applied"]


def test_no_clock_paces_lockstep() -> None:
    desk = Desk()
    session, _ = desk.open(mode="lockstep")
    with pytest.raises(Unsupported, match="no clock paces"):
        session.post(Shift(seq=1, ms=4.0))
