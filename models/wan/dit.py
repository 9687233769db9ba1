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
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..attention import attention
from ..dit import LastingMemory, Memory
from ..rope import RopeConfig
from .actions import ActionModule
from .config import WanConfig
from .controls import STILL, Controls
from .rays import NUMBERS


@dataclass(frozen=True)
class TextKeys:
    """What cross-attention looks at: one prompt, for all layers; shared by all streams that dream it."""

    keys: Tensor  # (L, 1, heads, T, d)
    values: Tensor  # (L, 1, heads, T, d)


class SelfAttention(nn.Module):
    """Attention to what a memory shows."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.o = nn.Linear(config.width, config.width)
        self.norm_q = nn.RMSNorm(config.width, config.eps)
        self.norm_k = nn.RMSNorm(config.width, config.eps)

    def forward(self, x: Tensor, layer: int, memory: Memory) -> Tensor:
        """(B, S, D) -> (B, S, D)."""
        return self.o(memory.attend(layer, *self.project(x)).transpose(1, 2).flatten(2))

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, S, D) -> normed queries and keys (2, B, heads, S, d) and values (B, heads, S, d)."""
        q, k, v = self.qkv(x).chunk(3, -1)
        return heads_of(torch.stack([self.norm_q(q), self.norm_k(k)]), self.heads), heads_of(v, self.heads)


class CrossAttention(nn.Module):
    """Attention to a prompt."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.q = nn.Linear(config.width, config.width)
        self.kv = nn.Linear(config.width, 2 * config.width)
        self.o = nn.Linear(config.width, config.width)
        self.norm_q = nn.RMSNorm(config.width, config.eps)
        self.norm_k = nn.RMSNorm(config.width, config.eps)

    def forward(self, x: Tensor, layer: int, texts: Sequence[TextKeys]) -> Tensor:
        """(B, S, D) -> (B, S, D); a prompt a stream, and one pass where all have the same."""
        q = heads_of(self.norm_q(self.q(x)), self.heads)
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
        self.modulation = nn.Parameter(torch.empty(1, 6, d))
        nn.init.normal_(self.modulation, std=d**-0.5)
        self.self_attn = SelfAttention(config)
        self.norm3 = nn.LayerNorm(d, config.eps)
        self.cross_attn = CrossAttention(config)
        self.ffn = nn.Sequential(nn.Linear(d, config.ffn), nn.GELU("tanh"), nn.Linear(config.ffn, d))
        if config.cameras:
            self.cam_injector_layer1, self.cam_injector_layer2 = nn.Linear(d, d), nn.Linear(d, d)
            self.cam_scale_layer, self.cam_shift_layer = nn.Linear(d, d), nn.Linear(d, d)
        self.action_model: ActionModule | None = None
        if config.actions and layer < config.actions.blocks:
            self.action_model = ActionModule(config.actions, d)

    def forward(
        self, x: Tensor, time: Tensor, layer: int, texts: Sequence[TextKeys], memory: Memory, controls: Controls
    ) -> Tensor:
        """Tokens (B, F, N, D) under (B, F, 6, D) float32."""
        shift1, scale1, gate1, shift2, scale2, gate2 = (time + self.modulation.float()).unsqueeze(3).unbind(2)
        y = self.self_attn(_modulated(x, scale1, shift1, self.eps).flatten(1, 2), layer, memory).view_as(x)
        x = _gated(x, gate1, y)
        if controls.rays is not None:
            x = self._looked(x, controls.rays)
        x = x + self.cross_attn(self.norm3(x).flatten(1, 2), layer, texts).view_as(x)
        if self.action_model is not None:
            x = self.action_model(x, layer, controls)
        return _gated(x, gate2, self.ffn(_modulated(x, scale2, shift2, self.eps)))

    def _looked(self, x: Tensor, rays: Tensor) -> Tensor:
        """Tokens shifted and scaled by what their rays say, both (B, F, N, D): LingBot-World's injection."""
        heard = rays + self.cam_injector_layer2(F.silu(self.cam_injector_layer1(rays)))
        return torch.addcmul(self.cam_shift_layer(heard), x, 1.0 + self.cam_scale_layer(heard))

    def leave_keys(self, x: Tensor, time: Tensor, layer: int, memory: LastingMemory) -> None:
        """The same as `forward` as far as the keys and values, which go into the memory."""
        shift, scale = (time + self.modulation.float())[:, :, :2].unsqueeze(3).unbind(2)
        qk, v = self.self_attn.project(_modulated(x, scale, shift, self.eps).flatten(1, 2))
        memory.write(layer, qk[1], v)


class PictureEmbedding(nn.Module):
    """CLIP's view of a picture as the network's tokens."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        seen, d = config.text_width, config.width
        inner = nn.LayerNorm(seen), nn.Linear(seen, seen), nn.GELU(), nn.Linear(seen, d), nn.LayerNorm(d)
        self.proj = nn.Sequential(*inner)

    def forward(self, x: Tensor) -> Tensor:
        """(1, T, text_width) -> (1, T, D)."""
        return self.proj(x)


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
        return self.head(_modulated(x, scale, shift, self.eps))


class WanDiT(nn.Module):
    """Velocity of noisy latents, given a prompt and a memory."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        self.config = config
        d, patch = config.width, (1, config.patch, config.patch)
        if config.cameras:
            self.patch_embedding_wancamctrl = nn.Linear(NUMBERS * config.patch**2, d)
            self.c2ws_hidden_states_layer1, self.c2ws_hidden_states_layer2 = nn.Linear(d, d), nn.Linear(d, d)
        self.patch_embedding = nn.Conv3d(config.channels, d, patch, patch)
        if config.context == "picture":
            self.img_emb = PictureEmbedding(config)
        else:
            self.text_embedding = nn.Sequential(nn.Linear(config.text_width, d), nn.GELU("tanh"), nn.Linear(d, d))
        self.time_embedding = nn.Sequential(nn.Linear(config.time_waves, d), nn.SiLU(), nn.Linear(d, d))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(d, 6 * d))
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.head = Head(config)

    def text_keys(self, text: Tensor) -> TextKeys:
        """What cross-attention will need of an encoded prompt (text_tokens, text_width), zeros behind its end.

        Of CLIP's view of a picture, where that is the network's context.
        """
        embedding = self.img_emb if self.config.context == "picture" else self.text_embedding
        embedded = embedding(text.to(self.head.head.weight)[None])
        pairs = [block.cross_attn.keys(embedded) for block in self._blocks()]
        return TextKeys(torch.stack([k for k, _ in pairs]), torch.stack([v for _, v in pairs]))

    def forward(
        self, x: Tensor, t: Tensor, texts: Sequence[TextKeys], memory: Memory, controls: Controls = STILL
    ) -> Tensor:
        """Velocity of every frame.

        Args:
            x: (B, F, C, h, w) noisy latents, and behind them what the frames are shown (see `shown.py`).
            t: (B, F) timestep of each frame, 0 clean to 1000 pure noise.
            texts: the prompt of each of the B streams.
            memory: what self-attention may look at.
            controls: what the player does.

        Returns:
            (B, F, C', h, w) velocity, noise minus picture, float32.
        """
        h, time, modulation = self._enter(x, t)
        controls = self._heard(controls)
        for layer, block in enumerate(self._blocks()):
            h = block(h, modulation, layer, texts, memory, controls)
        return self._leave(self.head(h, time), x.shape[-2] // self.config.patch).float()

    def commit(
        self, x: Tensor, t: Tensor, texts: Sequence[TextKeys], memory: LastingMemory, controls: Controls = STILL
    ) -> None:
        """Leave the keys and values of finished frames in a memory: `forward` without what only its result needs."""
        h, _, modulation = self._enter(x, t)
        controls = self._heard(controls)
        *blocks, last = self._blocks()
        for layer, block in enumerate(blocks):
            h = block(h, modulation, layer, texts, memory, controls)
        if last.action_model is None:
            last.leave_keys(h, modulation, len(blocks), memory)
        else:  # it has keys and values of its own, behind all the rest
            last(h, modulation, len(blocks), texts, memory, controls)

    def _blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def _heard(self, controls: Controls) -> Controls:
        """The same with its rays as tokens (B, F, N, D)."""
        if controls.rays is None or not self.config.cameras:
            return replace(controls, rays=None)
        seen = self.patch_embedding_wancamctrl(controls.rays.to(self.head.head.weight))
        more = self.c2ws_hidden_states_layer2(F.silu(self.c2ws_hidden_states_layer1(seen)))
        return replace(controls, rays=seen + more)

    def _enter(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (B, F, N, D), time (B, F, D), and the float32 modulation (B, F, 6, D) that follows from it."""
        weight = self.head.head.weight
        cells = self.patch_embedding(x.to(weight.dtype).flatten(0, 1).unsqueeze(2))  # (B * F, D, 1, rows, columns)
        tokens = cells.flatten(2).transpose(1, 2).unflatten(0, x.shape[:2])
        time = self.time_embedding(waves(t, self.config.time_waves).to(weight.dtype))
        return tokens, time, self.time_projection(time).unflatten(-1, (6, -1)).float()

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


def _modulated(x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
    return torch.addcmul(shift, F.layer_norm(x.float(), x.shape[-1:], eps=eps), 1.0 + scale).to(x.dtype)


def _gated(x: Tensor, gate: Tensor, y: Tensor) -> Tensor:
    return torch.addcmul(x.float(), gate, y.float()).to(x.dtype)
