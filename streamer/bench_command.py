"""`worldloom bench`: what each measures is in a module of its own. Knows how to ask and to print."""

from __future__ import annotations

from typing import Annotated

import typer

from .printing import refuse, show

bench = typer.Typer(no_args_is_help=True, help="Measure speed and latency on this machine.")

AsJson = Annotated[bool, typer.Option("--json", help="print JSON and nothing else")]


@bench.command()
def engine(
    world: Annotated[str, typer.Option(help="which world; NAME@N: in N denoising steps")],
    seconds: Annotated[float, typer.Option(min=1.0, help="of measurement, after a warm-up")] = 20.0,
    sessions: Annotated[str, typer.Option(help="at once; 0: as many as fit; 1,2,4: what batches of these gain")] = "1",
    as_json: AsJson = False,
) -> None:
    """How fast a world steps, paced by its own clock; or, for several numbers of sessions, as fast as it goes."""
    from .bench_engine import bench_engine
    from .bench_sessions import bench_sessions
    from .errors import WorldloomError

    try:
        counts = [int(count) for count in sessions.split(",")]
        if len(counts) > 1:
            show(bench_sessions(world, counts, seconds), as_json)
        else:
            show(bench_engine(world, seconds, sessions=counts[0]), as_json)
    except (ValueError, WorldloomError) as error:
        raise refuse(str(error)) from error


@bench.command()
def stream(
    world: Annotated[str, typer.Option(help="which world")],
    seconds: Annotated[float, typer.Option(min=1.0, help="of measurement, after a warm-up")] = 30.0,
    transport: Annotated[str, typer.Option(help="auto, webrtc or websocket")] = "auto",
    as_json: AsJson = False,
) -> None:
    """From a key press to the screen, in a real Chromium on this machine."""
    from .bench_stream import BenchFailed, bench_stream

    try:
        show(bench_stream(world, seconds, transport=transport), as_json)
    except BenchFailed as error:
        raise refuse(str(error)) from error


@bench.command()
def memory(
    world: Annotated[str, typer.Option(help="which world")],
    streams: Annotated[int, typer.Option(min=1, help="to take the mean of")] = 8,
    as_json: AsJson = False,
) -> None:
    """What a stream holds: as it is, in eight bits, parked; and what that does to its pictures."""
    from .bench_memory import bench_memory

    try:
        show(bench_memory(world, streams), as_json)
    except ValueError as error:
        raise refuse(str(error)) from error


@bench.command(name="env")
def environment(
    world: Annotated[str, typer.Option(help="which world")],
    batch: Annotated[str, typer.Option(help="streams at once, separated by commas")] = "1,8,32",
    seconds: Annotated[float, typer.Option(min=1.0, help="of measurement for each, after a warm-up")] = 10.0,
    simulator: Annotated[bool, typer.Option(help="measure the engine that it learned from too")] = True,
    as_json: AsJson = False,
) -> None:
    """How fast a world steps in a Python loop, beside the engine that it learned from."""
    from .bench_env import bench_env

    try:
        sizes = [int(size) for size in batch.split(",")]
        show(bench_env(world, sizes, seconds, simulator=simulator), as_json)
    except ImportError as error:
        raise refuse(f"{error}: install worldloom[train], or ask for --no-simulator") from error
    except ValueError as error:
        raise refuse(str(error)) from error


@bench.command()
def watermark(
    world: Annotated[str, typer.Option(help="which world")],
    seconds: Annotated[float, typer.Option(min=4.0, help="of a dream that is marked")] = 20.0,
    as_json: AsJson = False,
) -> None:
    """What marking costs, and what is left of the mark behind the encoders at some bit rates."""
    from .bench_watermark import bench_watermark

    try:
        show(bench_watermark(world, seconds), as_json)
    except ValueError as error:
        raise refuse(str(error)) from error
