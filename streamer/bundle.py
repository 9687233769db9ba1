"""A replay bundle (`.wloom`): one zip of JSON and safetensors, from which the same frames come again.

    bundle.json           world, weights, versions, machine; what the stream began from, and where it went back
    frames.safetensors    by frame: the row that the world was given, its denoising steps, a digest of its picture;
                          a few pictures as they were, and the pictures that it began from
    state                 the world's memory before the first frame, as the world saves it, where it began before that

A bundle may come from a stranger: names, sizes, types and shapes are checked before anything is made of them, and what
it says of its world is compared, never imported. Knows files; no world, no session.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from .fields import Count, Line, Message, Name, Seed, Switch, Text

HEADER, FRAMES, STATE = "bundle.json", "frames.safetensors", "state"
LIMITS = {HEADER: 8 * 2**20, FRAMES: 256 * 2**20, STATE: 2**30}  # bytes of each part
MOST_FRAMES = 1_000_000
DIGEST = 8  # bytes of a picture's digest (BLAKE2b)
ENDING = 22  # bytes of the record with which a zip ends, without a comment


class BadBundle(ValueError):
    """Not a bundle, or one that asks for too much."""


class Event(Message):
    """Before this frame the world did not simply go on."""

    frame: Count
    to: Count | None = None  # it went back to what it was before that frame
    seed: Seed | None = None  # or it began, from this seed,
    prompt: Text | None = None
    image: Annotated[int, Field(ge=0, le=255)] | None = None  # and this picture of `images`
    rebuilt: bool = False  # or its memory was made anew, as after parking
    say: Text | None = None  # or it was told to go on under this text,
    how: Switch = "recache"  # in this way,
    chunks: Annotated[int, Field(ge=1, le=256)] = 1  # over so many


class Header(Message):
    """What a bundle says of itself."""

    format: Literal[1] = 1
    world: Name
    weights: dict[Name, Line] | None  # file and sha256; None: the world has none
    versions: Annotated[dict[Name, Line | None], Field(max_length=32)]
    machine: Line
    session: Name
    started: Line
    fps: tuple[Annotated[int, Field(ge=1, le=10**9)], Annotated[int, Field(ge=1, le=10**9)]]
    chunk: Annotated[int, Field(ge=1, le=1024)]
    height: Annotated[int, Field(ge=1, le=8192)]
    width: Annotated[int, Field(ge=1, le=8192)]
    columns: Annotated[tuple[Name, ...], Field(max_length=256)]  # none where nobody steers
    frame: Count  # number of the first frame
    events: Annotated[tuple[Event, ...], Field(max_length=65536)] = ()


@dataclass(frozen=True, eq=False)
class Bundle:
    """Everything that regenerates N frames of (H, W, 3)."""

    header: Header
    actions: NDArray[np.float32]  # (N, A)
    steps: NDArray[np.uint8]  # (N,) denoising steps; 0: as many as the world takes by itself
    digests: NDArray[np.uint8]  # (N, 8)
    shown: NDArray[np.uint8]  # (K, H, W, 3) some of the pictures
    shown_at: NDArray[np.int64]  # (K,) numbers of their frames
    images: tuple[NDArray[np.uint8], ...]  # (h, w, 3) to begin from
    state: bytes | None

    def write(self, path: Path) -> None:
        """As a file; what was there is replaced once this one is whole."""
        parts = {"actions": self.actions, "steps": self.steps, "digests": self.digests}
        parts |= {"shown": self.shown, "shown_at": self.shown_at}
        parts |= {f"image.{k}": image for k, image in enumerate(self.images)}
        half = path.with_name(path.name + ".part")
        with zipfile.ZipFile(half, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(HEADER, self.header.model_dump_json())
            archive.writestr(FRAMES, save({name: np.ascontiguousarray(part) for name, part in parts.items()}))
            if self.state is not None:
                archive.writestr(STATE, self.state)
        half.replace(path)

    def __len__(self) -> int:
        return len(self.actions)


def read(path: Path) -> Bundle:
    """A bundle from a file.

    Raises:
        BadBundle: it is none, or asks for too much.
        OSError: there is no such file.
    """
    _check_ending(path)
    try:
        with zipfile.ZipFile(path) as archive:
            parts = _parts(archive)
        header = Header.model_validate_json(parts[HEADER])
        tensors = load(parts[FRAMES])
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise BadBundle(f"expected a zip: {error}") from error
    except ValidationError as error:
        raise BadBundle(f"{HEADER}: {error.errors(include_url=False, include_input=False)[0]['msg']}") from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise BadBundle(f"expected {HEADER} and {FRAMES}: {error}") from error
    bundle = _fitting(header, tensors, parts.get(STATE))
    _check_events(bundle)
    return bundle


def _check_ending(path: Path) -> None:
    """A zip that is opened is read as a whole directory: see first that this is short."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        if not ENDING <= size <= sum(LIMITS.values()):
            raise BadBundle(f"expected {ENDING} to {sum(LIMITS.values())} bytes, got {size}")
        file.seek(size - ENDING)
        ending = file.read(ENDING)
    entries, directory = int.from_bytes(ending[10:12], "little"), int.from_bytes(ending[12:16], "little")
    if ending[:4] != b"PK\x05\x06" or entries > len(LIMITS) or directory > 4096:
        raise BadBundle("expected a zip of a bundle's few parts and no comment")


def _parts(archive: zipfile.ZipFile) -> dict[str, bytes]:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names) or not {HEADER, FRAMES} <= set(names) <= set(LIMITS):
        raise BadBundle(f"expected {list(LIMITS)}, got {names}"[:256])
    parts = {}
    for entry in entries:
        limit = LIMITS[entry.filename]
        if entry.file_size > limit:
            raise BadBundle(f"{entry.filename}: expected at most {limit} bytes, got {entry.file_size}")
        with archive.open(entry) as file:
            data = file.read(limit + 1)  # what an entry says of its size may be wrong
        if len(data) > limit:
            raise BadBundle(f"{entry.filename}: expected at most {limit} bytes")
        parts[entry.filename] = data
    return parts


def _fitting(header: Header, tensors: dict[str, NDArray[np.generic]], state: bytes | None) -> Bundle:
    """The parts, if they fit each other."""
    frames = len(tensors["actions"]) if "actions" in tensors and tensors["actions"].ndim else 0
    images = sorted(name for name in tensors if name.startswith("image."))
    if not 1 <= frames <= MOST_FRAMES or frames % header.chunk:
        raise BadBundle(f"expected 1 to {MOST_FRAMES} frames in whole chunks of {header.chunk}, got {frames}")
    pictures = len(tensors["shown"]) if "shown" in tensors and tensors["shown"].ndim else 0
    want: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
        "actions": (np.float32, (frames, len(header.columns))),
        "steps": (np.uint8, (frames,)),
        "digests": (np.uint8, (frames, DIGEST)),
        "shown": (np.uint8, (pictures, header.height, header.width, 3)),
        "shown_at": (np.int64, (pictures,)),
        **{f"image.{k}": (np.uint8, (header.height, header.width, 3)) for k in range(len(images))},
    }
    got = {name: (part.dtype.type, part.shape) for name, part in tensors.items()}
    if got != want:
        wrong = next(name for name in sorted(got.keys() | want.keys()) if got.get(name) != want.get(name))
        raise BadBundle(f"{FRAMES}: {wrong[:64]!r} is missing, not expected, or of another type or shape")
    if not np.isfinite(np.asarray(tensors["actions"], np.float32)).all():
        raise BadBundle("expected finite actions")
    parts: dict[str, Any] = {name: part for name, part in tensors.items() if name not in images}
    begun_from: tuple[Any, ...] = tuple(tensors[f"image.{k}"] for k in range(len(images)))
    return Bundle(header, **parts, images=begun_from, state=state)


def _check_events(bundle: Bundle) -> None:
    header = bundle.header
    first, end, begun = header.frame, header.frame + len(bundle), bundle.state is not None
    last = first
    for event in header.events:
        inside = last <= event.frame < end and (event.frame - first) % header.chunk == 0
        one = [event.to is not None, event.seed is not None, event.rebuilt, event.say is not None].count(True) == 1
        back = event.to is None or (begun and first <= event.to <= event.frame)
        start = event.seed is not None or begun
        picture = event.image is None or event.image < len(bundle.images)
        if not (inside and one and back and start and picture and (begun or event.frame == first)):
            raise BadBundle(f"expected events in order that can be followed, got {event!r}"[:256])
        last, begun = event.frame, True
    if not begun:
        raise BadBundle("expected a state or a beginning")
