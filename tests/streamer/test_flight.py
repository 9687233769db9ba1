"""What is on the way, by the numbers that reports name."""

from __future__ import annotations

import pytest

from worldloom.streamer.transports.flight import REMEMBERED, SHORTEST_S, Flight, Report


def flying(*numbers: int, every: float = 0.1, size: int = 1000) -> Flight:
    flight = Flight()
    for place, number in enumerate(numbers):
        flight.sent(number, size, place * every)
    return flight


def test_what_has_arrived_is_not_under_way() -> None:
    report = flying(1, 2, 3, 4).heard(2, 0.0, 0.5)
    assert (report.packets, report.under_way) == (2, 2000)
    assert report.waited_ms == pytest.approx(300), "the third left at 0.2"
    assert report.rtt_ms == pytest.approx(400), "the second left at 0.1"


def test_when_all_have_arrived_nothing_waits() -> None:
    report = flying(1, 2).heard(2, 0.0, 0.15)
    assert (report.waited_ms, report.under_way) == (0.0, 0)


def test_before_anything_has_arrived_nothing_is_known() -> None:
    report = flying(5, 6).heard(4, 0.0, 0.25)
    assert report == Report(lost=0.0, packets=0, rtt_ms=0.0, waited_ms=250.0, under_way=2000, delivered=None)


def test_numbers_begin_again() -> None:
    flight = flying(65534, 65535, 0, 1)
    assert flight.heard(65535, 0.0, 1.0).packets == 2
    assert flight.heard(0, 0.0, 1.0).packets == 1
    assert flight.heard(65000, 0.0, 1.0).packets == 0, "a report that was overtaken"
    assert flight.heard(1, 0.0, 1.0).under_way == 0


def test_what_arrives_is_counted_over_the_latest_reports() -> None:
    flight = Flight()
    for tenth in range(40):
        flight.sent(tenth, 1000 if tenth < 20 else 500, 0.1 * tenth)
        report = flight.heard(tenth, 0.5 if tenth >= 30 else 0.0, 0.1 * tenth + 0.05)
        if tenth == 19:
            assert report.delivered == pytest.approx(80_000)
        if tenth == 29:
            assert report.delivered == pytest.approx(40_000)
    assert report.delivered == pytest.approx(20_000), "half of it was lost"


def test_a_report_after_a_long_silence_says_nothing_about_the_rate() -> None:
    flight = flying(1, 2, 3)
    flight.heard(1, 0.0, 0.3)
    assert flight.heard(2, 0.0, 9.0).delivered is None
    assert flight.heard(3, 0.0, 9.3).delivered == pytest.approx(8000 / 0.3)


def test_the_shortest_round_trip_is_forgotten_in_the_end() -> None:
    flight = Flight()
    for number in range(100):
        flight.sent(number, 1000, float(number))
        trip = 0.05 if number < 5 else 0.2
        report = flight.heard(number, 0.0, number + trip)
        if 5 <= number < SHORTEST_S:
            assert report.rtt_ms == pytest.approx(50)
    assert report.rtt_ms == pytest.approx(200)


def test_the_memory_is_bounded() -> None:
    flight = flying(*range(2 * REMEMBERED))
    assert flight.heard(0, 0.0, 1000.0).under_way == 1000 * REMEMBERED
