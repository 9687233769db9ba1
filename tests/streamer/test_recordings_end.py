"""However a recording ends, its files are complete, and the world goes on."""

from __future__ import annotations

from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from worldloom.models.toy import ToyState, ToyWorld
from worldloom.streamer import recording_files
from worldloom.streamer.phase import Phase
from worldloom.streamer.wire import unpack_frame

from .conftest import Serve
from .recorded import Stepper, files_in, log_of, movie_of, replayed, stepper
from .test_engine_lost import kill
from .test_recordings import refusal


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


@pytest.mark.slow
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
