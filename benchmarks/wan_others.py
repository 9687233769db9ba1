"""Ways in which other people's networks of the Wan family make chunk after chunk, and the weights that all are given.

- full: diffusers' `SkyReelsV2Transformer3DModel`, which looks at the whole window anew in every pass, block-causally.
- self-forcing: the cached path of the public Self-Forcing (arXiv 2506.08009), from a checkout of its repository, which
  is not part of this one. flash-attn is replaced by PyTorch's attention in the same number format. Nothing else of it
  is imported than the network.

Weights are drawn in the shapes of diffusers' network. Knows networks; no clock.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from wan_paths import Case, Weights

from worldloom.models.wan.keys import original_names
from worldloom.models.wan.sampler import Level, denoise, levels


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
