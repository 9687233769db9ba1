"""What belongs to one stream of a `WanWorld`, and how it is written as bytes.

Knows tensors and their shapes; nothing about networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from safetensors.torch import load as load_tensors
from torch import Tensor

from ..kv_cache import CacheConfig, KVCache
from ..packed import as_bytes
from .block import TextKeys
from .spread import ALONE, Spread
from .switch import Turn, turn_of
from .vae_layers import Seen


@dataclass(frozen=True)
class Said:
    """A prompt; streams that dream the same one share it."""

    encoded: Tensor  # (n, text_width), on the CPU
    keys: TextKeys


NOBODY = Said(torch.zeros(0), TextKeys(torch.zeros(0), torch.zeros(0)))
"""Nothing said yet."""


@dataclass
class WanState:
    """One stream. Only the cache is ever written in place; all else is replaced, and forks share it."""

    cache: KVCache
    seed: int
    said: Said
    seen: Seen = ()  # by the decoder
    history: tuple[Tensor, ...] = ()  # chunks in the memory, (F, C, h, w) float32 as they were made, the oldest first
    frame: int = 0  # latent frames made so far, those of a start picture included
    hands: tuple[KVCache, ...] = ()  # what the modules that hear a player remember
    carried: Tensor = field(default_factory=lambda: torch.zeros(0))  # of actions that later chunks still hear
    told: tuple[Tensor, ...] = ()  # what each chunk of the history was told of its player, (F, ...), on the CPU
    shown: Tensor | None = None  # of the picture that it began with (see `shown.py`)
    turn: Turn | None = None  # on its way to another prompt
    released: bool = field(default=False)

    def fork(self) -> WanState:
        """An independent copy."""
        return replace(self, cache=self.cache.fork(), hands=tuple(cache.fork() for cache in self.hands))

    def release(self) -> None:
        """Give the memory back."""
        self.released, self.seen, self.history, self.told = True, (), (), ()
        for cache in (self.cache, *self.hands):
            cache.release()

    def tensors(self) -> Iterator[Tensor]:
        """Everything that it keeps in memory, shared or not."""
        for cache in (self.cache, *self.hands):
            yield from cache.tensors()
        yield from (*self.history, *self.told, self.carried)
        if self.shown is not None:
            yield self.shown
        yield from (part for part in self.seen if part is not None)
        yield from (self.turn.before, self.turn.after) if self.turn else ()
        yield from (self.said.encoded, self.said.keys.keys, self.said.keys.values)


def kept(c: CacheConfig, history: tuple[Tensor, ...], chunk: Tensor) -> tuple[Tensor, ...]:
    """A stream's history behind one more chunk: as much as its memory holds."""
    sinks, window = c.sink // c.chunk, c.window // c.chunk
    line = (*history, chunk.clone())
    return line if len(line) <= sinks + window else (*line[:sinks], *line[-window:])


def shortened(c: CacheConfig, history: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """A stream's history without all but sinks and the latest chunk."""
    sinks = c.sink // c.chunk
    return (*history[:sinks], *history[sinks:][-1:])


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


def packed(state: WanState, world: str, spread: Spread = ALONE) -> bytes:
    """A stream of the world of that name as safetensors bytes; it goes on to the bit. On other ranks b""."""
    whole = {f"seen.{k}": part for k, part in enumerate(state.seen) if part is not None}
    whole |= spread.whole(0, state.cache)
    for k, cache in enumerate(state.hands):
        whole |= {f"hands.{k}.{name}": part for name, part in spread.whole(1 + k, cache).items()}
    return b"" if spread.rank else as_bytes(whole | _carried(state), world)


def parked(state: WanState, world: str) -> bytes:
    """The same in few bytes: the latents that it remembers, from which all else is made anew, nearly as it was."""
    return as_bytes(_carried(state), world)


def _carried(state: WanState) -> dict[str, Tensor]:
    """All but the memory."""
    tensors = {"said": state.said.encoded, "carried": state.carried} | (state.turn.tensors() if state.turn else {})
    if state.history:
        tensors |= {"history": torch.stack(state.history), "told": torch.stack(state.told)}
    if state.shown is not None:
        tensors["shown"] = state.shown
    tensors["numbers"] = torch.tensor([state.seed, state.frame, state.cache.frame, len(state.seen)])
    return tensors


def unpacked(
    blob: bytes, state: WanState, said: Callable[[Tensor], Said], spread: Spread = ALONE
) -> tuple[WanState, bool]:
    """The stream that `packed` or `parked` wrote.

    Args:
        blob: what was written.
        state: an empty one of the world's shape, whose memory is filled; `shown` is none where the world shows nothing.
        said: keys and values of an encoded prompt.
        spread: how caches lie on several devices.

    Returns:
        the stream, and whether its memory is whole; otherwise it is to be made anew from the history.

    Raises:
        ValueError, KeyError: it is a stream of another shape.
        Exception: of safetensors, for damaged bytes.
    """
    tensors, cache = load_tensors(blob), state.cache
    seed, frame, remembered, parts = (int(n) for n in tensors["numbers"])
    whole = "keys" in tensors
    if whole:
        for k, (prefix, each) in enumerate([("", cache), *((f"hands.{k}.", c) for k, c in enumerate(state.hands))]):
            each.restore(spread.own(k, each, {name: tensors[prefix + name] for name in each.named()}))
    cache.sink_yaw = [0.0] * min(remembered, cache.config.sink)
    for each in (cache, *state.hands):
        each.frame = remembered
    names = [f"seen.{k}" for k in range(parts)] if whole else []
    shown = tensors.get("shown")
    if (shown is None) != (state.shown is None):
        raise ValueError("expected a stream that began with a picture" if shown is None else "expected none that did")
    found = replace(
        state,
        seed=seed,
        frame=frame,
        said=said(tensors["said"]),
        seen=tuple(tensors[name].to(cache.device) if name in tensors else None for name in names),
        history=tuple(tensors["history"].to(cache.device)) if "history" in tensors else (),
        told=tuple(tensors["told"]) if "told" in tensors else (),
        carried=tensors["carried"],
        turn=turn_of(tensors),
        shown=None if shown is None else shown.to(cache.device),
    )
    return found, whole
