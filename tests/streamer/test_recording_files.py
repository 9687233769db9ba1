"""The files of a recording: what the log says of a start picture, and what becomes of a log with a hole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from worldloom.streamer.errors import RecordingFailed
from worldloom.streamer.origin import Origin
from worldloom.streamer.recording_files import Folder, RecordingFiles, Row, Start
from worldloom.streamer.transports.movie import Movie


def begun(folder: Path) -> RecordingFiles:
    files = RecordingFiles(Folder(folder, 2**20), "one", 2**20, Movie(height=64, width=96, period=3000))
    files.begin(Start(3, Origin(1), b"state"), {})
    return files


def row(frame: int, origin: Origin | None = None) -> Row:
    return Row(frame, frame * 3000, 0, np.array([0.5, 0.1], np.float32), origin)


def log_of(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "one.jsonl").read_text().splitlines()]


def test_a_start_picture_is_kept_beside_the_log(tmp_path: Path) -> None:
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    files = begun(tmp_path)
    files.write([row(2), row(3), row(4, Origin(7, None, picture))], None)
    files.end([row(5)], "stopped")
    _, first, reset, *rest, last = log_of(tmp_path)
    assert first["frame"] == 3, "what was made before is left out"
    assert reset == {"type": "reset", "frame": 4, "seed": 7, "prompt": None, "image": "one.4.png"}
    assert [line["frame"] for line in rest] == [4, 5]
    assert last["frame"] == 6
    with Image.open(tmp_path / "one.4.png") as kept:
        assert np.array_equal(np.asarray(kept), picture)
    assert (np.array(first["action"], np.float32) == row(3).actions).all(), "to the bit"
    assert not (tmp_path / "one.mp4").exists(), "a movie without a picture is none"


def test_a_log_with_a_hole_ends(tmp_path: Path) -> None:
    files = begun(tmp_path)
    files.write([replace(row(3), steps=1)], None)
    with pytest.raises(RecordingFailed, match="expected frame 4, got 5"):
        files.write([row(5)], None)
    files.end([row(6)], "recording_failed")
    assert [line.get("frame") for line in log_of(tmp_path)] == [3, 3, 4]
    assert log_of(tmp_path)[1]["steps"] == 1


def test_a_memory_that_was_made_anew_is_told_before_its_frame(tmp_path: Path) -> None:
    files = begun(tmp_path)
    files.write([row(3), replace(row(4), rebuilt=True)], None)
    files.end([row(5)], "stopped")
    told = [(line["type"], line.get("frame")) for line in log_of(tmp_path)][1:-1]
    assert told == [("frame", 3), ("rebuilt", 4), ("frame", 4), ("frame", 5)]
