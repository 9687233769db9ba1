"""`worldloom replay FILE`: frames of a bundle once more, compared or rendered. Knows how to ask and to print."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .printing import refuse, show


def replay(
    file: Annotated[Path, typer.Argument(help="a .wloom bundle")],
    out: Annotated[Path | None, typer.Option("--render", help="write a movie instead of comparing")] = None,
    steps: Annotated[int, typer.Option(min=0, max=64, help="with --render: denoising steps; 0: as live")] = 0,
    world: Annotated[str | None, typer.Option(help="name, file or module:Class; the bundle's by default")] = None,
    config: Annotated[Path | None, typer.Option(help="settings: how a movie says that it is generated")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON and nothing else")] = False,
) -> None:
    """Make the frames of a replay bundle again: compare them with what was shown (1: they differ), or render them."""
    from worldloom.models.finer import in_steps

    from .bundle import BadBundle, read
    from .config import load
    from .rendering import rendered
    from .replay import compared, world_of

    try:
        settings = load(config)
        bundle = read(file)
        source = world or bundle.header.world
        model = world_of(bundle, world)
        with _progress(len(bundle), quiet=as_json) as bar:
            if out is not None:
                finer = in_steps(model, steps or None)
                report, unsigned = None, rendered(bundle, finer, out, bar, source=source, settings=settings)
            else:
                report, unsigned = compared(bundle, model, source, bar), ""
    except (BadBundle, OSError, ValueError) as error:
        raise refuse(str(error)) from error
    if report is None:
        told = {"movie": str(out), "frames": len(bundle), "steps": steps or None}
        show({**told, "watermark": settings.watermark, "manifest": unsigned or "signed"}, as_json)
        return
    show(report.table, as_json)
    if report.equal < report.frames:
        raise typer.Exit(1)


@contextmanager
def _progress(frames: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        task = progress.add_task("frames", total=frames)
        yield lambda made: progress.update(task, completed=made)
