"""Host, Origin and rate."""

from __future__ import annotations

import pytest

from worldloom.streamer.auth import TokenBucket, host_allowed, origin_allowed

HOSTS = ("localhost",)


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]", "[::1]:8000", "10.1.2.3:80"])
def test_our_names(host: str) -> None:
    assert host_allowed(host, HOSTS)


@pytest.mark.parametrize("host", [None, "", "evil.example", "localhost.evil.example:80", "127.0.0.1.evil", "[::2:1"])
def test_other_names(host: str | None) -> None:
    assert not host_allowed(host, HOSTS)
    assert host_allowed(host, ("*",))


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://localhost:8000", True),
        ("https://friend.example", True),
        ("http://localhost:8001", False),
        ("http://evil.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_origins(origin: str | None, allowed: bool) -> None:
    assert origin_allowed(origin, "localhost:8000", ("https://friend.example",)) is allowed


def test_bucket_allows_a_burst_then_a_rate() -> None:
    bucket = TokenBucket(10.0, 5, now=100.0)
    assert [bucket.take(100.0) for _ in range(6)] == 5 * [True] + [False]
    assert bucket.take(100.11)
    assert not bucket.take(100.11)
    assert [bucket.take(1000.0) for _ in range(6)] == 5 * [True] + [False]
