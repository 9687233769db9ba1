"""Writes a LeRobot v3 dataset of dreams: what a policy saw, did and got, episode after episode.

    python examples/record_lerobot.py --world arm --episodes 4 --frames 60 --out dreams      # pip install pyarrow

The layout is LeRobot's: one Parquet file of frames, one MP4 of all pictures, and `meta`, which describes them. A row
holds the observation and the action that was taken at it; rewards and ends are those of the step that followed. Actions
here are held at random for a while; give `record` a policy of your own.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from worldloom.client.env import WorldEnv

CAMERA = "observation.images.front"
FILE = "chunk-000/file-000"
SCALARS = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}

Policy = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def record(env: WorldEnv, policy: Policy, out: Path, *, episodes: int, seed: int, task: str) -> dict[str, Any]:
    """Play episodes and write them to a folder that does not exist yet; returns what `meta/info.json` says."""
    out.mkdir(parents=True)
    fps = Fraction(env.metadata["render_fps"]).limit_denominator(1000)
    table: dict[str, list[Any]] = {name: [] for name in (*SCALARS, "action", "next.reward", "next.done")}
    about: list[dict[str, Any]] = []
    pictures: list[NDArray[np.uint8]] = []
    with film(out / "videos" / CAMERA / f"{FILE}.mp4", fps, env) as show:
        for number in range(episodes):
            first, pictures = len(table["index"]), []
            for frame, (picture, action, reward, done) in enumerate(play(env, policy, seed + number)):
                show(picture)
                pictures.append(picture)
                row = (float(frame / fps), frame, number, first + frame, 0, action.tolist(), reward, done)
                for name, value in zip(table, row, strict=True):
                    table[name].append(value)
            span = slice(first, len(table["index"]))
            numbers = {name: np.asarray(values[span], np.float64) for name, values in table.items()}
            stats = {name: statistics(values) for name, values in numbers.items()}
            about.append(episode(number, first, span.stop, fps, task, stats | {CAMERA: of_pictures(pictures)}))
    return write(out, env, table, about, fps, task)


def play(
    env: WorldEnv, policy: Policy, seed: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32], float, bool]]:
    """One episode: what was seen, what was done at it, and what came of that."""
    picture, _ = env.reset(seed=seed)
    done = False
    while not done:
        action = policy(picture)
        following, reward, terminated, truncated, _ = env.step(action)
        done = terminated or truncated
        yield picture, action, reward, done
        picture = following


class film:
    """One MP4 to which pictures are added; every other one stands alone, so that any can be reached fast."""

    def __init__(self, path: Path, fps: Fraction, env: WorldEnv) -> None:
        path.parent.mkdir(parents=True)
        height, width, _ = env.observation_space.shape  # type: ignore[misc]
        self._container = av.open(str(path), "w")
        self._stream = self._container.add_stream("libx264", fps, options={"crf": "18", "g": "2"})
        self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, "yuv420p"

    def __enter__(self) -> Callable[[NDArray[np.uint8]], None]:
        return lambda picture: self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))

    def __exit__(self, *_: object) -> None:
        self._container.mux(self._stream.encode())
        self._container.close()


def statistics(values: NDArray[np.float64]) -> dict[str, list[Any]]:
    """Of (n,) or (n, k) numbers, each column for itself."""
    columns = values.reshape(len(values), -1)
    found = {name: getattr(columns, name)(0).tolist() for name in ("min", "max", "mean", "std")}
    for q in (1, 10, 50, 90, 99):
        found[f"q{q:02d}"] = np.percentile(columns, q, 0).tolist()
    return {**found, "count": [len(values)]}


def of_pictures(pictures: list[NDArray[np.uint8]]) -> dict[str, Any]:
    """Of each colour, from 0 to 1, shaped (3, 1, 1); of a hundred pictures at most."""
    some = np.stack(pictures[:: max(1, len(pictures) // 100)]).reshape(-1, 3) / 255.0
    found = statistics(some)
    return {name: [[[x]] for x in value] for name, value in found.items() if name != "count"} | {
        "count": [len(pictures)]
    }


def episode(
    number: int, first: int, end: int, fps: Fraction, task: str, stats: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """A row of `meta/episodes`."""
    video = {"chunk_index": 0, "file_index": 0, "from_timestamp": float(first / fps), "to_timestamp": float(end / fps)}
    return {
        "episode_index": number,
        "tasks": [task],
        "length": end - first,
        "data/chunk_index": 0,
        "data/file_index": 0,
        "dataset_from_index": first,
        "dataset_to_index": end,
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
        **{f"videos/{CAMERA}/{name}": value for name, value in video.items()},
        **{f"stats/{key}/{name}": value for key, found in stats.items() for name, value in found.items()},
    }


def write(
    out: Path, env: WorldEnv, table: dict[str, list[Any]], about: list[dict[str, Any]], fps: Fraction, task: str
) -> dict[str, Any]:
    """Everything but the pictures."""
    action = pa.list_(pa.float32(), len(env.columns))
    kinds = {"action": action, "next.reward": pa.float32(), "next.done": pa.bool_()}
    kinds |= {name: getattr(pa, kind)() for name, kind in SCALARS.items()}
    _parquet(out / "data" / f"{FILE}.parquet", pa.table({n: pa.array(v, kinds[n]) for n, v in table.items()}))
    _parquet(out / "meta" / "episodes" / f"{FILE}.parquet", pa.Table.from_pylist(about))
    index = {"index_columns": ["__index_level_0__"], "columns": [], "column_indexes": []}  # as pandas writes an index
    tasks = pa.table({"task_index": [0], "__index_level_0__": [task]})
    _parquet(out / "meta" / "tasks.parquet", tasks.replace_schema_metadata({"pandas": json.dumps(index)}))
    whole = {name: statistics(np.asarray(values, np.float64)) for name, values in table.items()}
    (out / "meta" / "stats.json").write_text(json.dumps(whole | {CAMERA: _together(about)}, indent=1))
    info = described(env, len(about), len(table["index"]), fps)
    (out / "meta" / "info.json").write_text(json.dumps(info, indent=1))
    return info


def described(env: WorldEnv, episodes: int, frames: int, fps: Fraction) -> dict[str, Any]:
    """What `meta/info.json` says."""
    height, width, _ = env.observation_space.shape  # type: ignore[misc]
    rate = int(fps) if fps.denominator == 1 else float(fps)
    shown = {"video.height": height, "video.width": width, "video.codec": "h264", "video.pix_fmt": "yuv420p"}
    shown |= {"video.is_depth_map": False, "video.fps": rate, "video.channels": 3, "has_audio": False}
    features: dict[str, Any] = {
        CAMERA: {
            "dtype": "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
            "info": shown,
        },
        "action": {"dtype": "float32", "shape": [len(env.columns)], "names": list(env.columns)},
        "next.reward": {"dtype": "float32", "shape": [1], "names": None},
        "next.done": {"dtype": "bool", "shape": [1], "names": None},
    }
    features |= {name: {"dtype": kind, "shape": [1], "names": None} for name, kind in SCALARS.items()}
    return {
        "codebase_version": "v3.0",
        "robot_type": "dream",
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": 1,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": rate,
        "splits": {"train": f"0:{episodes}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": features,
    }


def _together(about: list[dict[str, Any]]) -> dict[str, Any]:
    """Statistics of all pictures, from those of the episodes; spreads and quantiles as the mean over episodes."""
    weights = [row["length"] for row in about]
    found: dict[str, Any] = {"count": [sum(weights)]}
    for name in ("min", "max", "mean", "std", "q01", "q10", "q50", "q90", "q99"):
        each = np.array([row[f"stats/{CAMERA}/{name}"] for row in about])
        how = {"min": each.min(0), "max": each.max(0)}
        found[name] = how.get(name, np.average(each, 0, weights)).tolist()
    return found


def _parquet(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def held(env: WorldEnv, seed: int) -> Policy:
    """Random actions, each held for a while."""
    env.action_space.seed(seed)
    rng = np.random.default_rng(seed)
    now: list[Any] = [None, 0]

    def policy(_: NDArray[np.uint8]) -> NDArray[np.float32]:
        if now[1] == 0:
            now[:] = [env.action_space.sample(), int(rng.integers(4, 20))]
        now[1] -= 1
        return np.asarray(now[0], np.float32)

    return policy


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="arm", help="a name, or a server's address")
    parser.add_argument("--episodes", type=int, default=4)
    parser.add_argument("--frames", type=int, default=60, help="of an episode at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--task", default="move about")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    env = WorldEnv(given.world, max_frames=given.frames)
    try:
        info = record(env, held(env, given.seed), given.out, episodes=given.episodes, seed=given.seed, task=given.task)
    finally:
        env.close()
    print(json.dumps({name: info[name] for name in ("total_episodes", "total_frames", "fps")}))


if __name__ == "__main__":
    main()
