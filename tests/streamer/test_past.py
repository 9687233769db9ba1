"""What a session can go back to, as values: dense where it is young, bounded, and on one line."""

from __future__ import annotations

import pytest

from worldloom.streamer.origin import Origin
from worldloom.streamer.past import NEARNESS, Past, PastConfig, Point
from worldloom.streamer.since import MADE

REACH = 1050  # a minute of 17.5 frames/s


def point(moment: int, index: int | None = None) -> Point:
    return Point(moment if index is None else index, moment, Origin(1), MADE, f"state {moment}")


def filled(frames: int, **config: int) -> Past:
    past = Past(PastConfig(60.0, **config), reach=REACH)
    for moment in range(frames):
        past.add(point(moment))
    return past


def moments(past: Past) -> list[int]:
    return [one.moment for one in past]


@pytest.mark.parametrize("frames", [1, 9, 200, 3000])
def test_any_moment_of_the_last_minute_is_an_eighth_of_its_age_away(frames: int) -> None:
    past = filled(frames)
    now = frames - 1
    for back in range(min(now, REACH * 7 // NEARNESS)):
        found = past.at_moment(now - back)
        assert found is not None
        assert 0 <= now - back - found.moment <= max(back, NEARNESS) / (NEARNESS - 1)


def test_a_minute_takes_a_few_dozens_and_nothing_older_is_kept() -> None:
    past = filled(5000)
    config = PastConfig(60.0)
    assert min(moments(past)) >= 5000 - 1 - REACH
    assert len(past) * 1000 <= config.reserve(17.5, 1000)
    assert config.reserve(17.5, 2**30) == config.octets
    assert PastConfig().reserve(17.5, 10) == 160


def test_every_state_is_given_back_once() -> None:
    past = filled(500)
    gone = past.taken()
    assert past.taken() == []
    past.keep(point(7))
    past.cut(past.at_moment(300) or point(0))
    gone += past.taken()
    past.clear()
    gone += past.taken()
    assert sorted(gone) == sorted([f"state {k}" for k in range(500)] + ["state 7"])
    assert not past.shed()


def test_who_goes_back_cuts_off_what_came_after() -> None:
    past = filled(100)
    back = past.at_moment(40)
    assert back is not None
    past.cut(back)
    assert max(moments(past)) == back.moment
    past.add(point(back.moment + 1, index=100))
    found = past.at_frame(70)  # which nobody can come back to any more
    assert found is back
    found = past.at_frame(100)
    assert found is not None
    assert found.index == 100


def test_a_snapshot_has_its_own_past_again() -> None:
    past = filled(100)
    then = past.line
    name = past.keep(Point(100, 99, Origin(1), MADE, "kept", line=then))
    past.cut(past.at_moment(20) or point(0))
    for moment in range(21, 60):  # another way
        past.add(point(moment, index=moment + 80))
    kept = past.named(name)
    assert kept is not None
    past.cut(kept)
    line = {one.moment for one in past if one is not kept}
    assert line <= then
    assert past.named("s2") is None


def test_snapshots_are_bounded_and_outlive_points() -> None:
    past = filled(10, snapshots=2)
    names = [past.keep(point(k)) for k in range(3)]
    assert [past.named(name) is not None for name in names] == [False, True, True]
    while past.named(names[1]):
        assert past.shed()
    assert moments(past) == [2]


def test_without_a_reach_nothing_but_now_is_kept() -> None:
    past = Past(PastConfig(), reach=0)
    for moment in range(5):
        past.add(point(moment))
    assert moments(past) == [4]
