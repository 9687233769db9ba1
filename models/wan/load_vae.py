"""A `WanVae` or a `Taehv` out of files: the public ones, or a folder of diffusers. Strict both ways.

Knows files, names and shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from .bare import without_numbers
from .difference import difference
from .files import Weights, read
from .taehv import Taehv, TaehvConfig
from .vae import VAE_2_2, VaeConfig, WanVae
from .vae_keys import is_diffusers, public_name

TABLE = {  # names in diffusers' config.json -> ours
    "base_dim": "width",
    "z_dim": "channels",
    "dim_mult": "growth",
    "num_res_blocks": "blocks",
    "temperal_downsample": "halves_time",
    "latents_mean": "mean",
    "latents_std": "std",
    "decoder_base_dim": "decoder_width",
    "is_residual": "residual",
    "patch_size": "patch",
}


def load_vae(
    path: Path,
    config: VaeConfig | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> WanVae:
    """The autoencoder in a file or folder.

    Args:
        path: .pth, .safetensors, or a folder with one of these.
        config: what it must be; None: what a config.json says, else Wan 2.1's or 2.2's.
        dtype: of the weights in memory.
        device: where they go.

    Raises:
        ValueError: no such weights, or others than expected: what differs is listed.
    """
    weights = read(path, inside="vae")
    config = config or config_of(weights)
    with without_numbers():
        vae = WanVae(config)
    return _filled(vae, public_tensors(weights, config), path, dtype, device)


def load_taehv(path: Path, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Taehv:
    """The small decoder in a file, which says itself of which shape it is. An encoder beside it is left out.

    Args:
        path: .pth or .safetensors.
        dtype: of the weights in memory.
        device: where they go.

    Raises:
        ValueError: no such weights, or others than expected: what differs is listed.
    """
    tensors = {name: t for name, t in read(path).tensors.items() if not name.startswith("encoder.")}
    with without_numbers():
        taehv = Taehv(taehv_config(path, tensors))
    return _filled(taehv, tensors, path, dtype, device)


def taehv_config(path: Path, tensors: Mapping[str, Tensor]) -> TaehvConfig:
    """The shape of a small decoder.

    Raises:
        ValueError: it is none.
    """
    try:
        first, *later = (tensors[f"decoder.{k}.weight"].shape for k in (1, 8, 14, 20, 22))
        widths = (first[0], later[0][0], later[1][0], later[2][0])
        return TaehvConfig(first[1], widths, isqrt(later[3][0] // 3))
    except (KeyError, IndexError) as error:
        raise ValueError(f"{path}: expected the weights of TAEHV, but {error} is not as in it") from error


NetworkT = TypeVar("NetworkT", WanVae, Taehv)


def _filled(
    network: NetworkT, tensors: Mapping[str, Tensor], path: Path, dtype: torch.dtype, device: torch.device | str
) -> NetworkT:
    want = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    lines = difference(want, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    if lines:
        raise ValueError(f"{path}: not the weights of such an autoencoder:\n  " + "\n  ".join(lines))
    network.load_state_dict({name: tensor.to(device, dtype) for name, tensor in tensors.items()}, assign=True)
    return network.eval().requires_grad_(False)


def public_tensors(weights: Weights, config: VaeConfig) -> dict[str, Tensor]:
    """The tensors under the names of the public file."""
    if not is_diffusers(weights.tensors):
        return dict(weights.tensors)
    return {public_name(name, config): tensor for name, tensor in weights.tensors.items()}


def config_of(weights: Weights) -> VaeConfig:
    """What a config.json of diffusers says; without one, Wan 2.2's for tensors of its layout, else Wan 2.1's."""
    told: dict[str, Any] = {}
    for theirs, ours in TABLE.items():
        if (value := weights.table.get(theirs)) is not None:
            told[ours] = tuple(value) if isinstance(value, list) else value
    if not told and any(name.startswith("encoder.downsamples.0.downsamples.") for name in weights.tensors):
        return VAE_2_2
    return VaeConfig(**told)
