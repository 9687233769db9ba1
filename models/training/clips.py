"""Recorded episodes on disk, memory-mapped: frames, actions, poses, episode numbers.

Knows the file layout and which windows of frames stay inside one episode; knows nothing about engines or networks.

A set is a folder of shards; a shard is four `.npy` files with the same first dimension n:
`*.frames` (n, H, W, 3) uint8, `*.actions` (n, A) float32, `*.poses` (n, P) float32, `*.episodes` (n,) int64.
The action of row i was taken at frame i and leads to frame i + 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass
class Shard:
    """One recording, in memory or memory-mapped."""

    frames: NDArray[np.uint8]  # (n, H, W, 3)
    actions: NDArray[np.float32]  # (n, A)
    poses: NDArray[np.float32]  # (n, P)
    episodes: NDArray[np.int64]  # (n,)

    def save(self, stem: Path) -> None:
        """Write the four files; the last one, by rename, marks the shard as complete."""
        stem.parent.mkdir(parents=True, exist_ok=True)
        for part in ("frames", "actions", "poses"):
            np.save(f"{stem}.{part}.npy", getattr(self, part))
        np.save(f"{stem}.partial.npy", self.episodes)
        Path(f"{stem}.partial.npy").rename(f"{stem}.episodes.npy")

    @classmethod
    def open(cls, stem: Path) -> Shard:
        """The shard at `stem`, frames memory-mapped."""
        frames = np.load(f"{stem}.frames.npy", mmap_mode="r")
        actions, poses, episodes = (np.load(f"{stem}.{part}.npy") for part in ("actions", "poses", "episodes"))
        return cls(frames, actions, poses, episodes)


def shard_stems(folder: Path) -> list[Path]:
    """Complete shards of a set, in order."""
    return sorted(path.with_name(path.name.removesuffix(".episodes.npy")) for path in folder.glob("*.episodes.npy"))


@dataclass
class Clips:
    """A set of recordings as one long sequence.

    `leading[i]` is the action that led to frame i: the row before it, zeros at the start of an episode.
    """

    shards: list[Shard]
    offsets: NDArray[np.int64]  # (shards + 1,) where each shard begins
    actions: NDArray[np.float32]  # (n, A) taken at each frame
    leading: NDArray[np.float32]  # (n, A) that led to each frame
    poses: NDArray[np.float32]  # (n, P)
    episodes: NDArray[np.int64]  # (n,) distinct over the whole set

    @classmethod
    def open(cls, folder: Path) -> Clips:
        """All complete shards in a folder.

        Raises:
            FileNotFoundError: there is none.
        """
        shards = [Shard.open(stem) for stem in shard_stems(folder)]
        if not shards:
            raise FileNotFoundError(f"expected recordings in {folder}, found none; run the collect stage first")
        offsets = np.cumsum([0, *(len(s.episodes) for s in shards)])
        episodes = np.concatenate([s.episodes + (k << 32) for k, s in enumerate(shards)])
        actions = np.concatenate([s.actions for s in shards])
        leading = np.concatenate([np.zeros_like(actions[:1]), actions[:-1]])
        leading[np.flatnonzero(np.diff(episodes, prepend=-1))] = 0.0
        return cls(shards, offsets, actions, leading, np.concatenate([s.poses for s in shards]), episodes)

    def __len__(self) -> int:
        return len(self.episodes)

    @property
    def begins(self) -> NDArray[np.bool_]:
        """(n,) True for the first frame of an episode."""
        return np.diff(self.episodes, prepend=-1) != 0

    def frame(self, index: int) -> NDArray[np.uint8]:
        """(H, W, 3) frame `index` of the whole set."""
        shard = int(np.searchsorted(self.offsets, index, side="right")) - 1
        return self.shards[shard].frames[index - self.offsets[shard]]

    def take(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(len(indices), H, W, 3) frames."""
        return np.stack([self.frame(int(i)) for i in indices])

    def windows(self, frames: int) -> NDArray[np.int64]:
        """Starts of all windows of that many frames that stay inside one episode."""
        starts = np.arange(max(0, len(self) - frames + 1))
        return starts[self.episodes[starts] == self.episodes[starts + frames - 1]]
