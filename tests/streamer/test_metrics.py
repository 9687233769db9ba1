"""Instruments: one registry an app, bounded labels."""

from __future__ import annotations

from worldloom.streamer.errors import Busy
from worldloom.streamer.metrics import CODES, Metrics


def test_two_apps_do_not_clash() -> None:
    one, other = Metrics(), Metrics()
    one.sessions.labels("toy").set(3)
    assert b'worldloom_sessions{world="toy"} 3.0' in one.text()
    assert b"toy" not in other.text()


def test_unknown_codes_share_one_label() -> None:
    metrics = Metrics()
    metrics.error(Busy.code)
    for number in range(100):
        metrics.error(f"made_up_{number}")
    text = metrics.text()
    assert b'worldloom_errors_total{code="busy"} 1.0' in text
    assert b'worldloom_errors_total{code="other"} 100.0' in text
    assert b"made_up" not in text


def test_codes_are_those_of_the_tree() -> None:
    assert {"busy", "bad_offer", "model_fault", "internal_error", "unknown_key", "rate_limited"} <= CODES
