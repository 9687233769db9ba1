"""When packets leave twice, and when that has to rest."""

from __future__ import annotations

import pytest

from worldloom.streamer.transports.copies import LONGEST_S, PROVEN_S, REST_S, CopySwitch


def copying() -> CopySwitch:
    """Since second 0, on a line that loses 2 %."""
    switch = CopySwitch()
    switch.hear(0.02, 0.0, lossy=True, full=False)
    assert switch.on
    return switch


@pytest.mark.parametrize(("lossy", "full"), [(False, False), (False, True), (True, True)])
def test_a_good_line_and_a_full_one_get_none(lossy: bool, full: bool) -> None:
    switch = CopySwitch()
    switch.hear(0.02, 0.0, lossy=lossy, full=full)
    assert not switch.on


def test_they_end_with_the_losses() -> None:
    switch = copying()
    switch.hear(0.001, 10.0, lossy=False, full=False)
    assert not switch.on
    switch.hear(0.02, 10.5, lossy=True, full=False)
    assert switch.on, "nothing spoke against them"


@pytest.mark.parametrize(("loss", "full"), [(0.12, False), (0.02, True)], ids=["more is lost", "the line is full"])
def test_they_rest_where_they_do_harm(loss: float, full: bool) -> None:
    switch = copying()
    switch.hear(loss, 1.0, lossy=True, full=full)
    assert not switch.on
    switch.hear(0.02, 0.9 + REST_S, lossy=True, full=False)
    assert not switch.on
    switch.hear(0.02, 1.0 + REST_S, lossy=True, full=False)
    assert switch.on


def rests(switch: CopySwitch, now: float) -> float:
    """Seconds for which it rests when the line is found full now."""
    switch.hear(0.02, now, lossy=True, full=True)
    seconds = 0.0
    while not switch.on:
        seconds += 1.0
        switch.hear(0.02, now + seconds, lossy=True, full=False)
    return seconds


def test_each_rest_is_longer_up_to_a_bound() -> None:
    switch, now, taken = copying(), 1.0, []
    for _ in range(9):
        taken.append(rests(switch, now))
        now += taken[-1] + 1.0
    assert taken[:3] == [REST_S, 2 * REST_S, 4 * REST_S]
    assert taken[-2:] == [LONGEST_S, LONGEST_S]


def test_what_did_well_for_long_is_forgiven() -> None:
    switch = copying()
    assert [rests(switch, 1.0), rests(switch, 10.0)] == [REST_S, 2 * REST_S]
    assert rests(switch, 20.0 + PROVEN_S) == REST_S


def test_losses_that_were_there_before_are_no_harm() -> None:
    switch = CopySwitch()
    switch.hear(0.05, 0.0, lossy=True, full=False)
    switch.hear(0.09, 5.0, lossy=True, full=False)
    assert switch.on
