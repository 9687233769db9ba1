"""Buckets: a function of batches that is run at few sizes, each of which a CUDA graph can hold.

A small network on a large GPU waits for launches: hundreds of kernels of microseconds each. A graph launches them all
at once, but for fixed shapes and addresses. So a batch is copied to where a graph of the next size reads, what is
missing is padded, and the result is copied out. Without capturing the same is done eagerly, which is how it is tested
where there is no GPU. Knows tensors; nothing of networks or streams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
REHEARSALS = 3  # before capture: libraries choose their algorithms and workspaces in the first runs


@dataclass
class Recording:
    """A function at one size, ready to run again."""

    inputs: list[Tensor]  # where it reads
    graph: tuple[torch.cuda.CUDAGraph, Tensor] | None = None  # and where it writes; None: not captured


class Buckets:
    """See the module. Not for several threads, as a device is not."""

    def __init__(
        self,
        function: Callable[..., Tensor],
        padding: Sequence[float],
        *,
        shared: int = 0,
        sizes: Sequence[int] = SIZES,
    ) -> None:
        """The function takes `padding` many tensors (B, ...) and gives one (B, ...), each row from those rows alone.

        Args:
            function: run in inference mode, always with the same shapes but for B, or few of them. Whatever else it
                writes, it writes the same when it is run twice.
            padding: what each input is filled with where a batch ends before its bucket.
            shared: tensors that come before these, the same for all rows.
            sizes: rising; a larger batch is run in parts.
        """
        self._function, self._padding, self._sizes = function, tuple(padding), tuple(sizes)
        self._shared = shared
        self._recordings: dict[tuple[object, ...], Recording] = {}
        self._memory: Any = None  # that all graphs share

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The function of a batch, behind what is shared."""
        shared, batch = inputs[: self._shared], inputs[self._shared :]
        count, most = len(batch[0]), self._sizes[-1]
        if count > most:
            parts = [self(*shared, *(x[at : at + most] for x in batch)) for at in range(0, count, most)]
            return torch.cat(parts)
        size = next(size for size in self._sizes if size >= count)
        recording = self._recording(size, shared, batch)
        for place, new in zip(recording.inputs, shared, strict=False):
            place.copy_(new)
        for place, new, filling in zip(recording.inputs[self._shared :], batch, self._padding, strict=True):
            place[:count].copy_(new)
            place[count:].fill_(filling)
        return self._run(recording)[:count].clone()

    def _recording(self, size: int, shared: Sequence[Tensor], batch: Sequence[Tensor]) -> Recording:
        shapes = [*(x.shape for x in shared), *((size, *x.shape[1:]) for x in batch)]
        like = (*shared, *batch)
        key = tuple((tuple(shape), x.dtype) for shape, x in zip(shapes, like, strict=True))
        if key not in self._recordings:
            self._recordings[key] = Recording([x.new_empty(shape) for shape, x in zip(shapes, like, strict=True)])
        return self._recordings[key]

    def _run(self, recording: Recording) -> Tensor:
        if not recording.inputs[0].is_cuda:
            return self._function(*recording.inputs)
        recording.graph = recording.graph or self._captured(recording.inputs)
        graph, output = recording.graph
        graph.replay()
        return output

    def _captured(self, inputs: list[Tensor]) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(REHEARSALS):
                self._function(*inputs)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        self._memory = self._memory or torch.cuda.graph_pool_handle()
        with torch.cuda.graph(graph, pool=self._memory):
            output = self._function(*inputs)
        return graph, output
