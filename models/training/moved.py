"""Moved latents for training: what a stream would be shown of its last frame, moved along the recorded step.

A dream's own step goes where the motion network says. In training the pictures are moved as the camera really moved, so
that what is seen stays in line with the frame that is wanted: with steps of its own, a rollout would soon stand
elsewhere, and the mean of all such places is a blur. Knows recordings, the motion network and the autoencoder.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..precision import native_dtype
from ..view import Outlook
from .fit_autoencoder import load_autoencoder
from .fit_motion import load_motion
from .recipe import Recipe
from .walks import Walks

BATCH = 32  # frames moved at once


class Mover:
    """Moves frames towards the recorded ones that follow them, in the arithmetic of streams."""

    def __init__(self, recipe: Recipe, folder: Path, name: str, device: torch.device) -> None:
        dtype = native_dtype(device)
        channels_last = torch.channels_last
        autoencoder = load_autoencoder(recipe, folder, device).to(dtype, memory_format=channels_last)  # type: ignore[call-overload]
        motion = load_motion(recipe, folder).to(device, dtype, memory_format=channels_last)  # type: ignore[call-overload]
        self.outlook = Outlook(motion, autoencoder)
        self.walks = Walks.of(recipe, folder, name)
        self.device = device

    @torch.inference_mode()
    def towards(self, at: NDArray[np.int64], latents: Tensor, still: NDArray[np.bool_] | None = None) -> Tensor:
        """(n, C, h, w) float32 latents, moved; on the CPU.

        Args:
            at: (n,) recorded frames that follow.
            latents: (n, C, h, w) what is there of the frames before them.
            still: (n,) True where the camera stays where it is.
        """
        walks, device = self.walks, self.device
        goes = torch.from_numpy(np.ones(len(at), bool) if still is None else ~still)[:, None]
        told, momenta = walks.told(at) * goes[:, None], walks.momenta[np.maximum(at - 1, 0)] * goes
        pictures = self.outlook.autoencoder.pictures(latents.to(device))
        motion = self.outlook.motion(pictures, momenta.to(device), told.to(device), walks.clock(at).to(device))
        step = motion.step.clone()
        step[:, ::2] = walks.steps[at].to(device)
        step = step * goes.to(device)
        moved = self.outlook.after(pictures, replace(motion, step=step)).moved
        return self.outlook.autoencoder.latents(moved).cpu().clone()


def move_recordings(recipe: Recipe, folder: Path, device: torch.device) -> None:
    """Every training frame but the first of an episode, as moved from the one before it: `moved-train.npy` (float16).

    Skips what is newer than the motion network, the decoder and the latents.
    """
    source, path = folder / "latents-train.npy", folder / "moved-train.npy"
    parts = [folder / "motion.pt", source, *(p for p in (folder / "decoder.pt",) if p.exists())]
    if path.exists() and path.stat().st_mtime > max(part.stat().st_mtime for part in parts):
        return
    mover, latents = Mover(recipe, folder, "train", device), np.load(source, mmap_mode="r")
    moved = np.zeros(latents.shape, np.float16)
    for k in range(0, len(mover.walks.followers), BATCH):
        at = mover.walks.followers[k : k + BATCH]
        moved[at] = mover.towards(at, torch.from_numpy(latents[at - 1].astype(np.float32))).numpy()
    partial = path.with_suffix(".partial.npy")
    np.save(partial, moved)
    partial.rename(path)
