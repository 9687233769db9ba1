"""Names of weights: the two public layouts, what wrappers put before them, and the form that `WanDiT` computes with.

"Original" is the layout that Wan's authors publish, and nearly all that was trained from it; "diffusers" the other one.
Knows names, and how queries and keys are laid out inside a head; no files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from .config import WanConfig

WRAPPERS = ("_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod.")  # anywhere in a name
PREFIXES = ("model.", "net.", "module.")  # before all names

TURNED = {"t_qkv": (3, 2), "mouse_attn_q": (1, 1), "keyboard_attn_kv": (2, 1)}
"""Matrices of action modules: how many stand in one, and how many of these make queries and keys."""

FROM_DIFFUSERS = (  # regular expression -> original name; tried in this order, the first that matches is it
    (r"condition_embedder\.text_embedder\.linear_1\.", "text_embedding.0."),
    (r"condition_embedder\.text_embedder\.linear_2\.", "text_embedding.2."),
    (r"condition_embedder\.time_embedder\.linear_1\.", "time_embedding.0."),
    (r"condition_embedder\.time_embedder\.linear_2\.", "time_embedding.2."),
    (r"condition_embedder\.time_proj\.", "time_projection.1."),
    (r"condition_embedder\.image_embedder\.norm1\.", "img_emb.proj.0."),
    (r"condition_embedder\.image_embedder\.ff\.net\.0\.proj\.", "img_emb.proj.1."),
    (r"condition_embedder\.image_embedder\.ff\.net\.2\.", "img_emb.proj.3."),
    (r"condition_embedder\.image_embedder\.norm2\.", "img_emb.proj.4."),
    (r"(blocks\.\d+)\.attn1\.to_([qkv])\.", r"\1.self_attn.\2."),
    (r"(blocks\.\d+)\.attn2\.to_([qkv])\.", r"\1.cross_attn.\2."),
    (r"(blocks\.\d+)\.attn1\.to_out\.0\.", r"\1.self_attn.o."),
    (r"(blocks\.\d+)\.attn2\.to_out\.0\.", r"\1.cross_attn.o."),
    (r"(blocks\.\d+)\.attn1\.", r"\1.self_attn."),
    (r"(blocks\.\d+)\.attn2\.", r"\1.cross_attn."),
    (r"(blocks\.\d+)\.norm2\.", r"\1.norm3."),  # the one with weights
    (r"(blocks\.\d+)\.ffn\.net\.0\.proj\.", r"\1.ffn.0."),
    (r"(blocks\.\d+)\.ffn\.net\.2\.", r"\1.ffn.2."),
    (r"(blocks\.\d+)\.scale_shift_table$", r"\1.modulation"),
    (r"scale_shift_table$", "head.modulation"),
    (r"proj_out\.", "head.head."),
)


def bare(names: Iterable[str]) -> dict[str, str]:
    """Names as somebody's wrappers left them -> the same without."""
    shorter = {}
    for name in names:
        short = name
        for wrapper in WRAPPERS:
            short = short.replace(wrapper, "")
        shorter[name] = short
    for prefix in PREFIXES:
        if shorter and all(short.startswith(prefix) for short in shorter.values()):
            shorter = {name: short.removeprefix(prefix) for name, short in shorter.items()}
    return shorter


def original_names(names: Iterable[str]) -> dict[str, str]:
    """Names of either public layout, wrapped or not -> names of the original layout; unknown ones as they are."""
    return {name: _original(short) for name, short in bare(names).items()}


def is_diffusers(names: Iterable[str]) -> bool:
    """Whether these are names of the diffusers layout."""
    return any("condition_embedder." in name or ".attn1." in name for name in names)


def fused(tensors: Mapping[str, Tensor], config: WanConfig, dtype: torch.dtype) -> dict[str, Tensor]:
    """Weights in the original layout -> those of a `WanDiT`, each in `dtype`.

    Queries and keys are laid out anew inside each head: rows 0, 2, 4, ... then 1, 3, 5, ..., so that the halves of a
    rotated pair stand half a head apart. Both are laid out alike, so their products stay what they were.
    """
    ready = {}
    for name, tensor in tensors.items():
        if match := re.fullmatch(r"(blocks\.\d+\.(self|cross)_attn)\.([qkv])\.(weight|bias)", name):
            stem, kind, which, what = match.groups()
            if kind == "cross" and which == "q":
                ready[name] = tensor.to(dtype)
            elif which == ("q" if kind == "self" else "k"):
                parts = [tensors[f"{stem}.{part}.{what}"].to(dtype) for part in ("qkv" if kind == "self" else "kv")]
                if kind == "self":
                    parts[:2] = [apart(part, config.heads) for part in parts[:2]]
                ready[f"{stem}.{'qkv' if kind == 'self' else 'kv'}.{what}"] = torch.cat(parts)
        elif config.actions and (match := re.fullmatch(r"blocks\.\d+\.action_model\.(\w+)\.weight", name)):
            ready[name] = _turned(match[1], tensor.to(dtype), config.actions.heads)
        elif re.fullmatch(r"blocks\.\d+\.self_attn\.norm_[qk]\.weight", name):
            ready[name] = apart(tensor.to(dtype), config.heads)
        else:
            ready[name] = tensor.to(dtype)
    return ready


def _turned(name: str, x: Tensor, heads: int) -> Tensor:
    """A matrix of an action module: queries and keys are laid out anew, all else stays."""
    parts = list(x.chunk(TURNED.get(name, (1, 0))[0]))
    for k in range(TURNED.get(name, (1, 0))[1]):
        parts[k] = apart(parts[k], heads)
    return torch.cat(parts)


def apart(x: Tensor, heads: int) -> Tensor:
    """(heads * d, ...) with the even numbers of each head first, then the odd ones."""
    return torch.unflatten(x, 0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)


def _original(name: str) -> str:
    for pattern, replacement in FROM_DIFFUSERS:
        found, times = re.subn("^" + pattern, replacement, name)
        if times:
            return found
    return name
