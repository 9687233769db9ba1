"""Where pictures come from: versions, weights and machine, as recordings and bundles say it. Knows files only."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import metadata

from worldloom.models.catalog import weights_file

from .hardware import hardware, torch_facts

PACKAGES = ("worldloom", "torch", "numpy")  # that decide about the bytes of a picture


def version(package: str) -> str | None:
    """Of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, str | None]:
    """Of what decides about the bytes of a picture."""
    return {name: version(name) for name in PACKAGES}


def machine() -> str:
    """Processor and device, in one line."""
    return f"{hardware()}, {torch_facts().get('device', 'cpu')}"


@cache
def weights_of(source: str) -> dict[str, str] | None:
    """Name and hash of the weights of a world, where they are a file. Reads all of it, the first time."""
    path = weights_file(source)
    if path is None or not path.is_file():
        return None
    with open(path, "rb") as file:
        return {"file": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
