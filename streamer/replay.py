"""A bundle's frames made anew, compared with what was shown, or rendered as a movie at full quality.

On the machine and with the versions that made them the bytes are equal; elsewhere PSNR says how near they come. Knows
bundles and the world's interface; no session, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray

from worldloom.models.catalog import open_world, shipped_worlds
from worldloom.models.spec import AdjustableWorld, ParkableWorld, TellableWorld, WorldModel
from worldloom.models.training.metrics import psnr

from .beginning import begin
from .bundle import BadBundle, Bundle, Event
from .origin import Origin
from .provenance import machine, versions, weights_of
from .replay_log import digest_of

Picture = NDArray[np.uint8]
Mark = Callable[[Picture], Picture]
CRF = "12"  # of x264: hardly to be told from the pictures themselves
SCALE = 2  # colour planes are halved, so that pictures are doubled


@dataclass(frozen=True)
class Report:
    """How a replay came out."""

    world: str
    frames: int
    equal: int  # frames whose bytes are those that were shown
    first_difference: int | None  # number of the frame
    psnr_db: float | None  # mean over the pictures that the bundle keeps; None where all are equal, or none is kept
    psnr_db_least: float | None
    same_weights: bool
    same_versions: bool
    same_machine: bool

    @property
    def table(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def world_of(bundle: Bundle, name: str | None = None) -> WorldModel[Any]:
    """The world of a bundle: of this installation, or the one that the caller names; a bundle is not asked to import.

    Raises:
        BadBundle: it is not here, or another one.
    """
    header = bundle.header
    source = name or header.world
    if name is None and source not in (*shipped_worlds(), "toy"):
        raise BadBundle(f"expected one of the worlds that are installed, got {source!r}; name yours with --world")
    model = open_world(source)
    spec = model.spec
    here = (spec.name, spec.height, spec.width, spec.chunk, spec.actions.columns)
    there = (header.world, header.height, header.width, header.chunk, header.columns)
    if here != there:
        raise BadBundle(f"expected a bundle of the world {here}, got {there}"[:512])
    return model


def regenerated(
    bundle: Bundle, model: WorldModel[Any], *, as_shown: bool = True, tell: Callable[[int], None] = lambda _: None
) -> Generator[tuple[int, Picture], None, None]:
    """Number and picture of every frame.

    Args:
        bundle: what was done.
        model: its world.
        as_shown: in as many denoising steps as then, where overload had taken some away.
        tell: hears how many frames are made.

    Raises:
        BadBundle: its state is not one of this world, or the world does not begin so.
    """
    header, chunk = bundle.header, bundle.header.chunk
    events = {frame: list(group) for frame, group in groupby(header.events, lambda event: event.frame)}
    wanted = {event.to for event in header.events if event.to is not None}
    before: dict[int, Any] = {}  # states to which it goes back
    state = _loaded(model, bundle.state)
    try:
        for at in range(0, len(bundle), chunk):
            frame = header.frame + at
            if frame in wanted and state is not None:
                before[frame] = model.fork(state)
            for event in events.get(frame, ()):
                old, state = state, _moved(model, bundle, event, before, state)
                if old is not None and old is not state:
                    model.release(old)
            rows = bundle.actions[None, at : at + chunk]
            steps = int(bundle.steps[at]) if as_shown else 0
            if steps:
                pictures = cast("AdjustableWorld[Any]", model).step([state], rows, steps=steps)
            else:
                pictures = model.step([state], rows)
            yield from enumerate(pictures[0], frame)
            tell(at + chunk)
    finally:
        for one in (*before.values(), *([state] if state is not None else [])):
            model.release(one)


def compared(
    bundle: Bundle, model: WorldModel[Any], source: str, tell: Callable[[int], None] = lambda _: None
) -> Report:
    """Replay, and say how near it comes. `source`: what the world was opened from. Raises as `regenerated`."""
    header = bundle.header
    shown = dict(zip(bundle.shown_at.tolist(), bundle.shown, strict=True))
    equal, first, near = 0, None, []
    for (frame, picture), digest in zip(regenerated(bundle, model, tell=tell), bundle.digests, strict=True):
        same = digest_of(picture) == digest.tobytes()
        equal += same
        first = frame if first is None and not same else first
        if frame in shown and not np.array_equal(picture, shown[frame]):
            near.append(float(psnr(picture, shown[frame])))
    return Report(
        world=header.world,
        frames=len(bundle),
        equal=equal,
        first_difference=first,
        psnr_db=round(float(np.mean(near)), 2) if near else None,
        psnr_db_least=round(min(near), 2) if near else None,
        same_weights=weights_of(source) == header.weights,
        same_versions=versions() == header.versions,
        same_machine=machine() == header.machine,
    )


def render(
    bundle: Bundle,
    model: WorldModel[Any],
    out: Path,
    tell: Callable[[int], None] = lambda _: None,
    *,
    mark: Mark = lambda picture: picture,
    finish: Callable[[Path], None] = lambda path: None,
) -> None:
    """Write an MP4 that is there once it is whole.

    Args:
        bundle: what was done.
        model: its world.
        out: the movie.
        tell: hears how many frames are made.
        mark: what is done to each picture before it is compressed.
        finish: what is done to the movie before it is there.

    Raises:
        BadBundle: as of `regenerated`.
        OSError: the disk refuses.
    """
    fps = Fraction(*bundle.header.fps)
    half = out.with_name(out.name + ".part")
    try:
        with av.open(str(half), "w", format="mp4") as movie:
            stream = movie.add_stream("libx264", rate=fps, options={"crf": CRF, "preset": "slow"})
            stream.height, stream.width = bundle.header.height * SCALE, bundle.header.width * SCALE
            stream.pix_fmt = "yuv420p"
            for _, picture in regenerated(bundle, model, as_shown=False, tell=tell):
                large = np.repeat(np.repeat(mark(picture), SCALE, 0), SCALE, 1)
                movie.mux(stream.encode(av.VideoFrame.from_ndarray(large, format="rgb24")))
            movie.mux(stream.encode(None))
        finish(half)
        half.replace(out)
    finally:
        half.unlink(missing_ok=True)


def _loaded(model: WorldModel[Any], state: bytes | None) -> Any:
    try:
        return None if state is None else model.load(state)
    except ValueError as error:
        raise BadBundle(f"its state cannot be loaded: {error}") from error


def _moved(model: WorldModel[Any], bundle: Bundle, event: Event, before: dict[int, Any], state: Any) -> Any:
    """The state after an event; `state` is the one before."""
    if event.rebuilt:
        if state is None or not hasattr(model, "park"):
            raise BadBundle("expected a world that makes memories anew, and one of its own to be made anew")
        return model.load(cast("ParkableWorld[Any]", model).park(state))
    if event.say is not None:
        if state is None or event.how not in model.spec.switches:
            raise BadBundle(f"expected a world that changes its prompt by {event.how}")
        return _told(model, event, state)
    if event.to is not None:
        if event.to not in before:
            raise BadBundle(f"expected to go back to the beginning of a chunk, got frame {event.to}")
        return model.fork(before[event.to])
    image = None if event.image is None else bundle.images[event.image]
    try:
        return begin(model, Origin(event.seed or 0, event.prompt, image))
    except ValueError as error:
        raise BadBundle(f"the world does not begin so: {error}") from error


def _told(model: WorldModel[Any], event: Event, state: Any) -> Any:
    """The same state, under another text."""
    try:
        cast("TellableWorld[Any]", model).say(state, event.say or "", how=event.how, chunks=event.chunks)
    except ValueError as error:
        raise BadBundle(f"the world does not go on so: {error}") from error
    return state
