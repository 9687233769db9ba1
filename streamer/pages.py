"""The demo page and the browser client, as files that may be served: a short list of folders and file types.

Knows paths; no worlds, no sockets. The folders lie beside this package, in a checkout and in an installation alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

_ROOT = Path(__file__).parent.parent
FOLDERS: Mapping[str, Path] = {"": _ROOT / "demo", "js": _ROOT / "client" / "js", "client": _ROOT / "client" / "js"}
TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}

router = APIRouter(default_response_class=FileResponse)
NO_SUCH: dict[int | str, dict[str, Any]] = {404: {"description": "Nothing that may be served."}}


def find(folder: str, name: str) -> Path | None:
    """The file behind an address, None where there is none that may be served."""
    base = FOLDERS.get(folder)
    if base is None or name != Path(name).name or Path(name).suffix not in TYPES:
        return None
    path = base / name
    return path if path.is_file() else None


def _page(folder: str, name: str) -> FileResponse:
    path = find(folder, name)
    if path is None:
        raise HTTPException(404, "no such page")
    return FileResponse(path, media_type=TYPES[path.suffix])


@router.get("/")
def index() -> FileResponse:
    """The demo page."""
    return _page("", "index.html")


@router.get("/preflight")
def preflight() -> FileResponse:
    """The page that says what this browser and this server can do together."""
    return _page("", "preflight.html")


@router.get("/{name}", responses=NO_SUCH)
def demo_file(name: str) -> FileResponse:
    """A file of the demo page."""
    return _page("", name)


@router.get("/{folder}/{name}", responses=NO_SUCH)
def client_file(folder: str, name: str) -> FileResponse:
    """A file of the browser client."""
    return _page(folder, name)
