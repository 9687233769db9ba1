"""One block of keys and values for many streams: where launches count, a batch is written and read at once.

A stream's ring (ring.py) is a row of it, taken when the stream first writes and given back when nobody wants to see
anything there any more; forks, files and parking see rings and never the pool. One row more is nobody's: what pads a
batch (buckets.py) is written there. Streams that find no row have buffers of their own. Knows tensors; nothing about
positions or networks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from weakref import finalize

import torch
from torch import Tensor

from .free_memory import available_memory
from .kv_format import KVFormat, Parts, decoded, empty, encoded
from .ring import Ring

POOL_SHARE = 0.5
"""Most of a device's free memory that a pool takes."""


@dataclass(eq=False)
class KVPool:
    """R rows, and one that is nobody's."""

    keys: Parts  # each (R + 1, L, heads, slots * tokens, ...)
    values: Parts  # the same
    format: KVFormat
    dtype: torch.dtype  # of what is read
    _free: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._free = list(range(self.scratch))

    @classmethod
    def allocate(cls, rows: int, row: tuple[int, int, int, int], like: Tensor, format: KVFormat) -> KVPool:
        """Empty rows (L, heads, slots * tokens, d), on the device and in the dtype of `like`."""
        keys, values = (empty((rows + 1, *row), like, format) for _ in range(2))
        return cls(keys, values, format, like.dtype)

    @classmethod
    def fitting(cls, rows: int, row: tuple[int, int, int, int], like: Tensor, format: KVFormat) -> KVPool | None:
        """As many of such rows as the device has room for; None where there is none."""
        free = available_memory(str(like.device))
        if free is not None:
            rows = min(rows, int(POOL_SHARE * free) // cls.allocate(0, row, like.to("meta"), format).nbytes - 1)
        return cls.allocate(rows, row, like, format) if rows > 0 else None

    @property
    def scratch(self) -> int:
        """The row that is nobody's."""
        return len(self.keys[0]) - 1

    @property
    def free(self) -> int:
        """Rows left."""
        return len(self._free)

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return sum(part.nbytes for part in (*self.keys, *self.values))

    def ring(self, places: int) -> Ring | None:
        """An empty row as a ring of so many places; None when all are taken."""
        if not self._free:
            return None
        row = self._free.pop()
        parts = tuple(part[row] for part in (*self.keys, *self.values))
        for part in parts:
            part.zero_()  # of whoever had it before, nothing reaches a file
        ring = Ring(parts, places, row)
        finalize(ring, self._free.append, row)
        return ring

    def write(self, layer: int, rows: Tensor, tokens: Tensor, keys: Tensor, values: Tensor) -> None:
        """Put new keys and values in their places.

        Args:
            layer: which layer.
            rows: (B,) int64, of the streams.
            tokens: (B, n) int64, places of the tokens in their rows.
            keys: (B, heads, n, d), rotated.
            values: (B, heads, n, d).
        """
        for parts, new in ((self.keys, keys), (self.values, values)):
            for part, kept in zip(parts, encoded(new, self.format), strict=True):
                part[:, layer].transpose(1, 2)[rows[:, None], tokens] = kept.transpose(1, 2)

    def read(self, layer: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of whole rows (B,), each (B, heads, slots * tokens, d)."""
        k, v = (tuple(part[:, layer][rows] for part in parts) for parts in (self.keys, self.values))
        return decoded(k, self.dtype), decoded(v, self.dtype)

    def storages(self) -> frozenset[int]:
        """Addresses of its block, of which a stream holds a row."""
        return frozenset(part.untyped_storage().data_ptr() for part in (*self.keys, *self.values))
