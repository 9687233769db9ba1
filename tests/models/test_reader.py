"""What is read from pictures of the arm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from worldloom.models.reader import FILE, OPENED, TaskDone, load_reader, save_reader
from worldloom.models.training.clips import Clips, Shard
from worldloom.models.training.fit_reader import measure, trained_reader

from .tiny import tiny_world

needs_reader = pytest.mark.skipif(not FILE.exists(), reason="the reader is not installed")


@needs_reader
def test_the_reader_that_ships_answers_one_picture_as_many() -> None:
    reader, hook = load_reader(), TaskDone()
    pictures = np.random.default_rng(0).integers(0, 255, (5, 128, 128, 3), np.uint8)
    read = reader.read(pictures)
    assert read.hand.shape == read.thing.shape == (5, 3)
    assert ((read.success >= 0) & (read.success <= 1)).all()
    together = hook.batch(None, None, pictures, None)
    assert [hook(pictures[k], None, pictures[k], None) for k in range(5)] == together.tolist()
    assert (together == (read.success >= 0.5)).all()


def test_a_missing_reader_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="copy it with its world"):
        load_reader(tmp_path / "none.safetensors")


@pytest.mark.parametrize("tasks", [1, 3])
def test_a_reader_is_trained_measured_and_saved(tasks: int, tmp_path: Path) -> None:
    rng, autoencoder = np.random.default_rng(0), tiny_world().autoencoder
    poses = rng.normal(0.6, 0.1, (12, 7)).astype(np.float32)
    flags = np.stack([np.zeros(12), np.arange(12) % 4 == 0, np.arange(12) % tasks], 1).astype(np.float32)
    done = poses[:, 5] <= OPENED
    if tasks > 1:  # whose recordings say what is done
        poses, done = np.concatenate([poses, flags], 1), flags[:, 1] > 0.0
    frames = rng.integers(0, 255, (12, 32, 48, 3), np.uint8)
    shard = Shard(frames, np.zeros((12, 3), np.float32), poses, np.zeros(12, np.int64))
    shard.save(tmp_path / "train" / "0000")
    clips = Clips.open(tmp_path / "train")
    reader = trained_reader(autoencoder, clips, tasks, frames=12, batches=3)
    np.testing.assert_allclose(reader.mean, poses[:, [0, 1, 2, 4, 5, 6]].mean(0), rtol=1e-5)
    reader.holdout = found = measure(reader, autoencoder, clips)
    assert found["done"] == int(done[::2].sum())
    assert found["recorded"]["missed"] <= found["done"]
    assert reader.kinds == tasks
    save_reader(reader, tmp_path / "reader.safetensors")
    again = load_reader(tmp_path / "reader.safetensors")
    np.testing.assert_allclose(again.read(frames).thing, reader.read(frames).thing, atol=0.02)
    assert again.read(frames).kind.max() < tasks
    assert again.holdout == found
