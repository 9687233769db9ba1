"""Names of the autoencoder's weights: diffusers' -> those of the public file. Knows names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .vae import VaeConfig

INSIDE = {"norm1": "residual.0", "conv1": "residual.2", "norm2": "residual.3", "conv2": "residual.6"}
INSIDE |= {"conv_shortcut": "shortcut"}


def is_diffusers(names: Iterable[str]) -> bool:
    """Whether these are names of the diffusers layout."""
    return any(name.startswith(("quant_conv.", "post_quant_conv.")) for name in names)


def public_name(name: str, config: VaeConfig) -> str:
    """A name of the diffusers layout -> the same tensor's in the public file; an unknown one as it is."""
    for theirs, ours in (("post_quant_conv.", "conv2."), ("quant_conv.", "conv1.")):
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    name = re.sub(r"^(\w+coder)\.conv_in\.", r"\1.conv1.", name)
    name = re.sub(r"^(\w+coder)\.norm_out\.", r"\1.head.0.", name)
    name = re.sub(r"^(\w+coder)\.conv_out\.", r"\1.head.2.", name)
    name = re.sub(r"\.mid_block\.attentions\.0\.", ".middle.1.", name)
    if match := re.fullmatch(r"(\w+coder)\.mid_block\.resnets\.([01])\.(\w+)\.(\w+)", name):
        side, which, part, what = match.groups()
        return f"{side}.middle.{2 * int(which)}.{INSIDE[part]}.{what}"
    if config.residual:
        return _residual(name, config)
    if match := re.fullmatch(r"encoder\.down_blocks\.(\d+)\.(.+)", name):
        return f"encoder.downsamples.{match[1]}.{_inside(match[2])}"
    level = config.blocks + 2  # residual blocks of a resolution and what grows it
    if match := re.fullmatch(r"decoder\.up_blocks\.(\d+)\.resnets\.(\d+)\.(.+)", name):
        return f"decoder.upsamples.{int(match[1]) * level + int(match[2])}.{_inside(match[3])}"
    if match := re.fullmatch(r"decoder\.up_blocks\.(\d+)\.upsamplers\.0\.(.+)", name):
        return f"decoder.upsamples.{int(match[1]) * level + level - 1}.{match[2]}"
    return name


def _residual(name: str, config: VaeConfig) -> str:
    """A name inside the levels of an autoencoder like Wan 2.2's."""
    sides = (("encoder", "down", "downsample", config.blocks), ("decoder", "up", "upsample", config.blocks + 1))
    for side, levels, ours, last in sides:
        stem = rf"{side}\.{levels}_blocks\.(\d+)\."
        if match := re.fullmatch(stem + r"resnets\.(\d+)\.(.+)", name):
            return f"{side}.{ours}s.{match[1]}.{ours}s.{match[2]}.{_inside(match[3])}"
        if match := re.fullmatch(stem + rf"{ours}r\.(.+)", name):
            return f"{side}.{ours}s.{match[1]}.{ours}s.{last}.{match[2]}"
    return name


def _inside(name: str) -> str:
    part, dot, what = name.partition(".")
    return INSIDE.get(part, part) + dot + what
