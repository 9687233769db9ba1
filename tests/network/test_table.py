"""The figures of a visit, from what a page tells."""

from __future__ import annotations

import math
from typing import Any

import pytest

from .table import Second, Table, percentile


def told(now: float, shown: int, frames: list[tuple[int, float]], **more: Any) -> dict[str, Any]:
    return {"now": now, "transport": "webrtc", "frames_shown": shown, "frames": frames, **more}


def test_a_second_is_the_difference_between_two_tellings() -> None:
    before = told(1000, 40, [(39, 990)], picture_at=990)
    row = Second.between(before, told(2000, 43, [(40, 1100), (41, 1700), (43, 1990)], photons=[70, 90]))
    assert (row.shown, row.fps, row.frames) == (3, 3.0, (40, 41, 43))
    assert (row.pause_ms, row.photons_ms) == (600, (70, 90))


def test_a_pause_goes_on_over_seconds_without_a_picture() -> None:
    before = told(5000, 40, [], picture_at=2500)
    assert Second.between(before, told(6000, 40, [])).pause_ms == 3500
    assert Second.between(before, told(6000, 41, [(60, 5400)])).pause_ms == 2900


def test_a_new_session_counts_from_the_start() -> None:
    assert Second.between(told(1000, 400, []), told(2000, 7, [])).shown == 7


def test_a_page_without_a_world_shows_nothing() -> None:
    row = Second.between(told(1000, 40, [], picture_at=900), {"now": 2000})
    assert (row.transport, row.shown, row.frames, row.pause_ms) == (None, 0, (), 1100)


def test_the_sums_are_over_all_seconds() -> None:
    rows = [Second(1.0, "webrtc", shown, (), 50.0, (60.0, 100.0), 0.0) for shown in (20, 10)]
    table = Table(20.0, rows)
    assert (table.shown, table.part(1).shown) == (0.75, 0.5)
    assert (table.photon_ms(0.5), table.photon_ms(0.95)) == (60.0, 100.0)
    assert str(table).splitlines()[-1].startswith("shown 75.0%")


def test_one_second_does_not_decide_what_is_usual() -> None:
    rows = [Second(1.0, "webrtc", shown, (), 50.0, (), 0.0) for shown in (20, 3, 18)]
    assert Table(20.0, rows).usual == 0.9


def test_a_percentile_of_nothing_passes_no_bound() -> None:
    assert math.isnan(percentile([], 0.5))
    assert percentile([3, 1, 2], 0.5) == pytest.approx(2)
