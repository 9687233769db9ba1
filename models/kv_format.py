"""How keys and values are kept: as they are, or as bytes with a scale for each token and head.

Eight bits and the largest of a token's numbers lose about 1/250 of each; memory halves against bfloat16 (KIVI, arXiv
2402.02750, has finer ways for fewer bits). Knows tensors; nothing of caches.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

KVFormat: TypeAlias = Literal["native", "int8"]
Parts: TypeAlias = tuple[Tensor, ...]
"""One tensor (..., d) where nothing is lost; else bytes (..., d) and scales (..., 1)."""


def encoded(x: Tensor, format: KVFormat) -> Parts:
    """(..., d) as it is kept."""
    if format == "native":
        return (x,)
    scale = x.float().abs().amax(-1, keepdim=True).clamp(min=1e-8) / 127.0
    return (x.float() / scale).round().to(torch.int8), scale.to(torch.float32)


def decoded(parts: Parts, dtype: torch.dtype) -> Tensor:
    """What was encoded, nearly; the very tensor where nothing is lost."""
    if len(parts) == 1:
        return parts[0]
    numbers, scale = parts
    return (numbers * scale).to(dtype)


def empty(shape: tuple[int, ...], like: Tensor, format: KVFormat) -> Parts:
    """Zeros of a shape (..., d), as they are kept; on the device and, where nothing is lost, in the dtype of `like`."""
    if format == "native":
        return (like.new_zeros(shape),)
    return like.new_zeros(shape, dtype=torch.int8), like.new_zeros((*shape[:-1], 1), dtype=torch.float32)
