"""CausalDiT: a diffusion transformer that makes a video chunk by chunk, each seeing only what came before.

- Input: noisy latent cells beside the last finished frame and its change from the one before, which shows what is in
  motion. Where a world knows how its camera moves: the last frame moved, and what moving changed. One token a cell,
  or a patch of cells (patches.py), which also sees the cells around it, with a learned place on the picture. When a
  camera turns, a cell's next content is mostly what its neighbours held.
- Every frame has its own noise level and its own actions, the latest few, for bodies have inertia; both, added, shift,
  scale and gate the blocks (adaLN-single: one projection shared by all blocks, one table of offsets a block; DiT,
  PixArt-alpha).
- Attention is full inside a chunk and causal across chunks; queries and keys are RMS-normed and rotated in 3-D.
- The feed-forward has a 3x3 depthwise convolution between its matrices (SANA, arXiv 2410.10629).
- Output: flow-matching velocity, noise minus picture, for x = (1 - sigma) * picture + sigma * noise. The network
  itself says only how the picture differs from the frame before it: most of a frame is the frame before, and a
  network that has to pass that through its width blurs it (see `precondition`).

What a token may look at is decided by the `Memory` it is given: a mask over the whole sequence in training, a ring
of cached frames when streaming. That is an argument, never a mode. No state lives here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .convolution import Conv2d
from .linear import Linear
from .patches import Patches
from .rope import RopeConfig

APART = 4.0
"""How far a frame is from its nearest keyframe, in changes from frame to frame; measured on the `arm`."""


@dataclass(frozen=True)
class DiTConfig:
    """Shape of a CausalDiT."""

    channels: int  # numbers in a latent cell
    rows: int  # latent cells down
    columns: int  # latent cells across
    actions: int  # columns of an action row
    width: int = 256
    layers: int = 6
    heads: int = 4
    ffn: int = 3  # feed-forward width over `width`
    patch: int = 1  # latent cells that a token spans, each way
    stem: int = 96  # features of a cell on its way into a token and out of it, where tokens span several
    history: int = 1  # action rows that a frame is told: the one that leads to it and those before it
    moves: bool = False  # the last frame is shown as its camera's motion leaves it, beside itself (see view.py)
    recalls: bool = False  # a frame is also shown the keyframe nearest to the one before it (see keyframes.py)
    fov: float = 0.0  # degrees across the picture when the camera turns (see rope.py), 0 when it stands still

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.width // self.heads) % 8:
            raise ValueError(f"expected a head width divisible by 8, got {self.width} / {self.heads} heads")
        if self.rows % self.patch or self.columns % self.patch:
            raise ValueError(f"expected cells in multiples of the patch {self.patch}, got {self.rows}x{self.columns}")

    @property
    def tokens(self) -> int:
        """Tokens of one frame."""
        return self.rows // self.patch * (self.columns // self.patch)

    @property
    def rope(self) -> RopeConfig:
        """Positions of the tokens."""
        return RopeConfig(self.width // self.heads, self.rows // self.patch, self.columns // self.patch, fov=self.fov)


class Memory(Protocol):
    """Where attention looks."""

    def attend(self, layer: int, qk: Tensor, v: Tensor) -> Tensor:
        """Un-rotated queries and keys (2, B, heads, S, d) and values of the frames at hand -> (B, heads, S, d)."""


class LastingMemory(Memory, Protocol):
    """A memory that keeps what it is given."""

    def write(self, layer: int, k: Tensor, v: Tensor) -> None:
        """Un-rotated (B, heads, S, d) keys and values of the frames at hand."""


class Block(nn.Module):
    """Attention, then a convolutional feed-forward, each modulated a frame at a time."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        d, hidden, head = config.width, config.width * config.ffn, config.width // config.heads
        self.config = config
        self.qkv = Linear(d, 3 * d, bias=False)
        self.q_scale = nn.Parameter(torch.ones(head))
        self.k_scale = nn.Parameter(torch.ones(head))
        self.out = Linear(d, d, bias=False)
        self.up = Linear(d, hidden, bias=False)
        self.mix = Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.down = Linear(hidden, d, bias=False)
        # Gates begin at zero. Were what they let through zero as well, neither would ever have a gradient.
        self.table = nn.Parameter(torch.zeros(6, d))

    def forward(self, x: Tensor, modulation: Tensor, layer: int, memory: Memory) -> Tensor:
        """Tokens (B, F, N, D) under modulation (B, F, 6, D)."""
        shift1, scale1, gate1, shift2, scale2, gate2 = (modulation + self.table).unsqueeze(3).unbind(2)
        x = torch.addcmul(x, gate1, self._attend(_norm(x, scale1, shift1), layer, memory))
        return torch.addcmul(x, gate2, self._feed(_norm(x, scale2, shift2)))

    def leave_keys(self, x: Tensor, modulation: Tensor, layer: int, memory: LastingMemory) -> None:
        """The same as `forward` as far as the keys and values, which go into the memory."""
        shift, scale = (modulation + self.table)[:, :, :2].unsqueeze(3).unbind(2)
        qk, v = self._qkv(_norm(x, scale, shift))
        memory.write(layer, qk[1], v)

    def _attend(self, x: Tensor, layer: int, memory: Memory) -> Tensor:
        B, frames, N, D = x.shape
        y = memory.attend(layer, *self._qkv(x))  # (B, heads, S, d)
        return self.out(y.transpose(1, 2).reshape(B, frames, N, D))

    def _qkv(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, F, N, D) -> normed queries and keys (2, B, heads, F * N, d), values (B, heads, F * N, d)."""
        q_k_v = self.qkv(x.flatten(1, 2)).unflatten(-1, (3, self.config.heads, -1)).permute(2, 0, 3, 1, 4)
        gains = torch.stack([self.q_scale, self.k_scale])[:, None, None, None].to(q_k_v.dtype)
        qk, v = q_k_v.split((2, 1))  # not slices, whose gradients are each as large as the whole
        return _rms(qk) * gains, v.squeeze(0)

    def _feed(self, x: Tensor) -> Tensor:
        B, frames, N, _ = x.shape
        h = self.up(x).view(B * frames, self.config.rope.rows, self.config.rope.columns, -1)
        h = self.mix(h.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).reshape(B, frames, N, -1)
        return self.down(F.silu(h))


class CausalDiT(nn.Module):
    """Velocity of noisy latents, given actions, the frame before, and a memory."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        d = config.width
        entering = (3 + config.recalls) * config.channels
        self.patches: Patches | None = None
        if config.patch > 1:
            self.patches = Patches(entering, config.channels, config.stem, d, config.patch)
        else:
            self.enter = Conv2d(entering, d, 3, padding=1)
            self.leave = Linear(d, config.channels)
            nn.init.zeros_(self.leave.weight)
            nn.init.zeros_(self.leave.bias)
        self.place = nn.Parameter(torch.randn(config.tokens, d) * 0.02)
        self.time = nn.Sequential(Linear(128, d), nn.SiLU(), Linear(d, d))
        self.action = nn.Sequential(Linear(config.history * config.actions, d), nn.SiLU(), Linear(d, d))
        self.modulate = Linear(d, 6 * d)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.final = Linear(d, 2 * d)
        self.change: Tensor  # root-mean-square change of a latent number from frame to frame, measured on the data
        self.register_buffer("change", torch.tensor(1.0))
        for layer in (self.modulate, self.final):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, x: Tensor, past: Tensor, sigma: Tensor, actions: Tensor, memory: Memory, finished: int = 0
    ) -> Tensor:
        """Velocity of every frame.

        Args:
            x: (B, F, C, h, w) noisy latents.
            past: (B, F, 2 or 3, C, h, w) for each frame, the last finished frame before its chunk, the one before that,
                and where the network recalls, the keyframe nearest to the last. Where it moves, instead of the first
                two the last frame moved, and the last frame.
            sigma: (B, F) noise level of each frame, 0 clean to 1 pure noise.
            actions: (B, F, history, A) the action that leads to each frame and those before it, newest first.
            memory: what attention may look at.
            finished: first frames that are here for the memory's sake, and whose velocity nobody wants.

        Returns:
            (B, F - finished, C, h, w) velocity: noise minus picture, float32.
        """
        h, condition, modulation, features = self._enter(x, past, sigma, actions)
        for layer, block in enumerate(self.blocks):
            h = block(h, modulation, layer, memory)
        final = self.final(condition)  # of all frames: a matrix with gaps is multiplied, and rounded, in another way
        h, final, x, past, sigma = (t[:, finished:] for t in (h, final, x, past, sigma))
        features = None if features is None else features[:, finished:]
        shift, scale = final.unsqueeze(2).chunk(2, -1)
        y = self._leave(_norm(h, scale, shift), features).reshape(x.shape).float()
        of_x, of_previous, of_y, _ = precondition(sigma, self.change)
        return of_x * x.float() - of_previous * past[:, :, 0].float() - of_y * y

    def commit(self, x: Tensor, past: Tensor, sigma: Tensor, actions: Tensor, memory: LastingMemory) -> None:
        """Leave the keys and values of finished frames in a memory: `forward` without what only its result needs."""
        h, _, modulation, _ = self._enter(x, past, sigma, actions)
        last = len(self.blocks) - 1
        for layer, block in enumerate(self.blocks[:-1]):
            h = block(h, modulation, layer, memory)
        final_block = self.blocks[last]
        assert isinstance(final_block, Block)
        final_block.leave_keys(h, modulation, last, memory)

    def _enter(
        self, x: Tensor, past: Tensor, sigma: Tensor, actions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Tokens (B, F, N, D), condition (B, F, D), modulation (B, F, 6, D), features (B, F, ...) for the way out."""
        last, before, *recalled = past.unbind(2)
        motion = (last - before) / self.change.float()  # about as large as what it will be added to
        apart = [(keyframe - last) / (APART * self.change.float()) for keyframe in recalled]
        cells = torch.cat([x, last, motion, *apart], 2).flatten(0, 1).to(self.place.dtype)  # (B * F, 3C or 4C, h, w)
        tokens, features = self.patches.tokens(cells) if self.patches else (self.enter(cells), None)
        features = None if features is None else features.view(*x.shape[:2], -1, *x.shape[-2:])
        tokens = tokens.unflatten(0, x.shape[:2]).flatten(3).transpose(2, 3)
        condition = F.silu(self.time(waves(sigma).to(cells.dtype)) + self.action(actions.flatten(2).to(cells.dtype)))
        modulation = self.modulate(condition).unflatten(-1, (6, -1))
        return tokens + self.place, condition, modulation, features

    def _leave(self, tokens: Tensor, features: Tensor | None) -> Tensor:
        """Tokens (B, F, N, D) -> (B * F, C, h * w or h, w) cells."""
        flat, rope = tokens.flatten(0, 1), self.config.rope
        if self.patches and features is not None:
            return self.patches.cells(
                flat.transpose(1, 2).reshape(len(flat), -1, rope.rows, rope.columns), features.flatten(0, 1)
            )
        return self.leave(flat).transpose(1, 2)


def precondition(sigma: Tensor, change: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """How velocity is put together from x, the previous frame and the network's output y.

    EDM's preconditioning (arXiv 2206.00364) around the previous frame instead of around zero. If a picture differs from
    the frame before it by a normal change of standard deviation d, its mean given x is a known mixture of the two;
    y is what is left, in units of its standard deviation. At sigma 1 the picture is `previous + d * y`.

    Args:
        sigma: (B, F) noise level of each frame.
        change: d, a scalar.

    Returns:
        four (B, F, 1, 1, 1) float32 factors: velocity = a * x - b * previous - c * y, and the weight of its squared
        error that makes every noise level count the same.
    """
    s, d = sigma.float()[..., None, None, None], change.float()
    spread = (d * (1 - s)).square() + s.square()
    return (s - d * d * (1 - s)) / spread, s / spread, d * spread.rsqrt(), spread / (d * d)


def waves(sigma: Tensor) -> Tensor:
    """Noise levels (B, F) as (B, F, 128) cosines and sines."""
    rate = torch.exp(torch.arange(64, device=sigma.device) * (-math.log(1000.0) / 64.0))
    angle = sigma.float()[..., None] * 1000.0 * rate
    return torch.cat([angle.cos(), angle.sin()], -1)


def _rms(x: Tensor) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], eps=1e-6).to(x.dtype)


def _norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    y = F.layer_norm(x, x.shape[-1:])
    return torch.addcmul(shift.to(y.dtype), y, 1 + scale)
