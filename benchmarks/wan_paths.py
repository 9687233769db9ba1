"""Ways in which a causal network of the Wan family makes chunk after chunk, with the same random weights.

- ours: `WanWorld`, as it is served.
- full: diffusers' `SkyReelsV2Transformer3DModel`, which looks at the whole window anew in every pass, block-causally.
- self-forcing: the cached path of the public Self-Forcing (arXiv 2506.08009), from a checkout of its repository, which
  is not part of this one. flash-attn is replaced by PyTorch's attention in the same number format. Nothing else of it
  is imported than the network.
- products: nothing but the matrix products and the attention that all of them need: what is left when all else is free.

Knows networks; no clock.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldloom.models.attention import attention
from worldloom.models.spec import ActionSpec, WorldSpec
from worldloom.models.wan.config import Rollout, WanConfig
from worldloom.models.wan.dit import WanDiT
from worldloom.models.wan.keys import fused, original_names
from worldloom.models.wan.sampler import Level, denoise, levels
from worldloom.models.wan.state import WanState
from worldloom.models.wan.vae import Seen
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


class _NoDecoder:
    def decode(self, latents: Tensor, seen: Seen) -> tuple[Tensor, Seen]:
        raise NotImplementedError


class _OnePrompt:
    free, known = False, (PROMPT,)

    def __init__(self, encoded: Tensor) -> None:
        self._encoded = encoded

    def encode(self, prompt: str) -> Tensor:
        return self._encoded


class Ours:
    """The world, without its decoder."""

    def __init__(self, case: Case, dit: WanDiT, text: Tensor, device: torch.device) -> None:
        fps, size = Fraction(16), (8 * case.rows, 8 * case.columns)
        spec = WorldSpec("bench", *size, fps, 4 * case.chunk, ActionSpec(), prompts=True)
        self.world = WanWorld(spec, dit, _NoDecoder(), _OnePrompt(text), case.roll, device=device)
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


class Full:
    """Everything anew in every pass; nothing has to be remembered but latents."""

    def __init__(self, case: Case, network: nn.Module, text: Tensor) -> None:
        self._case, self._network, self._text = case, network, text
        self._levels = levels(case.roll)
        self._past: Tensor | None = None

    @torch.inference_mode()
    def chunk(self, noise: Sequence[Tensor]) -> Tensor:
        """See `Rolling`."""
        made = denoise(self._velocity, lambda k: noise[k], self._levels)
        past = made if self._past is None else torch.cat([self._past, made], 1)
        self._past = past[:, -(self._case.attention - self._case.chunk) :]
        return made

    def _velocity(self, x: Tensor, t: float) -> Tensor:
        dtype, frames = self._text.dtype, x.shape[1]
        film = x if self._past is None else torch.cat([self._past, x], 1)
        at = torch.zeros(1, film.shape[1], device=x.device)
        at[:, -frames:] = t
        film = film.transpose(1, 2).to(dtype)
        out = self._network(film, at, self._text, enable_diffusion_forcing=True).sample
        return out.transpose(1, 2)[:, -frames:].float()


class SelfForcing:
    """The public cached path: separate projections, a cache that is moved when it is full, phases in float64."""

    def __init__(self, case: Case, network: Any, text: Tensor) -> None:
        self._case, self._network, self._text = case, network, text
        self._levels: tuple[Level, ...] = levels(case.roll)
        self._frame = 0
        c, device, dtype = case.shape, text.device, text.dtype
        size = (1, case.attention * case.tokens, c.heads, c.head_dim)
        zero = lambda: torch.zeros(1, dtype=torch.long, device=device)  # noqa: E731
        self._cache = [
            {
                "k": torch.zeros(size, dtype=dtype, device=device),
                "v": torch.zeros(size, dtype=dtype, device=device),
                "global_end_index": zero(),
                "local_end_index": zero(),
            }
            for _ in range(c.layers)
        ]
        self._said: list[dict[str, Any]] = [{"k": None, "v": None, "is_init": False} for _ in range(c.layers)]

    @torch.inference_mode()
    def chunk(self, noise: Sequence[Tensor]) -> Tensor:
        """See `Rolling`."""
        made = denoise(self._velocity, lambda k: noise[k], self._levels)
        self._velocity(made, 0.0)
        self._frame += self._case.chunk
        return made

    def _velocity(self, x: Tensor, t: float) -> Tensor:
        at = torch.full(x.shape[:2], t, device=x.device)
        out: Tensor = self._network(
            x.transpose(1, 2).to(self._text.dtype),
            t=at,
            context=self._text,
            seq_len=self._case.attention * self._case.tokens,
            kv_cache=self._cache,
            crossattn_cache=self._said,
            current_start=self._frame * self._case.tokens,
        )
        return out.transpose(1, 2).float()


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


def random_weights(case: Case, seed: int = 0) -> Weights:
    """Small ones, so that pictures stay finite."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        shapes = {name: part.shape for name, part in _diffusers(case, meta=True).state_dict().items()}
    names = original_names(shapes)
    drawn = {names[name]: _drawn(names[name], shape, generator) for name, shape in shapes.items()}
    text = torch.randn(1, case.shape.text_tokens, case.shape.text_width, generator=generator)
    return Weights(drawn, text)


def _drawn(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    if "norm" in name and name.endswith("weight"):
        return 1.0 + 0.1 * torch.randn(shape, generator=generator)
    fan = shape[1:].numel() if len(shape) > 1 else 25
    return torch.randn(shape, generator=generator) / fan**0.5


def ours(case: Case, weights: Weights, dtype: torch.dtype, device: torch.device) -> Ours:
    """As it is served."""
    dit = WanDiT(case.shape).eval().requires_grad_(False).to(dtype)
    dit.load_state_dict(fused(weights.original, case.shape, dtype))
    return Ours(case, dit.to(device), weights.text[0].to(dtype), device)


def full(case: Case, weights: Weights, dtype: torch.dtype, device: torch.device) -> Full:
    """Without a cache."""
    network = _diffusers(case)
    names = original_names(network.state_dict())
    network.load_state_dict({name: weights.original[names[name]] for name in names})
    return Full(case, network.eval().requires_grad_(False).to(device, dtype), weights.text.to(device, dtype))


def self_forcing(case: Case, weights: Weights, dtype: torch.dtype, device: torch.device, checkout: Path) -> SelfForcing:
    """The public path. Raises `FileNotFoundError` where the checkout is none."""
    network = _public_network(checkout)(
        **_public_config(case), local_attn_size=case.attention, cross_attn_norm=True, qk_norm=True
    )
    network.load_state_dict(weights.original)
    for block in network.blocks:  # 1,560 tokens a frame are written into the public code
        block.self_attn.max_attention_size = case.attention * case.tokens
    network = network.eval().requires_grad_(False).to(device, dtype)
    return SelfForcing(case, network, weights.text.to(device, dtype))


def _diffusers(case: Case, *, meta: bool = False) -> nn.Module:
    from diffusers import SkyReelsV2Transformer3DModel

    c = case.shape
    return SkyReelsV2Transformer3DModel(
        patch_size=(1, c.patch, c.patch),
        num_attention_heads=c.heads,
        attention_head_dim=c.head_dim,
        in_channels=c.channels,
        out_channels=c.out_channels,
        text_dim=c.text_width,
        freq_dim=c.time_waves,
        ffn_dim=c.ffn,
        num_layers=c.layers,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        eps=c.eps,
        num_frame_per_block=case.chunk,
    )


def _public_config(case: Case) -> dict[str, Any]:
    c = case.shape
    return {
        "patch_size": (1, c.patch, c.patch),
        "text_len": c.text_tokens,
        "in_dim": c.channels,
        "dim": c.width,
        "ffn_dim": c.ffn,
        "freq_dim": c.time_waves,
        "text_dim": c.text_width,
        "out_dim": c.out_channels,
        "num_heads": c.heads,
        "num_layers": c.layers,
        "eps": c.eps,
    }


def _public_network(checkout: Path) -> Any:
    """The class `CausalWanModel`, without what its packages import besides."""
    folder = checkout / "wan"
    if not (folder / "modules" / "causal_model.py").is_file():
        raise FileNotFoundError(f"{checkout}: expected a checkout of github.com/guandeh17/Self-Forcing")
    for name, path in (("wan", folder), ("wan.modules", folder / "modules")):
        package = sys.modules[name] = ModuleType(name)
        package.__path__ = [str(path)]
    for name in ("wan.modules.model", "wan.modules.causal_model"):
        module: Any = importlib.import_module(name)
        for function in ("attention", "flash_attention"):
            if hasattr(module, function):
                setattr(module, function, _attention)
    return sys.modules["wan.modules.causal_model"].CausalWanModel  # type: ignore[attr-defined]


def _attention(q: Tensor, k: Tensor, v: Tensor, k_lens: object = None, **_: object) -> Tensor:
    """(B, S, heads, d) in the number format that it comes in."""
    out = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)))
    return out.transpose(1, 2).contiguous()
