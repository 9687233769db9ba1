from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from PIL import Image

from worldloom.models.training.clips import Clips
from worldloom.models.training.recipe import Recipe
from worldloom.models.training.report import (
    CLIPS,
    SHOWN,
    STEPS,
    STREAMS,
    STRIP,
    action_text,
    grid,
    label,
    paired,
    write_report,
    write_video,
)
from worldloom.models.world import DiTWorld

from .oracle import Oracle


@pytest.fixture
def replay(toy_recipe: Recipe, recordings: Path) -> DiTWorld:
    return cast(DiTWorld, Oracle(toy_recipe.spec, Clips.open(recordings / "data" / "holdout")))


def test_pairs_show_the_same_moment(replay: DiTWorld, recordings: Path) -> None:
    """The oracle dreams the recording itself, so truth and dream must be equal, frame by frame."""
    truth, dreamed, rows = paired(replay, Clips.open(recordings / "data" / "holdout"))
    assert truth.shape == (CLIPS, 64, 64, 64, 3)  # few windows of 4 + 96 frames fit into episodes of 100
    np.testing.assert_array_equal(truth, dreamed)
    assert rows.shape == (CLIPS, 64, 6)


@pytest.mark.slow
def test_a_whole_report(toy_recipe: Recipe, replay: DiTWorld, recordings: Path, tmp_path: Path) -> None:
    write_report(toy_recipe, recordings, replay, tmp_path / "report")
    shown = sum(n <= 64 for n in SHOWN)
    with Image.open(tmp_path / "report" / "pairs.png") as pairs:
        assert pairs.size == (64 * shown, (STRIP + 2 * 64) * CLIPS)
    with Image.open(tmp_path / "report" / "dreams.png") as dreams:
        assert dreams.size == (64 * STEPS, 64 * STREAMS)
        assert STEPS * STREAMS == 200
        assert np.asarray(dreams).std() > 10
    with av.open(str(tmp_path / "report" / "dream.mp4")) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == toy_recipe.spec.fps
        assert sum(1 for _ in video.decode(stream)) == CLIPS * 64


def test_a_video_shows_what_was_given(tmp_path: Path) -> None:
    frames = [np.full((32, 48, 3), level, np.uint8) for level in (20, 120, 220)]
    write_video(tmp_path / "v.mp4", frames, Fraction(35, 2))
    with av.open(str(tmp_path / "v.mp4")) as video:
        levels = [float(frame.to_ndarray(format="rgb24").mean()) for frame in video.decode(video=0)]
    assert levels == pytest.approx([20, 120, 220], abs=4)


def test_a_video_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"):
        write_video(tmp_path / "v.mp4", [], Fraction(20))


def test_grid_reads_left_to_right_and_pads_with_black() -> None:
    pictures = np.stack([np.full((2, 3, 3), n, np.uint8) for n in range(1, 6)])
    sheet = grid(pictures, 3)
    assert sheet.shape == (4, 9, 3)
    assert sheet[::2, ::3, 0].tolist() == [[1, 2, 3], [4, 5, 0]]


def test_action_text_names_what_is_not_at_rest(toy_recipe: Recipe) -> None:
    row = np.array([1, 0, 0, 0, -2.5, 0.01], np.float32)
    assert action_text(row, toy_recipe.spec.actions) == "forward turn-2.5"
    assert action_text(np.zeros(6, np.float32), toy_recipe.spec.actions) == ""


def test_labels_are_legible_and_differ() -> None:
    one, two = label("real", "x+1.0", 128), label("dreamed", "x-1.0", 128)
    assert one.shape == (STRIP, 128, 3)
    assert one.max() > 200
    assert (one != two).any()
