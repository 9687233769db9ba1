"""Blind walks: what an engine shows when it is told, for thousands of frames, what somebody did elsewhere.

A long dream is told recorded actions, and soon stands elsewhere than who took them: it walks into walls that he went
around. So does an engine that is told the same, and that is what such a dream is compared with. Knows engines, and how
to save what is compared: the frames that a dream begins with, and the last ones, every eighth with the one before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .clips import Clips, Shard, shard_stems
from .collect import simulator_of
from .recipe import Recipe
from .scripts import REST, Recorded, play
from .simulators import Row, Simulator

KNOWN = REST + 1  # frames before a dream, the first of them without the action that led to it
VISIT = 60  # most frames that somebody walks about before these
EVERY = 8  # every eighth of the last frames is kept: neighbours look alike
SEED = 4_000_000  # added to the recipe's, so that no other set has these episodes


@dataclass(frozen=True)
class Length:
    """How many walks, and how long."""

    streams: int
    frames: int  # after those that are known
    tail: int  # of these, the last ones are compared

    @property
    def compared(self) -> NDArray[np.int64]:
        """Which of the frames are kept, each with the one before it."""
        return np.arange(max(1, self.frames - self.tail), self.frames, EVERY)

    @property
    def name(self) -> str:
        """Of the set of recordings."""
        return f"blind-{self.streams}-{self.frames}-{self.tail}"


@dataclass(frozen=True)
class Blind:
    """What was recorded."""

    clips: Clips  # for each walk one episode of frames that are known, and one of pairs that are compared
    rows: NDArray[np.float32]  # (S, T, A) the action that leads to each frame after those that are known
    cut: NDArray[np.bool_]  # (S, K) whether the engine's episode ended between the two frames of a pair


def record_blind(recipe: Recipe, data: Path, lengths: Sequence[Length]) -> None:
    """Record those walks under `data` that are missing, if an engine is there to walk in.

    Raises:
        ImportError: the engine is not installed.
    """
    missing = [length for length in lengths if not shard_stems(data / length.name)]
    if not missing or not recipe.data.directions:  # recordings of one's own: there is no engine
        return
    with ProcessPoolExecutor(recipe.data.processes, get_context("spawn"), max_tasks_per_child=1) as pool:
        list(pool.map(_record, [recipe] * len(missing), [data] * len(missing), missing))


def open_blind(data: Path, length: Length) -> Blind | None:
    """What was recorded, if it was."""
    if not shard_stems(data / length.name):
        return None
    with np.load(data / length.name / "told.npz") as told:
        return Blind(Clips.open(data / length.name), told["rows"], told["cut"])


def _record(recipe: Recipe, data: Path, length: Length) -> None:
    """One set, in a process of its own."""
    simulator = simulator_of(recipe, length.name)
    shard, rows, cut = walk_blindly(simulator, length, recipe.data.episode, recipe.data.seed + SEED)
    (data / length.name).mkdir(parents=True, exist_ok=True)
    np.savez(data / length.name / "told.npz", rows=rows, cut=cut)
    shard.save(data / length.name / "0000")


def walk_blindly(
    simulator: Simulator, length: Length, episode: int, seed: int
) -> tuple[Shard, NDArray[np.float32], NDArray[np.bool_]]:
    """Walks of an engine, with what it was told, see `Blind`.

    Args:
        simulator: the engine.
        length: how many, and how long.
        episode: frames after which those whose actions are told begin anew.
        seed: of the first episode.
    """
    seen: list[Recorded] = []
    episodes, rows, cuts = [], [], []
    for k in range(length.streams):
        told = np.stack(list(islice(_visits(simulator, episode, seed + k), length.frames)))
        kept, cut = _walk(simulator, told, length, seed + length.streams + k)
        seen += kept
        episodes += [2 * k] * KNOWN + [2 * k + 1] * (len(kept) - KNOWN)
        rows.append(told)
        cuts.append(cut)
    frames, actions, poses = (np.stack(column) for column in zip(*seen, strict=True))
    return Shard(frames, actions, poses, np.array(episodes, np.int64)), np.stack(rows), np.array(cuts)


def _visits(simulator: Simulator, episode: int, seed: int) -> Iterator[Row]:
    """What visitors do who see where they go, one episode after the other."""
    rng = np.random.default_rng(seed)
    while True:
        simulator.reset(int(rng.integers(2**31)))
        policy = simulator.policy(rng)
        for _ in range(episode):
            row = next(policy).copy()
            yield row
            if simulator.act(row):
                break


def _walk(
    simulator: Simulator, told: NDArray[np.float32], length: Length, seed: int
) -> tuple[list[Recorded], list[bool]]:
    """The frames of one walk that are kept, and which of the pairs were cut."""
    rng = np.random.default_rng(seed)
    kept = None
    while kept is None:
        kept = _arrive(simulator, rng)
    kept.append(_seen(simulator, told[0]))
    compared, cut = set(length.compared.tolist()), []
    for n, row in enumerate(told):
        ended = simulator.act(row)
        if ended:
            simulator.reset(int(rng.integers(2**31)))
        if n in compared or n + 1 in compared:
            kept.append(_seen(simulator, row))
        if n in compared:
            cut.append(ended)
    return kept, cut


def _arrive(simulator: Simulator, rng: np.random.Generator) -> list[Recorded] | None:
    """The last REST frames of a visit of random length; None when its episode ended before."""
    simulator.reset(int(rng.integers(2**31)))
    policy, frames = simulator.policy(rng), int(rng.integers(0, VISIT)) + REST
    shown = play(simulator, (next(policy).copy() for _ in range(frames)))
    return shown and shown[-REST:]


def _seen(simulator: Simulator, row: Row) -> Recorded:
    frame, pose = simulator.observe()
    return frame, row, pose
