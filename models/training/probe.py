"""A probe: a small network that reads from a picture where the arm's hand is, trained on real frames only.

It is an instrument of the evaluation, never part of a world. Knows recordings and poses; nothing about dreams.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ..reader import half_size, reading_network
from .clips import Clips
from .metrics import Pictures
from .readers import disturb, open_kept, train_reader

FRAMES = 8_000
"""Training frames that the probe learns from: the first four shards, so that not all need to be recorded."""


@dataclass(frozen=True)
class ProbeConfig:
    """How a probe is trained; a cached one of another configuration is trained anew."""

    seed: int  # of the weights, the batches and the disturbances
    columns: int = 3  # leading columns of the poses that it reads
    frames: int = FRAMES  # recorded frames, from the first on
    samples: int = 6_000  # of these, evenly spread
    steps: int = 500  # batches
    batch: int = 64  # frames a batch
    lr: float = 2e-3  # peak learning rate


class Probe(nn.Module):
    """Pictures to poses."""

    def __init__(self, height: int, width: int, columns: int) -> None:
        super().__init__()
        self.network = reading_network(height, width, columns)
        self.mean = nn.Buffer(torch.zeros(columns))
        self.scale = nn.Buffer(torch.ones(columns))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H/2, W/2) in [-1, 1] -> (B, columns), standardised."""
        y: Tensor = self.network(x)
        return y

    @torch.inference_mode()
    def read(self, pictures: Pictures) -> NDArray[np.float32]:
        """(n, H, W, 3) -> (n, columns) in the units of the recorded poses."""
        parts = [self(half_size(pictures[k : k + 100])) for k in range(0, len(pictures), 100)]
        return (torch.cat(parts) * self.scale + self.mean).numpy()


def fit_probe(clips: Clips, config: ProbeConfig) -> Probe:
    """A probe trained on the first frames of a recording."""
    index = np.linspace(0, min(config.frames, len(clips)) - 1, config.samples).astype(np.int64)
    pictures = torch.cat([half_size(clips.take(part)) for part in np.array_split(index, max(1, len(index) // 200))])
    poses = torch.from_numpy(clips.poses[index, : config.columns])
    height, width = clips.shards[0].frames.shape[1:3]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        probe = Probe(height, width, config.columns)
        probe.mean.copy_(poses.mean(0))
        probe.scale.copy_(poses.std(0).clamp_min(1e-6))
        wanted = (poses - probe.mean) / probe.scale

        def loss() -> Tensor:
            chosen = torch.randint(0, len(pictures), (config.batch,))
            return F.mse_loss(probe(disturb(pictures[chosen])), wanted[chosen])

        return train_reader("probe", probe, loss, config.steps, config.lr)


def open_probe(path: Path, clips: Clips, config: ProbeConfig) -> Probe:
    """The probe in `path` if it was trained that way on pictures of that size, else a new one, saved there."""
    height, width = clips.shards[0].frames.shape[1:3]
    made = {**asdict(config), "height": height, "width": width}
    return open_kept(path, made, Probe(height, width, config.columns), lambda: fit_probe(clips, config))
