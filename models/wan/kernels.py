"""Triton kernels of Wan's blocks: what torch does in many passes over the tokens, in one.

- modulate: LayerNorm without gains of its own, scaled and shifted a frame at a time.
- turn: RMSNorm of queries and keys over all heads together, their rotation, and keys and values put where they stay.

All arithmetic is float32 and rounded once, where torch's passes round between them. Importing this file imports Triton;
whether it is used at all says `fused.py`. With TRITON_INTERPRET=1 set before the import the same code runs on a CPU,
slowly, which is how it is tested. Kernels have no types but for what is known when they are compiled: Triton would take
others for its own. No gradients. Knows tensors; no networks, no caches.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..rope import Rotary

WIDE = 4096  # numbers in a row from which on a program has more threads


@triton.jit  # type: ignore[untyped-decorator]
def _modulate(  # type: ignore[no-untyped-def]
    x,
    scale,
    shift,
    out,
    frames,
    tokens,
    x_stream,
    x_frame,
    x_token,
    scale_stream,
    scale_frame,
    shift_stream,
    shift_frame,
    eps,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """A program for each token."""
    row = tl.program_id(0).to(tl.int64)
    stream, frame, token = row // (tokens * frames), row // tokens % frames, row % tokens
    at = tl.arange(0, BLOCK)
    here = at < WIDTH
    start = stream * x_stream + frame * x_frame + token * x_token
    numbers = tl.load(x + start + at, mask=here, other=0.0).to(tl.float32)
    apart = tl.where(here, numbers - tl.sum(numbers, 0) / WIDTH, 0.0)
    unit = apart * (1.0 / tl.sqrt(tl.sum(apart * apart, 0) / WIDTH + eps))
    by = tl.load(scale + stream * scale_stream + frame * scale_frame + at, mask=here, other=0.0).to(tl.float32)
    plus = tl.load(shift + stream * shift_stream + frame * shift_frame + at, mask=here, other=0.0).to(tl.float32)
    tl.store(out + row * WIDTH + at, (unit * by + plus).to(out.dtype.element_ty), mask=here)


@triton.jit  # type: ignore[untyped-decorator]
def _turn(  # type: ignore[no-untyped-def]
    qkv,
    q_gain,
    k_gain,
    cos,
    sin,
    q,
    k,
    v,
    raw,
    qkv_token,
    k_head,
    k_token,
    v_head,
    v_token,
    eps,
    WIDTH: tl.constexpr,
    HEAD: tl.constexpr,
    BLOCK: tl.constexpr,
    WANTS_RAW: tl.constexpr,
):
    """Programs for each token: of its query, its key and its value."""
    token, which = tl.program_id(0).to(tl.int64), tl.program_id(1)
    at = tl.arange(0, BLOCK)
    here = at < WIDTH
    head, number = at // HEAD, at % HEAD
    source = qkv + token * qkv_token + which * WIDTH
    x = tl.load(source + at, mask=here, other=0.0).to(tl.float32)
    if which == 2:
        tl.store(v + head * v_head + token * v_token + number, x.to(v.dtype.element_ty), mask=here)
    else:
        gain = q_gain
        if which == 1:
            gain = k_gain
        length = 1.0 / tl.sqrt(tl.sum(x * x, 0) / WIDTH + eps)
        paired = head * HEAD + (number + HEAD // 2) % HEAD
        other = tl.load(source + paired, mask=here, other=0.0).to(tl.float32)
        x = x * length * tl.load(gain + at, mask=here, other=0.0).to(tl.float32)
        other = other * length * tl.load(gain + paired, mask=here, other=0.0).to(tl.float32)
        phase = token * HEAD + number
        turned = x * tl.load(cos + phase, mask=here, other=0.0) + other * tl.load(sin + phase, mask=here, other=0.0)
        if which == 0:
            tl.store(q + token * WIDTH + at, turned.to(q.dtype.element_ty), mask=here)
        else:
            tl.store(k + head * k_head + token * k_token + number, turned.to(k.dtype.element_ty), mask=here)
            if WANTS_RAW:
                tl.store(raw + head * k_head + token * k_token + number, x.to(raw.dtype.element_ty), mask=here)


def modulate(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    """LayerNorm of x (B, F, N, D), times scale, plus shift; these (B or 1, F or 1, 1, D), with a dense last dimension.

    Returns:
        (B, F, N, D), contiguous, in the dtype of x.
    """
    streams, frames, tokens, width = x.shape
    x = x if x.stride(-1) == 1 else x.contiguous()
    out = x.new_empty(x.shape)
    scale, shift = (part.expand(streams, frames, 1, width) for part in (scale, shift))
    block = triton.next_power_of_2(width)
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        _modulate[(streams * frames * tokens,)](
            x,
            scale,
            shift,
            out,
            frames,
            tokens,
            *x.stride()[:3],
            *scale.stride()[:2],
            *shift.stride()[:2],
            eps,
            WIDTH=width,
            BLOCK=block,
            num_warps=warps(block),
        )
    return out


def turn(
    qkv: Tensor, gains: tuple[Tensor, Tensor], eps: float, phases: Rotary, k: Tensor, v: Tensor, raw: Tensor | None
) -> Tensor:
    """Norm and turn the queries and keys of one stream; keys and values are written into their places.

    Args:
        qkv: (S, 3 D), whose last dimension is dense.
        gains: of the norms of queries and of keys, each (D,).
        eps: of the norms.
        phases: each (S, d) float32, contiguous.
        k: (heads, S, d), any strides but for the last: keys are written here.
        v: the same for values.
        raw: with the strides of k: keys are written here before they are turned; None: nobody wants them.

    Returns:
        (heads, S, d) queries; in memory, the heads of a token stand together.
    """
    tokens, (heads, _, head) = len(qkv), k.shape
    q = qkv.new_empty(tokens, heads, head)
    block = triton.next_power_of_2(heads * head)
    with torch.cuda.device_of(qkv):  # type: ignore[no-untyped-call]
        _turn[(tokens, 3)](
            qkv,
            *gains,
            *phases,
            q,
            k,
            v,
            k if raw is None else raw,
            qkv.stride(0),
            *k.stride()[:2],
            *v.stride()[:2],
            eps,
            WIDTH=heads * head,
            HEAD=head,
            BLOCK=block,
            WANTS_RAW=raw is not None,
            num_warps=warps(block),
        )
    return q.transpose(0, 1)


def warps(block: int) -> int:
    """Groups of 32 threads of a program over a row of so many numbers."""
    return 8 if block >= WIDE else 4
