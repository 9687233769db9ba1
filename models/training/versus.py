"""Two worlds, or two settings of one, on the same actions: blind, for people to choose between.

Writes a page of clips with the two sides shuffled, and a key in a file of its own; the page scores choices once it is
given the key. Which side is which follows from the pictures themselves, so it can be repeated and not guessed.
Knows how to dream the two sides and to hide them; the page itself is in versus_page.py.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from ..finer import named_steps
from ..spec import Image
from ..weights import load_world
from ..world import DiTWorld
from .clips import Clips
from .dream import context_frames, dream, scenes_at, spread
from .evaluate import open_world
from .metrics import Pictures
from .missing import record
from .recipe import Recipe, load_recipe
from .report import action_text, label, write_video
from .versus_page import render

CLIPS = 12
"""Pairs on a page: a person looks at them in five minutes."""

LENGTHS = (96, 64, 32)
"""Dreamed frames of a clip: the first of these for which the episodes are long enough."""

GAP = 8
"""Black pixels between the sides."""


@dataclass(frozen=True)
class Side:
    """One of the two."""

    name: str  # as it was asked for; only the key says it
    world: DiTWorld
    steps: int | None  # denoising steps, None: as many as the world takes by itself


def compare(name: str, against: str, out: Path, *, folder: Path | None = None, clips: int = CLIPS) -> Path:
    """Write `index.html` and `key.json` under `out`; returns the path of the page.

    Args:
        name: one side: a recipe or world, which also says where the actions come from; with `@N`, in N denoising steps.
        against: the other: a world's name or a `.safetensors` file of the same pictures and actions; `@N` as above.
        out: a folder.
        folder: of the recordings, `runs/NAME` by default.
        clips: pairs on the page.

    Raises:
        ValueError: no such recipe or weights, or the two do not fit together.
        RuntimeError: recordings are missing, and the engine to make them.
    """
    recipe = load_recipe(named_steps(name)[0])
    folder = folder or Path("runs") / recipe.spec.name
    sides = open_side(name, recipe, folder), open_side(against, recipe, folder)
    check(*sides)
    record(recipe, folder, 0, scripts=False)
    return write_versus(sides, Clips.open(folder / "data" / "holdout"), out, clips)


def open_side(what: str, recipe: Recipe, folder: Path) -> Side:
    """A side from what was asked for.

    Raises:
        ValueError: no such weights.
    """
    name, steps = named_steps(what)
    if name.endswith(".safetensors"):
        if not Path(name).exists():
            raise ValueError(f"expected weights at {name}, found none")
        return Side(what, load_world(Path(name)), steps)
    other = load_recipe(name)
    return Side(what, open_world(other, folder if other.spec.name == recipe.spec.name else Path("runs") / name), steps)


def check(a: Side, b: Side) -> None:
    """Refuse two that cannot be shown on the same actions.

    Raises:
        ValueError: pictures, actions or clocks differ.
    """
    for what in ("height", "width", "fps"):
        if getattr(a.world.spec, what) != getattr(b.world.spec, what):
            raise ValueError(f"expected two worlds of the same {what}: {a.name} and {b.name} differ")
    if a.world.spec.actions.columns != b.world.spec.actions.columns:
        raise ValueError(f"expected two worlds of the same actions: {a.name} and {b.name} differ")


def write_versus(sides: tuple[Side, Side], clips: Clips, out: Path, count: int) -> Path:
    """Dream both sides, shuffle them, write the page and the key."""
    spec = sides[0].world.spec
    known = max(context_frames(side.world) for side in sides)
    length = next((n for n in LENGTHS if len(clips.windows(known + n)) >= count), LENGTHS[-1])
    starts = spread(clips.windows(known + length), count)
    dreams = [dream_side(side, clips, starts + known, length) for side in sides]
    swapped = swaps(*dreams)
    rows = clips.leading[starts[:, None] + known + np.arange(length)]
    videos = []
    for k, swap in enumerate(swapped):
        left, right = (dreams[side][k] for side in ((1, 0) if swap else (0, 1)))
        texts = [action_text(row, spec.actions) for row in rows[k]]
        with TemporaryDirectory() as scratch:
            path = Path(scratch) / "pair.mp4"
            write_video(path, paired(left, right, texts), spec.fps)
            videos.append(b64encode(path.read_bytes()).decode())
    out.mkdir(parents=True, exist_ok=True)
    page = out / "index.html"
    page.write_text(render(videos), encoding="utf-8")
    key = {"a": sides[0].name, "b": sides[1].name, "left": ["b" if swap else "a" for swap in swapped]}
    (out / "key.json").write_text(json.dumps(key, indent=1) + "\n", encoding="utf-8")
    return page


def dream_side(side: Side, clips: Clips, begin: NDArray[np.int64], length: int) -> Pictures:
    """(n, length, H, W, 3) dreams that begin at recorded frames `begin`, after as many true ones as the world holds."""
    known = context_frames(side.world)
    scenes = scenes_at(side.world, clips, begin - known, known)
    rows = clips.leading[begin[:, None] + np.arange(length)]
    return np.stack(list(dream(side.world, scenes, rows, steps=side.steps)), 1)


def swaps(a: Pictures, b: Pictures) -> list[bool]:
    """For each clip whether B is on the left, drawn from a seed that nobody knows before the pictures are there."""
    digest = hashlib.sha256(a.tobytes() + b.tobytes()).digest()
    return (np.random.default_rng(int.from_bytes(digest[:8])).random(len(a)) < 0.5).tolist()


def paired(left: Pictures, right: Pictures, texts: list[str]) -> Iterator[Image]:
    """Frames of a video, twice as large, that say nothing of whose they are."""
    gap = np.zeros((left.shape[1], GAP, 3), np.uint8)
    for one, two, text in zip(left, right, texts, strict=True):
        picture = np.concatenate([one, gap, two], 1)
        yield np.concatenate([label("", text, picture.shape[1]), picture]).repeat(2, 0).repeat(2, 1)
