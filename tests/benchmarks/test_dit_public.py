"""The benchmark of a world's transformer beside a public one: equal parameters, and it measures what it says."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

from worldloom.models.dit import CausalDiT, DiTConfig
from worldloom.models.weights import save_world

from ..models.tiny import tiny_world

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    module = importlib.import_module("dit_public")
    monkeypatch.setattr(module, "keep_freed_memory", lambda: True)
    return module


@pytest.mark.slow  # diffusers takes seconds to load
def test_as_many_parameters(bench: ModuleType) -> None:
    c = DiTConfig(channels=8, rows=4, columns=6, actions=2, patch=2)
    with torch.device("meta"):
        ours, public = (bench.numbers(n) for n in (CausalDiT(c), bench.public_network(c, bench.equal_ffn(c))))
    assert public == pytest.approx(ours, rel=0.01)


@pytest.mark.slow
def test_both_are_timed(
    bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "CHUNKS", (1, 3))
    world, out, threads = tmp_path / "tiny.safetensors", tmp_path / "dit.json", torch.get_num_threads()
    save_world(world, tiny_world(), {})
    bench.main(["--world", str(world), "--dtypes", "float32", "--rounds", "1", "--json", str(out)])
    torch.set_num_threads(threads)
    told = json.loads(out.read_text())
    assert json.loads(capsys.readouterr().out) == told
    (one,) = told["results"]
    assert set(one["chunk_ms"]) == {"ours", "public", "public_window"}
    assert all(set(ms) == {"1", "3"} and min(ms.values()) > 0.0 for ms in one["chunk_ms"].values())


def test_weights_are_needed(bench: ModuleType) -> None:
    with pytest.raises(SystemExit, match="expected a world with weights, got 'toy'"):
        bench.main(["--world", "toy"])
