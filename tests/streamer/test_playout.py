"""What a viewer is told to hold back: nothing on a good line, a round trip on a lossy one."""

from __future__ import annotations

import pytest

from worldloom.streamer.transports.playout import (
    CLEAN_S,
    LEAST_MS,
    MOST_MS,
    ROOM,
    PlayoutDelay,
    PlayoutSwitch,
)

NONE = PlayoutDelay(0, 0)


def holding(rtt_ms: float | None, loss: float = 0.02) -> PlayoutSwitch:
    switch = PlayoutSwitch()
    switch.hear(loss, rtt_ms, 0.0)
    return switch


def test_a_good_line_holds_nothing_back() -> None:
    switch = PlayoutSwitch()
    assert switch.delay == NONE
    for second in range(100):
        switch.hear(0.01, 50.0, float(second))
    assert switch.delay == NONE


def test_a_lossy_line_holds_a_round_trip() -> None:
    assert holding(50.0, loss=0.011).delay == PlayoutDelay(50, ROOM * 50)


@pytest.mark.parametrize(("rtt_ms", "least"), [(0.0, LEAST_MS), (None, LEAST_MS), (79.9, 79), (3000.0, MOST_MS)])
def test_it_is_small_whatever_the_round_trip(rtt_ms: float | None, least: int) -> None:
    assert holding(rtt_ms).delay.least == least


def test_it_stops_after_some_clean_seconds_and_not_before() -> None:
    switch = holding(50.0)
    for now in (1.0, 3.0, 0.9 + CLEAN_S):
        switch.hear(0.0, 50.0, now)
        assert switch.delay != NONE, now
    switch.hear(0.0, 50.0, 1.0 + CLEAN_S)
    assert switch.delay == NONE


def test_a_loss_in_between_counts_the_seconds_anew() -> None:
    switch = holding(50.0)
    switch.hear(0.0, 50.0, 1.0)
    switch.hear(0.007, 50.0, 3.0)  # less than what starts it, more than clean
    switch.hear(0.0, 50.0, 4.0)
    switch.hear(0.0, 50.0, 1.5 + CLEAN_S)
    assert switch.delay != NONE
    switch.hear(0.0, 50.0, 4.0 + CLEAN_S)
    assert switch.delay == NONE


def test_little_loss_neither_starts_nor_stops_it() -> None:
    switch = holding(50.0)
    for second in range(100):
        switch.hear(0.009, 50.0, float(second))
    assert switch.delay != NONE


def test_it_follows_a_round_trip_that_really_changed() -> None:
    switch = holding(30.0)
    before = switch.delay
    switch.hear(0.02, 45.0, 1.0)
    assert switch.delay == before
    switch.hear(0.02, 60.0, 2.0)
    assert switch.delay.least == 60
