"""Tensors between the processes that share the tokens of one network: Ulysses' exchange (arXiv 2309.14509).

Each rank has its part of every frame's tokens, of all heads. Attention wants all tokens: so tokens are exchanged for
heads before it, and back behind it. Bytes travel, so every number format will do and nothing is rounded. NCCL carries
them on CUDA, gloo on the CPU, within this machine. Knows tensors and torch.distributed; no networks, no worlds.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor


class Exchange:
    """One rank's door to the others. All of them must make the same calls in the same order."""

    def __init__(self, rank: int, ranks: int) -> None:
        self.rank = rank
        self.ranks = ranks
        self.made = 0  # exchanges so far: ranks that were in as many are in step

    def own(self, x: Tensor, dim: int) -> Tensor:
        """This rank's part of what all have, along a dimension.

        Raises:
            ValueError: it cannot be divided.
        """
        if x.shape[dim] % self.ranks:
            raise ValueError(f"expected a multiple of {self.ranks}, got {x.shape[dim]} of {tuple(x.shape)}")
        return x.chunk(self.ranks, dim)[self.rank]

    def to_heads(self, x: Tensor, frames: int) -> Tensor:
        """Own tokens of all heads (..., heads, F * n, d) -> all tokens of own heads (..., heads / P, F * P * n, d)."""
        parts = torch.unflatten(torch.unflatten(x, -2, (frames, -1)), -4, (self.ranks, -1))  # (..., P, h, F, n, d)
        return self._swapped(parts.movedim(-5, 0)).movedim(0, -3).flatten(-4, -2)

    def to_tokens(self, x: Tensor, frames: int) -> Tensor:
        """The way back."""
        parts = torch.unflatten(x, -2, (frames, self.ranks, -1))  # (..., h, F, P, n, d)
        return self._swapped(parts.movedim(-3, 0)).movedim(0, -5).flatten(-5, -4).flatten(-3, -2)

    def gathered(self, x: Tensor, dim: int) -> Tensor:
        """The parts of all ranks, one behind the other along a dimension."""
        sent = x.contiguous()
        got = [torch.empty_like(sent) for _ in range(self.ranks)]
        self.made += 1
        dist.all_gather([_bytes(part) for part in got], _bytes(sent))
        return torch.cat(got, dim)

    def collected(self, x: Tensor, dim: int) -> Tensor | None:
        """The same on the first rank; None on the others."""
        sent = x.contiguous()
        got = [torch.empty_like(sent) for _ in range(self.ranks)] if self.rank == 0 else None
        self.made += 1
        dist.gather(_bytes(sent), [_bytes(part) for part in got] if got else None)
        return torch.cat(got, dim) if got else None

    def _swapped(self, x: Tensor) -> Tensor:
        """(P, ...): what is at p goes to rank p, and what came from there stands there."""
        sent = x.contiguous()
        got = torch.empty_like(sent)
        self.made += 1
        dist.all_to_all_single(_bytes(got), _bytes(sent))
        return got


def join(rank: int, ranks: int, place: Path, device: torch.device, wait_s: float) -> Exchange:
    """Meet the other ranks; a process can be in one such group at a time.

    Args:
        rank: of this process.
        ranks: how many there are.
        place: a file that does not exist yet, the same one for all.
        device: of the tensors that are exchanged.
        wait_s: seconds that one waits for the others, here and in every exchange.

    Raises:
        ValueError: this process is in a group already.
        RuntimeError: the others did not come.
    """
    refuse_second()
    if sys.platform.startswith("linux"):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # nobody outside this machine may connect
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=place.resolve().as_uri(),
        rank=rank,
        world_size=ranks,
        timeout=timedelta(seconds=wait_s),
        device_id=device if device.type == "cuda" else None,
    )
    return Exchange(rank, ranks)


def leave() -> None:
    """Out of the group, whoever is still in it. On the CPU alone: on CUDA that may wait for who is gone."""
    if dist.is_initialized() and dist.get_backend() == "gloo":
        dist.destroy_process_group()


def refuse_second() -> None:
    """One group is all that a process can be in, and with NCCL all that it ever is in.

    Raises:
        ValueError: this one is in a group.
    """
    if dist.is_initialized():
        raise ValueError(
            "expected one world on several devices in a process: let each engine have a process of its own"
        )


def _bytes(x: Tensor) -> Tensor:
    return x.view(torch.uint8)
