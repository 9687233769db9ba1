"""A session that is stepped to be recorded, and what the files of its recording say."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from worldloom.models.toy import ToyWorld
from worldloom.streamer.wire import unpack_frame

from .conftest import Client


class Stepper:
    """Drives a lockstep session and remembers what it did and saw."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.seq = 0
        self.rows: list[list[float]] = []
        self.pictures: list[np.ndarray[Any, Any]] = []
        self.notices: list[dict[str, Any]] = []

    async def ask(self, type: str, **fields: Any) -> dict[str, Any]:
        self.seq += 1
        await self.client.send(type, seq=self.seq, **fields)
        return await self.client.expect("receipt", seq=self.seq)

    async def step(self, count: int) -> None:
        """So many frames, each with another action; all of them have been encoded when this returns."""
        for _ in range(count):
            row = [float(len(self.rows) % 2), 0.0, 0.0, 0.0, 0.25 * (len(self.rows) % 7), 0.0]
            self.rows.append(row)
            self.seq += 1
            await self.client.send("step", seq=self.seq, actions=[row])
        for _ in range(count):
            while isinstance(message := await self.client.any(), dict):
                self.notices += [message] if message["type"] == "notice" else []
            _, pixels = unpack_frame(message)
            self.pictures.append(np.frombuffer(pixels, np.uint8).reshape(96, 128, 3))

    async def noticed(self) -> dict[str, Any]:
        """What the server says unasked."""
        return self.notices[0] if self.notices else await self.client.expect("notice")


async def stepper(client: Client, **fields: Any) -> Stepper:
    await client.hello(video="websocket", format="raw", mode="lockstep", seed=4, **fields)
    return Stepper(client)


def files_in(folder: Path) -> dict[str, int]:
    """Bytes by name."""
    return {path.name: path.stat().st_size for path in folder.iterdir()}


def only(folder: Path, ending: str) -> Path:
    (path,) = folder.glob(f"*.{ending}")
    return path


def log_of(folder: Path, type: str | None = None) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in only(folder, "jsonl").read_text().splitlines()]
    return [line for line in lines if type is None or line["type"] == type]


def movie_of(folder: Path) -> list[tuple[int, np.ndarray[Any, Any]]]:
    """(pts, picture) of every frame of the only movie."""
    with av.open(io.BytesIO(only(folder, "mp4").read_bytes()), "r") as file:
        return [
            (picture.pts, picture.to_ndarray(format="rgb24"))
            for picture in file.decode(video=0)
            if picture.pts is not None
        ]


def replayed(folder: Path) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
    """(frame, picture) of every frame, made anew from the log and the state."""
    world = ToyWorld()
    (header,) = log_of(folder, "recording")
    state = world.load((folder / header["state"]).read_bytes())
    before: dict[int, bytes] = {}
    for line in log_of(folder):
        if line["type"] == "reset":
            state = world.start(seed=line["seed"], prompt=line["prompt"])
        elif line["type"] == "rewind":
            state = world.load(before[line["to"]])
        elif line["type"] == "frame":
            before[line["frame"]] = world.save(state)
            yield line["frame"], world.step([state], np.array([[line["action"]]], np.float32))[0, 0]
