"""The benchmark of memories measures what it says: sizes that are those of the states, pictures that are compared."""

from __future__ import annotations

import pytest

from worldloom.models.catalog import shipped_worlds
from worldloom.streamer.bench_memory import bench_memory


@pytest.mark.slow
@pytest.mark.skipif("arm" not in shipped_worlds(), reason="needs the weights of arm")
def test_less_memory_and_nearly_the_same_pictures() -> None:
    found = bench_memory("arm", 1)
    assert found["parked"]["bytes"] < found["int8"]["bytes"] < found["native"]["bytes"]
    for way in ("int8", "parked"):
        assert 25.0 < found[way]["psnr_16"] <= 99.0
        assert found[way]["psnr_16"] < found[way]["psnr_1"] + 1.0  # in float32 they hardly drift apart
    assert found["parked"]["wake_ms"] > found["parked"]["park_ms"] > 0.0


def test_a_world_without_such_a_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a trained world"):
        bench_memory("toy")
