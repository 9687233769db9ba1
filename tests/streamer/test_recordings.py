"""Recordings: what is in the files, who may have them made, and that they end complete however they end."""

from __future__ import annotations

import hashlib
import shutil
from io import FileIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from worldloom.models.catalog import shipped_worlds, weights_file
from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer import recording_files, recordings
from worldloom.streamer.session import Phase
from worldloom.streamer.wire import unpack_frame

from .conftest import Client, Running, Serve
from .recorded import Stepper, files_in, log_of, movie_of, replayed, stepper
from .test_engine_lost import kill
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
    async with httpx.AsyncClient(trust_env=False) as http:
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


async def test_a_recording_that_is_full_ends_and_the_world_goes_on(serve: Serve, tmp_path: Path) -> None:
    limit = 200_000  # a second takes 123,000
    async with serve(recordings=tmp_path, recording_bytes=limit) as server, server.client() as client:
        driver = await stepper(client)
        await driver.ask("record", on=True)
        await driver.step(45)
        notice = await driver.noticed()
        assert (notice["code"], notice["seconds"]) == ("recording_full", 0)
        assert str(limit) in notice["message"]
        await driver.step(1)
        assert not any(room.recording for room in server.state.rooms)
    assert limit / 2 < sum(files_in(tmp_path).values()) <= limit + 100
    assert log_of(tmp_path, "end")[0]["why"] == "recording_full"
    assert len(movie_of(tmp_path)) == 20


async def test_a_recording_lasts_as_long_as_it_may(serve: Serve, tmp_path: Path) -> None:
    async with serve(recordings=tmp_path, recording_duration=0.1) as server, server.client() as client:
        await client.hello()
        await client.send("record", seq=1, on=True)
        assert (await client.expect("notice"))["code"] == "recording_full"
        assert log_of(tmp_path, "end")[0]["why"] == "recording_full"
        await client.send("ping", t=1)
        await client.expect("pong")


async def test_a_full_folder_is_refused_and_nothing_is_left(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "old.mp4").write_bytes(bytes(2**16))
    async with serve(recordings=tmp_path, recordings_bytes=2**16) as server, server.client() as client:
        await client.hello()
        assert await refusal(client, 1) == "recording_full"
        assert list(files_in(tmp_path)) == ["old.mp4"]
        (tmp_path / "old.mp4").unlink()
        await client.send("record", seq=2, on=True)
        assert (await client.expect("receipt", seq=2))["status"] == "applied"


class Disk:
    """Has so many bytes left; what does not fit is written as far as it does."""

    def __init__(self, free: int) -> None:
        self.free = free

    def open(self, path: Path) -> FileIO:
        disk = self

        class Limited(FileIO):
            def write(self, data: Any) -> int:
                piece = bytes(data)[: disk.free]
                if not piece and len(bytes(data)):
                    raise OSError(28, "No space left on device")
                disk.free -= len(piece)
                return super().write(piece)

        return Limited(path, "x")


async def test_a_full_disk_ends_the_recording_and_not_the_session(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(200_000)
    monkeypatch.setattr(recording_files, "open_new", disk.open)
    async with serve(recordings=tmp_path) as server, server.client() as client:
        driver = await stepper(client)
        await driver.ask("record", on=True)
        await driver.step(45)
        notice = await driver.noticed()
        assert notice["code"] == "recording_failed"
        assert "No space left" in notice["message"]
        await driver.step(1)
        assert disk.free == 0
        assert len(movie_of(tmp_path)) == 20, "the fragment that did not fit is cut off"
        assert log_of(tmp_path, "frame"), "every line is whole"
        disk.free = 10
        assert await refusal(client, 500) == "recording_failed"
        assert len(files_in(tmp_path)) == 3, "of the second nothing is left"
        assert not server.state.recordings._open


async def test_a_folder_that_cannot_be_made(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with serve(recordings=tmp_path / "file" / "folder") as server, server.client() as client:
        await client.hello()
        assert await refusal(client, 1) == "recording_failed"


async def test_one_file_while_the_driver_is_away(serve: Serve, tmp_path: Path) -> None:
    async with serve(recordings=tmp_path) as server:
        async with server.client() as client:
            welcome = await client.hello(video="websocket", format="raw", mode="lockstep", seed=4)
            driver = Stepper(client)
            await driver.ask("record", on=True)
            await driver.step(8)
            client.socket.transport.abort()
            await server.until(lambda: server.state.rooms.count(Phase.ORPHANED) == 1)
        assert not log_of(tmp_path, "end")
        async with server.client() as client:
            again = await client.hello(video="websocket", format="raw", resume=welcome["resume"])
            driver.client, driver.seq = client, again["last_seq"]
            await driver.step(8)
            await client.send("bye")
        await server.freed()
    assert [line["action"] for line in log_of(tmp_path, "frame")] == driver.rows
    assert [line["frame"] for line in log_of(tmp_path, "reset")] == [0], "the same stream went on"
    assert len(movie_of(tmp_path)) == 16
    assert log_of(tmp_path, "end") == [{"type": "end", "frame": 16, "why": "stopped"}]


async def test_an_engine_that_dies_takes_the_world_back_and_the_log_says_so(serve: Serve, tmp_path: Path) -> None:
    async with serve(recordings=tmp_path, engine="process", snapshot_every=0.2) as server, server.client() as client:
        await client.hello(video="websocket", format="raw")
        room = next(iter(server.state.rooms))
        await server.until(lambda: room.kept is not None)
        await client.send("record", seq=1, on=True)
        await client.expect("receipt", seq=1)
        await client.send("key", seq=2, code="ArrowRight", down=True)
        await client.expect("receipt", seq=2, status="applied")
        await server.until(lambda: room.kept is not None and room.next_frame > room.kept.index + 1)
        kill(server)
        assert (await client.expect("notice"))["code"] == "engine_lost"
        seen: dict[int, np.ndarray[Any, Any]] = {}
        for _ in range(4):
            header, pixels = unpack_frame(await client.picture())
            seen[header.index] = np.frombuffer(pixels, np.uint8).reshape(96, 128, 3)
        await client.send("record", seq=3, on=False)
        await client.expect("receipt", seq=3)
    assert not log_of(tmp_path, "reset"), "it began before the recording, and never anew"
    (rewind,) = log_of(tmp_path, "rewind")
    assert rewind["to"] < rewind["frame"]
    again = dict(replayed(tmp_path))
    assert list(again) == sorted(again)
    assert max(seen) > rewind["frame"]
    for index, picture in seen.items():
        assert np.array_equal(again[index], picture)
    assert log_of(tmp_path, "end")[0]["why"] == "stopped"


async def test_an_orphan_that_is_given_up_ends_its_recording(serve: Serve, tmp_path: Path) -> None:
    async with serve(recordings=tmp_path, orphan_timeout=0.2) as server:
        async with server.client() as client:
            driver = await stepper(client)
            await driver.ask("record", on=True)
            await driver.step(3)
            client.socket.transport.abort()
        await server.until(lambda: not server.state.recordings._open)
        assert log_of(tmp_path, "end")
        assert len(movie_of(tmp_path)) == 3


class Fragile(ToyWorld):
    """Fails at its eighth frame, and cannot save."""

    def step(self, states: Any, actions: Any) -> Any:
        if any(state.frame >= 8 for state in states):
            raise RuntimeError("out of ideas")
        return super().step(states, actions)

    def save(self, state: ToyState) -> bytes:
        raise NotImplementedError


async def test_a_fault_leaves_complete_files_and_nothing_else(serve: Serve, tmp_path: Path) -> None:
    async with serve(recordings=tmp_path, load=lambda name: Fragile()) as server, server.client() as client:
        driver = await stepper(client)
        await driver.ask("record", on=True)
        await driver.step(8)
        await client.send("step", seq=99)
        assert (await client.expect("error"))["code"] == "model_fault"
        await client.closed()
        await server.freed()
        await server.until(lambda: not server.state.recordings._open)
        assert log_of(tmp_path)[0]["state"] is None, "a world that cannot save is recorded without its state"
        assert log_of(tmp_path, "end")[0]["frame"] == 8
        assert len(movie_of(tmp_path)) == 8


async def test_a_server_that_stops_completes_the_files(serve: Serve, tmp_path: Path) -> None:
    async with serve(recordings=tmp_path) as server, server.client() as client:
        driver = await stepper(client)
        await driver.ask("record", on=True)
        await driver.step(3)
    assert log_of(tmp_path, "end")
    assert len(movie_of(tmp_path)) == 3


@pytest.mark.skipif("arm" not in shipped_worlds(), reason="hashes the weights of arm, which are not installed")
def test_the_log_names_the_weights() -> None:
    path = weights_file("arm")
    assert path is not None
    assert recordings._model("arm") == {
        "file": "arm.safetensors",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert recordings._model("toy") is recordings._model("some.module:World") is None
