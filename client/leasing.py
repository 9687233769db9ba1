"""A place asked for before anybody connects, at a server or at a gateway in front of many; and where a session is now.

Knows those two requests; no WebSocket.
"""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from worldloom.streamer.client_messages import Hello
from worldloom.streamer.errors import WorldloomError
from worldloom.streamer.lease_messages import Lease, Wanted, Whereabouts
from worldloom.streamer.server_messages import Error

from .failures import raised
from .web import ask

PATH = "/v1/sessions"
LEASE_S = 15.0  # seconds that a session may take to begin
FIND_S = 2.5  # seconds that a gateway may take to say where one is


def leases(url: str) -> bool:
    """Whether an address asks for a place, like "http://127.0.0.1:8000/v1/sessions"."""
    return urlsplit(url).path.rstrip("/") == PATH


async def lease(url: str, hello: Hello) -> Lease:
    """A place for what this `hello` would ask for.

    Raises:
        WorldloomError: the refusal, for example `Busy` with `retry_after`.
        OSError: there is no server.
    """
    wanted = Wanted.model_validate(hello.model_dump(include=set(Wanted.model_fields)))
    headers, data = {"Content-Type": "application/json"}, wanted.model_dump_json(exclude_none=True).encode()
    status, told = await ask("POST", url, PATH, bearer=hello.token, headers=headers, data=data, patience_s=LEASE_S)
    if status != 201:
        raise _refusal(status, told)
    return Lease.model_validate_json(json.dumps(told))


async def find(url: str, session: str, token: str) -> str:
    """The address of the server that holds a session now.

    Raises:
        WorldloomError: it has ended, or is between two servers (`retryable`).
        OSError: there is no gateway.
    """
    status, told = await ask("GET", url, f"{PATH}/{session}", bearer=token, patience_s=FIND_S)
    if status != 200:
        raise _refusal(status, told)
    return Whereabouts.model_validate_json(json.dumps(told)).worker_url


def _refusal(status: int, told: dict[str, object]) -> WorldloomError:
    code, message = str(told.get("code", "internal_error")), str(told.get("message", ""))[:1024]
    return raised(Error(code=code, message=message, retryable=status == 503))
