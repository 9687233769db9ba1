"""A gateway and its workers, put together: one set of settings and one secret for all of them.

Knows every part by name; does nothing itself.
"""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from ..config import ServerSettings
from ..listen import address, make_server, open_socket
from ..tokens import Tokens, tokens_for
from . import actors
from .app import create_gateway
from .config import FleetConfig
from .fleet import Fleet

FEWEST_ORPHANS = 64  # sessions without a driver that a worker keeps: as many as another one may have lost


def worker_settings(
    settings: ServerSettings, fleet: FleetConfig, tokens: Tokens, host: str, url: str
) -> ServerSettings:
    """Those of a worker: the gateway's, but for its own port, and snapshots as often as the fleet wants them."""
    changes: dict[str, Any] = {
        "host": host,
        "port": 0,
        "public_url": url,
        "auth": "on" if tokens.secret else "off",
        "secret": SecretStr(tokens.secret) if tokens.secret else None,
        "snapshot_every": fleet.snapshot_s,
        "orphan_timeout": max(settings.orphan_timeout, fleet.keep_s),
        "max_orphans": max(settings.max_orphans, FEWEST_ORPHANS),
        "orphan_bytes": max(settings.orphan_bytes, settings.snapshot_bytes),
    }
    return settings.model_copy(update=changes)


class Plan:
    """Everything of one gateway, put together."""

    def __init__(
        self,
        settings: ServerSettings,
        fleet: FleetConfig,
        worker_host: str,
        worker_url: str,
        ray_address: str | None,
        log_level: str,
    ) -> None:
        """Opens the port and starts Ray."""
        self.settings = settings
        secret = settings.secret.get_secret_value() if settings.secret else None
        self.tokens = tokens_for(settings.auth, settings.host, secret)
        self.door = open_socket(settings)
        actors.join(ray_address, fleet.cpus * fleet.workers)
        theirs = worker_settings(settings, fleet, self.tokens, worker_host, worker_url)
        names = [f"w{number}" for number in range(1, fleet.workers + 1)]
        self.fleet = Fleet([actors.RayWorker(name, theirs, fleet, log_level) for name in names], fleet)

    async def run(self) -> None:
        """Until a signal."""
        app = create_gateway(self.settings, self.tokens, self.fleet, actors.leave)
        server = make_server(app, self.settings)
        print(f"Worldloom's gateway is at {address(self.door)}", flush=True)
        await server.serve(sockets=[self.door])
