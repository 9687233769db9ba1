"""Inverse dynamics: a small network that says from six frames which action was taken in their middle.

It sees how the picture moves (optical flow from each frame to the next, on a coarse grid) and a thumbnail of the
middle. Raw stacks of frames taught a network of that size little: macro F1 0.29 on held-out frames of `doom`.
Trained on real frames only, it reads dreams: what it finds there is what the dream did, whatever was asked. (Video
PreTraining, arXiv 2206.11795, had the idea of such a network; MineWorld, arXiv 2504.08388, of judging worlds by it.)
Its inner features are also what clips are compared by; see frechet.py. Knows recordings and actions, nothing of dreams.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from ..reader import halve
from ..spec import ActionSpec
from .clips import Clips
from .flow import Flow
from .metrics import Pictures, luma
from .readers import open_kept, train_reader

STACK = 6
"""Frames of a stack; the action between the third and the fourth is read. Those before show what moved already, those
after what came of it: engines answer with momentum."""

GRID = 8
"""Pixels of a cell of the coarse grid."""

FIELDS = 2 * (STACK - 1) + 1
"""Planes of a stack: the flow right and down between its frames, and the thumbnail."""

SPREAD = 2_000
"""Stacks of recordings over which the spread of features is measured."""

PART = 200
"""Frames that are looked at together in training: their flow at full size fits a small machine."""

FEATURES = 32
"""Numbers that the network keeps of a stack before it answers."""


@dataclass(frozen=True)
class InverseConfig:
    """How the network is trained; a cached one of another configuration is trained anew."""

    seed: int  # of the weights and the batches
    frames: int = 16_000  # recorded frames, from the first on
    steps: int = 2_000  # batches
    batch: int = 128  # stacks a batch
    lr: float = 2e-3  # peak learning rate


@dataclass(frozen=True)
class Key:
    """Something that is pressed or not: a button, or one side of an axis that does not turn the camera."""

    name: str
    column: int  # of an action row
    bar: float  # pressed when beyond this; a negative bar is passed downwards

    def pressed(self, rows: NDArray[np.float32]) -> NDArray[np.bool_]:
        """(..., A) -> (...)"""
        values = rows[..., self.column]
        return values > self.bar if self.bar > 0 else values < self.bar


def keys_of(actions: ActionSpec) -> list[Key]:
    """Buttons, pressed above one half; sides of axes, beyond half of their range. Looking is not a key."""
    keys = [Key(name, column, 0.5) for column, name in enumerate(actions.buttons)]
    for column, axis in enumerate(actions.axes, len(actions.buttons)):
        if axis.name not in actions.look:
            ends = {"+": axis.high, "-": axis.low}
            keys += [Key(axis.name + sign, column, end / 2.0) for sign, end in ends.items() if end]
    return keys


def looks_of(actions: ActionSpec) -> list[int]:
    """Columns that turn the camera, in degrees a frame."""
    return [actions.columns.index(name) for name in actions.look if name]


class Inverse(nn.Module):
    """Stacks of frames to action rows."""

    def __init__(self, height: int, width: int, actions: ActionSpec) -> None:
        super().__init__()
        cells = -(-height // (4 * GRID)) * -(-width // (4 * GRID))
        self.buttons = len(actions.buttons)
        self.network = nn.Sequential(
            nn.Conv2d(FIELDS, 48, 3, padding=1), nn.GroupNorm(8, 48), nn.SiLU(), *halve(48, 96), *halve(96, 96),
            nn.Flatten(), nn.Linear(96 * cells, 192), nn.SiLU(), nn.Linear(192, FEATURES), nn.SiLU(),
        )  # fmt: skip
        self.answer = nn.Linear(FEATURES, len(actions.columns))
        self.scale = nn.Buffer(torch.from_numpy(actions.scale))
        self.spread = nn.Buffer(torch.ones(FEATURES))  # deviation of each feature over training frames

    def forward(self, stacks: Tensor) -> tuple[Tensor, Tensor]:
        """(B, FIELDS, H/8, W/8) -> features (B, FEATURES); logits of buttons and scaled axes (B, A)."""
        features = self.network(stacks)
        return features, self.answer(features)

    def loss(self, stacks: Tensor, rows: Tensor) -> Tensor:
        """How wrong the answers are for true rows (B, A)."""
        _, said = self(stacks)
        wanted, n = rows / self.scale, self.buttons
        loss = F.smooth_l1_loss(said[:, n:], wanted[:, n:], beta=0.1) if n < said.shape[1] else said.sum() * 0.0
        return loss + F.binary_cross_entropy_with_logits(said[:, :n], wanted[:, :n]) if n else loss

    @torch.no_grad()
    def measure(self, stacks: Tensor) -> None:
        """Set `spread` from stacks of recordings; features that hardly ever change are not blown up to the others."""
        spread = self(stacks)[0].std(0)
        self.spread.copy_(spread.clamp_min(max(0.1 * float(spread.median()), 1e-6)))

    @torch.inference_mode()
    def read(self, clips: Iterable[Pictures]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """B clips (T, H, W, 3) -> features (B, T - 5, FEATURES) of unit spread, actions (B, T - 5, A) in their units.

        Row t is what led from frame t + 2 to frame t + 3.
        """
        features, rows = [], []
        for clip in clips:
            moved, seen = coarse(clip)
            inner, said = self(stacks(moved, seen, torch.arange(len(clip) - STACK + 1)))
            said[:, : self.buttons] = said[:, : self.buttons].sigmoid()
            features.append((inner / self.spread).numpy())
            rows.append((said * self.scale).numpy())
        return np.stack(features), np.stack(rows)


def coarse(clip: Pictures) -> tuple[Tensor, Tensor]:
    """(T, H, W, 3) -> flow into each frame (T, 2, H/8, W/8) in pixels, the first zero; thumbnails (T, H/8, W/8)."""
    fields = Flow(finest=1).fields(clip)
    moved = torch.from_numpy(np.concatenate([np.zeros_like(fields[:1]), fields])).movedim(-1, 1)
    seen = torch.from_numpy(luma(clip))[:, None] / 127.5 - 1.0
    return F.avg_pool2d(moved, GRID), F.avg_pool2d(seen, GRID)[:, 0]


def stacks(moved: Tensor, seen: Tensor, starts: Tensor) -> Tensor:
    """(B, FIELDS, h, w) what the network sees of the stacks that begin at `starts` of what `coarse` gave."""
    flow = moved[starts[:, None] + torch.arange(1, STACK)]
    return torch.cat([flow.flatten(1, 2), seen[starts + STACK // 2 - 1][:, None]], 1)


def fit_inverse(clips: Clips, actions: ActionSpec, config: InverseConfig) -> Inverse:
    """A network trained on the first frames of a recording. The flow into an episode's first frame is never used."""
    frames = min(config.frames, len(clips))
    parts = []
    for part in track(list(_parts(frames)), "look at the recordings", console=Console(stderr=True)):
        before = int(part[0] > 0)  # the flow into a part's first frame needs the frame before
        moved, seen = coarse(clips.take(np.arange(part[0] - before, part[-1] + 1)))
        parts.append((moved[before:], seen[before:]))
    moved, seen = (torch.cat(column) for column in zip(*parts, strict=True))
    windows = clips.windows(STACK)
    starts = torch.from_numpy(windows[windows + STACK <= frames])
    rows = torch.from_numpy(clips.leading)
    height, width = clips.shards[0].frames.shape[1:3]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = Inverse(height, width, actions)

        def loss() -> Tensor:
            chosen = starts[torch.randint(0, len(starts), (config.batch,))]
            return network.loss(stacks(moved, seen, chosen), rows[chosen + STACK // 2])

        train_reader("inverse dynamics", network, loss, config.steps, config.lr)
        network.measure(stacks(moved, seen, starts[:: max(1, len(starts) // SPREAD)]))
        return network


def open_inverse(path: Path, clips: Clips, actions: ActionSpec, config: InverseConfig) -> Inverse:
    """The network in `path` if it was trained that way for such pictures and actions, else a new one, saved there."""
    height, width = clips.shards[0].frames.shape[1:3]
    made = {**asdict(config), "height": height, "width": width, "columns": list(actions.columns)}
    return open_kept(path, made, Inverse(height, width, actions), lambda: fit_inverse(clips, actions, config))


def _parts(frames: int) -> Iterator[NDArray[np.int64]]:
    """0, 1, ... in parts whose pictures fit a small machine."""
    yield from np.array_split(np.arange(frames), max(1, frames // PART))
