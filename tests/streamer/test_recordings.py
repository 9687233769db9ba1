"""Recordings: what is in the files, and who may have them made."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.plain_http import plain_http
from worldloom.models.catalog import shipped_worlds, weights_file
from worldloom.models.toy import ToyWorld
from worldloom.streamer.provenance import weights_of

from .conftest import Client, Running, Serve
from .recorded import files_in, log_of, movie_of, replayed, stepper
from .test_tokens import SECRET, signed


async def test_a_movie_and_a_log_that_replay_the_session(serve: Serve, tmp_path: Path) -> None:
    async with serve(recordings=tmp_path) as server, server.client() as client:
        driver = await stepper(client)
        await driver.step(5)
        assert (await driver.ask("record", on=True)) == {"type": "receipt", "seq": 6, "status": "applied", "frame": 5}
        assert (await driver.ask("record", on=True))["status"] == "applied", "twice does no harm"
        await driver.step(30)
        await driver.ask("reset", seed=9)
        await driver.step(10)
        assert (await driver.ask("record", on=False))["frame"] == 45
        await driver.step(3)
        session = next(iter(server.state.rooms)).ident

    header, *_, last = log_of(tmp_path)
    assert {name: header[name] for name in ("session", "world", "seed", "mode", "fps", "chunk", "frame", "model")} == {
        "session": session,
        "world": "toy",
        "seed": 4,
        "mode": "lockstep",
        "fps": [20, 1],
        "chunk": 1,
        "frame": 5,
        "model": None,
    }
    assert header["columns"] == list(ToyWorld().spec.actions.columns)
    assert header["versions"]["torch"]
    assert last == {"type": "end", "frame": 45, "why": "stopped"}
    frames = log_of(tmp_path, "frame")
    assert [line["frame"] for line in frames] == list(range(5, 45))
    assert [line["action"] for line in frames] == driver.rows[5:45]
    assert log_of(tmp_path, "reset") == [{"type": "reset", "frame": 35, "seed": 9, "prompt": None, "image": None}]

    (begins,) = log_of(tmp_path, "movie")
    movie = movie_of(tmp_path)
    times = {line["pts"]: line["frame"] for line in frames}
    shown = [times[pts + begins["pts"]] for pts, _ in movie]
    assert shown == list(range(begins["frame"], 45)), "no picture is missing, and each keeps its time"
    assert begins["frame"] == 5
    for index, (_, picture) in zip(shown, movie, strict=True):
        seen = picture[::2, ::2].astype(float) - driver.pictures[index]
        assert abs(seen).mean() < 8.0, "and they are the right ones"

    for index, picture in replayed(tmp_path):
        assert np.array_equal(picture, driver.pictures[index]), "the log replays it to the byte"


async def test_what_a_crash_leaves_plays(serve: Serve, tmp_path: Path) -> None:
    live, left = tmp_path / "live", tmp_path / "left"
    async with serve(recordings=live) as server, server.client() as client:
        driver = await stepper(client)
        await driver.ask("record", on=True)
        await driver.step(25)
        await server.until(lambda: len(log_of(live, "frame")) == 25)
        shutil.copytree(live, left)  # what the process has written is all that is left of it when it dies
    assert len(movie_of(left)) == 20, "all but the last second"
    assert not log_of(left, "end")
    assert len(movie_of(live)) == 25, "the server has ended in order since"


async def test_nobody_watches_and_there_is_a_movie(serve: Serve, tmp_path: Path) -> None:
    async with serve(recordings=tmp_path) as server, server.client() as client:
        await client.hello(video="none")
        await client.send("record", seq=1, on=True)
        await client.expect("receipt", seq=1)
        await server.until(lambda: len(log_of(tmp_path, "frame")) > 8)
        await client.send("bye")
        await server.freed()
        assert log_of(tmp_path, "end")
        assert len(movie_of(tmp_path)) > 5


async def refusal(client: Client, seq: int, on: bool = True) -> str:
    await client.send("record", seq=seq, on=on)
    code: str = (await client.expect("error", seq=seq))["code"]
    assert (await client.expect("receipt", seq=seq))["status"] == "rejected"
    return code


async def test_refused_without_a_folder(serve: Serve) -> None:
    async with serve() as server, server.client() as client:
        assert (await client.hello())["limits"]["recording"] is False
        assert await refusal(client, 1) == "recording_off"
        answer = await record(server, "POST", next(iter(server.state.rooms)).ident)
        assert answer == (409, "recording_off")
        await client.send("record", seq=2, on=True)
        assert "`recordings`" in (await client.expect("error", seq=2))["message"]


async def record(server: Running, method: str, session: str, token: str = "") -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with plain_http() as http:
        answer = await http.request(method, f"{server.url}/v1/sessions/{session}/recording", headers=headers)
    body = answer.json()
    return answer.status_code, body.get("code", body.get("recording"))


async def test_only_drivers_and_administrators_may(serve: Serve, tmp_path: Path) -> None:
    async with (
        serve(recordings=tmp_path, auth="on", secret=SECRET) as server,
        server.client() as driver,
        server.client() as spectator,
    ):
        welcome = await driver.hello(token=signed())
        assert welcome["limits"]["recording"] is True
        session = welcome["session"]
        await spectator.hello(token=signed("watch", session=session))
        assert await refusal(spectator, 1) == "forbidden"
        for token in ("", signed("watch", session=session), signed("drive")):
            assert await record(server, "POST", session, token) == (401, "unauthorized")
        assert not files_in(tmp_path)
        admin = signed("admin")
        assert await record(server, "POST", "nobody", admin) == (404, "unknown_session")
        assert await record(server, "POST", session, admin) == (200, True)
        await driver.expect("stats", recording=True)
        await spectator.expect("stats", recording=True)
        listed = await server.get("/v1/sessions", authorization=f"Bearer {admin}")
        assert listed.json()["sessions"][0]["recording"] is True
        metrics = (await server.get("/metrics", authorization=f"Bearer {admin}")).text
        assert 'worldloom_recordings{world="toy"} 1.0' in metrics
        assert await record(server, "DELETE", session, admin) == (200, False)
        metrics = (await server.get("/metrics", authorization=f"Bearer {admin}")).text
        assert 'worldloom_recordings{world="toy"} 0.0' in metrics
        size = sum(files_in(tmp_path).values())
        assert f'worldloom_recording_bytes_total{{world="toy"}} {float(size)}' in metrics


@pytest.mark.skipif("arm" not in shipped_worlds(), reason="hashes the weights of arm, which are not installed")
def test_the_log_names_the_weights() -> None:
    path = weights_file("arm")
    assert path is not None
    assert weights_of("arm") == {
        "file": "arm.safetensors",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert weights_of("toy") is weights_of("some.module:World") is None


async def test_a_session_that_goes_back_is_replayed_too(serve: Serve, tmp_path: Path) -> None:
    async with serve(recordings=tmp_path) as server, server.client() as client:
        driver = await stepper(client)
        await driver.step(2)
        early = (await driver.ask("snapshot"))["snapshot"]
        await driver.step(1)
        await driver.ask("record", on=True)
        await driver.step(3)
        kept = (await driver.ask("snapshot"))["snapshot"]
        await driver.step(4)
        await driver.ask("restore", snapshot=kept)
        await driver.step(5)
        await driver.ask("record", on=False)
        (line,) = log_of(tmp_path, "rewind")
        assert line == {"type": "rewind", "frame": 10, "to": 6}
        for (frame, made), seen in zip(replayed(tmp_path), driver.pictures[3:], strict=True):
            assert np.array_equal(made, seen), frame
        await driver.ask("record", on=True)
        await driver.ask("restore", snapshot=early)  # of before the recording: nothing could replay that
        await driver.step(1)
        assert (await driver.noticed())["code"] == "recording_failed"
        await client.send("bye")
        await server.freed()
