"""The benchmark of the Wan family: it measures what it says, and refuses what it cannot measure."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from worldloom.models.wan.config import WanConfig

FOLDER = Path(__file__).parents[2] / "benchmarks"
SHAPE = WanConfig(width=24, ffn=48, heads=2, layers=2, time_waves=16, text_width=12, text_tokens=6)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    module = importlib.import_module("gpu_wan")
    case = module.Case("tiny", SHAPE, rows=4, columns=6, attention=6)
    monkeypatch.setattr(module, "CASES", {"tiny": case})
    monkeypatch.setattr(module, "keep_freed_memory", lambda: True)
    return module


@pytest.mark.slow
def test_small_shapes_are_measured_beside_what_others_wrote(
    bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, threads = tmp_path / "wan.json", torch.get_num_threads()
    bench.main(["--cases", "tiny", "--dtypes", "float32", "--chunks", "1", "--json", str(out)])
    torch.set_num_threads(threads)
    told: dict[str, Any] = json.loads(out.read_text())
    assert json.loads(capsys.readouterr().out) == told
    (one,) = told["results"]
    assert set(one["chunk_ms"]) == {"ours", "full", "products"}
    assert min(one["chunk_ms"].values()) > 0.0
    assert 0.0 < one["largest_difference"]["full"] < 1e-5, "the same network on the same noise"


@pytest.mark.slow  # the shapes of 1.3 billion weights take seconds
def test_work_is_counted_as_on_paper(bench: ModuleType) -> None:
    """202 TFLOP a chunk at 21 frames: five passes of 11.70 for products, 28.26 and 0.44 for attention."""
    assert bench.WAN.weights == 1_418_996_800
    assert bench.work(bench.WAN) / 1e12 == pytest.approx(202.0, rel=0.01)


def test_without_a_gpu_it_measures_none(bench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="expected a CUDA device"):
        bench.main(["--gpu", "--linears", "fp8"])
    for only in (["--linears", "fp8"], ["--kernels", "triton"], ["--graphs"]):
        with pytest.raises(SystemExit, match="expected --gpu"):
            bench.main(only)


@pytest.mark.slow  # importing diffusers takes seconds
def test_a_folder_that_is_no_checkout_is_refused(bench: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("diffusers", reason="weights are drawn in its shapes")
    with pytest.raises(FileNotFoundError, match="expected a checkout"):
        bench.main(["--self-forcing", str(tmp_path), "--no-full", "--cases", "tiny", "--dtypes", "float32"])
