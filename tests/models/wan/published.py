"""Weights as their authors publish them: the names and shapes of the original layout, written down once more here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from worldloom.models.wan.config import ActionShape, WanConfig

from .tiny import SHAPE


def original(shape: WanConfig = SHAPE, seed: int = 0) -> dict[str, Tensor]:
    """Random weights under the names of Wan's repository."""
    d, waves, text = shape.width, shape.time_waves, shape.text_width
    cells = shape.patch**2
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embedding.weight": (d, shape.channels, 1, shape.patch, shape.patch),
        "patch_embedding.bias": (d,),
        "time_embedding.0": (d, waves),
        "time_embedding.2": (d, d),
        "time_projection.1": (6 * d, d),
        "head.head": (shape.out_channels * cells, d),
        "head.modulation": (1, 2, d),
    }
    if shape.context == "text":
        shapes |= {"text_embedding.0": (d, text), "text_embedding.2": (d, d)}
    else:
        shapes |= {"img_emb.proj.1": (text, text), "img_emb.proj.3": (d, text)}
        shapes |= {f"img_emb.proj.{k}.{what}": (n,) for k, n in ((0, text), (4, d)) for what in ("weight", "bias")}
    if shape.cameras:
        shapes |= {"patch_embedding_wancamctrl": (d, 6 * 64 * cells)}
        shapes |= {f"c2ws_hidden_states_layer{k}": (d, d) for k in (1, 2)}
        layers = ("injector_layer1", "injector_layer2", "scale_layer", "shift_layer")
        shapes |= {f"blocks.{n}.cam_{layer}": (d, d) for n in range(shape.layers) for layer in layers}
    for n in range(shape.layers):
        if shape.actions and n < shape.actions.blocks:
            shapes |= {f"blocks.{n}.action_model.{name}": size for name, size in action_module(shape.actions, d)}
        shapes |= {f"blocks.{n}.{kind}_attn.{part}": (d, d) for kind in ("self", "cross") for part in "qkvo"}
        shapes |= {f"blocks.{n}.{kind}_attn.norm_{part}.weight": (d,) for kind in ("self", "cross") for part in "qk"}
        shapes |= {f"blocks.{n}.norm3.{what}": (d,) for what in ("weight", "bias")}
        shapes |= {f"blocks.{n}.ffn.0": (shape.ffn, d), f"blocks.{n}.ffn.2": (d, shape.ffn)}
        shapes |= {f"blocks.{n}.modulation": (1, 6, d)}
    generator, tensors = torch.Generator().manual_seed(seed), {}
    for name, size in shapes.items():
        if name.endswith(("weight", "bias", "modulation")):
            one = name.endswith("weight") and len(size) == 1  # a gain
            scale = size[-1] ** -0.5 if len(size) == 2 else 0.2
            tensors[name] = torch.randn(size, generator=generator) * scale + (1.0 if one else 0.0)
        else:
            tensors[f"{name}.weight"] = torch.randn(size, generator=generator) * size[-1] ** -0.5
            tensors[f"{name}.bias"] = torch.randn(size[0], generator=generator) * 0.2
    return tensors


def action_module(a: ActionShape, d: int) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of an action module; those without a bias end in "weight"."""
    rows = 4 * a.history
    names: list[tuple[str, tuple[int, ...]]] = [
        ("keyboard_embed.0", (a.embedded, a.keys)),
        ("keyboard_embed.2", (a.embedded, a.embedded)),
        ("mouse_attn_q.weight", (a.width, d)),
        ("keyboard_attn_kv.weight", (2 * a.width, a.embedded * rows)),
        ("proj_keyboard.weight", (d, a.width)),
    ]
    names += [(f"key_attn_{x}_norm.weight", (a.width // a.heads,)) for x in "qk"]
    if a.mouse:
        names += [("mouse_mlp.0", (a.width, d + a.mouse * rows)), ("mouse_mlp.2", (a.width, a.width))]
        names += [(f"mouse_mlp.3.{what}", (a.width,)) for what in ("weight", "bias")]
        names += [("t_qkv.weight", (3 * a.width, a.width)), ("proj_mouse.weight", (d, a.width))]
        names += [(f"img_attn_{x}_norm.weight", (a.width // a.heads,)) for x in "qk"]
    return names


def prefixed(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def under_fsdp(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As a wrapped model saves itself: a word before each block, and before all."""
    inner = {name.replace("blocks.0.", "blocks.0._checkpoint_wrapped_module."): t for name, t in tensors.items()}
    return {f"model._fsdp_wrapped_module.{name}": tensor for name, tensor in inner.items()}


def lora(tensors: Mapping[str, Tensor], rank: int, prefix: str, seed: int = 5) -> dict[str, Tensor]:
    """Random changes of every matrix of the blocks, as PEFT names them."""
    generator, out = torch.Generator().manual_seed(seed), {}
    for name, tensor in tensors.items():
        if name.startswith("blocks.") and tensor.ndim == 2:
            stem = prefix + name.removesuffix(".weight")
            out[f"{stem}.lora_A.weight"] = torch.randn(rank, tensor.shape[1], generator=generator) * 0.1
            out[f"{stem}.lora_B.weight"] = torch.randn(tensor.shape[0], rank, generator=generator) * 0.1
    return out


def self_forcing(path: Path, plain: Mapping[str, Tensor], averaged: Mapping[str, Tensor]) -> Path:
    """A .pt file as Self-Forcing's authors write them."""
    sets = {"generator": prefixed(plain, "model."), "generator_ema": prefixed(averaged, "model."), "step": 600}
    torch.save(sets, path)
    return path
