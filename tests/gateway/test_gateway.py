"""Two workers behind a gateway: places, what a session's requests find, full, drained, dead; everything but Ray."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from worldloom.client.connection import connect
from worldloom.streamer.errors import Busy, UnknownSession, WorldloomError
from worldloom.streamer.gateway.config import FleetConfig
from worldloom.streamer.tokens import Claims, Tokens

from .conftest import running

QUICK_TO_GIVE_UP = FleetConfig(ask_s=0.05, answer_s=1.0, fence_s=0.3, margin_s=0.1, keep_s=0.5)
SECRET = "a secret that is only good for this test"


async def test_places_are_spread_and_each_client_talks_to_its_worker() -> None:
    async with running() as gateway:
        async with connect(gateway.sessions, seed=5) as one, connect(gateway.sessions, mode="lockstep") as two:
            assert gateway.worker_of(one.session) is not gateway.worker_of(two.session)
            receipt = await one.press("KeyW")
            assert receipt.status == "applied"
            assert [picture.index for picture in await two.step()] == [0]
            answer = await gateway.ask("GET", "/v1/capacity")
            await gateway.until(lambda: [site.room.taken for site in gateway.fleet._sites.values()] == [1, 1])
            assert answer.json()["places"] == 4
        await gateway.until(lambda: len(gateway.fleet.registry) == len(gateway.fleet.vault) == 0)


async def test_a_request_for_a_session_is_sent_to_its_worker() -> None:
    async with running() as gateway:
        lease = (await gateway.ask("POST", "/v1/sessions")).json()
        session, token, url = lease["session"], lease["token"], lease["worker_url"]
        found = await gateway.ask("GET", f"/v1/sessions/{session}", token)
        assert found.json() == {"session": session, "worker_url": url}
        for method, path in (("POST", f"/whep/{session}"), ("DELETE", f"/whep/{session}/x"), ("GET", "/v1/walk?a=1")):
            answer = await gateway.ask(method, path, token)
            assert (answer.status_code, answer.headers["location"]) == (307, url + path)
        for path, bearer in ((f"/v1/sessions/{session}", "another"), ("/v1/sessions/other", token)):
            assert (await gateway.ask("GET", path, bearer)).status_code == 404
            assert (await gateway.ask("DELETE", path, bearer)).status_code == 404
        assert (await gateway.ask("POST", "/whep/other")).status_code == 404
        worker = gateway.worker_of(session).serving
        assert worker is not None
        assert (await gateway.ask("DELETE", f"/v1/sessions/{session}", token)).status_code == 204
        assert not list(worker.state.rooms)


async def test_full_is_said_with_a_time_and_no_place_is_given_twice() -> None:
    async with running() as gateway:
        answers = await asyncio.gather(*(gateway.ask("POST", "/v1/sessions") for _ in range(9)))
        made = [answer.json() for answer in answers if answer.status_code == 201]
        full = [answer for answer in answers if answer.status_code == 503]
        assert len({lease["session"] for lease in made}) == 4
        assert len(full) == 5
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in full)
        with pytest.raises(Busy):
            async with connect(gateway.sessions):
                pass
        text = (await gateway.ask("GET", "/metrics")).text
        assert 'worldloom_fleet_leases_total{fate="busy"} 6.0' in text
        assert "worldloom_fleet_workers_wanted 7.0" in text  # (4 taken + 6 refused) / 0.8 / 2 places each
        assert (await gateway.ask("POST", "/v1/sessions", json={"world": "nowhere"})).status_code == 503


async def pictures(world: Any, count: int) -> list[int]:
    seen = []
    async with asyncio.timeout(8):
        async for picture in world.pictures():
            seen.append(picture.index)
            if len(seen) == count:
                break
    return seen


async def test_a_dead_workers_sessions_go_on_elsewhere_for_their_clients() -> None:
    async with running(max_sessions=4) as gateway:
        async with connect(gateway.sessions, seed=5, format="raw") as one, connect(gateway.sessions, seed=6) as two:
            before = [max(await pictures(world, 12)) for world in (one, two)]
            first, second = gateway.worker_of(one.session), gateway.worker_of(two.session)
            old = gateway.fleet.registry.get(one.session)
            assert old is not None
            epoch, token = old.epoch, one.resume_token
            await first.die()
            after = await pictures(one, 20)
            assert max(after) > before[0] + 5
            assert after == sorted(set(after))  # numbers never go back
            entry = gateway.fleet.registry.get(one.session)
            assert entry is not None
            assert (entry.epoch, one.reconnected, one.resume_token) == (epoch + 1, 1, token)
            assert gateway.worker_of(two.session) is second, "the other one stays where it is"
            (parcel,) = gateway.worker_of(one.session).adopted
            assert 0 < parcel.age_s < 2.0
            assert (await one.press("KeyW")).status == "applied"
        assert "worldloom_fleet_sessions_moved_total 1.0" in (await gateway.ask("GET", "/metrics")).text


async def test_a_lease_that_nobody_used_yet_survives_its_worker() -> None:
    async with running() as gateway:
        lease = (await gateway.ask("POST", "/v1/sessions", json={"seed": 9})).json()
        await gateway.until(lambda: len(gateway.fleet.vault) == 1)
        await gateway.worker_of(lease["session"]).die()
        url = lease["worker_url"]
        while url == lease["worker_url"]:
            answer = await gateway.ask("GET", f"/v1/sessions/{lease['session']}", lease["token"])
            url = answer.json().get("worker_url", url)
        async with connect(url, resume=lease["token"]) as world:
            assert world.session == lease["session"]
            await pictures(world, 3)  # it does not stand still


@pytest.mark.slow
async def test_a_drained_workers_sessions_lose_nothing() -> None:
    async with running() as gateway, connect(gateway.sessions, mode="lockstep") as world:
        for _ in range(5):
            await world.step([[0.0, 0.0, 0.0, 0.0, 3.0, 0.0]])
        name = gateway.worker_of(world.session).name
        answer = await gateway.ask("POST", f"/v1/workers/{name}/drain")
        assert (answer.status_code, answer.json()) == (200, {"sessions": 1})
        last = (await world.step())[0].index
        assert last >= 5
        (parcel,) = gateway.worker_of(world.session).adopted
        assert parcel.snapshot.index == 5  # the world as it was after the last step
        await gateway.until(lambda: gateway.fleet.states()[name] == "ready")
        assert (await gateway.ask("POST", "/v1/workers/other/drain")).status_code == 404
        gone = gateway.worker_of(world.session).name
        await gateway.ask("POST", f"/v1/workers/{gone}/drain", params={"again": "false"})
        await world.step()
        assert gateway.fleet.states()[gone] == "draining"
        assert gateway.worker_of(world.session).name != gone


@pytest.mark.slow
async def test_a_worker_that_is_cut_off_loses_its_sessions_only_after_its_fence() -> None:
    async with running() as gateway:
        lease = (await gateway.ask("POST", "/v1/sessions")).json()
        await gateway.until(lambda: len(gateway.fleet.vault) == 1)
        worker = gateway.worker_of(lease["session"])
        entry = gateway.fleet.registry.get(lease["session"])
        assert entry is not None
        cut, worker.cut_off = time.monotonic(), True
        await gateway.until(lambda: entry.worker not in (None, worker.name))
        assert time.monotonic() - cut > 1.0  # `fence_s`: by then it has ended itself
        worker.cut_off = False  # had it not, it would end what is another's
        await gateway.until(lambda: worker.serving is not None and not list(worker.serving.state.rooms))
        assert entry.epoch == 1
        assert gateway.worker_of(lease["session"]) is not worker


@pytest.mark.slow
async def test_an_answer_that_got_lost_makes_no_second_owner() -> None:
    async with running(3) as gateway:
        lease = (await gateway.ask("POST", "/v1/sessions")).json()
        await gateway.until(lambda: len(gateway.fleet.vault) == 1)
        for worker in gateway.workers:
            worker.forgetful = True
        await gateway.worker_of(lease["session"]).die(again=False)
        gateway.worker_of(lease["session"]).begin()
        entry = gateway.fleet.registry.get(lease["session"])
        assert entry is not None
        await gateway.until(lambda: entry.epoch == 1 and entry.settled)  # its owner's next report told
        rooms = [room for worker in gateway.workers if worker.serving for room in worker.serving.state.rooms]
        assert [room.ident for room in rooms] == [lease["session"]]


@pytest.mark.slow
async def test_a_session_waits_for_a_place_and_ends_where_none_comes() -> None:
    async with running(1, fleet=QUICK_TO_GIVE_UP) as gateway:
        lease = (await gateway.ask("POST", "/v1/sessions")).json()
        await gateway.until(lambda: len(gateway.fleet.vault) == 1)
        (worker,) = gateway.workers
        await worker.die(again=False)
        await gateway.until(lambda: gateway.fleet.states() == {"w0": "away"})
        answer = await gateway.ask("GET", f"/v1/sessions/{lease['session']}", lease["token"])
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert (await gateway.ask("GET", "/readyz")).status_code == 503
        await gateway.until(lambda: len(gateway.fleet.registry) == 0)
        assert (await gateway.ask("GET", f"/v1/sessions/{lease['session']}", lease["token"])).status_code == 404
        assert 'worldloom_fleet_sessions_lost_total{cause="place"} 1.0' in (await gateway.ask("GET", "/metrics")).text
        assert len(gateway.fleet.vault) == 0


async def test_strangers_and_administrators() -> None:
    def signed(role: Any) -> str:
        return Tokens(SECRET).sign(Claims(role=role, exp=int(time.time()) + 60))

    async with running(1, auth="on", secret=SECRET) as gateway:
        for token, status in (("", 401), (signed("watch"), 401), (signed("drive"), 201)):
            assert (await gateway.ask("POST", "/v1/sessions", token)).status_code == status
        for token, status in (("", 401), (signed("drive"), 401), (signed("admin"), 200)):
            assert (await gateway.ask("GET", "/metrics", token)).status_code == status
            assert (await gateway.ask("POST", "/v1/workers/w0/drain", token)).status_code == status


async def test_a_session_that_has_ended_is_not_sought() -> None:
    async with running() as gateway:
        async with connect(gateway.sessions) as world:
            entry = gateway.fleet.registry.get(world.session)
            assert entry is not None
            await gateway.fleet.end(entry)
            with pytest.raises(WorldloomError):
                await pictures(world, 1000)
        with pytest.raises(UnknownSession):
            gateway.fleet.registry.find(world.session, "", drive=False)


@pytest.mark.parametrize("more", [{"image": b"x"}, {"resume": "x" * 32}, {"watch": "x" * 32}])
async def test_a_place_is_asked_for_with_what_a_place_takes(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="place"):
        async with connect("http://127.0.0.1:1/v1/sessions", **more):
            pass
