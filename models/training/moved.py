"""Moved latents for training: what a stream would be shown of its next frame, had it moved as the recorded camera did.

A dream's own step goes where the motion network says. In training the pictures are moved as the camera really moved, so
that what is seen stays in line with the frame that is wanted: with steps of its own, a rollout would soon stand
elsewhere, and the mean of all such places is a blur. Knows recordings, the motion network and the autoencoder.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..camera_view import CameraOutlook
from ..detail import DetailConfig, DetailNet
from ..hand_view import HandOutlook
from ..motion import Motion, lowered, turn_of
from ..precision import native_dtype
from ..reach import Arm
from ..view import Glimpse, Outlook
from .clips import Clips
from .fit_autoencoder import encoder_file, load_autoencoder
from .fit_motion import load_motion
from .fit_reach import load_reach
from .fit_reader import load_read
from .fit_warp import load_warp
from .hands import Hands, clean_plates
from .maze import Maze, body_in, floorplan_in
from .recipe import Recipe
from .survey import Index, survey
from .walks import Walks

BATCH = 32  # frames moved at once


class Mover(ABC):
    """Moves pictures towards the recorded ones that follow them, in the arithmetic of streams."""

    walks: Walks | Hands  # the recordings
    outlook: Outlook

    def __init__(self, recipe: Recipe, folder: Path, device: torch.device) -> None:
        self.device, dtype = device, native_dtype(device)
        autoencoder = load_autoencoder(recipe, folder, device)
        self.autoencoder = autoencoder.to(dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @abstractmethod
    def glimpse(self, at: Index, pictures: Tensor, still: NDArray[np.bool_] | None = None) -> Glimpse:
        """What is known of recorded frames before they are dreamed.

        Args:
            at: (n,) recorded frames that follow.
            pictures: (n, 3, H, W) of the frames before them.
            still: (n,) True where nothing moves.
        """

    @torch.inference_mode()
    def towards(self, at: Index, pictures: Tensor, still: NDArray[np.bool_] | None = None) -> Tensor:
        """(n, C, h, w) float32 latents, on the CPU, of pictures (n, 3, H, W) moved towards the frames `at` (n,)."""
        return self.autoencoder.latents(self.glimpse(at, pictures.to(self.device), still).filled).cpu().clone()

    @torch.inference_mode()
    def pictures(self, latents: Tensor) -> Tensor:
        """(n, 3, H, W) pictures of latents."""
        return self.autoencoder.pictures(latents.to(self.device))


class HandMover(Mover):
    """Where a hand moves before a camera that stands still."""

    outlook: HandOutlook
    walks: Hands

    def __init__(self, recipe: Recipe, folder: Path, name: str, device: torch.device) -> None:
        super().__init__(recipe, folder, device)
        self.outlook = hand_outlook(recipe, folder, DetailNet(DetailConfig())).to(device, native_dtype(device))
        self.walks = Hands.of(recipe, folder, name)

    @torch.inference_mode()
    def glimpse(self, at: Index, pictures: Tensor, still: NDArray[np.bool_] | None = None) -> Glimpse:
        """What the last pictures say; see `Mover`."""
        goes = np.ones(len(at), bool) if still is None else ~still
        before, after = self.walks.arm(np.where(goes, np.maximum(at - 1, 0), at)), self.walks.arm(at)
        return self.outlook.glimpse(pictures, *(Arm(*(p.to(self.device) for p in arm)) for arm in (before, after)))


class CameraMover(Mover):
    """Where a camera walks.

    Nothing is recalled from an episode's own pictures: an episode that is streamed was never recorded.
    """

    outlook: CameraOutlook
    walks: Walks

    def __init__(self, recipe: Recipe, folder: Path, name: str, device: torch.device) -> None:
        super().__init__(recipe, folder, device)
        trained = Clips.open(folder / "data" / "train")
        album, frames = survey(recipe, trained)
        plan = floorplan_in(Maze.open(folder / "data"), recipe)
        outlook = CameraOutlook(load_motion(recipe, folder), album, DetailNet(DetailConfig()), plan)
        self.outlook = outlook.to(device, native_dtype(device))
        self.walks = Walks.of(recipe, folder, name)
        episodes = trained.episodes[frames] if name == "train" else np.full(len(frames), -1)
        self._episodes = torch.from_numpy(episodes.astype(np.int64))

    @torch.inference_mode()
    def glimpse(self, at: Index, pictures: Tensor, still: NDArray[np.bool_] | None = None) -> Glimpse:
        """What the last pictures and the album say; see `Mover`."""
        walks, device = self.walks, self.device
        goes = torch.from_numpy(np.ones(len(at), bool) if still is None else ~still)[:, None]
        told, momenta = walks.told(at) * goes[:, None], walks.momenta[np.maximum(at - 1, 0)] * goes
        told, momenta = told.to(device), momenta.to(device)
        if self.outlook.plan:
            motion = Motion(turn_of(walks.config, told), pictures.new_zeros(len(at), 3), pictures.new_zeros(()))
        else:
            motion = self.outlook.motion(pictures, momenta, told, walks.clock(at).to(device))
        step = motion.step.clone()
        step[:, ::2] = walks.steps[at].to(device)
        rises = walks.rises[at]
        if walks.config.bob[0]:
            was = walks.rises[np.maximum(at - 1, 0)]
            step = lowered(walks.config, was.to(device), rises.to(device), step)
        motion = replace(motion, turn=motion.turn * goes[:, 0].to(device), step=step * goes.to(device))
        after = walks.poses[at]
        before = torch.where(goes, walks.poses[np.maximum(at - 1, 0)], after)
        own = torch.from_numpy(walks.clips.episodes[at].astype(np.int64))[:, None] == self._episodes
        return self.outlook.glimpse(pictures, motion, before.to(device), after.to(device), rises.to(device), own)


def mover_of(recipe: Recipe, folder: Path, name: str, device: torch.device) -> Mover:
    """What moves the pictures of the set `name`."""
    return (HandMover if recipe.hand else CameraMover)(recipe, folder, name, device)


def hand_outlook(recipe: Recipe, folder: Path, detail: DetailNet) -> HandOutlook:
    """What the checkpoints of the motion stage make."""
    plates = clean_plates(recipe, Clips.open(folder / "data" / "train"))
    return HandOutlook(load_reach(recipe, folder), load_warp(recipe, folder), plates, detail, load_read(recipe, folder))


def outlook_of(recipe: Recipe, folder: Path, detail: DetailNet) -> Outlook:
    """What moves a world's pictures."""
    if recipe.hand:
        return hand_outlook(recipe, folder, detail)
    maze = Maze.open(folder / "data")
    album, _ = survey(recipe, Clips.open(folder / "data" / "train"))
    plan, body = floorplan_in(maze, recipe), body_in(maze, recipe)
    return CameraOutlook(load_motion(recipe, folder), album, detail, plan, body)


def move_recordings(recipe: Recipe, folder: Path, device: torch.device) -> None:
    """Every training frame but the first of an episode, as moved from the one before it: `moved-train.npy` (float16).

    Skips what was moved by this motion network, with this album, and encoded by this autoencoder.
    """
    path, note = folder / "moved-train.npy", folder / "moved-train.json"
    made_from: dict[str, Any] = {
        "autoencoder": _digest(encoder_file(folder)),
        "motion": _digest(folder / ("warp.pt" if recipe.hand else "motion.pt")),
    }
    made_from["album"] = recipe.motion.album if recipe.motion else 0
    if path.exists() and note.exists() and json.loads(note.read_text()) == made_from:
        return
    mover = mover_of(recipe, folder, "train", device)
    moved = np.zeros(np.load(folder / "latents-train.npy", mmap_mode="r").shape, np.float16)
    for k in range(0, len(mover.walks.followers), BATCH):
        at = mover.walks.followers[k : k + BATCH]
        moved[at] = mover.towards(at, mover.walks.pictures(at - 1)).numpy()
    partial = path.with_suffix(".partial.npy")
    np.save(partial, moved)
    partial.rename(path)
    note.write_text(json.dumps(made_from) + "\n")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
