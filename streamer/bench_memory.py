"""`worldloom bench memory`: what a stream holds, in each way of keeping it, and what each does to its pictures.

A stream goes on under the same actions from the same moment: as it is, with keys and values in eight bits, and after it
was parked. Where nothing is lost pictures are equal; where something is, futures drift apart, as any two roundings of a
dream do, so the first frames say more than the last. Knows worlds; no engine.
"""

from __future__ import annotations

import time
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from worldloom.models.catalog import open_world
from worldloom.models.check import random_actions
from worldloom.models.spec import Actions, ParkableWorld, SharingWorld, WorldModel
from worldloom.models.training.metrics import psnr

from .hardware import hardware, torch_facts

BEFORE = 24  # frames that a stream dreams before it is looked at
AFTER = (1, 4, 16)  # frames later at which pictures are compared


def bench_memory(world: str, streams: int = 8) -> dict[str, Any]:
    """Bytes a stream and decibels against the stream as it is, means over so many streams.

    Raises:
        ValueError: no such world, or one that has no keys and values.
    """
    model = open_world(world)
    if not (hasattr(model, "park") and hasattr(model, "footprint")):
        raise ValueError(f"expected a trained world, whose memory can be kept in several ways, got {world!r}")
    smaller = open_world(world, kv="int8")
    rows: dict[str, list[dict[str, Any]]] = {"native": [], "int8": [], "parked": []}
    for seed in range(streams):
        for name, found in _one(model, smaller, seed).items():
            rows[name].append(found)
    return {
        "world": model.spec.name,
        "hardware": hardware(),
        **torch_facts(),
        "streams": streams,
        "frames_before": BEFORE,
        **{name: _mean(found) for name, found in rows.items()},
    }


def _one(model: WorldModel[Any], smaller: WorldModel[Any], seed: int) -> dict[str, dict[str, Any]]:
    """One stream in each way."""
    past = [random_actions(model.spec, 1000 * seed + k) for k in range(BEFORE)]
    ahead = [random_actions(model.spec, 1000 * seed + BEFORE + k) for k in range(max(AFTER))]
    state, other = _walked(model, seed, past), _walked(smaller, seed, past)
    begun = time.perf_counter()
    blob = cast("ParkableWorld[Any]", model).park(state)
    parked_at = time.perf_counter()
    woken = model.load(blob)
    woken_at = time.perf_counter()
    held = {"native": _held(model, state), "int8": _held(smaller, other), "parked": len(blob)}
    saved = len(model.save(state))
    true = _film(model, state, ahead)
    films = {"int8": _film(smaller, other, ahead), "parked": _film(model, woken, ahead)}
    found: dict[str, dict[str, Any]] = {"native": {"bytes": held["native"], "bytes_saved": saved}}
    for name, film in films.items():
        found[name] = {"bytes": held[name]} | {f"psnr_{n}": _alike(true[:n], film[:n]) for n in AFTER}
    found["parked"] |= {"park_ms": 1e3 * (parked_at - begun), "wake_ms": 1e3 * (woken_at - parked_at)}
    return found


def _walked(model: WorldModel[Any], seed: int, plan: list[Actions]) -> Any:
    state = model.start(seed=seed)
    for rows in plan:
        model.step([state], rows)
    return state


def _film(model: WorldModel[Any], state: Any, plan: list[Actions]) -> NDArray[np.uint8]:
    """(N, H, W, 3), and the stream is over."""
    frames = np.concatenate([model.step([state], rows)[0] for rows in plan])
    model.release(state)
    return frames


def _held(model: WorldModel[Any], state: Any) -> int:
    return cast("SharingWorld[Any]", model).footprint([state])


def _alike(true: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Decibels, 99 where they are equal."""
    return float(np.minimum(psnr(other, true), 99.0).mean())


def _mean(found: list[dict[str, Any]]) -> dict[str, float]:
    return {name: round(float(np.mean([one[name] for one in found])), 2) for name in found[0]}
