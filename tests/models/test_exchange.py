"""Tokens for heads and back: nothing is lost, nothing is rounded, everything is where it belongs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from tests.models.wan.ranks import each, seats
from worldloom.models.exchange import Exchange, join, leave, refuse_second

FRAMES, TOKENS, HEADS = 3, 12, 6


def numbers(dtype: torch.dtype = torch.float32) -> Tensor:
    """(3, 2, heads, frames * tokens, 4): all tokens of all heads."""
    x = torch.randn(3, 2, HEADS, FRAMES * TOKENS, 4, generator=torch.Generator().manual_seed(0))
    return (x * 50).to(dtype)


def own_tokens(x: Tensor, exchange: Exchange) -> Tensor:
    return exchange.own(torch.unflatten(x, 3, (FRAMES, TOKENS)), 4).flatten(3, 4)


def proven(exchange: Exchange, x: Tensor) -> None:
    mine = own_tokens(x, exchange)
    heads = exchange.to_heads(mine, FRAMES)
    assert torch.equal(heads, exchange.own(x, 2))
    assert torch.equal(exchange.to_tokens(heads, FRAMES), mine)
    frames = torch.unflatten(mine, 3, (FRAMES, -1))
    assert torch.equal(exchange.gathered(frames, 4).flatten(3, 4), x)
    whole = exchange.collected(heads, 2)
    assert whole is None if exchange.rank else whole is not None and torch.equal(whole, x)
    assert exchange.made == 4


@pytest.mark.parametrize("ranks", [2, 3, 6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_there_and_back(ranks: int, dtype: torch.dtype) -> None:
    each([partial(proven, exchange, numbers(dtype)) for exchange in seats(ranks)])


def test_what_cannot_be_divided_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 5, got 6"):
        Exchange(0, 5).own(numbers(), 2)


def process(rank: int, place: Path) -> None:
    exchange = join(rank, 3, place, torch.device("cpu"), 60.0)
    with pytest.raises(ValueError, match="one world on several devices in a process"):
        refuse_second()
    for dtype in (torch.float32, torch.bfloat16, torch.int8):
        exchange.made = 0
        proven(exchange, numbers(dtype))
    leave()
    refuse_second()


@pytest.mark.slow  # three processes
def test_between_processes(tmp_path: Path) -> None:
    spawn(process, (tmp_path / "meeting",), nprocs=3)  # type: ignore[no-untyped-call]
