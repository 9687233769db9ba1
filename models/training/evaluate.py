"""`worldloom eval NAME`: how good is a world, measured on recordings that it never saw. See docs/worlds.md.

Pictures (autoencoder, next frame), rollouts under the true actions, direction accuracy, drift. All on held-out
episodes and batteries of the recipe, recorded on demand. Measures what ships: weights and arithmetic as they stream.
Knows how to lay out the measurements; the measures themselves are in metrics.py, directions.py and drift.py.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from ..catalog import DATA
from ..weights import load_world
from ..world import DiTWorld
from .clips import Clips
from .collect import CONTEXT, HELD, collect
from .directions import accuracy, batteries, open_reader
from .dream import context_frames, dream, reconstruct, scenes_at, spread
from .drift import drift, drift_floor, summary
from .metrics import appearance, change, psnr
from .probe import FRAMES as PROBE_FRAMES
from .recipe import Recipe, load_recipe

MOVING = 0.5
"""Mean absolute change in grey levels above which a frame counts as moving: what rounding to 8 bits can change."""

ROLLOUTS = (1, 4, 16, 32, 64)
"""Dreamed frames after which a rollout is compared."""

TAIL_EVERY = 8
"""Drift looks at every eighth frame: neighbours look alike."""


@dataclass(frozen=True)
class Counts:
    """How much is measured."""

    contexts: int = 300  # next-frame predictions
    rollouts: int = 16  # clips of 64 dreamed frames
    starts: int = 20  # start places per direction
    drift_streams: int = 12  # streams that dream for long
    drift_frames: int = 1_000  # frames that each of them dreams
    drift_tail: int = 400  # of these, the last ones are compared
    batch: int = 20  # streams dreamed at once


QUICK = Counts(contexts=40, rollouts=4, starts=4, drift_streams=2, drift_frames=80, drift_tail=40)
"""A look while a training runs; too few for numbers to publish."""


def evaluate(
    name: str,
    *,
    folder: Path | None = None,
    world: DiTWorld | None = None,
    quick: bool = False,
    counts: Counts | None = None,
) -> dict[str, Any]:
    """Measure a world; the result is plain data for JSON.

    Args:
        name: a recipe in configs/train, or a path to a `.toml` file.
        folder: where recordings lie or land, `runs/NAME` by default.
        world: what to measure; by default the weights that ship as NAME, or else those in `folder`.
        quick: measure little, in half a minute.
        counts: how much to measure, instead of what `quick` chooses.

    Raises:
        ValueError: no such recipe or no weights; the message says what to do.
        RuntimeError: something must be recorded or measured and its package is not installed.
    """
    recipe = load_recipe(name)
    folder = folder or Path("runs") / recipe.spec.name
    counts = counts or (QUICK if quick else Counts())
    world = world or _weights(recipe, folder)
    _record_missing(recipe, folder)
    holdout = Clips.open(folder / "data" / "holdout")
    seconds: dict[str, float] = {}

    def timed(part: str, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        Console(stderr=True).print(f"evaluate {recipe.spec.name}: {part}")
        began = time.monotonic()
        result = call()
        seconds[part] = time.monotonic() - began
        return result

    result: dict[str, Any] = {"world": recipe.spec.name}
    result |= timed("pictures", lambda: next_frames(world, holdout, counts))
    result |= timed("rollouts", lambda: rollouts(world, holdout, counts))
    result |= timed("directions", lambda: directions(world, recipe, folder, counts))
    result |= timed("drift", lambda: long_dreams(world, holdout, counts))
    result |= {
        "counts": asdict(counts),
        "holdout_frames": len(holdout),
        "seconds": seconds | {"total": sum(seconds.values())},
        "hardware": hardware(world),
        "recipe_sha256": recipe.digest,
    }
    rounded: dict[str, Any] = _rounded(result)
    return rounded


def next_frames(world: DiTWorld, clips: Clips, counts: Counts) -> dict[str, Any]:
    """PSNR of the autoencoder, of the next frame after true ones and of copying the last one, on the same frames."""
    known = context_frames(world)
    starts = spread(clips.windows(known + 1), counts.contexts)
    rows = []
    for part in _batches(starts, counts.batch):
        truth, last = clips.take(part + known), clips.take(part + known - 1)
        made = next(dream(world, scenes_at(world, clips, part, known), clips.leading[part + known][:, None]))
        again = reconstruct(world, truth)
        rows.append(np.stack([psnr(again, truth), psnr(made, truth), psnr(last, truth), change(last, truth)], 1))
    table = np.concatenate(rows)
    moving = table[:, 3] > MOVING
    result: dict[str, Any] = {}
    for column, key in enumerate(("autoencoder_psnr", "next_frame_psnr", "copy_last_psnr")):
        result[key] = _mean(table[:, column])
        result[f"{key}_moving"] = _mean(table[moving, column])
    return result | {"next_frames": len(table), "next_frames_moving": int(moving.sum()), "context_frames": known}


def rollouts(world: DiTWorld, clips: Clips, counts: Counts) -> dict[str, Any]:
    """PSNR of the n-th dreamed frame under the true actions, mean over clips, for each n of `ROLLOUTS`."""
    known, length = context_frames(world), ROLLOUTS[-1]
    starts = spread(clips.windows(known + length), counts.rollouts)
    scores: dict[str, list[float]] = {str(n): [] for n in ROLLOUTS}
    copies: dict[str, list[float]] = {str(n): [] for n in ROLLOUTS}
    for part in _batches(starts, counts.batch):
        rows = clips.leading[part[:, None] + np.arange(known, known + length)]
        last = clips.take(part + known - 1)
        for n, made in enumerate(dream(world, scenes_at(world, clips, part, known), rows), 1):
            if n in ROLLOUTS:
                truth = clips.take(part + known + n - 1)
                scores[str(n)] += psnr(made, truth).tolist()
                copies[str(n)] += psnr(last, truth).tolist()
    return {
        "rollout_psnr": {n: _mean(values) for n, values in scores.items()},
        "rollout_psnr_copy": {n: _mean(values) for n, values in copies.items()},
        "rollout_clips": len(starts),
    }


def directions(world: DiTWorld, recipe: Recipe, folder: Path, counts: Counts) -> dict[str, Any]:
    """Direction accuracy of the world, and of the real engine under the same reader: the ceiling."""
    clips = Clips.open(folder / "data" / "battery")
    reader = open_reader(recipe, folder)
    known = min(context_frames(world), CONTEXT // world.spec.chunk * world.spec.chunk)  # the very first has no action
    dreamed, real, amounts = {}, {}, {}
    for battery in batteries(recipe, clips, counts.starts):
        truth = clips.take(battery.span.ravel()).reshape(*battery.span.shape, *clips.frame(0).shape)
        scenes = scenes_at(world, clips, battery.begin + 1 - known, known)
        made = np.stack(list(dream(world, scenes, clips.leading[battery.span[:, 1:]])), 1)
        # A dream begins in its own look, or the reader would see the autoencoder's blur as motion.
        made = np.concatenate([reconstruct(world, truth[:, 0])[:, None], made], 1)
        follows = reader.follow(battery.direction, made), reader.follow(battery.direction, truth)
        dreamed[battery.direction], real[battery.direction] = (amount > reader.still for amount in follows)
        amounts[battery.direction] = {"dream": float(np.median(follows[0])), "real": float(np.median(follows[1]))}
    return {
        "direction_accuracy": accuracy(dreamed),
        "direction_accuracy_real": accuracy(real),
        "direction_amount": amounts,
        "direction_frames": HELD,
    }


def long_dreams(world: DiTWorld, clips: Clips, counts: Counts) -> dict[str, Any]:
    """Drift of the last frames of long dreams against all held-out frames; see drift.py for the definition.

    The same held-out frames through the autoencoder show how much of it is there before anything was dreamed.
    """
    known = context_frames(world)
    starts = spread(clips.windows(known), counts.drift_streams)
    # Recorded actions in order from each start; where an episode ends, the next one's actions go on.
    at = (starts[:, None] + known + np.arange(counts.drift_frames)) % len(clips)
    first = counts.drift_frames - counts.drift_tail
    tail = []
    for n, made in enumerate(dream(world, scenes_at(world, clips, starts, known), clips.leading[at])):
        if n >= first and (n - first) % TAIL_EVERY == 0:
            tail.append(appearance(made))
    pictures = clips.take(np.arange(0, len(clips), TAIL_EVERY))
    dreamed, real, again = np.concatenate(tail), appearance(pictures), appearance(reconstruct(world, pictures))
    return {
        "drift": drift(dreamed, real),
        "drift_autoencoder": drift(again, real),
        "drift_beyond_autoencoder": drift(dreamed, again),
        "drift_floor": drift_floor(real, len(starts), len(tail)),
        "drift_statistics": {"dream": summary(dreamed), "real": summary(real), "autoencoder": summary(again)},
    }


def hardware(world: DiTWorld) -> dict[str, Any]:
    """What the numbers were measured on."""
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), cpu)
    except OSError:  # not Linux: the plain name will do
        pass
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "device": str(world.device),
        "dtype": str(world.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _weights(recipe: Recipe, folder: Path) -> DiTWorld:
    """The shipped world of that name, or else the one that a training left in the folder."""
    name = f"{recipe.spec.name}.safetensors"
    places = [DATA / name, folder / name]
    for path in places:
        if path.exists():
            return load_world(path)
    raise ValueError(
        f"expected weights of {recipe.spec.name!r} at {places[0]} or {places[1]}, found none;"
        f" train them: worldloom train {recipe.spec.name}"
    )


def _record_missing(recipe: Recipe, folder: Path) -> None:
    """Record what the evaluation needs: held-out episodes, the battery, and frames for the probe of the arm."""
    if find_spec("cv2") is None:
        raise RuntimeError("evaluation measures optical flow and needs OpenCV: pip install 'worldloom[train]'")
    frames = min(PROBE_FRAMES, recipe.data.frames) if recipe.data.simulator == "arm" else 0
    try:
        collect(replace(recipe, data=replace(recipe.data, frames=frames)), folder / "data")
    except ImportError as error:
        raise RuntimeError(
            f"recordings of {recipe.spec.name!r} are missing in {folder / 'data'}, and recording them needs the engine:"
            f" pip install 'worldloom[train]' ({error})"
        ) from error


def _batches(values: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return np.array_split(values, -(-len(values) // size))


def _mean(values: NDArray[np.float64] | list[float]) -> float | None:
    """The mean; None of nothing, which JSON can say."""
    return float(np.mean(values)) if len(values) else None


def _rounded(value: Any) -> Any:
    """Plain data with floats at four decimals."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return round(value, 4) if isinstance(value, float) else value
