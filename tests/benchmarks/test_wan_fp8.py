"""The benchmark of eight bits: films of a tiny world, and what rounding alone does beside it."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from tests.models.wan.folders import folder

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_what_eight_bits_lose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    bench = importlib.import_module("wan_fp8")
    monkeypatch.setattr(bench, "WIDE", (64, 96))
    bench.main([str(folder(tmp_path / "tiny")), "--streams", "1", "--chunks", "1"])
    told = json.loads(capsys.readouterr().out)
    assert 0.01 < told["product_error"] < 0.06
    assert 20 < told["fp8_db"][0] < told["bfloat16_db"][0]
