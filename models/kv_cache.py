"""What a stream remembers: keys and values of its first frames (sinks) and of its last ones (a sliding window).

One preallocated, frame-aligned buffer a stream. Slots [0, sink) hold the first frames, the rest is a ring of
`window + chunk` frames in which the chunk being made lives as well, so that attention reads one contiguous slice
and nothing is ever moved: softmax does not care in which order keys stand.

- Window keys are stored rotated at their absolute frame index; only differences matter, so this has no limit.
- Sink keys are stored as they came and rotated again once a chunk, to stand just before the window: the distance to
  them stays within what training saw. The same place is where they were before the window began to slide.
- A fork shares the buffer until one of the two writes, and then a chunk at a time (ring.py).

Knows nothing about networks or sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .kv_format import KVFormat, Parts, decoded, empty, encoded
from .kv_pool import KVPool
from .ring import Past, Ring, footprint_of
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
    format: KVFormat = "native"  # how the window is kept; sinks are kept as they are

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

    @property
    def row(self) -> tuple[int, int, int, int]:
        """Shape of a stream's keys, or values."""
        return self.layers, self.heads, self.slots * self.tokens, self.head_dim


@dataclass
class KVCache:
    """Keys and values of one stream."""

    config: CacheConfig
    sinks: Tensor  # (L, heads, sink * tokens, d) sink keys, not rotated; never written once they are complete
    buffer: Ring | Past  # its own, or as it was where this was forked; nothing was written since
    frame: int = 0  # frames committed so far, which is the index of the next one
    sink_yaw: list[float] = field(default_factory=list)  # degrees, of each sink frame
    pool: KVPool | None = None  # where its buffer is a row, if one is free

    @classmethod
    def allocate(
        cls, config: CacheConfig, device: torch.device, dtype: torch.dtype, pool: KVPool | None = None
    ) -> KVCache:
        """An empty cache."""
        shape = (config.layers, config.heads, config.sink * config.tokens, config.head_dim)
        sinks = torch.zeros(shape, device=device, dtype=dtype)
        return cls(config, sinks, _empty(config, sinks, pool), pool=pool)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.sinks.device

    @property
    def keys(self) -> Tensor:
        """(L, heads, slots * tokens, d), rotated."""
        return self._halves(self.ring.parts)[0]

    @property
    def values(self) -> Tensor:
        """(L, heads, slots * tokens, d)."""
        return self._halves(self.ring.parts)[1]

    def named(self) -> dict[str, Tensor]:
        """Everything that it keeps, for files."""
        scaled = ("keys", "key_scales", "values", "value_scales")
        names = ("keys", "values") if self.config.format == "native" else scaled
        return dict(zip(names, self.ring.parts, strict=True)) | {"sinks": self.sinks}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `named` gave.

        Raises:
            ValueError, KeyError: it is of another shape or number format.
        """
        for name, place in self.named().items():
            saved = tensors[name]
            if saved.shape != place.shape or saved.dtype != place.dtype:
                raise ValueError(
                    f"{name}: expected {tuple(place.shape)} {place.dtype}, got {tuple(saved.shape)} {saved.dtype}"
                )
            place.copy_(saved)

    @property
    def ring(self) -> Ring:
        """A buffer that nobody else writes; a fork gets one here."""
        if isinstance(self.buffer, Past):
            past, self.buffer = self.buffer, _empty(self.config, self.sinks, self.pool)
            past.fill(self.buffer)
            past.release()
            if self.frame < self.config.sink:
                self.sinks = self.sinks.clone()
        return self.buffer

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
        parts = (*self._encoded(rotated), *self._encoded(values))
        for place, new in zip(self.places(layer, ahead), parts, strict=True):
            place.copy_(new)
        if self.frame < self.config.sink:
            self.sinks[layer, :, self._here(ahead)] = raw

    def places(self, layer: int, ahead: int = 0) -> Parts:
        """Where `write` puts keys, then values, each (heads, chunk * tokens, ...): to be written right away."""
        ring, here = self.ring, self._here(ahead)
        ring.leave(self.slot(ahead) // self.config.chunk)
        return tuple(part[layer, :, here] for part in ring.parts)

    def read(self, layer: int, ahead: int = 0) -> tuple[Tensor, Tensor]:
        """Keys and values that this chunk may look at, each (heads, T, d); the next write changes them."""
        seen, ring = self.filled(ahead) * self.config.tokens, self.ring
        return self._halves([part[layer, :, :seen] for part in ring.parts])

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
        yaws = torch.tensor([yaw + half_turn(s - yaw) for s in self.sink_yaw], dtype=torch.float64)
        cos, sin = rotary(rope, frames, yaws)
        ring = self.ring
        for place in range(c.sink // c.chunk):
            ring.leave(place)
        turned = rotate(self.sinks, (cos.to(self.device), sin.to(self.device)))
        for part, new in zip(ring.parts, self._encoded(turned), strict=False):  # keys come first
            part[:, :, : c.sink * c.tokens] = new

    def fork(self) -> KVCache:
        """An independent copy, for next to nothing: it shares what neither has written since."""
        c, buffer = self.config, self.buffer
        if isinstance(buffer, Past):
            past = buffer.fork()
        else:  # what stands in the slot of the coming chunk is a draft
            past = buffer.past(set(range(min(self.frame, c.slots) // c.chunk)) - {self.slot() // c.chunk})
        return replace(self, buffer=past, sink_yaw=list(self.sink_yaw))

    def tensors(self) -> Iterator[Tensor]:
        """Everything that it keeps in memory, shared or not."""
        yield self.sinks
        yield from self.buffer.tensors() if isinstance(self.buffer, Past) else self.buffer.parts

    @property
    def nbytes(self) -> int:
        """Bytes of that."""
        return footprint_of(self.tensors(), self.pool.storages() if self.pool else frozenset())

    def release(self) -> None:
        """Give the memory back."""
        if isinstance(self.buffer, Past):
            self.buffer.release()
        self.sinks = self.sinks.new_empty(0)
        self.buffer = Past(None, (), {})

    def _here(self, ahead: int) -> slice:
        """Tokens of the current chunk, or of one ahead."""
        first = self.slot(ahead) * self.config.tokens
        return slice(first, first + self.config.chunk * self.config.tokens)

    def _encoded(self, x: Tensor) -> Parts:
        return encoded(x, self.config.format)

    def _halves(self, parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Keys and values of the parts of a ring, or of some of it."""
        half, dtype = len(parts) // 2, self.sinks.dtype
        return decoded(tuple(parts[:half]), dtype), decoded(tuple(parts[half:]), dtype)


def _empty(config: CacheConfig, like: Tensor, pool: KVPool | None) -> Ring:
    places = config.slots // config.chunk
    if pool and (ring := pool.ring(places)):
        return ring
    keys, values = (empty(config.row, like, config.format) for _ in range(2))
    return Ring((*keys, *values), places)


def half_turn(degrees: float) -> float:
    """An angle brought into [-180, 180)."""
    return (degrees + 180.0) % 360.0 - 180.0
