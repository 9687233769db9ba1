"""What belongs to one stream of a DiTWorld: its state, how that is written as bytes, what it can begin with
and what it can be asked.

Knows tensors and their shapes; nothing about networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
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
    yaw: float = 0.0  # degrees turned so far
    frame: int = 0  # frames finished so far, context included
    released: bool = False

    def fork(self) -> DiTState:
        """An independent copy. Only the memory is ever written in place; all else is replaced, and can be shared."""
        pending = self.pending.compact if self.pending else None
        return replace(self, cache=self.cache.fork(), pending=pending, recent=compact(self.recent))

    def release(self) -> None:
        """Give the memory back."""
        self.released, self.view, self.pending = True, None, None
        self.cache.release()

    def tensors(self) -> Iterator[Tensor]:
        """Everything that it keeps in memory, shared or not."""
        yield from (*self.cache.tensors(), self.past, self.recent)
        if self.pending:
            yield from (getattr(self.pending, name) for name in PENDING)
        if self.view:
            yield from (self.view.picture, *(getattr(self.view.way, name) for name in WAY))

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
    clock: int = 0  # frames since the camera set out, before the first of these

    def way(self, frame: int, way: Way) -> Way:
        """The way to one of its frames, `way` where that is not known."""
        device = way.pose.device
        momentum = way.momentum if self.momenta is None else self.momenta[frame].to(device)
        return replace(way, momentum=momentum, pose=way.pose if self.poses is None else self.poses[frame].to(device))


PENDING = tuple(part.name for part in fields(Pending))
WAY = tuple(part.name for part in fields(Way))


def footprint(states: Iterable[DiTState]) -> int:
    """Bytes that streams hold together; what they share counts once."""
    return footprint_of(tensor for state in states for tensor in state.tensors())


def packed(state: DiTState, world: str) -> bytes:
    """A stream of the world of that name as safetensors bytes."""
    cache, view = state.cache, state.view
    tensors = {
        "keys": cache.keys,
        "values": cache.values,
        "sinks": cache.sinks,
        "past": state.past,
        "recent": state.recent,
    }
    if state.pending:
        tensors |= {f"pending.{name}": getattr(state.pending, name) for name in PENDING}
    if view:
        tensors |= {"picture": view.picture} | {name: getattr(view.way, name) for name in WAY}
        tensors["clock"] = torch.tensor(view.clock)
    contiguous = torch.contiguous_format
    tensors = {name: part.clone(memory_format=contiguous) for name, part in tensors.items()}  # files share no memory
    tensors["sink_yaw"] = torch.tensor(cache.sink_yaw, dtype=torch.float64)
    tensors["yaw"] = torch.tensor(state.yaw, dtype=torch.float64)
    tensors["numbers"] = torch.tensor([state.seed, state.frame, cache.frame])
    return save_tensors(tensors, {"world": world})


def unpacked(blob: bytes, cache: KVCache, *, views: bool) -> DiTState:
    """The stream that `packed` wrote.

    Args:
        blob: what it wrote.
        cache: a new one of the world's shape, to be filled.
        views: the world moves its pictures.

    Raises:
        ValueError, KeyError: it is a stream of another shape.
        Exception: of safetensors, for damaged bytes.
    """
    tensors, device = load_tensors(blob), cache.device
    seed, frame, remembered = (int(n) for n in tensors["numbers"])
    for name in ("keys", "values", "sinks"):
        kept, saved = getattr(cache, name), tensors[name]
        if saved.shape != kept.shape or saved.dtype != kept.dtype:
            raise ValueError(
                f"{name}: expected {tuple(kept.shape)} {kept.dtype}, got {tuple(saved.shape)} {saved.dtype}"
            )
        kept.copy_(saved)
    cache.frame, cache.sink_yaw = remembered, tensors["sink_yaw"].tolist()
    past, recent = (tensors[name].to(device) for name in ("past", "recent"))
    pending = None
    if frame > remembered:
        parts = {name: tensors[f"pending.{name}"] for name in PENDING}
        pending = Pending(**{name: part if name == "yaws" else part.to(device) for name, part in parts.items()})
    view = None
    if views:
        way = Way(**{name: tensors[name].to(device) for name in WAY})
        view = View(tensors["picture"].to(device), way, int(tensors["clock"]))
    return DiTState(cache, seed, past, recent, pending, view, float(tensors["yaw"]), frame)


def checked(spec: WorldSpec, states: Sequence[DiTState], actions: Actions, steps: int | None) -> Tensor:
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
