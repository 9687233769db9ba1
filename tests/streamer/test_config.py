"""Settings: the file in the repository is the defaults, and who wins over whom."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

import worldloom.streamer
from worldloom.streamer.config import ServerSettings, load

SHIPPED = Path(worldloom.streamer.__path__[0]).parent / "configs" / "server.toml"


def test_shipped_file_is_the_defaults() -> None:
    assert load(SHIPPED).model_dump() == ServerSettings().model_dump()


def test_shipped_file_names_every_setting() -> None:
    written = tomllib.loads(SHIPPED.read_text())
    defaults = ServerSettings().model_dump()
    assert written.keys() == {name for name, value in defaults.items() if value is not None}
    assert written["webrtc"].keys() == defaults["webrtc"].keys()
    assert written["webrtc"]["encoder"].keys() == defaults["webrtc"]["encoder"].keys()
    assert written["websocket"].keys() == defaults["websocket"].keys()
    assert written["images"].keys() == defaults["images"].keys()


def test_command_line_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "server.toml"
    path.write_text('port = 1\nmax_sessions = 2\nworlds = ["toy"]\n[webrtc.encoder]\npreset = "superfast"\n')
    monkeypatch.setenv("WORLDLOOM_MAX_SESSIONS", "3")
    monkeypatch.setenv("WORLDLOOM_WEBRTC__ENCODER__BITRATE_MAX", "500000")
    settings = load(path, port=4, host=None)
    assert (settings.port, settings.max_sessions, settings.host) == (4, 3, "127.0.0.1")
    assert settings.worlds == ("toy",)
    assert settings.webrtc.encoder.bitrate_max == 500_000
    assert settings.webrtc.encoder.preset == "superfast"


@pytest.mark.parametrize("line", ["prot = 1", "port = 70000", "port = 'a'", "[webrtc]\nspeed = 1", "port = = 1"])
def test_mistakes_are_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "server.toml"
    path.write_text(line)
    with pytest.raises((ValidationError, ValueError)):
        load(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere.toml"):
        load(tmp_path / "nowhere.toml")
