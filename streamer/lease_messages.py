"""A place in a world, asked for by HTTP before anybody connects: what is wished for, what is promised, where it is.

Knows fields; no HTTP. The same on one server and at a gateway in front of many.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .fields import Count, Line, Message, Mode, Name, Seed, Text, Token
from .server_messages import IceServer


class Wanted(Message):
    """What `POST /v1/sessions` asks for."""

    world: Name | None = Field(default=None, description="a world's name; the server's first one when absent")
    seed: Seed | None = Field(default=None, description="the server draws one when absent")
    prompt: Text | None = Field(default=None, description="a text to start from, where the world takes one")
    mode: Mode = Field(default="realtime", description="paced by the clock, or one chunk for each `step`")
    deterministic: bool = Field(default=False, description="pictures do not depend, to the bit, on who else is served")


class Whereabouts(Message):
    """Where a session is."""

    session: Name
    worker_url: Line = Field(description="address of the server that holds it, like http://127.0.0.1:8000")


class Lease(Whereabouts):
    """A place that is held: whoever says `hello` there with the token as `resume` drives it."""

    token: Token
    ice_servers: Annotated[tuple[IceServer, ...], Field(max_length=16)] = Field(
        default=(), description="for WebRTC; credentials among them expire"
    )
    expires: Count = Field(description="seconds since 1970; if nobody has come by then, the place is given away")
