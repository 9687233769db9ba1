"""Clips of latents and actions, as the dynamics stage draws them. Knows recordings, no networks and no pixels."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..autoencoder import unit_cells
from ..keyframes import Keyframes
from .clips import Clips
from .hands import moving, some_before
from .recipe import Recipe, normal_actions

BEGINS = 0.2
"""Share of the clips that count as the beginning of a stream, where nothing was before."""

MAX_FADE = 0.7
"""Strongest weight of the mean in a context that is washed out."""


@dataclass
class Batch:
    """B clips of T frames."""

    lead: Tensor  # (B, 2, C, h, w) frames -2 and -1; zeros where the clip begins a stream
    context: Tensor  # (B, T - 1, C, h, w) frames 0..T-2 as the network sees them
    target: Tensor  # (B, T - 1, C, h, w) true frames 1..T-1
    actions: Tensor  # (B, T, history, A) the one that led to each frame and those before it, normalised
    yaw: Tensor  # (B, T) degrees turned since the clip began, float64; stays on the CPU
    counts: Tensor  # (B, T - 1) 1 where the target counts, 0 where it is not known
    dreamed: Tensor  # (B,) True where the network made the context itself
    faded: Tensor  # (B,) True where the context is partly washed out (see `ClipSource.fade`)
    begins: Tensor  # (B,) True where the clip begins a stream
    moved: Tensor  # (B, T, 0 or 1, C, h, w) where worlds move, the frame before each as its camera's motion leaves it
    recalled: Tensor  # (B, T, 0 or 1, C, h, w) where worlds recall, the keyframe nearest to the frame before each

    def to(self, device: torch.device) -> Batch:
        """The same clips there."""
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "yaw"}
        return Batch(**moved, yaw=self.yaw)

    def last(self, count: int) -> Batch:
        """The last clips of these."""
        return Batch(*(getattr(self, f.name)[-count:] for f in fields(self)))

    def beside(self, other: Batch) -> Batch:
        """These clips, then the others, in one batch."""
        return Batch(*(torch.cat([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))


class ClipSource:
    """Draws random clips of latents; the same seed and step give the same clips."""

    def __init__(self, recipe: Recipe, folder: Path, name: str) -> None:
        clips = Clips.open(folder / "data" / name)
        self.latents = np.load(folder / f"latents-{name}.npy", mmap_mode="r")
        self.actions = normal_actions(recipe, clips.leading)
        moved = folder / f"moved-{name}.npy"
        self.moved = np.load(moved, mmap_mode="r") if recipe.moves and moved.exists() else None
        self.clips = clips
        turn = recipe.dynamics.azimuth
        column = recipe.spec.actions.columns.index(turn) if turn else -1
        self.turned = np.cumsum(clips.leading[:, column].astype(np.float64)) if turn else np.zeros(len(clips))
        self.seed, self.still_share = recipe.data.seed, recipe.dynamics.still_share
        self.history, self.fade_share = recipe.dynamics.history, recipe.dynamics.fade_share
        self.slide_share, self.moving = recipe.dynamics.slide_share, moving(clips, recipe)
        some = np.linspace(0, len(clips) - 1, min(2_000, len(clips))).astype(np.int64)
        self.mean = self.frames(some).mean(0)  # (C, h, w)
        self.rest = np.isin(recipe.spec.actions.columns, recipe.dynamics.rest)
        self.keyframes: Keyframes | None = None
        if recipe.dynamics.keyframes:
            chosen = np.linspace(0, len(clips) - 1, recipe.dynamics.keyframes).astype(np.int64)
            self.keyframes = Keyframes.unpacked(Keyframes(self.frames(chosen)).packed())  # as they will be shipped
            self._episode_of_keyframe = torch.from_numpy(clips.episodes[chosen].astype(np.int64))

    def change(self) -> float:
        """Root-mean-square change of a latent number from one frame, moved where worlds move, to the next."""
        starts = self.clips.windows(2)
        at = starts[np.linspace(0, len(starts) - 1, min(2_000, len(starts))).astype(np.int64)]
        before = self.frames(at) if self.moved is None else self.moved_frames(at + 1)
        return float((self.frames(at + 1) - before).square().mean().sqrt())

    def frames(self, at: NDArray[np.int64]) -> Tensor:
        """(..., C, h, w) float32 latents of the recorded frames (...)."""
        return torch.from_numpy(self.latents[at].astype(np.float32))

    def moved_frames(self, at: NDArray[np.int64]) -> Tensor:
        """(..., C, h, w) float32 latents of the frames before the recorded frames (...), moved towards these."""
        assert self.moved is not None
        return torch.from_numpy(self.moved[at].astype(np.float32))

    def draw(self, step: int, batch: int, frames: int) -> Batch:
        """`batch` clips of `frames` true frames."""
        rng = np.random.default_rng((self.seed, step))
        starts = self.starts(rng, self.clips.windows(frames + 2), batch, frames)
        begins, still = rng.random(batch) < BEGINS, rng.random(batch) < self.still_share
        clips = self.at(starts[:, None] + np.arange(2, frames + 2), begins=begins, still=still)
        clips = self.fade(clips, rng) if self.fade_share else clips
        return self.recalling(clips, starts)

    def starts(self, rng: np.random.Generator, windows: NDArray[np.int64], count: int, ahead: int) -> NDArray[np.int64]:
        """(count,) of `windows`; a share of them soon before something slides, which is seldom and matters."""
        starts = rng.choice(windows, count)
        return some_before(self.moving, starts, windows, self.slide_share, (2, ahead + 2), rng)

    def recalling(self, clips: Batch, at: NDArray[np.int64]) -> Batch:
        """The clips with their keyframes, none from a clip's own episode (that of recorded frame `at` (B,)).

        An episode that is streamed was never recorded, and its next frame is not to be found among the keyframes.
        """
        if not self.keyframes:
            return clips
        before = torch.cat([clips.lead[:, 1:], clips.context], 1) if self.moved is None else clips.moved[:, :, 0]
        own = torch.from_numpy(self.clips.episodes[at].astype(np.int64))[:, None] == self._episode_of_keyframe
        found = self.keyframes.nearest(before.flatten(0, 1), own.repeat_interleave(before.shape[1], 0))
        return replace(clips, recalled=self.keyframes.frames[found].float().view_as(before)[:, :, None])

    def fade(self, clips: Batch, rng: np.random.Generator) -> Batch:
        """Wash out the context of a share of the clips, here more and there less; the targets stay as they are.

        So dreams end: whatever is uncertain is drawn as its mean, and goes on from there. Half of the clips fade
        towards the mean of their cell over all recordings, half towards the mean of the cells around.
        """
        B, _, _, h, w = clips.context.shape
        seen = torch.cat([clips.lead, clips.context, clips.moved[:, :, :1].flatten(1, 2)], 1)
        around = F.avg_pool2d(F.pad(seen.flatten(0, 1), (1, 1, 1, 1), mode="replicate"), 3, 1).view_as(seen)
        local = torch.from_numpy(rng.random((B, 1, 1, 1, 1)) < 0.5)
        patches = torch.from_numpy(rng.random((B, 1, 3, 3)).astype(np.float32))
        strength = F.interpolate(patches, (h, w), mode="bilinear", align_corners=True)[:, None] * MAX_FADE
        washed = unit_cells(torch.lerp(seen, torch.where(local, around, self.mean), strength))
        faded = torch.from_numpy(rng.random(B) < self.fade_share)
        seen = torch.where(faded[:, None, None, None, None], washed, seen)
        known = 2 + clips.context.shape[1]
        moved = seen[:, known:, None].view_as(clips.moved).clone()
        goes_on = ~clips.begins[:, None, None, None, None]
        moved[:, 0] *= goes_on
        return replace(clips, lead=seen[:, :2] * goes_on, context=seen[:, 2:known], moved=moved, faded=faded)

    def at(self, at: NDArray[np.int64], *, begins: NDArray[np.bool_], still: NDArray[np.bool_]) -> Batch:
        """The clips of the recorded frames (B, T), with the two frames before them unless they begin a stream.

        Clips (B,) that are `still` are one frame again and again, the first one, under actions at rest.
        """
        around = np.concatenate([at[:, :1] - 2, at[:, :1] - 1, at], 1)
        around[still] = at[still, :1]
        at = around[:, 2:]
        z = self.frames(around)
        goes_on = torch.from_numpy(~begins)[:, None, None, None, None]
        z[:, :2] *= goes_on
        moved = z[:, 1:-1, None][:, :, :0]
        if self.moved is not None:
            moved = torch.where(torch.from_numpy(still)[:, None, None, None, None], z[:, 2:], self.moved_frames(at))
            moved = moved[:, :, None].clone()
            moved[:, 0] *= goes_on
        return Batch(
            lead=z[:, :2],
            context=z[:, 2:-1],
            target=z[:, 3:],
            actions=torch.from_numpy(self._told(at, begins, still)),
            yaw=torch.from_numpy(self.turned[at] - self.turned[at[:, :1]]),
            counts=torch.ones(at.shape[0], at.shape[1] - 1),
            dreamed=torch.zeros(len(at), dtype=torch.bool),
            faded=torch.zeros(len(at), dtype=torch.bool),
            begins=torch.from_numpy(begins),
            moved=moved,
            recalled=z[:, 1:-1, None][:, :, :0],
        )

    def _told(self, at: NDArray[np.int64], begins: NDArray[np.bool_], still: NDArray[np.bool_]) -> NDArray[np.float32]:
        """(B, T, history, A) the latest actions at each frame, zeros before the episode or the stream began."""
        lag = np.arange(self.history)
        index = at[:, :, None] - lag * ~still[:, None, None]
        known = (index >= 0) & (self.clips.episodes[index] == self.clips.episodes[at][:, :, None])
        known &= ~(begins[:, None, None] & (lag > np.arange(at.shape[1])[:, None]))
        rows = self.actions[index] * known[..., None]
        rows[still] *= ~self.rest
        return rows
