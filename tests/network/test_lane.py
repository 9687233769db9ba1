"""One direction of a link, by the numbers: no namespace, no clock, no luck."""

from __future__ import annotations

import math

import pytest

from .lane import Conditions, Lane

PACKET = bytes([0x45]) + bytes(999)  # 1000 bytes: 8 ms at a megabit a second
MEGABIT = 1e6


def lane(**conditions: float) -> Lane:
    made = Lane(seed=1)
    made.conditions = Conditions(**conditions)  # type: ignore[arg-type]
    return made


def arrivals(lane: Lane) -> list[float]:
    """When packets leave, taken exactly when they are due."""
    times = []
    while (at := lane.next_at()) < math.inf:
        times += [round(at, 6)] * len(lane.leave(at))
    return times


def test_a_clean_lane_passes_packets_at_once_and_in_order() -> None:
    clean = lane()
    clean.enter(PACKET, 1.0)
    clean.enter(PACKET[:500], 1.0)
    assert clean.leave(1.0) == [PACKET, PACKET[:500]]
    assert (clean.counts.entered, clean.counts.forwarded, clean.counts.forwarded_bytes) == (2, 2, 1500)


def test_the_rate_spaces_packets_and_the_delay_comes_on_top() -> None:
    slow = lane(rate_bps=MEGABIT, delay_ms=100)
    for _ in range(3):
        slow.enter(PACKET, 5.0)
    assert arrivals(slow) == [5.108, 5.116, 5.124]


def test_being_called_late_does_not_lower_the_rate() -> None:
    slow = lane(rate_bps=MEGABIT)
    for _ in range(10):
        slow.enter(PACKET, 0.0)
    assert len(slow.leave(0.0801)) == 10


def test_what_waits_when_the_rate_changes_is_sent_at_the_new_one() -> None:
    slow = lane(rate_bps=MEGABIT)
    for _ in range(3):
        slow.enter(PACKET, 0.0)
    slow.conditions = Conditions(rate_bps=10 * MEGABIT)
    assert arrivals(slow) == [0.008, 0.0088, 0.0096]


def test_the_queue_drops_what_comes_on_top() -> None:
    slow = lane(rate_bps=MEGABIT, queue_bytes=3500)
    for _ in range(6):
        slow.enter(PACKET, 0.0)
    assert slow.counts.queue_drops == 2  # one is on the wire, three wait
    assert len(arrivals(slow)) == 4


def test_a_shorter_delay_overtakes_nobody() -> None:
    path = lane(delay_ms=100)
    path.enter(PACKET, 0.0)
    path.conditions = Conditions(delay_ms=10)
    path.enter(PACKET[:500], 0.02)
    assert path.leave(0.0999) == []
    assert path.leave(0.1) == [PACKET, PACKET[:500]]


def test_an_outage_takes_what_was_under_way() -> None:
    path = lane(delay_ms=100)
    path.enter(PACKET, 0.0)
    path.conditions = Conditions(delay_ms=100, down=True)
    path.enter(PACKET, 0.05)
    assert path.leave(0.1) == []
    assert path.counts.cut == 2
    path.conditions = Conditions()
    path.enter(PACKET, 0.2)
    assert path.leave(0.2) == [PACKET]


@pytest.mark.parametrize("wrong", [{"loss": 2}, {"duplicate": -0.1}, {"delay_ms": -1}, {"rate_bps": math.inf}])
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        lane(**wrong)
