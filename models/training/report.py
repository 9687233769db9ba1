"""Pictures for people: contact sheets and a video of dream beside truth under the same actions.

Numbers cannot say whether a world looks right; look at these before shipping one. Knows how to lay out pictures that
it is given, and which ones a report shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from ..spec import Actions, ActionSpec, Image
from ..world import DiTWorld
from .clips import Clips
from .dream import context_frames, dream, scenes_at, spread
from .metrics import Pictures
from .recipe import Recipe

SHOWN = (1, 2, 4, 8, 16, 32, 64, 96, 120)
"""Dreamed frames on the sheet of pairs, those that the recordings are long enough for."""

CLIPS = 4
"""Held-out clips on the sheet of pairs and in the video."""

STREAMS, STEPS, STRIDE = 10, 20, 5
"""The sheet of 200: streams down, frames across, dreamed frames from one to the next."""

STRIP = 24
"""Pixels of the strip of text above a picture: two lines."""


def write_report(recipe: Recipe, folder: Path, world: DiTWorld, out: Path) -> None:
    """Write `pairs.png`, `dreams.png` and `dream.mp4` under `out`, from the held-out recordings in `folder`."""
    out.mkdir(parents=True, exist_ok=True)
    clips = Clips.open(folder / "data" / "holdout")
    truth, dreamed, rows = paired(world, clips)
    spec = recipe.spec
    Pillow.fromarray(pair_sheet(truth, dreamed, rows, spec.actions)).save(out / "pairs.png")
    Pillow.fromarray(grid(many_dreams(world, clips), STEPS)).save(out / "dreams.png")
    write_video(out / "dream.mp4", side_by_side(truth, dreamed, rows, spec.actions), spec.fps)


def paired(world: DiTWorld, clips: Clips) -> tuple[Pictures, Pictures, Actions]:
    """Truth and dream (B, T, H, W, 3) from the same start under the same actions (B, T, A)."""
    known = context_frames(world)
    length = next((n for n in sorted(SHOWN, reverse=True) if len(clips.windows(known + n)) >= CLIPS), 1)
    starts = spread(clips.windows(known + length), CLIPS)
    span = starts[:, None] + known + np.arange(length)
    rows = clips.leading[span]
    dreamed = np.stack(list(dream(world, scenes_at(world, clips, starts, known), rows)), 1)
    return clips.take(span.ravel()).reshape(dreamed.shape), dreamed, rows


def many_dreams(world: DiTWorld, clips: Clips) -> Pictures:
    """(STREAMS * STEPS, H, W, 3): a row of frames of each of several streams under recorded actions."""
    known, length = context_frames(world), STEPS * STRIDE
    starts = spread(clips.windows(known), STREAMS)
    rows = clips.leading[(starts[:, None] + known + np.arange(length)) % len(clips)]
    made = [f for n, f in enumerate(dream(world, scenes_at(world, clips, starts, known), rows), 1) if n % STRIDE == 0]
    return np.stack(made, 1).reshape(-1, *made[0].shape[1:])


def pair_sheet(truth: Pictures, dreamed: Pictures, rows: Actions, actions: ActionSpec) -> Image:
    """One picture: for each clip a row of truth above a row of dream, the frame number and its action on top."""
    shown = [n for n in SHOWN if n <= truth.shape[1]]
    bands = []
    for clip in range(len(truth)):
        columns = [
            np.concatenate(
                [
                    label(f"{n}", action_text(rows[clip, n - 1], actions), truth.shape[3]),
                    truth[clip, n - 1],
                    dreamed[clip, n - 1],
                ]
            )
            for n in shown
        ]
        bands.append(np.concatenate(columns, 1))
    return np.concatenate(bands)


def side_by_side(truth: Pictures, dreamed: Pictures, rows: Actions, actions: ActionSpec) -> Iterator[Image]:
    """Frames of a video: real on the left, dream on the right, one clip after the other, twice as large."""
    width = truth.shape[3]
    for clip in range(len(truth)):
        for t in range(truth.shape[1]):
            text = action_text(rows[clip, t], actions)
            left = np.concatenate([label("real", text, width), truth[clip, t]])
            right = np.concatenate([label("dreamed", text, width), dreamed[clip, t]])
            yield np.concatenate([left, right], 1).repeat(2, 0).repeat(2, 1)


def grid(pictures: Pictures, columns: int) -> Image:
    """(n, H, W, 3) -> one picture with `columns` across; what is missing in the last row stays black."""
    n, height, width, _ = pictures.shape
    down = -(-n // columns)
    cells = np.zeros((down * columns, height, width, 3), np.uint8)
    cells[:n] = pictures
    rows = cells.reshape(down, columns, height, width, 3).swapaxes(1, 2)
    return rows.reshape(down * height, columns * width, 3)


def label(title: str, text: str, width: int) -> Image:
    """A strip (STRIP, width, 3) with two lines of text."""
    strip = Pillow.new("RGB", (width, STRIP), "black")
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(size=9)
    draw.text((2, 0), title, "white", font)
    draw.text((2, STRIP // 2 - 1), text, "orange", font)
    return np.asarray(strip)


def action_text(row: NDArray[np.float32], actions: ActionSpec) -> str:
    """What of an action row is not at rest, short: "forward turn+5.0"."""
    words = [name for name, value in zip(actions.buttons, row, strict=False) if value > 0.5]
    for axis, value in zip(actions.axes, row[len(actions.buttons) :], strict=True):
        if abs(value) > 0.05 * max(abs(axis.low), abs(axis.high)):
            words.append(f"{axis.name[:4]}{value:+.1f}")
    return " ".join(words)


def write_video(path: Path, frames: Iterable[Image], fps: Fraction) -> None:
    """Frames of equal, even size as H.264 that every browser plays."""
    with av.open(str(path), "w") as container:
        stream = None
        for picture in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=fps, options={"crf": "23", "preset": "medium"})
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        if stream is None:
            raise ValueError("expected frames for a video, got none")
        container.mux(stream.encode())
