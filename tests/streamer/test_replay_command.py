"""Bundles that a server gives out and the command line takes: regenerated, compared, rendered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.plain_http import plain_http
from worldloom.models.toy import ToyWorld
from worldloom.streamer import manifest
from worldloom.streamer.__main__ import app
from worldloom.streamer.bundle import read
from worldloom.streamer.config import ServerSettings
from worldloom.streamer.rendering import rendered
from worldloom.streamer.replay import compared
from worldloom.streamer.signing import ManifestSettings
from worldloom.streamer.verify import Verdict, verify

from .conftest import PATIENCE, Client, Running, Serve
from .logged import Drive
from .test_travel import desk_of


async def fetched(server: Running, token: str) -> httpx.Response:
    async with plain_http() as http:
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
    drive, path = Drive(desk_of()), tmp_path / "one.wloom"
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
    drive = Drive(desk_of())
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
