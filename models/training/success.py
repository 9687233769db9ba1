"""Success of a task: does a dream end with it done (the drawer open) when, under the same actions, the engine does?

A small network learns from recorded frames whether the simulator calls them a success, and reads the last picture of
each dreamed attempt. Knows recordings, poses and Meta-World's own rule; nothing of engines or dreams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ..autoencoder import to_signed
from ..reader import reading_network
from .clips import Clips
from .dream import spread
from .metrics import Pictures
from .readers import disturb, open_kept, train_reader
from .simulators import DONE, KIND, THING

TARGET = np.array([0.54, 0.09])
"""Metres: depth and height of the handle of the open drawer; across it does not move."""

NEAR = 0.03
"""Metres from there within which Meta-World calls the task done."""


def succeeded(poses: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(n, P) -> (n,) the simulator's success flag: recorded, or of a drawer alone by its own rule.

    That is `SawyerDrawerOpenEnvV3.evaluate_state`.
    """
    if poses.shape[1] > DONE:
        return poses[:, DONE] > 0.5
    return np.hypot(*(poses[:, THING][:, 1:] - TARGET).T) <= NEAR


@dataclass(frozen=True)
class SuccessConfig:
    """How the classifier is trained; a cached one of another configuration is trained anew."""

    seed: int  # of the weights, the batches and the disturbances
    frames: int = 48_000  # recorded frames, from the first on
    each: int = 2_000  # of these, of successes and of failures in each task, evenly spread
    steps: int = 1_200  # batches
    batch: int = 66  # frames a batch, as many of successes as of failures, of all tasks alike
    shift: int = (
        12  # pictures are moved by up to one so-manieth of their size, each way: what counts is what is beside what
    )
    lr: float = 2e-3  # peak learning rate


class SuccessReader(nn.Module):
    """Pictures to logits. It sees every pixel: a goal is a few of them large."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.network = reading_network(height, width, 1, channels=12)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B,), above 0 where the task looks done."""
        y: Tensor = self.network(F.pixel_unshuffle(x, 2))
        return y[:, 0]

    @torch.inference_mode()
    def read(self, pictures: Pictures) -> NDArray[np.float32]:
        """(n, H, W, 3) -> (n,)."""
        parts = [self(to_signed(torch.from_numpy(pictures[k : k + 100]))) for k in range(0, len(pictures), 100)]
        return np.asarray(torch.cat(parts).numpy())


def fit_success(clips: Clips, config: SuccessConfig) -> SuccessReader:
    """A classifier trained on the first frames of a recording.

    Raises:
        ValueError: they show no success, or nothing else.
    """
    frames = min(config.frames, len(clips))
    poses = clips.poses[:frames]
    done = succeeded(poses)
    if not 0 < done.sum() < frames:
        raise ValueError(
            f"expected successes and failures in {frames} recorded frames, got {int(done.sum())} of success"
        )
    task = poses[:, KIND] if poses.shape[1] > KIND else np.zeros(frames)
    groups = [(np.flatnonzero((task == k) & (done == said)), said) for k in np.unique(task) for said in (True, False)]
    groups = [(index, said) for index, said in groups if len(index)]
    shown = [torch.from_numpy(clips.take(spread(index, config.each))) for index, _ in groups]
    each = max(1, config.batch // len(groups))
    wanted = torch.tensor([float(said) for _, said in groups]).repeat_interleave(each)
    height, width = clips.shards[0].frames.shape[1:3]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = SuccessReader(height, width)

        def loss() -> Tensor:
            chosen = torch.cat([pictures[torch.randint(0, len(pictures), (each,))] for pictures in shown])
            return F.binary_cross_entropy_with_logits(
                network(disturb(_shifted(to_signed(chosen), config.shift))), wanted
            )

        return train_reader("success classifier", network, loss, config.steps, config.lr)


def _shifted(x: Tensor, share: int) -> Tensor:
    """Pictures (B, C, H, W), each moved by up to one `share`th of its size; what leaves comes in on the other side."""
    height, width = x.shape[2:]
    down, right = (torch.randint(-(size // share), size // share + 1, (len(x),)).tolist() for size in (height, width))
    return torch.stack([one.roll(by, (1, 2)) for one, by in zip(x, zip(down, right, strict=True), strict=True)])


def open_success(path: Path, clips: Clips, config: SuccessConfig) -> SuccessReader:
    """The classifier in `path` if it was trained that way on pictures of that size, else a new one, saved there."""
    height, width = clips.shards[0].frames.shape[1:3]
    made = {**asdict(config), "height": height, "width": width}
    return open_kept(path, made, SuccessReader(height, width), lambda: fit_success(clips, config))


def agreement(
    reader: SuccessReader, dreamed: Pictures, real: Pictures, poses: NDArray[np.float32], tasks: Sequence[str] = ()
) -> dict[str, Any]:
    """Precision and recall of success, in the last pictures of dreams and of the engine (the ceiling).

    Of several tasks also the confusion of each.

    Args:
        reader: says which pictures show a success.
        dreamed: (n, H, W, 3) last pictures of dreamed attempts.
        real: (n, H, W, 3) last pictures of the engine under the same actions.
        poses: (n, P) the engine's last poses, which say what was true.
        tasks: by their numbers in the poses.
    """
    true = succeeded(poses)
    result: dict[str, Any] = {"success_attempts": len(true), "success_engine": int(true.sum())}
    for suffix, pictures in (("", dreamed), ("_real", real)):
        said = reader.read(pictures) > 0.0
        both = int((said & true).sum())
        # Without any said (or true) success the share is of nothing, and left out as such.
        result[f"success_precision{suffix}"] = both / int(said.sum()) if said.any() else None
        result[f"success_recall{suffix}"] = both / int(true.sum()) if true.any() else None
        if tasks:
            result[f"success_by_task{suffix}"] = {
                task: _confusion(said[mine], true[mine])
                for k, task in enumerate(tasks)
                if (mine := poses[:, KIND] == k).any()
            }
    return result


def _confusion(said: NDArray[np.bool_], true: NDArray[np.bool_]) -> dict[str, int]:
    """How many attempts succeed in both, in the engine alone, in the picture alone, and in neither."""
    return {
        "both": int((said & true).sum()),
        "engine_alone": int((~said & true).sum()),
        "picture_alone": int((said & ~true).sum()),
        "neither": int((~said & ~true).sum()),
    }
