"""Names to worlds: shipped ones by name, a third party's by "module:Class".

Knows nothing about how a world works. `open_world("toy")` loads neither torch nor weights.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .spec import WorldModel

if TYPE_CHECKING:
    from .kv_format import KVFormat
    from .wan.fp8 import LinearFormat
    from .wan.fused import Kernels

DATA = Path(__file__).parent / "data"


def shipped_worlds() -> tuple[str, ...]:
    """Names of the trained worlds in this installation, best first."""
    order = {"arm": 0, "doom": 1}
    names = [path.stem for path in DATA.glob("*.json") if path.with_suffix(".safetensors").exists()]
    return tuple(sorted(names, key=lambda name: (order.get(name, len(order)), name)))


def weights_file(name: str) -> Path | None:
    """Where the weights of a world of this name are, or would be; None for a world that is not made of a file."""
    if name == "toy" or ":" in name:
        return None
    if _is_wan(Path(name)):
        return Path(name) / "network.safetensors"
    return Path(name) if name.endswith(".safetensors") else DATA / f"{name}.safetensors"


def open_world(
    name: str,
    *,
    kv: KVFormat = "native",
    linears: LinearFormat = "native",
    kernels: Kernels = "auto",
    graphs: int = 0,
    streams: int = 0,
    split: int = 1,
    **options: Any,
) -> WorldModel[Any]:
    """The world of that name, weights loaded.

    `name` is a shipped world ("arm"), "toy", a path to a `.safetensors` file with its `.json` beside it, a folder with
    a `wan.json`, or "package.module:Class" whose class is called with `options`. `kv` says how worlds that remember
    keys and values keep them, and `streams` for how many a GPU makes room beforehand; 0: the usual number. How
    open checkpoints multiply say `linears`, what does their norms `kernels`, for how many streams their steps are
    graphs `graphs` (see `wan/open.py`), and over how many devices of this machine they are spread `split`.

    Raises:
        ValueError: no such world; the message lists those there are. Or eight bits, or a split, for one that has none.
    """
    wan = _is_wan(Path(name))
    if split != 1 and not (split > 1 and wan):
        raise ValueError(f"expected split = 1 for the world {name!r}, got {split}: it is for open checkpoints")
    if wan:
        from .wan.leader import open_split
        from .wan.open import open_wan

        options |= {"kv": kv, "linears": linears, "kernels": kernels, "graphs": graphs}
        return open_split(Path(name), split, **options) if split > 1 else open_wan(Path(name), **options)
    if linears != "native":
        raise ValueError(f"expected linears=native for the world {name!r}, got {linears}: it is for open checkpoints")
    if name == "toy":
        from .toy import ToyWorld

        return ToyWorld(**options)
    if ":" in name:
        module, _, attribute = name.partition(":")
        world: WorldModel[Any] = getattr(import_module(module), attribute)(**options)
        return world
    path = weights_file(name)
    if path is None or not path.exists():
        known = ", ".join(("toy", *shipped_worlds()))
        raise ValueError(
            f"no world named {name!r}; known: {known}, a .safetensors path, a folder with a wan.json, or module:Class"
        )
    from .weights import load_world

    return load_world(path, kv=kv, streams=streams, **options)


def _is_wan(folder: Path) -> bool:
    """Whether it holds an open checkpoint that was converted (see wan/open.py)."""
    return (folder / "wan.json").is_file()
