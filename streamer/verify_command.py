"""`worldloom verify FILE`: whether a movie or picture says that it is generated, and whether that holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .printing import refuse, show


def verify(
    file: Annotated[Path, typer.Argument(help="an MP4, WebM, PNG or JPEG file")],
    config: Annotated[Path | None, typer.Option(help="settings: whose signature is ours")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON and nothing else")] = False,
) -> None:
    """Look for a C2PA manifest and for the watermark. 1: nothing says that it is generated, or a manifest is wrong."""
    from .config import load
    from .verify import verify as look

    try:
        verdict = look(file, load(config).manifest)
    except (OSError, ValueError) as error:
        raise refuse(str(error)) from error
    show(verdict.table, as_json)
    if not verdict.generated:
        raise typer.Exit(1)
