"""`worldloom bench stream` in a real Chromium."""

from __future__ import annotations

import pytest

from worldloom.streamer.bench_stream import bench_stream
from worldloom.streamer.bounds import bounds
from worldloom.streamer.chromium import MISSING, installed_browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(installed_browser() is None, reason=MISSING),
]


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
def test_a_press_becomes_light(transport: str) -> None:
    figures = bench_stream("toy", 4.0, transport=transport, warm_up=1.0)
    assert figures["transport"] == transport
    assert figures["fps_shown"] == pytest.approx(20.0, rel=0.15)
    assert figures["input_to_photon_ms"]["count"] >= 5
    assert 5 < figures["input_to_photon_ms"]["p50"] < 250
    assert figures["drops_unexplained"] == 0
    assert 0 < figures["step_ms"]["p50"] <= figures["step_ms"]["p95"]
    assert figures["frame_interval_ms"]["p50"] == pytest.approx(50.0, abs=17.0)  # one refresh of the display
    assert figures["bounds"] == bounds(figures)
    assert figures["bounds"]["key_frames_unasked"] == {"limit": 0, "measured": 0, "holds": True}
    assert all(bound["measured"] is not None for bound in figures["bounds"].values())
