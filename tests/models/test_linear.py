"""A batch changes nobody's bytes, in bfloat16 on a CPU; and a product is what torch says it is."""

from __future__ import annotations

import copy
import platform

import numpy as np
import pytest
import torch
from torch import nn

from worldloom.models.catalog import open_world
from worldloom.models.check import random_actions
from worldloom.models.dit import Block
from worldloom.models.linear import Linear, operators_exist
from worldloom.models.precision import native_dtype
from worldloom.models.world import DiTWorld

in_bfloat16 = pytest.mark.skipif(
    platform.machine() != "x86_64" or native_dtype(torch.device("cpu")) != torch.bfloat16,
    reason="this CPU does not multiply bfloat16: worlds stream in float32 here",
)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(5, 80, 768), (13, 32), (1, 80, 768)])
def test_a_product_is_what_torch_says(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer, x = Linear(shape[-1], 48).to(dtype), torch.randn(shape).to(dtype)
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias), atol=0.02, rtol=0.02)
    layer(x).sum().backward()
    assert layer.weight.grad is not None


def test_training_looks_without_gradients_under_autocast() -> None:
    torch.manual_seed(0)
    layer, x = Linear(64, 48), torch.randn(2, 80, 64)
    with torch.no_grad():
        expected = layer(x)
        with torch.autocast("cpu", torch.bfloat16):
            for given in (x, x.to(torch.bfloat16)):
                torch.testing.assert_close(layer(given).float(), expected, atol=0.02, rtol=0.02)


@in_bfloat16
def test_the_operators_that_nobody_promises_are_there() -> None:
    assert operators_exist()


def test_weights_that_change_are_laid_out_anew_and_copies_can_learn() -> None:
    torch.manual_seed(0)
    layer, x = Linear(64, 48).to(torch.bfloat16), torch.randn(1, 80, 64).to(torch.bfloat16)
    with torch.no_grad():
        before = layer(x)
        layer.weight.mul_(2.0)
        assert not torch.allclose(layer(x), before)
        torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias), atol=0.02, rtol=0.02)
    again = copy.deepcopy(layer)
    again(x).sum().backward()
    assert again.weight.grad is not None
    assert layer.weight.grad is None


def test_rows_are_the_same_alone_and_in_any_batch() -> None:
    torch.manual_seed(0)
    layer, x = Linear(768, 256, bias=False).to(torch.bfloat16), torch.randn(16, 80, 768).to(torch.bfloat16)
    with torch.inference_mode():
        alone = [layer(x[b : b + 1]) for b in range(16)]
        for size in (2, 3, 5, 8, 16):
            assert torch.equal(layer(x[:size]), torch.cat(alone[:size]))


@pytest.mark.slow
@in_bfloat16
@pytest.mark.parametrize("name", ["arm", "doom"])
def test_a_stream_has_the_same_bytes_alone_and_in_a_batch(name: str) -> None:
    world = open_world(name, device="cpu", dtype=torch.bfloat16)
    assert isinstance(world, DiTWorld)
    torch.manual_seed(0)
    with torch.no_grad():  # every block does something, whatever it has learned
        for block in world.dit.blocks:
            assert isinstance(block, Block)
            for part, scale in ((block.out.weight, 0.06), (block.down.weight, 0.04), (block.table, 0.3)):
                part.copy_(scale * torch.randn_like(part))
    assert world.steady
    for size in (5, 8):
        together, alone = ([world.start(seed=k) for k in range(size)] for _ in range(2))
        for k in range(3):
            rows = np.concatenate([random_actions(world.spec, 100 * k + b) for b in range(size)])
            pictures = world.step(together, rows)
            for b in range(size):
                assert np.array_equal(pictures[b : b + 1], world.step([alone[b]], rows[b : b + 1]))
                assert torch.equal(together[b].past, alone[b].past)
