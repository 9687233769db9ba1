"""Files of weights as others wrote them: .pt and .pth, .safetensors, in shards, in a folder of diffusers or of Wan.

Nothing is unpickled but tensors, and nothing is read before it is needed. Knows files; not what the tensors are for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

EMA = ("generator_ema", "model_ema", "ema")  # averaged weights, among several
PLAIN = ("generator", "generator_lora", "model", "state_dict", "module")  # the others
INDEXED = "*.safetensors.index.json"
INSIDE = ("", "transformer", "vae")  # of a folder, where weights may be


@dataclass(frozen=True)
class Weights:
    """Tensors of one file or folder, by the names that they have there."""

    path: Path
    tensors: Mapping[str, Tensor]
    picked: str = ""  # which of several sets these are; "" where the file holds one
    others: tuple[str, ...] = ()  # what else it holds
    table: Mapping[str, Any] = field(default_factory=dict)  # the config.json beside them; {} without one


def read(path: Path, *, ema: bool | None = None, inside: str = "") -> Weights:
    """The weights in a file or a folder.

    Args:
        path: what somebody published.
        ema: averaged weights, or not; None: averaged ones where there are any.
        inside: folder of a diffusers pipeline to look in first: "transformer" or "vae".

    Raises:
        ValueError: nothing there, damaged, not weights, or not with that choice of averages.
    """
    if not path.exists():
        raise ValueError(f"expected weights at {path}: nothing is there")
    if path.is_dir():
        return _from_folder(path, inside, ema)
    if path.suffix == ".safetensors":
        return _picked(path, _safetensors(path), ema, _table(path.parent))
    if path.suffix in (".pt", ".pth", ".bin", ".ckpt"):
        return _picked(path, _unpickled(path), ema, {})
    raise ValueError(f"{path}: expected .safetensors, .pt, .pth, .bin, .ckpt or a folder")


def _from_folder(path: Path, inside: str, ema: bool | None) -> Weights:
    for name in dict.fromkeys((inside, *INSIDE)):
        folder = path / name
        for index in sorted(folder.glob(INDEXED)):
            return _picked(folder, _shards(index), ema, _table(folder))
        files = sorted(folder.glob("*.safetensors"))
        if len(files) == 1:
            return _picked(folder, _safetensors(files[0]), ema, _table(folder))
        if files:
            raise ValueError(f"{folder}: expected one .safetensors file or an index of shards, got {len(files)} files")
    raise ValueError(f"{path}: expected .safetensors files in it, or in its folders transformer or vae; found none")


def _shards(index: Path) -> dict[str, Tensor]:
    try:
        where: dict[str, str] = json.loads(index.read_text())["weight_map"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{index}: expected an index of shards with a weight_map: {error}") from error
    tensors: dict[str, Tensor] = {}
    for shard in sorted(set(where.values())):
        if Path(shard).name != shard:
            raise ValueError(f"{index}: expected names of files beside it, got {shard!r}")
        if not (index.parent / shard).exists():
            raise ValueError(f"{index}: the shard {shard} is missing; download it again")
        tensors |= _safetensors(index.parent / shard)
    if tensors.keys() != where.keys():
        raise ValueError(f"{index}: names {len(where)} tensors, its shards hold {len(tensors)}; download them again")
    return tensors


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a whole .safetensors file ({error}); download it again") from error


def _unpickled(path: Path) -> Any:
    """What torch saved, tensors alone: other objects are refused, whatever they are."""
    try:
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:  # the format of before torch 1.6 cannot be mapped
            if "mmap" not in str(error):
                raise
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile file makes the unpickler do
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: not a whole file of tensors and nothing else ({reason[:200]})") from error


def _picked(path: Path, found: Any, ema: bool | None, table: Mapping[str, Any]) -> Weights:
    """One set of tensors out of what a file holds."""
    sets = _sets(found)
    if not sets:
        raise ValueError(f"{path}: expected tensors by name, or sets of them; got {_described(found)}")
    averaged, plain = [n for n in EMA if n in sets], [n for n in PLAIN if n in sets]
    order = [*averaged, *plain] if ema is None else averaged if ema else [*plain, *(n for n in sets if not n)]
    if not order and (ema or len(sets) > 1):
        raise ValueError(f"{path}: expected {'averaged' if ema else 'plain'} weights, got the sets {sorted(sets)}")
    name = (order or list(sets))[0]
    return Weights(path, sets[name], name, tuple(n for n in sets if n != name), table)


def _sets(found: Any) -> dict[str, dict[str, Tensor]]:
    """Sets of tensors by name; "" where they are all there is."""
    if not isinstance(found, dict):
        return {}
    if found and all(isinstance(value, Tensor) for value in found.values()):
        return {"": found}
    return {str(n): v for n, v in found.items() if isinstance(v, dict) and v and all(map(_is_tensor, v.values()))}


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def _described(found: Any) -> str:
    return f"a table of {sorted(map(str, found))[:8]}" if isinstance(found, dict) else type(found).__name__


def _table(folder: Path) -> dict[str, Any]:
    try:
        table = json.loads((folder / "config.json").read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder / 'config.json'}: expected JSON: {error}") from error
    if not isinstance(table, dict):
        raise ValueError(f"{folder / 'config.json'}: expected a table, got {type(table).__name__}")
    return table
