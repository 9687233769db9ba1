"""LeRobot's layout of recordings, version 3: many episodes in a file, tables in Parquet, pictures in MP4.

`meta/info.json` names the features, the frame rate and where files lie; `meta/episodes` says which rows and which
seconds of which file belong to an episode. Needs `pyarrow`. Knows that layout; nothing about pictures or training.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .own_recordings import RATE, Film, check_actions
from .recipe import Recipe


def read_info(source: Path) -> dict[str, Any]:
    """`meta/info.json`.

    Raises:
        ValueError: it is damaged, of another version, or something is missing in it.
    """
    path = source / "meta" / "info.json"
    try:
        info: dict[str, Any] = json.loads(path.read_text())
        version, features = str(info["codebase_version"]), info["features"]
        float(info["fps"]), str(info["data_path"]), str(info["video_path"]), features["action"]["shape"][0]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"{path}: expected LeRobot's description of a dataset with actions and videos: {error!r}"
        ) from error
    if not version.startswith("v3."):
        raise ValueError(f"{path}: expected codebase_version v3.x, got {version}; LeRobot has a script that converts")
    return info


def action_names(info: dict[str, Any]) -> list[str] | None:
    """What the dataset calls its action columns, if anything. Some say {"motors": [...]}, some a plain list."""
    names = info["features"]["action"].get("names")
    if isinstance(names, dict):
        names = next(iter(names.values()), None)
    return [str(name) for name in names] if isinstance(names, list) else None


def camera(info: dict[str, Any], wanted: str, where: Path) -> str:
    """The video feature that shows the world.

    Raises:
        ValueError: it is not there, or there are several and none was named.
    """
    found = [name for name, feature in info["features"].items() if feature.get("dtype") == "video"]
    if wanted in found:
        return wanted
    if not wanted and len(found) == 1:
        return found[0]
    asked = f"the video {wanted!r}" if wanted else "one video, or `camera` in [data] to choose"
    raise ValueError(f"{where}: expected {asked}, got {found}")


def read_dataset(recipe: Recipe, source: Path) -> list[Film]:
    """All episodes of a dataset.

    Raises:
        ValueError: something is damaged, missing, or does not fit the recipe.
        RuntimeError: `pyarrow` is not installed.
    """
    info = read_info(source)
    where = source / "meta" / "info.json"
    if abs(float(info["fps"]) / float(recipe.spec.fps) - 1.0) > RATE:
        raise ValueError(f"{where}: expected fps {float(recipe.spec.fps):g}, got {info['fps']}")
    order = _order(recipe, info, where)
    video = camera(info, recipe.data.camera, where)
    tables: dict[Path, tuple[NDArray[np.int64], NDArray[np.float32]]] = {}
    films = []
    for episode in _episodes(source, video):
        path = source / str(info["data_path"]).format(
            chunk_index=episode["data/chunk_index"], file_index=episode["data/file_index"]
        )
        if path not in tables:
            tables = {path: _rows(path, info)}  # episodes come in the order of their files
        numbers, actions = tables[path]
        rows = np.flatnonzero(numbers == episode["episode_index"])
        if len(rows) != episode["length"]:
            name = f"{path}, episode {episode['episode_index']}"
            raise ValueError(f"{name}: expected {episode['length']} rows, got {len(rows)}")
        chosen = np.ascontiguousarray(actions[rows][:, order])
        check_actions(recipe.spec.actions, chosen, lambda k, rows=rows, path=path: f"{path}, row {rows[k]}")
        film = source / str(info["video_path"]).format(
            video_key=video,
            chunk_index=episode[f"videos/{video}/chunk_index"],
            file_index=episode[f"videos/{video}/file_index"],
        )
        films.append(Film(film, chosen, float(episode[f"videos/{video}/from_timestamp"])))
    return films


def all_actions(source: Path) -> NDArray[np.float32]:
    """(n, A) the actions of all episodes, as the dataset orders them."""
    info = read_info(source)
    paths = sorted((source / "data").glob("*/*.parquet"))
    if not paths:
        raise ValueError(f"{source / 'data'}: expected chunk-*/file-*.parquet, found none")
    return np.concatenate([_rows(path, info)[1] for path in paths])


def _order(recipe: Recipe, info: dict[str, Any], where: Path) -> list[int]:
    """Where in the dataset's actions the world's columns stand: by name, or in order where it has no names."""
    columns, names = recipe.spec.actions.columns, action_names(info)
    size = int(info["features"]["action"]["shape"][0])
    if names is None and size == len(columns):
        return list(range(size))
    missing = [name for name in columns if name not in (names or [])]
    if missing:
        raise ValueError(f"{where}: expected action columns {list(columns)}, got {names or f'{size} without names'}")
    return [(names or []).index(name) for name in columns]


def _episodes(source: Path, video: str) -> list[dict[str, Any]]:
    """One row for each episode, in order."""
    columns = ["episode_index", "length", "data/chunk_index", "data/file_index"]
    columns += [f"videos/{video}/{part}" for part in ("chunk_index", "file_index", "from_timestamp")]
    paths = sorted((source / "meta" / "episodes").glob("*/*.parquet"))
    if not paths:
        raise ValueError(f"{source / 'meta' / 'episodes'}: expected chunk-*/file-*.parquet, found none")
    rows = [row for path in paths for row in _read(path, columns).to_pylist()]
    return sorted(rows, key=lambda row: row["episode_index"])


def _rows(path: Path, info: dict[str, Any]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(n,) number of the episode and (n, A) action of all rows of a file."""
    table = _read(path, ["episode_index", "action"])
    size = int(info["features"]["action"]["shape"][0])
    rows = table.column("action").to_pylist()
    for number, row in enumerate(rows):
        got = len(row) if isinstance(row, list) else type(row).__name__
        if got != size:
            raise ValueError(f"{path}, row {number}: expected an action of {size} numbers, got {got}")
    return np.asarray(table.column("episode_index"), np.int64), np.array(rows, np.float32).reshape(-1, size)


def _read(path: Path, columns: list[str]) -> Any:
    """Some columns of a Parquet file."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise RuntimeError("LeRobot's tables need pyarrow: pip install 'worldloom[lerobot]'") from error
    try:
        there = parquet.read_schema(path).names
        missing = [name for name in columns if name not in there]
        if missing:
            raise ValueError(f"{path}: expected columns {columns}, got {there}")
        return parquet.read_table(path, columns=columns)
    except (OSError, pyarrow.ArrowException) as error:
        raise ValueError(f"{path}: expected a Parquet file, got what cannot be read ({error})") from error
