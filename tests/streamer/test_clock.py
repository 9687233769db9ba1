"""The schedule is exact, forgets stalls instead of repaying them, and moves pts along."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldloom.streamer.clock import NS, FrameClock

MS = 1_000_000


def started(fps: Fraction = Fraction(20), grace_ns: int = 0) -> FrameClock:
    clock = FrameClock(fps, grace_ns=grace_ns)
    clock.anchor(0, 1000 * MS)
    return clock


def test_frames_are_due_at_exact_times_for_ever() -> None:
    clock = started(Fraction(35, 2))
    assert clock.due(0) == 1000 * MS
    assert clock.due(35 * 10**6) == 1000 * MS + 2 * 10**6 * NS  # two million seconds later, to the nanosecond
    assert clock.pts(35 * 10**6) == 2 * 10**6 * 90_000


def test_a_clock_that_was_never_anchored_says_so() -> None:
    with pytest.raises(ValueError, match="anchor"):
        FrameClock(Fraction(20)).due(0)


@pytest.mark.parametrize("fps", [Fraction(0), Fraction(-1)])
def test_a_frame_rate_is_positive(fps: Fraction) -> None:
    with pytest.raises(ValueError, match="frame rate"):
        FrameClock(fps)


def test_wait_counts_down_and_stops_at_zero() -> None:
    clock = started()
    assert clock.wait(1, 1000 * MS) == 50 * MS
    assert clock.wait(1, 1040 * MS) == 10 * MS
    assert clock.wait(1, 1060 * MS) == 0


def test_a_stall_is_forgotten_never_repaid_by_a_burst() -> None:
    clock = started()
    assert clock.settle(1, 1050 * MS) == 0
    assert clock.settle(2, 3100 * MS) == 2000 * MS  # two seconds late: forty frames are not owed
    assert clock.due(2) == 3100 * MS
    assert [clock.due(index) for index in (3, 4, 5)] == [3150 * MS, 3200 * MS, 3250 * MS]


def test_pts_skips_with_a_stall() -> None:
    clock = started()
    before = clock.pts(1)
    clock.settle(2, 3100 * MS)
    assert clock.pts(2) - before == 4500 + 2 * 90_000
    assert clock.pts(3) - clock.pts(2) == 4500


def test_lateness_within_the_grace_is_made_up() -> None:
    clock = started(grace_ns=12 * MS)
    assert clock.settle(1, 1060 * MS) == 0
    assert clock.due(2) == 1100 * MS
    assert clock.settle(2, 1113 * MS) == 13 * MS
    assert clock.due(3) == 1163 * MS


def test_an_early_start_does_not_pull_the_schedule_forward() -> None:
    clock = started()
    clock.anchor(5, 1001 * MS)
    assert clock.due(5) == 1250 * MS


def test_resuming_after_a_pause_is_due_now_and_pts_tells_the_pause() -> None:
    clock = started()
    clock.anchor(4, 9000 * MS)
    assert clock.due(4) == 9000 * MS
    assert clock.pts(4) == 8 * 90_000


def test_a_span_of_frames() -> None:
    assert started(Fraction(25)).span_ns(3) == 120 * MS


@given(
    st.fractions(min_value=Fraction(1, 10), max_value=240, max_denominator=1001),
    st.lists(st.integers(min_value=-50 * MS, max_value=5000 * MS), max_size=60),
    st.integers(min_value=0, max_value=20 * MS),
)
def test_pts_and_due_always_grow_and_agree(fps: Fraction, lateness: list[int], grace_ns: int) -> None:
    clock = FrameClock(fps, grace_ns=grace_ns)
    clock.anchor(0, 0)
    last_pts, last_due = -1, -1
    for index, late in enumerate(lateness):
        clock.settle(index, clock.due(index) + late)
        assert clock.pts(index) > last_pts
        assert clock.due(index) > last_due
        assert abs(Fraction(clock.pts(index), 90_000) - Fraction(clock.due(index), NS)) <= Fraction(2, 90_000)
        last_pts, last_due = clock.pts(index), clock.due(index)
