"""What belongs to one stream of a DiTWorld: its state, what it can begin with and what it can be asked.

Knows tensors and their shapes; nothing about networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .kv_cache import KVCache
from .ring import compact, footprint_of
from .spec import Actions, WorldSpec
from .view import View, Way


@dataclass(frozen=True)
class Given:
    """What B chunks are made from, besides noise."""

    shown: Tensor  # (B, F, 2 or 3, C, h, w) float32, see `CausalDiT.forward`
    told: Tensor  # (B, F, history, A) float32, the same
    yaws: Tensor  # (B, F) float64 degrees turned so far, on the CPU


@dataclass(frozen=True)
class Pending:
    """A finished chunk that is not in the memory yet: it goes there beside the next one, in one pass of the network."""

    latents: Tensor  # (F, C, h, w) float32, as they enter the memory
    shown: Tensor  # (F, 2 or 3, C, h, w) float32; this and the others as in `Given`
    told: Tensor  # (F, history, A) float32
    yaws: Tensor  # (F,) float64

    @staticmethod
    def together(states: Sequence[DiTState]) -> tuple[Tensor, Given] | None:
        """Latents (B, F, C, h, w) of the pending chunks of streams, and what they were made from; None without any."""
        pending = [s.pending for s in states if s.pending]
        if not pending:
            return None
        latents, *given = (torch.stack([getattr(p, name) for p in pending]) for name in PENDING)
        return latents, Given(*given)

    @property
    def remembered(self) -> Pending:
        """The same in half the bytes, for parking (parked.py)."""
        shrunk = {name: getattr(self, name).half() for name in PENDING if name != "yaws"}
        return replace(self, **shrunk, yaws=self.yaws.clone())

    @property
    def compact(self) -> Pending:
        """The same without what other streams of its batch made."""
        return Pending(*(compact(getattr(self, name)) for name in PENDING))


@dataclass
class DiTState:
    """One stream: its memory, its seed and the last latents."""

    cache: KVCache
    seed: int
    past: Tensor  # (2, C, h, w) float32, the last finished frame as it entered the memory, and the one before it
    recent: Tensor  # (history, A) float32, the latest action rows, newest first, brought to about [-1, 1]
    pending: Pending | None = None  # None before the first chunk
    view: View | None = None  # the last picture, in worlds that move it
    history: tuple[Pending, ...] = ()  # chunks in the memory, what they were made from; the oldest first
    yaw: float = 0.0  # degrees turned so far
    frame: int = 0  # frames finished so far, context included
    released: bool = False

    def fork(self) -> DiTState:
        """An independent copy. Only the memory is ever written in place; all else is replaced, and can be shared."""
        pending = self.pending.compact if self.pending else None
        return replace(self, cache=self.cache.fork(), pending=pending, recent=compact(self.recent))

    def release(self) -> None:
        """Give the memory back."""
        self.released, self.view, self.pending, self.history = True, None, None, ()
        self.cache.release()

    def tensors(self) -> Iterator[Tensor]:
        """Everything that it keeps in memory, shared or not."""
        yield from (*self.cache.tensors(), self.past, self.recent)
        for chunk in (*self.history, *([self.pending] if self.pending else ())):
            yield from (getattr(chunk, name) for name in PENDING)
        if self.view:
            yield from (self.view.picture, *self.view.way.tensors().values())

    def followed(self, chunk: Tensor) -> Tensor:
        """`past` after a chunk (F, C, h, w); the first frame of a stream counts as its own past."""
        before = chunk[-2] if len(chunk) > 1 else self.past[0] if self.frame else chunk[-1]
        return torch.stack([chunk[-1], before])


@dataclass(frozen=True)
class StartScene:
    """A few real frames that a stream can begin with."""

    latents: Tensor  # (K, C, h, w) float32
    actions: Tensor  # (K, A) float32 action that led to each frame, in the units of the world
    momenta: Tensor | None = None  # (K, 2) how the camera came to each frame (see motion.py); None from rest
    poses: Tensor | None = None  # (K, 3) float64 where the camera was (poses.py); None where nobody knows
    picture: Tensor | None = None  # (H, W, 3) uint8, the last frame itself: sharper than its latents
    velocities: Tensor | None = None  # (K, 2) float64 of the body that carries the camera (body.py); None where unknown
    clock: int = 0  # frames since the camera set out, before the first of these
    name: str = ""  # for people, and unlike all others of its world

    def way(self, frame: int, way: Way) -> Way:
        """The way to one of its frames, `way` where that is not known."""
        recorded = {"momentum": self.momenta, "pose": self.poses, "velocity": self.velocities}
        known = {name: line[frame] for name, line in recorded.items() if line is not None}
        return replace(way, **{name: part.to(getattr(way, name).device) for name, part in known.items()})


def named(scenes: Sequence[StartScene]) -> tuple[StartScene, ...]:
    """The same, and those without a name are numbered."""
    return tuple(replace(scene, name=scene.name or f"scene {k + 1}") for k, scene in enumerate(scenes))


PENDING = tuple(part.name for part in fields(Pending))


def footprint(states: Iterable[DiTState], pooled: frozenset[int] = frozenset()) -> int:
    """Bytes that streams hold together; what they share counts once, and of `pooled` storages what is theirs."""
    return footprint_of((tensor for state in states for tensor in state.tensors()), pooled)


class Stream(Protocol):
    """What `checked` asks of a state."""

    released: bool


def checked(spec: WorldSpec, states: Sequence[Stream], actions: Actions, steps: int | None) -> Tensor:
    """(B, F, A) float32 action rows within their ranges, for one step of some streams.

    Raises:
        ValueError: what is asked does not fit the world or the streams.
    """
    if steps is not None and not spec.steps[0] <= steps <= spec.steps[1]:
        raise ValueError(f"expected denoising steps within {spec.steps}, got {steps}")
    want = (len(states), spec.chunk, len(spec.actions.columns))
    if actions.shape != want:
        raise ValueError(f"expected actions of shape {want}, got {actions.shape}")
    if len({id(s) for s in states}) != len(states):
        raise ValueError("a state appears twice in one step")
    if any(s.released for s in states):
        raise ValueError("a released state cannot be stepped: start a new one")
    rows = np.asarray(actions, np.float32)
    if not np.isfinite(rows).all():
        raise ValueError("expected finite actions, got NaN or infinity")
    return torch.from_numpy(np.clip(rows, spec.actions.low, spec.actions.high))


def yaws_of(states: Sequence[DiTState], turns: Tensor) -> Tensor:
    """(B, F) float64 degrees that each camera has turned at each frame of its next chunk, which turns so (B, F)."""
    start = torch.tensor([s.yaw for s in states], dtype=torch.float64)[:, None]
    return start + turns.double().cumsum(1)


def told_of(states: Sequence[DiTState], rows: Tensor) -> Tensor:
    """(B, F, history, A) what each frame is told of actions, newest first; of rows (B, F, A) about [-1, 1]."""
    recent = torch.stack([s.recent for s in states]).flip(1)
    line = torch.cat([recent[:, 1:], rows], 1)  # (B, history - 1 + F, A) oldest first
    return line.unfold(1, recent.shape[1], 1).movedim(-1, 2).flip(2)
