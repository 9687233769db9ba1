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

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageOps
from safetensors.torch import save_file
from torch import Tensor

from ..spec import Image
from .clip_keys import write_eye
from .config import FAMILIES, Family, WanConfig
from .files import read
from .load import check, in_original_layout, shape_of
from .load_vae import config_of, load_taehv, load_vae
from .lora import merged
from .open import WanFolder
from .sights import Eye, write_sights
from .text import EncodedPrompts, cleaned, write_prompts


@dataclass(frozen=True)
class Parts:
    """What a world is made of, as it was published."""

    network: Path
    vae: Path
    encoder: Path | None = None  # a folder with umT5; its tokenizer there or beside it
    small: Path | None = None  # TAEHV's decoder for these latents
    lora: Path | None = None
    alpha: float | None = None  # of `lora`; None: its rank
    ema: bool | None = None  # averaged weights, or not; None: averaged ones where there are any
    eye: Path | None = None  # CLIP, for networks that look at a picture: the public file, or a folder of transformers
    pictures: tuple[Path, ...] = ()  # to begin with, for networks that are shown one


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
        prompts: to begin with where nobody says one; at least one, if the network reads any.
        store: encode them (or the first pictures) now, and need no encoder later; then the world takes no others.
        dtype: of the network on disk.
        height: pixels, as it was trained if nothing else is said.
        width: the same.

    Raises:
        ValueError: a part is missing, damaged or of another shape, the family is not known, or the folder exists.
    """
    known = _family(family)
    if folder.exists():
        raise ValueError(f"expected a new folder, but {folder} exists")
    weights = read(parts.network, ema=parts.ema, inside="transformer")
    tensors = in_original_layout(weights)
    shape = shape_of(tensors, weights.table)
    check(tensors, shape, parts.network)
    _refuse(parts, known, shape, prompts)
    if parts.lora:
        tensors = merged(tensors, read(parts.lora).tensors, parts.alpha)
    reads = shape.context == "text"
    about = WanFolder(
        title=known.title,
        licence=known.licence,
        source=str(known.source),
        height=height or known.height,
        width=width or known.width,
        fps=known.fps,
        rollout=known.rollout,
        shape=shape,
        vae=config_of(read(parts.vae, inside="vae")),
        small="taehv.safetensors" if parts.small else "",
        prompts="prompts.safetensors" if store and reads else "",
        encoder=os.path.relpath(parts.encoder.resolve(), folder.resolve()) if parts.encoder and not store else "",
        known=tuple(cleaned(prompt) for prompt in prompts),
        pictures="pictures.safetensors" if shape.shown else "",
        eye="" if reads or store else "image_encoder",
        hands=known.hands,
        camera=known.camera,
    )
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _save({name: tensor.to(dtype) for name, tensor in tensors.items()}, partial / about.network)
        _save(load_vae(parts.vae, about.vae).state_dict(), partial / about.decoder)
        if parts.small:
            _save(load_taehv(parts.small).state_dict(), partial / about.small)
        _begin(parts, about, partial, store, dtype)
        about.write(partial)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return about


def _begin(parts: Parts, about: WanFolder, folder: Path, store: bool, dtype: torch.dtype) -> None:
    """Write what streams begin with: prompts, pictures, and what looks at them."""
    if about.prompts:
        assert parts.encoder
        encoder = EncodedPrompts(parts.encoder, about.shape.text_tokens)
        write_prompts(folder / about.prompts, {text: encoder.encode(text) for text in about.known})
    if not about.pictures:
        return
    pictures, seen = [picture(path, about.height, about.width) for path in parts.pictures], []
    if about.shape.context == "picture":
        assert parts.eye
        eye = folder / "image_encoder"
        if parts.eye.is_dir():
            shutil.copytree(parts.eye, eye)
        else:
            write_eye(parts.eye, read(parts.eye).tensors, eye, dtype)
        if store:
            look = Eye(eye)
            seen = [look(image) for image in pictures]
            shutil.rmtree(eye)
    write_sights(folder / about.pictures, pictures, seen)


def _refuse(parts: Parts, known: Family, shape: WanConfig, prompts: Sequence[str]) -> None:
    """Whether all that such a network wants is there.

    Raises:
        ValueError: it is not; says what is missing.
    """
    wanted = {
        "at least one prompt to begin with": shape.context == "text" and not prompts,
        "an encoder of prompts": shape.context == "text" and not parts.encoder,
        "CLIP's encoder of pictures": shape.context == "picture" and not parts.eye,
        "at least one picture to begin with": shape.shown and not parts.pictures,
    }
    missing = [what for what, is_missing in wanted.items() if is_missing]
    if missing:
        raise ValueError(f"{parts.network}: expected {' and '.join(missing)}, for this network needs it")
    for ear, network, family in (("a keyboard", shape.actions, known.hands), ("cameras", shape.cameras, known.camera)):
        if bool(network) != bool(family):
            hears = f"hears {ear}" if network else f"does not hear {ear}"
            raise ValueError(f"{parts.network}: this network {hears}, other than the family {known.title}")


def picture(path: Path, height: int, width: int) -> Image:
    """(height, width, 3) uint8: the middle of a picture in a file, as much of it as has that shape.

    Raises:
        ValueError: no such file, or no picture.
    """
    try:
        with Pillow.open(path) as file:
            return np.array(ImageOps.fit(file.convert("RGB"), (width, height)))
    except OSError as error:
        raise ValueError(f"{path}: expected a picture: {error}") from error


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise ValueError(f"expected a family, one of {', '.join(FAMILIES)}, got {name!r}")
    return FAMILIES[name]


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    path.chmod(0o644)  # safetensors writes files that only their owner may read
