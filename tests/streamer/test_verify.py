"""`worldloom verify`: files of ours, of nobody, and of people who mean no good."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from worldloom.streamer.__main__ import app
from worldloom.streamer.manifest import Made, sign
from worldloom.streamer.signing import ManifestSettings
from worldloom.streamer.verify import PIXELS, Unreadable, verify

from .test_manifest import movie  # noqa: F401
from .test_watermark import IDENT, marked, pictures

SETTINGS = ManifestSettings()


def said(path: Path) -> tuple[int, dict[str, object]]:
    result = CliRunner().invoke(app, ["verify", str(path), "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_a_signed_movie_and_a_tampered_one(movie: Path) -> None:  # noqa: F811
    sign(movie, Made("toy", None, "recorded"), SETTINGS)
    code, table = said(movie)
    assert (code, table["generated"]) == (0, True)
    assert table["reason"] == "the manifest says that it is generated, signed by us"
    data = bytearray(movie.read_bytes())
    data[-200] ^= 1
    movie.write_bytes(data)
    code, table = said(movie)
    assert (code, table["generated"]) == (1, False)
    assert "does not validate" in str(table["reason"])


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_one_picture_is_told_by_its_mark(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "named.anything"
    Image.fromarray(marked(pictures(1))[0]).save(path, kind, quality=90, subsampling=0)
    verdict = verify(path, SETTINGS)
    assert verdict.mark.ident == IDENT
    assert verdict.generated
    assert "mark" in verdict.reason


def test_what_says_nothing_is_told_so(tmp_path: Path, movie: Path) -> None:  # noqa: F811
    path = tmp_path / "plain.png"
    Image.fromarray(pictures(1)[0]).save(path)
    for one in (path, movie):
        code, table = said(one)
        assert code == 1
        assert "neither" in str(table["reason"])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n",
        b"\x00\x00\x00\x18ftypisom" + bytes(200),
        b"\x1a\x45\xdf\xa3" + bytes(200),
        b"\x89PNG\r\n\x1a\n" + bytes(50),
        b"\xff\xd8\xff" + bytes(50),
    ],
)
def test_hostile_and_short_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(data)
    result = CliRunner().invoke(app, ["verify", str(path)])
    assert result.exit_code in (1, 2)
    assert not isinstance(result.exception, (RuntimeError, ValueError)), result.exception


def test_a_movie_cut_short_is_read_as_far_as_it_goes(tmp_path: Path, movie: Path) -> None:  # noqa: F811
    data = movie.read_bytes()
    movie.write_bytes(data[: len(data) // 2])
    assert verify(movie, SETTINGS).manifest is None


def test_enormous_pictures_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.fromarray(np.zeros((1, PIXELS + 1), np.uint8)).save(path)
    with pytest.raises(Unreadable, match="at most"):
        verify(path, SETTINGS)
    assert CliRunner().invoke(app, ["verify", str(tmp_path / "absent")]).exit_code == 2
