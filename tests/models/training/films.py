"""Recordings as a user would have them: films of the toy world, with a line of actions for each picture."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from worldloom.models.toy import TOY_ACTIONS
from worldloom.models.training.collect import record_episodes
from worldloom.models.training.simulators import open_simulator


def some_frames(
    count: int, seed: int, height: int = 64, width: int = 64
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """An episode of the toy: pictures and the action that was taken at each."""
    shard = record_episodes(open_simulator("toy", height, width), count, count, seed)
    return shard.frames, shard.actions


def write_film(path: Path, frames: NDArray[np.uint8], fps: int = 20) -> None:
    """An MP4, compressed so little that pictures can be told apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(fps), options={"crf": "12"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())


def write_lines(path: Path, actions: NDArray[np.float32]) -> None:
    rows = [dict(zip(TOY_ACTIONS.columns, map(float, row), strict=True)) for row in actions]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_recordings(
    folder: Path, lengths: list[int], **shape: int
) -> list[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Films `0.mp4`, `1.mp4`, ... with their lines; returns what is in them."""
    folder.mkdir(parents=True, exist_ok=True)
    episodes = [some_frames(length, seed, **shape) for seed, length in enumerate(lengths)]
    for k, (frames, actions) in enumerate(episodes):
        write_film(folder / f"{k}.mp4", frames)
        write_lines(folder / f"{k}.jsonl", actions)
    return episodes
