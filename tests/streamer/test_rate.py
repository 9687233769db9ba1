"""The rate that a line takes: down on queues and losses, up otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from worldloom.streamer.transports.flight import Report
from worldloom.streamer.transports.rate import (
    BELOW,
    BURST_S,
    HICCUP,
    REPAIR_BURST,
    SILENCE_S,
    TRUST,
    RateControl,
    RepairBudget,
)


def report(**what: Any) -> Report:
    """A good one, of a line of 20 ms, but for what is told."""
    good = {"lost": 0.0, "packets": 20, "rtt_ms": 20.0, "waited_ms": 20.0, "under_way": 2000, "delivered": 900e3}
    return Report(**{**good, **what})


FINE = report()
QUEUE = report(waited_ms=600.0, under_way=20_000, delivered=300e3)


def control() -> RateControl:
    return RateControl(150_000, 1_000_000)


def heard(rate: RateControl, what: Report, begin: float, end: float, every: float = 0.5) -> int:
    """The rate after the same report again and again, from and until some second."""
    for number in range(round((end - begin) / every) + 1):
        rate.hear(what, begin + number * every)
    return rate.bitrate


def test_a_good_line_keeps_the_ceiling() -> None:
    assert heard(control(), FINE, 0, 50) == 1_000_000
    assert heard(control(), report(rtt_ms=0.0, waited_ms=0.0, delivered=None), 0, 3) == 1_000_000


def test_a_queue_brings_it_below_what_arrives_at_once() -> None:
    rate = control()
    assert heard(rate, QUEUE, 1, 1) == int(BELOW * 300e3)
    assert heard(rate, QUEUE, 1.2, 2, every=0.2) == int(BELOW * 300e3), "the same queue is not held against it twice"


def test_a_shallow_queue_may_be_a_hiccup() -> None:
    rate = control()
    assert heard(rate, report(waited_ms=200.0, delivered=50e3), 1, 1) == int(HICCUP * 1_000_000)


def test_a_long_line_is_not_a_queue() -> None:
    assert heard(control(), report(rtt_ms=250.0, waited_ms=300.0), 0, 10) == 1_000_000


def test_a_dead_line_is_not_a_queue() -> None:
    rate = control()
    assert heard(rate, report(packets=0, waited_ms=3000.0, under_way=300_000), 0, 10) == 1_000_000
    assert rate.silent_until == 0.0


def test_the_first_report_after_an_outage_tells_of_no_queue() -> None:
    deep = report(waited_ms=1500.0, under_way=90_000, delivered=100e3, packets=3)
    rate = control()
    heard(rate, FINE, 0, 5, every=0.2)
    rate.hear(deep, 6.4)
    assert (rate.bitrate, rate.silent_until) == (1_000_000, 0.0)
    rate.hear(deep, 6.6)
    assert rate.bitrate < 200_000, "the second one does"
    rate = control()
    heard(rate, FINE, 0, 5, every=1.4)
    rate.hear(deep, 7.0)
    assert rate.bitrate < 200_000, "who reports seldom is not late"


@pytest.mark.parametrize("every", [0.1, 0.5, 1.0])
def test_it_grows_by_time_however_often_reports_come(every: float) -> None:
    rate = control()
    heard(rate, QUEUE, 0, 0)
    begin = rate.silent_until + every
    assert heard(rate, FINE, begin, begin + 2, every) == pytest.approx(1.08**2 * BELOW * 300e3, rel=0.1), "carefully"
    assert heard(rate, FINE, begin + 2 + every, begin + 8, every) == 1_000_000, "then fast"


def test_it_waits_while_packets_begin_to_queue() -> None:
    rate = control()
    before = heard(rate, QUEUE, 0, 0)
    assert heard(rate, report(waited_ms=100.0), 2, 20) == before


def test_much_loss_brings_it_down_to_the_floor_and_a_good_line_back_up() -> None:
    rate = control()
    assert heard(rate, report(lost=0.4, delivered=None), 1, 1) == 600_000
    assert heard(rate, report(lost=0.4, delivered=None), 1.2, 1.8, every=0.2) == 600_000, "once a second"
    assert heard(rate, report(lost=0.4, delivered=100e3), 2, 12) == 150_000
    assert heard(rate, FINE, 13, 40) == 1_000_000
    assert rate.silent_until == 0.0, "no queue, no silence"


def test_some_loss_holds() -> None:
    assert heard(control(), report(lost=0.05), 0, 10) == 1_000_000


def test_of_few_packets_two_are_soon_lost() -> None:
    rate = control()
    for at, lost in enumerate((0.0, 0.15, 0.0, 0.1, 0.0, 0.2)):
        rate.hear(report(lost=lost), float(at))
    assert rate.bitrate == 1_000_000


def test_losses_are_weighed_by_packets() -> None:
    rate = control()
    for tenth in range(60):
        rate.hear(report(lost=0.5, packets=1) if tenth % 2 else report(packets=49), tenth / 10)
    assert rate.loss == pytest.approx(0.01, abs=0.005)


def test_an_estimate_says_how_far_down_and_only_when_the_line_is_full() -> None:
    rate = control()
    rate.estimate(200_000, 1.0)
    rate.hear(FINE, 1.1)
    assert rate.bitrate == 1_000_000
    rate.hear(QUEUE, 1.2)
    assert rate.bitrate == 200_000
    rate = control()
    rate.estimate(20_000, 1.0)
    rate.hear(QUEUE, 1.2)
    assert rate.bitrate == int(TRUST * BELOW * 300e3), "but it is not believed blindly"
    rate = control()
    rate.estimate(200_000, 1.0)
    rate.hear(QUEUE, 9.0)
    assert rate.bitrate == int(BELOW * 300e3), "that was too long ago"


def test_a_queue_is_given_the_silence_that_it_needs() -> None:
    shortest, longest = SILENCE_S
    for under_way, seconds in ((20_000, 8 * 20_000 / 300e3 - 0.02), (100, shortest), (500_000, longest)):
        rate = control()
        rate.hear(report(waited_ms=600.0, under_way=under_way, delivered=300e3), 10.0)
        assert rate.silent_until == pytest.approx(10 + seconds)


def test_a_narrow_line_is_left_alone_until_it_has_taken_a_large_picture() -> None:
    rate = control()
    rate.sent(100_000, 0.0)
    assert rate.silent_until == 0.0, "nothing is known of the line"
    rate.hear(QUEUE, 10.0)
    rate.sent(1000, 12.0)
    assert rate.silent_until < 12.0
    rate.sent(20_000, 12.05)
    assert rate.silent_until == pytest.approx(12.05 + 8 * 20_000 / rate.bitrate - BURST_S, abs=0.05)


def test_repairs_are_a_fraction_of_the_rate() -> None:
    budget = RepairBudget(now=0.0)
    burst = int(REPAIR_BURST // 1000)
    assert [budget.take(1000, 800_000, 0.0) for _ in range(burst + 1)] == burst * [True] + [False]
    seconds = 20
    sent = sum(budget.take(1000, 800_000, 0.01 * tick) for tick in range(100 * seconds))
    assert sent * 1000 * 8 / seconds <= 0.16 * 800_000
    assert sent * 1000 * 8 / seconds >= 0.14 * 800_000
    assert budget.refused == 1 + 100 * seconds - sent
