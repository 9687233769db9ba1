"""Fidelity: how near do a world's pictures come to the recorded ones, one frame ahead and many?

Teacher-forced next frames, rollouts under the true actions, and what is lost when the actions are somebody else's.
Knows how to lay out these measurements; definitions are in docs/worlds.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..world import DiTWorld
from .clips import Clips
from .counts import Counts
from .dream import context_frames, dream, reconstruct, scenes_at, spread
from .dreamed import LENGTH, Dreamed, batches, dream_from
from .metrics import change, psnr, ssim

MOVING = 0.5
"""Mean absolute change in grey levels above which a frame counts as moving: what rounding to 8 bits can change."""

ROLLOUTS = (1, 4, 16, 32, LENGTH)
"""Dreamed frames after which a rollout is compared."""

FAR = 256
"""Dreamed frames after which it is compared once more, where episodes are long enough."""

GAP = 4
"""Dreamed frames after which true and other actions are compared."""


def next_frames(world: DiTWorld, clips: Clips, counts: Counts) -> dict[str, Any]:
    """The autoencoder, the next frame after true ones, and copying the last one, on the same frames."""
    known = context_frames(world)
    starts = spread(clips.windows(known + 1), counts.contexts)
    rows = []
    for part in batches(starts, counts.batch):
        truth, last = clips.take(part + known), clips.take(part + known - 1)
        made = next(dream(world, scenes_at(world, clips, part, known), clips.leading[part + known][:, None]))
        shown = (reconstruct(world.autoencoder, truth), made, last)
        scores = [measure(picture, truth) for measure in (psnr, ssim) for picture in shown]
        rows.append(np.stack([*scores, change(last, truth)], 1))
    table = np.concatenate(rows)
    moving = table[:, -1] > MOVING
    result: dict[str, Any] = {}
    names = [f"{name}_{measure}" for measure in ("psnr", "ssim") for name in ("autoencoder", "next_frame", "copy_last")]
    for column, key in enumerate(names):
        result[key] = mean(table[:, column])
        result[f"{key}_moving"] = mean(table[moving, column])
    return result | {"next_frames": len(table), "next_frames_moving": int(moving.sum()), "context_frames": known}


def rollouts(dreamed: Dreamed) -> dict[str, Any]:
    """PSNR and SSIM of the n-th dreamed frame under the true actions, mean over clips, for each n of `ROLLOUTS`."""
    last = dreamed.truth(0)
    result: dict[str, Any] = {"rollout_psnr": {}, "rollout_ssim": {}, "rollout_psnr_copy": {}}
    for n in ROLLOUTS:
        truth = dreamed.truth(n)
        result["rollout_psnr"][str(n)] = mean(psnr(dreamed.made[:, n - 1], truth))
        result["rollout_ssim"][str(n)] = mean(ssim(dreamed.made[:, n - 1], truth))
        result["rollout_psnr_copy"][str(n)] = mean(psnr(last, truth))
    return result | {"rollout_clips": len(dreamed.starts)}


def far_rollouts(world: DiTWorld, clips: Clips, counts: Counts) -> dict[str, float] | None:
    """PSNR, SSIM and copy PSNR of the `FAR`-th dreamed frame; None where no episode is long enough."""
    known = context_frames(world)
    windows = clips.windows(known + FAR)
    if not len(windows):
        return None
    starts = spread(windows, counts.far)
    scores = []
    for part in batches(starts, counts.batch):
        truth, last = clips.take(part + known + FAR - 1), clips.take(part + known - 1)
        made = dream_from(world, clips, part, known, FAR)[:, -1]
        scores.append(np.stack([psnr(made, truth), ssim(made, truth), psnr(last, truth)]))
    keys = ("rollout_psnr", "rollout_ssim", "rollout_psnr_copy")
    return dict(zip(keys, np.concatenate(scores, 1).mean(1).tolist(), strict=True))


def controllability(world: DiTWorld, dreamed: Dreamed, batch: int) -> dict[str, Any]:
    """PSNR at `GAP` frames under the true actions minus that under actions of other episodes, from the same frames.

    Raises:
        ValueError: the recordings have one episode only.
    """
    clips, known = dreamed.clips, dreamed.known
    donors = strangers(clips, dreamed.starts)
    truth = dreamed.truth(GAP)
    true = psnr(dreamed.made[:, GAP - 1], truth)
    other = []
    for part in batches(np.arange(len(dreamed.starts)), batch):
        rows = clips.leading[donors[part][:, None] + known + np.arange(GAP)]
        *_, made = dream(world, scenes_at(world, clips, dreamed.starts[part], known), rows)
        other.append(psnr(made, truth[part]))
    gap = true - np.concatenate(other)
    return {"controllability_gap": mean(gap), "controllability_gap_frames": GAP}


def strangers(clips: Clips, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each start another one, in another episode, drawn from a fixed seed."""
    rng = np.random.default_rng(0)
    episodes = clips.episodes[starts]
    if len(np.unique(episodes)) < 2:
        raise ValueError("actions of other episodes need at least two held-out episodes: record more")
    return np.array([rng.choice(starts[episodes != episode]) for episode in episodes])


def mean(values: NDArray[np.float64]) -> float | None:
    """The mean; None of nothing, which JSON can say."""
    return float(np.mean(values)) if len(values) else None
