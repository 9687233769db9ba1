"""One block of Wan's network: self-attention over what a memory shows, cross-attention to a prompt, feed-forward.

Each is modulated by what a timestep makes of the block (`Changes`), which those who come back to the same few timesteps
keep (`Moment`). Knows tensors and memories; nothing of patches, files or sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..attention import attention
from ..dit import LastingMemory, Memory
from ..feed_forward import FeedForward
from .actions import ActionModule
from .config import WanConfig
from .controls import Controls
from .fused import FusedMemory, FusedPool

Changes: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""Shift, scale and gate of the self-attention, then of the feed-forward: each (B, F, 1, D), scales with 1 added.

float32, but for gates, which are numbers of the network's format, as in the programs of the family's authors.
"""


@dataclass(frozen=True)
class Moment:
    """What timesteps make of the network; of one timestep, the same for all frames, with B = F = 1."""

    time: Tensor  # (B, F, D)
    blocks: list[Changes]

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """The same as three: time, shifts and scales (4, L, B, F, 1, D), gates (2, L, B, F, 1, D)."""
        parts = [torch.stack([changes[k] for changes in self.blocks]) for k in range(6)]
        return self.time, torch.stack([parts[k] for k in (0, 1, 3, 4)]), torch.stack([parts[2], parts[5]])

    @classmethod
    def of(cls, time: Tensor, wide: Tensor, gates: Tensor) -> Moment:
        """What `tensors` gave."""
        rows = zip(*wide, *gates, strict=True)
        return cls(time, [(a, b, gate1, c, d, gate2) for a, b, c, d, gate1, gate2 in rows])


@dataclass(frozen=True)
class TextKeys:
    """What cross-attention looks at: one prompt, for all layers; shared by all streams that dream it."""

    keys: Tensor  # (L, 1, heads, T, d)
    values: Tensor  # (L, 1, heads, T, d)

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """Both."""
        return self.keys, self.values


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
        if isinstance(memory, FusedMemory | FusedPool):
            gains = (self.norm_q.weight, self.norm_k.weight)
            y = memory.attend_projected(layer, self.qkv(x), gains, self.eps)
        else:
            y = memory.attend(layer, *self.project(x))
        return self.o(y.transpose(1, 2).flatten(2))

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, S, D) -> normed queries and keys (2, B, heads, S, d) and values (B, heads, S, d)."""
        qk, v = torch.split(self.qkv(x), [2 * x.shape[-1], x.shape[-1]], -1)
        gains = torch.stack([self.norm_q.weight, self.norm_k.weight])
        both = normed(torch.unflatten(qk, -1, (2, -1)), gains, self.eps)
        return heads_of(both.movedim(2, 0), self.heads), heads_of(v, self.heads)


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
        q = heads_of(normed(self.q(x), self.norm_q.weight, self.eps), self.heads)
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

    def __init__(self, config: WanConfig, layer: int) -> None:
        super().__init__()
        d = config.width
        self.eps = config.eps
        self.fused = False  # see `WanDiT.fuse`
        self.modulation = nn.Parameter(torch.empty(1, 6, d))
        nn.init.normal_(self.modulation, std=d**-0.5)
        self.self_attn = SelfAttention(config)
        self.norm3 = nn.LayerNorm(d, config.eps)
        self.cross_attn = CrossAttention(config)
        self.ffn = FeedForward(d, config.ffn)
        if config.cameras:
            self.cam_injector_layer1, self.cam_injector_layer2 = nn.Linear(d, d), nn.Linear(d, d)
            self.cam_scale_layer, self.cam_shift_layer = nn.Linear(d, d), nn.Linear(d, d)
        self.action_model: ActionModule | None = None
        if config.actions and layer < config.actions.blocks:
            self.action_model = ActionModule(config.actions, d)

    def changes(self, time: Tensor) -> Changes:
        """What a time (B, F, 6, D), or the (1, 1, 6, D) of all frames, makes of a block."""
        shift1, scale1, gate1, shift2, scale2, gate2 = (time + self.modulation.float()).unsqueeze(3).unbind(2)
        dtype = self.modulation.dtype
        return shift1, 1.0 + scale1, gate1.to(dtype), shift2, 1.0 + scale2, gate2.to(dtype)

    def forward(
        self, x: Tensor, time: Changes, layer: int, texts: Sequence[TextKeys], memory: Memory, controls: Controls
    ) -> Tensor:
        """Tokens (B, F, N, D) under what `changes` says."""
        shift1, scale1, gate1, shift2, scale2, gate2 = time
        y = self.self_attn(self._modulated(x, scale1, shift1).flatten(1, 2), layer, memory).view_as(x)
        x = gated(x, gate1, y)
        if controls.rays is not None:
            x = self._looked(x, controls.rays)
        x = x + self.cross_attn(self.norm3(x).flatten(1, 2), layer, texts).view_as(x)
        if self.action_model is not None:
            x = self.action_model(x, layer, controls)
        return gated(x, gate2, self.ffn(self._modulated(x, scale2, shift2)))

    def _modulated(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return modulated(x, scale, shift, self.eps, fused=self.fused)

    def _looked(self, x: Tensor, rays: Tensor) -> Tensor:
        """Tokens shifted and scaled by what their rays say, both (B, F, N, D): LingBot-World's injection."""
        heard = rays + self.cam_injector_layer2(F.silu(self.cam_injector_layer1(rays)))
        return torch.addcmul(self.cam_shift_layer(heard), x, 1.0 + self.cam_scale_layer(heard))

    def leave_keys(self, x: Tensor, time: Changes, layer: int, memory: LastingMemory) -> None:
        """The same as `forward` as far as the keys and values, which go into the memory."""
        shift, scale, *_ = time
        qk, v = self.self_attn.project(self._modulated(x, scale, shift).flatten(1, 2))
        memory.write(layer, qk[1], v)


def heads_of(x: Tensor, heads: int) -> Tensor:
    """(..., S, D) -> (..., heads, S, d)."""
    return torch.unflatten(x, -1, (heads, -1)).transpose(-2, -3)


def normed(x: Tensor, gains: Tensor, eps: float) -> Tensor:
    """RMSNorm over the last dimension, in float32, in fewer passes over x than torch's takes on a CPU."""
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return F.rms_norm(x, x.shape[-1:], eps=eps) * gains
    n = x.shape[-1]
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    return (x * length.square_().add_(n * eps).rsqrt_()).mul_(gains * n**0.5).to(x.dtype)


def modulated(x: Tensor, scale: Tensor, shift: Tensor, eps: float, *, fused: bool = False) -> Tensor:
    """LayerNorm, scaled and shifted; in one pass where all frames are alike and this device mixes number formats.

    By a kernel, if `fused` and nobody wants gradients.
    """
    if fused and not torch.is_grad_enabled():
        from .kernels import modulate

        return modulate(x, scale, shift, eps)
    if scale.numel() == x.shape[-1] and (x.device.type == "cpu" or x.dtype == torch.float32):
        return F.layer_norm(x, x.shape[-1:], scale.view(-1), shift.view(-1), eps)
    return torch.addcmul(shift, F.layer_norm(x.float(), x.shape[-1:], eps=eps), scale).to(x.dtype)


def gated(x: Tensor, gate: Tensor, y: Tensor) -> Tensor:
    """The sum is rounded once."""
    return torch.addcmul(x, gate, y)
