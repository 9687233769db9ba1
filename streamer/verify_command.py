"""`worldloom verify FILE`: whether a movie or picture says that it is generated; and what the watermark is worth."""

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


def watermark(
    world: Annotated[str, typer.Option(help="which world")],
    seconds: Annotated[float, typer.Option(min=4.0, help="of a dream that is marked")] = 20.0,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON and nothing else")] = False,
) -> None:
    """What marking costs, and what is left of the mark behind the encoders at some bit rates."""
    from .bench_watermark import bench_watermark

    try:
        show(bench_watermark(world, seconds), as_json)
    except ValueError as error:
        raise refuse(str(error)) from error
