"""Worlds inside a Python program, one chunk for each call: no server, no socket, no clock.

    with EmbeddedWorld("arm") as world:
        world.restart(seed=7)
        for rows in policy:                 # (F, A): one row for each frame of a chunk
            pictures = world.step(rows)     # (F, H, W, 3)

    with WorldBatch("arm", 8) as worlds:    # eight streams, one step of the network for all of them
        worlds.start({k: Start(seed=k) for k in range(8)})
        chunk = worlds.step(rows)           # (8, F, A) -> (8, F, H, W, 3)

The documented way in for code that embeds a world. `EmbeddedWorld` is the session that a server has; `WorldBatch` has
the streams of a batch itself and can save and fork them. Both run on the engine that serves browsers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from worldloom.models.catalog import open_world
from worldloom.models.spec import Actions, SharingWorld, TensorWorld, WorldModel
from worldloom.models.training.metrics import appearance

from .beginning import begin
from .client_messages import Reset, Step
from .engine import Engine
from .engine_config import EngineConfig
from .errors import ModelFault, SessionClosed, Unsupported, WorldloomError
from .home import LiveSession
from .origin import Origin
from .transports.inprocess import Collector
from .validation import clipped_rows
from .world_info import WorldInfo
from .worlds import Chunk, Start

if TYPE_CHECKING:
    from torch import Tensor

CHUNK_S = 300.0  # seconds that one chunk may take: the first may compile kernels

T = TypeVar("T")


class EmbeddedWorld:
    """One stream of a world, in lockstep, on an engine of its own; from one thread."""

    def __init__(self, world: str | WorldModel[Any]) -> None:
        model = open_world(world) if isinstance(world, str) else world
        self.info = WorldInfo.of(model.spec)
        self._steered = bool(model.spec.actions.columns)
        self._engine = Engine(model, EngineConfig(max_sessions=1))
        self._sink = Collector(depth=model.spec.chunk)
        self._session: LiveSession | None = None
        self._seq = 0
        self._engine.start()

    def restart(self, seed: int) -> None:
        """Begin anew from a seed; the first call begins.

        Raises:
            Unsupported: the world refuses to start from it.
        """
        if self._session is None:
            self._session = self._engine.open(self._sink, Origin(seed), "lockstep")
            return
        self._session.post(Reset(seq=self._next(), seed=seed))
        if self._sink.answer(self._seq, timeout_s=CHUNK_S).status != "applied":
            raise Unsupported(f"the world refused to start from seed {seed}")

    def step(self, rows: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(F, A) action rows -> (F, H, W, 3) RGB pictures of one chunk, in an array of their own.

        Raises:
            BadAction: rows of the wrong shape or out of range.
            ModelFault: the world failed; this stream is over.
            SessionClosed: `restart` was never called, or `close` was.
        """
        if self._session is None:
            raise SessionClosed("expected restart(seed) before the first step")
        actions = tuple(tuple(row) for row in rows.tolist()) if self._steered else None
        self._session.post(Step(seq=self._next(), actions=actions))
        return np.stack([frame.pixels for frame in self._sink.take(self.info.chunk, timeout_s=CHUNK_S)])

    def close(self) -> None:
        """Free the state and stop the engine. Closing twice is allowed."""
        self._engine.stop()

    def __enter__(self) -> EmbeddedWorld:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self) -> int:
        self._seq += 1
        return self._seq


class WorldBatch:
    """B streams of one world, stepped together; from one thread. See `worlds.Worlds` for the calls.

    A stream's bytes do not depend on the others of its batch where the arithmetic is bfloat16 on a CPU; elsewhere torch
    rounds a batch otherwise than a single stream, and `deterministic` steps them one by one (see docs/design.md).
    """

    def __init__(self, world: str | WorldModel[Any] | Engine, size: int, *, deterministic: bool = False) -> None:
        """`world`: a name, a world, or an engine that runs and is left running at the end."""
        if size < 1:
            raise ValueError(f"expected at least one stream, got {size}")
        self._lease = _Lease(world)
        spec = self._lease.engine.spec
        self.info = WorldInfo.of(spec)
        self.deterministic = deterministic
        self._spec = spec
        self._states: list[Any] = [None] * size

    def __len__(self) -> int:
        return len(self._states)

    def start(self, starts: Mapping[int, Start]) -> None:
        """Begin some streams, by their number.

        Raises:
            Unsupported: the world refuses one of them; none has changed then.
        """

        def job(model: WorldModel[Any]) -> None:
            fresh: dict[int, Any] = {}
            try:
                for number, start in starts.items():
                    fresh[number] = begin(model, start) if start.state is None else model.load(start.state)
            except ValueError as error:
                _release(model, fresh.values())
                raise Unsupported(f"the world refused to start: {error}"[:256]) from error
            for number, state in fresh.items():
                _release(model, [self._states[number]])
                self._states[number] = state

        self._do(job)

    def step(self, rows: Actions, which: Sequence[int] | None = None) -> Chunk:
        """(n, F, A) action rows of some streams, all by default -> their next chunk. Rows are clipped to their ranges.

        Raises:
            BadAction: rows of the wrong shape, or not finite.
            ModelFault: the world failed; these streams are over.
            SessionClosed: one of them was never started, or `close` was called.
        """
        begun = time.perf_counter()
        frames = self._step(rows, which, lambda model, states, part: model.step(states, part), np.concatenate)
        return Chunk(frames, drift(frames[:, -1], self._spec.looks), 1000.0 * (time.perf_counter() - begun))

    def step_tensors(self, rows: Tensor, which: Sequence[int] | None = None) -> Tensor:
        """The same with torch tensors; the pictures stay where the world made them, and are not copied."""
        import torch

        def made(model: WorldModel[Any], states: Sequence[Any], part: Actions) -> Tensor:
            if hasattr(model, "step_tensors"):
                return cast("TensorWorld[Any]", model).step_tensors(states, part)
            return torch.from_numpy(model.step(states, part))

        return self._step(rows.detach().cpu().numpy(), which, made, torch.cat)

    def save(self, which: Sequence[int] | None = None) -> tuple[bytes, ...]:
        """Some streams as bytes, from which `start` goes on."""
        chosen = self._chosen(which)
        return self._do(lambda model: tuple(model.save(self._states[k]) for k in chosen))

    def footprint(self) -> int | None:
        """Bytes that the streams hold together; None where the world cannot tell."""
        chosen = self._chosen(None)

        def job(model: WorldModel[Any]) -> int | None:
            if not hasattr(model, "footprint"):
                return None
            return cast("SharingWorld[Any]", model).footprint([self._states[k] for k in chosen])

        return self._do(job)

    def fork(self, copies: int) -> WorldBatch:
        """Every stream so many times, in a batch of its own that shares the engine."""
        chosen = self._chosen(None)
        made = WorldBatch(self._lease.engine, len(chosen) * copies, deterministic=self.deterministic)
        made._lease = self._lease.shared()
        made._states = self._do(lambda model: [model.fork(self._states[k]) for k in chosen for _ in range(copies)])
        return made

    def close(self) -> None:
        """Free the states, and the engine after its last batch. Closing twice is allowed."""
        states, self._states = self._states, [None] * len(self._states)
        if self._lease.open:
            self._do(lambda model: _release(model, states))
            self._lease.end()

    def __enter__(self) -> WorldBatch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _step(
        self,
        rows: Actions,
        which: Sequence[int] | None,
        made: Callable[[WorldModel[Any], Sequence[Any], Actions], T],
        joined: Callable[[list[T]], T],
    ) -> T:
        chosen = self._chosen(which)
        rows = clipped_rows(rows, self._spec, len(chosen))
        most = 1 if self.deterministic else self._lease.engine.config.max_batch

        def job(model: WorldModel[Any]) -> T:
            parts = []
            for at in range(0, len(chosen), most):
                states = [self._states[k] for k in chosen[at : at + most]]
                parts.append(made(model, states, rows[at : at + most]))
            return parts[0] if len(parts) == 1 else joined(parts)

        try:
            return self._do(job)
        except WorldloomError:
            raise
        except Exception as error:
            self._do(lambda model: _release(model, [self._states[k] for k in chosen]))
            for k in chosen:
                self._states[k] = None
            raise ModelFault("the world failed; these streams are over") from error

    def _chosen(self, which: Sequence[int] | None) -> Sequence[int]:
        chosen = range(len(self._states)) if which is None else [int(k) for k in which]
        if any(self._states[k] is None for k in chosen):
            raise SessionClosed("expected every stream to have been started, and none to have ended")
        return chosen

    def _do(self, job: Callable[[WorldModel[Any]], T]) -> T:
        return self._lease.engine.work(job).result(CHUNK_S * len(self._states))


class _Lease:
    """An engine and how many batches hold it; the last one stops it, if it was started for them."""

    def __init__(self, world: str | WorldModel[Any] | Engine) -> None:
        self._ours = not isinstance(world, Engine)
        if isinstance(world, Engine):
            self.engine = world
        else:
            self.engine = Engine(open_world(world) if isinstance(world, str) else world)
            self.engine.start()
        self._holders = [self]
        self.open = True

    def shared(self) -> _Lease:
        """Another lease of the same engine."""
        other = _Lease(self.engine)
        other._ours, other._holders = self._ours, self._holders
        self._holders.append(other)
        return other

    def end(self) -> None:
        """Let go of it."""
        self.open = False
        self._holders.remove(self)
        if self._ours and not self._holders:
            self.engine.stop()


def drift(pictures: NDArray[np.uint8], looks: Sequence[float]) -> NDArray[np.float64] | None:
    """(n,) by how much mean luma, saturation or sharpness is off, the worst of them, as a fraction; None: not known."""
    if not looks:
        return None
    wanted = np.asarray(looks)
    return np.asarray((np.abs(appearance(pictures) - wanted) / wanted).max(1))


def _release(model: WorldModel[Any], states: Any) -> None:
    for state in states:
        if state is not None:
            model.release(state)
