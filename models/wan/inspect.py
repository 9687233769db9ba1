"""What a file of weights is, without loading it as anything: `worldloom inspect`. Knows files, names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from . import config
from .clip_keys import is_clip
from .config import FAMILIES, WanConfig
from .difference import difference
from .files import Weights, read
from .keys import is_diffusers, original_names
from .load import public_shapes, shape_of
from .lora import is_lora
from .vae_keys import is_diffusers as is_diffusers_vae

SHAPES = {
    "Wan2.1 T2V 1.3B": config.T2V_1_3B,
    "Wan2.1 T2V 14B": config.T2V_14B,
    "Wan2.2 TI2V 5B": config.TI2V_5B,
    "Matrix-Game-2.0": config.MATRIX_GAME,
    "Matrix-Game-2.0, Temple Run": config.TEMPLE_RUN,
    "ForgeWM": config.FORGE,
    "LingBot-World 14B": config.LINGBOT_14B,
}


def described(path: Path, *, ema: bool | None = None) -> dict[str, Any]:
    """Plain data about the weights in a file or folder.

    Raises:
        ValueError: no weights are there, or they are damaged.
    """
    weights = read(path, ema=ema)
    sizes = weights.tensors.values()
    return {
        "file": str(weights.path),
        "kind": _kind(weights.tensors),
        "set": weights.picked,
        "other sets": list(weights.others),
        "tensors": len(weights.tensors),
        "numbers": sum(tensor.numel() for tensor in sizes),
        "gigabytes": round(sum(tensor.nbytes for tensor in sizes) / 1e9, 3),
        "formats": sorted({str(tensor.dtype).removeprefix("torch.") for tensor in sizes}),
        **_network(weights),
    }


def _kind(tensors: Mapping[str, Tensor]) -> str:
    names = set(original_names(tensors).values())
    if is_lora(tensors):
        return "low-rank changes"
    if "patch_embedding.weight" in names:
        return "network"
    if "decoder.conv1.weight" in names or is_diffusers_vae(tensors):
        return "autoencoder"
    if is_clip(tensors):
        return "CLIP"
    return "not known: " + ", ".join(sorted(names)[:4])


def _network(weights: Weights) -> dict[str, Any]:
    """What a network's tensors tell; nothing for other tensors."""
    if _kind(weights.tensors) != "network":
        return {}
    names = original_names(weights.tensors)
    tensors = {names[name]: tensor for name, tensor in weights.tensors.items()}
    shape = shape_of(tensors, weights.table)
    lines = difference(public_shapes(shape), {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    like = [title for title, known in SHAPES.items() if known == shape]
    return {
        "layout": "diffusers" if is_diffusers(weights.tensors) else "original",
        "like": like[0] if like else f"{shape.layers} blocks of width {shape.width}",
        "hears": _hears(shape),
        "fits": "yes" if not lines else "no: " + "; ".join(lines),
        "families of this shape": _families(shape),
    }


def _hears(shape: WanConfig) -> str:
    """What steers it, in words."""
    said = "a prompt" if shape.context == "text" else "a picture, as CLIP sees it"
    parts = [said, "a first picture in every frame"] if shape.shown else [said]
    if shape.actions:
        parts.append(f"{shape.actions.keys} keys{' and a mouse' if shape.actions.mouse else ''}")
    return ", ".join([*parts, "a camera"] if shape.cameras else parts)


def _families(shape: WanConfig) -> dict[str, str]:
    """Names and licences: weights alone do not tell which one they are."""
    return {name: family.licence for name, family in FAMILIES.items() if family.shape == shape}
