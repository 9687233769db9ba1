"""MP4 with JSON lines: what is sound arrives frame by frame, what is not is named with file and line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from worldloom.models.training.clips import Clips
from worldloom.models.training.collect import collect
from worldloom.models.training.metrics import psnr
from worldloom.models.training.own_recordings import Film, import_recordings, pictures
from worldloom.models.training.recipe import Recipe

from .films import some_frames, write_film, write_recordings


@pytest.fixture
def own(toy_recipe: Recipe) -> Recipe:
    """The toy's recipe for recordings that are there already, with 20 pictures held out."""
    data = replace(toy_recipe.data, simulator="own", directions={}, holdout=20)
    return replace(toy_recipe, data=data)


def test_films_become_episodes_and_the_last_pictures_are_held_out(own: Recipe, tmp_path: Path) -> None:
    episodes = write_recordings(tmp_path / "films", [40, 30])
    import_recordings(own, tmp_path / "films", tmp_path / "data")
    train, holdout = Clips.open(tmp_path / "data" / "train"), Clips.open(tmp_path / "data" / "holdout")
    assert (len(train), len(holdout)) == (50, 20)
    assert np.diff(train.episodes).nonzero()[0].tolist() == [39]
    rows = np.concatenate([actions for _, actions in episodes])
    np.testing.assert_allclose(np.concatenate([train.actions, holdout.actions]), rows, atol=1e-6)
    frames = np.concatenate([frames for frames, _ in episodes])
    got = np.concatenate([train.take(np.arange(50)), holdout.take(np.arange(20))])
    right, shifted = psnr(got, frames), psnr(got[1:], frames[:-1])
    assert right.mean() > 25.0
    assert right.mean() > shifted.mean() + 5.0  # each is itself, not its neighbour


def test_importing_again_does_nothing_and_other_files_are_refused(own: Recipe, tmp_path: Path) -> None:
    films, data = tmp_path / "films", tmp_path / "data"
    write_recordings(films, [60])
    import_recordings(own, films, data)
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    import_recordings(own, films, data)
    collect(own, data)  # as a later stage or an evaluation would
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before
    write_recordings(films, [60, 5])
    with pytest.raises(ValueError, match="imported from other files"):
        import_recordings(own, films, data)


def test_recordings_of_an_engine_are_not_mixed_with_ones_own(own: Recipe, recordings: Path, tmp_path: Path) -> None:
    write_recordings(tmp_path, [30])
    with pytest.raises(ValueError, match="recordings of an engine"):
        import_recordings(own, tmp_path, recordings / "data")
    assert not (recordings / "data" / "source.json").exists()


def test_a_recipe_that_records_by_itself_takes_no_data(toy_recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='simulator = "own"'):
        import_recordings(toy_recipe, tmp_path, tmp_path / "data")


def test_without_data_it_says_what_is_missing(own: Recipe, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected recordings"):
        collect(own, tmp_path)


def change_line(number: int, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "0.jsonl"
        lines = path.read_text().splitlines()
        assert old in lines[number - 1]
        lines[number - 1] = lines[number - 1].replace(old, new)
        path.write_text("\n".join(lines) + "\n")

    return change


def drop_line(folder: Path) -> None:
    path = folder / "0.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def repeat_line(folder: Path) -> None:
    path = folder / "0.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[-1]]))


def cut_film(folder: Path) -> None:
    path = folder / "0.mp4"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def forget_lines(folder: Path) -> None:
    (folder / "0.jsonl").unlink()


def forget_film(folder: Path) -> None:
    (folder / "0.mp4").unlink()


def other_rate(folder: Path) -> None:
    write_film(folder / "0.mp4", some_frames(30, 0)[0], fps=25)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (change_line(3, '"lever": 0.0', '"lever": NaN'), ["0.jsonl, line 3", "lever", "a finite number", "nan"]),
        (change_line(4, '"lever": 0.0', '"lever": 7'), ["0.jsonl, line 4", "lever", "-1 to 1", "got 7"]),
        (change_line(2, '"lever": 0.0', '"lever": "up"'), ["0.jsonl, line 2", "lever", "a number", "'up'"]),
        (change_line(5, '"lever"', '"leaver"'), ["0.jsonl, line 5", "'lever'", "'leaver'"]),
        (change_line(6, "{", "["), ["0.jsonl, line 6", "JSON object"]),
        (change_line(1, "{", '{"extra": 1, '), ["0.jsonl, line 1", "'extra'"]),
        (drop_line, ["0.mp4", "expected 29 pictures", "got more"]),
        (repeat_line, ["0.mp4", "expected 31 pictures", "got 30"]),
        (cut_film, ["0.mp4", "cannot be decoded"]),
        (forget_lines, ["0.jsonl", "no such file"]),
        (forget_film, ["*.mp4", "found neither"]),
        (other_rate, ["0.mp4", "expected 20 pictures a second", "got 25"]),
    ],
)
def test_what_is_wrong_is_named(own: Recipe, tmp_path: Path, damage: Callable[[Path], None], words: list[str]) -> None:
    write_recordings(tmp_path / "films", [30])
    damage(tmp_path / "films")
    with pytest.raises(ValueError, match=r".") as refused:
        import_recordings(own, tmp_path / "films", tmp_path / "data")
    assert all(word in str(refused.value) for word in words), str(refused.value)
    shutil.rmtree(tmp_path / "films")
    write_recordings(tmp_path / "films", [30])  # mended, it is taken
    import_recordings(own, tmp_path / "films", tmp_path / "data")
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["holdout", "source.json", "train"]


def test_too_few_pictures_to_hold_any_out(own: Recipe, tmp_path: Path) -> None:
    write_recordings(tmp_path / "films", [20])
    with pytest.raises(ValueError, match="more pictures than the 20"):
        import_recordings(own, tmp_path / "films", tmp_path / "data")


def test_a_folder_that_is_not_there(own: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a folder"):
        import_recordings(own, tmp_path / "nowhere", tmp_path / "data")


def test_films_of_another_shape_are_cut_about_their_middle(own: Recipe, tmp_path: Path) -> None:
    frames = np.zeros((4, 128, 256, 3), np.uint8)
    frames[:, :, 64:192] = 200  # the middle square
    write_film(tmp_path / "0.mp4", frames)
    film = Film(tmp_path / "0.mp4", np.zeros((4, 6), np.float32))
    shown = np.stack(list(pictures(film, 64, 64, own.spec.fps)))
    assert shown.shape == (4, 64, 64, 3)
    assert shown[:, :, 2:-2].min() > 180
