"""The rate that a line takes: down on loss and queues, up otherwise."""

from __future__ import annotations

from worldloom.streamer.transports.rate import REPAIR_BURST, SILENCE_S, RateControl, ReceiverReport, RepairBudget

FINE = ReceiverReport(lost=0.0, rtt_ms=20.0)


def heard(control: RateControl, report: ReceiverReport, times: int) -> int:
    for _ in range(times):
        control.hear(report, 0.0)
    return control.bitrate


def test_a_good_line_keeps_the_ceiling() -> None:
    assert heard(RateControl(200_000, 1_000_000), FINE, 100) == 1_000_000
    assert heard(RateControl(200_000, 1_000_000), ReceiverReport(lost=0.0, rtt_ms=None), 3) == 1_000_000


def test_much_loss_brings_it_down_to_the_floor_and_a_good_line_back_up() -> None:
    control = RateControl(200_000, 1_000_000)
    assert heard(control, ReceiverReport(lost=0.4, rtt_ms=20.0), 1) == 600_000
    assert heard(control, ReceiverReport(lost=0.4, rtt_ms=20.0), 10) == 200_000
    assert heard(control, FINE, 1) == 250_000
    assert heard(control, FINE, 30) == 1_000_000


def test_some_loss_holds() -> None:
    assert heard(RateControl(200_000, 1_000_000), ReceiverReport(lost=0.05, rtt_ms=20.0), 10) == 1_000_000


def test_queues_bring_it_down_before_anything_is_lost() -> None:
    control = RateControl(200_000, 1_000_000)
    heard(control, FINE, 1)
    assert heard(control, ReceiverReport(lost=0.0, rtt_ms=400.0), 1) == 600_000


def test_a_long_line_is_not_a_queue() -> None:
    assert heard(RateControl(200_000, 1_000_000), ReceiverReport(lost=0.0, rtt_ms=250.0), 10) == 1_000_000


def test_a_queue_is_given_silence_and_bare_loss_is_not() -> None:
    control = RateControl(200_000, 1_000_000)
    control.hear(ReceiverReport(lost=0.4, rtt_ms=20.0), 10.0)
    assert control.silent_until == 0.0
    control.hear(ReceiverReport(lost=0.1, rtt_ms=400.0), 11.0)
    assert control.silent_until == 11.0 + SILENCE_S


def test_of_few_packets_two_are_soon_lost() -> None:
    control = RateControl(200_000, 1_000_000)
    for lost in (0.0, 0.15, 0.0, 0.1, 0.0, 0.2):
        control.hear(ReceiverReport(lost, rtt_ms=20.0), 0.0)
    assert control.bitrate == 1_000_000


def test_an_estimate_says_how_far_down_and_only_when_the_line_is_full() -> None:
    control = RateControl(200_000, 1_000_000)
    control.estimate(30_000, 1.0)
    control.hear(FINE, 1.1)
    assert control.bitrate == 1_000_000
    control.estimate(400_000, 2.0)
    control.hear(ReceiverReport(lost=0.4, rtt_ms=20.0), 2.5)
    assert control.bitrate == 360_000
    control = RateControl(200_000, 1_000_000)
    control.estimate(400_000, 2.0)
    control.hear(ReceiverReport(lost=0.4, rtt_ms=20.0), 9.0)
    assert control.bitrate == 600_000, "that was too long ago"


def test_repairs_are_a_fraction_of_the_rate() -> None:
    budget = RepairBudget(now=0.0)
    burst = int(REPAIR_BURST // 1000)
    assert [budget.take(1000, 800_000, 0.0) for _ in range(burst + 1)] == burst * [True] + [False]
    seconds = 20
    sent = sum(budget.take(1000, 800_000, 0.01 * tick) for tick in range(100 * seconds))
    assert sent * 1000 * 8 / seconds <= 0.16 * 800_000
    assert sent * 1000 * 8 / seconds >= 0.14 * 800_000
    assert budget.refused == 1 + 100 * seconds - sent
