"""HTTP to servers under test, which speak it without TLS.

httpx reads every certificate of the machine for each client that is not told otherwise: 30 ms, in hundreds of tests.
"""

from __future__ import annotations

import ssl
from typing import Any

import httpx

NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def plain_http(url: str = "", **options: Any) -> httpx.AsyncClient:
    """A client that asks nobody else on the way; `options` are those of `httpx.AsyncClient`."""
    return httpx.AsyncClient(base_url=url, trust_env=False, verify=NO_CERTIFICATES, **options)
