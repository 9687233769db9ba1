"""Which servers help two peers to find each other: STUN and TURN addresses, and credentials that expire.

TURN credentials follow coturn's REST convention (draft-uberti-behave-turn-rest-00): the user name is the second at
which it expires and a name; the password is its HMAC-SHA1 under a secret that this server and the TURN server share.
Knows settings and the time that it is told; no peers.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from aiortc import RTCIceServer
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from ..server_messages import IceServer


class IceSettings(BaseModel):
    """Help for viewers behind address translation. One machine or one network needs none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stun: tuple[str, ...] = ()  # like "stun:stun.example.org:3478"
    turn: tuple[str, ...] = ()  # like "turn:turn.example.org:3478?transport=udp"
    turn_secret: SecretStr | None = None  # shared with the TURN server (coturn: use-auth-secret, static-auth-secret)
    turn_ttl: int = Field(default=3600, ge=60, le=86400)  # seconds that a viewer's credentials work
    relay_only: bool = False  # viewers send and receive through TURN alone
    for_server: bool = False  # this server uses them too: it is itself behind address translation

    @model_validator(mode="after")
    def _complete(self) -> IceSettings:
        if self.turn and self.turn_secret is None:
            raise ValueError("expected turn_secret beside turn: credentials are made from it")
        if self.relay_only and not self.turn:
            raise ValueError("expected turn addresses where relay_only is set")
        return self


def for_viewer(settings: IceSettings, name: str, now: float) -> tuple[IceServer, ...]:
    """What a viewer is told, with credentials of its own.

    Args:
        settings: of this server.
        name: of the viewer's session; appears in the TURN server's log.
        now: seconds since 1970.
    """
    servers = [IceServer(urls=settings.stun)] if settings.stun else []
    if settings.turn and settings.turn_secret is not None:
        username = f"{int(now) + settings.turn_ttl}:{name}"
        credential = password(settings.turn_secret.get_secret_value(), username)
        servers.append(IceServer(urls=settings.turn, username=username, credential=credential))
    return tuple(servers)


def for_server(settings: IceSettings, now: float) -> list[RTCIceServer]:
    """What this server's own peers use."""
    if not settings.for_server:
        return []
    return [
        RTCIceServer(urls=list(server.urls), username=server.username, credential=server.credential)
        for server in for_viewer(settings, "server", now)
    ]


def password(secret: str, username: str) -> str:
    """The password that the TURN server will compute from the same secret."""
    return base64.b64encode(hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()).decode()
