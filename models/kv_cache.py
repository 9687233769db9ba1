"""What a stream remembers: keys and values of its first frames (sinks) and of its last ones (a sliding window).

One preallocated, frame-aligned buffer a stream. Slots [0, sink) hold the first frames, the rest is a ring of
`window + chunk` frames in which the chunk being made lives as well, so that attention reads one contiguous slice
and nothing is ever moved: softmax does not care in which order keys stand.

- Window keys are stored rotated at their absolute frame index; only differences matter, so this has no limit.
- Sink keys are stored as they came and rotated again once a chunk, to stand just before the window: the distance to
  them stays within what training saw. The same place is where they were before the window began to slide.

Knows nothing about networks or sampling.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .rope import RopeConfig, rotary, rotate


@dataclass(frozen=True)
class CacheConfig:
    """Shape of a cache."""

    layers: int
    heads: int
    head_dim: int
    tokens: int  # of one frame
    chunk: int  # frames made by one step
    window: int  # frames remembered before the current chunk, a multiple of `chunk`
    sink: int = 0  # first frames never forgotten, a multiple of `chunk`

    def __post_init__(self) -> None:
        if self.window % self.chunk or self.sink % self.chunk or self.window < self.chunk:
            raise ValueError(
                f"expected window and sink to be multiples of the chunk ({self.chunk}) and window to hold one,"
                f" got window {self.window}, sink {self.sink}"
            )

    @property
    def slots(self) -> int:
        """Frames that the buffer holds."""
        return self.sink + self.window + self.chunk


@dataclass
class KVCache:
    """Keys and values of one stream."""

    config: CacheConfig
    keys: Tensor  # (L, heads, slots * tokens, d), rotated
    values: Tensor  # (L, heads, slots * tokens, d)
    sinks: Tensor  # (L, heads, sink * tokens, d) sink keys, not rotated
    frame: int = 0  # frames committed so far, which is the index of the next one
    sink_yaw: list[float] = field(default_factory=list)  # degrees, of each sink frame

    @classmethod
    def allocate(cls, config: CacheConfig, device: torch.device, dtype: torch.dtype) -> KVCache:
        """An empty cache."""
        shape = (config.layers, config.heads, config.slots * config.tokens, config.head_dim)
        keys = torch.zeros(shape, device=device, dtype=dtype)
        sinks = torch.zeros((*shape[:2], config.sink * config.tokens, shape[3]), device=device, dtype=dtype)
        return cls(config, keys, torch.zeros_like(keys), sinks)

    def slot(self, ahead: int = 0) -> int:
        """Slot of the first frame of the current chunk, or of one so many chunks ahead."""
        c, frame = self.config, self.frame + ahead * self.config.chunk
        return frame if frame < c.sink else c.sink + (frame - c.sink) % (c.window + c.chunk)

    def filled(self, ahead: int = 0) -> int:
        """Slots that this chunk attends to, itself included; they are the first ones."""
        return min(self.frame + (ahead + 1) * self.config.chunk, self.config.slots)

    def write(self, layer: int, rotated: Tensor, raw: Tensor, values: Tensor, ahead: int = 0) -> None:
        """Put the current chunk, or one ahead, in its place.

        Args:
            layer: which layer.
            rotated: (heads, chunk * tokens, d) keys at their absolute positions.
            raw: the same keys, not rotated.
            values: (heads, chunk * tokens, d).
            ahead: chunks after the current one. What the chunks before it still want to see must have been read.
        """
        n, slot = self.config.tokens, self.slot(ahead)
        here = slice(slot * n, (slot + self.config.chunk) * n)
        self.keys[layer, :, here] = rotated
        self.values[layer, :, here] = values
        if self.frame < self.config.sink:
            self.sinks[layer, :, here] = raw

    def read(self, layer: int, ahead: int = 0) -> tuple[Tensor, Tensor]:
        """Keys and values that this chunk may look at, each (heads, T, d); the next write changes them."""
        seen = self.filled(ahead) * self.config.tokens
        return self.keys[layer, :, :seen], self.values[layer, :, :seen]

    def advance(self, yaw: list[float]) -> None:
        """The current chunk is finished; `yaw` (degrees) has one number a frame of it."""
        if self.frame < self.config.sink:
            self.sink_yaw += yaw
        self.frame += self.config.chunk

    def place_sinks(self, rope: RopeConfig, yaw: float) -> None:
        """Rotate the sinks to stand just before the window of the coming chunk, at most half a turn from `yaw`."""
        c = self.config
        first = self.frame - c.window  # of the window
        if not c.sink or self.frame <= c.sink or (first <= c.sink and not rope.fov):
            return
        frames = torch.arange(c.sink, dtype=torch.float64) + max(0, first - c.sink)
        turned = torch.tensor([yaw + _half_turn(s - yaw) for s in self.sink_yaw], dtype=torch.float64)
        cos, sin = rotary(rope, frames, turned)
        device = self.keys.device
        self.keys[:, :, : c.sink * c.tokens] = rotate(self.sinks, (cos.to(device), sin.to(device)))

    def fork(self) -> KVCache:
        """An independent copy."""
        return replace(
            self,
            keys=self.keys.clone(),
            values=self.values.clone(),
            sinks=self.sinks.clone(),
            sink_yaw=list(self.sink_yaw),
        )

    @property
    def nbytes(self) -> int:
        """Bytes that the buffers take."""
        return sum(t.nbytes for t in (self.keys, self.values, self.sinks))


def _half_turn(degrees: float) -> float:
    """An angle brought into [-180, 180)."""
    return (degrees + 180.0) % 360.0 - 180.0
