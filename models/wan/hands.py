"""A keyboard and a mouse: columns of actions into what Matrix-Game's modules hear, and their memory.

A latent frame hears the actions that led to its own four pictures and to the eight before. As in its authors' program,
what is done first counts as having been done before the beginning. Knows columns and caches; no network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..kv_cache import CacheConfig, KVCache
from ..kv_format import KVFormat
from ..memory import chunk_mask
from ..spec import ActionSpec, Key
from .config import PICTURES, ActionShape, Hands, Rollout
from .controls import CachedFrames, Controls, FullFrames, PastFrames, frame_phases, rope_of_actions
from .steering import turning

REST = "rest"  # a column of the keyboard that is pressed while no other is


class HandSteering:
    """See `Steering`."""

    def __init__(self, shape: ActionShape, hands: Hands, roll: Rollout, tokens: int, kv: KVFormat = "native") -> None:
        """Put it together.

        Args:
            shape: of the network's modules.
            hands: what their columns are.
            roll: how the network is rolled out.
            tokens: of a latent frame.
            kv: how memories keep keys and values.

        Raises:
            ValueError: these do not fit each other.
        """
        if len(hands.columns) > shape.keys or bool(hands.degrees) != bool(shape.mouse):
            raise ValueError(
                f"expected at most {shape.keys} keyboard columns and {'a' if shape.mouse else 'no'} mouse,"
                f" got {hands.columns} and {hands.degrees} degrees of a mouse's 1"
            )
        self.shape, self.hands = shape, hands
        self.actions = action_spec(hands)
        self._rope = rope_of_actions(shape)
        self.caches = hand_caches(shape, roll, tokens, kv)

    def rest(self) -> Tensor:
        """See `Steering`: the rows before the next chunk."""
        return torch.zeros(PICTURES * (self.shape.history - 1), self.shape.keys + self.shape.mouse)

    def hear(self, carried: Tensor, rows: Tensor, first: bool) -> tuple[Tensor, Tensor]:
        """See `Steering`."""
        rows, before = self._told(rows), len(carried)
        if first:
            known = rows[PICTURES:]  # the first latent frame is the picture that everything begins with
            held = (known if len(known) else rows)[:1]
            line = torch.cat([held.expand(before + PICTURES, -1), known])
        else:
            line = torch.cat([carried, rows])
        return line.unfold(0, before + PICTURES, PICTURES).transpose(1, 2), line[-before:]

    def controls(self, told: Tensor, caches: Sequence[Sequence[KVCache]]) -> Controls:
        """See `Steering`."""
        return self._controls(told, [CachedFrames.of(line, self._rope) for line in zip(*caches, strict=True)])

    def past(self, told: Tensor, caches: Sequence[KVCache], numbers: list[int]) -> Controls:
        """See `Steering`."""
        chunk, device = caches[0].config.chunk, caches[0].device
        frames = torch.tensor([n * chunk + f for n in numbers for f in range(chunk)], dtype=torch.float64)
        cos, sin = frame_phases(self._rope, frames)
        ids = torch.tensor(numbers, device=device).repeat_interleave(chunk)
        full = FullFrames((cos.to(device), sin.to(device)), chunk_mask(ids, ids, caches[0].config.window // chunk, 0))
        return self._controls(told, [PastFrames(cache, numbers, full) for cache in caches])

    def _controls(self, told: Tensor, memories: Sequence[CachedFrames | PastFrames]) -> Controls:
        return Controls(told, memories[0] if self.shape.mouse else None, memories[-1])

    def _told(self, rows: Tensor) -> Tensor:
        """(pictures, A) actions -> (pictures, keys + mouse) as the network knows them."""
        names, out = self.actions.columns, torch.zeros(len(rows), self.shape.keys + self.shape.mouse)
        for k, name in enumerate(self.hands.columns):
            if name in names:
                out[:, k] = rows[:, names.index(name)]
        if REST in self.hands.columns:
            out[:, self.hands.columns.index(REST)] = (out[:, : self.shape.keys].sum(1) == 0).float()
        if self.shape.mouse:
            for k, name in enumerate(("pitch", "yaw")):
                out[:, self.shape.keys + k] = rows[:, names.index(name)] / self.hands.degrees
        return out


def hand_caches(shape: ActionShape, roll: Rollout, tokens: int, kv: KVFormat) -> tuple[CacheConfig, ...]:
    """Of the mouse, where there is one, and of the keyboard. They have no sinks."""
    return tuple(
        CacheConfig(shape.blocks, shape.heads, shape.head_dim, n, roll.chunk, roll.window, 0, kv)
        for n in ((tokens, 1) if shape.mouse else (1,))
    )


def action_spec(hands: Hands) -> ActionSpec:
    """The columns that a session sees: buttons, and the camera's turns in degrees."""
    buttons = tuple(name for name in hands.columns if name not in ("", REST))
    keys = {code: Key(name) for code, name in hands.keys}
    if not hands.degrees:
        return ActionSpec(buttons=buttons, keys=keys)
    return turning(keys, hands.most * hands.degrees, buttons=buttons)
