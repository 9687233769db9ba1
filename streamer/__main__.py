"""The `worldloom` command: serve, gateway, doctor, worlds, replay, verify, train... The only one that imports uvloop.

Each command imports what it needs when it runs, so that `worldloom --help` is quick. Knows how to ask and how to print.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from .bench_command import bench
from .capacity_command import capacity
from .checkpoint_commands import convert, inspect, pull
from .gateway.command import gateway
from .printing import diagnose, refuse, show
from .replay_command import replay
from .verify_command import verify

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
app.add_typer(bench, name="bench")
for command in (replay, pull, inspect, convert, gateway, capacity, verify):
    app.command()(command)

AsJson = Annotated[bool, typer.Option("--json", help="print JSON and nothing else")]


class LogStyle(StrEnum):
    """How the log is written."""

    TEXT = "text"
    JSON = "json"


class Role(StrEnum):
    """What the bearer of a token may do."""

    DRIVE = "drive"
    WATCH = "watch"
    ADMIN = "admin"


@app.callback()
def worldloom() -> None:
    """Worlds that a neural network dreams up while you walk through them."""


@app.command()
def serve(
    world: Annotated[list[str] | None, typer.Option(help="a world to serve; give it again for more")] = None,
    host: Annotated[str | None, typer.Option(help="address to listen on; 127.0.0.1 by default")] = None,
    port: Annotated[int | None, typer.Option(help="0: any free one; 8000 by default")] = None,
    max_sessions: Annotated[int | None, typer.Option(help="at most on each world; 0: as many as fit")] = None,
    split: Annotated[int | None, typer.Option(help="devices that an open checkpoint is spread over; 1")] = None,
    config: Annotated[Path | None, typer.Option(help="settings, a TOML file like configs/server.toml")] = None,
    log: Annotated[LogStyle, typer.Option("--log-format", "--log", help="style of the log")] = LogStyle.TEXT,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error")] = "info",
) -> None:
    """Serve worlds to browsers and programs. Ctrl-C and SIGTERM end it well: everybody is told first."""
    import signal

    from .config import load
    from .listen import open_socket
    from .logs import set_up

    set_up(log.value, log_level)
    try:
        worlds = tuple(world) if world else None
        settings = load(config, worlds=worlds, host=host, port=port, max_sessions=max_sessions, split=split)
        door = open_socket(settings)
    except (ValueError, OSError) as error:
        raise refuse(str(error)) from error
    # uvicorn ends well on both signals, then passes them on: as SIGTERM is by default, it would be taken for a crash.
    # And who is started in the background by a shell ignores SIGINT until uvicorn listens for it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt), door, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, door))


@app.command()
def token(
    role: Annotated[Role, typer.Option(help="what its bearer may do")] = Role.DRIVE,
    minutes: Annotated[float, typer.Option(help="until it expires", min=0.1)] = 60.0,
    session: Annotated[str | None, typer.Option(help="the only session that it opens, to watch")] = None,
    world: Annotated[str | None, typer.Option(help="the only world that it opens")] = None,
    config: Annotated[Path | None, typer.Option(help="settings, with the server's secret")] = None,
) -> None:
    """Sign a token for a server that asks for them. The secret comes from WORLDLOOM_SECRET or the settings."""
    import time

    from .config import load
    from .tokens import Claims, Tokens

    try:
        secret = load(config).secret
        expires = int(time.time() + 60.0 * minutes)
        claims = Claims(role=role.value, exp=expires, session=session, world=world)
        print(Tokens(secret.get_secret_value() if secret else None).sign(claims))
    except ValueError as error:
        raise refuse(str(error)) from error


@app.command()
def doctor(
    url: Annotated[str | None, typer.Argument(help="a server to visit, like http://127.0.0.1:8000")] = None,
    token: Annotated[str | None, typer.Option(help="for a server that asks for one")] = None,
    world: Annotated[str | None, typer.Option(help="of that server; its first one by default")] = None,
    config: Annotated[Path | None, typer.Option(help="settings, whose STUN and TURN servers are tried")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what works on this machine, and on a server; what does not, and what to do about it."""
    from .doctor import examine_basics, examine_machine, failure

    findings = examine_basics()
    try:
        from .config import load
        from .doctor_server import examine_ice, examine_server

        settings = load(config)
    except ValueError as error:
        raise refuse(str(error)) from error
    except ImportError as error:  # the findings so far say what is missing
        findings.append(failure("imports", error, "Install what is missing; see `packages`."))
    else:
        findings += [*examine_machine(settings), *asyncio.run(examine_ice(settings.webrtc.ice))]
        if url is not None:
            findings += asyncio.run(examine_server(url, token=token, world=world))
    diagnose(findings, as_json)


@app.command()
def worlds(as_json: AsJson = False) -> None:
    """List the worlds of this installation."""
    from worldloom.models.catalog import open_world, shipped_worlds

    from .world_info import WorldInfo

    infos = [WorldInfo.of(open_world(name).spec) for name in (*shipped_worlds(), "toy")]
    if as_json:
        print(json.dumps([info.model_dump(mode="json") for info in infos], indent=1))
        return
    table = Table("world", "picture", "frames/s", "what it is", "how to move")
    for info in infos:
        rate = f"{info.fps[0] / info.fps[1]:g}"
        table.add_row(info.name, f"{info.width}x{info.height}", rate, info.title, info.help)
    Console().print(table)


@app.command()
def train(
    name: Annotated[str, typer.Argument(help="a recipe in configs/train, or a path to a .toml file")],
    stage: Annotated[list[str] | None, typer.Option(help="only this stage; give it again for more")] = None,
    folder: Annotated[Path | None, typer.Option(help="where everything lands; runs/NAME by default")] = None,
    data: Annotated[Path | None, typer.Option(help="recordings of your own, instead of an engine's")] = None,
    start: Annotated[str | None, typer.Option(help="begin from this world's weights; its autoencoder stays")] = None,
    minutes: Annotated[float | None, typer.Option(help="of training in each stage, instead of the recipe's")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads")] = None,
) -> None:
    """Train a world: collect, autoencoder, dynamics, evaluate. Running it again resumes."""
    from worldloom.models.training import run

    try:
        chosen = stage or run.STAGES
        path = run.train(name, stages=chosen, folder=folder, data=data, start=start, minutes=minutes, threads=threads)
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        raise refuse(str(error)) from error
    print(path)


@app.command(name="eval")
def evaluate(
    name: Annotated[str, typer.Argument(help="a world that ships, or a recipe; NAME@N: in N denoising steps")],
    folder: Annotated[Path | None, typer.Option(help="of its recordings; runs/NAME by default")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="measure little, in a few minutes")] = False,
    part: Annotated[list[str] | None, typer.Option(help="only this part; give it again for more")] = None,
    report: Annotated[Path | None, typer.Option(help="a folder: write one page of tables, curves and clips")] = None,
    against: Annotated[str | None, typer.Option(help="compare blind with this world, file or NAME@STEPS")] = None,
    ab: Annotated[Path | None, typer.Option(help="the folder of that comparison's page")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads; fewer where something else runs too")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a world on episodes that its training has not seen; or show it blind beside another."""
    import torch

    from worldloom.models.training.evaluate import evaluate as measure

    if (against is None) != (ab is None):
        raise refuse("--against and --ab belong together: what to compare with, and where the page goes")
    torch.set_num_threads(threads or os.cpu_count() or 1)  # by default nothing else runs beside it
    try:
        if against is not None and ab is not None:
            from worldloom.models.training.versus import compare

            print(compare(name, against, ab, folder=folder))
            return
        metrics: dict[str, Any] = measure(name, folder=folder, quick=quick, parts=part, report=report)
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        raise refuse(str(error)) from error
    show(metrics, as_json)


def main() -> None:
    """Entry point of the `worldloom` script."""
    # Read when torch is loaded. Half of the cores compute; encoder, network and browser need the rest. On two cores one
    # thread is also faster as soon as anything else runs: OpenMP's threads meet at every operation (docs/design.md).
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) // 2)))
    app()


async def _serve(settings: Any, door: Any) -> None:
    from .listen import address, make_server
    from .server import create_app

    app = create_app(settings)
    server = make_server(app, settings, app.state.server.drain)
    tokens = app.state.server.tokens
    print(f"Worldloom is at {address(door)}{_pass(tokens)}", flush=True)
    await server.serve(sockets=[door])


def _pass(tokens: Any) -> str:
    """What to add to the address to be let in."""
    import time

    from .tokens import Claims

    if tokens.secret is None:
        return ""
    day = int(time.time()) + 24 * 3600
    return f"/?token={tokens.sign(Claims(role='drive', exp=day))}"


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:  # not on Windows
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
