"""Buffers that forks share until somebody writes: copy on write, a place at a time, which is the frames of one chunk.

A ring has one writer, the stream whose attention reads it as one slice. Forking it copies nothing: a `Past` is the ring
as it was at that moment. Before the writer replaces a place it leaves a copy of it there for the pasts that still want
to see it, one copy for all of them. So a step beside any number of pasts costs one place more, and a past that is far
behind has all its places and lets go of the ring. A past that is to be written becomes a ring of its own.

Knows tensors; nothing of frames, positions or attention.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias
from weakref import WeakSet

import torch
from torch import Tensor

Block: TypeAlias = tuple[Tensor, ...]
"""What stands in one place, each (L, heads, n, ...); never written."""


class Ring:
    """Buffers (L, heads, places * n, ...) of one writer: keys, values and what else belongs to them."""

    def __init__(self, parts: Block, places: int, row: int | None = None) -> None:
        self.parts = parts
        self.row = row  # of the pool that the parts are a row of
        self._span = parts[0].shape[2] // places  # tokens of a place
        self._pasts: WeakSet[Past] = WeakSet()  # that still want to see something here

    def block(self, place: int) -> Block:
        """What stands in a place; the next write changes it."""
        here = slice(place * self._span, (place + 1) * self._span)
        return tuple(part[:, :, here] for part in self.parts)

    def past(self, places: Iterable[int]) -> Past:
        """The ring as it is now, as far as these places go."""
        return Past(self, places, {})

    def leave(self, place: int) -> None:
        """This place is about to be written: whoever wants to see it as it is gets a copy."""
        if not self._pasts:
            return
        lacking = [past for past in self._pasts if place in past.wanted]
        if lacking:
            block = tuple(part.clone() for part in self.block(place))
            for past in lacking:
                past.keep(place, block)

    def watched(self, past: Past, on: bool) -> None:
        """Whether a past still wants to see something here."""
        (self._pasts.add if on else self._pasts.discard)(past)


class Past:
    """A ring as it was; see the module."""

    def __init__(self, ring: Ring | None, wanted: Iterable[int], kept: dict[int, Block]) -> None:
        self.wanted = set(wanted)  # places that are as they were in the ring itself
        self._ring = ring
        self._kept = kept
        self._settle()

    def fork(self) -> Past:
        """The same once more."""
        return Past(self._ring, self.wanted, dict(self._kept))

    def keep(self, place: int, block: Block) -> None:
        """The ring will have something else there."""
        self.wanted.discard(place)
        self._kept[place] = block
        self._settle()

    def fill(self, ring: Ring) -> None:
        """Write everything into another ring."""
        blocks = self._kept | {place: self._ring.block(place) for place in self.wanted if self._ring}
        for place, block in blocks.items():
            for into, part in zip(ring.block(place), block, strict=True):
                into.copy_(part)

    def release(self) -> None:
        """Nobody wants to see it any more."""
        self.wanted.clear()
        self._kept = {}
        self._settle()

    def tensors(self) -> Iterator[Tensor]:
        """Everything that it keeps in memory."""
        if self._ring:
            yield from self._ring.parts
        for block in self._kept.values():
            yield from block

    def _settle(self) -> None:
        """Hold the ring for as long as something is to be seen there."""
        if self._ring:
            self._ring.watched(self, bool(self.wanted))
        if not self.wanted:
            self._ring = None


def footprint_of(tensors: Iterable[Tensor], pooled: frozenset[int] = frozenset()) -> int:
    """Bytes that tensors keep in memory; what several of them share counts once, and of `pooled` storages a part."""
    held: dict[tuple[torch.device, int], int] = {}
    for tensor in tensors:
        storage = tensor.untyped_storage()
        if storage.data_ptr() in pooled:
            held[tensor.device, tensor.data_ptr()] = tensor.nbytes
        else:
            held[tensor.device, storage.data_ptr()] = storage.nbytes()
    return sum(held.values())


def compact(tensor: Tensor) -> Tensor:
    """The same numbers without the rest of a batch that they were part of; itself where it is no part."""
    return (
        tensor
        if tensor.untyped_storage().nbytes() == tensor.nbytes
        else tensor.clone(memory_format=torch.contiguous_format)
    )
