"""Things on a table: where each can be, and which of its places change when a hand moves it.

A drawer's handle and a button go along one axis; a puck goes anywhere, is carried by fingers that hold it, and falls.
Which of a world's things a stream has before it is its kind: the place of the thing in the world's list. Knows metres;
nothing about hands or pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def space(things: Sequence[Thing], device: torch.device) -> tuple[Tensor, Tensor]:
    """(3,) metres: both corners of the smallest space that holds all of theirs."""
    low, high = torch.tensor([thing.low for thing in things]), torch.tensor([thing.high for thing in things])
    return low.amin(0).to(device), high.amax(0).to(device)


def spaces(things: Sequence[Thing], kind: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 3) of things of these kinds (B,): both corners, and along which axes each goes (bool)."""
    low, high = (torch.tensor([getattr(thing, side) for thing in things]) for side in ("low", "high"))
    free = torch.tensor([[axis in thing.free for axis in range(3)] for thing in things])
    return low.to(kind.device)[kind], high.to(kind.device)[kind], free.to(kind.device)[kind]


def loose(things: Sequence[Thing], kind: Tensor) -> Tensor:
    """(B, 1) which of these kinds (B,) fingers carry."""
    return torch.tensor([thing.loose for thing in things]).to(kind.device)[kind][:, None]
