"""The collect stage: episodes from a real engine onto disk. Resumes at the first shard that is missing.

Three sets: `train`, `holdout` (other seeds) and `battery` (held actions from many places, for the direction metric).
Beside the first two lies `balance.json`: what is in them (see balance.py).
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from .balance import report_balance
from .clips import Clips, Shard
from .recipe import Recipe
from .simulators import Row, Simulator, open_simulator

SHARD = 2_000  # frames in a shard: small enough to lose, large enough to map
CONTEXT = 12  # frames before a battery action begins
HELD = 16  # frames that a battery action is held
STARTS = 20  # start places per battery direction


def collect(recipe: Recipe, folder: Path) -> None:
    """Record what is missing of all three sets under `folder`.

    Raises:
        FileNotFoundError: the recipe is about recordings of one's own, and they are not there.
    """
    data = recipe.data
    if data.simulator == "own":
        Clips.open(folder / "train"), Clips.open(folder / "holdout")
        return
    jobs = [("train", k, data.seed) for k in range(-(-data.frames // SHARD))]
    jobs += [("holdout", k, data.seed + 1_000_000) for k in range(-(-data.holdout // SHARD))]
    jobs += [("battery", k, data.seed + 2_000_000) for k in range(len(data.directions))]
    jobs = [job for job in jobs if not Path(f"{_stem(folder, *job[:2])}.episodes.npy").exists()]
    if not jobs:
        return
    # One shard per process: what engines leave behind goes with it.
    context = get_context("spawn")
    with (
        ProcessPoolExecutor(data.processes, mp_context=context, max_tasks_per_child=1) as pool,
        Progress(console=Console(stderr=True)) as progress,  # stdout belongs to the caller's JSON
    ):
        task = progress.add_task(f"record {recipe.spec.name}", total=len(jobs))
        for _ in pool.map(_record, *zip(*((recipe, folder, *job) for job in jobs), strict=True)):
            progress.advance(task)
    report_balance(recipe, folder)


def simulator_of(recipe: Recipe, name: str) -> Simulator:
    """The engine that records that set. Only training keeps out of the place that is left unseen."""
    spec, data = recipe.spec, recipe.data
    return open_simulator(
        data.simulator,
        spec.height,
        spec.width,
        columns=spec.actions.columns,
        maps=data.maps,
        tasks=data.tasks,
        seed=data.seed,
        everywhere=name != "train",
    )


def _stem(folder: Path, name: str, index: int) -> Path:
    return folder / name / f"{index:04d}"


def _record(recipe: Recipe, folder: Path, name: str, index: int, seed: int) -> None:
    """One shard, in a process of its own."""
    simulator = simulator_of(recipe, name)
    seed += 10_000 * index
    if name == "battery":
        shard = record_battery(simulator, recipe, list(recipe.data.directions)[index], seed)
    else:
        total = recipe.data.holdout if name == "holdout" else recipe.data.frames
        shard = record_episodes(simulator, min(SHARD, total - SHARD * index), recipe.data.episode, seed)
    shard.save(_stem(folder, name, index))


def record_episodes(simulator: Simulator, frames: int, episode: int, seed: int) -> Shard:
    """`frames` frames of episodes that are at most `episode` long."""
    rows: list[tuple[Row, ...]] = []
    number = -1
    rng = np.random.default_rng(seed)
    while len(rows) < frames:
        number += 1
        simulator.reset(seed + number)
        policy = simulator.policy(rng)
        for _ in range(min(episode, frames - len(rows))):
            frame, pose = simulator.observe()
            row = next(policy).copy()
            rows.append((frame, row, pose, np.int64(number)))  # type: ignore[arg-type]
            if simulator.act(row):
                break
    return _shard(rows)


def record_battery(simulator: Simulator, recipe: Recipe, direction: str, seed: int) -> Shard:
    """Episodes of CONTEXT frames under the policy, then HELD frames of one action in which the engine did move."""
    held = recipe.spec.actions.neutral(1)[0]
    for column, value in recipe.data.directions[direction].items():
        held[recipe.spec.actions.columns.index(column)] = value
    rows: list[tuple[Row, ...]] = []
    rng = np.random.default_rng(seed)
    kept = 0
    for attempt in range(40 * STARTS):
        simulator.reset(seed + attempt)
        policy = simulator.policy(rng)
        lead = int(rng.integers(0, 60)) + CONTEXT
        clip: list[tuple[Row, ...]] = []
        for k in range(lead + HELD + 1):
            frame, pose = simulator.observe()
            row = next(policy).copy() if k < lead else held
            clip.append((frame, row, pose, np.int64(kept)))  # type: ignore[arg-type]
            if simulator.act(row):
                break
        if len(clip) == lead + HELD + 1 and moved(clip[lead][2], clip[-1][2], recipe.data.simulator, direction):
            rows += clip[lead - CONTEXT :]
            kept += 1
        if kept == STARTS:
            return _shard(rows)
    raise RuntimeError(f"{direction}: found {kept} of {STARTS} places from which the engine moves that way")


def moved(before: Row, after: Row, simulator: str, direction: str) -> bool:
    """Whether the engine's own pose followed a held action: walls and limits do not count against a world."""
    if simulator == "arm":  # metres along one axis
        axis = "xyz".index(direction[0])
        step = float(after[axis] - before[axis])
        return (step > 0.03) if direction[1] == "+" else (step < -0.03)
    if simulator == "doom" and not direction.startswith("turn"):  # map units
        return bool(np.hypot(*(after[:2] - before[:2])) > 60.0)
    return True


def _shard(rows: list[tuple[Row, ...]]) -> Shard:
    frames, actions, poses, episodes = (np.stack(column) for column in zip(*rows, strict=True))
    return Shard(
        frames.astype(np.uint8), actions.astype(np.float32), poses.astype(np.float32), episodes.astype(np.int64)
    )
