"""Who is let in: roles, expiry, forgeries, and one session's token at another's door."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest

from worldloom.streamer.errors import Unauthorized
from worldloom.streamer.tokens import Access, Claims, Tokens, is_loopback, tokens_for

from .conftest import Running, Serve

SECRET = "a secret that is long enough for every algorithm, which means sixty-four bytes"
TOKENS = Tokens(SECRET)
LATER = int(time.time()) + 600


def signed(role: Access = "drive", **claims: Any) -> str:
    return TOKENS.sign(Claims(**{"role": role, "exp": LATER, **claims}))


@pytest.mark.parametrize(
    ("role", "may"), [("watch", {"watch"}), ("drive", {"watch", "drive"}), ("admin", {"watch", "drive", "admin"})]
)
def test_each_role_may_do_what_those_below_may(role: Access, may: set[Access]) -> None:
    for asked in ("watch", "drive", "admin"):
        if asked in may:
            assert TOKENS.read(signed(role), asked).role == role
        else:
            with pytest.raises(Unauthorized):
                TOKENS.read(signed(role), asked)


def unsigned() -> str:
    parts = ({"alg": "none", "typ": "JWT"}, {"role": "admin", "exp": LATER, "iss": "worldloom"})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        "nonsense",
        "a.b.c",
        unsigned(),
        signed() + "x",
        Tokens("another secret that is long enough, thirty-two").sign(Claims(role="admin", exp=LATER)),
        TOKENS.sign(Claims(role="admin", exp=int(time.time()) - 1)),
        jwt.encode({"role": "admin", "iss": "worldloom"}, SECRET, "HS256"),
        jwt.encode({"role": "admin", "exp": LATER}, SECRET, "HS256"),
        jwt.encode({"role": "admin", "exp": LATER, "iss": "somebody"}, SECRET, "HS256"),
        jwt.encode({"role": "king", "exp": LATER, "iss": "worldloom"}, SECRET, "HS256"),
        jwt.encode({"role": "admin", "exp": LATER, "iss": "worldloom"}, SECRET, "HS512"),
    ],
)
def test_what_is_not_ours_is_refused(token: str | None) -> None:
    with pytest.raises(Unauthorized):
        TOKENS.read(token, "watch")


def test_tokens_are_asked_for_where_strangers_can_come() -> None:
    assert tokens_for("auto", "127.0.0.1", SECRET).secret is None
    assert tokens_for("on", "127.0.0.1", SECRET).secret == SECRET
    assert tokens_for("auto", "0.0.0.0", SECRET).secret == SECRET
    assert tokens_for("off", "0.0.0.0", SECRET).secret is None
    assert tokens_for("auto", "0.0.0.0", None).secret not in (None, tokens_for("auto", "0.0.0.0", None).secret)
    assert [is_loopback(host) for host in ("localhost", "::1", "127.3.2.1", "::", "example.org")] == [True] * 3 + [
        False
    ] * 2
    with pytest.raises(ValueError, match="secret"):
        Tokens(None).sign(Claims(role="watch", exp=LATER))


async def refused(server: Running, **hello: Any) -> str:
    async with server.client() as client:
        await client.send("hello", protocol=1, video="none", **hello)
        code: str = (await client.expect("error"))["code"]
        assert (await client.closed())[1] == code
        return code


async def test_a_locked_server(serve: Serve) -> None:
    async with serve(auth="on", secret=SECRET) as server:
        assert await refused(server) == "unauthorized"
        assert await refused(server, token=signed("watch")) == "unauthorized"
        assert await refused(server, token=signed(world="other"), world="toy") == "unauthorized"
        async with server.client() as driver, server.client() as spectator, server.client() as again:
            welcome = await driver.hello(token=signed())
            seen = await spectator.hello(token=signed("watch", session=welcome["session"]))
            assert (seen["role"], seen["session"]) == ("watch", welcome["session"])
            await spectator.send("reset", seq=1)
            assert (await spectator.expect("error"))["code"] == "forbidden"
            assert await refused(server, token=signed("watch", session="another")) == "unknown_session"
            assert (await again.hello(resume=welcome["resume"]))["role"] == "drive", "its own token is proof enough"
        errors = (await server.get("/metrics", authorization=f"Bearer {signed('admin')}")).text
        assert 'worldloom_errors_total{code="unauthorized"} 3.0' in errors


async def test_administration_is_locked_too(serve: Serve) -> None:
    async with serve(auth="on", secret=SECRET) as server, server.client() as driver:
        welcome = await driver.hello(token=signed(), video="none")
        for path in ("/metrics", "/v1/sessions"):
            assert (await server.get(path)).status_code == 401
            assert (await server.get(path, authorization=f"Bearer {signed()}")).status_code == 401
            assert (await server.get(path, authorization=f"Bearer {signed('admin')}")).status_code == 200
        listed = (await server.get("/v1/sessions", authorization=f"Bearer {signed('admin')}")).json()["sessions"]
        assert [(one["session"], one["phase"], one["world"]) for one in listed] == [(welcome["session"], "live", "toy")]
        assert (await server.get("/healthz")).status_code == 200
        assert (await server.get("/v1/worlds")).status_code == 200


async def test_one_address_cannot_take_every_connection(serve: Serve) -> None:
    async with serve(max_per_address=2) as server:
        async with server.client() as one, server.client() as other:
            await one.hello()
            await other.hello()
            async with server.client() as third:
                assert (await third.expect("error"))["code"] == "busy"
        await server.freed()
        assert not server.state.addresses
