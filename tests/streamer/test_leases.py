"""Places that are promised by HTTP: held, used, given away; never twice, and never to a stranger."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from tests.plain_http import plain_http
from worldloom.streamer.phase import Phase
from worldloom.streamer.tokens import Claims, Tokens
from worldloom.streamer.wire import unpack_frame

from .conftest import Running, Serve

SECRET = "a secret that is only good for this test"


async def ask(server: Running, method: str, path: str, token: str = "", **more: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with plain_http(server.url) as http:
        return await http.request(method, path, headers=headers | more.pop("headers", {}), timeout=8.0, **more)


async def lease(server: Running, **wish: Any) -> dict[str, Any]:
    answer = await ask(server, "POST", "/v1/sessions", json=wish)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_whoever_brings_the_token_gets_exactly_that_place(serve: Serve) -> None:
    async with serve() as server:
        made = await lease(server, seed=7)
        assert made["worker_url"] == server.url
        assert time.time() < made["expires"] <= time.time() + 15
        await server.until(lambda: [room.phase for room in server.state.rooms] == [Phase.PAUSED])
        stood = [room.next_frame for room in server.state.rooms]
        await asyncio.sleep(0.2)
        assert [room.next_frame for room in server.state.rooms] == stood  # it computes nothing
        async with server.client() as client:
            welcome = await client.hello(video="websocket", format="raw", resume=made["token"])
            assert (welcome["session"], welcome["seed"], welcome["role"]) == (made["session"], 7, "drive")
            assert welcome["frame"] == stood[0] <= 1
            await client.picture()  # and now it goes on
            await client.send("key", seq=1, code="KeyW", down=True)
            receipt = await client.expect("receipt")  # nothing of what the server said to the session itself
            assert receipt["seq"] == 1
            where = await ask(server, "GET", f"/v1/sessions/{made['session']}", welcome["watch"])
            assert where.json() == {"session": made["session"], "worker_url": server.url}
            assert server.sessions() == 1
            await client.send("bye")
        await server.freed()


async def test_a_lockstep_place_begins_at_its_first_frame(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        made = await lease(server, mode="lockstep")
        await client.hello(video="websocket", format="raw", resume=made["token"])
        await client.send("step", seq=1)
        assert unpack_frame(await client.picture())[0].index == 0


async def test_a_place_that_nobody_comes_for_is_given_away(serve: Serve) -> None:
    async with serve(lease_timeout=0.1, max_sessions=1) as server:
        made = await lease(server)
        assert server.sessions() == 1
        await server.freed()
        async with server.client() as client:
            await client.send("hello", protocol=1, video="none", resume=made["token"])
            assert (await client.expect("error"))["code"] == "unknown_session"
        text = (await server.get("/metrics")).text
        assert 'worldloom_leases_total{fate="made"} 1.0' in text
        assert 'worldloom_leases_total{fate="expired"} 1.0' in text
        await lease(server)


async def test_no_place_is_owned_twice_however_many_ask_at_once(serve: Serve) -> None:
    async with serve(max_sessions=3) as server:
        answers = await asyncio.gather(*(ask(server, "POST", "/v1/sessions") for _ in range(12)))
        made = [answer.json() for answer in answers if answer.status_code == 201]
        full = [answer for answer in answers if answer.status_code != 201]
        assert len({one["session"] for one in made}) == len({one["token"] for one in made}) == 3
        assert {(answer.status_code, answer.json()["code"]) for answer in full} == {(503, "busy")}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in full)
        async with server.client() as stranger, server.client() as first, server.client() as second:
            await stranger.send("hello", protocol=1, video="none")
            assert (await stranger.expect("error"))["code"] == "busy"
            await first.hello(resume=made[0]["token"])
            await second.hello(resume=made[0]["token"])
            assert (await first.closed())[1] == "taken_over"  # one driver, whoever came last
            assert server.sessions() == 3


async def test_the_end_of_a_session_frees_its_place(serve: Serve) -> None:
    async with serve(max_sessions=1) as server:
        made = await lease(server)
        assert (await ask(server, "DELETE", f"/v1/sessions/{made['session']}", "no such token")).status_code == 404
        assert (await ask(server, "DELETE", "/v1/sessions/other", made["token"])).status_code == 404
        assert (await ask(server, "DELETE", f"/v1/sessions/{made['session']}", made["token"])).status_code == 204
        await server.freed()
        assert (await ask(server, "GET", f"/v1/sessions/{made['session']}", made["token"])).status_code == 404
        await lease(server)


async def test_one_address_holds_a_bounded_number_of_unused_places(serve: Serve) -> None:
    async with serve(max_per_address=2) as server, server.client() as client:
        first = await lease(server)
        await lease(server)
        assert (await ask(server, "POST", "/v1/sessions")).status_code == 503
        await client.hello(resume=first["token"])  # used: it does not count any more
        await lease(server)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"json": {"world": "nowhere"}}, 404),
        ({"json": {"prompt": "a forest"}}, 422),  # the toy world takes none
        ({"json": {"speed": 2}}, 422),
        ({"json": [1]}, 422),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 422),
        ({"content": b"{}", "headers": {"content-type": "text/plain"}}, 415),  # what a stranger's page may send unasked
        ({"content": b" " * 20_000, "headers": {"content-type": "application/json"}}, 413),
        ({"headers": {"origin": "https://elsewhere.example"}}, 403),
    ],
)
async def test_wrong_wishes_hold_nothing(serve: Serve, sent: dict[str, Any], status: int) -> None:
    async with serve() as server:
        assert (await ask(server, "POST", "/v1/sessions", **sent)).status_code == status
        await server.freed()


async def test_strangers_need_a_drivers_token(serve: Serve) -> None:
    def signed(role: Any, **more: Any) -> str:
        return Tokens(SECRET).sign(Claims(role=role, exp=int(time.time()) + 60, **more))

    async with serve(auth="on", secret=SECRET) as server:
        for token in ("", "forged", signed("watch"), signed("drive", world="other")):
            answer = await ask(server, "POST", "/v1/sessions", token)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        made = await ask(server, "POST", "/v1/sessions", signed("drive"), json={"world": "toy"})
        async with server.client() as client:  # the lease is proof enough
            assert (await client.hello(resume=made.json()["token"]))["session"] == made.json()["session"]


async def test_a_leased_session_goes_on_after_its_engine_died(serve: Serve) -> None:
    async with serve(engine="thread", snapshot_every=0.05) as server, server.client() as client:
        made = await lease(server)
        (room,) = server.state.rooms
        await server.until(lambda: room.kept is not None and room.kept.paused)
        await client.hello(resume=made["token"])
        assert room.kept is not None
        assert not room.kept.paused  # what it would go on from moves


async def test_nobody_is_promised_a_place_while_the_server_stops(serve: Serve) -> None:
    async with serve() as server:
        server.state.rooms.draining.set()
        answer = await ask(server, "POST", "/v1/sessions")
        assert (answer.status_code, answer.json()["code"]) == (503, "draining")
