"""Who may talk to the server, and how fast: the Host and Origin of a request, and a bucket of messages.

Knows headers and numbers; no socket, no session, and no clock of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit


def host_allowed(host: str | None, allowed: Collection[str]) -> bool:
    """Whether the Host header names us.

    A page of a stranger can point its own domain name at 127.0.0.1 and would then pass as the same origin; what it
    cannot do is send one of our names. A bare address needs no list: nobody can point that elsewhere.
    """
    if "*" in allowed:
        return True
    return host is not None and (_name(host) in allowed or _is_address(_name(host)))


def origin_allowed(origin: str | None, host: str | None, allowed: Collection[str]) -> bool:
    """Whether a WebSocket may be opened from that page.

    A browser always sends the Origin, and another site's page may not drive our worlds. Programs send none.
    """
    if origin is None or "*" in allowed or origin in allowed:
        return True
    return host is not None and urlsplit(origin).netloc == host


class TokenBucket:
    """At most `burst` at once and `rate` a second for long. Is told the time and never reads it."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate  # tokens a second
        self._burst = float(burst)  # tokens at most
        self._tokens = float(burst)
        self._at = now  # seconds, when `_tokens` was right

    def take(self, now: float) -> bool:
        """Whether one more is allowed at `now` (seconds, monotonic)."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


def _name(host: str) -> str:
    """The Host header without its port: "[::1]:8000" -> "[::1]"."""
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.rsplit(":", 1)[0] if ":" in host else host


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
