"""Tiny networks of Wan's shape, and the same weights in what others wrote."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tests.models.tiny import randomise
from worldloom.models.kv_cache import CacheConfig, KVCache
from worldloom.models.wan.block import TextKeys
from worldloom.models.wan.config import ActionShape, Hands, Rollout, WanConfig
from worldloom.models.wan.dit import WanDiT, rope_of
from worldloom.models.wan.vae import VaeConfig

SHAPE = WanConfig(
    width=48, ffn=40, heads=2, layers=3, channels=4, out_channels=4, time_waves=16, text_width=12, text_tokens=6
)
HANDS = Hands(("forward", "rest", "left"), (("KeyW", "forward"), ("KeyA", "left")), degrees=50.0)
ACTIONS = ActionShape(keys=3, blocks=2, width=16, heads=2, embedded=8, time_pairs=2)
PLAYED = replace(SHAPE, channels=12, context="picture", text_width=10, text_tokens=5, actions=ACTIONS)
FILMED = replace(SHAPE, channels=12, cameras=True)
PLAYED_WALK = replace(PLAYED, text_width=160, text_tokens=17, actions=replace(ACTIONS, keys=4))
FOUR = VaeConfig(
    width=4, channels=4, growth=(1, 2, 2), blocks=1, halves_time=(True, True), mean=(0.1,) * 4, std=(1.5,) * 4
)
ROWS, COLUMNS = 4, 6  # latent cells: six tokens a frame
ROLL = Rollout(steps=(1000, 500), chunk=2, attention=6)


def tiny_dit(seed: int = 0, shape: WanConfig = SHAPE) -> WanDiT:
    dit = WanDiT(shape).eval().requires_grad_(False)
    randomise(dit, seed, 0.2)
    return dit


def latents(frames: int, seed: int = 0, shape: WanConfig = SHAPE) -> Tensor:
    """(1, F, C, h, w)."""
    return torch.randn(1, frames, shape.channels, ROWS, COLUMNS, generator=torch.Generator().manual_seed(seed))


def prompt(seed: int = 0, shape: WanConfig = SHAPE) -> Tensor:
    """(T, text_width), zeros behind the fourth token."""
    text = torch.randn(shape.text_tokens, shape.text_width, generator=torch.Generator().manual_seed(100 + seed))
    text[4:] = 0.0
    return text


def text_of(dit: WanDiT, seed: int = 0) -> TextKeys:
    with torch.inference_mode():
        return dit.text_keys(prompt(seed, dit.config))


def cache_of(shape: WanConfig, roll: Rollout) -> KVCache:
    tokens = rope_of(shape, ROWS, COLUMNS)
    config = CacheConfig(
        shape.layers, shape.heads, shape.head_dim, tokens.rows * tokens.columns, roll.chunk, roll.window, roll.sink
    )
    return KVCache.allocate(config, torch.device("cpu"), torch.float32)


def diffusers_config(shape: WanConfig) -> dict[str, Any]:
    return {
        "patch_size": (1, shape.patch, shape.patch),
        "num_attention_heads": shape.heads,
        "attention_head_dim": shape.head_dim,
        "in_channels": shape.channels,
        "out_channels": shape.out_channels,
        "text_dim": shape.text_width,
        "freq_dim": shape.time_waves,
        "ffn_dim": shape.ffn,
        "num_layers": shape.layers,
        "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads",
        "eps": shape.eps,
    }


def with_sinks(roll: Rollout, sink: int, **more: Any) -> Rollout:
    return replace(roll, attention=roll.attention + sink, sink=sink, **more)
