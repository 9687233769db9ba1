"""Triton's kernels in its interpreter, beside torch's own passes.

Not collected: the interpreter must be chosen before Triton is imported, so `test_kernels.py` runs this in a process of
its own, with TRITON_INTERPRET=1.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from worldloom.models.kv_format import KVFormat
from worldloom.models.rope import rotary, rotate
from worldloom.models.wan.block import heads_of, modulated, normed
from worldloom.models.wan.config import Rollout
from worldloom.models.wan.dit import rope_of
from worldloom.models.wan.kernels import modulate, turn
from worldloom.models.wan.memory import memory_of
from worldloom.models.wan.open import open_wan

from .folders import folder
from .tiny import COLUMNS, ROLL, ROWS, SHAPE, latents, text_of, tiny_dit, with_sinks

DTYPES = (torch.float32, torch.bfloat16)
EPS = 1e-6


def assert_near(got: Tensor, want: Tensor, dtype: torch.dtype) -> None:
    """The interpreter cuts a number off where a GPU rounds it to bfloat16: 2^-7 of it instead of 2^-9."""
    near = 2**-7 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(got, want, rtol=near, atol=near)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("frames", ["alike", "apart"])
@pytest.mark.parametrize("layout", ["dense", "sliced", "turned"])
@pytest.mark.parametrize("width", [7, 16])
@torch.inference_mode()
def test_modulation(dtype: torch.dtype, frames: str, layout: str, width: int) -> None:
    x = 3.0 * torch.randn(2, 3, 3, width) + 1.0
    if layout == "sliced":
        x = torch.randn(2, 4, 6, width + 3)[:, 1:, ::2, 2:-1]
    elif layout == "turned":
        x = torch.randn(2, 3, width, 3).mT
    x = x.to(dtype, memory_format=torch.preserve_format)
    shape = (1, 1, 1, width) if frames == "alike" else (2, 3, 1, width)
    scale, shift = (torch.randn(6, *shape[1:], dtype=torch.float32)[:: 6 // shape[0]][: shape[0]] for _ in range(2))
    got, exact = modulate(x, scale, shift, EPS), F.layer_norm(x.double(), (width,), eps=EPS) * scale + shift
    assert got.is_contiguous()
    assert got.dtype == dtype
    assert_near(got.double(), exact, dtype)
    assert_near(got, modulated(x, scale, shift, EPS), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("heads", "head"), [(2, 24), (3, 10)])
@pytest.mark.parametrize("wants_raw", [True, False])
@torch.inference_mode()
def test_turning(dtype: torch.dtype, heads: int, head: int, wants_raw: bool) -> None:
    """Into the middle of a ring, and nowhere else."""
    d, tokens = heads * head, 2 * 6
    qkv = torch.randn(tokens, 2, 3 * d + 5)[:, 1, 2:-3].to(dtype)
    gains = torch.randn(2, d).to(dtype)
    rope = replace(rope_of(SHAPE, ROWS, COLUMNS), head_dim=head, split=None)
    frames = torch.tensor([1000.0, 1001.0], dtype=torch.float64)
    phases = rotary(rope, frames, torch.zeros_like(frames))
    rings = torch.full((2, heads, tokens + 7, head), 9.0, dtype=dtype)
    k, v = rings[:, :, 3 : 3 + tokens]
    raw = torch.full_like(rings[0], 9.0)[:, 3 : 3 + tokens] if wants_raw else None
    q = turn(qkv, (gains[0], gains[1]), EPS, phases, k, v, raw)
    assert bool((rings[:, :, :3] == 9.0).all())
    assert bool((rings[:, :, 3 + tokens :] == 9.0).all())
    assert torch.equal(v, heads_of(qkv[:, 2 * d :], heads))
    qk = torch.unflatten(qkv[:, : 2 * d], -1, (2, -1))
    both = normed(qk, gains, EPS).movedim(1, 0)
    want = rotate(heads_of(both, heads), phases)
    exact = F.rms_norm(qk.double(), (d,), eps=EPS) * gains.double()
    turned = rotate(heads_of(exact.movedim(1, 0).float(), heads), phases)
    for got, torchs, true in zip((q, k), want, turned, strict=True):
        assert_near(got.float(), true, dtype)
        if dtype == torch.float32:
            assert_near(got, torchs, dtype)
    if raw is not None:
        assert_near(raw, heads_of(both, heads)[1], dtype)


@pytest.mark.parametrize(
    "roll",
    [ROLL, with_sinks(ROLL, 2, positions="beside"), with_sinks(ROLL, 2, positions="relative")],
    ids=["plain", "beside", "relative"],
)
def test_a_rollout_is_the_same_one(tmp_path: Path, roll: Rollout) -> None:
    """Pictures of two streams of different ages beyond an eviction; `relative` keeps its own memory."""
    compare(tmp_path, roll, "native")


def test_a_rollout_with_keys_in_eight_bits(tmp_path: Path) -> None:
    compare(tmp_path, ROLL, "int8", chunks=2)


@pytest.mark.parametrize("kv", ["native", "int8"])
def test_a_rollout_in_a_pool(tmp_path: Path, kv: KVFormat) -> None:
    compare(tmp_path, ROLL, kv, chunks=2, graphs=2)


def compare(tmp_path: Path, roll: Rollout, kv: KVFormat, chunks: int = 4, graphs: int = 0) -> None:
    path, shown = folder(tmp_path / "tiny", replace(roll, steps=(1000,)), replace(SHAPE, layers=2)), []
    for fused in (False, True):
        world = open_wan(path, dtype=torch.float32, kv=kv, graphs=graphs)
        assert not world.dit.fused, "the interpreter is never chosen by itself"
        world.dit.fuse(fused)
        streams, pictures = [world.start(seed=2)], []
        for k in range(chunks):
            if k == 1:
                streams.append(world.start(seed=2))  # of the same prompt
            pictures.append(world.step(streams, np.zeros((len(streams), 8, 0), np.float32)).astype(int))
        shown.append(np.concatenate(pictures))
    assert np.abs(shown[0] - shown[1]).max() <= 1


def test_who_wants_gradients_has_torchs_passes() -> None:
    x, scale, shift = torch.randn(1, 1, 3, 8, requires_grad=True), torch.ones(1, 1, 1, 8), torch.zeros(1, 1, 1, 8)
    modulated(x, scale, shift, EPS, fused=True).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None


@torch.inference_mode()
def test_a_fused_network_under_a_memory_of_another_kind() -> None:
    """Norms by kernels, keys by torch: as where a memory is made anew."""
    from .tiny import cache_of

    made = []
    for fused in (False, True):
        dit = tiny_dit().fuse(fused)
        memory = memory_of([cache_of(SHAPE, ROLL)], rope_of(SHAPE, ROWS, COLUMNS), "absolute")
        made.append(dit(latents(2), dit.moment(500.0), [text_of(dit)], memory))
    torch.testing.assert_close(made[1], made[0], rtol=0, atol=1e-5)
