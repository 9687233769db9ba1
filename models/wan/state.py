"""What belongs to one stream of a `WanWorld`, and how it is written as bytes.

Knows tensors and their shapes; nothing about networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from ..kv_cache import KVCache
from .dit import TextKeys
from .switch import Turn, turn_of
from .vae import Seen


@dataclass(frozen=True)
class Said:
    """A prompt; streams that dream the same one share it."""

    encoded: Tensor  # (n, text_width), on the CPU
    keys: TextKeys


@dataclass
class WanState:
    """One stream. Only the cache is ever written in place; all else is replaced, and forks share it."""

    cache: KVCache
    seed: int
    said: Said
    seen: Seen = ()  # by the decoder
    history: tuple[Tensor, ...] = ()  # chunks in the memory, (F, C, h, w) float32 as they were made, the oldest first
    frame: int = 0  # latent frames made so far, those of a start picture included
    turn: Turn | None = None  # on its way to another prompt
    released: bool = field(default=False)

    def fork(self) -> WanState:
        """An independent copy."""
        return replace(self, cache=self.cache.fork())

    def release(self) -> None:
        """Give the memory back."""
        self.released, self.seen, self.history = True, (), ()
        self.cache.release()

    def tensors(self) -> Iterator[Tensor]:
        """Everything that it keeps in memory, shared or not."""
        yield from self.cache.tensors()
        yield from self.history
        yield from (part for part in self.seen if part is not None)
        yield from (self.turn.before, self.turn.after) if self.turn else ()
        yield from (self.said.encoded, self.said.keys.keys, self.said.keys.values)


def kept(state: WanState, chunk: Tensor) -> tuple[Tensor, ...]:
    """The stream's history behind one more chunk: as much as its memory holds."""
    c = state.cache.config
    sinks, window = c.sink // c.chunk, c.window // c.chunk
    line = (*state.history, chunk.clone())
    return line if len(line) <= sinks + window else (*line[:sinks], *line[-window:])


def shortened(state: WanState) -> tuple[Tensor, ...]:
    """The stream's history without all but sinks and the latest chunk."""
    sinks = state.cache.config.sink // state.cache.config.chunk
    return (*state.history[:sinks], *state.history[sinks:][-1:])


@dataclass(frozen=True)
class Place:
    """Where a chunk of a stream begins; what its noise is a function of."""

    seed: int
    frame: int


def places(state: WanState) -> list[Place]:
    """Of the chunks in the stream's history: sinks, then the window."""
    c, chunks = state.cache.config, len(state.history)
    sinks, total = min(c.sink // c.chunk, chunks), state.frame // c.chunk
    return [Place(state.seed, n * c.chunk) for n in (*range(sinks), *range(total - (chunks - sinks), total))]


def packed(state: WanState, world: str) -> bytes:
    """A stream of the world of that name as safetensors bytes; it goes on to the bit."""
    seen = {f"seen.{k}": part for k, part in enumerate(state.seen) if part is not None}
    return _bytes(state, state.cache.named() | seen, world)


def parked(state: WanState, world: str) -> bytes:
    """The same in few bytes: the latents that it remembers, from which all else is made anew, nearly as it was."""
    return _bytes(state, {}, world)


def _bytes(state: WanState, more: dict[str, Tensor], world: str) -> bytes:
    tensors = {"said": state.said.encoded} | more | (state.turn.tensors() if state.turn else {})
    if state.history:
        tensors["history"] = torch.stack(state.history)
    tensors["numbers"] = torch.tensor([state.seed, state.frame, state.cache.frame, len(state.seen)])
    whole = {name: part.clone(memory_format=torch.contiguous_format) for name, part in tensors.items()}
    return save_tensors(whole, {"world": world})


@dataclass(frozen=True)
class Unpacked:
    """What was written, without what follows from it."""

    seed: int
    frame: int
    encoded: Tensor
    history: tuple[Tensor, ...]
    seen: Seen
    turn: Turn | None
    whole: bool  # its cache is filled; otherwise it is to be made anew from the history


def unpacked(blob: bytes, cache: KVCache) -> Unpacked:
    """The stream that `packed` or `parked` wrote; a whole one's memory goes into a new cache of the world's shape.

    Raises:
        ValueError, KeyError: it is a stream of another shape.
        Exception: of safetensors, for damaged bytes.
    """
    tensors = load_tensors(blob)
    seed, frame, remembered, parts = (int(n) for n in tensors["numbers"])
    whole = "keys" in tensors
    if whole:
        cache.restore(tensors)
    cache.frame, cache.sink_yaw = remembered, [0.0] * min(remembered, cache.config.sink)
    names = [f"seen.{k}" for k in range(parts)] if whole else []
    seen = tuple(tensors[name].to(cache.device) if name in tensors else None for name in names)
    history = tuple(tensors["history"].to(cache.device)) if "history" in tensors else ()
    return Unpacked(seed, frame, tensors["said"], history, seen, turn_of(tensors), whole)
