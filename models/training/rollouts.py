"""Rollouts: clips whose context is what the network itself dreamed, so that it learns to go on from its own mistakes.

A network that only ever saw true context meets its own pictures for the first time when it streams, and every small
error feeds the next. Here a pool of rollouts goes along with training. Each begins with true frames; whenever it is
drawn, the network's next frame under the true action is appended to it, and it starts anew after some frames. The
targets stay the true frames. The appended frame is the prediction that the training step made anyway, so rollouts cost
nothing. It is the idea of DAgger (arXiv 1011.0686) and of self-resampling in video diffusion (arXiv 2512.15702), with
chains that persist between steps.

Where a rollout should be after long cannot be told from its pictures, and the mean of all places is a blur. So
rollouts that go on beyond the horizon (every other one, where the recipe wants it) have another target: the recorded
frame that is nearest to what was dreamed. It says nothing about where the dream should be, only that it should look
like a frame. Knows latents and actions; nothing about networks or pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..keyframes import Keyframes
from .latents import Batch, ClipSource
from .moved import Mover

STILL_LONGER = 4  # times the horizon that a rollout may last in which nothing moves
POOL = 20  # rollouts in the pool: more than a step draws, so that neighbouring frames are not in neighbouring steps


@dataclass
class Rollouts:
    """A pool of rollouts. Slot i holds the latest frames before frame `end[i]` of the recordings."""

    source: ClipSource
    window: int  # frames of context that a rollout keeps
    horizon: int  # longest rollout towards true frames
    rng: np.random.Generator
    beyond: int = 0  # frames that every other rollout goes on after that, towards recorded frames that are near
    mover: Mover | None = None  # where worlds move, what moves a dreamed frame
    latents: Tensor = field(init=False)  # (POOL, window + 2, C, h, w): context, and the two frames before it
    wanted: Tensor = field(init=False)  # the same frames as they should have been
    moved: Tensor = field(init=False)  # (POOL, window + 1, 0 or 1, C, h, w) the frame before each, moved, up to `end`
    end: NDArray[np.int64] = field(init=False)  # (POOL,) index of the frame that comes next
    age: NDArray[np.int64] = field(init=False)  # (POOL,) frames since the slot began
    left: NDArray[np.int64] = field(init=False)  # (POOL,) frames until the slot begins anew
    still: NDArray[np.bool_] = field(init=False)  # (POOL,) nothing moves: `end` stays where it is
    drawn: NDArray[np.int64] = field(init=False)  # slots of the last draw

    def __post_init__(self) -> None:
        self._kept = self.window + 2
        self._starts = self.source.clips.windows(self._kept + 1)
        self._recordings = Keyframes(torch.from_numpy(np.array(self.source.latents))) if self.beyond else None
        self.latents = torch.zeros(POOL, self._kept, *self.source.latents.shape[1:])
        self.wanted = self.latents.clone()
        self.moved = self.latents[:, 1:, None][:, :, : int(self.mover is not None)].clone()
        self.end, self.age, self.left = np.zeros((3, POOL), np.int64)
        self.still, self.drawn = np.zeros(POOL, bool), np.arange(POOL)
        self._begin(self.drawn)

    def draw(self, batch: int, frames: int) -> Batch:
        """`batch` clips of `frames` frames, at most `window` + 1."""
        self.drawn = self.rng.choice(POOL, batch, replace=False)
        still = self.still[self.drawn]
        at = self.end[self.drawn, None] + np.arange(1 - frames, 1) * ~still[:, None]
        clips = self.source.at(at, begins=np.zeros(batch, bool), still=still)
        own = self.latents[self.drawn, self._kept - frames - 1 :]
        lost = torch.from_numpy(self._lost(self.drawn))
        target = torch.where(lost[:, None, None, None, None], self._targets(clips.target), clips.target)
        counts = clips.counts.clone()
        counts[:, -1] *= ~lost  # the frame that is being dreamed: nothing is near to it yet
        dreams = replace(
            clips,
            lead=own[:, :2],
            context=own[:, 2:],
            moved=self.moved[self.drawn, -frames:],
            target=target,
            counts=counts,
            dreamed=~clips.dreamed,
        )
        return self.source.recalling(dreams, self.end[self.drawn] - 1)

    def extend(self, frames: Tensor) -> None:
        """Append a frame (C, h, w) to each rollout of the last draw; those that are done begin anew."""
        frames, slots = frames.float().cpu(), self.drawn
        wanted = self.source.frames(self.end[slots])
        lost = self._lost(slots)
        if self._recordings and lost.any():
            wanted[lost] = self.source.frames(self._recordings.nearest(frames[lost]).numpy())
        self.latents[slots] = torch.cat([self.latents[slots, 1:], frames[:, None]], 1)
        self.wanted[slots] = torch.cat([self.wanted[slots, 1:], wanted[:, None]], 1)
        self.end[slots] += ~self.still[slots]
        self.age[slots] += 1
        self.left[slots] -= 1
        episodes = self.source.clips.episodes
        last = np.minimum(self.end[slots], len(episodes) - 1)
        over = (self.end[slots] >= len(episodes)) | (episodes[last] != episodes[self.end[slots] - 1])
        over = over & ~self.still[slots] | (self.left[slots] <= 0)
        self._begin(slots[over])
        self._move(slots[~over])

    def _move(self, slots: NDArray[np.int64]) -> None:
        """Move the latest frames of some slots towards the frame that comes next."""
        if self.mover and len(slots):
            pictures = self.mover.pictures(self.latents[slots, -1])
            moved = self.mover.towards(self.end[slots], pictures, self.still[slots])
            self.moved[slots] = torch.cat([self.moved[slots, 1:], moved[:, None, None]], 1)

    def _lost(self, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether slots are beyond the horizon."""
        return (self.age[slots] >= self.horizon) & ~self.still[slots]

    def _targets(self, target: Tensor) -> Tensor:
        """`target` with the frames that were dreamed already as they should have been."""
        known = target.shape[1] - 1
        return torch.cat([self.wanted[self.drawn, self._kept - known :], target[:, -1:]], 1)

    def _begin(self, slots: NDArray[np.int64]) -> None:
        if not len(slots):
            return
        starts = self.source.starts(self.rng, self._starts, len(slots), self._kept + self.horizon)
        still = self.rng.random(len(slots)) < self.source.still_share
        at = starts[:, None] + np.arange(self._kept) * ~still[:, None]
        self.latents[slots] = self.source.frames(at)
        self.wanted[slots] = self.latents[slots]
        if self.mover:
            ahead = self.source.moved_frames(starts[:, None] + np.arange(2, self._kept + 1))
            stands = torch.from_numpy(still)[:, None, None, None, None]
            self.moved[slots] = torch.where(stands, self.latents[slots, 1:], ahead)[:, :, None]
        self.still[slots], self.end[slots], self.age[slots] = still, starts + self._kept * ~still, 0
        longest = np.where(still, STILL_LONGER * self.horizon, self.horizon + self.beyond * (slots % 2))
        self.left[slots] = self.rng.integers(1, longest + 1)
