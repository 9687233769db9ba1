"""Pixels that move in runs end up where torch puts them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from worldloom.models.autoencoder import to_pictures
from worldloom.models.pixels import to_cells, to_pixels

FORMATS = [torch.contiguous_format, torch.channels_last]


def numbers(shape: tuple[int, ...], dtype: torch.dtype, laid: torch.memory_format) -> Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    drawn.view(-1)[5] = torch.nan  # is copied like any other
    return drawn.to(dtype, memory_format=laid)


def same(x: Tensor, y: Tensor) -> bool:
    return torch.equal(x.nan_to_num(7.0), y.nan_to_num(7.0))


@pytest.mark.parametrize("laid", FORMATS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("n", [2, 3, 4, 8])
@torch.inference_mode()
def test_it_is_what_torch_does(n: int, dtype: torch.dtype, laid: torch.memory_format) -> None:
    pictures = numbers((2, 3, 48, 24), dtype, laid)
    cells = to_cells(pictures, n)
    assert same(cells, F.pixel_unshuffle(pictures, n))
    assert cells.is_contiguous(memory_format=torch.channels_last)
    features = numbers((2, 5 * n * n, 3, 4), dtype, laid)
    again = to_pixels(features, n)
    assert same(again, F.pixel_shuffle(features, n))
    assert again.is_contiguous()


def test_who_learns_gets_gradients() -> None:
    pictures = torch.randn(1, 3, 8, 8, requires_grad=True)
    to_pixels(to_cells(pictures, 4), 4).square().sum().backward()  # type: ignore[no-untyped-call]
    assert pictures.grad is not None
    torch.testing.assert_close(pictures.grad, 2.0 * pictures)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(3, 4, 6), (2, 3, 4, 6), (2, 1, 3, 4, 6)])
def test_pictures_are_rounded_and_stay_as_they_were(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    signed = numbers(shape, dtype, torch.contiguous_format).nan_to_num(2.0)
    before = signed.clone()
    want = ((signed.float() + 1.0) * 127.5).round().clamp(0.0, 255.0).to(torch.uint8).movedim(-3, -1)
    got = to_pictures(signed)
    assert torch.equal(got, want)
    assert got.is_contiguous()
    assert torch.equal(signed, before)
