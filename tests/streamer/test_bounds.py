"""The verdict on a stream: each bound from the figures that it follows from."""

from __future__ import annotations

from typing import Any

import pytest

from worldloom.streamer.bench_frames import percentile, unasked
from worldloom.streamer.bounds import bounds
from worldloom.streamer.metrics import Metrics

GOOD: dict[str, Any] = {
    "world_fps": 20.0,
    "fps_shown": 20.3,
    "input_to_photon_ms": {"p50": 60.0, "p95": 110.0},
    "step_ms": {"p50": 5.0, "p95": 15.0},
    "frame_interval_ms": {"p50": 50.0, "p95": 62.5},
    "key_frames_unasked": 0,
}


def test_limits_follow_from_the_period_and_the_step() -> None:
    verdict = bounds(GOOD)
    assert {name: bound["limit"] for name, bound in verdict.items()} == {
        "input_to_photon_p50_ms": 60.0,  # 25 + 5 + 30
        "input_to_photon_p95_ms": 110.0,  # 50 + 15 + 45
        "frame_interval_p95_ms": 62.5,
        "fps_shown_deviation": 0.02,
        "key_frames_unasked": 0,
    }
    assert all(bound["holds"] for bound in verdict.values())


def test_a_beat_more_of_the_display_is_within_what_browsers_tell() -> None:
    beat = 16.674  # of 60 Hz, as a browser's times in tenths of a millisecond give it
    figures = GOOD | {"world_fps": 15.0, "fps_shown": 15.0, "frame_interval_ms": {"p50": 4 * beat, "p95": 5 * beat}}
    assert bounds(figures)["frame_interval_p95_ms"] == {"limit": 83.3, "measured": 83.4, "holds": True}


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"input_to_photon_ms": {"p50": 60.1, "p95": 110.0}}, "input_to_photon_p50_ms"),
        ({"input_to_photon_ms": {"p50": 60.0, "p95": 110.1}}, "input_to_photon_p95_ms"),
        ({"frame_interval_ms": {"p50": 50.0, "p95": 62.7}}, "frame_interval_p95_ms"),
        ({"fps_shown": 19.5}, "fps_shown_deviation"),
        ({"fps_shown": 20.5}, "fps_shown_deviation"),
        ({"key_frames_unasked": 1}, "key_frames_unasked"),
        ({"input_to_photon_ms": {"p50": None, "p95": 110.0}}, "input_to_photon_p50_ms"),
        ({"step_ms": {"p50": 5.0, "p95": None}}, "input_to_photon_p95_ms"),
    ],
)
def test_each_is_broken_by_its_own_figure_alone(change: dict[str, Any], broken: str) -> None:
    verdict = bounds(GOOD | change)
    assert [name for name, bound in verdict.items() if not bound["holds"]] == [broken]


def test_a_slower_step_allows_a_slower_picture() -> None:
    assert bounds(GOOD | {"step_ms": {"p50": 45.0, "p95": 55.0}})["input_to_photon_p95_ms"]["limit"] == 150.0


def test_key_frames_that_nobody_asked_for_are_read_from_the_metrics() -> None:
    metrics = Metrics()
    assert unasked(metrics.text().decode()) == 0
    for world, asked in (("a", True), ("a", False), ("b", False), ("b", False)):
        metrics.key_frame(world, asked)
    assert unasked(metrics.text().decode()) == 3


def test_percentiles_are_by_rank() -> None:
    assert percentile([], 0.5) is None
    assert [percentile(range(1, 101), q) for q in (0.5, 0.95)] == [50, 95]
