"""`worldloom gateway`: workers as Ray actors on this machine or a cluster, and the gateway in front of them.

Knows how to ask; what is asked for is put together in together.py.
"""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ..printing import refuse


def gateway(
    world: Annotated[str | None, typer.Option(help="the world of all workers; the first that ships by default")] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes with a server each")] = 2,
    cpus: Annotated[float, typer.Option(min=0.0, help="cores of each worker")] = 1.0,
    gpus: Annotated[float, typer.Option(min=0.0, help="devices of each worker")] = 0.0,
    policy: Annotated[str, typer.Option(help="where a session goes: spread, pack or random")] = "spread",
    ray_address: Annotated[str | None, typer.Option(help="of a Ray cluster; absent: one on this machine")] = None,
    worker_host: Annotated[str | None, typer.Option(help="address that workers listen on; the gateway's")] = None,
    worker_url: Annotated[
        str, typer.Option(help="where clients find a worker; {host} and {port} are put in")
    ] = "http://{host}:{port}",
    host: Annotated[str | None, typer.Option(help="address to listen on; 127.0.0.1 by default")] = None,
    port: Annotated[int | None, typer.Option(help="0: any free one; 8000 by default")] = None,
    max_sessions: Annotated[int | None, typer.Option(help="at most on each worker; 0: as many as fit")] = None,
    config: Annotated[Path | None, typer.Option(help="settings of all servers, a TOML file")] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error")] = "info",
) -> None:
    """Serve a world from many processes or machines: clients ask here for a place, then talk to a worker."""
    import asyncio
    from typing import get_args

    from ..config import load
    from ..logs import set_up
    from .config import FleetConfig
    from .placement import Policy

    try:
        from .together import Plan
    except ImportError as error:
        raise refuse(f"{error}: install worldloom[ray]") from error
    set_up("text", log_level)
    if policy not in get_args(Policy):
        raise refuse(f"expected a policy of {', '.join(get_args(Policy))}; got {policy!r}")
    try:
        chosen = (world,) if world else None
        settings = load(config, worlds=chosen, host=host, port=port, max_sessions=max_sessions)
        fleet = FleetConfig(workers=workers, cpus=cpus, gpus=gpus, policy=policy)  # type: ignore[arg-type]
        plan = Plan(settings, fleet, worker_host or settings.host, worker_url, ray_address, log_level)
    except (ValueError, OSError) as error:
        raise refuse(str(error)) from error
    for number in (signal.SIGINT, signal.SIGTERM):  # as `worldloom serve` does, and for its reasons
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt), plan.door:
        asyncio.run(plan.run())
