"""Published weights into a folder that `open_wan` opens: `worldloom convert`.

The set of weights is chosen, wrappers are taken off their names, changes are merged, all is written as .safetensors in
Wan's own layout, which other programs read too, with a `wan.json` beside it. Knows files.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from .config import FAMILIES, Family
from .files import read
from .load import check, in_original_layout, shape_of
from .load_vae import config_of, load_taehv, load_vae
from .lora import merged
from .open import WanFolder
from .text import EncodedPrompts, cleaned, write_prompts


@dataclass(frozen=True)
class Parts:
    """What a world is made of, as it was published."""

    network: Path
    vae: Path
    encoder: Path  # a folder with umT5; its tokenizer there or beside it
    small: Path | None = None  # TAEHV's decoder for these latents
    lora: Path | None = None
    alpha: float | None = None  # of `lora`; None: its rank
    ema: bool | None = None  # averaged weights, or not; None: averaged ones where there are any


def convert(
    parts: Parts,
    folder: Path,
    family: str,
    prompts: Sequence[str],
    *,
    store: bool = False,
    dtype: torch.dtype = torch.bfloat16,
    height: int | None = None,
    width: int | None = None,
) -> WanFolder:
    """Write a world.

    Args:
        parts: what it is made of.
        folder: where it goes; must not exist.
        family: of `config.FAMILIES`, which says how it is rolled out.
        prompts: to begin with where nobody says one; at least one.
        store: encode them now, and need no encoder later; then the world takes no others.
        dtype: of the network on disk.
        height: pixels, as it was trained if nothing else is said.
        width: the same.

    Raises:
        ValueError: a part is missing, damaged or of another shape, the family is not known, or the folder exists.
    """
    known = _family(family)
    if folder.exists():
        raise ValueError(f"expected a new folder, but {folder} exists")
    if not prompts:
        raise ValueError("expected at least one prompt to begin with")
    weights = read(parts.network, ema=parts.ema, inside="transformer")
    tensors = in_original_layout(weights)
    shape = shape_of(tensors, weights.table)
    check(tensors, shape, parts.network)
    if parts.lora:
        tensors = merged(tensors, read(parts.lora).tensors, parts.alpha)
    vae = config_of(read(parts.vae, inside="vae").table)
    about = WanFolder(
        title=known.title,
        licence=known.licence,
        source=known.source,
        height=height or known.height,
        width=width or known.width,
        fps=known.fps,
        rollout=known.rollout,
        shape=shape,
        vae=vae,
        small="taehv.safetensors" if parts.small else "",
        prompts="prompts.safetensors" if store else "",
        encoder="" if store else os.path.relpath(parts.encoder.resolve(), folder.resolve()),
        known=tuple(cleaned(prompt) for prompt in prompts),
    )
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _save({name: tensor.to(dtype) for name, tensor in tensors.items()}, partial / about.network)
        _save(load_vae(parts.vae, vae).state_dict(), partial / about.decoder)
        if parts.small:
            _save(load_taehv(parts.small).state_dict(), partial / about.small)
        if store:
            encoder = EncodedPrompts(parts.encoder, shape.text_tokens)
            write_prompts(partial / about.prompts, {text: encoder.encode(text) for text in about.known})
        about.write(partial)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return about


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise ValueError(f"expected a family, one of {', '.join(FAMILIES)}, got {name!r}")
    return FAMILIES[name]


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    path.chmod(0o644)  # safetensors writes files that only their owner may read
