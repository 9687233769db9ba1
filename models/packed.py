"""Streams as bytes, without pickle: whole, or parked.

Both hold the latents of what they remember, in half precision. Whole ones hold keys and values as well, and go on to
the bit, also through being parked later. Of parked ones the memory is made anew (prefill.py); `worldloom bench memory`
measures how large they are and what it changes. Knows states and safetensors; no network.
"""

from __future__ import annotations

from dataclasses import fields

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from .kv_cache import KVCache
from .state import PENDING, DiTState, Pending
from .view import View, Way


def kept(state: DiTState, chunk: Pending) -> tuple[Pending, ...]:
    """The stream's history behind one more chunk that goes into its memory; none where its sinks are not known."""
    c = state.cache.config
    sinks, window = c.sink // c.chunk, c.window // c.chunk
    if sinks and state.cache.frame and not state.history:  # it was loaded whole
        return ()
    line = (*state.history, chunk.remembered)
    return line if len(line) <= sinks + window else (*line[:sinks], *line[-window:])


def packed(state: DiTState, world: str) -> bytes:
    """A stream of the world of that name as safetensors bytes."""
    return as_bytes(state.cache.named() | _remembered(state) | _carried(state), world)


def parked(state: DiTState, world: str) -> bytes:
    """The same in few bytes; whole where not all of its history is known."""
    c = state.cache.config
    if len(state.history) < max(1, min(state.cache.frame, c.sink + c.window) // c.chunk):
        return packed(state, world)
    return as_bytes(_remembered(state) | _carried(state), world)


def unpacked(blob: bytes, cache: KVCache, *, way: type[Way] | None) -> tuple[DiTState, bool]:
    """The stream that `packed` or `parked` wrote, and whether its memory is filled; if not, its `history` tells it.

    Args:
        blob: what was written.
        cache: a new one of the world's shape, to be filled.
        way: what the ways of its streams are, if the world moves its pictures.

    Raises:
        ValueError, KeyError: it is a stream of another shape.
        Exception: of safetensors, for damaged bytes.
    """
    tensors = load_tensors(blob)
    history: tuple[Pending, ...] = ()
    if "history.latents" in tensors:
        stacks = [tensors[f"history.{name}"] for name in PENDING]
        history = tuple(_pending(dict(zip(PENDING, parts, strict=True)), cache) for parts in zip(*stacks, strict=True))
    whole = "values" in tensors or not history
    if whole:
        cache.restore(tensors)
    return _loaded(tensors, cache, history, way=way), whole


def _remembered(state: DiTState) -> dict[str, Tensor]:
    """The latents of its memory."""
    if not state.history:
        return {}
    return {f"history.{name}": torch.stack([getattr(chunk, name) for chunk in state.history]) for name in PENDING}


def _carried(state: DiTState) -> dict[str, Tensor]:
    """All but the memory."""
    tensors = {"past": state.past, "recent": state.recent}
    if state.pending:
        tensors |= {f"pending.{name}": getattr(state.pending, name) for name in PENDING}
    if state.view:
        tensors |= {"picture": state.view.picture} | state.view.way.tensors()
        tensors["clock"] = torch.tensor(state.view.clock)
    tensors["sink_yaw"] = torch.tensor(state.cache.sink_yaw, dtype=torch.float64)
    tensors["yaw"] = torch.tensor(state.yaw, dtype=torch.float64)
    tensors["numbers"] = torch.tensor([state.seed, state.frame, state.cache.frame])
    return tensors


def _loaded(
    tensors: dict[str, Tensor], cache: KVCache, history: tuple[Pending, ...], *, way: type[Way] | None
) -> DiTState:
    device = cache.device
    seed, frame, remembered = (int(n) for n in tensors["numbers"])
    cache.frame, cache.sink_yaw = remembered, tensors["sink_yaw"].tolist()
    past, recent = (tensors[name].to(device) for name in ("past", "recent"))
    pending = None
    if frame > remembered:
        pending = _pending({name: tensors[f"pending.{name}"] for name in PENDING}, cache)
    view = None
    if way:
        known = way(**{part.name: tensors[part.name].to(device) for part in fields(way)})
        view = View(tensors["picture"].to(device), known, int(tensors["clock"]))
    yaw = float(tensors["yaw"])
    return DiTState(cache, seed, past, recent, pending, view, history, yaw, frame)


def _pending(parts: dict[str, Tensor], cache: KVCache) -> Pending:
    """On the device, but for angles."""
    return Pending(**{name: part if name == "yaws" else part.to(cache.device) for name, part in parts.items()})


def as_bytes(tensors: dict[str, Tensor], world: str) -> bytes:
    """Named tensors of a stream of the world of that name as safetensors bytes."""
    contiguous = torch.contiguous_format
    alone = {name: part.clone(memory_format=contiguous) for name, part in tensors.items()}  # files share no memory
    return save_tensors(alone, {"world": world})
