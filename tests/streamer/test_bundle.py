"""Replay bundles as files: written and read again, and refused where they are hostile."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from worldloom.streamer import bundle as module
from worldloom.streamer.bundle import FRAMES, HEADER, STATE, BadBundle, Bundle, Event, Header, read

COLUMNS = ("forward", "turn")
HEAD = Header(
    world="toy",
    weights={"file": "toy.safetensors", "sha256": "0" * 64},
    versions={"torch": "2.13", "numpy": None},
    machine="a test",
    session="s",
    started="2026-11-21",
    fps=(35, 2),
    chunk=2,
    height=4,
    width=6,
    columns=COLUMNS,
    frame=10,
    events=(Event(frame=10, seed=3, image=0), Event(frame=14, to=12)),
)


def made(**changed: Any) -> Bundle:
    dice = np.random.default_rng(0)
    picture = dice.integers(0, 256, (2, 4, 6, 3), np.uint8)
    whole = Bundle(
        HEAD,
        dice.normal(size=(6, 2)).astype(np.float32),
        np.zeros(6, np.uint8),
        np.zeros((6, 8), np.uint8),
        picture,
        np.array([10, 14], np.int64),
        (picture[0],),
        b"state",
    )
    return replace(whole, **changed)


def parts(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "one.wloom"


@pytest.mark.parametrize("state", [b"state", None])
def test_a_bundle_is_read_as_it_was_written(path: Path, state: bytes | None) -> None:
    want = made(state=state)
    want.write(path)
    got = read(path)
    assert got.header == want.header
    for name in ("actions", "steps", "digests", "shown", "shown_at"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name))
    np.testing.assert_array_equal(got.images[0], want.images[0])
    assert got.state == state
    assert len(got) == 6
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def header(**changed: Any) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    def change(content: dict[str, bytes]) -> dict[str, bytes]:
        table = json.loads(content[HEADER]) | changed
        return content | {HEADER: json.dumps(table).encode()}

    return change


def tensors(**changed: NDArray[Any] | None) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    def change(content: dict[str, bytes]) -> dict[str, bytes]:
        one = made()
        whole: dict[str, NDArray[Any] | None] = {
            "actions": one.actions,
            "steps": one.steps,
            "digests": one.digests,
            "shown": one.shown,
            "shown_at": one.shown_at,
            "image.0": one.images[0],
        }
        left = {name: part for name, part in (whole | changed).items() if part is not None}
        return content | {FRAMES: save(left)}

    return change


def events(*told: dict[str, Any]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return header(events=list(told))


HOSTILE: dict[str, Callable[[dict[str, bytes]], dict[str, bytes]]] = {
    "a path out of the folder": lambda content: content | {"../../evil": b""},
    "a part too many": lambda content: content | {"code.py": b""},
    "no header": lambda content: {FRAMES: content[FRAMES]},
    "no frames": lambda content: {HEADER: content[HEADER]},
    "not JSON": lambda content: content | {HEADER: b"{"},
    "no tensors": lambda content: content | {FRAMES: b"\x80\x02pickle"},
    "tensors that end early": lambda content: content | {FRAMES: content[FRAMES][:-8]},
    "tensors whose header is huge": lambda content: content | {FRAMES: struct.pack("<Q", 2**60) + b"{}"},
    "an unknown field": header(run="rm"),
    "another format": header(format=2),
    "a text for a number": header(frame="10"),
    "a picture of another size": header(height=5),
    "gigantic pictures": header(height=10**6),
    "a name that is too long": header(world="w" * 100),
    "another chunk": header(chunk=4),
    "more columns": header(columns=["forward", "turn", "lever"]),
    "no frame at all": tensors(actions=np.zeros((0, 2), np.float32)),
    "a scalar": tensors(actions=np.array(1.0, np.float32)),
    "other types": tensors(actions=np.zeros((6, 2), np.float64)),
    "digests that are missing": tensors(digests=None),
    "fewer digests": tensors(digests=np.zeros((5, 8), np.uint8)),
    "a tensor too many": tensors(more=np.zeros(3)),
    "an image that is missing": tensors(**{"image.0": None}),
    "actions that are no numbers": tensors(actions=np.full((6, 2), np.nan, np.float32)),
    "an event before the beginning": events({"frame": 8, "seed": 1}),
    "an event after the end": events({"frame": 16, "seed": 1}),
    "an event within a chunk": events({"frame": 11, "seed": 1}),
    "events out of order": events({"frame": 14, "seed": 1}, {"frame": 12, "seed": 1}),
    "an event that says nothing": events({"frame": 12}),
    "an event that says two things": events({"frame": 12, "to": 10, "seed": 1}),
    "back to the future": events({"frame": 12, "to": 14}),
    "back to before the beginning": events({"frame": 12, "to": 8}),
    "a picture that is not there": events({"frame": 10, "seed": 1, "image": 1}),
    "neither state nor beginning": lambda content: {
        name: data for name, data in events()(content).items() if name != STATE
    },
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_bundle_is_refused(path: Path, how: str) -> None:
    made().write(path)
    zipped(path, HOSTILE[how](parts(path)))
    with pytest.raises(BadBundle):
        read(path)


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all" * 10, b"PK\x05\x06" + bytes(18)])
def test_what_is_no_zip_is_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(BadBundle):
        read(path)


def test_any_damage_is_refused_or_does_not_matter(path: Path) -> None:
    made().write(path)
    whole, dice = path.read_bytes(), np.random.default_rng(1)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        data[int(dice.integers(len(data)))] ^= int(dice.integers(1, 256))
        path.write_bytes(data)
        try:
            read(path)
        except BadBundle:
            refused += 1
    assert refused > 200


def test_sizes_are_bounded_whatever_is_said_of_them(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made().write(path)
    content = parts(path)
    bomb = zipped(path, content | {STATE: bytes(2**20)})
    assert bomb.stat().st_size < 2**13
    assert read(bomb).state == bytes(2**20)
    monkeypatch.setitem(module.LIMITS, STATE, 2**20 - 1)
    with pytest.raises(BadBundle, match="at most"):
        read(bomb)
    lying = bytearray(bomb.read_bytes())
    at = lying.index(b"PK\x01\x02", lying.rindex(FRAMES.encode()) - 100)
    while lying[at + 46 : at + 46 + len(STATE)] != STATE.encode():
        at = lying.index(b"PK\x01\x02", at + 1)
    lying[at + 24 : at + 28] = (5).to_bytes(4, "little")  # it unpacks to five bytes, it says
    bomb.write_bytes(lying)
    with pytest.raises(BadBundle):
        read(bomb)


def test_a_directory_of_a_million_names_is_not_read(path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for k in range(2000):
            archive.writestr(f"{k}", b"")
    path.write_bytes(out.getvalue())
    with pytest.raises(BadBundle, match="few parts"):
        read(path)
