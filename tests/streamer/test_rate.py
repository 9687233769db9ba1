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
    assert heard(control, ReceiverReport(lost=0.2, rtt_ms=20.0), 1) == 600_000
    assert heard(control, ReceiverReport(lost=0.2, rtt_ms=20.0), 10) == 200_000
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


def test_a_full_line_is_given_silence() -> None:
    control = RateControl(200_000, 1_000_000)
    control.hear(ReceiverReport(lost=0.2, rtt_ms=20.0), 10.0)
    assert control.silent_until == 10.0 + SILENCE_S
    control.hear(FINE, 12.0)
    assert control.silent_until == 10.0 + SILENCE_S


def test_an_estimate_counts_only_while_as_much_is_sent() -> None:
    control = RateControl(200_000, 1_000_000)
    control.sent(3_000, 1.0)  # 24 kbit/s: a picture that hardly changes
    control.estimate(30_000, 1.5)
    assert control.bitrate == 200_000, "it is about as much as was named"
    control = RateControl(200_000, 1_000_000)
    control.sent(1_000, 1.0)
    control.estimate(400_000, 1.5)
    assert control.bitrate == 1_000_000
    for tick in range(10):
        control.sent(10_000, 2.0 + 0.1 * tick)
    control.estimate(400_000, 2.95)
    assert control.bitrate == 360_000
    control.estimate(5_000_000, 3.0)
    assert control.bitrate == 360_000, "an estimate never raises: reports do, step by step"


def test_repairs_are_a_fraction_of_the_rate() -> None:
    budget = RepairBudget(now=0.0)
    burst = int(REPAIR_BURST // 1000)
    assert [budget.take(1000, 800_000, 0.0) for _ in range(burst + 1)] == burst * [True] + [False]
    seconds = 20
    sent = sum(budget.take(1000, 800_000, 0.01 * tick) for tick in range(100 * seconds))
    assert sent * 1000 * 8 / seconds <= 0.16 * 800_000
    assert sent * 1000 * 8 / seconds >= 0.14 * 800_000
    assert budget.refused == 1 + 100 * seconds - sent
