"""Linears in eight bits: what they lose, what they take, and where they are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from worldloom.models.catalog import open_world
from worldloom.models.wan.config import FAMILIES, T2V_1_3B
from worldloom.models.wan.fp8 import E4M3, Fp8Linear, emulated_product, in_e4m3, refuse_fp8, scaled_product
from worldloom.models.wan.need import Plan, need
from worldloom.models.wan.open import WanFolder
from worldloom.models.wan.vae import VaeConfig
from worldloom.models.wan.world import WanWorld

from .folders import folder
from .tiny import SHAPE

IN_EIGHT_BITS = {"self_attn.qkv", "self_attn.o", "cross_attn.q", "cross_attn.o", "ffn.0", "ffn.2"}


def opened(path: Path, linears: str, **more: object) -> WanWorld:
    world = open_world(str(path), dtype=torch.float32, linears=linears, **more)  # type: ignore[arg-type]
    assert isinstance(world, WanWorld)
    return world


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_loses_as_much_as_eight_bits_do(dtype: torch.dtype) -> None:
    """e4m3 has three bits behind the first: a number is off by up to 1/16, evenly, tokens and weights apart."""
    layer, x = nn.Linear(256, 96).to(dtype), torch.randn(2, 20, 256).to(dtype)
    x[0, 3] *= 1000.0  # a token of another size is nobody's business but its own
    with torch.inference_mode():
        want, got = layer(x).float(), Fp8Linear(layer.weight, layer.bias)(x)
    assert got.dtype == dtype
    assert got.shape == want.shape
    off = (got.float() - want).norm(dim=-1) / want.norm(dim=-1)
    assert 0.005 < float(off.mean()) < 0.05
    assert float(off.max()) < 0.06


def test_numbers_come_back_within_their_bits() -> None:
    x = torch.randn(50, 64) * torch.logspace(-6, 6, 50)[:, None]
    x[7] = 0.0
    numbers, scale = in_e4m3(x)
    back = numbers.float() * scale
    largest = x.abs().amax(-1, keepdim=True)
    assert bool(((back - x).abs() <= (x.abs() / 16).clamp(min=0) + largest * 2**-9 / 448).all())
    assert bool(back.isfinite().all())
    assert torch.equal(back.abs().amax(-1), (numbers.float().abs().amax(-1) * scale[:, 0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_torchs_own_product_takes_the_same_numbers(dtype: torch.dtype) -> None:
    """The very call that CUDA gets, by the CPU's operator of that name."""
    (x, x_scale), (w, w_scale) = in_e4m3(torch.randn(33, 64)), in_e4m3(torch.randn(48, 64))
    bias = torch.randn(48).to(dtype)
    try:
        got = scaled_product(x, x_scale, w, w_scale, bias, dtype)
    except (RuntimeError, NotImplementedError) as error:
        pytest.skip(f"this torch has no such product on a CPU: {error}")
    near = 0.02 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(got, emulated_product(x, x_scale, w, w_scale, bias, dtype), rtol=near, atol=20 * near)


def test_what_is_in_eight_bits_and_what_it_takes(tmp_path: Path) -> None:
    path = folder(tmp_path / "tiny")
    world = opened(path, "fp8")
    found = {name.split(".", 2)[2] for name, part in world.dit.named_modules() if isinstance(part, Fp8Linear)}
    assert found == IN_EIGHT_BITS
    assert sum(isinstance(part, Fp8Linear) for part in world.dit.modules()) == SHAPE.layers * len(IN_EIGHT_BITS)
    assert {p.dtype for p in world.dit.parameters()} == {torch.float32, E4M3}
    about = WanFolder.read(path)
    plan = Plan(about.shape, about.rollout, about.vae, about.height, about.width, torch.float32, linears="fp8")
    assert sum(part.nbytes for part in world.dit.state_dict().values()) == need(plan).network
    assert need(plan).network < need(replace(plan, linears="native")).network


def test_the_1_3b_network_takes_two_thirds() -> None:
    plan = Plan(T2V_1_3B, FAMILIES["self-forcing"].rollout, VaeConfig(), 480, 832)
    matrices = 30 * 1536 * (6 * 1536 + 2 * 8960)  # numbers in eight bits
    scales = 4 * 30 * (6 * 1536 + 8960 + 1536)
    assert need(replace(plan, linears="fp8")).network == need(plan).network - matrices + scales
    assert need(replace(plan, linears="fp8")).network / 1e9 == pytest.approx(1.59, abs=0.005)


def test_pictures_are_about_the_same_ones(tmp_path: Path) -> None:
    path, shown = folder(tmp_path / "tiny"), []
    for linears in ("native", "fp8"):
        world = opened(path, linears)
        state = world.start(seed=0)
        chunks = [world.step([state], world.spec.actions.neutral(8)[None]) for _ in range(2)]
        shown.append(np.concatenate(chunks).astype(float))
    error = np.square(shown[0] - shown[1]).mean()
    assert error > 0
    assert 10 * np.log10(255**2 / error) > 25


def test_where_it_does_not_apply_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="expected linears=native for the world 'toy'"):
        open_world("toy", linears="fp8")
    cuda, half = torch.device("cuda"), torch.bfloat16
    refuse_fp8(torch.device("cpu"), torch.float32, SHAPE)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    with pytest.raises(ValueError, match=r"capability 8.9 or later, got 8.0; use linears=native"):
        refuse_fp8(cuda, half, T2V_1_3B)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    refuse_fp8(cuda, half, T2V_1_3B)
    with pytest.raises(ValueError, match="expected bfloat16"):
        refuse_fp8(cuda, torch.float32, T2V_1_3B)
    with pytest.raises(ValueError, match="multiples of 16, got 48 and 40"):
        refuse_fp8(cuda, half, SHAPE)
