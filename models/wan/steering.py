"""How a player's actions reach a network of the family: what each latent frame is told, and with which memory.

`Unsteered` is for networks without ears; `hands.py` has the keyboard and the mouse, `camera_steering.py` the camera's
way. Knows rows of actions and caches; nothing about sampling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..kv_cache import CacheConfig, KVCache
from ..spec import ActionSpec, Axis, Key
from .controls import STILL, Controls


class Steering(Protocol):
    """Between the columns of a world's actions and the controls of its network."""

    @property
    def actions(self) -> ActionSpec:
        """The columns."""

    @property
    def caches(self) -> tuple[CacheConfig, ...]:
        """What a stream remembers besides the keys and values of its pictures."""

    def rest(self) -> Tensor:
        """What a stream carries along before its first chunk."""

    def hear(self, carried: Tensor, rows: Tensor, first: bool) -> tuple[Tensor, Tensor]:
        """One chunk of one stream.

        Args:
            carried: what this gave for the chunk before.
            rows: (pictures, A) actions that lead to each picture of the chunk.
            first: it is a stream's first chunk, whose first latent frame is one picture, shown four times.

        Returns:
            (F, ...) what each latent frame is told; what to carry along.
        """

    def controls(self, told: Tensor, caches: Sequence[Sequence[KVCache]]) -> Controls:
        """For the next chunk of B streams, told (B, F, ...), with the caches of each."""

    def past(self, told: Tensor, caches: Sequence[KVCache], numbers: list[int]) -> Controls:
        """For all chunks that one stream remembers, told (1, F, ...), of these numbers; the empty caches are filled."""


def turning(
    keys: Mapping[str, Key],
    most: float,
    *,
    buttons: tuple[str, ...] = (),
    moves: tuple[Axis, ...] = (),
    turns: tuple[str, ...] = ("yaw", "pitch"),
) -> ActionSpec:
    """These buttons and moves, and a camera that the mouse and the arrow keys turn: by `most` degrees a picture."""
    axes = (*moves, *(Axis(name, -most, most, "degree/frame", "amount") for name in turns))
    arrows = (("Right", "yaw", 1), ("Left", "yaw", -1), ("Up", "pitch", 1), ("Down", "pitch", -1))
    ways = {f"Arrow{code}": Key(axis, way * most) for code, axis, way in arrows}
    return ActionSpec(buttons=buttons, axes=axes, keys={**keys, **ways}, look=("yaw", "pitch"))


class Unsteered:
    """No actions at all."""

    actions = ActionSpec()
    caches: tuple[CacheConfig, ...] = ()

    def rest(self) -> Tensor:
        """See `Steering`."""
        return torch.zeros(0)

    def hear(self, carried: Tensor, rows: Tensor, first: bool) -> tuple[Tensor, Tensor]:
        """See `Steering`."""
        del first
        return torch.zeros(len(rows), 0), carried

    def controls(self, told: Tensor, caches: Sequence[Sequence[KVCache]]) -> Controls:
        """See `Steering`."""
        del told, caches
        return STILL

    def past(self, told: Tensor, caches: Sequence[KVCache], numbers: list[int]) -> Controls:
        """See `Steering`."""
        del told, caches, numbers
        return STILL
