"""Memory is told before it is taken, and the figures are those that follow from the shapes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from worldloom.models.catalog import open_world
from worldloom.models.wan import open as opening
from worldloom.models.wan.config import FAMILIES, T2V_1_3B
from worldloom.models.wan.need import Plan, need, refuse_too_little
from worldloom.models.wan.taehv import TaehvConfig
from worldloom.models.wan.vae import VaeConfig
from worldloom.models.wan.world import WanWorld

from .folders import folder

SELF = Plan(T2V_1_3B, FAMILIES["self-forcing"].rollout, VaeConfig(), 480, 832)


def test_figures_of_self_forcing() -> None:
    wanted = need(SELF)
    assert wanted.network == 2 * 1_418_996_800
    assert wanted.decoder == 2 * 126_892_531
    assert wanted.memory == 2 * 2 * 30 * 21 * 1560 * 1536  # 6.04 GB, 21 frames of 1,560 tokens
    assert wanted.history / 1e9 == pytest.approx(1.89, abs=0.005)
    assert wanted.prompt == 2 * 2 * 30 * 512 * 1536
    assert "one stream" in str(wanted)
    small = need(replace(SELF, small=TaehvConfig()))
    assert small.decoder == wanted.decoder + 2 * 9_844_611
    assert small.history / 1e6 == pytest.approx(67, abs=0.5)
    sinks = need(replace(SELF, roll=FAMILIES["longlive"].rollout))  # kept twice: as keys came, and turned
    assert sinks.memory == 2 * 30 * 1560 * 1536 * (2 * 12 + 3)


def test_figures_are_what_a_stream_takes(tmp_path: Path) -> None:
    path = folder(tmp_path / "tiny")
    world = open_world(str(path), dtype=torch.float32)
    assert isinstance(world, WanWorld)
    about = opening.WanFolder.read(path)
    wanted = need(Plan(about.shape, about.rollout, about.vae, about.height, about.width, torch.float32))
    state = world.start(seed=0)
    world.step([state], world.spec.actions.neutral(8)[None])
    assert sum(p.nbytes for p in world.dit.parameters()) == wanted.network
    assert state.cache.nbytes == wanted.memory
    assert sum(part.nbytes for part in state.seen if part is not None) == wanted.history
    assert state.said.keys.keys.nbytes + state.said.keys.values.nbytes == wanted.prompt


def test_too_little_is_refused_with_what_would_fit() -> None:
    def refused(free_gb: float, dtype: torch.dtype) -> str:
        with pytest.raises(ValueError, match="GB free") as fault:
            refuse_too_little(int(free_gb * 1e9), replace(SELF, dtype=dtype))
        return str(fault.value)

    assert "; dtype=bfloat16 would fit" in refused(15, torch.float32)
    assert "; kv=int8 would fit" in refused(9, torch.bfloat16)
    assert "; attention=6 would fit" in refused(7, torch.bfloat16)
    assert "; attention=6, dtype=bfloat16 and kv=int8 would fit" in refused(6.2, torch.float32)
    assert "no option here would fit" in refused(1, torch.bfloat16)
    assert refuse_too_little(None, SELF) == need(SELF)
    with pytest.raises(ValueError, match=r"6.04 GB of nobody's for graphs.*; graphs=0 would fit"):
        refuse_too_little(int(12e9), replace(SELF, graphs=True))


def test_nothing_is_loaded_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder(tmp_path / "tiny")
    (path / "network.safetensors").unlink()
    monkeypatch.setattr(opening, "available_memory", lambda device: 1000)
    with pytest.raises(ValueError, match="0.00 GB free"):
        open_world(str(path))


def test_a_shorter_memory_by_hand(tmp_path: Path) -> None:
    world = open_world(str(folder(tmp_path / "tiny")), attention=4)
    assert isinstance(world, WanWorld)
    assert world.roll.window == 2


@pytest.mark.slow
def test_eight_bits(tmp_path: Path) -> None:
    """Half the memory, as counted; and the pictures are about the same ones."""
    path = folder(tmp_path / "tiny")
    worlds = [open_world(str(path), dtype=torch.float32, kv=kv) for kv in ("native", "int8")]
    shown, memory = [], []
    for world in worlds:
        state = world.start(seed=0)
        chunks = [world.step([state], world.spec.actions.neutral(8)[None]) for _ in range(3)]
        shown.append(np.concatenate(chunks).astype(int))
        memory.append(state.cache.nbytes)
    about = opening.WanFolder.read(path)
    plan = Plan(about.shape, about.rollout, about.vae, about.height, about.width, torch.float32, kv="int8")
    assert memory[1] == need(plan).memory < 0.5 * memory[0]
    assert 0 < np.abs(shown[0] - shown[1]).mean() < 4
