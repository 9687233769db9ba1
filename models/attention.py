"""The one attention function: flash-attn on CUDA where it is installed, PyTorch's SDPA everywhere else.

The only file that imports flash-attn. Knows nothing about positions or worlds, and of
caches only how rows of a pool are read.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from .kv_pool import KVPool

HAVE_FLASH = find_spec("flash_attn") is not None
"""flash-attn can be imported."""


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention.

    Args:
        q: (B, heads, S, d) queries.
        k: (B, heads, T, d) keys.
        v: (B, heads, T, d) values.
        mask: boolean, broadcastable to (B, heads, S, T), True where a query may look; None for everywhere.

    Returns:
        (B, heads, S, d).
    """
    if HAVE_FLASH and mask is None and q.is_cuda and q.dtype in (torch.float16, torch.bfloat16):
        return _flash(q, k, v)
    if mask is None and q.dtype == torch.bfloat16 and q.device.type == "cpu" and not has_tiles():
        return _products(q, k, v)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def attention_in_rows(q: Tensor, pool: KVPool, layer: int, rows: Tensor, seen: Tensor) -> Tensor:
    """The same of queries against the first keys and values of rows of a pool.

    Args:
        q: (B, heads, S, d) queries.
        pool: keys and values.
        layer: of them.
        rows: (B,) int64.
        seen: (B,) int32 tokens of each row that its queries look at.

    Returns:
        (B, heads, S, d).
    """
    if HAVE_FLASH and q.is_cuda and pool.format == "native" and q.dtype in (torch.float16, torch.bfloat16):
        return _flash_in_rows(q, pool.keys[0][:, layer], pool.values[0][:, layer], rows, seen)
    k, v = pool.read(layer, rows)
    mask = torch.arange(k.shape[2], device=q.device) < seen[:, None]
    return attention(q, k, v, mask[:, None, None])


@cache
def has_tiles() -> bool:
    """Whether this CPU multiplies bfloat16 in tiles (AMX), where SDPA is the faster one."""
    try:
        return bool(torch.cpu._is_amx_tile_supported())
    except (AttributeError, RuntimeError):  # promised to nobody
        return False


def _products(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same written out: faster for a few queries against many keys on CPUs that multiply bfloat16 in vectors."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return scores.softmax(-1) @ v


def _flash(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same through flash-attn, which wants (B, S, heads, d)."""
    from flash_attn import flash_attn_func

    out: Tensor = flash_attn_func(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    return out.transpose(1, 2)


def _flash_in_rows(q: Tensor, keys: Tensor, values: Tensor, rows: Tensor, seen: Tensor) -> Tensor:
    """Through flash-attn, which reads rows (R, T, heads, d) where they are and stops at their lengths."""
    from flash_attn import flash_attn_with_kvcache

    out: Tensor = flash_attn_with_kvcache(
        q.transpose(1, 2),
        keys.transpose(1, 2),
        values.transpose(1, 2),
        cache_seqlens=seen,
        cache_batch_idx=rows.int(),
    )
    return out.transpose(1, 2)
