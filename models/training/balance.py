"""What is in the recordings: how often each button is down, how turns are spread, who moves, is blocked, or rests.

A policy that mostly walks makes a world that can hardly stand. Look at these shares before training on recordings.
Written as `balance.json` beside them, and printed. Knows recordings and names of columns; no engine.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from .clips import Clips, shard_stems
from .recipe import Recipe
from .simulators import pose_columns

BINS = 12
"""Of the histogram of an axis, between its lowest and its highest value."""

RESTING = 1e-3
"""Share of an axis' range below which it counts as not moved."""


def report_balance(recipe: Recipe, folder: Path) -> None:
    """Write and print the balance of the training and held-out recordings under `folder`."""
    for name in ("train", "holdout"):
        if not shard_stems(folder / name):
            continue
        found = balance(recipe, Clips.open(folder / name))
        (folder / name / "balance.json").write_text(json.dumps(found, indent=1) + "\n")
        Console(stderr=True).print(_table(f"{recipe.spec.name}: {name}", found))


def balance(recipe: Recipe, clips: Clips) -> dict[str, Any]:
    """Shares of the frames of a set, as plain data.

    "moving", "blocked" and "idle" add up to 1: idle is where nothing was asked for; blocked is where the engine says
    that the way here was (null where it does not say, and then it counts as moving).
    """
    actions = recipe.spec.actions
    asked = np.abs(clips.leading) > RESTING * actions.scale
    idle = np.logical_not(asked.any(1))
    poses = _poses(recipe, clips)
    blocked = (poses["blocked"] > 0) & ~idle if "blocked" in poses else np.zeros_like(idle)
    found: dict[str, Any] = {
        "frames": len(clips),
        "episodes": len(np.unique(clips.episodes)),
        "actions": list(actions.columns),
        "poses": list(poses),
        "buttons": {name: _share(asked[:, k]) for k, name in enumerate(actions.buttons)},
        "axes": {
            axis.name: _histogram(clips.leading[:, len(actions.buttons) + k], axis.low, axis.high)
            for k, axis in enumerate(actions.axes)
        },
        "moving": _share(~idle & ~blocked),
        "blocked": _share(blocked) if "blocked" in poses else None,
        "idle": _share(idle),
    }
    for column, names in (("map", recipe.data.maps), ("task", recipe.data.tasks)):
        if column in poses:
            found[column] = {name: _share(poses[column] == k) for k, name in enumerate(names)}
    if "unseen" in poses:
        found["unseen"] = _share(poses["unseen"] > 0)
    if "success" in poses:
        found["success"] = _share(poses["success"] > 0)
        won = np.unique(clips.episodes[poses["success"] > 0])
        found["episodes_with_success"] = len(won)
    return found


def kinds(recipe: Recipe, clips: Clips) -> NDArray[np.int64]:
    """(n,) which map or task each frame shows; all zero where there is one."""
    poses = _poses(recipe, clips)
    column = poses.get("map", poses.get("task", np.zeros(len(clips))))
    return column.astype(np.int64)


def kind_names(recipe: Recipe) -> tuple[str, ...]:
    """What people call each of these: "drawer open" of `drawer-open-v3`."""
    tasks = tuple(re.sub(r"-v\d+$", "", task).replace("-", " ") for task in recipe.data.tasks)
    return recipe.data.maps or tasks or ("scene",)


def _poses(recipe: Recipe, clips: Clips) -> dict[str, NDArray[np.float32]]:
    """The columns of the poses by name."""
    data = recipe.data
    names = pose_columns(data.simulator, maps=bool(data.maps), tasks=bool(data.tasks))
    return {name: clips.poses[:, k] for k, name in enumerate(names)}


def _histogram(values: NDArray[np.float32], low: float, high: float) -> dict[str, Any]:
    """Shares of an axis' values: at rest, and in bins."""
    resting = np.abs(values) <= RESTING * max(abs(low), abs(high))
    edges = np.linspace(low, high, BINS + 1)
    counts, _ = np.histogram(np.clip(values[~resting], low, high), edges)
    return {
        "rest": _share(resting),
        "edges": [round(float(edge), 4) for edge in edges],
        "shares": [round(float(count) / len(values), 4) for count in counts],
    }


def _share(which: NDArray[np.bool_]) -> float:
    return round(float(np.mean(which)), 4)


def _table(title: str, found: dict[str, Any]) -> Table:
    """The same for people."""
    table = Table("what", "share of frames", title=f"{title}, {found['frames']} frames, {found['episodes']} episodes")
    rows = [(name, share) for name, share in found["buttons"].items()]
    rows += [(name, found[name]) for name in ("moving", "blocked", "idle", "unseen", "success") if name in found]
    rows += [(name, share) for column in ("map", "task") for name, share in found.get(column, {}).items()]
    for name, share in rows:
        table.add_row(name, "not recorded" if share is None else f"{share:.1%}")
    for name, axis in found["axes"].items():
        most = max(axis["shares"]) or 1.0
        bars = "".join(" .:-=+*#%@"[round(9 * share / most)] for share in axis["shares"])
        table.add_row(name, f"{axis['rest']:.1%} at rest, else |{bars}| from {axis['edges'][0]} to {axis['edges'][-1]}")
    return table
