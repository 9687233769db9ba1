"""The one attention function: flash-attn on CUDA where it is installed, PyTorch's SDPA everywhere else.

The only file that imports flash-attn. Knows nothing about caches, positions or worlds.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor

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
    if mask is None and q.dtype == torch.bfloat16 and q.device.type == "cpu":
        return _products(q, k, v)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def _products(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same written out: on CPUs that multiply bfloat16, a few queries against many keys are faster this way."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return scores.softmax(-1) @ v


def _flash(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same through flash-attn, which wants (B, S, heads, d)."""
    from flash_attn import flash_attn_func

    out: Tensor = flash_attn_func(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    return out.transpose(1, 2)
