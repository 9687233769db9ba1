"""A batch that is padded to a bucket gives what it gives unpadded; on CUDA, what a graph replays too."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from worldloom.models.buckets import Buckets

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def halved(x: Tensor, by: Tensor) -> Tensor:
    return x / by[:, None]


@pytest.mark.parametrize("device", DEVICES)
@torch.inference_mode()
def test_any_number_of_rows(device: str) -> None:
    buckets = Buckets(halved, (0.0, 2.0), sizes=(1, 4))
    for count in (3, 1, 4, 2, 9, 3):  # in any order: what a larger batch left is gone
        x = torch.arange(3.0 * count, device=device).view(count, 3)
        by = torch.full((count,), 4.0, device=device)
        assert torch.equal(buckets(x, by), x / 4.0)


@pytest.mark.parametrize("device", DEVICES)
@torch.inference_mode()
def test_another_shape_is_another_recording(device: str) -> None:
    buckets = Buckets(halved, (0.0, 2.0), sizes=(2,))
    for width in (3, 5, 3):
        x = torch.ones(2, width, device=device)
        assert torch.equal(buckets(x, torch.full((2,), 2.0, device=device)), x / 2.0)


@pytest.mark.parametrize("device", DEVICES)
@torch.inference_mode()
def test_what_is_shared_is_neither_padded_nor_split(device: str) -> None:
    buckets = Buckets(lambda table, x: x + table.sum(), (0.0,), shared=1, sizes=(1, 4))
    for count, width in ((3, 2), (9, 2), (1, 5), (3, 2)):
        x, table = torch.arange(float(count), device=device), torch.full((width,), float(count), device=device)
        assert torch.equal(buckets(table, x), x + width * count)


@torch.inference_mode()
def test_what_pads_is_what_it_was_told() -> None:
    seen: list[Tensor] = []

    def watched(x: Tensor) -> Tensor:
        seen.append(x.clone())
        return x + 1

    buckets = Buckets(watched, (7.0,), sizes=(4,))
    buckets(torch.zeros(4, 1))
    buckets(torch.zeros(1, 1))
    assert seen[-1].flatten().tolist() == [0.0, 7.0, 7.0, 7.0]


@torch.inference_mode()
def test_a_result_is_not_changed_by_the_next() -> None:
    buckets = Buckets(lambda x: x.mul_(1), (0.0,), sizes=(2,))
    first = buckets(torch.ones(2))
    buckets(torch.zeros(2))
    assert first.tolist() == [1.0, 1.0]
