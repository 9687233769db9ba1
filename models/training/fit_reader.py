"""Trains the reader of the `arm` that ships (reader.py) on recorded frames, and says how well it reads held-out ones.

    python -m worldloom.models.training.fit_reader runs/arm/data

Success is the engine's own, recorded where there are several tasks, and else what follows from the handle's pose.
Every other frame is shown as the world's autoencoder gives it back, for dreams are soft. Knows recordings and
pictures; nothing about environments.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from ..catalog import open_world
from ..reader import FILE, OPENED, Reader, half_size
from ..world import DiTWorld
from .clips import Clips
from .dream import reconstruct
from .readers import disturb, train_reader
from .simulators import DONE, KIND

POSE_COLUMNS = (0, 1, 2, 4, 5, 6)
"""Of a recorded pose: hand x, y, z and thing x, y, z."""


def fit_reader(world: DiTWorld, clips: Clips, *, samples: int, steps: int, seed: int = 0) -> Reader:
    """A reader trained on so many frames, evenly spread, for so many batches of 64."""
    index = np.linspace(0, len(clips) - 1, min(samples, len(clips))).astype(np.int64)
    shown, (poses, done, kinds) = _shown(world, clips, index), _labels(clips, index)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = Reader(world.spec.height, world.spec.width, int(kinds.max()) + 1)
        reader.mean.copy_(poses.mean(0))
        reader.scale.copy_(poses.std(0).clamp_min(1e-6))
        wanted = (poses - reader.mean) / reader.scale

        def loss() -> Tensor:
            chosen = torch.randint(0, len(shown), (64,))
            columns, success, told = reader(disturb(shown[chosen]))
            total = F.mse_loss(columns, wanted[chosen])
            total = total + F.binary_cross_entropy_with_logits(success, done[chosen])
            return total + F.cross_entropy(told, kinds[chosen]) if reader.kinds > 1 else total

        return train_reader("reader", reader, loss, steps, 2e-3)


def measure(reader: Reader, world: DiTWorld, clips: Clips) -> dict[str, Any]:
    """How it reads held-out frames, as they were recorded and as the autoencoder gives them back."""
    index = np.arange(0, len(clips), 2)
    pictures = clips.take(index)
    poses, done, kinds = (labels.numpy() for labels in _labels(clips, index))
    found: dict[str, Any] = {"frames": len(index), "done": int(done.sum())}
    for name, shown in (("recorded", pictures), ("autoencoder", reconstruct(world, pictures))):
        read = reader.read(shown)
        said, places = read.success >= 0.5, np.concatenate([read.hand, read.thing], 1)
        found[name] = {
            "median_error_cm": np.round(100.0 * np.median(np.abs(places - poses), 0), 2).tolist(),
            "missed": int((~said & (done == 1)).sum()),
            "false_alarms": int((said & (done == 0)).sum()),
            "other_kinds": int((read.kind != kinds).sum()),
        }
    return found


def save_reader(reader: Reader, path: Path, about: dict[str, Any]) -> None:
    """Write it, in half precision, with what was measured of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.half().contiguous() for name, value in reader.state_dict().items()}
    save_file(tensors, path, {"about": json.dumps(about)})
    path.chmod(0o644)  # safetensors writes files that only their owner may read


def _shown(world: DiTWorld, clips: Clips, index: NDArray[np.int64]) -> Tensor:
    parts = []
    for part in np.array_split(index, max(1, len(index) // 200)):
        pictures = clips.take(part)
        pictures[::2] = reconstruct(world, pictures[::2])
        parts.append(half_size(pictures))
    return torch.cat(parts)


def _labels(clips: Clips, index: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
    """Places (n, 6) in metres, success (n,), and kinds (n,)."""
    poses = torch.from_numpy(clips.poses[index])
    places = poses[:, POSE_COLUMNS]
    if poses.shape[1] > KIND:
        return places, poses[:, DONE], poses[:, KIND].long()
    return places, (places[:, 4] <= OPENED).float(), torch.zeros(len(poses), dtype=torch.int64)


def main(data: Path) -> None:
    """Train on `data/train`, measure on `data/holdout`, and put it where the package looks for it."""
    world = open_world("arm")
    assert isinstance(world, DiTWorld)
    reader = fit_reader(world, Clips.open(data / "train"), samples=12_000, steps=3_000)
    size = {"height": world.spec.height, "width": world.spec.width, "kinds": reader.kinds}
    found = measure(reader, world, Clips.open(data / "holdout"))
    save_reader(reader, FILE, {**size, "holdout": found})
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
