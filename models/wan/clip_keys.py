"""CLIP as Wan's authors publish it into the encoder of pictures that transformers reads. Knows names and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .difference import difference

OUTSIDE = {  # names in the public file -> transformers'
    "patch_embedding.weight": "embeddings.patch_embedding.weight",
    "cls_embedding": "embeddings.class_embedding",
    "pos_embedding": "embeddings.position_embedding.weight",
    "pre_norm.": "pre_layrnorm.",
    "post_norm.": "post_layernorm.",
}
INSIDE = {
    "norm1.": "layer_norm1.",
    "norm2.": "layer_norm2.",
    "attn.proj.": "self_attn.out_proj.",
    "mlp.0.": "mlp.fc1.",
    "mlp.2.": "mlp.fc2.",
}


def is_clip(names: Mapping[str, Tensor]) -> bool:
    """Whether these are tensors of the public file."""
    return "visual.cls_embedding" in names


def vision_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder of pictures under transformers' names; that of texts is left out, and so is the last projection."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith("visual.") and name != "visual.head":
            found |= _named(name.removeprefix("visual."), tensor)
    return found


def _named(name: str, tensor: Tensor) -> dict[str, Tensor]:
    if match := re.match(r"transformer\.(\d+)\.", name):
        stem, rest = f"encoder.layers.{match[1]}.", name[match.end() :]
        if rest.startswith("attn.to_qkv."):
            what = rest.removeprefix("attn.to_qkv.")
            return {f"{stem}self_attn.{k}_proj.{what}": part for k, part in zip("qkv", tensor.chunk(3), strict=True)}
        for ours, theirs in INSIDE.items():
            if rest.startswith(ours):
                return {stem + theirs + rest.removeprefix(ours): tensor}
    for ours, theirs in OUTSIDE.items():
        if name.startswith(ours):
            flat = tensor.flatten() if name == "cls_embedding" else tensor[0] if name == "pos_embedding" else tensor
            return {theirs + name.removeprefix(ours): flat}
    return {name: tensor}


def write_eye(path: Path, tensors: Mapping[str, Tensor], folder: Path, dtype: torch.dtype) -> None:
    """The public file's tensors as a folder that `Eye` reads.

    Raises:
        ValueError: not such tensors; what differs is listed.
    """
    from transformers import CLIPVisionConfig, CLIPVisionModel

    ready = vision_tensors(tensors)
    try:
        width, _, patch, _ = ready["embeddings.patch_embedding.weight"].shape
        places = ready["embeddings.position_embedding.weight"].shape[0]
        inner = ready["encoder.layers.0.mlp.fc1.weight"].shape[0]
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path}: expected CLIP's encoder of pictures, but {error} is not as in it") from error
    layers = {match[1] for name in ready if (match := re.search(r"layers\.(\d+)\.", name))}
    table: dict[str, Any] = {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": len(layers),
        "num_attention_heads": max(1, width // 80),  # 16 of ViT-H
        "image_size": patch * round((places - 1) ** 0.5),
        "patch_size": patch,
        "hidden_act": "gelu",
    }
    eye = CLIPVisionModel(CLIPVisionConfig(**table)).eval()
    want = {name: tuple(tensor.shape) for name, tensor in eye.state_dict().items()}
    if all(name.startswith("vision_model.") for name in want):  # before transformers 5
        ready = {f"vision_model.{name}": tensor for name, tensor in ready.items()}
    lines = difference(want, {name: tuple(tensor.shape) for name, tensor in ready.items()})
    if lines:
        raise ValueError(f"{path}: not CLIP's encoder of pictures:\n  " + "\n  ".join(lines))
    eye.load_state_dict(ready)
    eye.to(dtype).save_pretrained(folder)
