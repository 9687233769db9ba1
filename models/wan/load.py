"""A `WanDiT` out of files: any public layout, of any shape in `config.py` or one that the files tell.

Strict both ways: what is missing, unexpected or of another shape is an error that says so. Knows files, names and
shapes; nothing about sampling.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .bare import without_numbers
from .config import PICTURES, ActionShape, WanConfig
from .difference import Shapes, difference
from .dit import WanDiT
from .files import Weights, read
from .fp8 import LinearFormat, in_eight_bits, quantised
from .keys import fused, original_names
from .lora import merged

log = logging.getLogger(__name__)
HEAD_DIM = 128  # of every public checkpoint
TELLING = ("keyboard_embed.0", "mouse_attn_q", "keyboard_attn_kv", "key_attn_q_norm")
"""Matrices of an action module that say what shape it has."""
PICTURE_TOKENS = 257  # of CLIP's view of a picture, ViT-H/14 at 224 pixels
TABLE = {  # names in a config.json, Wan's own and diffusers' -> ours
    "dim": "width",
    "ffn_dim": "ffn",
    "num_heads": "heads",
    "num_attention_heads": "heads",
    "num_layers": "layers",
    "in_dim": "channels",
    "in_channels": "channels",
    "out_dim": "out_channels",
    "out_channels": "out_channels",
    "freq_dim": "time_waves",
    "text_dim": "text_width",
    "text_len": "text_tokens",
    "eps": "eps",
}


def load_dit(
    path: Path,
    shape: WanConfig | None = None,
    *,
    ema: bool | None = None,
    lora: Path | None = None,
    alpha: float | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    linears: LinearFormat = "native",
    kind: Callable[[WanConfig], WanDiT] = WanDiT,
) -> WanDiT:
    """The network in a file or folder.

    Args:
        path: .pt, .pth, .safetensors, shards, or a folder with one of these.
        shape: what it must be; None: what the files say.
        ema: averaged weights, or not; None: averaged ones where there are any.
        lora: changes to add to the weights.
        alpha: strength of these; None: their rank.
        dtype: of the weights in memory.
        device: where they go.
        linears: how the large matrices are kept there.
        kind: makes a network of a shape.

    Raises:
        ValueError: no such weights, or others than expected: what differs is listed.
    """
    weights = read(path, ema=ema, inside="transformer")
    tensors = in_original_layout(weights)
    shape = shape or shape_of(tensors, weights.table)
    check(tensors, shape, path)
    _say_of_gains(tensors, path)
    if lora:
        tensors = merged(tensors, read(lora).tensors, alpha)
    with without_numbers():
        dit = kind(shape)
        if linears == "fp8":
            in_eight_bits(dit)
    ready = fused(tensors, shape, dtype)
    ready = quantised(ready) if linears == "fp8" else ready
    dit.load_state_dict({name: t.to(device) for name, t in ready.items()}, assign=True)
    return dit.eval().requires_grad_(False)


def _say_of_gains(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Gains of action modules are not used, as by their authors' program: if they are not one, somebody should know."""
    gains = [t for name, t in tensors.items() if re.fullmatch(r"blocks\.\d+\.action_model\.\w+_norm\.weight", name)]
    if not all(bool((gain == 1).all()) for gain in gains):
        log.warning("%s: gains in its action modules are not one, and are not used: check its pictures", path)


def in_original_layout(weights: Weights) -> dict[str, Tensor]:
    """The tensors under the names that Wan's authors gave them."""
    names = original_names(weights.tensors)
    if len(set(names.values())) < len(names):
        raise ValueError(f"{weights.path}: several tensors are the same one under different wrappers")
    return {names[name]: tensor for name, tensor in weights.tensors.items()}


def shape_of(tensors: Mapping[str, Tensor], table: Mapping[str, Any]) -> WanConfig:
    """The shape that tensors in the original layout have; what they do not tell comes from a config.json.

    Raises:
        ValueError: these are no weights of Wan's network.
    """
    told = {ours: table[theirs] for theirs, ours in TABLE.items() if isinstance(table.get(theirs), int | float)}
    blocks = {int(m[1]) for name in tensors if (m := re.match(r"blocks\.(\d+)\.", name))}
    try:
        width, channels, _, patch, _ = tensors["patch_embedding.weight"].shape
        ffn = tensors["blocks.0.ffn.0.weight"].shape[0]
        waves = tensors["time_embedding.0.weight"].shape[1]
        picture = "img_emb.proj.1.weight" in tensors
        text_width = tensors["img_emb.proj.1.weight" if picture else "text_embedding.0.weight"].shape[1]
        out = tensors["head.head.weight"].shape[0] // patch**2
    except (KeyError, ValueError) as error:
        raise ValueError(f"expected the weights of a Wan network, but {error} is not as in one") from error
    seen: dict[str, Any] = {
        "width": width,
        "ffn": ffn,
        "heads": max(1, width // HEAD_DIM),
        "layers": max(blocks) + 1,
        "channels": channels,
        "out_channels": out,
        "patch": patch,
        "time_waves": waves,
        "text_width": text_width,
        "context": "picture" if picture else "text",
        "text_tokens": PICTURE_TOKENS if picture else WanConfig.text_tokens,
        "actions": actions_of(tensors, table),
        "cameras": "patch_embedding_wancamctrl.weight" in tensors,
    }
    kept = {name: told[name] for name in ("heads", "text_tokens", "eps") if name in told}
    if picture:  # text_len in their tables is of a text that is not there
        kept.pop("text_tokens", None)
    return WanConfig(**(seen | kept))


def actions_of(tensors: Mapping[str, Tensor], table: Mapping[str, Any]) -> ActionShape | None:
    """The shape of the modules that hear a keyboard and a mouse; None where there are none that are whole."""
    blocks = [int(m[1]) for name in tensors if (m := re.match(r"blocks\.(\d+)\.action_model\.", name))]
    stem = "blocks.0.action_model."
    if any(stem + name + ".weight" not in tensors for name in TELLING):
        return None
    embedded, keys = tensors[stem + "keyboard_embed.0.weight"].shape
    width, picture = tensors[stem + "mouse_attn_q.weight"].shape
    rows = tensors[stem + "keyboard_attn_kv.weight"].shape[1] // embedded
    hand = tensors.get(stem + "mouse_mlp.0.weight")
    head_dim = tensors[stem + "key_attn_q_norm.weight"].shape[0]
    mouse = 0 if hand is None else (hand.shape[1] - picture) // rows
    rope = table.get("action_config", {})
    return ActionShape(
        keys=keys,
        mouse=mouse,
        blocks=max(blocks) + 1,
        width=width,
        heads=width // head_dim,
        embedded=embedded,
        history=rows // PICTURES,
        time_pairs=rope.get("rope_dim_list", [2 * ActionShape.time_pairs])[0] // 2,
        base=float(rope.get("rope_theta", ActionShape.base)),
    )


@cache
def public_shapes(shape: WanConfig) -> Shapes:
    """Names and shapes of all tensors of such a network in the original layout."""
    with without_numbers():
        inner = WanDiT(shape).state_dict()
    names: dict[str, tuple[int, ...]] = {}
    for name, tensor in inner.items():
        if match := re.fullmatch(r"(blocks\.\d+\.\w+)\.(qkv|kv)\.(weight|bias)", name):
            stem, parts, what = match.groups()
            rows = tensor.shape[0] // len(parts)
            names |= {f"{stem}.{part}.{what}": (rows, *tensor.shape[1:]) for part in parts}
        else:
            names[name] = tuple(tensor.shape)
    return names


def check(tensors: Mapping[str, Tensor], shape: WanConfig, path: Path) -> None:
    """Whether these are the tensors of such a network.

    Raises:
        ValueError: lists what differs.
    """
    lines = difference(public_shapes(shape), {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    if lines:
        raise ValueError(f"{path}: not the weights of a network of this shape:\n  " + "\n  ".join(lines))
