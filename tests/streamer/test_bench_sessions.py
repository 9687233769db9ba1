"""The benchmark of batches: what it says is measured, and adds up."""

from __future__ import annotations

import pytest

from worldloom.streamer.bench_sessions import bench_sessions


def test_it_measures_every_number_of_sessions_both_ways() -> None:
    found = bench_sessions("toy", [1, 3], 0.2)
    assert list(found["sessions"]) == ["1", "3"]
    three = found["sessions"]["3"]
    assert found["batch_gain"] == three["batch_gain"]
    assert three["batch_gain"] == pytest.approx(three["frames_per_s"] / three["frames_per_s_one_by_one"], abs=0.01)
    assert three["step_ms"]["p50"] <= three["step_ms"]["p95"]
    assert three["bytes_per_session"] > 0
    assert three["bytes_per_session_saved"] > 0


@pytest.mark.parametrize("counts", [[], [0, 2]])
def test_it_wants_numbers_of_at_least_one(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        bench_sessions("toy", counts, 0.1)
