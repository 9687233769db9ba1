"""LeRobot's layout, version 3, as its own writer lays it out: two episodes in one table and one film."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from worldloom.models.toy import TOY_ACTIONS
from worldloom.models.training.clips import Clips
from worldloom.models.training.lerobot import read_dataset
from worldloom.models.training.metrics import psnr
from worldloom.models.training.own_recordings import import_recordings
from worldloom.models.training.recipe import Recipe

from .films import some_frames, write_film

pyarrow = pytest.importorskip("pyarrow")
import pyarrow.parquet as parquet  # noqa: E402

CAMERA = "observation.images.front"
LENGTHS = [30, 24]


def write_table(path: Path, columns: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(columns), path)


def write_dataset(folder: Path, names: Any = (*TOY_ACTIONS.columns,)) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns pictures and actions of the episodes, which follow one another in the same files."""
    episodes = [some_frames(length, seed) for seed, length in enumerate(LENGTHS)]
    frames, actions = (np.concatenate([episode[k] for episode in episodes]) for k in range(2))
    write_film(folder / f"videos/{CAMERA}/chunk-000/file-000.mp4", frames)
    columns: dict[str, Any] = {
        "action": list(actions),
        "episode_index": np.repeat([0, 1], LENGTHS),
        "frame_index": np.concatenate([np.arange(n) for n in LENGTHS]),
    }
    write_table(folder / "data/chunk-000/file-000.parquet", columns)
    begins = np.array([0, LENGTHS[0]])
    rows: dict[str, Any] = {
        "episode_index": [0, 1],
        "length": LENGTHS,
        "data/chunk_index": [0, 0],
        "data/file_index": [0, 0],
    }
    rows |= {f"videos/{CAMERA}/chunk_index": [0, 0], f"videos/{CAMERA}/file_index": [0, 0]}
    rows |= {f"videos/{CAMERA}/from_timestamp": begins / 20.0}
    write_table(folder / "meta/episodes/chunk-000/file-000.parquet", rows)
    info = {
        "codebase_version": "v3.0",
        "fps": 20,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": {
            "action": {"dtype": "float32", "shape": [6], "names": list(names) if isinstance(names, tuple) else names},
            CAMERA: {"dtype": "video", "shape": [64, 64, 3], "names": ["height", "width", "channels"]},
        },
    }
    (folder / "meta/info.json").write_text(json.dumps(info))
    return episodes


@pytest.fixture
def own(toy_recipe: Recipe) -> Recipe:
    data = replace(toy_recipe.data, simulator="own", directions={}, holdout=10)
    return replace(toy_recipe, data=data)


@pytest.mark.parametrize("names", [(*TOY_ACTIONS.columns,), {"motors": [*TOY_ACTIONS.columns]}, None])
def test_episodes_arrive_with_their_pictures_and_actions(own: Recipe, tmp_path: Path, names: Any) -> None:
    episodes = write_dataset(tmp_path / "set", names)
    import_recordings(own, tmp_path / "set", tmp_path / "data")
    clips = Clips.open(tmp_path / "data" / "train")
    assert len(clips) == sum(LENGTHS) - 10
    assert np.diff(clips.episodes).nonzero()[0].tolist() == [LENGTHS[0] - 1]
    np.testing.assert_allclose(clips.actions[: LENGTHS[0]], episodes[0][1], atol=1e-6)
    frames = np.concatenate([frames for frames, _ in episodes])[: len(clips)]
    got = clips.take(np.arange(len(clips)))
    assert psnr(got, frames).mean() > psnr(got[1:], frames[:-1]).mean() + 5.0
    assert psnr(got[LENGTHS[0] :], frames[LENGTHS[0] :]).mean() > 25.0  # found by its time in the film


def test_columns_are_found_by_their_names(own: Recipe, tmp_path: Path) -> None:
    episodes = write_dataset(tmp_path, tuple(reversed(TOY_ACTIONS.columns)))
    actions = own.spec.actions
    loose = replace(actions, buttons=(), axes=tuple(replace(actions.axes[0], name=name) for name in actions.columns))
    film = read_dataset(replace(own, spec=replace(own.spec, actions=loose)), tmp_path)[0]
    np.testing.assert_allclose(film.actions, episodes[0][1][:, ::-1], atol=1e-6)


def change_info(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "meta/info.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def second_camera(folder: Path) -> None:
    path = folder / "meta/info.json"
    info = json.loads(path.read_text())
    info["features"]["observation.images.side"] = info["features"][CAMERA]
    path.write_text(json.dumps(info))


def one_row_less(folder: Path) -> None:
    path = folder / "data/chunk-000/file-000.parquet"
    parquet.write_table(parquet.read_table(path).slice(0, sum(LENGTHS) - 1), path)


def not_a_number(folder: Path) -> None:
    path = folder / "data/chunk-000/file-000.parquet"
    table = parquet.read_table(path)
    rows = table.column("action").to_pylist()
    rows[17][4] = float("nan")
    write_table(path, {"action": rows, "episode_index": table.column("episode_index")})


def no_actions(folder: Path) -> None:
    path = folder / "data/chunk-000/file-000.parquet"
    parquet.write_table(parquet.read_table(path).drop_columns("action"), path)


def damaged(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (path,) = folder.glob(name)
        path.write_bytes(path.read_bytes()[:100])

    return damage


def lost(name: str) -> Callable[[Path], None]:
    def lose(folder: Path) -> None:
        (path,) = folder.glob(name)
        path.unlink()

    return lose


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (change_info(codebase_version="v2.1"), ["info.json", "v3.x", "v2.1"]),
        (change_info(fps=30), ["info.json", "expected fps 20", "30"]),
        (change_info(features={}), ["info.json", "action"]),
        (second_camera, ["info.json", "`camera`", "observation.images.side"]),
        (one_row_less, ["file-000.parquet, episode 1", "expected 24 rows", "got 23"]),
        (not_a_number, ["file-000.parquet, row 17", "turn", "a finite number", "nan"]),
        (no_actions, ["file-000.parquet", "expected columns", "'action'"]),
        (damaged("data/*/*.parquet"), ["file-000.parquet", "cannot be read"]),
        (damaged("meta/info.json"), ["info.json", "expected LeRobot's description"]),
        (damaged("videos/*/*/*.mp4"), ["file-000.mp4", "cannot be decoded"]),
        (lost("data/*/*.parquet"), ["data", "file-000.parquet"]),
        (lost("videos/*/*/*.mp4"), ["file-000.mp4", "cannot be decoded"]),
        (lost("meta/episodes/*/*.parquet"), ["episodes", "found none"]),
    ],
)
def test_what_is_wrong_is_named(own: Recipe, tmp_path: Path, damage: Callable[[Path], None], words: list[str]) -> None:
    write_dataset(tmp_path / "set")
    damage(tmp_path / "set")
    with pytest.raises(ValueError, match=r".") as refused:
        import_recordings(own, tmp_path / "set", tmp_path / "data")
    assert all(word in str(refused.value) for word in words), str(refused.value)


def test_columns_that_the_dataset_does_not_have(own: Recipe, tmp_path: Path) -> None:
    write_dataset(tmp_path, ("a", "b", "c", "d", "e", "f"))
    with pytest.raises(ValueError, match=r"expected action columns \['forward'.*got \['a'"):
        read_dataset(own, tmp_path)


def test_without_pyarrow_it_says_what_to_install(own: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(RuntimeError, match=r"worldloom\[lerobot\]"):
        read_dataset(own, tmp_path)
