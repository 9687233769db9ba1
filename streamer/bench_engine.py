"""`worldloom bench engine`: how fast a world steps, paced by its own clock under changing controls.

Knows the engine and the catalog; no server, no codec.
"""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np

from worldloom.models.catalog import open_world
from worldloom.models.finer import in_steps, named_steps, steps_of
from worldloom.models.spec import ActionSpec

from .client_messages import Key, Look
from .engine import Engine
from .errors import Busy, WorldloomError
from .frames import Frame
from .freed_memory import keep_freed_memory
from .hardware import hardware, peak_rss_mb, torch_facts
from .home import LiveSession
from .origin import Origin
from .protocol import Control
from .server_messages import Receipt

WARM_UP_S = 3.0  # seconds before anything counts
HOLD_S = (0.08, 0.6)  # shortest and longest hold of a key, seconds


class Stopwatch:
    """A sink that keeps the time that each chunk took."""

    def __init__(self) -> None:
        self.steps: dict[int, int] = {}  # when the controls were sampled -> nanoseconds of the step
        self.frames = 0
        self.error: WorldloomError | None = None

    def frame(self, frame: Frame) -> None:
        """One more."""
        self.steps[frame.sampled_ns] = frame.step_ns
        self.frames += 1

    def receipt(self, receipt: Receipt) -> None:
        """Only time counts here."""

    def fault(self, error: WorldloomError) -> None:
        """The session has ended."""
        self.error = error


def bench_engine(
    world: str, seconds: float, *, sessions: int = 1, seed: int = 1, warm_up: float = WARM_UP_S
) -> dict[str, Any]:
    """Play `world` for so many seconds and measure; in so many realtime sessions at once, 0: as many as fit.

    `NAME@N` is a world in N denoising steps.

    Raises:
        Busy: fewer fit.
        ValueError: no such world, or no number of steps.
        WorldloomError: the world failed.
    """
    keep_freed_memory()  # as the server's engines do
    name, denoising_steps = named_steps(world)
    model = in_steps(open_world(name), denoising_steps)
    spec = model.spec
    period_ms = 1000.0 * float(spec.chunk / spec.fps)
    with Engine(model) as engine:
        engine.measure().result()
        capacity = engine.capacity()
        watch = Stopwatch()
        session, watches = engine.open(watch, Origin(seed)), [watch]
        for number in range(1, sessions or capacity.places.count):
            other = Stopwatch()
            try:
                engine.open(other, Origin(seed + number))
            except Busy:
                if sessions:
                    raise
                break  # those who are there already step more slowly than was foreseen: so many fit
            watches.append(other)
        play(session, spec.actions, warm_up, seed=seed)
        begun, stalls = time.monotonic_ns(), engine.stats().stalls
        frames = [one.frames for one in watches]
        play(session, spec.actions, seconds, seed=seed + 1)
        spent = (time.monotonic_ns() - begun) / 1e9
        slowest = min(one.frames - before for one, before in zip(watches, frames, strict=True))
        stalls, level = engine.stats().stalls - stalls, engine.stats().level
        for one in watches:
            if one.error is not None:
                raise one.error
    steps = [ns / 1e6 for at, ns in watch.steps.items() if at >= begun]
    p50, p95 = np.percentile(steps, (50, 95))
    return {
        "world": spec.name,
        "denoising_steps": steps_of(model),
        "hardware": hardware(),
        **torch_facts(),
        "seconds": round(spent, 2),
        "sessions": len(watches),
        "places": {"count": capacity.places.count, "limit": capacity.places.limit},
        "step_ms_by_batch": capacity.table()["step_ms"],
        "steps": len(steps),
        "step_ms": {"p50": round(float(p50), 2), "p95": round(float(p95), 2)},
        "period_ms": round(period_ms, 2),
        "realtime_factor": round(period_ms / float(p50), 2),
        "world_fps": float(spec.fps),
        "fps": round(slowest / spent, 2),
        "stalls": stalls,
        "overload_level": level,
        "peak_rss_mb": round(peak_rss_mb(), 1),
    }


def play(session: LiveSession, actions: ActionSpec, seconds: float, *, seed: int) -> None:
    """Hold random keys for random times, and look around where the world allows it."""
    rng = random.Random(seed)
    keys = sorted(actions.keys)
    deadline = time.monotonic() + seconds
    seq = 1 + time.monotonic_ns() // 1_000_000  # rising from call to call
    while (left := deadline - time.monotonic()) > 0:
        held: list[Control] = []
        if keys:
            held.append(Key(seq=seq, code=rng.choice(keys), down=True))
        elif any(actions.look):
            held.append(Look(seq=seq, yaw=rng.uniform(-5.0, 5.0)))
        for event in held:
            session.post(event)
        time.sleep(min(left, rng.uniform(*HOLD_S)))
        for event in held:
            if isinstance(event, Key):
                session.post(Key(seq=seq + 1, code=event.code, down=False))
        seq += 2
