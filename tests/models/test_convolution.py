"""Convolutions whose weights are laid out once: the same numbers as torch's own."""

from __future__ import annotations

import copy
import platform

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from worldloom.models.convolution import Conv2d, operators_exist

SHAPES = {"square": (16, 16, 3, 1, 1), "strided": (16, 32, 2, 2, 1), "depthwise": (24, 24, 3, 1, 24)}


def convolution(name: str, dtype: torch.dtype) -> Conv2d:
    torch.manual_seed(1)
    entering, leaving, size, stride, groups = SHAPES[name]
    layer = Conv2d(entering, leaving, size, stride=stride, padding=size // 2 if size % 2 else 0, groups=groups)
    return layer.to(dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]


def pictures(layer: Conv2d, count: int = 3) -> torch.Tensor:
    x = torch.randn(count, layer.in_channels, 10, 16, generator=torch.Generator().manual_seed(2))
    return x.to(layer.weight.dtype, memory_format=torch.channels_last)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="promised on this kind of machine only")
def test_the_operators_that_nobody_promises_are_there() -> None:
    assert operators_exist(torch.float32)


@torch.no_grad()
def test_under_autocast_it_is_torchs_and_asks_nobody_for_operators() -> None:
    """The answer is kept for the life of the process, and under autocast it would be another one."""
    layer, known = convolution("square", torch.float32), operators_exist(torch.float32)
    x = pictures(layer)
    operators_exist.cache_clear()
    with torch.autocast("cpu", torch.bfloat16):
        for given in (x, x.to(torch.bfloat16)):
            assert torch.equal(layer(given, silu=True), F.silu(nn.Conv2d.forward(layer, given)))
    assert not operators_exist.cache_info().currsize
    assert operators_exist(torch.float32) == known


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.inference_mode()
def test_it_is_the_same_as_torchs(name: str, dtype: torch.dtype) -> None:
    layer = convolution(name, dtype)
    x = pictures(layer)
    plain = nn.Conv2d.forward(layer, x)
    near = 0.02 if dtype == torch.bfloat16 else 1e-5
    for got, want in (
        (layer(x), plain),
        (layer(x, silu=True), F.silu(plain)),
        (layer(x, beside=plain.flip(1)), plain.flip(1) + plain),
    ):
        torch.testing.assert_close(got, want, rtol=near, atol=near)
    assert layer(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.inference_mode()
def test_a_picture_in_a_batch_is_the_same_as_alone(dtype: torch.dtype) -> None:
    layer = convolution("square", dtype)
    x = pictures(layer)
    alone = torch.cat([layer(x[b : b + 1], beside=x[b : b + 1]) for b in range(len(x))])
    assert torch.equal(layer(x, beside=x), alone)


def test_weights_that_change_are_laid_out_anew() -> None:
    layer = convolution("square", torch.float32)
    x = pictures(layer)
    with torch.no_grad():
        before = layer(x)
        layer.weight.mul_(2.0)
        layer.load_state_dict({"weight": layer.weight.clone(), "bias": torch.zeros(16)})
        assert not torch.allclose(layer(x), before)
        torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight, None, padding=1))


def test_who_learns_gets_gradients_and_copies() -> None:
    layer = convolution("square", torch.float32)
    x = pictures(layer)
    with torch.inference_mode():
        layer(x)  # lays the weights out
    again = copy.deepcopy(layer)
    again(x, silu=True).sum().backward()
    assert again.weight.grad is not None
    assert again.weight.grad.abs().sum() > 0
    assert layer.weight.grad is None
