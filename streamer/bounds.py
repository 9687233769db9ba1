"""What a stream must reach where neither line nor machine is in its way, and whether it did.

Knows figures only; no browser, no server. A press waits half a frame for its sample on average and a whole one at
worst, then a step of the world; what is allowed besides is for compressing, sending and presenting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

PHOTON_P50_MS, PHOTON_P95_MS = 30.0, 45.0  # for everything but waiting and the step
INTERVAL = 1.25  # frame periods between two pictures, 95 % of the time
CLOCK_MS = 0.1  # browsers round their times to that: a beat of 60 Hz more is just 1.25 periods of 15 frames/s
RATE = 0.02  # fraction by which the shown rate may differ from the world's


@dataclass(frozen=True)
class Bound:
    """One figure and the most that it may be."""

    limit: float | None  # None: what it follows from was not measured
    measured: float | None  # None: it was not measured, so it does not hold
    holds: bool


def bounds(figures: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The verdict, ready for JSON. The figures are those that `worldloom bench stream` prints."""
    period_ms = 1000.0 / figures["world_fps"]
    photon, step = figures["input_to_photon_ms"], figures["step_ms"]
    verdict = {
        "input_to_photon_p50_ms": _bound(_sum(period_ms / 2, step["p50"], PHOTON_P50_MS), photon["p50"]),
        "input_to_photon_p95_ms": _bound(_sum(period_ms, step["p95"], PHOTON_P95_MS), photon["p95"]),
        "frame_interval_p95_ms": _bound(INTERVAL * period_ms, figures["frame_interval_ms"]["p95"], give=CLOCK_MS),
        "fps_shown_deviation": _bound(RATE, abs(figures["fps_shown"] / figures["world_fps"] - 1.0), digits=4),
        "key_frames_unasked": _bound(0, figures["key_frames_unasked"]),
    }
    return {name: asdict(bound) for name, bound in verdict.items()}


def _bound(limit: float | None, measured: float | None, digits: int = 1, give: float = 0.0) -> Bound:
    """Compared as measured, then rounded for reading. `give`: by how much the clock may be wrong."""
    if limit is None or measured is None:
        return Bound(limit, measured, False)
    return Bound(round(limit, digits), round(measured, digits), measured <= limit + give)


def _sum(*parts: float | None) -> float | None:
    return None if None in parts else sum(part for part in parts if part is not None)
