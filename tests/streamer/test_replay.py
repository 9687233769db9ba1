"""From a session to a bundle, and from a bundle to the same frames: whatever was done in between."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from worldloom.models.toy import ToyWorld
from worldloom.models.training.metrics import psnr
from worldloom.streamer import manifest
from worldloom.streamer.__main__ import app
from worldloom.streamer.bundle import BadBundle, Bundle, read
from worldloom.streamer.client_messages import Key, Reset, Restore, Rewind, TakeSnapshot
from worldloom.streamer.config import ServerSettings
from worldloom.streamer.provenance import machine, versions
from worldloom.streamer.rendering import rendered
from worldloom.streamer.replay import compared, regenerated, render, world_of
from worldloom.streamer.replay_log import PICTURES, ReplayLog, Source
from worldloom.streamer.session import Session
from worldloom.streamer.signing import ManifestSettings
from worldloom.streamer.transports.inprocess import Collector
from worldloom.streamer.verify import Verdict, verify

from .conftest import PATIENCE, Client, Running, Serve
from .desk import PERIOD, Desk
from .test_travel import Shared, desk_of

HERE = Source("s", "now", None, versions(), machine())


class Logged(Collector):
    """A sink that keeps a log."""

    def __init__(self, desk: Desk, most: int = 1000) -> None:
        super().__init__(depth=10_000)
        self.log = ReplayLog(desk.model.spec, most)

    def frame(self, frame: Any) -> None:
        super().frame(frame)
        self.log.frame(frame)


class Drive:
    """A realtime session that is logged."""

    def __init__(self, most: int = 1000) -> None:
        self.desk = desk_of(Shared())
        self.sink = Logged(self.desk, most)
        answer = self.desk.engine.submit(self.sink, start_of(3), "realtime")
        self.desk.turn()
        session = answer.result(0)
        assert isinstance(session, Session)
        self.session = session
        self.seq = 0

    def say(self, kind: Any, **fields: Any) -> None:
        self.seq += 1
        self.session.post(kind(seq=self.seq, **fields))

    def go(self, frames: int) -> None:
        for k in range(frames):
            self.say(Key, code=("KeyW", "ArrowRight", "KeyE")[k % 3], down=k % 2 == 0)
            self.desk.turn(self.desk.now + PERIOD)

    def keep(self) -> None:
        answer = self.desk.engine.snapshot(self.session)
        self.desk.engine._save_next()
        self.sink.log.start(answer.result(0))

    @property
    def bundle(self) -> Bundle:
        bundle = self.sink.log.bundle(HERE)
        assert bundle is not None
        return bundle


def start_of(seed: int) -> Any:
    from worldloom.streamer.origin import Origin

    return Origin(seed)


def small() -> ToyWorld:
    return ToyWorld(height=6, width=8)


def check(drive: Drive, path: Path) -> Bundle:
    """The bundle gives the very frames that the session showed."""
    drive.bundle.write(path)
    bundle = read(path)
    shown = {frame.index: frame.pixels for frame in drive.sink.take(drive.session.index)}
    again = list(regenerated(bundle, small()))
    assert [frame for frame, _ in again] == list(range(bundle.header.frame, drive.session.index))
    for frame, pixels in again:
        np.testing.assert_array_equal(pixels, shown[frame])
    report = compared(bundle, small(), "toy")
    assert report.equal == report.frames == len(bundle)
    assert report.first_difference is report.psnr_db is None
    assert report.same_versions
    assert report.same_machine
    return bundle


def test_a_session_is_replayed_to_the_byte(tmp_path: Path) -> None:
    drive = Drive()
    drive.go(60)
    bundle = check(drive, tmp_path / "one.wloom")
    assert bundle.state is None
    assert len(bundle.shown) <= PICTURES
    np.testing.assert_array_equal(np.diff(bundle.shown_at), 2)


def test_resets_rewinds_and_snapshots_are_followed(tmp_path: Path) -> None:
    drive = Drive()
    drive.go(30)
    drive.say(TakeSnapshot)
    drive.go(10)
    drive.say(Rewind, seconds=0.5)
    drive.go(5)
    drive.say(Reset, seed=9)
    drive.go(7)
    drive.say(Rewind, frame=38)
    drive.say(TakeSnapshot)
    drive.go(3)
    drive.say(Restore, snapshot="s1")
    drive.go(4)
    drive.say(Restore, snapshot="s2")
    drive.go(4)
    bundle = check(drive, tmp_path / "one.wloom")
    assert len(bundle.header.events) == 6


def test_a_long_session_goes_on_from_a_snapshot(tmp_path: Path) -> None:
    drive = Drive(most=100)
    for _ in range(26):
        drive.go(10)
        drive.keep()
    bundle = check(drive, tmp_path / "one.wloom")
    assert bundle.state is not None
    assert 50 <= len(bundle) <= 100
    assert bundle.shown_at[0] >= bundle.header.frame


def test_without_a_beginning_there_is_nothing_to_replay_until_there_is(tmp_path: Path) -> None:
    drive = Drive(most=20)
    drive.go(30)  # and nobody took a snapshot
    assert drive.sink.log.bundle(HERE) is None
    drive.keep()
    drive.go(5)
    assert check(drive, tmp_path / "one.wloom").header.frame == 31
    assert ReplayLog(small().spec, 0).bundle(HERE) is None


def test_who_goes_back_to_before_the_log_waits_for_a_snapshot(tmp_path: Path) -> None:
    drive = Drive(most=40)
    for _ in range(8):
        drive.go(10)
        drive.keep()
    drive.say(Rewind, frame=10)
    drive.go(3)
    assert drive.sink.log.bundle(HERE) is None
    drive.keep()
    drive.go(3)
    check(drive, tmp_path / "one.wloom")


def test_a_frame_takes_bytes_in_the_log_and_not_objects() -> None:
    drive = Drive(most=10_000)
    drive.go(40)
    frame = drive.sink.take(1, timeout_s=0)[0]
    log = ReplayLog(drive.desk.model.spec, 10_000)
    log.frame(replace(frame, index=0))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for index in range(1, 4001):  # minutes, of which one in 128 is kept as a picture in the end
            log.frame(replace(frame, index=index, origin=None))
        log._pictures.clear()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / 4000 < 100


def test_another_world_is_told_by_psnr() -> None:
    drive = Drive()
    drive.go(20)
    bundle = drive.bundle
    wrong = bundle.actions.copy()
    wrong[12:, 4] += 1.0
    report = compared(replace(bundle, actions=wrong), small(), "toy")
    assert (report.equal, report.first_difference) == (12, 12)
    assert report.psnr_db is not None
    assert report.psnr_db_least is not None
    assert 5.0 < report.psnr_db_least <= report.psnr_db < 60.0
    assert psnr(np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)) == 0.0


def test_a_bundle_imports_nothing(tmp_path: Path) -> None:
    drive = Drive()
    drive.go(2)
    header = drive.bundle.header
    for name in ("os:system", "worldloom.models.toy:ToyWorld", "../toy"):
        stranger = replace(drive.bundle, header=header.model_copy(update={"world": name}))
        with pytest.raises(BadBundle, match="installed"):
            world_of(stranger)
    with pytest.raises(BadBundle, match="of the world"):  # the toy of this installation has other pictures
        world_of(drive.bundle)


def test_states_are_freed_also_where_a_replay_is_given_up() -> None:
    drive = Drive()
    drive.go(30)
    drive.say(Rewind, frame=20)
    drive.go(5)
    world = Shared()
    frames = regenerated(drive.bundle, world)
    for _ in range(33):
        next(frames)
    assert world.living == 2
    frames.close()
    assert world.living == 0


def test_a_movie_has_every_frame_and_leaves_nothing_half(tmp_path: Path) -> None:
    drive = Drive()
    drive.go(30)
    told: list[int] = []
    out = tmp_path / "out.mp4"
    world = ToyWorld(height=16, width=16)
    bundle = drive.bundle
    header = bundle.header.model_copy(update={"height": 16, "width": 16})
    bundle = replace(bundle, header=header)
    render(bundle, world, out, told.append)
    with av.open(str(out)) as movie:
        pictures = [one.to_ndarray(format="rgb24") for one in movie.decode(video=0)]
    assert len(pictures) == len(bundle) == told[-1] == 31
    assert pictures[0].shape == (32, 32, 3)
    want = [picture for _, picture in regenerated(bundle, world)]
    assert psnr(np.asarray(pictures[-1][::2, ::2], np.uint8), want[-1]) > 30.0
    with pytest.raises(BadBundle):
        render(replace(bundle, state=b"damaged"), world, tmp_path / "no.mp4")
    assert [one.name for one in tmp_path.iterdir()] == ["out.mp4"]


# A server and the command line ----------------------------------------------------------------------------------------


async def fetched(server: Running, token: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.get(f"{server.url}/v1/replay", headers={"authorization": f"Bearer {token}"}, timeout=PATIENCE)


async def driven(client: Client) -> str:
    welcome = await client.hello(video="websocket", format="raw", seed=4)
    await client.send("key", seq=1, code="ArrowRight", down=True)
    for _ in range(15):
        await client.picture()
    await client.send("rewind", seq=2, seconds=0.3)
    await client.expect("receipt", seq=2, status="applied")
    for _ in range(5):
        await client.picture()
    return str(welcome["resume"])


@pytest.mark.parametrize("engine", ["thread", "process"])
@pytest.mark.slow
async def test_a_session_of_a_server_is_replayed_by_the_command(serve: Serve, tmp_path: Path, engine: str) -> None:
    path = tmp_path / "one.wloom"
    async with serve(engine=engine) as server, server.client() as client:
        token = await driven(client)
        answer = await fetched(server, token)
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].endswith('.wloom"')
        path.write_bytes(answer.content)
        assert (await fetched(server, token + "x")).status_code == 401
        await client.send("bye")
        await server.freed()
        assert (await fetched(server, token)).status_code == 401
    said = CliRunner().invoke(app, ["replay", str(path), "--json"])
    assert said.exit_code == 0, said.output
    report = json.loads(said.stdout)
    assert report["equal"] == report["frames"] >= 20
    assert read(path).header.events[-1].to is not None


async def test_a_fork_can_be_replayed_from_its_beginning(serve: Serve, tmp_path: Path) -> None:
    async with serve() as server, server.client() as client, server.client() as other:
        await driven(client)
        await client.send("fork", seq=3)
        token = (await client.expect("receipt", seq=3))["fork"]
        await other.hello(video="websocket", format="raw", resume=token)
        await other.send("resume", seq=1)
        for _ in range(4):
            await other.picture()
        path = tmp_path / "one.wloom"
        path.write_bytes((await fetched(server, token)).content)
    report = compared(read(path), ToyWorld(), "toy")
    assert report.equal == report.frames >= 4


async def test_where_no_log_is_kept_there_is_no_bundle(serve: Serve) -> None:
    async with serve(replay_frames=0) as server, server.client() as client:
        assert (await fetched(server, await driven(client))).status_code == 409


def test_the_command_refuses_and_tells_differences(tmp_path: Path) -> None:
    drive, path = Drive(), tmp_path / "one.wloom"
    drive.go(5)
    path.write_bytes(b"nothing")
    assert CliRunner().invoke(app, ["replay", str(path)]).exit_code == 2
    assert CliRunner().invoke(app, ["replay", str(tmp_path / "absent")]).exit_code == 2
    drive.bundle.write(path)
    assert CliRunner().invoke(app, ["replay", str(path)]).exit_code == 2  # not the toy that is installed
    large = replace(
        drive.bundle,
        header=drive.bundle.header.model_copy(update={"height": 96, "width": 128}),
        shown=np.zeros((0, 96, 128, 3), np.uint8),
        shown_at=np.zeros(0, np.int64),
    )
    large.write(path)
    said = CliRunner().invoke(app, ["replay", str(path), "--json"])
    assert said.exit_code == 1
    assert json.loads(said.stdout)["first_difference"] == 0
    out = tmp_path / "out.mp4"
    said = CliRunner().invoke(app, ["replay", str(path), "--render", str(out), "--steps", "4", "--json"])
    assert said.exit_code == 0
    assert json.loads(said.stdout)["manifest"] == "signed"
    verdict = verify(out, ManifestSettings())
    assert verdict.manifest is not None
    assert verdict.manifest.ours
    assert (verdict.manifest.about or {})["made"] == "rendered"
    assert verdict.mark.ident == 0
    assert {one.name for one in tmp_path.iterdir()} == {"one.wloom", "out.mp4"}


def test_a_movie_says_what_the_settings_want(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drive = Drive()
    drive.go(5)
    bundle = replace(drive.bundle, header=drive.bundle.header.model_copy(update={"height": 96, "width": 128}))
    plain = ServerSettings(watermark=False, manifest=ManifestSettings(sign=False))
    numbered = ServerSettings(watermark_id=77)
    out = tmp_path / "out.mp4"

    def made(settings: ServerSettings) -> tuple[str, Verdict]:
        why = rendered(bundle, ToyWorld(), out, lambda _: None, source="toy", settings=settings)
        return why, verify(out, ManifestSettings())

    why, verdict = made(plain)
    assert "want none" in why
    assert not verdict.generated
    assert verdict.manifest is None
    monkeypatch.setattr(manifest, "find_spec", lambda _: None)
    why, verdict = made(numbered)
    assert "worldloom[provenance]" in why
    assert verdict.unexamined == why
    assert verdict.generated, "by its mark"
    assert verdict.mark.ident == 77
