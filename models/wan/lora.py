"""Low-rank changes of weights (LoRA, arXiv 2106.09685), as PEFT writes them, added to the weights that they change.

W + alpha / rank * B A. LongLive's have rank and alpha 256. Knows names and matrices; no files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from .keys import original_names

PART = re.compile(r"^(?:base_model\.model\.|transformer\.|diffusion_model\.)*(.+)\.lora_([AB])(?:\.\w+)?\.weight$")


def is_lora(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are changes of weights."""
    return any(".lora_A." in name for name in tensors)


def merged(
    tensors: Mapping[str, Tensor], changes: Mapping[str, Tensor], alpha: float | None = None
) -> dict[str, Tensor]:
    """Weights in the original layout with changes added, in float32 where they are.

    Args:
        tensors: all weights.
        changes: pairs of matrices, A (rank, in) and B (out, rank).
        alpha: how strong they were trained to be; None: as strong as their rank.

    Raises:
        ValueError: a matrix without its other half, of another shape, or for weights that are not there.
    """
    pairs = _pairs(changes)
    out = dict(tensors)
    for name, halves in pairs.items():
        target = f"{name}.weight"
        if halves.keys() != {"A", "B"}:
            raise ValueError(f"{name}: expected lora_A and lora_B, got only lora_{next(iter(halves))}")
        if target not in out:
            raise ValueError(f"expected a change of known weights, got one of {target}")
        a, b = halves["A"].float(), halves["B"].float()
        weight = out[target]
        if (b.shape[0], a.shape[1]) != tuple(weight.shape) or a.shape[0] != b.shape[1]:
            raise ValueError(
                f"{target}: expected a change of {tuple(weight.shape)}, got {tuple(b.shape)} x {tuple(a.shape)}"
            )
        scale = (alpha if alpha is not None else a.shape[0]) / a.shape[0]
        out[target] = torch.addmm(weight.float(), b, a, alpha=scale)
    return out


def _pairs(changes: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Names of changed layers, in the original layout -> their matrices."""
    found: list[tuple[str, str, Tensor]] = []
    for name, tensor in changes.items():
        match = PART.match(name)
        if not match:
            raise ValueError(f"expected names that end in lora_A.weight or lora_B.weight, got {name!r}")
        found.append((match[1] + ".", match[2], tensor))
    names = original_names({name for name, _, _ in found})
    pairs: dict[str, dict[str, Tensor]] = {}
    for name, half, tensor in found:
        pairs.setdefault(names[name].removesuffix("."), {})[half] = tensor
    return pairs
