"""How a causal network of the Wan family is measured chunk after chunk, and the two ways that are ours.

- ours: `WanWorld`, as it is served.
- products: nothing but the matrix products and the attention that all of them need: what is left when all else is free.

Other people's are in `wan_others.py`. Knows networks; no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from worldloom.models.attention import attention
from worldloom.models.spec import ActionSpec, WorldSpec
from worldloom.models.wan.config import Rollout, WanConfig
from worldloom.models.wan.dit import WanDiT
from worldloom.models.wan.fp8 import LinearFormat, in_eight_bits, refuse_fp8
from worldloom.models.wan.fused import Kernels, fuses
from worldloom.models.wan.keys import fused
from worldloom.models.wan.sampler import levels
from worldloom.models.wan.state import WanState
from worldloom.models.wan.text import StoredPrompts
from worldloom.models.wan.told import Blind
from worldloom.models.wan.world import WanWorld

PROMPT = "random numbers"


@dataclass(frozen=True)
class Case:
    """What is measured."""

    name: str
    shape: WanConfig
    rows: int  # latent cells down
    columns: int  # latent cells across
    attention: int  # latent frames that attention reaches, the chunk being made included
    steps: tuple[float, ...] = (1000, 750, 500, 250)
    chunk: int = 3  # latent frames

    @property
    def roll(self) -> Rollout:
        """How it is rolled out."""
        return Rollout(steps=self.steps, attention=self.attention, chunk=self.chunk)

    @property
    def tokens(self) -> int:
        """Of a latent frame."""
        return self.rows * self.columns // self.shape.patch**2

    @property
    def weights(self) -> int:
        """Numbers of the network."""
        with torch.device("meta"):
            return sum(part.numel() for part in WanDiT(self.shape).parameters())


class Rolling(Protocol):
    """One of the ways."""

    def chunk(self, noise: Sequence[Tensor]) -> Tensor:
        """The next chunk (1, F, C, h, w), from fresh noise of that shape for each step; it is remembered."""


class Ours:
    """The world, without its decoder."""

    def __init__(self, case: Case, dit: WanDiT, text: Tensor, device: torch.device, graphs: int = 0) -> None:
        fps, size = Fraction(16), (8 * case.rows, 8 * case.columns)
        spec = WorldSpec("bench", *size, fps, 4 * case.chunk, ActionSpec(), prompts=True)
        prompts = StoredPrompts({PROMPT: text})
        self.world = WanWorld(spec, dit, Blind(), prompts, case.roll, graphs=graphs, device=device)
        self.state: WanState = self.world.start(seed=0)
        self._levels = levels(case.roll)
        self._told, _ = self.world.steering.hear(self.state.carried, torch.zeros(spec.chunk, 0), False)

    @torch.inference_mode()
    def chunk(self, noise: Sequence[Tensor]) -> Tensor:
        """See `Rolling`."""
        self.world._noise = lambda states, purpose: noise[purpose]  # type: ignore[method-assign]
        told = self._told[None]
        made = self.world._denoise([self.state], told, self._levels)
        self.world._remember([self.state], told, made)
        return made


class Products:
    """The same products of the same sizes, in the same order, and their results are thrown away."""

    def __init__(self, case: Case, dtype: torch.dtype, device: torch.device) -> None:
        c, self._case, self._chunks = case.shape, case, 0
        shapes = [(3 * c.width, c.width), *[(c.width, c.width)] * 3, (c.ffn, c.width), (c.width, c.ffn)]
        self._matrices = [torch.randn(shape, device=device, dtype=dtype) for shape in shapes]
        self._tokens = torch.randn(1, case.chunk * case.tokens, c.width, device=device, dtype=dtype)
        self._inner = torch.randn(1, case.chunk * case.tokens, c.ffn, device=device, dtype=dtype)
        sizes = (case.attention * case.tokens, c.text_tokens)
        self._past, self._text = (
            torch.randn(1, c.heads, size, c.head_dim, device=device, dtype=dtype) for size in sizes
        )

    @torch.inference_mode()
    def chunk(self, noise: Sequence[Tensor]) -> Tensor:
        """See `Rolling`."""
        case, layers = self._case, self._case.shape.layers
        self._chunks += 1
        seen = min(self._chunks * case.chunk, case.attention) * case.tokens
        for layer in range(layers * (len(case.steps) + 1)):
            whole = layer != layers * (len(case.steps) + 1) - 1  # the last block of the clean pass leaves its keys
            self._block(self._past[:, :, :seen], whole)
        return noise[0]

    def _block(self, past: Tensor, whole: bool) -> None:
        qkv, o, cross_q, cross_o, up, down = self._matrices
        q = F.linear(self._tokens, qkv)[..., : o.shape[0]].unflatten(-1, (past.shape[1], -1)).transpose(1, 2)
        if whole:
            attention(q, past, past)
            attention(q, self._text, self._text)
            for matrix in (o, cross_q, cross_o, up):
                F.linear(self._tokens, matrix)
            F.linear(self._inner, down)


@dataclass(frozen=True)
class Weights:
    """The same random numbers for all networks."""

    original: dict[str, Tensor]  # in Wan's own layout
    text: Tensor  # (1, text_tokens, text_width) an encoded prompt, without zeros at its end


def ours(
    case: Case,
    weights: Weights,
    dtype: torch.dtype,
    device: torch.device,
    kernels: Kernels = "auto",
    linears: LinearFormat = "native",
    graphs: bool = False,
) -> Ours:
    """As it is served.

    Raises:
        ValueError: the device cannot multiply in eight bits.
    """
    dit = WanDiT(case.shape).eval().requires_grad_(False).to(dtype)
    dit.load_state_dict(fused(weights.original, case.shape, dtype))
    if linears == "fp8":
        refuse_fp8(device, dtype, case.shape)
        in_eight_bits(dit)
    dit = dit.to(device).fuse(fuses(device, kernels))
    return Ours(case, dit, weights.text[0].to(dtype), device, int(graphs))
