"""WanDiT: Wan's diffusion transformer (arXiv 2503.20314) over a chunk of latent frames.

- A token is 2x2 latent cells of one frame. Every frame has its own timestep, which shifts, scales and gates the blocks.
- A block: self-attention over what a `Memory` shows, cross-attention to a prompt, feed-forward. Queries and keys are
  RMS-normed over all heads together, then rotated in 3-D.
- What makes it causal is the memory that it is given, an argument: a ring of cached frames, or a whole clip under a
  mask. The keys and values of a prompt are computed once, by `text_keys`.
- Out comes the velocity of flow matching, noise minus picture.

Inside a head, the two halves of a rotated pair stand half a head apart, not side by side as in the public files, and
the matrices of queries, keys and values are one: `keys.py` brings weights into this form. Knows nothing about files,
sampling or worlds; no state lives here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..attention import attention
from ..dit import LastingMemory, Memory
from ..feed_forward import FeedForward
from ..rope import RopeConfig
from .config import WanConfig

Changes: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""Shift, scale and gate of the self-attention, then of the feed-forward: each (B, F, 1, D), scales with 1 added.

float32, but for gates, which are numbers of the network's format, as in the programs of the family's authors.
"""


@dataclass(frozen=True)
class Moment:
    """What timesteps make of the network; of one timestep, the same for all frames, with B = F = 1."""

    time: Tensor  # (B, F, D)
    blocks: list[Changes]


@dataclass(frozen=True)
class TextKeys:
    """What cross-attention looks at: one prompt, for all layers; shared by all streams that dream it."""

    keys: Tensor  # (L, 1, heads, T, d)
    values: Tensor  # (L, 1, heads, T, d)


class SelfAttention(nn.Module):
    """Attention to what a memory shows."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        self.heads, self.eps = config.heads, config.eps
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.o = nn.Linear(config.width, config.width)
        self.norm_q = nn.RMSNorm(config.width, config.eps)
        self.norm_k = nn.RMSNorm(config.width, config.eps)

    def forward(self, x: Tensor, layer: int, memory: Memory) -> Tensor:
        """(B, S, D) -> (B, S, D)."""
        return self.o(memory.attend(layer, *self.project(x)).transpose(1, 2).flatten(2))

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, S, D) -> normed queries and keys (2, B, heads, S, d) and values (B, heads, S, d)."""
        qk, v = torch.split(self.qkv(x), [2 * x.shape[-1], x.shape[-1]], -1)
        gains = torch.stack([self.norm_q.weight, self.norm_k.weight])
        normed = _normed(torch.unflatten(qk, -1, (2, -1)), gains, self.eps)
        return heads_of(normed.movedim(2, 0), self.heads), heads_of(v, self.heads)


class CrossAttention(nn.Module):
    """Attention to a prompt."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.eps = config.eps
        self.q = nn.Linear(config.width, config.width)
        self.kv = nn.Linear(config.width, 2 * config.width)
        self.o = nn.Linear(config.width, config.width)
        self.norm_q = nn.RMSNorm(config.width, config.eps)
        self.norm_k = nn.RMSNorm(config.width, config.eps)

    def forward(self, x: Tensor, layer: int, texts: Sequence[TextKeys]) -> Tensor:
        """(B, S, D) -> (B, S, D); a prompt a stream, and one pass where all have the same."""
        q = heads_of(_normed(self.q(x), self.norm_q.weight, self.eps), self.heads)
        if all(text is texts[0] for text in texts):
            keys, values = (t[layer].expand(len(q), -1, -1, -1) for t in (texts[0].keys, texts[0].values))
            y = attention(q, keys, values)
        else:
            y = torch.cat([attention(q[b : b + 1], t.keys[layer], t.values[layer]) for b, t in enumerate(texts)])
        return self.o(y.transpose(1, 2).flatten(2))

    def keys(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (1, heads, T, d) of an embedded prompt (1, T, D)."""
        k, v = self.kv(text).chunk(2, -1)
        return heads_of(self.norm_k(k), self.heads), heads_of(v, self.heads)


class Block(nn.Module):
    """Self-attention and feed-forward, modulated a frame at a time, and cross-attention between them."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        d = config.width
        self.eps = config.eps
        self.modulation = nn.Parameter(torch.empty(1, 6, d))
        nn.init.normal_(self.modulation, std=d**-0.5)
        self.self_attn = SelfAttention(config)
        self.norm3 = nn.LayerNorm(d, config.eps)
        self.cross_attn = CrossAttention(config)
        self.ffn = FeedForward(d, config.ffn)

    def changes(self, time: Tensor) -> Changes:
        """What a time (B, F, 6, D), or the (1, 1, 6, D) of all frames, makes of a block."""
        shift1, scale1, gate1, shift2, scale2, gate2 = (time + self.modulation.float()).unsqueeze(3).unbind(2)
        dtype = self.modulation.dtype
        return shift1, 1.0 + scale1, gate1.to(dtype), shift2, 1.0 + scale2, gate2.to(dtype)

    def forward(self, x: Tensor, time: Changes, layer: int, texts: Sequence[TextKeys], memory: Memory) -> Tensor:
        """Tokens (B, F, N, D) under what `changes` says."""
        shift1, scale1, gate1, shift2, scale2, gate2 = time
        y = self.self_attn(_modulated(x, scale1, shift1, self.eps).flatten(1, 2), layer, memory).view_as(x)
        x = _gated(x, gate1, y)
        x = x + self.cross_attn(self.norm3(x).flatten(1, 2), layer, texts).view_as(x)
        return _gated(x, gate2, self.ffn(_modulated(x, scale2, shift2, self.eps)))

    def leave_keys(self, x: Tensor, time: Changes, layer: int, memory: LastingMemory) -> None:
        """The same as `forward` as far as the keys and values, which go into the memory."""
        shift, scale, *_ = time
        qk, v = self.self_attn.project(_modulated(x, scale, shift, self.eps).flatten(1, 2))
        memory.write(layer, qk[1], v)


class Head(nn.Module):
    """Tokens to cells."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        self.eps = config.eps
        self.modulation = nn.Parameter(torch.empty(1, 2, config.width))
        nn.init.normal_(self.modulation, std=config.width**-0.5)
        self.head = nn.Linear(config.width, config.out_channels * config.patch**2)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(B, F, N, D) under (B, F, D) -> (B, F, N, patch * patch * C)."""
        shift, scale = (time.float().unsqueeze(2) + self.modulation.float()).unsqueeze(3).unbind(2)
        return self.head(_modulated(x, 1.0 + scale, shift, self.eps))


class WanDiT(nn.Module):
    """Velocity of noisy latents, given a prompt and a memory."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        self.config = config
        d, patch = config.width, (1, config.patch, config.patch)
        self.patch_embedding = nn.Conv3d(config.channels, d, patch, patch)
        self.text_embedding = nn.Sequential(nn.Linear(config.text_width, d), nn.GELU("tanh"), nn.Linear(d, d))
        self.time_embedding = nn.Sequential(nn.Linear(config.time_waves, d), nn.SiLU(), nn.Linear(d, d))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(d, 6 * d))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = Head(config)

    def text_keys(self, text: Tensor) -> TextKeys:
        """What cross-attention will need of an encoded prompt (text_tokens, text_width), zeros behind its end."""
        embedded = self.text_embedding(text.to(self.head.head.weight)[None])
        pairs = [block.cross_attn.keys(embedded) for block in self._blocks()]
        return TextKeys(torch.stack([k for k, _ in pairs]), torch.stack([v for _, v in pairs]))

    @torch.no_grad()
    def moment(self, t: float) -> Moment:
        """What one timestep makes of the network: a table for those who come back to it with every chunk."""
        weight = self.head.head.weight
        time, six = self._time(torch.tensor([[t]], device=weight.device))
        return Moment(time, [block.changes(six) for block in self._blocks()])

    def forward(self, x: Tensor, t: Tensor | Moment, texts: Sequence[TextKeys], memory: Memory) -> Tensor:
        """Velocity of every frame.

        Args:
            x: (B, F, C, h, w) noisy latents.
            t: (B, F) timestep of each frame, 0 clean to 1000 pure noise; or what all of them have.
            texts: the prompt of each of the B streams.
            memory: what self-attention may look at.

        Returns:
            (B, F, C', h, w) velocity, noise minus picture, float32.
        """
        h, now = self._enter(x), self._now(t)
        for layer, block in enumerate(self._blocks()):
            h = block(h, now.blocks[layer], layer, texts, memory)
        return self._leave(self.head(h, now.time), x.shape[-2] // self.config.patch).float()

    def commit(self, x: Tensor, t: Tensor | Moment, texts: Sequence[TextKeys], memory: LastingMemory) -> None:
        """Leave the keys and values of finished frames in a memory: `forward` without what only its result needs."""
        h, now = self._enter(x), self._now(t)
        *blocks, last = self._blocks()
        for layer, block in enumerate(blocks):
            h = block(h, now.blocks[layer], layer, texts, memory)
        last.leave_keys(h, now.blocks[-1], len(blocks), memory)

    def _blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def _now(self, t: Tensor | Moment) -> Moment:
        if isinstance(t, Moment):
            return t
        time, six = self._time(t)
        return Moment(time, [block.changes(six) for block in self._blocks()])

    def _time(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Time (B, F, D) of timesteps (B, F), and the float32 modulation (B, F, 6, D) that follows from it."""
        time = self.time_embedding(waves(t, self.config.time_waves).to(self.head.head.weight.dtype))
        return time, self.time_projection(time).unflatten(-1, (6, -1)).float()

    def _enter(self, x: Tensor) -> Tensor:
        """Tokens (B, F, N, D)."""
        weight = self.head.head.weight
        cells = self.patch_embedding(x.to(weight.dtype).flatten(0, 1).unsqueeze(2))  # (B * F, D, 1, rows, columns)
        return cells.flatten(2).transpose(1, 2).unflatten(0, x.shape[:2])

    def _leave(self, tokens: Tensor, rows: int) -> Tensor:
        """(B, F, N, patch * patch * C) -> (B, F, C, h, w)."""
        p = self.config.patch
        cells = tokens.view(
            *tokens.shape[:2], rows, -1, p, p, self.config.out_channels
        )  # (B, F, rows, columns, p, p, C)
        return cells.permute(0, 1, 6, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)


def rope_of(config: WanConfig, rows: int, columns: int) -> RopeConfig:
    """Positions of the tokens of latent frames of rows x columns cells."""
    return RopeConfig(config.head_dim, rows // config.patch, columns // config.patch, 10000.0, split=config.pairs)


def waves(t: Tensor, numbers: int) -> Tensor:
    """Timesteps (B, F) as (B, F, numbers) cosines, then sines, float32 from float64 angles."""
    rate = torch.exp(
        torch.arange(numbers // 2, dtype=torch.float64, device=t.device) * (-2.0 * math.log(1e4) / numbers)
    )
    angle = t.double()[..., None] * rate
    return torch.cat([angle.cos(), angle.sin()], -1).float()


def heads_of(x: Tensor, heads: int) -> Tensor:
    """(..., S, D) -> (..., heads, S, d)."""
    return torch.unflatten(x, -1, (heads, -1)).transpose(-2, -3)


def _normed(x: Tensor, gains: Tensor, eps: float) -> Tensor:
    """RMSNorm over the last dimension, in float32, in fewer passes over x than torch's takes on a CPU."""
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return F.rms_norm(x, x.shape[-1:], eps=eps) * gains
    n = x.shape[-1]
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    return (x * length.square_().add_(n * eps).rsqrt_()).mul_(gains * n**0.5).to(x.dtype)


def _modulated(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    """LayerNorm, scaled and shifted; in one pass where all frames are alike and this device mixes number formats."""
    if scale.numel() == x.shape[-1] and (x.device.type == "cpu" or x.dtype == torch.float32):
        return F.layer_norm(x, x.shape[-1:], scale.view(-1), shift.view(-1), eps)
    return torch.addcmul(shift, F.layer_norm(x.float(), x.shape[-1:], eps=eps), scale).to(x.dtype)


def _gated(x: Tensor, gate: Tensor, y: Tensor) -> Tensor:
    """The sum is rounded once."""
    return torch.addcmul(x, gate, y)
