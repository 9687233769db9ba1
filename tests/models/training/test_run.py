"""Stages in order: a world from recordings of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from worldloom.models.training.counts import Counts
from worldloom.models.training.recipe import RECIPES, load_recipe
from worldloom.models.training.run import train
from worldloom.models.weights import load_world, read_table

from .films import write_recordings
from .learning import held_out_loss

FEW = Counts(
    contexts=4,
    rollouts=4,
    starts=1,
    drift_streams=1,
    drift_frames=16,
    drift_tail=8,
    long_streams=1,
    long_frames=16,
    long_tail=8,
    reader_frames=200,
    reader_steps=4,
)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The toy's recipe for recordings that are there already, a little longer."""
    text = (RECIPES / "toy.toml").read_text()
    text = text[: text.index("[data.directions]")] + text[text.index("[autoencoder]") :]
    for old, new in (('"toy"', '"own"'), ("holdout = 200", "holdout = 90")):
        assert old in text
        text = text.replace(old, new)
    lines = [
        f"steps = {60 if 'steps' in line else 0}" if line.startswith("steps") else line for line in text.split("\n")
    ]
    path = tmp_path / "mine.toml"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.slow
def test_ones_own_recordings_teach_the_network(own: Path, tmp_path: Path) -> None:
    write_recordings(tmp_path / "films", [100, 100, 90])
    folder = tmp_path / "run"
    train(str(own), stages=("autoencoder", "dynamics"), folder=folder, data=tmp_path / "films", threads=1)
    fresh, trained = held_out_loss(load_recipe(str(own)), folder)
    assert trained < 0.9 * fresh
    assert json.loads((folder / "data" / "holdout" / "balance.json").read_text())["frames"] == 90


@pytest.mark.smoke
@pytest.mark.timeout(600)
def test_ones_own_recordings_become_a_world(own: Path, tmp_path: Path) -> None:
    # Two held-out episodes, for actions of another one are measured, each longer than a dreamed clip and what it knows.
    write_recordings(tmp_path / "films", [100, 100, 80, 80])
    own.write_text(own.read_text().replace("holdout = 90", "holdout = 160"))
    path = train(str(own), folder=tmp_path / "run", data=tmp_path / "films", threads=1, counts=FEW)
    about = read_table(path)
    assert about["licence"] == "as of the recordings"
    assert about["data"]["frames"] == 200
    assert "imported" in about["data"]["provenance"]
    assert about["metrics"]["next_frame_psnr"] > 0.0
    assert "direction_accuracy" not in about["metrics"]
    assert load_world(path).scenes


def test_no_such_recipe_without_recordings(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no recipe 'mine'"):
        train("mine", folder=tmp_path)
