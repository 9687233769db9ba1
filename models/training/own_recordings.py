"""Recordings that somebody else made, into the shards that the stages read: `worldloom train NAME --data DIR`.

Two layouts are understood. MP4 files, each with a `.jsonl` of the same name beside it: one line a picture, an object
with a number for each of the world's action columns (this module). And LeRobot's, version 3 (lerobot.py). Either way
line i is the action taken at picture i, which leads to picture i + 1.

All actions are read and checked before the first picture is decoded. Whatever is wrong is a ValueError that names the
file, the line, what was expected and what was found. Knows files and pictures; nothing about training.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from ..spec import ActionSpec, Image
from .clips import Shard, shard_stems
from .recipe import Recipe

SHARD = 2_000  # frames in a shard
RATE = 0.01  # share by which a film's frame rate may differ from the world's
SLACK = 1e-3  # share of a column's range by which a value may lie outside


@dataclass(frozen=True)
class Film:
    """A stretch of a video with an action for each of its pictures."""

    path: Path  # the video
    actions: NDArray[np.float32]  # (n, A)
    start: float | None = None  # seconds into the video at which it begins; None: it is the whole video


def import_recordings(recipe: Recipe, source: Path, folder: Path) -> None:
    """Write `train` and `holdout` under `folder`: the last pictures are held out, the others train.

    Importing the same files again does nothing.

    Raises:
        ValueError: what is in `source` is damaged, or does not fit the recipe; or `folder` holds something else.
    """
    if recipe.data.simulator != "own":
        raise ValueError(f'the recipe of {recipe.spec.name!r} records by itself: expected simulator = "own" for --data')
    if recipe.data.directions:
        raise ValueError("recordings of one's own have no battery: expected no [data.directions]")
    listing = _listing(source)
    note = folder / "source.json"
    if note.exists():
        if json.loads(note.read_text()) != listing:
            raise ValueError(f"{folder} was imported from other files: remove it, or choose another --folder")
        return
    if shard_stems(folder / "train"):
        raise ValueError(f"{folder} holds recordings of an engine: remove it, or choose another --folder")
    films = read_films(recipe, source)
    total, held = sum(len(film.actions) for film in films), recipe.data.holdout
    if total <= held:
        raise ValueError(f"{source}: expected more pictures than the {held} that are held out, got {total}")
    unfinished = folder / "importing"  # what is damaged is often found half-way; nothing half is left under a good name
    shutil.rmtree(unfinished, ignore_errors=True)
    frames = _frames(recipe, films)
    _write(unfinished / "train", frames, total - held)
    _write(unfinished / "holdout", frames, held)
    next(frames, None)  # sees whether the last film ends with its lines
    for name in ("train", "holdout"):
        (unfinished / name).rename(folder / name)
    unfinished.rmdir()
    note.write_text(json.dumps(listing) + "\n")


def read_films(recipe: Recipe, source: Path) -> list[Film]:
    """All films in a folder, in the order of their names.

    Raises:
        ValueError: there are none, or something is wrong with one.
    """
    if (source / "meta" / "info.json").exists():
        from .lerobot import read_dataset

        return read_dataset(recipe, source)
    videos = sorted(source.glob("*.mp4"))
    if not videos:
        raise ValueError(
            f"{source}: expected *.mp4 with *.jsonl beside them, or meta/info.json of LeRobot; found neither"
        )
    return [Film(video, read_lines(recipe.spec.actions, video.with_suffix(".jsonl"))) for video in videos]


def read_lines(actions: ActionSpec, path: Path) -> NDArray[np.float32]:
    """(n, A) the actions in a file of JSON lines.

    Raises:
        ValueError: the file is missing, or a line is not what it should be.
    """
    if not path.exists():
        raise ValueError(f"{path}: expected the actions of {path.with_suffix('.mp4').name}, found no such file")
    rows = []
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            rows.append(_row(actions, line, f"{path}, line {number}"))
    values = np.array(rows, np.float32).reshape(len(rows), len(actions.columns))
    check_actions(actions, values, lambda row: f"{path}, line {row + 1}")
    return values


def _row(actions: ActionSpec, line: str, where: str) -> list[float]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{where}: expected a JSON object, got {line.strip()[:60]!r} ({error})") from error
    if not isinstance(found, dict) or found.keys() != set(actions.columns):
        got = sorted(found) if isinstance(found, dict) else type(found).__name__
        raise ValueError(f"{where}: expected an object with {sorted(actions.columns)}, got {got}")
    for name in actions.columns:
        if not isinstance(found[name], int | float):
            raise ValueError(f"{where}: {name}: expected a number, got {found[name]!r}")
    return [float(found[name]) for name in actions.columns]


def check_actions(actions: ActionSpec, values: NDArray[np.float32], where: Any) -> None:
    """See that actions (n, A) are finite and in range; `where` says which line a row stands in.

    Raises:
        ValueError: the first that is not.
    """
    low, high = actions.low, actions.high
    slack = SLACK * (high - low)
    wrong = ~(np.isfinite(values) & (values >= low - slack) & (values <= high + slack))
    for row, column in np.argwhere(wrong)[:1]:
        name, value = actions.columns[column], values[row, column]
        wanted = f"{low[column]:g} to {high[column]:g}" if math.isfinite(value) else "a finite number"
        raise ValueError(f"{where(row)}: {name}: expected {wanted}, got {value:g}")


def pictures(film: Film, height: int, width: int, fps: Fraction) -> Iterator[Image]:
    """The film's pictures, cut to the shape that is wanted about their middle, and averaged to its size.

    Raises:
        ValueError: the video cannot be decoded, runs at another rate, or has too few or too many pictures.
    """
    wanted, shown = len(film.actions), 0
    try:
        with av.open(str(film.path)) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate
            if rate is None or abs(float(rate / fps) - 1.0) > RATE:
                raise ValueError(f"{film.path}: expected {float(fps):g} pictures a second, got {float(rate or 0):g}")
            begin = (film.start or 0.0) - 0.5 / float(fps)
            if film.start and stream.time_base:
                container.seek(int(begin / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                if film.start is not None and frame.time is not None and frame.time < begin:
                    continue
                if shown == wanted:
                    if film.start is None:  # a stretch of a longer video ends before the video does
                        raise ValueError(f"{film.path}: expected {wanted} pictures, one a line of actions, got more")
                    break
                shown += 1
                yield _fitted(Pillow.fromarray(frame.to_ndarray(format="rgb24")), height, width)
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"{film.path}: expected a video, got what cannot be decoded ({error})") from error
    if shown < wanted:
        raise ValueError(f"{film.path}: expected {wanted} pictures, one a line of actions, got {shown}")


def _fitted(picture: Pillow.Image, height: int, width: int) -> Image:
    scale = min(picture.width / width, picture.height / height)
    left, top = (picture.width - scale * width) / 2.0, (picture.height - scale * height) / 2.0
    box = (left, top, left + scale * width, top + scale * height)
    return np.asarray(picture.resize((width, height), Pillow.Resampling.BOX, box=box), np.uint8)


def _frames(recipe: Recipe, films: Iterable[Film]) -> Iterator[tuple[Image, NDArray[np.float32], int]]:
    """(picture, action, number of the film) of all films."""
    spec = recipe.spec
    for number, film in enumerate(films):
        for picture, row in zip(pictures(film, spec.height, spec.width, spec.fps), film.actions, strict=True):
            yield picture, row, number


def _write(folder: Path, frames: Iterator[tuple[Image, NDArray[np.float32], int]], count: int) -> None:
    """The next `count` frames, into shards."""
    for index, first in enumerate(range(0, count, SHARD)):
        some = [next(frames) for _ in range(min(SHARD, count - first))]
        images, rows, numbers = zip(*some, strict=True)
        episodes = np.array(numbers, np.int64)
        Shard(np.stack(images), np.stack(rows), np.zeros((len(some), 0), np.float32), episodes).save(
            folder / f"{index:04d}"
        )


def _listing(source: Path) -> dict[str, list[int]]:
    """Which files are there, with their sizes and times."""
    if not source.is_dir():
        raise ValueError(f"{source}: expected a folder of recordings, found none")
    files = sorted(path for path in source.rglob("*") if path.is_file())
    return {str(path.relative_to(source)): [path.stat().st_size, path.stat().st_mtime_ns] for path in files}
