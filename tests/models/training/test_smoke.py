"""`make train-smoke`: the whole recipe at toy size, from the first recording to the last measurement, and it learns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from worldloom.models.training.counts import Counts
from worldloom.models.training.recipe import load_recipe
from worldloom.models.training.run import train
from worldloom.models.weights import load_world

from .learning import held_out_loss

COUNTS = Counts(
    contexts=60,
    rollouts=4,
    starts=20,
    drift_streams=2,
    drift_frames=60,
    drift_tail=24,
    long_streams=1,
    long_frames=60,
    long_tail=24,
    reader_frames=400,
    reader_steps=20,
)


@pytest.mark.smoke
@pytest.mark.timeout(600)
def test_the_whole_recipe_learns(tmp_path: Path) -> None:
    path = train("toy", folder=tmp_path, threads=1, counts=COUNTS)  # two threads meet at every operation
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    fresh, trained = held_out_loss(load_recipe("toy"), tmp_path)
    print(
        {"fresh": fresh, "trained": trained, **{key: metrics[key] for key in ("direction_accuracy", "next_frame_psnr")}}
    )
    assert trained < 0.7 * fresh
    # Of 40 clips, a coin gets 28 or more right once in a hundred times; a world that stands still gets none.
    assert metrics["direction_accuracy_real"]["turn"] == 1.0
    assert metrics["direction_accuracy"]["turn"] >= 28 / 40
    assert metrics["autoencoder_psnr"] > 20.0
    spec = load_world(path).spec
    assert spec.scenes  # moments of its recordings, by name
    assert replace(spec, looks=(), scenes=()) == load_recipe("toy").spec
    assert len(spec.looks) == 3, "measured on the recordings"
    assert (tmp_path / "report" / "dream.mp4").stat().st_size > 0
    assert json.loads((tmp_path / "data" / "train" / "balance.json").read_text())["frames"] == 400
