"""`worldloom bench engine --sessions 1,2,4`: what batches gain, and what each session costs in time and memory.

Every number of sessions is stepped together and one after the other, in turns in the same run, under the same changing
actions and as fast as it goes. Knows embedded worlds; no clock that paces them, no server.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worldloom.models.catalog import open_world
from worldloom.models.check import random_actions
from worldloom.models.spec import WorldModel

from .embed import WorldBatch
from .freed_memory import keep_freed_memory
from .hardware import hardware, torch_facts
from .worlds import Start

WARM_UP = 2  # rounds before anything counts
PLANS = 8  # different actions, in turns


def bench_sessions(world: str, counts: Sequence[int], seconds: float) -> dict[str, Any]:
    """Frames a second of so many sessions together, and `batch_gain`: over the same stepped one after the other.

    Args:
        world: its name.
        counts: numbers of sessions.
        seconds: of measurement for each number, half of it for each way.

    Raises:
        ValueError: no such world, or no number.
        WorldloomError: the world failed.
    """
    if not counts or min(counts) < 1:
        raise ValueError(f"expected numbers of sessions of at least 1, got {list(counts)}")
    keep_freed_memory()  # as the server's engines do
    model = open_world(world, streams=2 * max(counts))  # together and apart
    found = {str(count): _measured(model, count, seconds) for count in counts}
    return {
        "world": model.spec.name,
        "hardware": hardware(),
        **torch_facts(),
        "seconds": seconds,
        "world_fps": float(model.spec.fps),
        "period_ms": round(1000.0 * float(model.spec.chunk / model.spec.fps), 2),
        "sessions": found,
        "batch_gain": found[str(max(counts))]["batch_gain"],
    }


def _measured(model: WorldModel[Any], count: int, seconds: float) -> dict[str, Any]:
    plans = [np.concatenate([random_actions(model.spec, 100 * k + s) for s in range(count)]) for k in range(PLANS)]
    with WorldBatch(model, count) as together, WorldBatch(model, count, deterministic=True) as apart:
        for batch in (together, apart):
            batch.start({k: Start(seed=k) for k in range(count)})
        times = _in_turns((together, apart), plans, seconds)
        saved = [len(state) for state in together.save()]
        held = together.footprint()
    p50, p95 = np.percentile(times[0], (50, 95)) * 1e3
    rates = [count * model.spec.chunk / float(np.median(one)) for one in times]
    return {
        "frames_per_s": round(rates[0], 2),
        "frames_per_s_one_by_one": round(rates[1], 2),
        "batch_gain": round(rates[0] / rates[1], 2),
        "step_ms": {"p50": round(float(p50), 2), "p95": round(float(p95), 2)},
        "at_full_rate": bool(rates[0] >= count * float(model.spec.fps)),
        "bytes_per_session": None if held is None else held // count,
        "bytes_per_session_saved": sum(saved) // count,
    }


def _in_turns(
    batches: Sequence[WorldBatch], plans: Sequence[NDArray[np.float32]], seconds: float
) -> list[NDArray[np.float64]]:
    """Seconds of each step of each batch; in turns, so that what else the machine does hits all alike."""
    for batch in batches:
        for plan in plans[:WARM_UP]:
            batch.step(plan)
    times: list[list[float]] = [[] for _ in batches]
    deadline, number = time.perf_counter() + seconds, 0
    while not times[0] or time.perf_counter() < deadline:
        for batch, kept in zip(batches, times, strict=True):
            begun = time.perf_counter()
            batch.step(plans[number % len(plans)])
            kept.append(time.perf_counter() - begun)
        number += 1
    return [np.array(one) for one in times]
