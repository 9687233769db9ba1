"""Success of a task: does a dream end with the drawer open when, under the same actions, the engine does?

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
from torch import Tensor

from ..reader import half_size
from .clips import Clips
from .metrics import Pictures
from .probe import FRAMES, Probe
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
    frames: int = FRAMES  # recorded frames, from the first on
    steps: int = 300  # batches
    batch: int = 64  # frames a batch, half of them of successes
    lr: float = 2e-3  # peak learning rate


def fit_success(clips: Clips, config: SuccessConfig) -> Probe:
    """A classifier trained on the first frames of a recording: a probe of one column, a logit.

    Raises:
        ValueError: they show no success, or nothing else.
    """
    frames = min(config.frames, len(clips))
    done = succeeded(clips.poses[:frames])
    if not 0 < done.sum() < frames:
        raise ValueError(
            f"expected successes and failures in {frames} recorded frames, got {int(done.sum())} of success"
        )
    # Failures outnumber successes by far: all of these, and as many of those, evenly spread.
    failures = np.flatnonzero(~done)
    sides = [np.flatnonzero(done), failures[:: max(1, len(failures) // max(1_000, int(done.sum())))]]
    pictures = [half_size(clips.take(side)) for side in sides]
    height, width = clips.shards[0].frames.shape[1:3]
    half = config.batch // 2
    wanted = torch.cat([torch.ones(half), torch.zeros(half)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = Probe(height, width, 1)

        def loss() -> Tensor:
            chosen = torch.cat([side[torch.randint(0, len(side), (half,))] for side in pictures])
            return F.binary_cross_entropy_with_logits(network(disturb(chosen))[:, 0], wanted)

        return train_reader("success classifier", network, loss, config.steps, config.lr)


def open_success(path: Path, clips: Clips, config: SuccessConfig) -> Probe:
    """The classifier in `path` if it was trained that way on pictures of that size, else a new one, saved there."""
    height, width = clips.shards[0].frames.shape[1:3]
    made = {**asdict(config), "height": height, "width": width}
    return open_kept(path, made, Probe(height, width, 1), lambda: fit_success(clips, config))


def agreement(
    reader: Probe, dreamed: Pictures, real: Pictures, poses: NDArray[np.float32], tasks: Sequence[str] = ()
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
        said = reader.read(pictures)[:, 0] > 0.0
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
