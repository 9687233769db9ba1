"""The layering of docs/design.md, read from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Lower layers know nothing of higher ones. A module imports modules of lower layers, or of its own where listed.
STREAMER_LAYERS: dict[str, int] = {
    "errors": 1,
    "fields": 1,
    "client_messages": 1,
    "server_messages": 1,
    "lease_messages": 1,
    "protocol": 1,
    "wire": 1,
    "config": 5,
    "world_info": 1,
    "worlds": 1,
    "beginning": 2,
    "phase": 2,
    "past": 2,
    "travel": 4,
    "codec": 1,
    "batch_messages": 1,
    "controls": 2,
    "clock": 2,
    "frames": 2,
    "frame_ring": 2,
    "freed_memory": 2,
    "jpeg": 2,
    "signing": 2,
    "watermark": 2,
    "watermark_reader": 2,
    "logs": 2,
    "inbox": 2,
    "origin": 2,
    "receipts": 2,
    "validation": 2,
    "sink": 2,
    "engine_config": 2,
    "post": 2,
    "since": 2,
    "wishes": 3,
    "session": 3,
    "parking": 4,
    "reading": 4,
    "telling": 4,
    "states": 4,
    "hardware": 1,
    "capacity": 4,
    "engine_stats": 4,
    "overload": 4,
    "probe": 4,
    "pace": 4,
    "due": 4,
    "scheduler": 4,
    "home": 4,
    "engine": 4,
    "engine_child": 4,
    "engine_messages": 4,
    "remote_session": 4,
    "engine_process": 4,
    "transports": 4,
    "server": 5,
    "__main__": 6,
}
MODULES = [path for folder in ("models", "streamer", "client") for path in sorted((ROOT / folder).rglob("*.py"))]


@cache
def imports(path: Path) -> list[tuple[str, bool]]:
    """(absolute module name, whether it is imported at module level) of every import in a file."""
    return list(_imports(path))


def _imports(path: Path) -> Iterator[tuple[str, bool]]:
    package = ("worldloom", *path.relative_to(ROOT).parent.parts)
    tree = ast.parse(path.read_text())
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join((*base, *([node.module] if node.module else [])))
            yield stem, id(node) in top
            for alias in node.names:
                yield f"{stem}.{alias.name}", id(node) in top


def names(path: Path) -> set[str]:
    return {name for name, _ in imports(path)}


def of(folder: str) -> list[Path]:
    return [path for path in MODULES if path.relative_to(ROOT).parts[0] == folder]


STREAMERS = STREAMER_LAYERS.keys() | {path.stem for path in of("streamer")}


def breaches(folder: str, wrong: Callable[[Path, str, bool], bool]) -> list[str]:
    """What modules of a folder import and must not. `wrong` is asked of a file, a name and whether it is at the top."""
    found = [(path, name) for path in of(folder) for name, top in imports(path) if wrong(path, name, top)]
    return [f"{path.relative_to(ROOT)} imports {name}" for path, name in found]


def test_every_folder_is_read() -> None:
    assert all(len(of(folder)) > 5 for folder in ("models", "streamer", "client"))
    assert ("worldloom.streamer.controls", True) in imports(ROOT / "streamer" / "session.py")


def test_models_import_nothing_of_ours() -> None:
    assert not breaches("models", lambda path, name, top: name.startswith(("worldloom.streamer", "worldloom.client")))


def test_clients_see_the_protocol_and_one_documented_entry() -> None:
    allowed = (
        "worldloom.client",
        "worldloom.streamer.protocol",
        "worldloom.streamer.client_messages",
        "worldloom.streamer.server_messages",
        "worldloom.streamer.lease_messages",
        "worldloom.streamer.fields",
        "worldloom.streamer.world_info",
        "worldloom.streamer.worlds",
        "worldloom.streamer.codec",
        "worldloom.streamer.errors",
        "worldloom.streamer.wire",
    )
    lazy = ("worldloom.streamer.embed", "worldloom.models.spec", "worldloom.models.catalog")

    def wrong(path: Path, name: str, top: bool) -> bool:
        ours = name.startswith("worldloom.") and name not in ("worldloom.streamer", "worldloom.models")
        return ours and not name.startswith(allowed if top else allowed + lazy)

    assert not breaches("client", wrong)


def test_the_streamer_never_imports_clients() -> None:
    assert not breaches("streamer", lambda path, name, top: name.startswith("worldloom.client.") and "js" not in name)


def test_transports_know_frames_and_messages_only() -> None:
    forbidden = {"session", "engine", "engine_child", "engine_process", "remote_session", "scheduler", "server"}
    forbidden |= {"config", "connection"}

    def wrong(path: Path, name: str, top: bool) -> bool:
        of_streamer = name.startswith("worldloom.streamer.") and name.split(".")[2] in forbidden
        return "transports" in path.parts and (name.startswith("worldloom.models") or of_streamer)

    assert not breaches("streamer", wrong)


def test_a_layer_imports_only_layers_below() -> None:
    def wrong(path: Path, name: str, top: bool) -> bool:
        mine = path.relative_to(ROOT / "streamer").parts[0].removesuffix(".py")
        other = name.split(".")[2] if name.startswith("worldloom.streamer.") else mine
        # What is not listed belongs to the server's layer.
        return other in STREAMERS and STREAMER_LAYERS.get(other, 5) > STREAMER_LAYERS.get(mine, 5)

    assert not breaches("streamer", wrong)


def test_only_one_file_imports_flash_attn_one_triton_one_uvloop_and_one_ray() -> None:
    def importers(package: str) -> list[str]:
        return [p.name for p in MODULES if any(n.split(".")[0] == package for n in names(p))]

    assert importers("flash_attn") == ["attention.py"]
    assert importers("triton") == ["kernels.py"]
    assert importers("uvloop") == ["__main__.py"]
    assert importers("ray") == ["actors.py"]


def test_a_game_client_loads_no_torch() -> None:
    modules = "worldloom.client, worldloom.client.connection, worldloom.streamer.protocol"
    code = f"import {modules}, sys; print(sorted(m for m in ('torch', 'aiortc', 'fastapi', 'av') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert done.stdout.strip() == "[]"


def test_the_session_has_no_io() -> None:
    """No socket, thread, clock, event loop or torch below the engine."""
    messages = ("protocol", "client_messages", "server_messages", "fields", "errors")
    for stem in ("session", "receipts", "validation", "controls", "clock", *messages):
        found = {n.split(".")[0] for n in names(ROOT / "streamer" / f"{stem}.py")}
        assert not found & {"asyncio", "socket", "threading", "time", "torch", "aiortc", "fastapi"}, f"{stem}: {found}"
