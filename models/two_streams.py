"""Attention of two streams in training, with a gradient of its own, for CPUs.

What autograd makes of a frame at a time costs more than the attention: every slice has a gradient as large as the
whole, mostly zeros, and SDPA goes backwards on a CPU several times slower than the products that it consists of. So
context t and target t look at the same keys at once, as plain products around a softmax, and every gradient is written
where it belongs. Knows positions; nothing about memories, networks or noise.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .rope import Rotary, rotate


def two_stream_attention(qk: Tensor, v: Tensor, rotary: Rotary, tokens: int) -> Tensor:
    """Attention of T - 1 context frames, then T - 1 targets; see `memory.TwoStreamMemory`.

    Args:
        qk: (2, B, heads, S, d) un-rotated queries and keys.
        v: (B, heads, S, d) values.
        rotary: phases, each (B, 1, S, d), without gradients.
        tokens: of one frame.

    Returns:
        (B, heads, S, d).
    """
    return cast(Tensor, TwoStreams.apply(qk, v, *rotary, tokens))  # type: ignore[no-untyped-call]


class TwoStreams(torch.autograd.Function):
    """The same. Inside, frames are (B * heads, 2, T - 1, tokens, d): contexts, then targets."""

    @staticmethod
    def forward(ctx: Any, qk: Tensor, v: Tensor, cos: Tensor, sin: Tensor, tokens: int) -> Tensor:
        """Keeps what the gradients need."""
        frames = (v.shape[0] * v.shape[1], 2, -1, tokens, v.shape[-1])
        q, k = (x.reshape(frames) for x in rotate(qk, (cos, sin)))
        q, v_frames, shares = q * v.shape[-1] ** -0.5, v.reshape(frames), []
        out = torch.empty_like(v_frames)
        for t in range(q.shape[2]):
            scores = torch.bmm(_pair(q, t), _seen(k, t).transpose(1, 2))
            scores[:, :tokens, -tokens:] = -torch.inf  # a context does not see the target
            share = scores.softmax(-1)
            out[:, :, t] = torch.bmm(share, _seen(v_frames, t)).view(len(q), 2, tokens, -1)
            shares.append(share)
        ctx.save_for_backward(q, k, v_frames, cos, sin, *shares)
        return out.view(v.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_out: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of `qk` and `v`."""
        q, k, v, cos, sin, *shares = ctx.saved_tensors
        shape, of_out = of_out.shape, of_out.reshape(v.shape)
        of_qk, of_v = q.new_empty(2, *q.shape), torch.empty_like(v)
        for t in reversed(range(q.shape[2])):  # the last sees all contexts, and writes what the others add to
            here = _pair(of_out, t)
            of_shares = torch.bmm(here, _seen(v, t).transpose(1, 2))
            of_scores = torch._softmax_backward_data(of_shares, shares[t], -1, of_shares.dtype)
            of_qk[0][:, :, t] = torch.bmm(of_scores, _seen(k, t)).view(len(q), 2, *q.shape[3:])
            _give(of_qk[1], t, torch.bmm(of_scores.transpose(1, 2), _pair(q, t)))
            _give(of_v, t, torch.bmm(shares[t].transpose(1, 2), here))
        of_qk[0] *= shape[-1] ** -0.5
        turned_back = rotate(of_qk.view(2, *shape), (cos, -sin))
        return turned_back, of_v.view(shape), None, None, None


def _pair(frames: Tensor, t: int) -> Tensor:
    """(N, 2 * tokens, d) context t and target t."""
    return frames[:, :, t].flatten(1, 2)


def _seen(frames: Tensor, t: int) -> Tensor:
    """(N, (t + 2) * tokens, d) what target t sees: contexts up to t, and itself."""
    return torch.cat([frames[:, 0, : t + 1].flatten(1, 2), frames[:, 1, t]], 1)


def _give(total: Tensor, t: int, part: Tensor) -> None:
    """Write or add (N, (t + 2) * tokens, d) gradients of what target t sees."""
    part = part.view(len(part), t + 2, *total.shape[3:])
    contexts, total[:, 1, t] = part[:, :-1], part[:, -1]
    if t == total.shape[2] - 1:
        total[:, 0] = contexts
    else:
        total[:, 0, : t + 1] += contexts
