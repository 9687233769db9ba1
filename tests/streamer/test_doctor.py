"""`worldloom doctor`: what works is said to work, and what does not is named, with what to do."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.coturn import turn_server
from tests.models.tiny import tiny_world
from worldloom.models.spec import WorldModel
from worldloom.models.toy import ToyWorld
from worldloom.models.weights import save_world
from worldloom.streamer import __main__ as cli
from worldloom.streamer import doctor, doctor_server
from worldloom.streamer.config import ServerSettings
from worldloom.streamer.doctor import Finding
from worldloom.streamer.transports import aiortc_patches
from worldloom.streamer.transports.ice import IceSettings

from .conftest import Serve

SECRET = "a secret that is only good for this test"
NOBODY = "203.0.113.9"  # an address that no machine has: sockets on it are refused


def failed(findings: list[Finding]) -> dict[str, Finding]:
    """What failed, by name; each of it with what to do."""
    found = {finding.check: finding for finding in findings if finding.state == "failed"}
    assert all(finding.found and finding.remedy for finding in found.values())
    return found


@pytest.fixture
def no_udp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiortc_patches, "_aioice_host_addresses", lambda **_: [NOBODY])


# This machine ---------------------------------------------------------------------------------------------------------


def test_this_machine_is_well() -> None:
    findings = [*doctor.examine_basics(), *doctor.examine_machine(ServerSettings(), worlds=())]
    assert not failed(findings)
    names = [finding.check for finding in findings]
    assert names[:4] == ["Python", "packages", "torch", "bfloat16"]
    assert names[4:] == ["H.264 encoder", "VP8 encoder", "UDP", "weights"]


@pytest.mark.usefixtures("no_udp")
def test_refused_udp_is_named() -> None:
    assert list(failed(doctor.examine_machine(ServerSettings(), worlds=()))) == ["UDP"]


def test_a_device_that_was_asked_for_and_does_not_compress_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worldloom.streamer.transports.coders.why_not", lambda coder: "no such device")
    settings = ServerSettings.model_validate({"webrtc": {"encoder": {"h264": "nvenc"}}})
    (finding,) = [one for one in doctor.examine_machine(settings, worlds=()) if one.check == "H.264 encoder"]
    assert finding.state == "note"
    assert "x264" in finding.found
    assert "no such device" in finding.found


def test_an_encoder_that_does_not_open_is_named() -> None:
    settings = ServerSettings.model_validate({"webrtc": {"encoder": {"preset": "no such preset"}}})
    assert list(failed(doctor.examine_machine(settings, worlds=()))) == ["H.264 encoder"]


@pytest.mark.parametrize(("version", "words"), [(None, "not installed"), ("0.9", "expected ==1.16.0")])
def test_a_package_that_is_missing_or_old_is_named(
    monkeypatch: pytest.MonkeyPatch, version: str | None, words: str
) -> None:
    real = metadata.version

    def pretend(name: str) -> str:
        if name != "aiortc":
            return real(name)
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(metadata, "version", pretend)
    assert f"aiortc {version or 'is'}" in failed(doctor.examine_basics())["packages"].found
    assert words in failed(doctor.examine_basics())["packages"].found


@pytest.mark.parametrize("damage", ["none", "cut", "hash", "no description"])
def test_weights_are_whole_or_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "tiny.safetensors"
    save_world(path, tiny_world(), {})
    table = json.loads(path.with_suffix(".json").read_text())
    table["weights_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
    if damage == "hash":
        table["weights_sha256"] = hashlib.sha256(b"something else").hexdigest()
    path.with_suffix(".json").write_text(json.dumps(table))
    if damage == "no description":
        path.with_suffix(".json").unlink()
    findings = doctor.examine_machine(ServerSettings(), worlds=(str(path),))
    assert list(failed(findings)) == ([] if damage == "none" else [f"weights of {path}"])


# A server -------------------------------------------------------------------------------------------------------------


async def test_a_server_that_is_well_shows_pictures_both_ways(serve: Serve) -> None:
    async with serve(warm_up=True) as server:
        await server.until(lambda: all(world.ready for world in server.state.worlds), within=8.0)
        findings = await doctor_server.examine_server(server.url)
        assert not failed(findings)
        assert [finding.check for finding in findings] == [
            "server alive",
            "worlds ready",
            "hello",
            "picture over WebRTC",
            "picture over the WebSocket",
        ]
        assert findings[3].found == "256x192"
        await server.freed()


async def test_nobody_there_is_named_at_once() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    assert list(failed(await doctor_server.examine_server(url))) == ["server alive"]
    assert list(failed(await doctor_server.examine_server("somewhere"))) == ["address"]


async def test_a_world_that_is_not_ready_is_named(serve: Serve) -> None:
    def load(name: str) -> WorldModel[object]:
        if name == "broken":
            raise OSError("no such weights")
        return ToyWorld()  # type: ignore[return-value]

    async with serve(worlds=("toy", "broken"), load=load) as server:
        await server.until(lambda: bool(list(server.state.worlds)[1].trouble))
        found = failed(await doctor_server.examine_server(server.url))
        assert list(found) == ["worlds ready"]
        assert "no such weights" in found["worlds ready"].found
        assert list(failed(await doctor_server.examine_server(server.url, world="broken"))) == ["worlds ready", "hello"]


async def test_a_lock_a_full_house_and_a_wrong_name_are_named(serve: Serve) -> None:
    async with serve(auth="on", secret=SECRET) as server:
        (hello,) = failed(await doctor_server.examine_server(server.url)).values()
        assert "unauthorized" in hello.found
        assert "worldloom token" in hello.remedy
    async with serve(max_sessions=1) as server, server.client() as client:
        await client.hello()
        (hello,) = failed(await doctor_server.examine_server(server.url)).values()
        assert "busy" in hello.found
    async with serve(hosts=()) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        (alive,) = failed(await doctor_server.examine_server(url)).values()
        assert "421" in alive.found


@pytest.mark.usefixtures("no_udp")
async def test_a_server_without_udp_still_shows_pictures(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_server, "PICTURE_S", 1.0)
    async with serve() as server:
        findings = await doctor_server.examine_server(server.url)
        assert list(failed(findings)) == ["picture over WebRTC"]
        assert findings[-1].state == "ok"
        await server.freed()


# STUN and TURN --------------------------------------------------------------------------------------------------------


@pytest.fixture
def coturn(tmp_path: Path) -> Iterator[int]:
    """A real TURN server; yields its port. It may take a moment to listen: requests are sent again."""
    with turn_server(tmp_path, "north", (51200, 51230)) as (port, _):
        yield port


async def test_stun_and_turn_servers_are_tried(coturn: int) -> None:
    def settings(secret: str) -> IceSettings:
        turn = (f"turn:127.0.0.1:{coturn}?transport=udp",)
        return IceSettings.model_validate({"stun": (f"stun:127.0.0.1:{coturn}",), "turn": turn, "turn_secret": secret})

    await asyncio.sleep(0.2)
    stun, turn = await doctor_server.examine_ice(settings("north"))
    assert turn.state == "ok"
    assert turn.found.startswith("relay 127.0.0.1:")
    assert stun.check.startswith("stun:")
    (turn,) = failed((await doctor_server.examine_ice(settings("south")))[1:]).values()
    assert "turn_secret" in turn.remedy


# The command ----------------------------------------------------------------------------------------------------------


def test_the_command_ends_with_1_and_prints_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worldloom.models.catalog.shipped_worlds", lambda: ())
    well = CliRunner().invoke(cli.app, ["doctor", "--json"])
    assert (well.exit_code, json.loads(well.output)["ok"]) == (0, True)
    ill = CliRunner().invoke(cli.app, ["doctor", "http://127.0.0.1:1", "--json"])
    assert (ill.exit_code, json.loads(ill.output)["ok"]) == (1, False)
    (finding,) = [one for one in json.loads(ill.output)["findings"] if one["state"] == "failed"]
    assert finding["check"] == "server alive"
    told = CliRunner().invoke(cli.app, ["doctor", "http://127.0.0.1:1"])
    assert told.exit_code == 1
    assert "server alive" in told.output
    assert "Start it" in told.output
