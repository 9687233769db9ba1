"""What a recording says of where it comes from: its manifest, and the mark in its pictures."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from worldloom.streamer import manifest, recordings
from worldloom.streamer.signing import ManifestSettings
from worldloom.streamer.verify import Verdict, verify

from .conftest import Serve
from .recorded import files_in, movie_of, only, stepper


async def recorded(serve: Serve, folder: Path, **settings: Any) -> Verdict:
    """Twenty frames, and what their movie says once the receipt is there."""
    async with serve(recordings=folder, **settings) as server, server.client() as client:
        driver = await stepper(client)
        await driver.ask("record", on=True)
        await driver.step(20)
        await driver.ask("record", on=False)
        verdict = verify(only(folder, "mp4"), ManifestSettings())
    assert not [name for name in files_in(folder) if name.endswith(".signing")]
    assert len(movie_of(folder)) >= 20
    return verdict


async def test_a_recording_is_signed_and_marked(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []

    def watched(path: Path, made: manifest.Made, settings: ManifestSettings) -> int:
        threads.append(threading.current_thread().name)
        return manifest.sign(path, made, settings)

    monkeypatch.setattr(recordings, "sign", watched)
    verdict = await recorded(serve, tmp_path, watermark_id=9)
    assert verdict.manifest is not None
    assert verdict.manifest.ours
    assert (verdict.manifest.about or {})["world"] == "toy"
    assert verdict.mark.ident == 9
    assert threads == ["worldloom-sign_0"]
    movie = only(tmp_path, "mp4")
    data = bytearray(movie.read_bytes())
    data[len(data) // 2] ^= 1
    movie.write_bytes(data)
    assert not verify(movie, ManifestSettings()).generated


async def test_a_session_that_ends_leaves_a_signed_recording(serve: Serve, tmp_path: Path) -> None:
    async with serve(recordings=tmp_path) as server, server.client() as client:
        driver = await stepper(client)
        await driver.ask("record", on=True)
        await driver.step(5)
        await client.send("bye")
        await client.closed()
    verdict = verify(only(tmp_path, "mp4"), ManifestSettings())
    assert verdict.manifest is not None
    assert verdict.manifest.ours, "the server waits for it"


async def test_settings_may_want_neither(serve: Serve, tmp_path: Path) -> None:
    verdict = await recorded(serve, tmp_path, watermark=False, manifest=ManifestSettings(sign=False))
    assert verdict.manifest is None
    assert not verdict.generated


async def test_without_the_library_recordings_go_on(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(manifest, "find_spec", lambda _: None)
    verdict = await recorded(serve, tmp_path)
    assert "worldloom[provenance]" in verdict.unexamined
    assert verdict.generated, "by its mark"
    assert "recordings will carry no manifest" in caplog.text


async def test_a_recording_that_cannot_be_signed_is_kept(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in the way").write_bytes(b"")
    wrong = ManifestSettings(folder=tmp_path / "in the way")
    (tmp_path / "recordings").mkdir()
    verdict = await recorded(serve, tmp_path / "recordings", manifest=wrong)
    assert verdict.manifest is None
    assert "carries no manifest" in caplog.text
