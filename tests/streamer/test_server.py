"""The service from outside: pages, health, sessions of every kind, admission, and the end of things."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from websockets.exceptions import InvalidStatus

from worldloom.models.spec import Actions, Frames
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer.scenes import SCENES
from worldloom.streamer.wire import unpack_frame
from worldloom.streamer.world_info import WorldInfo

from .conftest import Serve


async def test_pages_and_headers(serve: Serve) -> None:
    async with serve() as server:
        for path, kind in {
            "/": "text/html",
            "/app.js": "text/javascript",
            "/style.css": "text/css",
            "/icon.svg": "image/svg+xml",
            "/preflight": "text/html",
            "/js/worldloom.js": "text/javascript",
            "/client/worldloom.js": "text/javascript",
        }.items():
            answer = await server.get(path)
            assert answer.status_code == 200, path
            assert answer.headers["content-type"].startswith(kind)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
        for path in ("/__init__.py", "/js/..%2f__init__.py", "/nothing.html", "/js/py.typed", "/docs", "/openapi.json"):
            assert (await server.get(path)).status_code == 404, path


async def test_other_hosts_and_origins_are_refused(serve: Serve) -> None:
    async with serve(origins=("https://friend.example",)) as server:
        assert (await server.get("/", host="evil.example")).status_code == 421
        with pytest.raises(InvalidStatus, match="403"):
            async with server.client(Origin="https://evil.example"):
                pass
        upgrade = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
        key = {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}
        assert (await server.get("/v1/session", host="evil.example", **upgrade, **key)).status_code == 403
        for origin in (server.url, "https://friend.example"):
            async with server.client(Origin=origin) as client:
                await client.hello()


async def test_worlds_are_listed(serve: Serve) -> None:
    async with serve() as server:
        (world,) = (await server.get("/v1/worlds")).json()["worlds"]
        assert WorldInfo.model_validate_json(json.dumps(world)) == WorldInfo.of(ToyWorld().spec)


async def test_not_ready_until_a_session_ran_through_everything(serve: Serve) -> None:
    async with serve(warm_up=True) as server:
        assert (await server.get("/healthz")).json() == {"status": "ok"}
        first = await server.get("/readyz")
        assert first.status_code == 503
        await server.until(lambda: all(world.ready for world in server.state.worlds), within=8.0)
        ready = await server.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["worlds"]["toy"] == {"ready": True, "trouble": "", "webrtc": True}
        stats = next(iter(server.state.worlds)).stats()
        assert stats is not None
        assert (stats.sessions, stats.states, stats.opened) == (0, 0, 1 + SCENES)


async def test_a_world_that_does_not_load_stays_closed(serve: Serve) -> None:
    def load(name: str) -> ToyWorld:
        if name == "broken":
            raise OSError("no such weights")
        return ToyWorld()

    async with serve(worlds=("toy", "broken"), load=load) as server:
        async with server.client() as client:
            await client.send("hello", protocol=1, world="broken", video="none")
            error = await client.expect("error", code="model_fault")
            assert "no such weights" in error["message"]
            assert await client.closed() == (1011, "model_fault")
        ready = await server.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["worlds"]["toy"]["ready"]
        assert [world["name"] for world in (await server.get("/v1/worlds")).json()["worlds"]] == ["toy"]
        async with server.client() as client:
            await client.hello()


async def test_a_world_from_elsewhere_goes_by_its_own_name(serve: Serve) -> None:
    async with serve(worlds=("worldloom.models.toy:ToyWorld",)) as server:
        (world,) = (await server.get("/v1/worlds")).json()["worlds"]
        async with server.client() as client:
            welcome = await client.hello(world=world["name"])
            assert welcome["worlds"] == ["toy"]


async def test_pictures_over_the_websocket(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        welcome = await client.hello(video="websocket", seed=5)
        assert (welcome["seed"], welcome["world"]["name"], welcome["worlds"]) == (5, "toy", ["toy"])
        indices = []
        for _ in range(5):
            header, payload = unpack_frame(await client.picture())
            assert Image.open(io.BytesIO(payload)).size == (128, 96)
            indices.append(header.index)
        assert indices == sorted(set(indices))
        await client.send("key", seq=1, code="ArrowRight", down=True)
        receipt = await client.expect("receipt", seq=1)
        assert receipt["status"] == "applied"
        while True:
            header, _ = unpack_frame(await client.picture())
            if header.applied_seq == 1:
                break
        assert header.index >= receipt["frame"]


async def test_lockstep_gives_exact_pixels(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        await client.hello(video="websocket", mode="lockstep", format="raw", seed=3)
        world = ToyWorld()
        state = world.start(seed=3)
        row = [1.0, 0.0, 0.0, 0.0, 2.5, -0.5]
        for seq in range(1, 21):
            await client.send("step", seq=seq, actions=[row])
        for index in range(20):
            header, payload = unpack_frame(await client.picture())
            want = world.step([state], np.array([[row]], np.float32))[0, 0]
            assert (header.index, header.applied_seq) == (index, index + 1), "none is lost, none comes twice"
            assert np.array_equal(np.frombuffer(payload, np.uint8).reshape(want.shape), want)


async def test_stats_pong_and_metrics(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        await client.hello(video="websocket")
        await client.send("ping", t=12.5)
        assert (await client.expect("pong"))["t"] == 12.5
        stats = await client.expect("stats")
        assert stats["fps"] == pytest.approx(20.0, rel=0.3)
        assert stats["bitrate"] > 0
        assert stats["sessions"] == 1
        assert stats["encode_ms"]["p95"] >= stats["encode_ms"]["p50"] > 0
        text = (await server.get("/metrics")).text
        assert 'worldloom_sessions{world="toy"} 1.0' in text
        assert 'worldloom_frames_total{video="websocket",world="toy"}' in text
        for name in ("step", "encode", "frame_age"):
            assert f"worldloom_{name}_seconds_bucket" in text


async def test_busy_is_one_clear_answer(serve: Serve) -> None:
    async with serve(max_sessions=1) as server:
        async with server.client() as first, server.client() as second:
            await first.hello()
            await second.send("hello", protocol=1, video="none")
            error = await second.expect("error")
            assert (error["code"], error["retryable"]) == ("busy", True)
            assert await second.closed() == (1013, "busy")
        await server.freed()
        async with server.client() as third:
            await third.hello()


async def test_too_many_connections(serve: Serve) -> None:
    async with serve(max_connections=1) as server, server.client(), server.client() as second:
        assert (await second.expect("error"))["code"] == "busy"
        assert await second.closed() == (1013, "busy")


@pytest.mark.parametrize("video", ["none", "websocket", "webrtc"])
async def test_leaving_frees_everything(serve: Serve, video: str) -> None:
    async with serve() as server:
        async with server.client() as client:
            await client.hello(video=video)
            assert (server.sessions(), server.states()) == (1, 1)
            await client.send("bye")
            assert await client.closed() == (1000, "")
        await server.freed()
        async with server.client() as client:
            await client.hello(video=video)
            client.socket.transport.abort()
        await server.freed()


async def test_a_silent_connection_is_closed(serve: Serve) -> None:
    async with serve(hello_timeout=0.2) as server, server.client() as client:
        assert (await client.expect("error"))["code"] == "hello_expected"
        assert await client.closed() == (1008, "hello_expected")


async def test_a_peer_that_does_not_answer_pings_is_dropped(serve: Serve) -> None:
    async with serve(heartbeat=0.3) as server, server.client() as client:
        await client.hello()
        client.socket.transport.pause_reading()
        await server.freed()
        client.socket.transport.abort()  # it would wait for an answer that it does not read


async def test_shutdown_ends_sessions(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        await client.hello(video="websocket")
        await client.picture()
    assert (server.sessions(), server.states()) == (0, 0)


class Fragile(ToyWorld):
    """Fails when somebody pulls the lever down."""

    def step(self, states: Any, actions: Actions) -> Frames:
        if (actions[..., 5] < 0).any():
            raise RuntimeError("secret details")
        return super().step(states, actions)

    def start(self, **options: Any) -> ToyState:
        return super().start(**options)


async def test_a_fault_ends_one_session_and_the_server_goes_on(serve: Serve) -> None:
    async with serve(load=lambda name: Fragile()) as server, server.client() as good, server.client() as bad:
        await good.hello(video="websocket")
        await bad.hello(video="websocket")
        await bad.send("key", seq=1, code="KeyQ", down=True)
        error = await bad.expect("error")
        assert error["code"] == "model_fault"
        assert "secret" not in error["message"]
        assert await bad.closed() == (1011, "model_fault")
        await server.until(lambda: server.states() == 1)
        await good.send("key", seq=1, code="KeyW", down=True)
        await good.expect("receipt", seq=1, status="applied")
        await good.picture()


async def test_two_viewers_share_an_engine(serve: Serve) -> None:
    async with serve() as server, server.client() as one, server.client() as other:
        await one.hello(video="websocket")
        await other.hello(video="websocket")
        await asyncio.sleep(0.5)
        await asyncio.gather(one.picture(), other.picture())
        assert (server.sessions(), server.states()) == (2, 2)


async def test_what_clients_measure_is_told_to_prometheus_and_back(serve: Serve) -> None:
    photons = [{"total": 90.0, "wait": 40.0, "compute": 30.0, "network": 20.0}, {"total": 110.0}]
    async with serve() as server, server.client() as client:
        await client.hello()
        await client.send("report", photons=photons)
        while (stats := await client.expect("stats")).get("photon_ms") is None:
            pass
        assert stats["photon_ms"] == {"p50": 100.0, "p95": 109.0}
        text = (await server.get("/metrics")).text
        assert 'worldloom_input_to_photon_seconds_count{part="total",world="toy"} 2.0' in text
        assert 'worldloom_input_to_photon_seconds_sum{part="total",world="toy"} 0.2' in text
        await client.send("report", photons=[])
        assert (await client.expect("error"))["code"] == "bad_message"
