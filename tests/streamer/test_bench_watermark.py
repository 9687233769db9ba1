"""The figures of `worldloom bench watermark`."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from worldloom.streamer import bench_watermark
from worldloom.streamer.__main__ import app


def test_figures_of_the_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_watermark, "LINES", (("h264", 500),))
    monkeypatch.setattr(bench_watermark, "WINDOW", 0.5)
    figures = bench_watermark.bench_watermark("toy", 1.0)
    assert figures["pictures"] == 20
    assert figures["psnr_db"]["least"] > 45
    assert set(figures["marked"]) == {"h264_500k", "jpeg_90"}
    for kept in figures["marked"].values():
        assert kept["bit_accuracy_window"] == 1.0
        assert kept["windows_read"] == kept["windows"] == 2
    assert figures["unmarked"]["readings"] == 3 * (20 + 2)
    assert figures["unmarked"]["read"] == 0


def test_an_unknown_world_is_refused() -> None:
    assert CliRunner().invoke(app, ["bench", "watermark", "--world", "nowhere"]).exit_code == 2
