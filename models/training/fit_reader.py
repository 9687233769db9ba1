"""The reading stage: learn what the engine would have said of pictures (reader.py), and say how well it is read.

Success is the engine's own, recorded where there are several tasks, and else what follows from the handle's pose.
Every other frame is shown as the world's autoencoder gives it back, for dreams are soft. Knows recordings and
pictures; nothing about environments.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..autoencoder import Autoencoder
from ..reader import OPENED, Reader, half_size, load_reader, save_reader
from .clips import Clips
from .dream import reconstruct
from .fit_autoencoder import load_autoencoder
from .hands import things_of
from .readers import disturb, train_reader
from .recipe import Recipe
from .simulators import DONE, KIND

POSE_COLUMNS = (0, 1, 2, 4, 5, 6)
"""Of a recorded pose: hand x, y, z and thing x, y, z."""

FRAMES, BATCHES = 12_000, 3_000
"""Recorded frames of each task that are read, and batches of 64 of them."""

REHEARSED = 24
"""Frames instead, where a recipe counts steps: these are as many batches."""

FILE = "reader.safetensors"
"""In a run's folder."""


def fit_reader(recipe: Recipe, folder: Path, device: torch.device) -> None:
    """Train once; `folder/reader.safetensors` is the result. A recipe with [hand] needs it from then on.

    Raises:
        FileNotFoundError: the autoencoder stage has not run.
    """
    assert recipe.hand is not None, "the recipe has no [hand]"
    path, kinds, steps = folder / FILE, max(1, len(things_of(recipe))), recipe.hand.steps
    if path.exists():
        return
    autoencoder = load_autoencoder(recipe, folder, device)
    frames, batches = (REHEARSED, steps) if steps else (FRAMES * kinds, BATCHES)
    clips = Clips.open(folder / "data" / "train")
    reader = trained_reader(autoencoder, clips, kinds, frames=frames, batches=batches, seed=recipe.data.seed)
    reader.holdout = measure(reader, autoencoder, Clips.open(folder / "data" / "holdout"))
    print(f"reader {recipe.spec.name}: {reader.holdout}", flush=True)
    save_reader(reader, path)


def trained_reader(
    autoencoder: Autoencoder, clips: Clips, kinds: int, *, frames: int, batches: int, seed: int = 0
) -> Reader:
    """A reader of so many kinds, trained on so many frames, evenly spread, for so many batches of 64."""
    index = np.linspace(0, len(clips) - 1, min(frames, len(clips))).astype(np.int64)
    shown, (poses, done, kind) = _shown(autoencoder, clips, index), _labels(clips, index)
    height, width = clips.shards[0].frames.shape[1:3]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = Reader(height, width, kinds)
        reader.mean.copy_(poses.mean(0))
        reader.scale.copy_(poses.std(0).clamp_min(1e-6))
        wanted = (poses - reader.mean) / reader.scale

        def loss() -> Tensor:
            chosen = torch.randint(0, len(shown), (64,))
            columns, success, told = reader(disturb(shown[chosen]))
            total = F.mse_loss(columns, wanted[chosen])
            total = total + F.binary_cross_entropy_with_logits(success, done[chosen])
            return total + F.cross_entropy(told, kind[chosen]) if kinds > 1 else total

        return train_reader("reader", reader, loss, batches, 2e-3)


def measure(reader: Reader, autoencoder: Autoencoder, clips: Clips) -> dict[str, Any]:
    """How it reads held-out frames, as they were recorded and as the autoencoder gives them back."""
    index = np.arange(0, len(clips), 2)
    pictures = clips.take(index)
    poses, done, kinds = (labels.numpy() for labels in _labels(clips, index))
    found: dict[str, Any] = {"frames": len(index), "done": int(done.sum())}
    for name, shown in (("recorded", pictures), ("autoencoder", reconstruct(autoencoder, pictures))):
        read = reader.read(shown)
        said, places = read.success >= 0.5, np.concatenate([read.hand, read.thing], 1)
        found[name] = {
            "median_error_cm": np.round(100.0 * np.median(np.abs(places - poses), 0), 2).tolist(),
            "missed": int((~said & (done == 1)).sum()),
            "false_alarms": int((said & (done == 0)).sum()),
            "other_kinds": int((read.kind != kinds).sum()),
        }
    return found


def load_read(recipe: Recipe, folder: Path) -> Reader:
    """The trained network.

    Raises:
        FileNotFoundError: the reading stage has not run.
    """
    if not (folder / FILE).exists():
        raise FileNotFoundError(f"expected {folder / FILE}; run the motion stage of {recipe.spec.name} first")
    return load_reader(folder / FILE)


def _shown(autoencoder: Autoencoder, clips: Clips, index: NDArray[np.int64]) -> Tensor:
    parts = []
    for part in np.array_split(index, max(1, len(index) // 200)):
        pictures = clips.take(part)
        pictures[::2] = reconstruct(autoencoder, pictures[::2])
        parts.append(half_size(pictures))
    return torch.cat(parts)


def _labels(clips: Clips, index: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
    """Places (n, 6) in metres, success (n,), and kinds (n,)."""
    poses = torch.from_numpy(clips.poses[index])
    places = poses[:, POSE_COLUMNS]
    if poses.shape[1] > KIND:
        return places, poses[:, DONE], poses[:, KIND].long()
    return places, (places[:, 4] <= OPENED).float(), torch.zeros(len(poses), dtype=torch.int64)
