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
from dataclasses import replace
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..dit import LastingMemory, Memory
from ..rope import RopeConfig
from .block import Block, Moment, TextKeys, modulated
from .config import WanConfig
from .controls import STILL, Controls
from .rays import NUMBERS

MemoryT = TypeVar("MemoryT", bound=Memory)


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
        self.fused = False  # see `WanDiT.fuse`
        self.modulation = nn.Parameter(torch.empty(1, 2, config.width))
        nn.init.normal_(self.modulation, std=config.width**-0.5)
        self.head = nn.Linear(config.width, config.out_channels * config.patch**2)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(B, F, N, D) under (B, F, D) -> (B, F, N, patch * patch * C)."""
        shift, scale = (time.float().unsqueeze(2) + self.modulation.float()).unsqueeze(3).unbind(2)
        return self.head(modulated(x, 1.0 + scale, shift, self.eps, fused=self.fused))


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

    @property
    def fused(self) -> bool:
        """Whether kernels of Triton do what several passes of torch would; memories must be of that kind too."""
        return self.head.fused

    def fuse(self, on: bool) -> WanDiT:
        """Itself, and from now on so; `fused.fuses` says where that is possible."""
        self.head.fused = on
        for block in self._blocks():
            block.fused = on
        return self

    def text_keys(self, text: Tensor) -> TextKeys:
        """What cross-attention will need of an encoded prompt (text_tokens, text_width), zeros behind its end.

        Of CLIP's view of a picture, where that is the network's context.
        """
        embedding = self.img_emb if self.config.context == "picture" else self.text_embedding
        embedded = embedding(text.to(self.head.head.weight)[None])
        pairs = [block.cross_attn.keys(embedded) for block in self._blocks()]
        return TextKeys(torch.stack([k for k, _ in pairs]), torch.stack([v for _, v in pairs]))

    @torch.no_grad()
    def moment(self, t: float) -> Moment:
        """What one timestep makes of the network: a table for those who come back to it with every chunk."""
        weight = self.head.head.weight
        time, six = self._time(torch.tensor([[t]], device=weight.device))
        return Moment(time, [block.changes(six) for block in self._blocks()])

    def forward(
        self, x: Tensor, t: Tensor | Moment, texts: Sequence[TextKeys], memory: Memory, controls: Controls = STILL
    ) -> Tensor:
        """Velocity of every frame.

        Args:
            x: (B, F, C, h, w) noisy latents, and behind them what the frames are shown (see `shown.py`).
            t: (B, F) timestep of each frame, 0 clean to 1000 pure noise; or what all of them have.
            texts: the prompt of each of the B streams.
            memory: what self-attention may look at.
            controls: what the player does.

        Returns:
            (B, F, C', h, w) velocity, noise minus picture, float32.
        """
        h, now, controls = self._enter(x), self._now(t), self._heard(controls)
        memory = self._seen(memory, x.shape[1])
        for layer, block in enumerate(self._blocks()):
            h = block(h, now.blocks[layer], layer, texts, memory, controls)
        return self._leave(self.head(h, now.time), x.shape[-2] // self.config.patch).float()

    def commit(
        self,
        x: Tensor,
        t: Tensor | Moment,
        texts: Sequence[TextKeys],
        memory: LastingMemory,
        controls: Controls = STILL,
    ) -> None:
        """Leave the keys and values of finished frames in a memory: `forward` without what only its result needs."""
        h, now, controls = self._enter(x), self._now(t), self._heard(controls)
        memory = self._seen(memory, x.shape[1])
        *blocks, last = self._blocks()
        for layer, block in enumerate(blocks):
            h = block(h, now.blocks[layer], layer, texts, memory, controls)
        if last.action_model is None:
            last.leave_keys(h, now.blocks[-1], len(blocks), memory)
        else:  # it has keys and values of its own, behind all the rest
            last(h, now.blocks[-1], len(blocks), texts, memory, controls)

    def _blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def _seen(self, memory: MemoryT, frames: int) -> MemoryT:
        """The memory as the blocks see it, with so many frames at hand."""
        del frames
        return memory

    def _heard(self, controls: Controls) -> Controls:
        """The same with its rays as tokens (B, F, N, D)."""
        if controls.rays is None or not self.config.cameras:
            return replace(controls, rays=None)
        seen = self.patch_embedding_wancamctrl(controls.rays.to(self.head.head.weight))
        more = self.c2ws_hidden_states_layer2(F.silu(self.c2ws_hidden_states_layer1(seen)))
        return replace(controls, rays=seen + more)

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
        """Tokens (B, F, N, D), each in one piece: else no sum or norm of any block would read them so."""
        weight = self.head.head.weight
        cells = self.patch_embedding(x.to(weight.dtype).flatten(0, 1).unsqueeze(2))  # (B * F, D, 1, rows, columns)
        return cells.flatten(2).transpose(1, 2).contiguous().unflatten(0, x.shape[:2])

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
