"""A recipe for recordings that somebody else made, derived from the recordings themselves.

`configs/train/own.toml` with another `[world]`: its columns, their ranges, the rate and the shape of the pictures are
what the files show. It is written down beside the run, to be read and improved. Knows both layouts; trains nothing.
"""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from ..spec import ActionSpec, Axis
from .own_recordings import read_lines
from .recipe import RECIPES

AREA = 128 * 160  # pixels that a picture should have about: what two cores can dream in real time
CELL = 16  # pixels across and down that become one cell of a latent
KEYS = {
    "forward": ("KeyW", "ArrowUp"),
    "back": ("KeyS", "ArrowDown"),
    "left": ("KeyA",),
    "right": ("KeyD",),
    "use": ("KeyE",),
    "jump": ("Space",),
}
"""Keys for buttons that are called so; other columns get none, and can be moved by the page's sliders."""


def derive_recipe(name: str, source: Path) -> str:
    """The text of a recipe that fits the recordings in a folder.

    Raises:
        ValueError: nothing can be read there.
    """
    if (source / "meta" / "info.json").exists():
        actions, fps, shape = _from_lerobot(source)
    else:
        actions, fps, shape = _from_lines(source)
    example = (RECIPES / "own.toml").read_text()
    rest = example[example.index("[data]") :]
    return f"# Derived from {source.name}.\n{_world(name, actions, fps, *fitting(*shape))}\n{rest}"


def fitting(height: int, width: int) -> tuple[int, int]:
    """A size of the same shape, as nearly as whole cells allow, of about `AREA` pixels."""
    scale = math.sqrt(AREA / (height * width))
    return max(CELL, round(height * scale / CELL) * CELL), max(CELL, round(width * scale / CELL) * CELL)


def _from_lines(source: Path) -> tuple[ActionSpec, Fraction, tuple[int, int]]:
    """Columns and ranges of all `.jsonl`; rate and shape of the first `.mp4`."""
    files = sorted(source.glob("*.jsonl"))
    videos = sorted(source.glob("*.mp4"))
    if not files or not videos:
        raise ValueError(
            f"{source}: expected *.mp4 with *.jsonl beside them, or meta/info.json of LeRobot; found neither"
        )
    try:
        with files[0].open(encoding="utf-8") as lines:
            names = list(json.loads(next(lines, "")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{files[0]}, line 1: expected a JSON object ({error})") from error
    open_ended = ActionSpec(axes=tuple(Axis(str(column), -np.inf, np.inf, "1") for column in names))
    rows = np.concatenate([read_lines(open_ended, path) for path in files])
    try:
        with av.open(str(videos[0])) as container:
            stream = container.streams.video[0]
            return columns_of(names, rows), Fraction(stream.average_rate or 0), (stream.height, stream.width)
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"{videos[0]}: expected a video, got what cannot be decoded ({error})") from error


def _from_lerobot(source: Path) -> tuple[ActionSpec, Fraction, tuple[int, int]]:
    """Columns from the description, ranges from the tables."""
    from .lerobot import action_names, all_actions, camera, read_info

    info = read_info(source)
    rows = all_actions(source)
    names = action_names(info) or [f"a{k}" for k in range(rows.shape[1])]
    feature = info["features"][camera(info, "", source / "meta" / "info.json")]
    order = [str(part) for part in feature.get("names") or ("height", "width", "channels")]
    sides = dict(zip((part[0] for part in order), feature["shape"], strict=True))  # "h" or "height", in any order
    return columns_of(names, rows), Fraction(str(info["fps"])), (int(sides["h"]), int(sides["w"]))


def columns_of(names: list[str], rows: np.ndarray[Any, Any]) -> ActionSpec:
    """Columns that are only ever 0 or 1 are buttons, the others axes that reach as far as they did.

    Raises:
        ValueError: a value is not finite.
    """
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise ValueError(
            f"row {row} of the actions: {names[column]}: expected a finite number, got {rows[row, column]}"
        )
    low, high = rows.min(0), rows.max(0)
    buttons = [k for k in range(len(names)) if np.isin(rows[:, k], (0.0, 1.0)).all()]
    axes = []
    for k in range(len(names)):
        reach = max(abs(float(low[k])), abs(float(high[k]))) or 1.0
        if k not in buttons:
            axes.append(Axis(names[k], -reach if low[k] < 0 else 0.0, reach if high[k] > 0 else 0.0, "1"))
    return ActionSpec(tuple(names[k] for k in buttons), tuple(axes))


def _world(name: str, actions: ActionSpec, fps: Fraction, height: int, width: int) -> str:
    """The `notices` and the `[world]` of a recipe."""
    say = json.dumps  # TOML's strings, lists and numbers are JSON's
    lines = [
        'notices = ["Trained on recordings of one\'s own."]\n',
        f'[world]\nname = {say(name)}\ntitle = {say(name)}\nhelp = ""',
        f'height = {height}\nwidth = {width}\nfps = "{fps}"\nchunk = 1\nimages = true\n',
        f'[world.actions]\nbuttons = {say(list(actions.buttons))}\nlook = ["", ""]\naxes = [',
    ]
    for axis in actions.axes:
        lines.append(f'  {{ name = {say(axis.name)}, low = {axis.low!r}, high = {axis.high!r}, unit = "1" }},')
    lines.append("]\n\n[world.actions.keys]")
    for button in actions.buttons:
        lines += [f"{key} = {{ column = {say(button)} }}" for key in KEYS.get(button, ())]
    return "\n".join(lines) + "\n"
