"""`worldloom bench env` on the toy, which is its own simulator."""

from __future__ import annotations

import pytest

from worldloom.streamer.bench_env import bench_env


def test_every_batch_is_measured_together_and_one_by_one_beside_the_simulator() -> None:
    found = bench_env("toy", [1, 3], 0.1)
    assert found["world"] == "toy"
    assert list(found["batch"]) == ["1", "3"]
    assert list(found["batch"]["1"]) == ["together"]
    assert list(found["batch"]["3"]) == ["together", "deterministic"]
    for rates in (found["simulator"], *found["batch"]["3"].values()):
        assert rates["frames_per_s"] > 0.0
        assert 0.0 < rates["step_ms_p50"] <= rates["step_ms_p95"]
    three = found["batch"]["3"]["together"]
    assert three["frames_per_s"] == pytest.approx(3 * three["steps_per_s"], rel=0.01)
    assert "simulator" not in bench_env("toy", [1], 0.1, simulator=False)


@pytest.mark.parametrize("batches", [[], [0], [4, -1]])
def test_no_batch_is_refused(batches: list[int]) -> None:
    with pytest.raises(ValueError, match="batch sizes"):
        bench_env("toy", batches, 0.1)
