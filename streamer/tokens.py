"""Signed tokens: who may drive, watch or administer, and until when. JSON Web Tokens (RFC 7519), HMAC-SHA256.

A token names a role and the second at which it expires; one for a spectator may name the only session that it opens,
one for a driver the only world. Knows settings, claims and the time that it is told; no connection.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

import jwt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import Unauthorized

Access = Literal["drive", "watch", "admin"]
ROLES: tuple[Access, ...] = ("watch", "drive", "admin")  # each may do what those before it may
ALGORITHM = "HS256"
ISSUER = "worldloom"


class Claims(BaseModel):
    """What a token says."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    role: Access
    exp: int  # seconds since 1970
    session: str | None = Field(default=None, max_length=64)  # the only one that it opens
    world: str | None = Field(default=None, max_length=64)  # the only one that it opens

    def allows(self, role: Access) -> bool:
        """Whether the bearer may do what that role may."""
        return ROLES.index(role) <= ROLES.index(self.role)


def bearer(authorization: str) -> str | None:
    """The token of an Authorization header (RFC 6750)."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


EVERYTHING = Claims(role="admin", exp=2**53)  # where no tokens are asked for


@dataclass(frozen=True)
class Tokens:
    """Signs and reads. Without a secret nobody is asked for a token."""

    secret: str | None

    def sign(self, claims: Claims) -> str:
        """A token.

        Raises:
            ValueError: there is no secret to sign with.
        """
        if self.secret is None:
            raise ValueError("expected a secret to sign with; set WORLDLOOM_SECRET, or `secret` in the settings file")
        return jwt.encode(claims.model_dump(exclude_none=True) | {"iss": ISSUER}, self.secret, ALGORITHM)

    def read(self, token: str | None, role: Access) -> Claims:
        """What a token says.

        Raises:
            Unauthorized: none was given, it is forged or has expired, or its role is too low.
        """
        if self.secret is None:
            return EVERYTHING
        if not token:
            raise Unauthorized(f"expected a token that lets its bearer {role}; ask for `worldloom token --role {role}`")
        try:
            claims = Claims.model_validate(
                jwt.decode(token, self.secret, [ALGORITHM], issuer=ISSUER, options={"require": ["exp", "iss"]})
            )
        except jwt.ExpiredSignatureError:
            raise Unauthorized("expected a token that is still valid; this one has expired") from None
        except (jwt.InvalidTokenError, ValidationError):
            raise Unauthorized("expected a token of this server; this one is not") from None
        if not claims.allows(role):
            raise Unauthorized(f"expected a token that lets its bearer {role}; this one is for {claims.role}")
        return claims


def tokens_for(auth: Literal["auto", "on", "off"], host: str, secret: str | None) -> Tokens:
    """The tokens of a server: asked for when it serves strangers, unless its settings say otherwise.

    Where no secret is set a random one is drawn, so that tokens work until the server stops.
    """
    if auth == "off" or (auth == "auto" and is_loopback(host)):
        return Tokens(None)
    return Tokens(secret or secrets.token_urlsafe(32))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
