"""`worldloom bench env`: how fast a world steps in a Python loop, by the batch, beside the engine that it learned from.

Both are measured in turns in the same run, on what the machine has to spare then. Knows environments' worlds and
simulators; no server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from worldloom.models.catalog import open_world
from worldloom.models.check import random_actions
from worldloom.models.spec import Actions, WorldModel

from .embed import WorldBatch
from .hardware import hardware, torch_facts
from .worlds import Start

WARM_UP = 2  # steps before anything counts


def bench_env(world: str, batches: Sequence[int], seconds: float, *, simulator: bool = True) -> dict[str, Any]:
    """Frames a second of each batch size, with and without `deterministic`, and of the simulator, one process.

    Raises:
        ValueError: no such world, or no batch.
        ModuleNotFoundError: the simulator is not installed.
    """
    if not batches or min(batches) < 1:
        raise ValueError(f"expected batch sizes of at least 1, got {list(batches)}")
    model = open_world(world)
    found: dict[str, Any] = {
        "world": model.spec.name,
        "hardware": hardware(),
        **torch_facts(),
        "chunk": model.spec.chunk,
        "real_time": float(model.spec.fps),
    }
    if simulator:
        found["simulator"] = _rated(*_simulator(model), seconds)
    found["batch"] = {}
    for size in batches:
        rows = np.concatenate([random_actions(model.spec, k) for k in range(size)])
        rates: dict[str, Any] = {}
        for name, one_by_one in (("together", False), ("deterministic", True)):
            if size > 1 or not one_by_one:
                rates[name] = _dreamed(model, size, rows, one_by_one, seconds)
        found["batch"][str(size)] = rates
    return found


def _dreamed(model: WorldModel[Any], size: int, rows: Actions, one_by_one: bool, seconds: float) -> dict[str, float]:
    with WorldBatch(model, size, deterministic=one_by_one) as worlds:
        worlds.start({k: Start(seed=k) for k in range(size)})
        return _rated(lambda: worlds.step(rows), size * model.spec.chunk, seconds)


def _rated(step: Callable[[], Any], frames: int, seconds: float) -> dict[str, float]:
    """Frames and steps a second of a call that makes so many frames."""
    for _ in range(WARM_UP):
        step()
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    while not times or time.perf_counter() < deadline:
        begun = time.perf_counter()
        step()
        times.append(time.perf_counter() - begun)
    p50, p95 = np.percentile(times, (50, 95)) * 1e3
    rate = len(times) / sum(times)
    return {
        "frames_per_s": round(rate * frames, 2),
        "steps_per_s": round(rate, 2),
        "step_ms_p50": round(float(p50), 2),
        "step_ms_p95": round(float(p95), 2),
    }


def _simulator(model: WorldModel[Any]) -> tuple[Callable[[], Any], int]:
    """A call that makes one frame of the engine that the world learned from: acts and draws, as a dream does both."""
    from worldloom.models.training.simulators import open_simulator

    spec = model.spec
    real = open_simulator(spec.name, spec.height, spec.width)
    real.reset(seed=1)
    plan, number = [random_actions(spec, k)[0, 0] for k in range(64)], 0

    def step() -> None:
        nonlocal number
        if real.act(plan[number % len(plan)]):
            real.reset(seed=number)
        real.observe()
        number += 1

    return step, 1
