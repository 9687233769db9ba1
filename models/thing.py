"""Things on a table: where each can be, and which of its places change when a hand moves it.

A drawer's handle and a button go along one axis; a puck goes anywhere, is carried by fingers that hold it, and falls.
Which of a world's things a stream has before it is its kind: the place of the thing in the world's list. Knows metres;
nothing about hands or pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class Thing:
    """What can be moved."""

    low: tuple[float, float, float]  # metres: the corner of its space with the smallest numbers
    high: tuple[float, float, float]  # metres: the opposite corner
    free: tuple[int, ...]  # axes along which it goes; along the others it stays where its episode has it
    loose: bool = False  # fingers carry it and it falls; what is not loose slides, and stays


def free_axes(things: Sequence[Thing]) -> list[int]:
    """Axes along which any of them goes."""
    return sorted({axis for thing in things for axis in thing.free})


def any_loose(things: Sequence[Thing]) -> bool:
    """Whether fingers carry any of them."""
    return any(thing.loose for thing in things)


def kinds_told(things: Sequence[Thing]) -> int:
    """Numbers that say which of them it is: none where there is no other."""
    return len(things) if len(things) > 1 else 0


def one_of(things: Sequence[Thing], kind: Tensor) -> Tensor:
    """(B,) kinds -> (B, kinds_told) ones and zeros."""
    kinds = torch.arange(kinds_told(things), device=kind.device)
    return (kind[:, None] == kinds).float()


def space(things: tuple[Thing, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """(3,) metres: both corners of the smallest space that holds all of theirs."""
    low, high, *_ = _tables(things, device)
    return low.amin(0), high.amax(0)


def spaces(things: tuple[Thing, ...], kind: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 3) of things of these kinds (B,): both corners, and along which axes each goes (bool)."""
    low, high, free, _ = _tables(things, kind.device)
    return low[kind], high[kind], free[kind]


def loose(things: tuple[Thing, ...], kind: Tensor) -> Tensor:
    """(B, 1) which of these kinds (B,) fingers carry."""
    return _tables(things, kind.device)[3][kind]


@lru_cache
def _tables(things: tuple[Thing, ...], device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """By kind: corners (K, 3), free axes (K, 3), what is loose (K, 1). Asked for at every step; not to be changed."""
    with torch.inference_mode(False):
        low, high = (
            torch.tensor([getattr(thing, side) for thing in things], device=device) for side in ("low", "high")
        )
        free = torch.tensor([[axis in thing.free for axis in range(3)] for thing in things], device=device)
        return low, high, free, torch.tensor([[thing.loose] for thing in things], device=device)
